//! The config file: where the archive is, and how much may be in flight.

use std::time::Duration;

use lynceus_promql::{Matcher, MatcherOp, SeriesMatcher};
use lynceus_service::tls::{ClientTls, RawClientTls};
use lynceus_service::{Problems, SecretSource, format_duration};
use serde::Deserialize;
use url::Url;

use crate::labels::METRIC_NAME;
use crate::rollup::Blocks;

/// Long enough for a batch on a busy server; Prometheus' own `remote_timeout` is 30 s as well.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// ClickHouse wants about one insert a second and table; half of it keeps Prometheus' shards moving.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);
/// Large enough for ClickHouse, small enough to be one block of 256 MiB with any labels.
const MAX_BATCH_ROWS: usize = 200_000;
/// An INSERT of more rows than `max_insert_block_size` (1,048,449) would be several blocks, and no longer atomic.
const MOST_BATCH_ROWS: usize = 1_000_000;
/// A day of 1,500 machines' metrics from vSphere, at about 12 bytes a sample.
const MAX_WAL_BYTES: u64 = 16 << 30;
/// Less than this is a mistake.
const LEAST_WAL_BYTES: u64 = 1 << 20;
/// Prometheus' requests are below 1 MiB; other senders make larger ones.
const MAX_BODY_BYTES: usize = 16 << 20;
/// Clocks differ; more than this is a mistake, and would make a partition that no TTL ever reaches.
const MAX_FUTURE: Duration = Duration::from_secs(3600);
/// Two years.
const RETENTION: Duration = Duration::from_secs(730 * 86_400);
const LEAST_RETENTION: Duration = Duration::from_secs(86_400);
/// The TTL is a 32-bit time, which ends in 2106.
// ClickHouse ends a row's life with a time that it can say only until 2106.
const MOST_RETENTION: Duration = Duration::from_secs(60 * 365 * 86_400);
/// 5,000 machines have 2.3 million; each takes about 400 bytes of memory.
const MAX_ACTIVE_SERIES: usize = 5_000_000;
/// One metric of 5,000 machines, with room.
const MAX_SERIES: usize = 50_000;
/// A day of one metric of 1,500 machines every 30 s is 4.3 million; a sample takes about 50 bytes on its way.
const MAX_SAMPLES: usize = 10_000_000;
/// As Prometheus' `storage.remote.read-concurrent-limit`.
const MAX_CONCURRENT_READS: usize = 10;

/// What the program uses.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub(crate) clickhouse: ClickHouse,
    pub(crate) ingest: Ingest,
    pub(crate) wal: WalLimits,
    pub(crate) retention: Duration,
    pub(crate) rollups: RollUps,
    pub(crate) read: ReadLimits,
}

/// The archive's server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ClickHouse {
    pub(crate) url: Url,
    pub(crate) database: String,
    pub(crate) cluster: Option<String>,
    pub(crate) username: String,
    pub(crate) password: Option<SecretSource>,
    pub(crate) tls: ClientTls,
    pub(crate) request_timeout: Duration,
}

/// Limits of writing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ingest {
    pub(crate) flush_interval: Duration,
    pub(crate) max_batch_rows: usize,
    pub(crate) max_body_bytes: usize,
    pub(crate) max_future: Duration,
    pub(crate) max_series: usize,
    pub(crate) max_series_per_job: usize,
    /// Empty where there are no pairs.
    pub(crate) replica_label: String,
}

/// Limits of the log on disk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WalLimits {
    pub(crate) max_bytes: u64,
}

/// What is rolled up beyond hours.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RollUps {
    /// Regular expressions of whole names: metrics with buckets of five minutes.
    pub(crate) five_minutes: Vec<String>,
    /// Of the zone in which long ranges are looked at.
    pub(crate) blocks: Blocks,
}

/// Limits of one query or remote-read request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReadLimits {
    pub(crate) max_series: usize,
    pub(crate) max_samples: usize,
    pub(crate) max_concurrent: usize,
}

/// What the user writes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    clickhouse: RawClickHouse,
    #[serde(default)]
    ingest: RawIngest,
    #[serde(default)]
    wal: RawWal,
    #[serde(default)]
    retention: RawRetention,
    #[serde(default)]
    rollups: RawRollUps,
    #[serde(default)]
    read: RawRead,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClickHouse {
    url: String,
    database: Option<String>,
    cluster: Option<String>,
    username: Option<String>,
    password_file: Option<String>,
    password_env: Option<String>,
    #[serde(default)]
    tls: RawClientTls,
    request_timeout: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawIngest {
    flush_interval: Option<String>,
    max_batch_rows: Option<usize>,
    max_body_bytes: Option<usize>,
    max_future: Option<String>,
    max_series: Option<usize>,
    max_series_per_job: Option<usize>,
    replica_label: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawWal {
    max_bytes: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawRetention {
    samples: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawRollUps {
    five_minutes: Vec<String>,
    utc_offset: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawRead {
    max_series: Option<usize>,
    max_samples: Option<usize>,
    max_concurrent: Option<usize>,
}

impl lynceus_service::Config for Config {
    type Raw = RawConfig;

    fn validate(raw: RawConfig, problems: &mut Problems) -> Option<Self> {
        let clickhouse = clickhouse(raw.clickhouse, problems);
        let ingest = ingest(&raw.ingest, problems);
        let retention = duration(
            problems,
            "retention.samples",
            raw.retention.samples.as_deref(),
            RETENTION,
            LEAST_RETENTION,
            MOST_RETENTION,
        );
        let read = ReadLimits {
            max_series: number(problems, "read.max_series", raw.read.max_series, MAX_SERIES, 10_000_000),
            max_samples: number(problems, "read.max_samples", raw.read.max_samples, MAX_SAMPLES, 1_000_000_000),
            max_concurrent: number(
                problems,
                "read.max_concurrent",
                raw.read.max_concurrent,
                MAX_CONCURRENT_READS,
                1000,
            ),
        };
        let five_minutes = raw.rollups.five_minutes;
        for (place, pattern) in five_minutes.iter().enumerate() {
            let matcher = Matcher::new(METRIC_NAME, MatcherOp::Regex, pattern.as_str());
            if let Err(error) = SeriesMatcher::new(&matcher) {
                problems.push(format!("rollups.five_minutes[{place}]"), "a regular expression", error);
            }
        }
        let offset = raw.rollups.utc_offset.as_deref().unwrap_or("+00:00");
        let blocks = hours_ahead(offset).map(Blocks::of_zone).unwrap_or_else(|| {
            problems.push("rollups.utc_offset", "whole hours from -12:00 to +14:00, like +09:00", offset);
            Blocks::default()
        });
        let max_bytes = raw.wal.max_bytes.unwrap_or(MAX_WAL_BYTES);
        if max_bytes < LEAST_WAL_BYTES {
            problems.push("wal.max_bytes", format!("a number from {LEAST_WAL_BYTES} on"), max_bytes);
        }
        let wal = WalLimits { max_bytes };
        Some(Self { clickhouse: clickhouse?, ingest, wal, retention, rollups: RollUps { five_minutes, blocks }, read })
    }
}

/// Of UTC, from an offset as RFC 3339 writes it.
fn hours_ahead(offset: &str) -> Option<i64> {
    let (sign, rest) = match offset.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let hours = rest.strip_suffix(":00").filter(|hours| hours.len() == 2)?;
    let hours = sign * i64::from(hours.parse::<u8>().ok()?);
    (-12..=14).contains(&hours).then_some(hours)
}

fn clickhouse(raw: RawClickHouse, problems: &mut Problems) -> Option<ClickHouse> {
    let url = problems.url("clickhouse.url", &raw.url);
    let database = raw.database.unwrap_or_else(|| "lynceus".to_owned());
    // They stand in SQL as names.
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for (key, name) in [("clickhouse.database", Some(&database)), ("clickhouse.cluster", raw.cluster.as_ref())] {
        let Some(name) = name else { continue };
        if name.is_empty() || !name.chars().all(plain) || name.starts_with(|c: char| c.is_ascii_digit()) {
            problems.push(key, "letters, digits and `_`, not beginning with a digit", format!("`{name}`"));
        }
    }
    let password = match (raw.password_file, raw.password_env) {
        (None, None) => None,
        (file, env) => Some(problems.secret("clickhouse.password", file, env)?),
    };
    let tls = ClientTls::from_raw(raw.tls, "clickhouse.tls", problems);
    let longest = Duration::from_secs(3600);
    let request_timeout = duration(
        problems,
        "clickhouse.request_timeout",
        raw.request_timeout.as_deref(),
        REQUEST_TIMEOUT,
        Duration::from_secs(1),
        longest,
    );
    let username = raw.username.unwrap_or_else(|| "default".to_owned());
    Some(ClickHouse { url: url?, database, cluster: raw.cluster, username, password, tls: tls?, request_timeout })
}

fn ingest(raw: &RawIngest, problems: &mut Problems) -> Ingest {
    Ingest {
        flush_interval: duration(
            problems,
            "ingest.flush_interval",
            raw.flush_interval.as_deref(),
            FLUSH_INTERVAL,
            Duration::ZERO,
            Duration::from_secs(10),
        ),
        max_batch_rows: number(problems, "ingest.max_batch_rows", raw.max_batch_rows, MAX_BATCH_ROWS, MOST_BATCH_ROWS),
        max_body_bytes: number(problems, "ingest.max_body_bytes", raw.max_body_bytes, MAX_BODY_BYTES, 256 << 20),
        max_future: duration(
            problems,
            "ingest.max_future",
            raw.max_future.as_deref(),
            MAX_FUTURE,
            Duration::ZERO,
            Duration::from_secs(366 * 86_400),
        ),
        max_series: number(problems, "ingest.max_series", raw.max_series, MAX_ACTIVE_SERIES, 100_000_000),
        max_series_per_job: number(
            problems,
            "ingest.max_series_per_job",
            raw.max_series_per_job,
            MAX_ACTIVE_SERIES,
            100_000_000,
        ),
        replica_label: raw.replica_label.clone().unwrap_or_else(|| "prometheus_replica".to_owned()),
    }
}

fn number(problems: &mut Problems, key: &str, value: Option<usize>, default: usize, most: usize) -> usize {
    let value = value.unwrap_or(default);
    if value == 0 || value > most {
        problems.push(key, format!("a number from 1 to {most}"), value);
    }
    value
}

fn duration(
    problems: &mut Problems,
    key: &str,
    value: Option<&str>,
    default: Duration,
    least: Duration,
    most: Duration,
) -> Duration {
    let Some(text) = value else { return default };
    let Some(value) = problems.duration(key, text) else { return default };
    if value < least || value > most {
        let expected = format!("a duration from {} to {}", format_duration(least), format_duration(most));
        problems.push(key, expected, format!("`{text}`"));
    }
    value
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lynceus_service::parse_config;

    use super::*;

    fn check(yaml: &str, expected: &str) {
        let found = match parse_config::<Config>(yaml, Path::new("bridge.yml")) {
            Ok(_) => "valid".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_url_is_enough() {
        check("clickhouse: {url: 'http://127.0.0.1:8123'}", "valid");
    }

    /// `# key: value` without its `# `; prose stays a comment.
    fn uncomment(line: &str) -> String {
        let is_key = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        match line.split_once("# ") {
            Some((indent, rest)) if rest.split_once(':').is_some_and(|(key, _)| is_key(key.trim_start())) => {
                format!("{indent}{rest}")
            }
            _ => line.to_owned(),
        }
    }

    #[test]
    fn the_example_is_valid_and_shows_the_defaults() {
        let example = include_str!("../bridge.example.yml");
        let shown = parse_config::<Config>(example, Path::new("bridge.yml")).unwrap();
        let defaults = parse_config::<Config>("clickhouse: {url: 'http://127.0.0.1:8123'}", Path::new("bridge.yml"));
        assert_eq!(shown, defaults.unwrap());
        let uncommented: String = example.lines().map(|line| uncomment(line) + "\n").collect();
        let full = parse_config::<Config>(&uncommented, Path::new("bridge.yml")).unwrap();
        assert!(full.clickhouse.password.is_some());
        assert_ne!(full.clickhouse.tls, shown.clickhouse.tls);
    }

    #[test]
    fn all_problems_are_reported() {
        check(
            "clickhouse:\n  url: ftp://x\n  database: a-b\n  request_timeout: 0s\n\
             ingest:\n  max_batch_rows: 2000000\n  flush_interval: soon\nretention:\n  samples: 1h\nread:\n  max_series: 0\n",
            "bridge.yml:2: clickhouse.url: expected an http or https URL, found `ftp://x`\n\
             bridge.yml:3: clickhouse.database: expected letters, digits and `_`, not beginning with a digit, found `a-b`\n\
             bridge.yml:4: clickhouse.request_timeout: expected a duration from 1s to 1h, found `0s`\n\
             bridge.yml:6: ingest.max_batch_rows: expected a number from 1 to 1000000, found 2000000\n\
             bridge.yml:7: ingest.flush_interval: expected a duration such as `30s` or `1m30s`, found `soon`\n\
             bridge.yml:9: retention.samples: expected a duration from 1d to 21900d, found `1h`\n\
             bridge.yml:11: read.max_series: expected a number from 1 to 10000000, found 0",
        );
    }

    #[test]
    fn a_password_in_the_config_is_refused() {
        check(
            "clickhouse:\n  url: http://x\n  password: secret\n",
            "bridge.yml:3: clickhouse.password: unknown field `password`, expected one of url, database, cluster, username, password_file, password_env, tls, request_timeout",
        );
    }

    #[test]
    fn an_offset_is_one_of_whole_hours() {
        let offsets = ["+00:00", "+09:00", "-05:00", "+14:00", "-12:00"];
        assert_eq!(offsets.map(hours_ahead), [Some(0), Some(9), Some(-5), Some(14), Some(-12)]);
        for wrong in ["", "9", "+9:00", "+05:30", "+15:00", "-13:00", "Asia/Tokyo", "+-9:00", "é09:00"] {
            assert_eq!(hours_ahead(wrong), None, "{wrong}");
        }
    }
}
