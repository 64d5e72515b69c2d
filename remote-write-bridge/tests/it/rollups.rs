//! Roll-ups are what their samples come to, whenever these come.

use lynceus_demo::eventually;

use crate::support::{Archive, LIMIT, has_tools, now};
use crate::wire::{STALE, series};

const HOUR: i64 = 3_600_000;

/// Waits until nothing before the present hour is left to roll up.
async fn rolled_up(archive: &Archive, rows: &str) {
    eventually(LIMIT * 2, "roll-ups", || async {
        let found = archive.sql("SELECT count() FROM rollup_1h FINAL").await;
        anyhow::ensure!(found == rows, "{found} rows; the log:\n{}", archive.bridge.log());
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn buckets_hold_what_their_samples_come_to_and_late_ones_too() {
    if !has_tools(&["python"]) {
        return;
    }
    let mut archive = Archive::start_with("rollups:\n  five_minutes: ['coun.+']\n").await;
    let start = now() / HOUR * HOUR - 5 * HOUR;
    let at = |minutes: i64| start + minutes * 60_000;
    let counter = series(
        &[("__name__", "counter"), ("vcenter", "vc"), ("vm_id", "1")],
        // The last millisecond of an hour is in it; a reset at 40, and one from hour to hour.
        &[(at(0), 90.), (at(1), 100.), (at(30), 130.), (at(40), 5.), (at(60), 7.), (at(61), 2.)],
    );
    let mut gauge = series(&[("__name__", "gauge")], &[(at(1), -1.5), (at(2), f64::NAN), (at(3), 4.)]);
    gauge.samples.push((at(4), STALE));
    archive.store(&[counter, gauge]).await;
    rolled_up(&archive, "4").await;
    let columns = "count, sum, min, max, first, last, last - first + resets, stale";
    let of = async |table: &str, metric: &str| {
        let minutes = format!("(toUnixTimestamp(bucket) - {}) / 60", start / 1000);
        let sql =
            format!("SELECT {minutes}, {columns} FROM {table} FINAL WHERE metric_name = '{metric}' ORDER BY bucket");
        archive.sql(&sql).await
    };
    assert_eq!(
        of("rollup_1h", "counter").await,
        "0\t1\t90\t90\t90\t90\t90\t0\tfalse\n\
         60\t4\t242\t5\t130\t100\t7\t37\tfalse\n\
         120\t1\t2\t2\t2\t2\t2\t0\tfalse"
    );
    assert_eq!(of("rollup_1h", "gauge").await, "60\t3\tnan\t-1.5\t4\t-1.5\t4\t5.5\ttrue");
    assert_eq!(of("rollup_5m", "gauge").await, "");
    let fives = of("rollup_5m", "counter").await;
    let ends: Vec<_> = fives.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(ends, ["0", "5", "30", "40", "60", "65"]);

    // A late sample, and a bridge that is killed before it is rolled up.
    archive.store(&[series(&[("__name__", "gauge")], &[(at(2), 2.), (at(59), 3.)])]).await;
    archive.bridge.kill().await;
    archive.restart_bridge("").await;
    eventually(LIMIT * 2, "the late sample", || async {
        let found =
            archive.sql("SELECT count, sum, last, stale FROM rollup_1h FINAL WHERE metric_name = 'gauge'").await;
        anyhow::ensure!(found == "4\t7.5\t3\tfalse", "{found}");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(archive.metric("lynceus_bridge_rollup_failures_total").await, 0.);
}
