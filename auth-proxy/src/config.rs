//! What the user writes, and what the program uses.

use std::path::PathBuf;
use std::time::Duration;

use lynceus_service::tls::{ClientTls, RawClientTls};
use lynceus_service::{Problems, parse_duration};
use serde::Deserialize;
use url::Url;

/// As long as Prometheus' own default for evaluating a query may take, twice over.
const DEFAULT_TIMEOUT: &str = "60s";
/// 64 MiB: a range query with 11,000 points for 100 series is 30 MB.
const DEFAULT_MAX_ANSWER_BYTES: u64 = 64 << 20;
const DEFAULT_IDLE_TIMEOUT: &str = "8h";
const DEFAULT_LABEL: &str = "team";

/// The config file as typed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    public_url: String,
    database: RawDatabase,
    prometheus: RawPrometheus,
    #[serde(default)]
    sessions: RawSessions,
    #[serde(default)]
    enforcement: RawEnforcement,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDatabase {
    path: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPrometheus {
    url: String,
    timeout: Option<String>,
    max_answer_bytes: Option<u64>,
    #[serde(default)]
    tls: RawClientTls,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSessions {
    idle_timeout: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEnforcement {
    label: Option<String>,
}

/// The config, checked.
#[derive(Debug)]
pub struct Config {
    pub(crate) public_url: Url,
    pub(crate) database: PathBuf,
    pub(crate) prometheus: Prometheus,
    pub(crate) idle_timeout: Duration,
    /// Name of the label that is enforced.
    pub(crate) label: String,
}

#[derive(Debug)]
pub(crate) struct Prometheus {
    pub(crate) url: Url,
    pub(crate) timeout: Duration,
    pub(crate) max_answer_bytes: u64,
    pub(crate) tls: ClientTls,
}

impl Config {
    /// Whether browsers reach the proxy over TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.public_url.scheme() == "https"
    }

    /// What a browser sends as `Origin` from our own pages.
    pub(crate) fn origin(&self) -> String {
        self.public_url.origin().ascii_serialization()
    }
}

impl lynceus_service::Config for Config {
    type Raw = RawConfig;

    fn validate(raw: RawConfig, problems: &mut Problems) -> Option<Config> {
        let public_url = problems.url("public_url", &raw.public_url).and_then(|url| {
            let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && !has_user(&url);
            if !plain {
                problems.push("public_url", "a URL without path, query and user", format!("`{}`", raw.public_url));
            }
            plain.then_some(url)
        });
        let database = problems.path("database.path", &raw.database.path);
        let url = problems.url("prometheus.url", &raw.prometheus.url).and_then(|url| {
            let plain = url.query().is_none() && url.fragment().is_none() && !has_user(&url);
            if !plain {
                problems.push("prometheus.url", "a URL without query and user", format!("`{}`", raw.prometheus.url));
            }
            plain.then_some(url)
        });
        let timeout = positive("prometheus.timeout", raw.prometheus.timeout.as_deref(), DEFAULT_TIMEOUT, problems);
        let tls = ClientTls::from_raw(raw.prometheus.tls, "prometheus.tls", problems);
        let idle_timeout =
            positive("sessions.idle_timeout", raw.sessions.idle_timeout.as_deref(), DEFAULT_IDLE_TIMEOUT, problems);
        let max_answer_bytes = raw.prometheus.max_answer_bytes.unwrap_or(DEFAULT_MAX_ANSWER_BYTES);
        if max_answer_bytes == 0 {
            problems.push("prometheus.max_answer_bytes", "a number greater than 0", 0);
        }
        let label = raw.enforcement.label.unwrap_or_else(|| DEFAULT_LABEL.to_owned());
        if !is_label(&label) {
            let found = format!("`{label}`");
            problems.push("enforcement.label", "a label name of letters, digits and `_`, and not `__name__`", found);
        }
        if !problems.is_empty() {
            return None;
        }
        Some(Config {
            public_url: public_url?,
            database: database?,
            prometheus: Prometheus { url: url?, timeout: timeout?, max_answer_bytes, tls: tls? },
            idle_timeout: idle_timeout?,
            label,
        })
    }
}

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn positive(key: &str, value: Option<&str>, default: &str, problems: &mut Problems) -> Option<Duration> {
    let value = value.unwrap_or(default);
    match parse_duration(value) {
        Some(duration) if !duration.is_zero() => Some(duration),
        Some(_) => {
            problems.push(key, "a duration greater than 0", format!("`{value}`"));
            None
        }
        None => problems.duration(key, value),
    }
}

/// Metric names are what is selected, so a matcher on them would separate nothing.
fn is_label(name: &str) -> bool {
    let word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    word && name.starts_with(|c: char| !c.is_ascii_digit()) && name != "__name__"
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lynceus_service::parse_config;

    use super::*;

    #[track_caller]
    fn check(yaml: &str, expected: &str) {
        let found = match parse_config::<Config>(yaml, Path::new("auth-proxy.yml")) {
            Ok(config) => format!("{config:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn the_example_file_is_valid_and_shows_the_defaults() {
        let example = include_str!("../auth-proxy.example.yml");
        let example = parse_config::<Config>(example, Path::new("auth-proxy.example.yml")).unwrap();
        let least = "public_url: http://127.0.0.1:8080\ndatabase: {path: auth.sqlite}\n\
                     prometheus: {url: 'http://127.0.0.1:9090'}\n";
        check(least, &format!("{example:?}"));
    }

    #[test]
    fn all_problems_are_reported() {
        check(
            "public_url: http://a/b\n\
             database: {path: ''}\n\
             prometheus:\n  url: ftp://b\n  timeout: 0s\n  max_answer_bytes: 0\n\
             sessions: {idle_timeout: soon}\n\
             enforcement: {label: __name__}\n",
            "auth-proxy.yml:1: public_url: expected a URL without path, query and user, found `http://a/b`\n\
             auth-proxy.yml:2: database.path: expected a path, found ``\n\
             auth-proxy.yml:4: prometheus.url: expected an http or https URL, found `ftp://b`\n\
             auth-proxy.yml:5: prometheus.timeout: expected a duration greater than 0, found `0s`\n\
             auth-proxy.yml:6: prometheus.max_answer_bytes: expected a number greater than 0, found 0\n\
             auth-proxy.yml:7: sessions.idle_timeout: expected a duration such as `30s` or `1m30s`, found `soon`\n\
             auth-proxy.yml:8: enforcement.label: expected a label name of letters, digits and `_`, and not `__name__`, found `__name__`",
        );
    }

    #[test]
    fn a_key_that_is_not_known_is_refused() {
        check(
            "public_url: http://a\ndatabase: {path: a}\nprometheus: {url: 'http://b', tiemout: 1s}\n",
            "auth-proxy.yml:3: prometheus.tiemout: unknown field `tiemout`, expected one of url, timeout, max_answer_bytes, tls",
        );
    }
}
