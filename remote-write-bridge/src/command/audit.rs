//! `lynceus-bridge audit`: is everything that a Prometheus has also in the archive?
//!
//! Window by window the source is asked by remote read, and ClickHouse for the number of samples of each series. Where it
//! has fewer, their times are compared. What is missing is listed by metric and hour, and sent to the bridge if that is
//! wanted.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clickhouse::Row;
use lynceus_promql::{Matcher, MatcherOp};
use lynceus_service::parse_duration;
use reqwest::Client;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use url::Url;

use super::{Outcome, Selector, below, failed, parse_selector, parse_time, progress, say};
use crate::archive::{ArchiveError, Connection};
use crate::chunk::Point;
use crate::labels::{LabelSet, METRIC_NAME};
use crate::pairs;
use crate::remote::{SendError, Sender, Version};
use crate::time;
use crate::wire::{self, LabelMatcher, MatcherType, Query, ReadRequest, ReadResponse, Sample, TimeSeries, WireError};

/// Of an answer, unpacked.
const MAX_ANSWER_BYTES: usize = 2 << 30;
/// Of one question for times.
const SERIES_AT_ONCE: usize = 1000;
/// Lines of the report.
const MAX_LINES: usize = 50;

/// What the command line says.
#[derive(Debug, Args)]
pub struct Options {
    /// Config file, in YAML
    #[arg(long = "config.file", value_name = "FILE", default_value = "bridge.yml")]
    config_file: PathBuf,

    /// The Prometheus that wrote to the archive, and still has the time in question
    #[arg(long, value_name = "URL")]
    source: Url,

    /// From when: RFC 3339, or a duration before now
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: i64,

    /// Until when; what is newer than some minutes may be on its way
    #[arg(long, value_name = "TIME", value_parser = parse_time, default_value = "5m")]
    to: i64,

    /// Series to look at
    #[arg(long = "match", value_name = "SELECTOR", value_parser = parse_selector, default_value = "{__name__=~\".+\"}")]
    selector: Selector,

    /// So much is compared at a time, in memory
    #[arg(long, value_name = "DURATION", value_parser = parse_window, default_value = "5m")]
    window: Duration,

    /// Send what is missing to the bridge
    #[arg(long)]
    repair: bool,

    /// The bridge, for --repair
    #[arg(long = "bridge", value_name = "URL", default_value = "http://127.0.0.1:9201")]
    bridge: Url,
}

fn parse_window(text: &str) -> Result<Duration, String> {
    parse_duration(text).filter(|window| !window.is_zero()).ok_or_else(|| "expected a duration like 5m".to_owned())
}

/// Why it cannot go on.
#[derive(Debug, thiserror::Error)]
enum AuditError {
    #[error("{0} does not answer: {1}")]
    Unreachable(Url, #[source] reqwest::Error),
    #[error("{0} answered {1}: {2}")]
    Refused(Url, reqwest::StatusCode, String),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("failed to pack a request: {0}")]
    Pack(#[from] snap::Error),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Send(#[from] SendError),
}

/// Exit codes: 0 nothing is missing, or all of it was taken; 1 something is; 2 config, usage, no answer, or nothing to
/// compare.
pub async fn run(options: Options) -> Outcome {
    let config = super::config(&options.config_file)?;
    super::in_order(options.from, options.to)?;
    let replica_label = config.ingest.replica_label.clone();
    let connection = super::connection(config)?;
    let audit = Audit { options, connection, replica_label, http: Client::new() };
    let report = audit.work().await.map_err(|error| failed(2, &error))?;
    let Options { source, from, to, repair, .. } = &audit.options;
    let span = format!("{} to {}", time::display(*from), time::display(*to));
    if report.samples == 0 {
        return Err(failed(2, &format_args!("{source} has no samples from {span}: nothing was compared")));
    }
    say(&format!("{span}\n{}", report.text(*repair)));
    let is_repaired = *repair && report.refused.is_none();
    Ok(if report.missing() == 0 || is_repaired { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Audit {
    options: Options,
    connection: Connection,
    replica_label: String,
    http: Client,
}

/// What was found.
#[derive(Debug, Default)]
struct Report {
    series: HashSet<u128>,
    samples: u64,
    /// By metric, and the hour that they begin with.
    missing: BTreeMap<(String, i64), u64>,
    /// What the bridge says of what it does not take: requests, and of the first one.
    refused: Option<(u64, String)>,
}

#[derive(Debug, Row, Deserialize)]
struct CountRow {
    series_id: u128,
    samples: u64,
}

#[derive(Debug, Row, Deserialize)]
struct TimeRow {
    series_id: u128,
    timestamp: i64,
}

impl Report {
    fn missing(&self) -> u64 {
        self.missing.values().sum()
    }

    fn text(&self, is_repaired: bool) -> String {
        let (series, samples, missing) = (self.series.len(), self.samples, self.missing());
        let mut text =
            format!("{samples} samples of {series} series at the source, {missing} missing in the archive\n");
        for ((metric, hour), count) in self.missing.iter().take(MAX_LINES) {
            text.push_str(&format!("{}  {count:>10}  {metric}\n", time::display(*hour)));
        }
        if self.missing.len() > MAX_LINES {
            text.push_str(&format!("and {} metrics and hours more\n", self.missing.len() - MAX_LINES));
        }
        if missing > 0 {
            text.push_str(if is_repaired { "all of them were sent\n" } else { "to send them: --repair\n" });
        }
        if let Some((requests, reason)) = &self.refused {
            text.push_str(&format!("the bridge did not take {requests} requests as a whole; of the first: {reason}\n"));
        }
        text
    }
}

impl Audit {
    async fn work(&self) -> Result<Report, AuditError> {
        let matchers: Vec<_> = self.options.selector.matchers.iter().map(wire_matcher).collect();
        self.connection.check().await?;
        let Options { from, to, window, .. } = &self.options;
        let step = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        let starts: Vec<i64> = std::iter::successors(Some(*from), |start| start.checked_add(step))
            .take_while(|start| start < to)
            .collect();
        let progress = progress(starts.len() as u64, "windows");
        let mut sender = Sender::new(below(&self.options.bridge, "api/v1/write"), Version::V1)?;
        let mut report = Report::default();
        for start in starts {
            let missing = self.compare(start, start.saturating_add(step).min(*to) - 1, &matchers, &mut report).await?;
            if self.options.repair {
                for series in &missing {
                    let labels = series.labels.iter().map(|label| (label.name.as_str(), label.value.as_str()));
                    let labels: Vec<_> = labels.collect();
                    for sample in &series.samples {
                        sender.add(&labels, Point::Float(*sample)).await?;
                    }
                }
                sender.flush().await?;
            }
            progress.set_message(format!("{} missing", report.missing()));
            progress.inc(1);
        }
        progress.finish_and_clear();
        report.refused = sender.refused;
        Ok(report)
    }

    /// What the source has in a window and the archive has not.
    async fn compare(
        &self,
        start: i64,
        end: i64,
        matchers: &[LabelMatcher],
        report: &mut Report,
    ) -> Result<Vec<TimeSeries>, AuditError> {
        let at_source = self.read(start, end, matchers).await?;
        let sql = "SELECT series_id, count() AS samples FROM samples FINAL WHERE \
                   timestamp BETWEEN fromUnixTimestamp64Milli(?, 'UTC') AND fromUnixTimestamp64Milli(?, 'UTC') \
                   GROUP BY series_id";
        let counts: Vec<CountRow> =
            self.connection.fetch(|client| client.query(sql).bind(start).bind(end), "series", usize::MAX - 1).await?;
        let counts: HashMap<u128, u64> = counts.into_iter().map(|row| (row.series_id, row.samples)).collect();
        let mut short = Vec::new();
        for series in at_source {
            let Some(id) = self.id(&series) else { continue };
            report.series.insert(id);
            report.samples += series.samples.len() as u64;
            if counts.get(&id).copied().unwrap_or(0) < series.samples.len() as u64 {
                short.push((id, series));
            }
        }
        let mut missing = Vec::new();
        for part in short.chunks(SERIES_AT_ONCE) {
            let ids: Vec<_> = part.iter().map(|(id, _)| id.to_string()).collect();
            // One string: ClickHouse takes literals of that size for floating-point numbers.
            let sql = "SELECT series_id, timestamp FROM samples \
                       WHERE series_id IN (SELECT toUInt128(arrayJoin(splitByChar(',', ?)))) AND \
                       timestamp BETWEEN fromUnixTimestamp64Milli(?, 'UTC') AND fromUnixTimestamp64Milli(?, 'UTC')";
            let bind = |client: &clickhouse::Client| client.query(sql).bind(ids.join(",")).bind(start).bind(end);
            let rows: Vec<TimeRow> = self.connection.fetch(bind, "samples", usize::MAX - 1).await?;
            let stored: HashSet<_> = rows.into_iter().map(|row| (row.series_id, row.timestamp)).collect();
            for (id, series) in part {
                let is_missing = |sample: &&Sample| !stored.contains(&(*id, sample.timestamp));
                let samples: Vec<_> = series.samples.iter().filter(is_missing).copied().collect();
                if samples.is_empty() {
                    continue;
                }
                let name = series.labels.iter().find(|label| label.name == METRIC_NAME);
                let name = name.map_or_else(String::new, |label| label.value.clone());
                let hour = samples[0].timestamp.div_euclid(3_600_000) * 3_600_000;
                *report.missing.entry((name, hour)).or_default() += samples.len() as u64;
                missing.push(TimeSeries { labels: series.labels.clone(), samples, ..TimeSeries::default() });
            }
        }
        Ok(missing)
    }

    /// As the archive knows it.
    fn id(&self, series: &TimeSeries) -> Option<u128> {
        let pairs = series.labels.iter().map(|label| (label.name.as_str(), label.value.as_str())).collect();
        let labels = LabelSet::of_pairs(pairs).ok()?;
        Some(pairs::of_replica(labels, &self.replica_label).0.identity().series_id)
    }

    /// Asks the source.
    async fn read(&self, start: i64, end: i64, matchers: &[LabelMatcher]) -> Result<Vec<TimeSeries>, AuditError> {
        let query = Query { start_timestamp_ms: start, end_timestamp_ms: end, matchers: matchers.to_vec() };
        let request = ReadRequest { queries: vec![query], accepted_response_types: vec![] };
        let url = below(&self.options.source, "api/v1/read");
        let headers = [(CONTENT_TYPE, wire::CONTENT_TYPE), (CONTENT_ENCODING, "snappy")];
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        let question = self.http.post(url.clone()).headers(HeaderMap::from_iter(headers)).body(wire::encode(&request)?);
        let unreachable = |error: reqwest::Error| AuditError::Unreachable(url.clone(), error.without_url());
        let response = question.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        if !status.is_success() {
            return Err(AuditError::Refused(url, status, String::from_utf8_lossy(&body).trim_end().to_owned()));
        }
        let response: ReadResponse = wire::decode(&body, "prometheus.ReadResponse", MAX_ANSWER_BYTES)?;
        Ok(response.results.into_iter().flat_map(|result| result.timeseries).collect())
    }
}

fn wire_matcher(matcher: &Matcher) -> LabelMatcher {
    let kind = match matcher.op {
        MatcherOp::Equal => MatcherType::Equal,
        MatcherOp::NotEqual => MatcherType::NotEqual,
        MatcherOp::Regex => MatcherType::Regex,
        MatcherOp::NotRegex => MatcherType::NotRegex,
    };
    LabelMatcher { r#type: kind as i32, name: matcher.name.clone(), value: matcher.value.clone() }
}
