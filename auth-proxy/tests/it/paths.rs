//! Everything that is not a page of ours, in every spelling.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use axum::http::Method;

use crate::world::{ALICE, PETRA, Proxy, Recorder};

/// Sends bytes as they are and gives what comes back until the connection ends or falls silent.
///
/// On a thread of its own, since the recorder runs on the test's.
async fn raw(port: u16, request: &str) -> String {
    let request = request.to_owned();
    tokio::task::spawn_blocking(move || exchange(port, &request)).await.unwrap()
}

fn exchange(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read) = stream.read(&mut buffer) {
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn a_path_in_another_form_reaches_nothing() {
    let recorder = Recorder::start().await;
    let proxy = Proxy::start(&recorder.url, "", &[PETRA]).await;
    let cookie = proxy.signed_in(PETRA).await.cookie.unwrap();
    let q = "?query=up";
    for target in [
        format!("//prometheus/api/v1/query{q}"),
        format!("/prometheus//api/v1/query{q}"),
        format!("/prometheus/./api/v1/query{q}"),
        format!("/prometheus/api/v1/../v1/query{q}"),
        format!("/auth/../prometheus/api/v1/query{q}"),
        format!("/prometheus/api/v1/%71uery{q}"),
        format!("/prometheus%2fapi/v1/query{q}"),
        format!("/%70rometheus/api/v1/query{q}"),
        format!("/prometheus/%2e%2e/prometheus/api/v1/query{q}"),
        format!("/prometheus/api/v1/query;x{q}"),
        format!("/prometheus/api/v1/query%00{q}"),
        format!("/prometheus/api/v1/query%5c{q}"),
        format!("/prometheus\\api/v1/query{q}"),
        format!("/prometheus/api/v1/query%c0%af{q}"),
        format!("/prometheus/api/v1/quer\u{79}\u{301}{q}"),
        format!("http://127.0.0.1/prometheus/api/v1/query{q}"),
        format!("http://evil.example/prometheus/api/v1/query{q}"),
        "*".to_owned(),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
        let answer = raw(proxy.port, &request).await;
        assert_eq!(status(&answer), 400, "{target}: {answer}");
    }
    for target in [
        format!("/prometheus/api/v1/query/{q}"),
        format!("/PROMETHEUS/api/v1/query{q}"),
        format!("/prometheus/api/V1/query{q}"),
        "/prometheus/api/v1/query_exemplars?query=up".to_owned(),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
        let answer = raw(proxy.port, &request).await;
        assert_eq!(status(&answer), 404, "{target}: {answer}");
    }
    assert_eq!(recorder.take().len(), 0);
    // A fragment is no part of what a server reads; what is forwarded is ours anyway.
    let request = format!(
        "GET /prometheus/api/v1/query{q}#/../x HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(status(&raw(proxy.port, &request).await), 200);
    assert_eq!(recorder.take().remove(0).body, "query=up");
}

#[tokio::test]
async fn a_second_request_cannot_hide_in_the_first() {
    let recorder = Recorder::start().await;
    let proxy = Proxy::start(&recorder.url, "", &[PETRA]).await;
    let cookie = proxy.signed_in(PETRA).await.cookie.unwrap();
    let hidden = format!("GET /prometheus/api/v1/query?query=hidden HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n");
    let length = hidden.len();
    let form = "Content-Type: application/x-www-form-urlencoded";
    for head in [
        format!(
            "POST /auth/none HTTP/1.1\r\nHost: x\r\n{form}\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        format!(
            "POST /auth/none HTTP/1.1\r\nHost: x\r\n{form}\r\nContent-Length: 0\r\nContent-Length: {length}\r\n\r\n"
        ),
        format!(
            "POST /auth/none HTTP/1.1\r\nHost: x\r\n{form}\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"
        ),
        format!("POST /auth/none HTTP/1.1\r\nHost: x\r\n{form}\r\nContent-Length : {length}\r\n\r\n"),
        format!("POST /auth/none HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\nContent-Length: {length}\r\n\r\n"),
        "POST /auth/none HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
    ] {
        let answer = raw(proxy.port, &(head.clone() + &hidden)).await;
        let refused = matches!(status(&answer), 400 | 403 | 501) || answer.is_empty();
        assert!(refused, "{head}: {answer}");
        assert_eq!(recorder.take().len(), 0, "{head}: {answer}");
    }
    // A body that nobody reads is not the next request.
    let unread = format!("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{hidden}");
    raw(proxy.port, &unread).await;
    assert_eq!(recorder.take().len(), 0);
    // An upgrade is not made, so what follows is a request like any other, and shows that the recorder does record.
    let upgrade = format!("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n{hidden}");
    let answer = raw(proxy.port, &upgrade).await;
    assert_eq!(status(&answer), 303, "{answer}");
    let arrived = recorder.take();
    assert_eq!(arrived.iter().map(|request| request.body.as_str()).collect::<Vec<_>>(), ["query=hidden"]);
}

#[tokio::test]
async fn all_that_is_not_routed_is_denied() {
    let recorder = Recorder::start().await;
    let proxy = Proxy::start(&recorder.url, "", &[ALICE, PETRA]).await;
    let petra = proxy.signed_in(PETRA).await;
    for path in [
        "/prometheus/",
        "/prometheus/graph",
        "/prometheus/metrics",
        "/prometheus/-/reload",
        "/prometheus/-/quit",
        "/prometheus/federate",
        "/prometheus/api/v1/series",
        "/prometheus/api/v1/labels",
        "/prometheus/api/v1/label/team/values",
        "/prometheus/api/v1/query_exemplars",
        "/prometheus/api/v1/format_query",
        "/prometheus/api/v1/parse_query",
        "/prometheus/api/v1/rules",
        "/prometheus/api/v1/alerts",
        "/prometheus/api/v1/alertmanagers",
        "/prometheus/api/v1/targets",
        "/prometheus/api/v1/targets/metadata",
        "/prometheus/api/v1/targets/relabel_steps",
        "/prometheus/api/v1/scrape_pools/config",
        "/prometheus/api/v1/metadata",
        "/prometheus/api/v1/search/metric_names",
        "/prometheus/api/v1/status/config",
        "/prometheus/api/v1/status/flags",
        "/prometheus/api/v1/status/tsdb",
        "/prometheus/api/v1/status/tsdb/blocks",
        "/prometheus/api/v1/read",
        "/prometheus/api/v1/write",
        "/prometheus/api/v1/notifications/live",
        "/prometheus/api/v1/admin/tsdb/delete_series",
        "/prometheus/debug/pprof/heap",
        "/metrics",
        "/-/reload",
        "/api/v1/query",
        "/grafana/",
        "/alertmanager/api/v2/alerts",
        "/favicon.ico",
        "/auth/",
        "/auth/users",
    ] {
        let answer = petra.get(path).await;
        assert_eq!(answer.status(), 404, "{path}");
        if path.starts_with("/prometheus/") {
            assert_eq!(answer.json::<serde_json::Value>().await.unwrap()["errorType"], "not_found", "{path}");
        }
        let posted = petra.request(Method::POST, path).send().await.unwrap();
        assert_eq!(posted.status(), 404, "POST {path}");
        let anonymous = proxy.browser().get(path).await;
        assert_eq!(anonymous.status(), 401, "{path}");
    }
    // No header but the cookie makes a request another one.
    for (name, value) in [
        ("x-original-url", "/auth/sign-in"),
        ("x-rewrite-url", "/-/healthy"),
        ("x-forwarded-uri", "/-/healthy"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-prefix", "/auth"),
        ("x-webauth-user", "petra"),
        ("x_webauth_user", "petra"),
        ("authorization", "Bearer petra"),
        ("user-agent", "kube-probe/1.0"),
        ("x-http-method-override", "GET"),
    ] {
        let request = proxy.browser().request(Method::GET, "/prometheus/api/v1/query?query=up").header(name, value);
        assert_eq!(request.send().await.unwrap().status(), 401, "{name}");
    }
    assert_eq!(recorder.take().len(), 0);
    let metrics = proxy.metrics().await;
    assert!(metrics.contains(r#"lynceus_auth_proxy_denied_requests_total{reason="unknown_path"} 76"#), "{metrics}");
    assert!(metrics.contains(r#"lynceus_auth_proxy_denied_requests_total{reason="no_session"} 48"#), "{metrics}");
}

#[tokio::test]
async fn the_public_listener_says_no_more_than_that_it_lives() {
    let recorder = Recorder::start().await;
    let proxy = Proxy::start(&recorder.url, "", &[]).await;
    for path in ["/-/healthy", "/-/ready"] {
        assert_eq!(proxy.browser().get(path).await.status(), 200);
        assert_eq!(reqwest::get(format!("{}{path}", proxy.internal)).await.unwrap().status(), 200);
    }
    let reload = proxy.browser().request(Method::POST, "/-/reload").send().await.unwrap();
    assert_eq!(reload.status(), 401);
    assert_eq!(reqwest::get(format!("{}/auth/sign-in", proxy.internal)).await.unwrap().status(), 404);
    assert!(proxy.metrics().await.contains("lynceus_auth_proxy_build_info"));
}
