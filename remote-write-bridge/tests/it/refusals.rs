//! Bad input: each kind gets its status and a message that names the thing, and the daemon goes on.

use std::process::Command;

use lynceus_demo::tool;
use reqwest::{Body, StatusCode};

use crate::support::{Archive, has_tools, now};
use crate::wire::{packed, read_request, series, streamed_read_request, write_request};

#[tokio::test]
async fn bodies_that_are_no_write_request_are_refused_with_the_reason() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start_with("ingest:\n  max_body_bytes: 100000\n").await;
    let good = packed(&write_request(&[series(&[("__name__", "up")], &[(now(), 1.)])]));
    let v1 = "application/x-protobuf";
    let v2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    let v3 = "application/x-protobuf;proto=io.prometheus.write.v3.Request";
    let bomb = packed(&vec![0; 200_000]);
    let cases: [(&str, &str, Body, u16, &str); 10] = [
        (v2, "snappy", good.clone().into(), 400, "a field of version 1.0 in a message of version 2.0"),
        (
            v3,
            "snappy",
            good.clone().into(),
            415,
            "expected `content-type: application/x-protobuf` with a message that is known here, found `application/x-protobuf;proto=io.prometheus.write.v3.Request`; check that the sender is a Prometheus or speaks its remote protocols\n",
        ),
        ("application/json", "snappy", good.clone().into(), 415, "found `application/json`"),
        (v1, "gzip", good.clone().into(), 415, "expected `content-encoding: snappy`, found `gzip`"),
        (
            v1,
            "snappy",
            "not snappy".into(),
            400,
            "; check that the sender is a Prometheus or speaks its remote protocols\n",
        ),
        (v1, "snappy", packed(b"\x0a\x05nope").into(), 400, "expected a protobuf message prometheus.WriteRequest: "),
        (v1, "snappy", good[..good.len() / 2].to_vec().into(), 400, "expected a body packed as a snappy block: "),
        (
            v1,
            "snappy",
            bomb.into(),
            413,
            "at most 100000 bytes when unpacked, found 200000; the limit is ingest.max_body_bytes",
        ),
        (
            v1,
            "snappy",
            vec![0; 100_001].into(),
            413,
            "at most 100000 bytes, found 100001; the limit is ingest.max_body_bytes",
        ),
        (
            v1,
            "snappy",
            Body::wrap(http_body_util::Full::new(bytes::Bytes::from(vec![0; 100_001]))),
            413,
            "at most 100000 bytes",
        ),
    ];
    for (content_type, encoding, body, status, text) in cases {
        let request = archive.http.post(format!("{}/api/v1/write", archive.url));
        let request = request.header("content-type", content_type).header("content-encoding", encoding);
        let response = request.body(body).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{text}");
        let found = response.text().await.unwrap();
        assert!(found.contains(text), "{found}");
    }
    assert_eq!(archive.sql("SELECT count() FROM samples").await, "0");
    assert_eq!(archive.post("/api/v1/write", good).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn what_cannot_be_stored_is_refused_and_the_rest_is_stored() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start_with("retention:\n  samples: 30d\n").await;
    let t = now();
    let old = t - 31 * 86_400_000;
    let request = [
        series(&[("__name__", "fine")], &[(t, 1.), (old, 2.)]),
        series(&[("__name__", "double"), ("a", "1"), ("a", "2")], &[(t, 3.)]),
        series(&[("__name__", "future")], &[(t + 7_200_000, 4.)]),
    ];
    let response = archive.write(&request).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let text = response.text().await.unwrap();
    assert!(text.starts_with("stored 1 of 4 samples; refused: 1 too_old (first: `fine{}` at "), "{text}");
    assert!(text.contains("1 invalid_labels (first: `double{a=\"1\",a=\"2\"}` has label `a` twice)"), "{text}");
    assert!(text.contains("1 too_far_in_future (first: `future{}` at "), "{text}");
    archive.settle().await;
    assert_eq!(archive.sql("SELECT count(), any(value) FROM samples FINAL").await, "1\t1");
    assert_eq!(archive.metric("lynceus_bridge_refused_total{reason=\"too_old\"}").await, 1.);
    assert_eq!(archive.metric("lynceus_bridge_samples_received_total").await, 4.);
    assert_eq!(archive.metric("lynceus_bridge_samples_accepted_total").await, 1.);
    assert_eq!(archive.metric("lynceus_bridge_samples_stored_total").await, 1.);
}

#[tokio::test]
async fn read_requests_that_cannot_be_answered_say_why() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start_with("read:\n  max_series: 3\n  max_samples: 10\n").await;
    let t = now();
    let times: Vec<_> = (0..4).map(|i| (t + i, 1.)).collect();
    for i in 0..4 {
        archive.store(&[series(&[("__name__", "m"), ("i", &i.to_string())], &times)]).await;
    }
    // 3 series of 3 samples, and 2 of 4, are within the limits.
    let (m, three) = ((0, "__name__", "m"), (2, "i", "[0-2]"));
    assert_eq!(archive.read(t, t + 2, &[m, three]).await.len(), 3);
    assert_eq!(archive.read(t, t + 3, &[m, (2, "i", "[01]")]).await.len(), 2);
    let mut unknown_type = read_request(t, t, &[m]);
    unknown_type.extend([2 << 3, 7]);
    let cases = [
        (
            packed(&read_request(t, t, &[m])),
            "the answer has more than 3 series; ask for less, or raise read.max_series",
        ),
        (
            packed(&read_request(t, t + 3, &[m, three])),
            "the answer has more than 10 samples; ask for less, or raise read.max_samples",
        ),
        (packed(&read_request(t, t, &[(2, "__name__", "(")])), "CANNOT_COMPILE_REGEXP"),
        (packed(&read_request(t, t, &[(7, "a", "b")])), "matcher of label `a`: expected one of the types 0 to 3"),
        (packed(&streamed_read_request(t, t, &[m])), "the answer has more than 3 series"),
        (packed(&streamed_read_request(t, t + 3, &[m, three])), "the answer has more than 10 samples"),
        (packed(&unknown_type), "(STREAMED_XOR_CHUNKS) among the accepted response types, found [7]"),
        (b"what".to_vec(), "snappy"),
    ];
    for (body, text) in cases {
        let response = archive.post("/api/v1/read", body).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{text}");
        let found = response.text().await.unwrap();
        assert!(found.contains(text), "{found}");
    }
}

#[tokio::test]
async fn the_metrics_are_as_promtool_wants_them() {
    if !has_tools(&["python", "promtool"]) {
        return;
    }
    let archive = Archive::start().await;
    archive.store(&[series(&[("__name__", "up")], &[(now(), 1.)])]).await;
    let page = archive.http.get(format!("{}/metrics", archive.url)).send().await.unwrap().text().await.unwrap();
    // promtool 2.42 reads Prometheus' text format: it has no line `# EOF` and no type `info`.
    let file = archive.dir.path().join("metrics");
    std::fs::write(&file, page.replace("# EOF\n", "").replace(" info\n", " gauge\n")).unwrap();
    let mut command = Command::new(tool("promtool").unwrap());
    command.args(["check", "metrics"]).stdin(std::fs::File::open(&file).unwrap());
    let output = command.output().unwrap();
    let problems = String::from_utf8_lossy(&output.stderr);
    // promtool 2.42 reads OpenMetrics' `# TYPE x counter` as of another metric than `x_total`.
    let problems: Vec<_> = problems.lines().filter(|line| !line.contains("no help text")).collect();
    assert!(problems.is_empty(), "{problems:?}\n{page}");
    for name in [
        "write_requests_total{outcome=\"accepted\"} 1",
        "samples_accepted_total 1",
        "samples_stored_total 1",
        "inserts_total{table=\"samples\",outcome=\"success\"} 1",
        "clickhouse_up 1",
    ] {
        assert!(page.contains(&format!("lynceus_bridge_{name}\n")), "{name} in\n{page}");
    }
}
