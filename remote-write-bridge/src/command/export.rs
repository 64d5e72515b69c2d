//! `lynceus-bridge export`: samples of the archive as Prometheus' blocks, as text, or to another receiver.
//!
//! Window by window and series by series, so that it does not matter how much it is.

mod blocks;
mod openmetrics;
mod remote_write;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use lynceus_promql::{Matcher, MatcherOp};
use lynceus_service::parse_duration;

use super::{Outcome, Selector, failed, parse_selector, parse_time, progress};
use crate::archive::{ArchiveError, Connection};
use crate::chunk::StoredError;
use crate::config::ReadLimits;
use crate::fetch::{Budget, Scan};
use crate::metrics::Metrics;
use crate::remote::{SendError, Version};
use crate::select::Selection;
use crate::time::LATEST;

/// What blocks of Prometheus are a multiple of.
const SHORTEST_BLOCK: Duration = Duration::from_secs(7200);

/// What the command line says.
#[derive(Debug, Args)]
pub struct Options {
    /// Config file, in YAML
    #[arg(long = "config.file", value_name = "FILE", default_value = "bridge.yml")]
    config_file: PathBuf,

    /// Series to write
    #[arg(long = "match", value_name = "SELECTOR", value_parser = parse_selector, default_value = "{__name__=~\".+\"}")]
    selector: Selector,

    /// From when: RFC 3339, or a duration before now
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: i64,

    /// Until when, that moment not included
    #[arg(long, value_name = "TIME", value_parser = parse_time, default_value = "0s")]
    to: i64,

    /// As what
    #[arg(long, value_enum, default_value_t = Format::Blocks)]
    format: Format,

    /// A folder for blocks, a file or - for OpenMetrics, a URL for remote write
    #[arg(long, value_name = "PLACE")]
    output: String,

    /// Time that a block has, from full multiples of it on; a multiple of 2h. With remote-write, so much is sent at a time
    #[arg(long, value_name = "DURATION", value_parser = parse_block_duration, default_value = "1d")]
    block_duration: Duration,

    /// Version of remote write
    #[arg(long, value_enum, value_name = "VERSION", default_value_t = Version::V1)]
    remote_write_version: Version,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Folders that Prometheus reads when they are in its own
    Blocks,
    /// Text for `promtool tsdb create-blocks-from openmetrics`; without native histograms and stale markers
    Openmetrics,
    /// Requests to a receiver
    RemoteWrite,
}

fn parse_block_duration(text: &str) -> Result<Duration, String> {
    let is_multiple =
        |duration: &Duration| !duration.is_zero() && duration.as_millis().is_multiple_of(SHORTEST_BLOCK.as_millis());
    parse_duration(text).filter(is_multiple).ok_or_else(|| "expected a multiple of 2h, like 1d".to_owned())
}

/// Why it cannot go on.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Stored(#[from] StoredError),
    #[error("{place}: {error}")]
    Io { place: String, error: io::Error },
    #[error("--output: expected a URL, found `{0}`: {1}")]
    Url(String, url::ParseError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("interrupted")]
    Interrupted,
}

impl ExportError {
    /// Whether who reads the text has read enough, as `head` does.
    fn is_enough(&self) -> bool {
        matches!(self, Self::Io { place, error } if place == "-" && error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// What was written.
#[derive(Debug)]
struct Summary {
    lines: Vec<String>,
    /// A receiver did not take all.
    is_refused: bool,
}

/// Exit codes: 0 all is written; 1 ClickHouse, the disk or the receiver fails; 2 config or usage.
pub async fn run(options: Options) -> Outcome {
    let config = super::config(&options.config_file)?;
    super::in_order(options.from, options.to)?;
    // As in remote read: what is stored has no such label.
    let mut matchers = options.selector.matchers;
    matchers.retain(|matcher| matcher.name != config.ingest.replica_label);
    let connection = Arc::new(super::connection(config)?);
    let (from, to) = (options.from.max(0), options.to.min(LATEST));
    let source = Source { connection, matchers, from, to, window: options.block_duration, metrics: Metrics::new() };
    let work = async {
        source.connection.check().await?;
        match options.format {
            Format::Blocks => blocks::write(&source, options.output.as_ref()).await,
            Format::Openmetrics => openmetrics::write(&source, &options.output).await,
            Format::RemoteWrite => remote_write::write(&source, &options.output, options.remote_write_version).await,
        }
    };
    // What is half written is taken away.
    let outcome = tokio::select! {
        outcome = work => outcome,
        _ = tokio::signal::ctrl_c() => Err(ExportError::Interrupted),
    };
    let Summary { lines, is_refused } = match outcome {
        Err(error) if error.is_enough() => return Ok(ExitCode::SUCCESS),
        outcome => outcome.map_err(|error| failed(1, &error))?,
    };
    lines.iter().for_each(|line| eprintln!("{line}"));
    Ok(if is_refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What is written, and from where.
struct Source {
    connection: Arc<Connection>,
    matchers: Vec<Matcher>,
    from: i64,
    to: i64,
    window: Duration,
    metrics: Metrics,
}

impl Source {
    /// First and last millisecond of each window, which begins at a multiple of its length.
    fn windows(&self) -> Vec<(i64, i64)> {
        let length = i64::try_from(self.window.as_millis()).unwrap_or(i64::MAX);
        let first = self.from.div_euclid(length) * length;
        let starts = std::iter::successors(Some(first), |start| start.checked_add(length));
        let window = |start: i64| (start.max(self.from), start.saturating_add(length).min(self.to) - 1);
        starts.take_while(|start| *start < self.to).map(window).collect()
    }

    /// All that matches, and matches more.
    async fn scan(&self, (first, last): (i64, i64), more: Option<Matcher>) -> Result<Scan, ArchiveError> {
        let matchers = self.matchers.iter().cloned().chain(more).collect();
        let selection = Selection::new(first, last, &[matchers]);
        let most = u32::MAX as usize;
        let mut budget = Budget::new(ReadLimits { max_series: most, max_samples: usize::MAX >> 1, max_concurrent: 1 });
        budget.scan(self.connection.clone(), selection, &self.metrics).await
    }

    /// Names of metrics, sorted; that of series without one is empty.
    async fn metrics(&self) -> Result<Vec<String>, ArchiveError> {
        let selection = Selection::new(self.from, self.to - 1, std::slice::from_ref(&self.matchers));
        let (select, rest) = ("DISTINCT metric_name", "ORDER BY metric_name");
        let most = u32::MAX as usize;
        self.connection.fetch(|client| selection.of_series(client, &[], select, rest), "series", most).await
    }
}

fn named(metric: &str) -> Matcher {
    Matcher::new(crate::labels::METRIC_NAME, MatcherOp::Equal, metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_durations_are_multiples_of_two_hours() {
        assert_eq!(parse_block_duration("1d"), Ok(Duration::from_secs(86_400)));
        for wrong in ["0", "1h", "3h", "soon"] {
            assert_eq!(parse_block_duration(wrong), Err("expected a multiple of 2h, like 1d".to_owned()), "{wrong}");
        }
    }
}
