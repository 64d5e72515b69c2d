//! `lynceus-bridge cardinality`: where the series of a month come from, and what has grown since the month before.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clickhouse::Row;
use jiff::civil::Date;
use serde::Deserialize;

use super::{Outcome, failed, say};
use crate::archive::{ArchiveError, Connection};
use crate::time;

/// What the command line says.
#[derive(Debug, Args)]
pub struct Options {
    /// Config file, in YAML
    #[arg(long = "config.file", value_name = "FILE", default_value = "bridge.yml")]
    config_file: PathBuf,

    /// The month, like 2026-11; this one by default
    #[arg(long, value_name = "MONTH", value_parser = parse_month)]
    month: Option<Date>,

    /// Lines of each table
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    top: usize,
}

fn parse_month(text: &str) -> Result<Date, String> {
    format!("{text}-01").parse().map_err(|_| "expected a month like 2026-11".to_owned())
}

/// Something of which there were so many in the month, and in the month before.
#[derive(Debug, Row, Deserialize)]
struct Line {
    name: String,
    now: u64,
    before: u64,
}

/// A label, its values, and the job that has most of them.
#[derive(Debug, Row, Deserialize)]
struct LabelLine {
    name: String,
    now: u64,
    before: u64,
    job: String,
    of_job: u64,
}

#[derive(Debug, Row, Deserialize)]
struct Disk {
    table: String,
    all_rows: u64,
    bytes: u64,
}

/// Exit codes: 0 fine, 1 ClickHouse fails, 2 config or usage.
pub async fn run(options: Options) -> Outcome {
    let connection = super::connection(super::config(&options.config_file)?)?;
    say(&report(&connection, &options).await.map_err(|error| failed(1, &error))?);
    Ok(ExitCode::SUCCESS)
}

async fn report(connection: &Connection, options: &Options) -> Result<String, ArchiveError> {
    let now = options.month.unwrap_or_else(time::today).first_of_month();
    let before = now.yesterday().unwrap_or(now).first_of_month();
    let top = options.top;
    connection.check().await?;

    let months = format!("month IN ('{now}', '{before}')");
    let counted = |name: &str| {
        format!(
            "SELECT {name} AS name, uniqExactIf(series_id, month = '{now}') AS now, \
             uniqExactIf(series_id, month = '{before}') AS before FROM series WHERE {months} \
             GROUP BY name ORDER BY now DESC, before DESC, name LIMIT {top}"
        )
    };
    let labels = format!(
        "SELECT name, sum(of_now) AS now, sum(of_before) AS before, argMax(source, of_now) AS job, max(of_now) AS of_job FROM (\
         SELECT pair.1 AS name, labels['job'] AS source, uniqExactIf(pair.2, month = '{now}') AS of_now, \
         uniqExactIf(pair.2, month = '{before}') AS of_before \
         FROM series ARRAY JOIN arrayZip(mapKeys(labels), mapValues(labels)) AS pair WHERE {months} GROUP BY name, source) \
         GROUP BY name ORDER BY toInt64(now) - toInt64(before) DESC, now DESC, name LIMIT {top}"
    );
    let disk = format!(
        "SELECT table, sum(rows) AS all_rows, sum(bytes_on_disk) AS bytes FROM system.parts \
         WHERE database = currentDatabase() AND active AND startsWith(partition, '{:04}{:02}') \
         GROUP BY table ORDER BY bytes DESC, table",
        now.year(),
        now.month()
    );
    let lines = async |sql: &str| -> Result<Vec<Line>, ArchiveError> {
        connection.fetch(|client| client.query(sql), "lines", 1_000_000).await
    };
    let month = now.strftime("%Y-%m");
    let mut text = format!("Series in {month}, and in the month before\n");
    table(&mut text, "", lines(&counted("''")).await?.iter().map(|line| ("all".to_owned(), line.now, line.before)));
    for (title, name) in [("by job", "labels['job']"), ("by metric", "metric_name")] {
        let found = lines(&counted(name)).await?;
        table(&mut text, title, found.into_iter().map(|line| (line.name, line.now, line.before)));
    }
    let labels: Vec<LabelLine> = connection.fetch(|client| client.query(&labels), "lines", 1_000_000).await?;
    let with_job = |line: LabelLine| {
        let job = if line.job.is_empty() { "no job".to_owned() } else { format!("job {}", line.job) };
        (format!("{}  ({} of {job})", line.name, line.of_job), line.now, line.before)
    };
    table(&mut text, "Values of labels, those that grew most first", labels.into_iter().map(with_job));
    let disk: Vec<Disk> = connection.fetch(|client| client.query(&disk), "lines", 1_000_000).await?;
    text.push_str(&format!("\nOn disk, {month}\n"));
    for Disk { table, all_rows: rows, bytes } in disk {
        let each = if rows == 0 { 0. } else { bytes as f64 / rows as f64 };
        text.push_str(&format!("{:>12.1} MB  {rows:>14} rows  {each:>6.2} bytes each  {table}\n", bytes as f64 / 1e6));
    }
    Ok(text)
}

fn table(text: &mut String, title: &str, lines: impl Iterator<Item = (String, u64, u64)>) {
    if !title.is_empty() {
        text.push_str(&format!("\n{title}\n"));
    }
    for (name, now, before) in lines {
        let change = i128::from(now) - i128::from(before);
        let name = if name.is_empty() { "(none)" } else { &name };
        text.push_str(&format!("{now:>12}  {change:>+12}  {name}\n"));
    }
}
