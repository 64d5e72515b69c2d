//! What is bounded stays bounded, and says so.

use std::time::Duration;

use futures_util::future::join_all;
use lynceus_demo::eventually;
use nix::sys::signal::Signal;
use reqwest::StatusCode;
use tokio::task::JoinSet;

use crate::support::{Archive, LIMIT, has_tools, now, post, write_config};
use crate::wire::{packed, read_request, series, write_request};

#[tokio::test]
async fn requests_share_their_inserts() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start().await;
    let t = now() / 86_400_000 * 86_400_000;
    let one = async |i: usize| {
        let request = [series(&[("__name__", "many"), ("i", &i.to_string())], &[(t, 1.), (t + 1, 2.)])];
        archive.store(&request).await;
    };
    join_all((0..100).map(one)).await;
    assert_eq!(archive.sql("SELECT count() FROM samples FINAL").await, "200");
    let inserts = archive.metric("lynceus_bridge_inserts_total{table=\"samples\",outcome=\"success\"}").await;
    assert!(inserts <= 10., "{inserts} inserts for 100 requests");
    // The second round knows its series.
    let rows = archive.sql("SELECT count() FROM series").await;
    join_all((0..100).map(one)).await;
    assert_eq!((archive.sql("SELECT count() FROM series").await, rows.as_str()), (rows.clone(), "100"));
}

#[tokio::test]
async fn a_full_queue_asks_to_come_back_and_empties_itself() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start_with("ingest:\n  max_queued_bytes: 5000\n").await;
    let t = now();
    let request =
        |i: i64| [series(&[("__name__", "queue")], &(0..60).map(|k| (t + 60 * i + k, 1.)).collect::<Vec<_>>())];
    // The engine stands still: what is sent waits.
    archive.clickhouse.as_ref().unwrap().signal(Signal::SIGSTOP).unwrap();
    let first = request(0);
    let waiting = archive.write(&first);
    let rest = async {
        eventually(LIMIT, "the first request in the queue", || async {
            anyhow::ensure!(archive.metric("lynceus_bridge_queued_bytes").await > 60. * 48.);
            Ok(())
        })
        .await
        .unwrap();
        let second = archive.write(&request(1)).await;
        assert_eq!(second.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(second.headers()["retry-after"], "5");
        let text = second.text().await.unwrap();
        assert!(text.contains("more than 5000 bytes would wait for ClickHouse (ingest.max_queued_bytes)"), "{text}");
        archive.clickhouse.as_ref().unwrap().signal(Signal::SIGCONT).unwrap();
    };
    let (first, ()) = tokio::join!(waiting, rest);
    assert_eq!(first.status(), StatusCode::NO_CONTENT);
    assert_eq!(archive.metric("lynceus_bridge_queued_bytes").await, 0.);
    archive.store(&request(1)).await;
    assert_eq!(archive.metric("lynceus_bridge_write_requests_total{outcome=\"queue_full\"}").await, 1.);
    // One request larger than the queue is still possible when the queue is empty.
    let large: Vec<_> = (0..300).map(|i| (t + 1000 + i, 1.)).collect();
    archive.store(&[series(&[("__name__", "queue")], &large)]).await;
    assert_eq!(archive.sql("SELECT count() FROM samples FINAL").await, "420");
}

#[tokio::test]
async fn the_queue_takes_no_more_memory_than_the_config_says() {
    if !has_tools(&["python"]) {
        return;
    }
    const LIMIT_BYTES: f64 = 32. * 1024. * 1024.;
    let archive = Archive::start_with(&format!("ingest:\n  max_queued_bytes: {LIMIT_BYTES}\n")).await;
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", archive.bridge.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().to_owned();
        line.trim().strip_suffix(" kB").unwrap().parse::<f64>().unwrap() * 1024.
    };
    let t = now();
    // A cold start: each sample is of a series that has never been seen.
    let request = |i: usize| -> Vec<_> {
        let names: Vec<_> = (0..19).map(|k| (format!("label_{k:02}"), format!("value-{k:02}-{i:04}"))).collect();
        let cold = |n: usize| {
            let number = n.to_string();
            let labels = names.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            series(&labels.chain([("n", number.as_str())]).collect::<Vec<_>>(), &[(t, 1.)])
        };
        (0..1000).map(cold).collect()
    };
    let before = resident();
    archive.clickhouse.as_ref().unwrap().signal(Signal::SIGSTOP).unwrap();
    let queued = || archive.metric("lynceus_bridge_queued_bytes");
    let mut waiting = JoinSet::new();
    // One after the other: what is decoded at a time has a limit of its own.
    for i in 0..40 {
        let taken = queued().await;
        let (http, url) = (archive.http.clone(), format!("{}/api/v1/write", archive.url));
        let body = packed(&write_request(&request(i)));
        let sent = waiting.spawn(async move { post(&http, &url, body).await.status() });
        eventually(LIMIT, "a place in the queue, or a refusal", || async {
            anyhow::ensure!(queued().await > taken || sent.is_finished());
            Ok(())
        })
        .await
        .unwrap();
    }
    let (queued, grown) = (queued().await, resident() - before);
    assert!(queued > 0.8 * LIMIT_BYTES && queued <= LIMIT_BYTES, "{queued}");
    // What decoding leaves behind is above it.
    assert!(grown > 0.8 * queued && grown < 2. * LIMIT_BYTES, "{grown} of {queued}");
    archive.clickhouse.as_ref().unwrap().signal(Signal::SIGCONT).unwrap();
    let statuses = waiting.join_all().await;
    let refused = statuses.iter().filter(|status| **status == StatusCode::SERVICE_UNAVAILABLE).count();
    assert!(refused > 20 && statuses.contains(&StatusCode::NO_CONTENT), "{statuses:?}");
    assert_eq!(archive.metric("lynceus_bridge_queued_bytes").await, 0.);
}

#[tokio::test]
async fn an_engine_that_hangs_is_given_up_after_the_timeout() {
    if !has_tools(&["python"]) {
        return;
    }
    let config = "clickhouse:\n  url: http://127.0.0.1:{port}\n  request_timeout: 2s\n";
    let archive = Archive::start_with(config).await;
    archive.clickhouse.as_ref().unwrap().signal(Signal::SIGSTOP).unwrap();
    let start = std::time::Instant::now();
    let response = archive.write(&[series(&[("__name__", "up")], &[(now(), 1.)])]).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let text = response.text().await.unwrap();
    assert!(text.contains("ClickHouse has not answered within 2s (clickhouse.request_timeout)"), "{text}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    archive.clickhouse.as_ref().unwrap().signal(Signal::SIGCONT).unwrap();
    archive.wait_until_ready().await;
    archive.store(&[series(&[("__name__", "up")], &[(now(), 1.)])]).await;
}

#[tokio::test]
async fn a_reload_changes_the_limits_and_a_broken_config_changes_nothing() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start().await;
    let t = now();
    archive.store(&[series(&[("__name__", "m")], &[(t, 1.), (t + 1, 1.)])]).await;
    let body = || packed(&read_request(t, t + 1, &[(0, "__name__", "m")]));
    let reload = async |config| {
        write_config(archive.dir.path(), archive.clickhouse_port, config);
        let response = archive.http.post(format!("{}/-/reload", archive.url)).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    };
    assert_eq!(reload("read:\n  max_samples: 1\n").await.0, StatusCode::OK);
    archive.wait_until_ready().await;
    eventually(LIMIT, "the new limit", || async {
        let response = archive.post("/api/v1/read", body()).await;
        anyhow::ensure!(response.status() == StatusCode::BAD_REQUEST, "{}", response.status());
        Ok(())
    })
    .await
    .unwrap();
    let (status, text) = reload("read:\n  max_samples: none\n").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(text.contains("bridge.yml:4: read.max_samples: expected a whole number"), "{text}");
    assert_eq!(archive.post("/api/v1/read", body()).await.status(), StatusCode::BAD_REQUEST);
}
