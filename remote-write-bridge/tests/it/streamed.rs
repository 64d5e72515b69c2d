//! Remote read as a stream of chunks: the same samples, whatever their number, and as Prometheus 3 reads them.

use std::path::PathBuf;
use std::process::Command;

use lynceus_demo::{Process, eventually, free_port};

use crate::kinds::{floats, whole, with_histograms};
use crate::path::ask;
use crate::support::{Archive, LIMIT, has_tools, now, read};
use crate::wire::{self, STALE, Series, number, series};

/// `bin/prometheus3`, where there is one.
pub(crate) fn prometheus_3() -> Option<PathBuf> {
    let binary = std::env::var_os("LYNCEUS_PEERS").map(|peers| PathBuf::from(peers).join("bin/prometheus3"));
    if binary.is_none() {
        eprintln!("skipped: LYNCEUS_PEERS names no folder with bin/prometheus3");
    }
    binary
}

/// Starts Prometheus 3 in a folder.
pub(crate) async fn start_prometheus_3(dir: &std::path::Path, config: &str, port: u16, more: &[&str]) -> Process {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join("prometheus.yml"), config).unwrap();
    let mut command = Command::new(prometheus_3().unwrap());
    command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]).args(more);
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let mut process = Process::start("prometheus3", command, dir).unwrap();
    process.wait_for_http(&format!("http://127.0.0.1:{port}/-/ready"), LIMIT).await.unwrap();
    process
}

/// Values that a careless encoder loses.
pub(crate) fn bits(start: i64) -> Series {
    let bits = [
        STALE,
        0x7ff8_0000_0000_0001,
        0x7ff0_0000_0000_0001,
        0xfff8_dead_beef_cafe,
        (-0.0_f64).to_bits(),
        1,
        f64::INFINITY.to_bits(),
        0.1_f64.to_bits(),
        0.1_f64.to_bits(),
    ];
    let mut series = series(&[("__name__", "bits")], &[]);
    series.samples = bits.into_iter().enumerate().map(|(at, bits)| (start + (at * at) as i64, bits)).collect();
    series
}

#[tokio::test]
async fn a_stream_has_the_samples_of_the_other_answer() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start().await;
    let start = now() - 60_000;
    let many =
        |at: i64| series(&[("__name__", "many"), ("Upper", &format!("{at:03}"))], &[(start, 1.), (start + at, 2.)]);
    let all: Vec<Series> = [bits(start)].into_iter().chain((1..300).map(many)).collect();
    archive.store(&all).await;
    let everything = [(2, "__name__", ".+")];
    let expected = archive.read(start, start + 50, &everything).await;
    assert_eq!(expected.len(), 300);
    assert_eq!(archive.stream(start, start + 50, &everything).await, expected);
    let found = archive.stream(start + 4, start + 9, &[(0, "__name__", "bits")]).await;
    assert_eq!(found[0].samples, bits(start).samples[2..=3]);
    assert_eq!(archive.metric("lynceus_bridge_read_requests_total{outcome=\"streamed\"}").await, 2.);
}

#[tokio::test]
async fn what_has_no_room_in_memory_comes_in_parts_and_in_order() {
    if !has_tools(&["python"]) {
        return;
    }
    let mut archive = Archive::start().await;
    let start = now() - 86_400_000;
    let end = start + 86_400_000;
    // One series is more than a part, and the others are several.
    let large = "INSERT INTO samples SELECT 0, (SELECT any(series_id) FROM series WHERE metric_name = 'large'), \
                 fromUnixTimestamp64Milli({start} + number * 100, 'UTC'), sin(number) FROM numbers(450000)";
    let small = "INSERT INTO samples SELECT vm_key, series_id, fromUnixTimestamp64Milli({start} + number * 100, 'UTC'), \
                 number FROM (SELECT vm_key, series_id FROM series WHERE metric_name = 'small') AS s \
                 CROSS JOIN numbers(100) AS n";
    let small_series = |at: i64| series(&[("__name__", "small"), ("at", &format!("{at:04}"))], &[(start - 1, 1.)]);
    let mut all: Vec<_> = (0..2500).map(small_series).collect();
    all.push(series(&[("__name__", "large")], &[(start - 1, 1.)]));
    archive.store(&all).await;
    for sql in [large, small] {
        archive.sql(&sql.replace("{start}", &start.to_string())).await;
    }
    let matchers = [(2, "__name__", "small|large")];
    let found = archive.stream(start, end, &matchers).await;
    assert_eq!(found.iter().map(|series| series.samples.len()).max(), Some(450_000));
    let expected = archive.read(start, end, &matchers).await;
    assert!(found == expected, "{} series, not {}", found.len(), expected.len());

    if prometheus_3().is_some() {
        let port = free_port();
        let config = format!("remote_read:\n- url: {}/api/v1/read\n  read_recent: true\n", archive.url);
        let _reader = start_prometheus_3(&archive.dir.path().join("reader"), &config, port, &[]).await;
        let query = [("query", "count_over_time(large[2d])"), ("time", &(end / 1000).to_string())];
        let found = ask(&archive.http, &format!("http://127.0.0.1:{port}"), "query", &query).await.unwrap();
        assert_eq!(found["result"][0]["value"][1], "450001", "{found}");
    }

    // Given up when nobody takes it.
    let body = wire::packed(&wire::streamed_read_request(start, end, &matchers));
    drop(archive.post("/api/v1/read", body.clone()).await);
    eventually(LIMIT, "the end of the stream", || async {
        let abandoned = archive.metric("lynceus_bridge_read_requests_total{outcome=\"abandoned\"}").await;
        anyhow::ensure!(abandoned == 1., "{abandoned}");
        Ok(())
    })
    .await
    .unwrap();

    // Refused before it begins.
    archive.restart_bridge("read:\n  max_samples: 600000\n").await;
    archive.wait_for_engine().await;
    let response = archive.post("/api/v1/read", body).await;
    assert_eq!(response.status(), 400);
    assert_eq!(
        response.text().await.unwrap(),
        "the answer has more than 600000 samples; ask for less, or raise read.max_samples\n"
    );
}

#[tokio::test]
async fn prometheus_3_reads_every_bit_of_a_stream() {
    if !has_tools(&["python"]) || prometheus_3().is_none() {
        return;
    }
    let archive = Archive::start().await;
    let start = now() - 60_000;
    let histograms = [
        with_histograms("whole", vec![whole(start), whole(start + 1)]),
        with_histograms("floats", vec![floats(start), floats(start + 15_000)]),
    ];
    archive.store(&[&[bits(start)], &histograms[..]].concat()).await;
    let port = free_port();
    let config = format!("remote_read:\n- url: {}/api/v1/read\n  read_recent: true\n", archive.url);
    let _reader = start_prometheus_3(&archive.dir.path().join("reader"), &config, port, &[]).await;
    // It hands on what it has read from the archive.
    let reader = format!("http://127.0.0.1:{port}");
    let of = async |name: &str| read(&archive.http, &reader, start, start + 20_000, &[(0, "__name__", name)]).await;
    let found = of("bits").await;
    let mut expected = bits(start);
    // Its own encoder leaves -0.0 out, as if it were 0.
    expected.samples[4].1 = 0;
    assert_eq!(found, [expected]);
    for mut expected in histograms {
        // Within a chunk it knows that no counter has begun again.
        let place = expected.histograms[1].len() - 1;
        expected.histograms[1].insert(place, number(14, 2));
        assert_eq!(of(&expected.labels[0].1).await, [expected]);
    }
    assert_eq!(archive.metric("lynceus_bridge_read_requests_total{outcome=\"streamed\"}").await, 3.);
    assert_eq!(archive.metric("lynceus_bridge_read_requests_total{outcome=\"answered\"}").await, 0.);
}
