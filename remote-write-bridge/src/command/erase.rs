//! `lynceus-bridge erase`: deletes series for good, with a record.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clickhouse::Row;
use indicatif::ProgressBar;
use serde::Deserialize;
use url::Url;

use super::{Outcome, Selector, below, failed, parse_selector};
use crate::archive::{ArchiveError, Connection};
use crate::rollup::{self, Blocks};
use crate::select::Selection;
use crate::time::{self, LATEST};

const HOUR: i64 = 3_600_000;

/// What the command line says.
#[derive(Debug, Args)]
pub struct Options {
    /// Config file, in YAML
    #[arg(long = "config.file", value_name = "FILE", default_value = "bridge.yml")]
    config_file: PathBuf,

    /// Series to delete
    #[arg(long = "match", value_name = "SELECTOR", value_parser = parse_selector)]
    selector: Selector,

    /// Only from this full hour on, in RFC 3339; without --from and --to labels are deleted too
    #[arg(long, value_name = "TIME", value_parser = parse_hour)]
    from: Option<i64>,

    /// Only until this full hour
    #[arg(long, value_name = "TIME", value_parser = parse_hour)]
    to: Option<i64>,

    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// Delete; without it the command only says what it would delete
    #[arg(long)]
    yes: bool,

    /// The bridge, which is told to forget what it knows of the series
    #[arg(long = "bridge", value_name = "URL", default_value = "http://127.0.0.1:9201")]
    bridge: Url,
}

/// Roll-ups are of whole hours.
fn parse_hour(text: &str) -> Result<i64, String> {
    let time = text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond);
    time.filter(|time| time % HOUR == 0).ok_or_else(|| "expected a full hour like 2026-11-26T08:00:00Z".to_owned())
}

#[derive(Debug, Row, Deserialize)]
struct Counts {
    series: u64,
    samples: u64,
}

/// Exit codes: 0 deleted, or said what would be; 1 ClickHouse or the bridge fails; 2 config or usage.
pub async fn run(options: Options) -> Outcome {
    if let (Some(from), Some(to)) = (options.from, options.to) {
        super::in_order(from, to)?;
    }
    let config = super::config(&options.config_file)?;
    let blocks = config.rollups.blocks;
    let connection = super::connection(config)?;
    // An hour has its end and not its start.
    let (first, last) = (options.from.map_or(0, |from| from + 1), options.to.unwrap_or(LATEST));
    let selection = Selection::new(first, last, std::slice::from_ref(&options.selector.matchers));
    erase(&options, &connection, &selection, (first, last), blocks).await.map_err(|error| failed(1, &error))?;
    if options.yes {
        tell(&options.bridge).await?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn erase(
    options: &Options,
    connection: &Connection,
    selection: &Selection,
    (first, last): (i64, i64),
    all_blocks: Blocks,
) -> Result<(), ArchiveError> {
    connection.check().await?;
    let found: Vec<Counts> = connection.fetch(|client| selection.counts(client), "counts", 1).await?;
    let Counts { series, samples } = found.first().unwrap_or(&Counts { series: 0, samples: 0 });
    let all = options.from.is_none() && options.to.is_none();
    let what = if all { "and their labels" } else { "but not their labels" };
    eprintln!("{series} series, {samples} samples with roll-ups, histograms and exemplars, {what}");
    if !options.yes {
        eprintln!("nothing is deleted; to delete them: --yes");
        return Ok(());
    }
    let progress = ProgressBar::new_spinner();
    progress.enable_steady_tick(Duration::from_millis(100));
    // Of blocks of hours, all that have one of the hours.
    let block_end = |time| all_blocks.last_hour(rollup::hour_of(time)) * HOUR;
    let blocks = Selection::new(first, block_end(last), std::slice::from_ref(&options.selector.matchers));
    for (table, column, selection) in [
        ("samples", "timestamp", selection),
        ("histograms", "timestamp", selection),
        ("exemplars", "timestamp", selection),
        ("rollup_1h", "bucket", selection),
        ("rollup_5m", "bucket", selection),
        ("rollup_6h", "bucket", &blocks),
    ] {
        progress.set_message(table);
        let place = connection.altered(table);
        connection.execute(|client| selection.erase(client, &place, &connection.local("series"), column)).await?;
    }
    // Their other hours are still there.
    for border in [options.from.map(|from| from + 1), options.to].into_iter().flatten() {
        rollup::make_block(connection, block_end(border) / HOUR).await?;
    }
    if all {
        progress.set_message("labels");
        let place = connection.altered("starts");
        connection.execute(|client| selection.erase_always(client, &place, &connection.local("series"))).await?;
        let place = connection.altered("series");
        connection.execute(|client| selection.erase_series(client, &place)).await?;
    }
    let record = "INSERT INTO erasures SELECT now64(3, 'UTC'), ?, fromUnixTimestamp64Milli(?, 'UTC'), \
                  fromUnixTimestamp64Milli(?, 'UTC'), ?, ?, ?";
    connection
        .execute(|client| {
            let query = client.query(record).bind(&options.selector.text).bind(first).bind(last);
            query.bind(series).bind(samples).bind(&options.reason)
        })
        .await?;
    progress.finish_and_clear();
    eprintln!("deleted from {} to {}; recorded in table erasures", time::display(first), time::display(last));
    Ok(())
}

/// The bridge remembers which labels are stored: they are not any more.
async fn tell(bridge: &Url) -> Result<(), ExitCode> {
    let url = below(bridge, "-/reload");
    let outcome = reqwest::Client::new().post(url.clone()).send().await.and_then(reqwest::Response::error_for_status);
    let hint = "reload the bridge, else samples of these series that come from now on have no labels";
    outcome.map(drop).map_err(|error| failed(1, &format_args!("{url}: {error}; {hint}")))
}
