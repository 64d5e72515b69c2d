//! Alertmanager's webhook body, version 4.
//!
//! Unknown fields are accepted, since Alertmanager adds some from release to release (0.32:
//! `notification_reason`); what is used here must be there and of the right type.
//! <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

/// The version that this program understands; Alertmanager has sent no other since 0.6 (2017).
const VERSION: &str = "4";

/// One notification: the alerts of one group.
#[derive(Debug)]
pub(crate) struct Notification {
    pub(crate) group_key: String,
    pub(crate) status: Status,
    /// How many alerts Alertmanager left out (`max_alerts`).
    pub(crate) truncated_alerts: u64,
    /// Where people reach Alertmanager.
    pub(crate) external_url: String,
    pub(crate) alerts: Vec<Alert>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Alert {
    pub(crate) status: Status,
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "timestamp")]
    pub(crate) starts_at: Timestamp,
    /// The zero time (year 1) while the alert fires.
    #[serde(deserialize_with = "timestamp")]
    pub(crate) ends_at: Timestamp,
    #[serde(default, rename = "generatorURL")]
    pub(crate) generator_url: String,
    pub(crate) fingerprint: String,
}

impl Alert {
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Firing,
    Resolved,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        })
    }
}

/// A body that is no notification. The sender must change before it is worth sending again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebhookError {
    #[error("{path}: {error}; expected the JSON of Alertmanager's webhook, version {VERSION}")]
    Json { path: String, error: serde_json::Error },
    #[error(
        "version: expected `{VERSION}`, found `{found}`; use an Alertmanager of 0.6 or later, or update this notifier"
    )]
    Version { found: String },
    #[error("alerts: expected at least one, found none")]
    NoAlerts,
}

pub(crate) fn parse(body: &[u8]) -> Result<Notification, WebhookError> {
    // The version alone first: a later version may have other types in all other fields.
    let Version { version } = from_json(body)?;
    if version != VERSION {
        return Err(WebhookError::Version { found: version });
    }
    let Body { group_key, status, truncated_alerts, external_url, alerts } = from_json(body)?;
    if alerts.is_empty() {
        return Err(WebhookError::NoAlerts);
    }
    Ok(Notification { group_key, status, truncated_alerts, external_url, alerts })
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    group_key: String,
    status: Status,
    #[serde(default)]
    truncated_alerts: u64,
    #[serde(rename = "externalURL")]
    external_url: String,
    alerts: Vec<Alert>,
}

fn from_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, WebhookError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| WebhookError::Json { path: error.path().to_string(), error: error.into_inner() })?;
    json.end().map_err(|error| WebhookError::Json { path: ".".to_owned(), error })?;
    Ok(value)
}

fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| serde::de::Error::custom(format!("expected a time as in RFC 3339, found `{text}`")))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// As Alertmanager 0.25 sent it, shortened to one alert.
    pub(crate) const BODY: &str = include_str!("../tests/golden/firing.json");

    fn check_refused(body: &str, expected: &str) {
        assert_eq!(parse(body.as_bytes()).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_alertmanager_sends_is_read() {
        let notification = parse(BODY.as_bytes()).unwrap();
        assert_eq!(notification.status, Status::Firing);
        assert_eq!(notification.alerts.len(), 1);
        assert_eq!(notification.alerts[0].label("team"), Some("red"));
    }

    #[test]
    fn unknown_fields_are_accepted() {
        parse(BODY.replace("\"receiver\"", "\"notification_reason\":\"x\",\"receiver\"").as_bytes()).unwrap();
    }

    #[test]
    fn another_version_is_named() {
        check_refused(
            "{\"version\":\"5\",\"alerts\":{}}",
            "version: expected `4`, found `5`; use an Alertmanager of 0.6 or later, or update this notifier",
        );
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        check_refused(
            "alert!",
            ".: expected value at line 1 column 1; expected the JSON of Alertmanager's webhook, version 4",
        );
        check_refused(
            &format!("{BODY}x"),
            &format!(
                ".: trailing characters at line {} column 1; expected the JSON of Alertmanager's webhook, version 4",
                BODY.lines().count() + 1
            ),
        );
    }

    #[test]
    fn a_wrong_type_is_named_by_its_path() {
        let error = parse(BODY.replace("2026-11-23T13:06:19.123Z", "yesterday").as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("alerts[0].startsAt: expected a time as in RFC 3339, found `yesterday`"), "{error}");
    }

    #[test]
    fn a_notification_without_alerts_is_refused() {
        check_refused(
            r#"{"version":"4","groupKey":"{}","status":"firing","externalURL":"http://a","alerts":[]}"#,
            "alerts: expected at least one, found none",
        );
    }
}
