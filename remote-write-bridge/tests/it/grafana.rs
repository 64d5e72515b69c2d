//! What Grafana asks of a Prometheus data source is answered in the shape that it reads.
//!
//! `grafana.json` has the requests as Grafana's sources make them (`pkg/promlib/client`, `pkg/promlib/healthcheck.go`,
//! `packages/grafana-prometheus/src`, 10.4 to 12); they are not recorded from a running Grafana.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::kinds::{floats, with_histograms};
use crate::support::{Archive, has_tools, now};
use crate::wire::{Series, series};

fn data(end: i64) -> Vec<Series> {
    let times = || (0..40).map(move |at| (end - (40 - at) * 15_000, at as f64));
    let mut all = Vec::new();
    for vm in ["a", "b"] {
        all.push(series(&[("__name__", "up"), ("my.label", "x"), ("vm", vm)], &times().collect::<Vec<_>>()));
        all.push(series(&[("__name__", "requests_total"), ("vm", vm)], &times().collect::<Vec<_>>()));
        for le in ["1", "+Inf"] {
            all.push(series(&[("__name__", "latency_bucket"), ("le", le), ("vm", vm)], &times().collect::<Vec<_>>()));
        }
    }
    all.push(with_histograms("native", (0..10).map(|at| floats(end - 150_000 + at * 15_000)).collect()));
    all
}

/// Whether an answer's data is what Grafana's reader of such requests expects, and not empty.
fn has_shape(data: &Value, shape: &str) -> bool {
    let pair = |pair: &Value| pair[0].is_number() && pair[1].is_string();
    let of_series = |one: &Value, key: &str| {
        let pairs = one[key].as_array().is_some_and(|pairs| pairs.iter().all(pair));
        let histograms = one["histograms"].as_array().is_some_and(|all| all.iter().all(|h| h[1]["buckets"].is_array()));
        one["metric"].is_object() && (pairs || histograms)
    };
    let list = |check: &dyn Fn(&Value) -> bool| {
        data.as_array().or(data["result"].as_array()).is_some_and(|all| !all.is_empty() && all.iter().all(check))
    };
    match shape {
        "matrix" => data["resultType"] == "matrix" && list(&|one| of_series(one, "values")),
        "vector" => data["resultType"] == "vector" && list(&|one| one["metric"].is_object() && pair(&one["value"])),
        "scalar" | "string" => data["resultType"] == shape && pair(&data["result"]),
        "strings" => list(&Value::is_string),
        "series" => list(&Value::is_object),
        "exemplars" => data.is_array(),
        "object" => data.is_object(),
        other => panic!("unknown shape {other}"),
    }
}

#[tokio::test]
async fn what_grafana_asks_is_answered_in_the_shape_that_it_reads() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start().await;
    let end = now() / 1000 - 30;
    archive.store(&data(end * 1000)).await;
    let requests: Vec<Value> = serde_json::from_str(include_str!("../grafana.json")).unwrap();
    assert!(requests.len() > 30);
    for request in requests {
        let text = |key: &str| request[key].as_str().unwrap_or_default();
        let filled = |text: &str| text.replace("{start}", &(end - 300).to_string()).replace("{end}", &end.to_string());
        let method: Method = text("method").parse().unwrap();
        let url = format!("{}{}", archive.url, filled(text("path")));
        let mut sent = archive.http.request(method.clone(), url).header("accept-encoding", "gzip");
        if method == Method::POST {
            let form = "application/x-www-form-urlencoded";
            sent = sent.header("content-type", form).body(filled(text("body")));
        }
        let answer = sent.send().await.unwrap();
        let status = answer.status();
        let body = answer.text().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{}: {body}", text("what"));
        let body: Value = serde_json::from_str(&body).unwrap();
        assert!(body["status"] == "success" && has_shape(&body["data"], text("shape")), "{}: {body}", text("what"));
    }
}
