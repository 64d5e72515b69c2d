//! ClickHouse is away for three hours of samples at the full rate, then it comes back: nothing is lost or doubled, memory
//! stays flat, and the bridge catches up faster than time passes. `make outage-archive SERIES=100000` has the series of
//! 1,500 virtual machines.

use std::time::{Duration, Instant};

use anyhow::ensure;
use lynceus_demo::eventually;
use reqwest::StatusCode;

use crate::support::{Archive, has_tools, now};
use crate::wire::{packed, series, write_request};

/// In `make test`.
const SERIES: usize = 2_000;
const A_REQUEST: usize = 500;
/// Milliseconds between two scrapes.
const STEP: i64 = 30_000;
const SCRAPES: i64 = 3 * 3_600_000 / STEP;
/// How much faster than time passes the bridge has to catch up.
const CATCH_UP: f64 = 10.;
/// By how many bytes the bridge may grow in three hours without ClickHouse.
const GROWTH: i64 = 64 << 20;
const LIMIT: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hours_without_clickhouse_are_caught_up() {
    if !has_tools(&["python"]) {
        return;
    }
    let all = std::env::var("LYNCEUS_OUTAGE_SERIES").ok().and_then(|series| series.parse().ok()).unwrap_or(SERIES);
    let mut archive = Archive::start().await;
    let start = now() - (SCRAPES + 20) * STEP;
    scrapes(&archive, all, start, 0..10).await;
    archive.settle().await;

    archive.kill_engine().await;
    scrapes(&archive, all, start, 10..20).await;
    let before = memory(&archive);
    scrapes(&archive, all, start, 20..SCRAPES).await;
    let growth = memory(&archive) - before;
    assert!(growth < GROWTH, "the bridge grew from {before} by {growth} bytes");

    archive.start_engine().await;
    archive.wait_for_engine().await;
    let back = Instant::now();
    scrapes(&archive, all, start, SCRAPES..SCRAPES + 10).await;
    let written = now() as f64 / 1e3;
    eventually(LIMIT, "all in the engine", || async {
        let caught_up = archive.metric("lynceus_bridge_caught_up_timestamp_seconds").await;
        ensure!(caught_up > written, "{caught_up}, not {written}; the log:\n{}", archive.bridge.log());
        Ok(())
    })
    .await
    .unwrap();
    let took = back.elapsed();
    // The ten scrapes before the outage were there.
    let times_live = (SCRAPES * STEP) as f64 / 1e3 / took.as_secs_f64();
    assert!(times_live >= CATCH_UP, "{SCRAPES} scrapes of {all} series took {took:?}");

    let scrapes = SCRAPES + 10;
    let count = archive
        .sql(
            "SELECT count(), countIf(samples != (SELECT max(timestamp) - min(timestamp) FROM samples) / 30 + 1), \
             countIf(sum != samples * (samples - 1) / 2 + samples * place) FROM (\
             SELECT count() AS samples, sum(value) AS sum, toFloat64(any(s.place)) AS place FROM samples FINAL INNER JOIN \
             (SELECT DISTINCT series_id, labels['place'] AS place FROM series) AS s USING series_id GROUP BY series_id)",
        )
        .await;
    assert_eq!(count, format!("{all}\t0\t0"), "series, those with a hole or a double, those with another value");
    let stored = archive.sql("SELECT count() FROM samples FINAL").await;
    assert_eq!(stored, (all as i64 * scrapes).to_string());
    println!(
        "{stored} samples, 0 missing, 0 doubled; {growth} bytes more after three hours; caught up in {took:.1?}, \
         {times_live:.0} times as fast as they came"
    );
}

/// Sends scrapes as fast as the bridge takes them: of each series its place and the number of the scrape.
async fn scrapes(archive: &Archive, all: usize, start: i64, scrapes: std::ops::Range<i64>) {
    let places: Vec<_> = (0..all).map(|place| place.to_string()).collect();
    for scrape in scrapes {
        for (chunk, places) in places.chunks(A_REQUEST).enumerate() {
            let samples = |place: usize| [(start + scrape * STEP, (scrape + place as i64) as f64)];
            let of = |(i, name): (usize, &String)| {
                series(&[("__name__", "load"), ("job", "vsphere"), ("place", name)], &samples(chunk * A_REQUEST + i))
            };
            let body = packed(&write_request(&places.iter().enumerate().map(of).collect::<Vec<_>>()));
            let response = archive.post("/api/v1/write", body).await;
            assert_eq!(response.status(), StatusCode::NO_CONTENT, "{}", response.text().await.unwrap());
        }
    }
}

/// Bytes that the bridge has in memory.
fn memory(archive: &Archive) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", archive.bridge.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<i64>().unwrap() << 10
}
