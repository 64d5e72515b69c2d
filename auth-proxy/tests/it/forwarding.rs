//! What reaches Prometheus, and what comes back.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::world::{ALICE, BOTH, NOBODY, PETRA, Proxy, Recorder, json};

const QUERY: &str = "/prometheus/api/v1/query";

#[tokio::test]
async fn prometheus_gets_a_request_of_ours_and_nothing_of_the_client_s() {
    let recorder = Recorder::start().await;
    let proxy = Proxy::start(&recorder.url, "", &[ALICE, BOTH, PETRA]).await;
    let alice = proxy.signed_in(ALICE).await;
    let request = alice.request(Method::GET, &format!("{QUERY}?query=sum(up)&time=5"));
    let request =
        request.header("x-prometheus-user", "root").header("x_scope_orgid", "1").header("authorization", "Basic x");
    let request =
        request.header("forwarded", "for=1").header("connection", "close, x-request-id").header("x-evil", "1");
    assert_eq!(request.send().await.unwrap().status(), 200);
    let arrived = recorder.take();
    let [arrived] = arrived.as_slice() else { panic!("{arrived:?}") };
    assert_eq!((&arrived.method, arrived.uri.to_string()), (&Method::POST, "/api/v1/query".to_owned()));
    assert_eq!(arrived.body, "query=sum%28up%7Bteam%3D%22red%22%7D%29&time=5");
    let mut names: Vec<_> = arrived.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "content-length", "content-type", "host", "user-agent"]);
    assert_eq!(arrived.headers["user-agent"], concat!("lynceus-auth-proxy/", env!("CARGO_PKG_VERSION")));

    let form = [("query", "up"), ("start", "1"), ("end", "2"), ("step", "1m")];
    let both = proxy.signed_in(BOTH).await;
    let answer = both.request(Method::POST, "/prometheus/api/v1/query_range").form(&form).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let arrived = recorder.take().remove(0);
    assert_eq!(arrived.uri, "/api/v1/query_range");
    assert_eq!(arrived.body, "query=up%7Bteam%3D%7E%22blue%7Cred%22%7D&start=1&end=2&step=1m");

    let petra = proxy.signed_in(PETRA).await;
    assert_eq!(petra.get(&format!("{QUERY}?query=up")).await.status(), 200);
    assert_eq!(recorder.take().remove(0).body, "query=up");
}

#[tokio::test]
async fn what_cannot_be_read_in_one_way_only_is_not_forwarded() {
    let recorder = Recorder::start().await;
    let proxy = Proxy::start(&recorder.url, "", &[ALICE, NOBODY]).await;
    let alice = proxy.signed_in(ALICE).await;
    let bad = async |request: reqwest::RequestBuilder, status: u16, message: &str| {
        let answer = request.send().await.unwrap();
        let found = (answer.status().as_u16(), answer.text().await.unwrap());
        assert_eq!(found.0, status, "{}", found.1);
        let body: Value = serde_json::from_str(&found.1).unwrap();
        assert_eq!(body["error"], message);
        assert_eq!(recorder.take().len(), 0, "{message}");
    };
    let get = |rest: &str| alice.request(Method::GET, &format!("{QUERY}{rest}"));
    let post = || alice.request(Method::POST, QUERY);
    let form = "application/x-www-form-urlencoded";

    bad(get("?query=sum("), 400, "invalid parameter `query`: 1:5: expected an expression, found the end of the query")
        .await;
    bad(
        get("?query=info(up)"),
        400,
        "invalid parameter `query`: expected functions that read only what their arguments select, found `info()` \
         (join the info metric with `* on (...) group_left (...)`)",
    )
    .await;
    bad(
        get("?query=%7Ba%3D%221%22+or+b%3D%222%22%7D"),
        400,
        "invalid parameter `query`: 1:8: expected `,` or `}`, found `or` (`or` between matchers is not PromQL)",
    )
    .await;
    bad(get(""), 400, "expected parameter `query`, found none").await;
    bad(get("?query=a&query=b"), 400, "expected parameter `query` once, found it twice").await;
    bad(
        get("?query=a&match[]=b"),
        400,
        "unknown parameter `match[]`, expected query, time, timeout, limit, lookback_delta",
    )
    .await;
    let twice = alice.request(Method::POST, &format!("{QUERY}?query=a")).header("content-type", form).body("query=b");
    bad(twice, 400, "expected parameter `query` once, found it twice").await;
    bad(get("?query=a").body("query=b"), 400, "expected GET without a body").await;
    let only_form = "expected a body of type application/x-www-form-urlencoded, not compressed";
    let part = "--x\r\ncontent-disposition: form-data; name=\"query\"\r\n\r\nup\r\n--x--\r\n";
    bad(post().header("content-type", "multipart/form-data; boundary=x").body(part), 415, only_form).await;
    bad(post().header("content-type", "application/json").body("{}"), 415, only_form).await;
    bad(post().body("query=up"), 415, only_form).await;
    let compressed = post().header("content-type", form).header("content-encoding", "gzip").body("query=up");
    bad(compressed, 415, only_form).await;
    let huge = post().header("content-type", form).body("query=".to_owned() + &"a".repeat((3 << 20) + 4096));
    bad(huge, 413, "expected a shorter body, or its connection ended early").await;
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        bad(alice.request(method, &format!("{QUERY}?query=a")), 404, "not found").await;
    }
    let head = alice.request(Method::HEAD, &format!("{QUERY}?query=a")).send().await.unwrap();
    assert_eq!(head.status(), 404);
    let nobody = proxy.signed_in(NOBODY).await;
    bad(
        nobody.request(Method::GET, &format!("{QUERY}?query=a")),
        403,
        "you belong to no team yet; ask your platform team",
    )
    .await;
    assert_eq!(recorder.take().len(), 0);
}

#[tokio::test]
async fn nothing_of_prometheus_but_its_json_comes_back() {
    let recorder = Recorder::start().await;
    let proxy = Proxy::start(&recorder.url, "  timeout: 1s\n  max_answer_bytes: 1000\n", &[ALICE]).await;
    let alice = proxy.signed_in(ALICE).await;
    let ask = || alice.get("/prometheus/api/v1/query?query=up");

    recorder.answer_with(|| {
        let headers = [("content-type", "application/json"), ("set-cookie", "lynceus_session=x"), ("server", "secret")];
        (headers, "{}").into_response()
    });
    let answer = ask().await;
    assert_eq!(answer.status(), 200);
    let mut names: Vec<_> = answer.headers().keys().map(|name| name.as_str().to_owned()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "cache-control",
            "content-security-policy",
            "content-type",
            "cross-origin-opener-policy",
            "cross-origin-resource-policy",
            "date",
            "referrer-policy",
            "transfer-encoding",
            "x-content-type-options",
            "x-frame-options",
            "x-request-id",
        ]
    );
    assert_eq!(answer.headers()["cache-control"], "no-store");

    let error = async |status: u16, kind: &str| {
        let answer = ask().await;
        assert_eq!(answer.status(), status);
        let body: Value = answer.json().await.unwrap();
        assert_eq!((&body["status"], &body["errorType"]), (&"error".into(), &kind.into()), "{body}");
    };
    recorder.answer_with(|| (StatusCode::INTERNAL_SERVER_ERROR, json("{}")).into_response());
    error(502, "unavailable").await;
    recorder.answer_with(|| "<html>".into_response());
    error(502, "unavailable").await;
    recorder.answer_with(|| (StatusCode::FOUND, [("location", "/other")], "{}").into_response());
    error(502, "unavailable").await;
    recorder.answer_with(|| {
        (StatusCode::UNPROCESSABLE_ENTITY, json(r#"{"status":"error","errorType":"execution"}"#)).into_response()
    });
    error(422, "execution").await;
    recorder.answer_with(|| ([("content-type", "application/json")], "x".repeat(1001)).into_response());
    error(502, "too_large").await;
    recorder.wait_before_answers(Duration::from_secs(5));
    error(504, "timeout").await;
    recorder.wait_before_answers(Duration::ZERO);

    // Of unknown length: begun, then cut, which the client notices.
    recorder.answer_with(|| stream(20));
    let cut = ask().await;
    assert_eq!(cut.status(), 200);
    assert!(cut.bytes().await.is_err());

    let metrics = proxy.metrics().await;
    for (outcome, count) in [("answered", 2), ("unavailable", 3), ("refused", 1), ("too_large", 2), ("timeout", 1)] {
        let line = format!("lynceus_auth_proxy_queries_total{{outcome=\"{outcome}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    assert!(metrics.contains("lynceus_auth_proxy_query_duration_seconds_count 8\n"), "{metrics}");
}

/// `chunks` times 100 bytes, of which the length is not told.
fn stream(chunks: usize) -> Response {
    let chunks = (0..chunks).map(|_| Ok::<_, std::io::Error>("x".repeat(100)));
    let body = Body::from_stream(futures_util::stream::iter(chunks));
    ([("content-type", "application/json")], body).into_response()
}

#[tokio::test]
async fn a_prometheus_that_is_away_is_said_to_be_away() {
    let recorder = Recorder::start().await;
    let nobody_there = format!("http://127.0.0.1:{}", lynceus_demo::free_port());
    let proxy = Proxy::start(&nobody_there, "", &[ALICE]).await;
    let alice = proxy.signed_in(ALICE).await;
    let answer = alice.get("/prometheus/api/v1/query?query=up").await;
    assert_eq!(answer.status(), 502);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"], "Prometheus does not answer; try again later");
    assert!(proxy.process.log().contains("Connection refused"), "{}", proxy.process.log());

    // The new address counts from the next query on.
    let config = proxy.dir.path().join("auth-proxy.yml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace(&nobody_there, &recorder.url)).unwrap();
    let reload = || reqwest::Client::new().post(format!("{}/-/reload", proxy.internal)).send();
    assert_eq!(reload().await.unwrap().status(), 200);
    assert_eq!(alice.get("/prometheus/api/v1/query?query=up").await.status(), 200);

    std::fs::write(&config, text.replace("auth.sqlite", "other.sqlite")).unwrap();
    let refused = reload().await.unwrap();
    assert_eq!(refused.status(), 500);
    assert!(refused.text().await.unwrap().contains("restart to change it"));
    assert_eq!(alice.get("/prometheus/api/v1/query?query=up").await.status(), 200);
}

#[tokio::test]
async fn queries_stand_in_the_audit_log_under_the_request_s_id() {
    let recorder = Recorder::start().await;
    let proxy = Proxy::start(&recorder.url, "", &[ALICE]).await;
    let alice = proxy.signed_in(ALICE).await;
    let answer = alice.get("/prometheus/api/v1/query?query=up").await;
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let log = proxy.process.log();
    let line = log.lines().find(|line| line.contains(&id)).unwrap_or_else(|| panic!("{id} is not in {log}"));
    for field in ["audit", "event=\"query\"", "user=\"alice\"", "path=\"query\"", "outcome=\"answered\""] {
        assert!(line.contains(field), "{field} is not in {line}");
    }
    assert!(log.contains("event=\"sign-in\" outcome=\"accepted\" user=\"alice\" peer=127.0.0.1"), "{log}");
}
