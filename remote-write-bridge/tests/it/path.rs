//! A stock Prometheus writes, another one that has nothing but remote read answers the same.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;
use lynceus_demo::{Process, eventually, free_port, parts};
use reqwest::Client;
use serde_json::Value;

use crate::streamed::{prometheus_3, start_prometheus_3};
use crate::support::{Archive, LIMIT, has_tools, now};

/// The data of an answer.
pub(crate) async fn ask(http: &Client, url: &str, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Value> {
    let answer: Value = http.get(format!("{url}/api/v1/{path}")).query(query).send().await?.json().await?;
    ensure!(answer["status"] == "success", "{path} {query:?}: {answer}");
    Ok(answer["data"].clone())
}

/// What a Prometheus is asked, another one from the archive, and the archive itself.
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
    let reader_port = free_port();
    let dir = archive.dir.path().join("reader");
    let reader = parts::prometheus(&dir, &reader_config(&archive), reader_port, &[]).await.unwrap();
    compare(&archive, writer, port, (reader, reader_port), &[rate]).await;
    assert!(archive.metric("lynceus_bridge_read_requests_total{outcome=\"answered\"}").await > 0.);
}

#[tokio::test]
async fn what_prometheus_3_writes_in_version_2_is_read_back() {
    // Debian's Prometheus cannot send it, and reads no streams.
    if prometheus_3().is_none() {
        return;
    }
    if !has_tools(&["python", "prometheus"]) {
        return;
    }
    let archive = Archive::start().await;
    let (port, dir) = (free_port(), archive.dir.path().join("writer"));
    let more = "  protobuf_message: io.prometheus.write.v2.Request\n";
    let writer = start_prometheus_3(&dir, &config(port, &archive, more), port, &[]).await;
    let reader_port = free_port();
    let reader =
        start_prometheus_3(&archive.dir.path().join("reader"), &reader_config(&archive), reader_port, &[]).await;
    let failed = compare(&archive, writer, port, (reader, reader_port), &[]).await;
    let reads =
        async |outcome| archive.metric(&format!("lynceus_bridge_read_requests_total{{outcome=\"{outcome}\"}}")).await;
    assert!(reads("streamed").await > 0.);
    assert_eq!((reads("answered").await, reads("unavailable").await), (0., 0.));
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

/// Has nothing of its own.
fn reader_config(archive: &Archive) -> String {
    format!("{EXTERNAL}remote_read:\n- url: {}/api/v1/read\n  read_recent: true\n", archive.url)
}

/// Says how many samples the writer believes to have lost. `more` queries are those that the archive itself, which is a
/// Prometheus 3, would answer differently.
async fn compare(
    archive: &Archive,
    mut writer: Process,
    writer_port: u16,
    (_reader, reader_port): (Process, u16),
    more: &[&str],
) -> f64 {
    let started = now() / 1000;
    let (writer_url, reader_url) =
        (format!("http://127.0.0.1:{writer_port}"), format!("http://127.0.0.1:{reader_port}"));

    // Long enough for a dozen scrapes; compared up to a moment that all samples have passed.
    eventually(LIMIT, "a dozen scrapes", || async {
        let found =
            ask(&archive.http, &writer_url, "query", &[("query", "count_over_time(up{job=\"self\"}[1m])")]).await?;
        let count: u32 = found["result"][0]["value"][1].as_str().unwrap_or("0").parse()?;
        ensure!(count >= 12, "{count} scrapes");
        Ok(())
    })
    .await
    .unwrap();
    let end = now() / 1000 - 2;
    let (start, end) = (started.to_string(), end.to_string());
    let range = [("start", start.as_str()), ("end", end.as_str()), ("step", "1")];
    for (text, is_same) in QUERIES.iter().map(|text| (text, true)).chain(more.iter().map(|text| (text, false))) {
        let parameters = [&range[..], &[("query", *text)]].concat();
        eventually(LIMIT, text, || async {
            let expected = ask(&archive.http, &writer_url, "query_range", &parameters).await?;
            ensure!(expected["result"].as_array().is_some_and(|series| !series.is_empty()), "nothing to compare");
            for url in [&reader_url, &archive.url].into_iter().take(if is_same { 2 } else { 1 }) {
                let found = ask(&archive.http, url, "query_range", &parameters).await?;
                ensure!(by_series(&found) == by_series(&expected), "{url}:\n{found}\nPrometheus:\n{expected}");
            }
            Ok(())
        })
        .await
        .unwrap();
    }
    lists_are_the_same(archive, &writer_url).await;
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

/// Labels, values and series of the archive are those of who wrote it: after a while, because every
/// kind of question is counted by a new series of who is asked.
async fn lists_are_the_same(archive: &Archive, writer: &str) {
    let mut questions = vec![("series".to_owned(), "prometheus_http_requests_total")];
    for matcher in ["", "up", "{handler=~\"/api.*\"}"] {
        questions.push(("labels".to_owned(), matcher));
        questions.extend(["__name__", "handler", "nowhere"].map(|name| (format!("label/{name}/values"), matcher)));
    }
    for (path, matcher) in questions {
        let parameters = if matcher.is_empty() { vec![] } else { vec![("match[]", matcher)] };
        eventually(LIMIT, &path, || async {
            let found = ask(&archive.http, &archive.url, &path, &parameters).await?;
            let expected = ask(&archive.http, writer, &path, &parameters).await?;
            ensure!(
                sorted(found.clone()) == sorted(with_external(&path, expected.clone())),
                "{matcher}: archive {found}, Prometheus {expected}"
            );
            Ok(())
        })
        .await
        .unwrap();
    }
}

/// Prometheus knows its external labels only outside.
fn with_external(path: &str, mut data: Value) -> Value {
    let list = data.as_array_mut().unwrap();
    match path {
        "labels" => list.push("prometheus".into()),
        "series" => list.iter_mut().for_each(|labels| labels["prometheus"] = "lab".into()),
        _ => (),
    }
    data
}

fn sorted(data: Value) -> Vec<String> {
    let mut texts: Vec<_> = data.as_array().unwrap().iter().map(Value::to_string).collect();
    texts.sort();
    texts
}

/// The order of series in an answer is not defined, and only the archive knows the external labels.
fn by_series(data: &Value) -> BTreeMap<String, &Value> {
    let series = data["result"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |one: &Value| {
        let mut metric = one["metric"].clone();
        metric.as_object_mut().unwrap().remove("prometheus");
        metric.to_string()
    };
    series.iter().map(|one| (name(one), &one["values"])).collect()
}
