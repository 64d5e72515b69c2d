//! A stock Prometheus writes, another one that has nothing but remote read answers the same.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use lynceus_demo::{Process, eventually, free_port, parts};
use reqwest::Client;
use serde_json::Value;

use crate::support::{Archive, LIMIT, has_tools, now};

async fn query(http: &Client, port: u16, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Value> {
    let url = format!("http://127.0.0.1:{port}/api/v1/{path}");
    let answer: Value = http.get(url).query(query).send().await?.json().await?;
    ensure!(answer["status"] == "success", "{answer}");
    Ok(answer["data"]["result"].clone())
}

/// What a Prometheus is asked, and another one from the archive.
const QUERIES: [&str; 6] = [
    "up",
    "up{job=\"gone\"}",
    "{__name__=~\"prometheus_(build_info|tsdb_head_.*)\"}",
    "{job=\"self\"}",
    "sum by (handler) (prometheus_http_requests_total)",
    "absent(up{prometheus=\"other\"})",
];

#[tokio::test]
async fn a_second_prometheus_answers_from_the_archive_what_the_first_one_wrote() {
    if !has_tools(&["python", "prometheus"]) {
        return;
    }
    let archive = Archive::start().await;
    let port = free_port();
    let config = config(port, &archive, "  metadata_config: {send_interval: 1s}\n");
    let writer = parts::prometheus(&archive.dir.path().join("writer"), &config, port, &[]).await.unwrap();
    // Ranges are closed on the left in Prometheus 2 and open in 3.
    let rate = "rate(prometheus_http_request_duration_seconds_bucket{handler!~\"/api/.*\"}[5s])";
    compare(&archive, writer, port, &[&QUERIES[..], &[rate]].concat()).await;
    assert!(archive.metric("lynceus_bridge_metadata_ignored_total").await > 0.);
}

#[tokio::test]
async fn what_prometheus_3_writes_in_version_2_is_read_back() {
    // Debian's Prometheus cannot send it.
    let Some(binary) = std::env::var_os("LYNCEUS_PEERS").map(|peers| PathBuf::from(peers).join("bin/prometheus3"))
    else {
        eprintln!("skipped: LYNCEUS_PEERS names no folder with bin/prometheus3");
        return;
    };
    if !has_tools(&["python", "prometheus"]) {
        return;
    }
    let archive = Archive::start().await;
    let (port, dir) = (free_port(), archive.dir.path().join("writer"));
    std::fs::create_dir_all(&dir).unwrap();
    let more = "  protobuf_message: io.prometheus.write.v2.Request\n";
    std::fs::write(dir.join("prometheus.yml"), config(port, &archive, more)).unwrap();
    let mut command = Command::new(binary);
    command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let mut writer = Process::start("prometheus3", command, &dir).unwrap();
    writer.wait_for_http(&format!("http://127.0.0.1:{port}/-/ready"), LIMIT).await.unwrap();
    let failed = compare(&archive, writer, port, &QUERIES).await;
    // It counts what the answers say was written.
    assert_eq!(failed, 0.);
    assert_eq!(archive.metric("lynceus_bridge_write_requests_total{outcome=\"partly_refused\"}").await, 0.);
}

const EXTERNAL: &str = "global:\n  scrape_interval: 1s\n  external_labels: {prometheus: lab}\n";

/// Scrapes itself and something that is not there, and writes to the archive.
fn config(port: u16, archive: &Archive, more: &str) -> String {
    format!(
        "{EXTERNAL}scrape_configs:\n- job_name: self\n  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n\
         - job_name: gone\n  static_configs: [{{targets: ['127.0.0.1:1']}}]\n\
         remote_write:\n- url: {}/api/v1/write\n{more}",
        archive.url
    )
}

/// Says how many samples the writer believes to have lost.
async fn compare(archive: &Archive, mut writer: Process, writer_port: u16, queries: &[&str]) -> f64 {
    let (started, reader_port) = (now() / 1000, free_port());
    let read = format!("{EXTERNAL}remote_read:\n- url: {}/api/v1/read\n  read_recent: true\n", archive.url);
    let _reader = parts::prometheus(&archive.dir.path().join("reader"), &read, reader_port, &[]).await.unwrap();

    // Long enough for a dozen scrapes; compared up to a moment that all samples have passed.
    eventually(LIMIT, "a dozen scrapes", || async {
        let found =
            query(&archive.http, writer_port, "query", &[("query", "count_over_time(up{job=\"self\"}[1m])")]).await?;
        let count: u32 = found[0]["value"][1].as_str().unwrap_or("0").parse()?;
        ensure!(count >= 12, "{count} scrapes");
        Ok(())
    })
    .await
    .unwrap();
    let end = now() / 1000 - 2;
    let (start, end) = (started.to_string(), end.to_string());
    let range = [("start", start.as_str()), ("end", end.as_str()), ("step", "1")];
    for text in queries {
        let parameters = [&range[..], &[("query", *text)]].concat();
        eventually(LIMIT, text, || async {
            let expected = query(&archive.http, writer_port, "query_range", &parameters).await?;
            let found = query(&archive.http, reader_port, "query_range", &parameters).await?;
            ensure!(expected.as_array().is_some_and(|series| !series.is_empty()), "nothing to compare");
            ensure!(by_series(&found) == by_series(&expected), "archive:\n{found}\nPrometheus:\n{expected}");
            Ok(())
        })
        .await
        .unwrap();
    }
    let page = archive.http.get(format!("http://127.0.0.1:{writer_port}/metrics")).send().await.unwrap();
    let page = page.text().await.unwrap();
    let failed = page.lines().filter(|line| line.starts_with("prometheus_remote_storage_samples_failed_total"));
    let failed = failed.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();

    // What the writer has queued at its end is archived as well: nothing is refused, nothing is left.
    writer.terminate(Duration::from_secs(90)).await.unwrap();
    let log = writer.log();
    assert!(!log.contains("non-recoverable"), "{log}");
    assert_eq!(archive.metric("lynceus_bridge_write_requests_total{outcome=\"malformed\"}").await, 0.);
    archive.settle().await;
    failed
}

/// The order of series in an answer is not defined.
fn by_series(result: &Value) -> BTreeMap<String, &Value> {
    let series = result.as_array().map(Vec::as_slice).unwrap_or_default();
    series.iter().map(|one| (one["metric"].to_string(), &one["values"])).collect()
}
