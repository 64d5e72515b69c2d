//! What was acknowledged is there, once, whatever ends in the middle of it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lynceus_demo::{eventually, free_port, parts};
use nix::sys::signal::Signal;
use reqwest::{Client, StatusCode};
use tokio::task::JoinSet;

use crate::support::{Archive, LIMIT, has_tools, http, now, write_config};
use crate::wire::{packed, series, write_request};

const SENDERS: usize = 8;
const SAMPLES: i64 = 50;

/// Senders as Prometheus has them: each sends its samples in order, and again until they are acknowledged.
struct Load {
    acknowledged: Arc<Mutex<BTreeSet<(usize, i64)>>>,
    repeated: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    senders: JoinSet<()>,
}

impl Load {
    fn start(url: &str, t: i64) -> Self {
        let (acknowledged, repeated, stop) = (Arc::default(), Arc::default(), Arc::default());
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            let url = format!("{url}/api/v1/write");
            let (acknowledged, repeated, stop) = (Arc::clone(&acknowledged), Arc::clone(&repeated), Arc::clone(&stop));
            senders.spawn(async move { send(&http(), &url, sender, t, &acknowledged, &repeated, &stop).await });
        }
        Self { acknowledged, repeated, stop, senders }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    async fn wait_for(&self, more: usize) {
        let wanted = self.count() + more;
        eventually(LIMIT, "acknowledged samples", || async {
            anyhow::ensure!(self.count() >= wanted, "{} of {wanted}", self.count());
            Ok(())
        })
        .await
        .unwrap();
    }

    async fn finish(self) -> (BTreeSet<(usize, i64)>, usize) {
        self.stop.store(true, Ordering::Relaxed);
        self.senders.join_all().await;
        (std::mem::take(&mut *self.acknowledged.lock().unwrap()), self.repeated.load(Ordering::Relaxed))
    }
}

async fn send(
    http: &Client,
    url: &str,
    sender: usize,
    t: i64,
    acknowledged: &Mutex<BTreeSet<(usize, i64)>>,
    repeated: &AtomicUsize,
    stop: &AtomicBool,
) {
    let name = sender.to_string();
    let mut first = 0;
    while !stop.load(Ordering::Relaxed) {
        let numbers = first..first + SAMPLES;
        let samples: Vec<_> = numbers.clone().map(|i| (t + i, i as f64)).collect();
        let body = packed(&write_request(&[series(&[("__name__", "load"), ("sender", &name)], &samples)]));
        let request =
            http.post(url).header("content-type", "application/x-protobuf").header("content-encoding", "snappy");
        match request.body(body).send().await {
            Ok(response) if response.status() == StatusCode::NO_CONTENT => {
                acknowledged.lock().unwrap().extend(numbers.map(|i| (sender, i)));
                first += SAMPLES;
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

/// Every acknowledged sample is read exactly once, with its value; others (sent, answer lost) at most once.
async fn check(archive: &Archive, t: i64, acknowledged: &BTreeSet<(usize, i64)>) {
    let mut read = BTreeSet::new();
    for series in archive.read(t, t + 10_000_000, &[(0, "__name__", "load")]).await {
        let sender: usize = series.labels.iter().find(|(name, _)| name == "sender").unwrap().1.parse().unwrap();
        for (time, value) in series.samples {
            assert_eq!(f64::from_bits(value), (time - t) as f64);
            assert!(read.insert((sender, time - t)), "sample {} of sender {sender} is there twice", time - t);
        }
    }
    let missing: Vec<_> = acknowledged.difference(&read).take(10).collect();
    assert!(missing.is_empty(), "acknowledged and missing: {missing:?}, {} in all", acknowledged.len());
    let stored: u64 = archive.sql("SELECT count() FROM samples FINAL").await.parse().unwrap();
    assert_eq!(stored, read.len() as u64);
}

/// Samples lie in the past, so that millions of milliseconds are not the future.
fn past() -> i64 {
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
    assert!(repeated > 0, "no request was refused: the engine was not missed");
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
    archive.wait_until_ready().await;
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
        // While the engine stands still nothing can be stored, so nothing may be acknowledged.
        archive.clickhouse.as_ref().unwrap().signal(Signal::SIGSTOP).unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        archive.bridge.kill().await;
        // What the bridge had sent must not arrive after all: it would hide an answer that came too early.
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
    lynceus_demo::eventually(LIMIT, "the reason", || async {
        let ready = archive.http.get(format!("{}/-/ready", archive.url)).send().await?;
        let (status, text) = (ready.status(), ready.text().await?);
        anyhow::ensure!(status == StatusCode::SERVICE_UNAVAILABLE && text.contains("failed to reach ClickHouse"), text);
        Ok(())
    })
    .await
    .unwrap();
    let one = [series(&[("__name__", "late")], &[(now(), 1.)])];
    let response = archive.write(&one).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "5");
    let text = response.text().await.unwrap();
    assert!(
        text.contains(&format!("failed to reach ClickHouse at `http://127.0.0.1:{}/`: ", archive.clickhouse_port)),
        "{text}"
    );
    archive.start_engine().await;
    archive.wait_until_ready().await;
    archive.store(&one).await;
    // And when it goes later, readiness says so.
    archive.kill_engine().await;
    eventually(LIMIT, "readiness to end", || async {
        anyhow::ensure!(!archive.is_ready().await);
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
    let reload = async {
        eventually(LIMIT, "the request in the queue", || async {
            anyhow::ensure!(archive.metric("lynceus_bridge_queued_bytes").await > 0.);
            Ok(())
        })
        .await
        .unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        write_config(archive.dir.path(), port, "");
        let reloaded = archive.http.post(format!("{}/-/reload", archive.url)).send().await.unwrap();
        assert_eq!(reloaded.status(), StatusCode::OK);
        // The other engine is ready for the samples before the first one answers.
        eventually(LIMIT, "the tables of the other engine", || async {
            let request = archive.http.post(format!("http://127.0.0.1:{port}/")).body("EXISTS lynceus.samples");
            let answer = request.send().await?.text().await?;
            anyhow::ensure!(answer.trim() == "1", answer);
            Ok(())
        })
        .await
        .unwrap();
        archive.clickhouse.as_ref().unwrap().signal(Signal::SIGCONT).unwrap();
    };
    let (response, ()) = tokio::join!(archive.write(&first), reload);
    let (status, text) = (response.status(), response.text().await.unwrap());
    // Its sender sends again.
    eventually(LIMIT, "the other engine", || async {
        anyhow::ensure!(archive.write(&first).await.status() == StatusCode::NO_CONTENT);
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(archive.read(t, t, &[(0, "__name__", "raced")]).await, first);
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("the connection to ClickHouse was replaced"), "{text}");
    archive.clickhouse = Some(other);
    archive.clickhouse_port = port;
    assert_eq!(archive.sql("SELECT metric_name FROM series").await, "raced");
}
