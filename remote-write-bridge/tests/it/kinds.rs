//! What is not a sample: native histograms, exemplars, metadata and start times.

use lynceus_demo::{eventually, free_port, parts};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::path::ask;
use crate::support::{Archive, LIMIT, has_tools, http, now, post};
use crate::wire::{self, Histogram, Series, double, number, packed_doubles, packed_numbers, series, span};

pub(crate) fn whole(t: i64) -> Histogram {
    vec![
        number(1, 10),
        double(3, 18.4),
        number(4, 2), // schema 1
        double(5, 0.001),
        number(6, 2),
        span(8, 0, 2),
        packed_numbers(9, &[2, 2]), // 1, 2
        span(11, 0, 2),
        span(11, 2, 2),
        packed_numbers(12, &[2, 2, 1, 0]), // 1, 2, 1, 1
        number(15, t.cast_unsigned()),
    ]
}

pub(crate) fn floats(t: i64) -> Histogram {
    vec![
        double(2, 4.5),
        double(3, -0.5),
        double(5, 0.5),
        double(7, 1.5),
        span(11, 3, 2), // from -2 on
        packed_doubles(13, &[1.25, 1.75]),
        number(15, t.cast_unsigned()),
    ]
}

pub(crate) fn with_histograms(name: &str, histograms: Vec<Histogram>) -> Series {
    Series { histograms, ..series(&[("__name__", name)], &[]) }
}

#[tokio::test]
async fn native_histograms_come_back_as_from_prometheus() {
    if !has_tools(&["python", "prometheus"]) {
        return;
    }
    let archive = Archive::start().await;
    let port = free_port();
    let flags = ["--web.enable-remote-write-receiver", "--enable-feature=native-histograms"];
    let dir = archive.dir.path().join("prometheus");
    let _prometheus = parts::prometheus(&dir, "global: {}\n", port, &flags).await.unwrap();
    let (client, prometheus) = (http(), format!("http://127.0.0.1:{port}"));

    let t = now() - 30_000;
    let written: [Series; 2] =
        [with_histograms("whole", vec![whole(t), whole(t + 1)]), with_histograms("floats", vec![floats(t)])];
    let body = wire::packed(&wire::write_request(&written));
    let response = post(&client, &format!("{prometheus}/api/v1/write"), body.clone()).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT, "{}", response.text().await.unwrap());
    assert_eq!(archive.post("/api/v1/write", body).await.status(), StatusCode::NO_CONTENT);
    archive.settle().await;
    archive.sql("OPTIMIZE TABLE histograms FINAL").await;

    // Debian's Prometheus does not give histograms to remote read: what was written is the measure.
    for series in written {
        let matchers = [(0, "__name__", series.labels[0].1.as_str())];
        let found = archive.read(t - 1000, t + 1000, &matchers).await;
        assert_eq!(found, [series]);
    }
    assert_eq!(
        archive.sql("SELECT count, sum FROM histograms FINAL WHERE timestamp > 0 ORDER BY count LIMIT 1").await,
        "4.5\t-0.5"
    );
    for query in ["histogram_count(whole)", "histogram_quantile(1, whole)", "histogram_sum(floats)", "floats"] {
        let at = ((t + 1) as f64 / 1000.).to_string();
        let parameters = [("query", query), ("time", at.as_str())];
        let expected = ask(&client, &prometheus, "query", &parameters).await.unwrap();
        assert_eq!(ask(&client, &archive.url, "query", &parameters).await.unwrap(), expected, "{query}");
    }
}

#[tokio::test]
async fn a_histogram_that_is_none_is_refused_and_the_others_are_kept() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start().await;
    let t = now();
    let mut wrong = whole(t);
    wrong[0] = number(1, 11);
    let response = archive.write(&[with_histograms("h", vec![wrong, whole(t + 1)])]).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(
        response.text().await.unwrap(),
        "stored 0 of 0 samples; refused: 1 invalid_histogram (first: `h{}` has a count of 11, where its buckets add up \
         to 10)\n"
    );
    archive.settle().await;
    assert_eq!(archive.sql("SELECT count() FROM histograms").await, "1");
}

const PAGE: &str = "# TYPE request_seconds histogram\n\
                    # UNIT request_seconds seconds\n\
                    # HELP request_seconds How long \"requests\" take.\n\
                    request_seconds_bucket{le=\"0.5\"} 3 # {trace_id=\"abc\",span_id=\"1\"} 0.25\n\
                    request_seconds_bucket{le=\"+Inf\"} 4 # {trace_id=\"def\"} 0.75 {time}\n\
                    request_seconds_sum 2.5\n\
                    request_seconds_count 4\n\
                    # TYPE plain gauge\n\
                    # HELP plain Überall.\n\
                    plain 1\n\
                    # EOF\n";

/// Serves a page to whoever asks, until the test ends.
async fn serve(page: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // A request of Prometheus is one packet.
            drop(stream.read(&mut [0; 4096]).await);
            let head =
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/openmetrics-text; version=1.0.0";
            let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{page}", page.len());
            drop(stream.write_all(answer.as_bytes()).await);
        }
    });
    port
}

#[tokio::test]
async fn exemplars_and_metadata_are_those_of_the_prometheus_that_wrote_them() {
    if !has_tools(&["python", "prometheus"]) {
        return;
    }
    let archive = Archive::start().await;
    let start = now() / 1000 - 10;
    let target = serve(PAGE.replace("{time}", &format!("{start}.5"))).await;
    let config = format!(
        "global:\n  scrape_interval: 1s\nscrape_configs:\n- job_name: page\n  static_configs: [{{targets: \
         ['127.0.0.1:{target}']}}]\nremote_write:\n- url: {}/api/v1/write\n  send_exemplars: true\n  \
         metadata_config: {{send_interval: 1s}}\n",
        archive.url
    );
    let port = free_port();
    let dir = archive.dir.path().join("prometheus");
    let flags = ["--enable-feature=exemplar-storage"];
    let _prometheus = parts::prometheus(&dir, &config, port, &flags).await.unwrap();
    let prometheus = format!("http://127.0.0.1:{port}");

    let (start, end) = (start.to_string(), (start + 3600).to_string());
    let range = [("query", "request_seconds_bucket"), ("start", start.as_str()), ("end", end.as_str())];
    eventually(LIMIT, "exemplars and metadata", || async {
        let expected = ask(&archive.http, &prometheus, "query_exemplars", &range).await?;
        let found = ask(&archive.http, &archive.url, "query_exemplars", &range).await?;
        anyhow::ensure!(
            expected.as_array().is_some_and(|series| series.len() == 2) && found == expected,
            "{found}\n{expected}"
        );
        let expected = ask(&archive.http, &prometheus, "metadata", &[]).await?;
        let found = ask(&archive.http, &archive.url, "metadata", &[]).await?;
        anyhow::ensure!(expected["plain"].is_array() && found == expected, "{found}\n{expected}");
        Ok(())
    })
    .await
    .unwrap();
    // It is sent every second, and stored once a month.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(archive.metric("lynceus_bridge_metadata_accepted_total").await, 2.);
    let one = ask(&archive.http, &archive.url, "metadata", &[("metric", "plain")]).await.unwrap();
    assert_eq!(one["plain"][0], serde_json::json!({"type": "gauge", "help": "Überall.", "unit": ""}), "{one}");
}

#[tokio::test]
async fn questions_that_are_none_are_answered_as_prometheus_does() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start().await;
    let of = async |path: &str| {
        let response = archive.http.get(format!("{}/api/v1/{path}", archive.url)).send().await.unwrap();
        let status = response.status().as_u16();
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        (status, body["errorType"].as_str().unwrap().to_owned(), body["error"].as_str().unwrap().to_owned())
    };
    let bad = |text: &str| (400, "bad_data".to_owned(), text.to_owned());
    assert_eq!(of("query").await, bad("invalid parameter \"query\": it is missing"));
    assert_eq!(
        of("query?query=1%2B").await,
        bad("invalid parameter \"query\": 1:3: expected an expression, found the end of the query")
    );
    assert_eq!(
        of("query?query=1&time=x").await,
        bad("invalid parameter \"time\": cannot parse \"x\" to a valid timestamp")
    );
    assert_eq!(
        of("query_range?query=up&start=1&end=0&step=1").await,
        bad("end timestamp must not be before start time")
    );
    assert_eq!(of("series").await, bad("no match[] parameter provided"));
    assert_eq!(of("labels?limit=-1").await, bad("invalid parameter \"limit\": limit must be a non-negative number"));
    let (status, kind, _) = of("query?query=vector(1)%20*%20on()%20group_left()%20(vector(1)%20or%20label_replace(vector(1),%22a%22,%22b%22,%22%22,%22%22))").await;
    assert_eq!((status, kind.as_str()), (422, "execution"));
}
