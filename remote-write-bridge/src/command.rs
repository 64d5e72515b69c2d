//! Commands beside the daemon, and what several of them have in common.

pub mod audit;
pub mod cardinality;
pub mod erase;
pub mod export;
pub mod import;
pub mod schema;

use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use lynceus_promql::{Expr, Matcher};
use lynceus_service::{load, parse_duration};
use url::Url;

use crate::archive::Connection;
use crate::config::Config;
use crate::{select, time};

/// How a command ends; what there is to say has been said.
pub type Outcome = Result<ExitCode, ExitCode>;

/// Series that a command is about.
#[derive(Debug, Clone)]
struct Selector {
    /// As typed.
    text: String,
    matchers: Vec<Matcher>,
}

/// For `--match`.
fn parse_selector(text: &str) -> Result<Selector, String> {
    match lynceus_promql::parse(text) {
        Ok(Expr::Vector(selector)) => Ok(Selector { text: text.to_owned(), matchers: select::matchers(&selector) }),
        Ok(_) => Err("expected a selector, like {job=\"node\"}".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// For `--from` and `--to`.
fn parse_time(text: &str) -> Result<i64, String> {
    if let Some(ago) = parse_duration(text) {
        return Ok(time::now_millis() - i64::try_from(ago.as_millis()).unwrap_or(i64::MAX));
    }
    let parsed = text.parse::<jiff::Timestamp>();
    parsed
        .map(jiff::Timestamp::as_millisecond)
        .map_err(|_| "expected a time like 2026-11-26T08:00:00Z, or 2h".to_owned())
}

/// Whether there is time between `--from` and `--to`.
fn in_order(from: i64, to: i64) -> Result<(), ExitCode> {
    if from < to {
        return Ok(());
    }
    let (from, to) = (time::display(from), time::display(to));
    Err(failed(2, &format_args!("--from: expected a time before --to, {to}, found {from}")))
}

/// Says why a command ends.
fn failed(code: u8, problem: &dyn Display) -> ExitCode {
    eprintln!("{problem}");
    ExitCode::from(code)
}

/// Writes an answer. Who reads may have enough of it.
fn say(text: &str) {
    drop(std::io::stdout().write_all(text.as_bytes()));
}

fn config(file: &Path) -> Result<Config, ExitCode> {
    lynceus_service::tls::install_provider();
    load(file).map_err(|problems| failed(2, &problems))
}

fn connection(config: Config) -> Result<Connection, ExitCode> {
    let connection = Connection::new(config, "nothing was asked yet".to_owned());
    connection.map_err(|error| failed(2, &format_args!("clickhouse.tls: {error}")))
}

/// A bar for so many of something.
fn progress(length: u64, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {what}, {{eta}} left  {{msg}}"));
    let progress = ProgressBar::new(length);
    progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    progress
}

/// Below a base, which may have a path.
fn below(base: &Url, path: &str) -> Url {
    Url::parse(&format!("{}/{path}", base.as_str().trim_end_matches('/'))).unwrap_or_else(|_| base.clone())
}
