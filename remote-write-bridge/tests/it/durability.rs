//! What was acknowledged is there, once, whatever ends in the middle of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use lynceus_demo::{eventually, free_port, parts};
use nix::sys::signal::Signal;
use reqwest::{Client, StatusCode};
use tokio::task::JoinSet;

use crate::support::{Archive, LIMIT, has_tools, http, now, write_config};
use crate::wire::{packed, series, write_request};

const SENDERS: usize = 8;
const SAMPLES: i64 = 50;
/// After each request that was acknowledged: some ten thousand samples a second in all, so that the engine keeps up.
const PAUSE: Duration = Duration::from_millis(10);
/// Of a request.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Senders as Prometheus has them: each sends its samples in order, and again until they are acknowledged.
pub(crate) struct Load {
    /// By sender: how many of its samples, from the first on, were acknowledged.
    acknowledged: Arc<[AtomicI64; SENDERS]>,
    repeated: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    senders: JoinSet<()>,
}

impl Load {
    pub(crate) fn start(url: &str, t: i64) -> Self {
        let acknowledged: Arc<[AtomicI64; SENDERS]> = Arc::default();
        let (repeated, stop) = (Arc::default(), Arc::default());
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            let url = format!("{url}/api/v1/write");
            let (acknowledged, repeated, stop) = (Arc::clone(&acknowledged), Arc::clone(&repeated), Arc::clone(&stop));
            senders.spawn(async move { send(&http(), &url, sender, t, &acknowledged[sender], &repeated, &stop).await });
        }
        Self { acknowledged, repeated, stop, senders }
    }

    pub(crate) fn count(&self) -> i64 {
        self.acknowledged.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    pub(crate) async fn wait_for(&self, more: i64) {
        let wanted = self.count() + more;
        eventually(LIMIT, "acknowledged samples", || async {
            anyhow::ensure!(self.count() >= wanted, "{} of {wanted}", self.count());
            Ok(())
        })
        .await
        .unwrap();
    }

    /// Acknowledged samples by sender, and how many requests were sent again.
    pub(crate) async fn finish(self) -> (Vec<i64>, usize) {
        self.stop.store(true, Ordering::Relaxed);
        self.senders.join_all().await;
        let acknowledged = self.acknowledged.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        (acknowledged, self.repeated.load(Ordering::Relaxed))
    }
}

async fn send(
    http: &Client,
    url: &str,
    sender: usize,
    t: i64,
    acknowledged: &AtomicI64,
    repeated: &AtomicUsize,
    stop: &AtomicBool,
) {
    let name = sender.to_string();
    let mut first = 0;
    while !stop.load(Ordering::Relaxed) {
        let samples: Vec<_> = (first..first + SAMPLES).map(|i| (t + i, i as f64)).collect();
        let body = packed(&write_request(&[series(&[("__name__", "load"), ("sender", &name)], &samples)]));
        let request =
            http.post(url).header("content-type", "application/x-protobuf").header("content-encoding", "snappy");
        // As Prometheus, which gives up too: a request whose connection dies has been seen to wait for ever.
        match request.body(body).timeout(TIMEOUT).send().await {
            Ok(response) if response.status() == StatusCode::NO_CONTENT => {
                first += SAMPLES;
                acknowledged.store(first, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
            Ok(response) if response.status() != StatusCode::SERVICE_UNAVAILABLE => {
                panic!("{}: {}", response.status(), response.text().await.unwrap());
            }
            // 503, or no answer: the same again.
            _ => {
                repeated.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Of the first samples of each sender that many are read one by one; there may be millions.
const READ: i64 = 50_000;

/// Every acknowledged sample is there exactly once, with its value; others (sent, answer lost) at most once. Says how
/// many there are.
pub(crate) async fn check(archive: &Archive, t: i64, acknowledged: &[i64]) -> i64 {
    archive.settle().await;
    let sql = format!(
        "SELECT labels['sender'], count(), uniqExact(timestamp), max(toUnixTimestamp64Milli(timestamp)) - {t}, \
         countIf(value != toUnixTimestamp64Milli(timestamp) - {t}) \
         FROM samples FINAL INNER JOIN (SELECT DISTINCT series_id, labels FROM series) AS s USING series_id \
         GROUP BY labels['sender'] ORDER BY labels['sender']"
    );
    let rows = archive.sql(&sql).await;
    let mut stored = Vec::new();
    for (sender, row) in rows.lines().enumerate() {
        let found: Vec<i64> = row.split('\t').map(|number| number.parse().unwrap()).collect();
        let [name, count, times, last, wrong] = found[..] else { panic!("{row}") };
        assert_eq!((name, wrong), (i64::try_from(sender).unwrap(), 0), "{row}");
        // Without a gap, without a double.
        assert_eq!((count, last + 1), (times, times), "{row}, of {acknowledged:?}");
        stored.push(count);
    }
    assert_eq!(stored.len(), acknowledged.len());
    for (stored, acknowledged) in stored.iter().zip(acknowledged) {
        assert!((*acknowledged..=acknowledged + SAMPLES).contains(stored), "{stored} stored of {acknowledged}");
    }
    for series in archive.read(t, t + READ - 1, &[(0, "__name__", "load")]).await {
        let sender: usize = series.labels.iter().find(|(name, _)| name == "sender").unwrap().1.parse().unwrap();
        let expected: Vec<_> = (0..stored[sender].min(READ)).map(|i| (t + i, (i as f64).to_bits())).collect();
        assert!(
            series.samples == expected,
            "sender {sender}: {} samples, not {}",
            series.samples.len(),
            expected.len()
        );
    }
    stored.iter().sum()
}

/// Samples lie in the past, so that millions of milliseconds are not the future.
pub(crate) fn past() -> i64 {
    now() - 40_000_000
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_killed_under_load_loses_and_doubles_nothing() {
    if !has_tools(&["python"]) {
        return;
    }
    let mut archive = Archive::start_with("ingest:\n  flush_interval: 50ms\n").await;
    let t = past();
    let load = Load::start(&archive.url, t);
    for round in 0..4 {
        load.wait_for(2000).await;
        tokio::time::sleep(Duration::from_millis(37 * round)).await;
        archive.kill_engine().await;
        // Shorter than what the bridge bridges by itself, and longer.
        tokio::time::sleep(Duration::from_millis(if round % 2 == 0 { 100 } else { 4000 })).await;
        archive.start_engine().await;
    }
    load.wait_for(2000).await;
    let (acknowledged, repeated) = load.finish().await;
    assert_eq!(repeated, 0, "senders noticed that the engine was away");
    check(&archive, t, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_loses_nothing_that_was_acknowledged() {
    if !has_tools(&["python"]) {
        return;
    }
    let mut archive = Archive::start().await;
    let t = past();
    let load = Load::start(&archive.url, t);
    load.wait_for(2000).await;
    let status = archive.bridge.terminate(Duration::from_secs(30)).await.unwrap();
    assert!(status.success(), "{status}");
    let log = archive.bridge.log();
    assert!(log.contains("stopped") && !log.contains("work in flight: the grace"), "{log}");
    let (acknowledged, _) = load.finish().await;
    archive.restart_bridge("").await;
    archive.wait_for_engine().await;
    check(&archive, t, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_and_an_engine_that_are_killed_under_load_lose_nothing_that_was_acknowledged() {
    if !has_tools(&["python"]) {
        return;
    }
    let mut archive = Archive::start_with("ingest:\n  flush_interval: 50ms\n").await;
    let t = past();
    let load = Load::start(&archive.url, t);
    for _ in 0..3 {
        load.wait_for(2000).await;
        // Amid an insert whose answer nobody will hear.
        archive.clickhouse.as_ref().unwrap().signal(Signal::SIGSTOP).unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        archive.bridge.kill().await;
        archive.kill_engine().await;
        archive.start_engine().await;
        archive.restart_bridge("ingest:\n  flush_interval: 50ms\n").await;
    }
    load.wait_for(2000).await;
    let (acknowledged, repeated) = load.finish().await;
    assert!(repeated > 0);
    check(&archive, t, &acknowledged).await;
}

#[tokio::test]
async fn an_engine_that_is_away_at_the_start_is_waited_for() {
    if !has_tools(&["python"]) {
        return;
    }
    let mut archive = Archive::start_without_engine("").await;
    eventually(LIMIT, "the reason", || async {
        let (log, port) = (archive.bridge.log(), archive.clickhouse_port);
        anyhow::ensure!(log.contains(&format!("failed to reach ClickHouse at `http://127.0.0.1:{port}/`: ")), log);
        Ok(())
    })
    .await
    .unwrap();
    // It is ready all the same: what is accepted is safe.
    let ready = archive.http.get(format!("{}/-/ready", archive.url)).send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::OK);
    let t = now();
    let one = [series(&[("__name__", "late")], &[(t, 1.)])];
    assert_eq!(archive.write(&one).await.status(), StatusCode::NO_CONTENT);
    archive.restart_bridge("").await;
    archive.start_engine().await;
    archive.settle().await;
    assert_eq!(archive.read(t, t, &[(0, "__name__", "late")]).await, one);
    // And when it goes later, a metric says so.
    archive.kill_engine().await;
    eventually(LIMIT, "a metric", || async {
        anyhow::ensure!(!archive.has_engine().await);
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_reload_to_another_engine_amid_an_insert_hides_no_sample() {
    if !has_tools(&["python"]) {
        return;
    }
    let mut archive = Archive::start_with("ingest:\n  flush_interval: 0s\n").await;
    let port = free_port();
    let other = parts::clickhouse(&archive.dir.path().join("other"), port).await.unwrap();
    let t = now();
    let first = [series(&[("__name__", "raced")], &[(t, 1.)])];
    // The first engine stands still in the middle of the first row of `series`.
    archive.clickhouse.as_ref().unwrap().signal(Signal::SIGSTOP).unwrap();
    assert_eq!(archive.write(&first).await.status(), StatusCode::NO_CONTENT);
    tokio::time::sleep(Duration::from_millis(300)).await;
    write_config(archive.dir.path(), port, "");
    let reloaded = archive.http.post(format!("{}/-/reload", archive.url)).send().await.unwrap();
    assert_eq!(reloaded.status(), StatusCode::OK);
    // The other engine gets the batch with its series, though the first one may have them.
    archive.settle().await;
    archive.clickhouse.as_ref().unwrap().signal(Signal::SIGCONT).unwrap();
    assert_eq!(archive.read(t, t, &[(0, "__name__", "raced")]).await, first);
    archive.clickhouse = Some(other);
    archive.clickhouse_port = port;
    assert_eq!(archive.sql("SELECT metric_name FROM series").await, "raced");
}
