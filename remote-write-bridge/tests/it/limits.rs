//! What is bounded stays bounded, and says so.

use std::time::Duration;

use futures_util::future::join_all;
use lynceus_demo::eventually;
use nix::sys::signal::Signal;
use reqwest::StatusCode;

use crate::support::{Archive, LIMIT, has_tools, now, write_config};
use crate::wire::{packed, read_request, series};

#[tokio::test]
async fn requests_share_their_inserts() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start().await;
    let t = now() / 86_400_000 * 86_400_000;
    let one = async |i: usize| {
        let request = [series(&[("__name__", "many"), ("i", &i.to_string())], &[(t, 1.), (t + 1, 2.)])];
        assert_eq!(archive.write(&request).await.status(), StatusCode::NO_CONTENT);
    };
    join_all((0..100).map(one)).await;
    archive.settle().await;
    assert_eq!(archive.sql("SELECT count() FROM samples FINAL").await, "200");
    let inserts = archive.metric("lynceus_bridge_inserts_total{table=\"samples\",outcome=\"success\"}").await;
    assert!(inserts <= 10., "{inserts} inserts for 100 requests");
    // The second round knows its series.
    let rows = archive.sql("SELECT count() FROM series").await;
    join_all((0..100).map(one)).await;
    archive.settle().await;
    assert_eq!((archive.sql("SELECT count() FROM series").await, rows.as_str()), (rows.clone(), "100"));
}

#[tokio::test]
async fn a_full_log_asks_to_come_back_and_empties_itself() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start_with("wal:\n  max_bytes: 1048576\n").await;
    let t = now() - 10_000_000;
    let request = |i: i64| {
        let samples: Vec<_> = (0..5000).map(|k| (t + 5000 * i + k, 1.)).collect();
        [series(&[("__name__", "log")], &samples)]
    };
    // The engine stands still: what is sent waits.
    archive.clickhouse.as_ref().unwrap().signal(Signal::SIGSTOP).unwrap();
    let mut accepted = 0;
    let refused = loop {
        let response = archive.write(&request(accepted)).await;
        if response.status() != StatusCode::NO_CONTENT {
            break response;
        }
        accepted += 1;
        assert!(accepted < 100);
    };
    assert!(accepted > 15, "{accepted} requests of 50 kB in 1 MiB");
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "5");
    let text = refused.text().await.unwrap();
    assert!(text.contains("the log on disk is full (1048576 bytes, wal.max_bytes)"), "{text}");
    assert_eq!(archive.metric("lynceus_bridge_write_requests_total{outcome=\"log_full\"}").await, 1.);
    eventually(LIMIT, "no head-room", || async {
        let head_room = archive.metric("lynceus_bridge_wal_head_room_seconds").await;
        anyhow::ensure!(head_room < 10., "{head_room}");
        Ok(())
    })
    .await
    .unwrap();
    archive.clickhouse.as_ref().unwrap().signal(Signal::SIGCONT).unwrap();
    archive.settle().await;
    assert_eq!(archive.sql("SELECT count() FROM samples FINAL").await, (accepted * 5000).to_string());
    eventually(LIMIT, "room for new ones", || async {
        let response = archive.write(&request(accepted)).await;
        anyhow::ensure!(response.status() == StatusCode::NO_CONTENT, "{}", response.status());
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_engine_that_hangs_delays_no_sender_and_gets_all_when_it_goes_on() {
    if !has_tools(&["python"]) {
        return;
    }
    let config = "clickhouse:\n  url: http://127.0.0.1:{port}\n  request_timeout: 2s\n";
    let archive = Archive::start_with(config).await;
    archive.clickhouse.as_ref().unwrap().signal(Signal::SIGSTOP).unwrap();
    let start = std::time::Instant::now();
    let t = now();
    for i in 0..20 {
        let response = archive.write(&[series(&[("__name__", "up")], &[(t + i, 1.)])]).await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    eventually(LIMIT, "the reason", || async {
        let log = archive.bridge.log();
        anyhow::ensure!(log.contains("ClickHouse has not answered within 2s (clickhouse.request_timeout)"), log);
        Ok(())
    })
    .await
    .unwrap();
    archive.clickhouse.as_ref().unwrap().signal(Signal::SIGCONT).unwrap();
    archive.settle().await;
    assert_eq!(archive.sql("SELECT count() FROM samples FINAL").await, "20");
}

#[tokio::test]
async fn rows_that_the_engine_will_never_take_are_put_aside_and_the_others_go_on() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start().await;
    archive.sql("ALTER TABLE samples ADD CONSTRAINT small CHECK value < 100").await;
    let t = now();
    archive.store(&[series(&[("__name__", "large")], &[(t, 1000.)])]).await;
    archive.store(&[series(&[("__name__", "small")], &[(t, 1.)])]).await;
    assert_eq!(archive.sql("SELECT groupArray(value) FROM samples").await, "[1]");
    assert_eq!(archive.metric("lynceus_bridge_dead_rows_total").await, 1.);
    let dead = std::fs::read_dir(archive.dir.path().join("bridge-data/wal/dead")).unwrap();
    let mut files: Vec<_> = dead.map(|file| file.unwrap().path()).collect();
    files.sort();
    let reason = std::fs::read_to_string(&files[1]).unwrap();
    assert!(reason.contains("VIOLATED_CONSTRAINT") && reason.contains("FORMAT RowBinary"), "{reason}");
    // As the file says, once the reason is gone.
    archive.sql("ALTER TABLE samples DROP CONSTRAINT small").await;
    let url = format!("http://127.0.0.1:{}/?database=lynceus", archive.clickhouse_port);
    let insert = archive.http.post(url).query(&[("query", "INSERT INTO samples FORMAT RowBinary")]);
    let answer = insert.body(std::fs::read(&files[0]).unwrap()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text().await.unwrap());
    let expected = [series(&[("__name__", "large")], &[(t, 1000.)])];
    assert_eq!(archive.read(t, t, &[(0, "__name__", "large")]).await, expected);
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
    archive.wait_for_engine().await;
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
