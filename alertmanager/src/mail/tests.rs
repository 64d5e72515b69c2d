use insta::assert_snapshot;

use super::*;
use crate::config::Recipients;
use crate::route::{self, Cause};
use crate::webhook::{self, Alert, Notification, Status};

fn notification() -> Notification {
    webhook::parse(webhook::tests::BODY.as_bytes()).unwrap()
}

/// One alert made into several, each changed a little.
fn with_alerts(change: impl Fn(usize, &mut Alert), count: usize) -> Notification {
    let mut notification = notification();
    let one = notification.alerts.remove(0);
    for index in 0..count {
        let mut alert = one.clone();
        alert.fingerprint = format!("{index:016x}");
        change(index, &mut alert);
        notification.alerts.push(alert);
    }
    notification
}

fn resolve(alert: &mut Alert) {
    alert.status = Status::Resolved;
    alert.ends_at = "2026-11-23T13:09:24.123Z".parse().unwrap();
}

fn set(alert: &mut Alert, label: &str, value: &str) {
    alert.labels.insert(label.to_owned(), value.to_owned());
}

fn recipients() -> Recipients {
    Recipients { default: vec!["Ops <ops@example.net>".parse().unwrap()], teams: Default::default() }
}

fn render(notification: &Notification, cause: Cause) -> Content {
    let recipients = recipients();
    let mut deliveries = route::plan(&notification.alerts, &recipients);
    deliveries[0].cause = cause;
    Templates::new().unwrap().render(notification, &deliveries[0], 3).unwrap()
}

fn check(name: &str, notification: &Notification) {
    let content = render(notification, Cause::Routed);
    assert_snapshot!(format!("{name}.txt"), format!("Subject: {}\n\n{}", content.subject, content.text));
    assert_snapshot!(format!("{name}.html"), content.html);
}

fn formatted(notification: &Notification, begun: &str) -> String {
    let recipients = recipients();
    let deliveries = route::plan(&notification.alerts, &recipients);
    let content = Templates::new().unwrap().render(notification, &deliveries[0], 3).unwrap();
    let from = "Lynceus <lynceus@example.net>".parse().unwrap();
    let begun: Timestamp = begun.parse().unwrap();
    let mail = message(content, notification, &deliveries[0], &from, begun, begun.try_into().unwrap()).unwrap();
    // With a line break in front, so that `header` finds the first one as the others.
    format!("\r\n{}", String::from_utf8(mail.formatted()).unwrap())
}

fn header<'a>(mail: &'a str, name: &str) -> &'a str {
    let start = mail.find(&format!("\r\n{name}: ")).unwrap() + name.len() + 4;
    let end =
        start + mail[start..].match_indices("\r\n").find(|(i, _)| !mail[start + i + 2..].starts_with(' ')).unwrap().0;
    &mail[start..end]
}

const NOW: &str = "2026-11-23T13:06:30Z";

#[test]
fn one_alert_fires() {
    check("firing", &notification());
}

#[test]
fn one_alert_is_resolved() {
    let mut notification = with_alerts(|_, alert| resolve(alert), 1);
    notification.status = Status::Resolved;
    check("resolved", &notification);
}

#[test]
fn many_alerts_are_ordered_and_counted() {
    let change = |index: usize, alert: &mut Alert| {
        set(alert, "vm", &format!("web-{index:02}"));
        match index {
            0 => resolve(alert),
            1 => set(alert, "severity", "warning"),
            2 => set(alert, "alertname", "VsphereHostNotConnected"),
            _ => {}
        }
    };
    let mut notification = with_alerts(change, 5);
    notification.truncated_alerts = 7;
    check("many", &notification);
}

#[test]
fn an_alert_without_anything_still_makes_a_mail() {
    let mut notification = with_alerts(
        |_, alert| {
            alert.labels.clear();
            alert.annotations.clear();
            alert.generator_url.clear();
        },
        1,
    );
    notification.external_url = "alertmanager".to_owned();
    check("bare", &notification);
}

#[test]
fn hostile_values_stay_values() {
    let mut notification = with_alerts(
        |_, alert| {
            set(alert, "alertname", "A\r\nBcc: evil@example.net\r\n\r\n<script>alert(1)</script>");
            set(alert, "vm", "\"><img src=x onerror=alert(1)>");
            set(alert, "x", "{{ 7 * 7 }} {% for %}");
            alert.annotations.insert("runbook_url".to_owned(), "javascript:alert(1)".to_owned());
            alert.annotations.insert("description".to_owned(), "one\n.\nQUIT\n</div><b>two</b>".to_owned());
            alert.generator_url = "http://a/\" onclick=\"alert(1)".to_owned();
        },
        1,
    );
    notification.external_url = "http://am/'><script>".to_owned();
    check("hostile", &notification);
    let mail = formatted(&notification, NOW);
    let (head, _) = mail.split_once("\r\n\r\n").unwrap();
    assert!(!head.contains("\r\nBcc"), "{head}");
}

#[test]
fn a_fallback_says_why_it_came() {
    let content = render(&notification(), Cause::Fallback);
    for part in [content.text, content.html] {
        assert!(part.contains("The mail server refuses the addresses of the team"), "{part}");
    }
}

#[test]
fn non_ascii_subjects_are_encoded() {
    let mail = formatted(&with_alerts(|_, alert| set(alert, "vm", "データベース"), 1), NOW);
    assert!(header(&mail, "Subject").contains("=?utf-8?b?"), "{mail}");
}

#[test]
fn the_headers_say_that_a_program_wrote_it() {
    let mail = formatted(&notification(), NOW);
    assert_eq!(header(&mail, "Auto-Submitted"), "auto-generated");
    assert_eq!(header(&mail, "From"), "Lynceus <lynceus@example.net>");
    assert_eq!(header(&mail, "To"), "Ops <ops@example.net>");
    assert_eq!(header(&mail, "Date"), "Mon, 23 Nov 2026 13:06:30 +0000");
}

#[test]
fn begin_and_end_of_an_alert_are_one_thread() {
    let (fired, resolved) = (formatted(&notification(), NOW), {
        let mut notification = notification();
        resolve(&mut notification.alerts[0]);
        formatted(&notification, "2026-11-23T13:09:30Z")
    });
    assert_eq!(header(&fired, "References"), header(&resolved, "References"));
    assert_eq!(header(&fired, "In-Reply-To"), header(&resolved, "References"));
    assert_ne!(header(&fired, "Message-ID"), header(&resolved, "Message-ID"));
}

#[test]
fn a_retry_is_recognised_as_a_copy_and_a_reminder_is_not() {
    let id = |begun| header(&formatted(&notification(), begun), "Message-ID").to_owned();
    assert_eq!(id(NOW), id(NOW));
    assert_ne!(id(NOW), id("2026-11-23T17:06:30Z"));
}

#[test]
fn a_thread_of_many_alerts_is_bounded() {
    let mail = formatted(&with_alerts(|_, _| {}, 100), NOW);
    assert_eq!(header(&mail, "References").split_whitespace().count(), REFERENCES);
}
