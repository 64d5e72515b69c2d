//! A stock Prometheus writes, another one that has nothing but remote read answers the same.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;
use lynceus_demo::{eventually, free_port, parts};
use reqwest::Client;
use serde_json::Value;

use crate::support::{Archive, LIMIT, has_tools, now};

async fn query(http: &Client, port: u16, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Value> {
    let url = format!("http://127.0.0.1:{port}/api/v1/{path}");
    let answer: Value = http.get(url).query(query).send().await?.json().await?;
    ensure!(answer["status"] == "success", "{answer}");
    Ok(answer["data"]["result"].clone())
}

#[tokio::test]
async fn a_second_prometheus_answers_from_the_archive_what_the_first_one_wrote() {
    if !has_tools(&["python", "prometheus"]) {
        return;
    }
    let archive = Archive::start().await;
    let (writer_port, reader_port) = (free_port(), free_port());
    let external = "global:\n  scrape_interval: 1s\n  external_labels: {prometheus: lab}\n";
    let scrape = format!(
        "{external}scrape_configs:\n- job_name: self\n  static_configs: [{{targets: ['127.0.0.1:{writer_port}']}}]\n\
         - job_name: gone\n  static_configs: [{{targets: ['127.0.0.1:1']}}]\n\
         remote_write:\n- url: {}/api/v1/write\n  metadata_config: {{send_interval: 1s}}\n",
        archive.url
    );
    let read = format!("{external}remote_read:\n- url: {}/api/v1/read\n  read_recent: true\n", archive.url);
    let started = now() / 1000;
    let (writer_dir, reader_dir) = (archive.dir.path().join("writer"), archive.dir.path().join("reader"));
    let mut writer = parts::prometheus(&writer_dir, &scrape, writer_port, &[]).await.unwrap();
    let _reader = parts::prometheus(&reader_dir, &read, reader_port, &[]).await.unwrap();

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
    let queries = [
        "up",
        "up{job=\"gone\"}",
        "{__name__=~\"prometheus_(build_info|tsdb_head_.*)\"}",
        "{job=\"self\"}",
        "rate(prometheus_http_request_duration_seconds_bucket{handler!~\"/api/.*\"}[5s])",
        "sum by (handler) (prometheus_http_requests_total)",
        "absent(up{prometheus=\"other\"})",
    ];
    for text in queries {
        let parameters = [&range[..], &[("query", text)]].concat();
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

    // What the writer has queued at its end is archived as well: nothing is refused, nothing is left.
    writer.terminate(Duration::from_secs(90)).await.unwrap();
    let log = writer.log();
    assert!(!log.contains("non-recoverable"), "{log}");
    assert_eq!(archive.metric("lynceus_bridge_write_requests_total{outcome=\"malformed\"}").await, 0.);
    assert!(archive.metric("lynceus_bridge_metadata_ignored_total").await > 0.);
    archive.settle().await;
}

/// The order of series in an answer is not defined.
fn by_series(result: &Value) -> BTreeMap<String, &Value> {
    let series = result.as_array().map(Vec::as_slice).unwrap_or_default();
    series.iter().map(|one| (one["metric"].to_string(), &one["values"])).collect()
}
