//! What the webhook answers to requests that are not as they should be.

use insta::assert_snapshot;

use crate::harness::{notification, start};

async fn check_refused(body: &str, status: u16, text: &str) {
    let setup = start("tls: none", "").await.unwrap();
    assert_eq!(setup.post(body.to_owned()).await.unwrap(), (status, text.to_owned()));
}

#[tokio::test]
async fn a_body_that_is_no_notification_is_told_what_is_wrong() {
    check_refused(
        r#"{"version":"4","groupKey":7}"#,
        400,
        "groupKey: invalid type: integer `7`, expected a string at line 1 column 27; \
         expected the JSON of Alertmanager's webhook, version 4\n",
    )
    .await;
}

#[tokio::test]
async fn another_version_is_told_which_one_is_expected() {
    check_refused(
        "{\"version\": \"3\"}",
        400,
        "version: expected `4`, found `3`; use an Alertmanager of 0.6 or later, or update this notifier\n",
    )
    .await;
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_and_counted() {
    let setup = start("tls: none", "").await.unwrap();
    let body = notification(&["red"]) + &" ".repeat(4 * 1024 * 1024);
    let (status, text) = setup.post(body).await.unwrap();
    assert_eq!(status, 413);
    assert_eq!(
        text,
        "the body is larger than 4194304 bytes: raise `limits.body_bytes`, or set `max_alerts` in Alertmanager\n"
    );
    assert_eq!(setup.metric("notifications_total{outcome=\"too_large\"}").await.unwrap(), 1.0);
}

#[tokio::test]
async fn a_web_page_cannot_post_alerts() {
    let setup = start("tls: none", "").await.unwrap();
    let request = reqwest::Client::new()
        .post(format!("{}/alertmanager/webhook", setup.url))
        .header("content-type", "text/plain")
        .body(notification(&["red"]));
    assert_eq!(request.send().await.unwrap().status(), 415);
}

#[tokio::test]
async fn its_metrics_are_documented_and_begin_at_zero() {
    let setup = start("tls: none", "").await.unwrap();
    let page = reqwest::get(format!("{}/metrics", setup.url)).await.unwrap().text().await.unwrap();
    let shared = |line: &str| line.contains("notifier_build") || line.contains("config_last_reload");
    let mut ours: Vec<_> = page.lines().filter(|line| !shared(line)).collect();
    // Series of a family come in no order.
    ours.sort_unstable();
    assert_snapshot!(ours.join("\n"));
}
