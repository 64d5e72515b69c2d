//! Two real Prometheus scrape the same target, and the archive has it once.

use std::time::Duration;

use lynceus_demo::{Process, eventually, free_port, parts};

use crate::support::{Archive, LIMIT, PROCESSOR, has_tools, now};

/// A replica that scrapes the bridge itself, which counts its requests.
async fn replica(archive: &Archive, name: &str) -> Process {
    let bridge = archive.url.trim_start_matches("http://");
    let config = format!(
        "global:\n  scrape_interval: 1s\n  external_labels: {{prometheus: lab, prometheus_replica: {name}}}\n\
         scrape_configs:\n- job_name: bridge\n  static_configs: [{{targets: ['{bridge}']}}]\n\
         remote_write:\n- url: {}/api/v1/write\n",
        archive.url
    );
    parts::prometheus(&archive.dir.path().join(name), &config, free_port(), &[]).await.unwrap()
}

#[tokio::test]
async fn a_replica_that_is_killed_leaves_no_hole_no_double_and_no_zigzag() {
    if !has_tools(&["python", "prometheus"]) {
        return;
    }
    let _processor = PROCESSOR.lock().await;
    let archive = Archive::start().await;
    let mut first = replica(&archive, "a").await;
    let switches = async || archive.metric("lynceus_bridge_replica_switches_total").await;
    // So that the first one is the one that is stored.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let _second = replica(&archive, "b").await;
    let begin = now();
    eventually(LIMIT, "samples of the second one", || async {
        let dropped = archive.metric("lynceus_bridge_replica_samples_dropped_total").await;
        anyhow::ensure!(dropped > 0., "{}", archive.bridge.log());
        Ok(())
    })
    .await
    .unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(switches().await, 0.);
    first.kill().await;
    // For ten minutes a target may pause for two.
    eventually(LIMIT * 3, "the other replica", || async {
        anyhow::ensure!(switches().await > 0., "{}", archive.bridge.log());
        Ok(())
    })
    .await
    .unwrap();
    let _first_again = replica(&archive, "a").await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    archive.settle().await;

    assert_eq!(
        archive.sql("SELECT countIf(mapContains(labels, 'prometheus_replica')), count() > 0 FROM series").await,
        "0\t1"
    );
    // Of each series: samples a second apart, but where the other one went on; a counter that only grows.
    let of = |metric: &str| {
        format!(
            "SELECT count(), max(pause), countIf(pause < 500), countIf(step < 0), count() - countIf(step < 0) > 100 FROM (\
             SELECT timestamp - lagInFrame(timestamp, 1, timestamp) OVER w AS gap, toInt64(gap * 1000) AS pause, \
             value - lagInFrame(value, 1, value) OVER w AS step FROM samples FINAL \
             WHERE series_id IN (SELECT series_id FROM series WHERE metric_name = '{metric}' AND labels['outcome'] IN ('', 'accepted')) \
             AND timestamp > fromUnixTimestamp64Milli({begin}) - 5 \
             WINDOW w AS (PARTITION BY series_id ORDER BY timestamp ROWS BETWEEN 1 PRECEDING AND CURRENT ROW))"
        )
    };
    for metric in ["lynceus_bridge_write_requests_total", "up"] {
        let found = archive.sql(&of(metric)).await;
        let numbers: Vec<i64> = found.split('\t').map(|number| number.parse().unwrap()).collect();
        let [count, longest, doubles, backwards, enough] = numbers[..] else { panic!("{found}") };
        // One pause is shorter, or longer, by the difference of their moments; the first row has none.
        assert!(longest < 2200 && doubles <= 2 && backwards == 0 && enough == 1, "{metric}, {count} samples: {found}");
    }
    // Who asks for its own replica gets what there is.
    let found = archive.read(begin - 3000, now(), &[(0, "__name__", "up"), (0, "prometheus_replica", "a")]).await;
    assert_eq!(found.len(), 1);
}
