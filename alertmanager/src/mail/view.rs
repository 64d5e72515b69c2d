//! What the templates show of a notification.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use url::form_urlencoded::byte_serialize;

use super::clean;
use crate::route::{Cause, Delivery};
use crate::webhook::{Alert, Notification, Status};

/// Labels that say where it is, in the order in which a reader narrows it down, and what they are called.
const PLACES: [(&str, &str); 8] = [
    ("vm", "VM"),
    ("host", "Host"),
    ("datastore", "Datastore"),
    ("network", "Network"),
    ("resource_pool", "Resource pool"),
    ("cluster", "Cluster"),
    ("vcenter", "vCenter"),
    ("instance", "Instance"),
];
/// Worst first.
const SEVERITIES: [&str; 3] = ["critical", "warning", "info"];
/// Mail programs show about this much of a subject.
const SUBJECT: usize = 150;

#[derive(Serialize)]
pub(super) struct View {
    pub(super) subject: String,
    headline: String,
    /// `firing` while one alert fires.
    state: String,
    severity: Option<String>,
    note: Option<&'static str>,
    alerts: Vec<AlertView>,
    /// Alerts of this recipient that are not shown.
    left_out: usize,
    /// Alerts that Alertmanager left out, of any recipient.
    truncated: u64,
    alertmanager: Option<String>,
}

#[derive(Serialize)]
struct AlertView {
    name: String,
    state: String,
    severity: Option<String>,
    team: Option<String>,
    places: Vec<Entry>,
    started: String,
    ended: Option<String>,
    lasted: Option<String>,
    summary: Option<String>,
    description: Option<String>,
    labels: Vec<Entry>,
    runbook: Option<String>,
    graph: Option<String>,
    silence: Option<String>,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    value: String,
}

impl View {
    pub(super) fn new(notification: &Notification, delivery: &Delivery<'_>, limit: usize) -> Self {
        let mut alerts: Vec<_> = delivery.alerts.iter().map(|index| &notification.alerts[*index]).collect();
        // Firing first, then the worst, then the oldest.
        alerts.sort_by_key(|alert| (alert.status, rank(alert), alert.starts_at));
        let headline = headline(&alerts);
        Self {
            subject: clean::line(&shorten(&headline)),
            state: alerts[0].status.to_string(),
            severity: worst_severity(&alerts).map(clean::line),
            note: match delivery.cause {
                Cause::Routed => None,
                Cause::Fallback => Some(
                    "The mail server refuses the addresses of the team that these alerts belong to. \
                     They come to you instead. Please correct the notifier's config.",
                ),
            },
            left_out: alerts.len().saturating_sub(limit),
            truncated: notification.truncated_alerts,
            alertmanager: clean::link(&notification.external_url),
            alerts: alerts
                .into_iter()
                .take(limit)
                .map(|alert| AlertView::new(alert, &notification.external_url))
                .collect(),
            headline,
        }
    }
}

impl AlertView {
    fn new(alert: &Alert, alertmanager: &str) -> Self {
        let resolved = alert.status == Status::Resolved;
        let annotation = |name: &str| alert.annotations.get(name).filter(|text| !text.trim().is_empty());
        let mut places: Vec<Entry> = Vec::new();
        for (label, name) in PLACES {
            let Some(value) = alert.label(label).map(clean::line) else { continue };
            // A target is called after what it is: `instance` then says nothing new.
            if label != "instance" || places.iter().all(|place| place.value != value) {
                places.push(Entry { name: name.to_owned(), value });
            }
        }
        let shown = |name: &str| {
            matches!(name, "alertname" | "severity" | "team") || PLACES.iter().any(|(label, _)| *label == name)
        };
        Self {
            name: name(alert),
            state: alert.status.to_string(),
            severity: alert.label("severity").map(clean::line),
            team: alert.label("team").map(clean::line),
            places,
            started: time(alert.starts_at),
            ended: resolved.then(|| time(alert.ends_at)),
            lasted: resolved.then(|| lasted(alert)).flatten(),
            summary: annotation("summary").map(|text| clean::line(text)),
            description: annotation("description").map(|text| clean::paragraph(text)),
            labels: alert
                .labels
                .iter()
                .filter(|(name, _)| !shown(name))
                .map(|(name, value)| Entry { name: clean::line(name), value: clean::line(value) })
                .collect(),
            runbook: annotation("runbook_url").and_then(|url| clean::link(url)),
            graph: clean::link(&alert.generator_url),
            // What is over needs no silence.
            silence: if resolved { None } else { silence_link(alert, alertmanager) },
        }
    }
}

/// `[FIRING:2, RESOLVED:1] VsphereVmWentDown (critical): web-01`
fn headline(alerts: &[&Alert]) -> String {
    let count = |status| alerts.iter().filter(|alert| alert.status == status).count();
    let states = match (count(Status::Firing), count(Status::Resolved)) {
        (firing, 0) => format!("FIRING:{firing}"),
        (0, resolved) => format!("RESOLVED:{resolved}"),
        (firing, resolved) => format!("FIRING:{firing}, RESOLVED:{resolved}"),
    };
    let names: BTreeSet<_> = alerts.iter().map(|alert| name(alert)).collect();
    let others = match names.len() - 1 {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    let severity = worst_severity(alerts).map(|severity| format!(" ({})", clean::line(severity))).unwrap_or_default();
    let place = match alerts {
        [alert] => PLACES.iter().find_map(|(label, _)| alert.label(label)),
        _ => None,
    };
    let place = place.map(|place| format!(": {}", clean::line(place))).unwrap_or_default();
    format!("[{states}] {}{others}{severity}{place}", name(alerts[0]))
}

fn shorten(headline: &str) -> String {
    match headline.char_indices().nth(SUBJECT) {
        Some((end, _)) => format!("{}…", &headline[..end]),
        None => headline.to_owned(),
    }
}

fn name(alert: &Alert) -> String {
    alert.label("alertname").map_or_else(|| "alert without a name".to_owned(), clean::line)
}

/// Position in [`SEVERITIES`]; unknown ones come after all known.
fn rank(alert: &Alert) -> usize {
    let severity = alert.label("severity");
    SEVERITIES.iter().position(|known| severity == Some(known)).unwrap_or(SEVERITIES.len())
}

/// Of what still fires, or of everything when nothing does.
fn worst_severity<'a>(alerts: &[&'a Alert]) -> Option<&'a str> {
    let worst = alerts.iter().min_by_key(|alert| (alert.status, rank(alert)))?;
    worst.label("severity")
}

fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn lasted(alert: &Alert) -> Option<String> {
    let lasted = alert.ends_at.duration_since(alert.starts_at);
    let whole_seconds = u64::try_from(lasted.as_secs()).ok()?;
    Some(lynceus_service::format_duration(std::time::Duration::from_secs(whole_seconds)))
}

/// Alertmanager's form for a new silence, filled in with the labels of this alert.
fn silence_link(alert: &Alert, alertmanager: &str) -> Option<String> {
    let matchers: Vec<_> = alert
        .labels
        .iter()
        .map(|(name, value)| {
            let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            format!("{name}=\"{value}\"")
        })
        .collect();
    // The part after `#` is read by Alertmanager's page, which does not take `+` for a space.
    let filter: String = byte_serialize(format!("{{{}}}", matchers.join(",")).as_bytes()).collect();
    let base = alertmanager.trim_end_matches('/');
    clean::link(&format!("{base}/#/silences/new?filter={}", filter.replace('+', "%20")))
}
