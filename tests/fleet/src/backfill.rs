//! `lynceus-fleet backfill`: the past of the estate, written through remote write.
//!
//! ```text
//!  Prometheus that scrapes the exporter ──▶ like: which series there are, label by label
//!                                             │
//!  model, a step at a time ──▶ history: their samples, a day at a time ──▶ body ──▶ send ──▶ receiver
//! ```
//!
//! Series are those that Prometheus has, so that past and present of each are one series; a dozen metrics have a past. In the
//! past nothing goes wrong: machines have the load of the model, and no scenario.

mod body;
mod history;
mod like;
mod metric;
mod send;

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use lynceus_service::{format_duration, parse_duration};
use reqwest::Url;
use tokio::sync::mpsc;

use crate::model::{Model, Size, TICK_MILLIS, Time};
use history::History;
use send::Sender;

const EXAMPLES: &str = "Examples:
  lynceus-fleet backfill --like http://127.0.0.1:9090 --label prometheus=demo \\
    --url http://127.0.0.1:9201/api/v1/write
      thirty days for the series of the demo
  lynceus-fleet backfill --vms 1500 --days 730 --step 15m --like http://127.0.0.1:9090 \\
    --url http://127.0.0.1:9201/api/v1/write
      two years, thinned

--vms and --seed are those of the fleet that Prometheus' series come from.
Exit codes: 0 all was taken; 1 the receiver or Prometheus fails; 2 usage.";

const DAY: i64 = 86_400_000;
/// Days that are made beforehand.
const AHEAD: usize = 1;

/// Writes the estate's past to a receiver of remote write
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// The receiver
    #[arg(long, value_name = "URL")]
    url: Url,

    /// The Prometheus whose series get a past: it scrapes the exporter, which collects from this fleet
    #[arg(long, value_name = "URL")]
    like: Url,

    /// A label that Prometheus adds to what it writes remotely (`external_labels`); repeatable
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,

    /// How many days
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    days: u32,

    /// From when, instead of --days: RFC 3339
    #[arg(long, value_name = "TIME", conflicts_with = "days")]
    from: Option<jiff::Timestamp>,

    /// Until when: RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<jiff::Timestamp>,

    /// Time between two samples of a series, a multiple of 20s
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = step)]
    step: Duration,

    /// Requests that are under way at a time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    senders: u8,

    /// Virtual machines of the fleet
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    vms: u32,

    /// Seed of the fleet
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn label(text: &str) -> Result<(String, String), String> {
    let label = text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
    label.map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| "expected NAME=VALUE".to_owned())
}

fn step(text: &str) -> Result<Duration, String> {
    let is_whole =
        |step: &Duration| !step.is_zero() && step.as_millis().is_multiple_of(TICK_MILLIS.unsigned_abs().into());
    parse_duration(text).filter(is_whole).ok_or_else(|| "expected a multiple of 20s, like 5m".to_owned())
}

/// Writes all of it, and shows how far it is.
#[expect(clippy::print_stderr, reason = "speaks to the person at the terminal")]
pub async fn run(options: Options) -> anyhow::Result<()> {
    let now = jiff::Timestamp::now();
    let to = options.to.unwrap_or(now).as_millisecond();
    let from = options.from.map_or(to - i64::from(options.days) * DAY, jiff::Timestamp::as_millisecond);
    ensure!(from < to, "expected --from before --to, found {} and {}", Time(from), Time(to));
    let step = i64::try_from(options.step.as_millis())?;
    let model = Model::new(options.seed, Size::of(options.vms), Time(now.as_millisecond()));
    let found = like::series(&options.like, &options.labels).await?;
    let (history, strange) = History::new(model, found, step);
    if history.series() == 0 {
        bail!(
            "none of the series of `{}` is of a machine of this fleet ({} are of others, or of no machine); \
             --vms and --seed have to be those of the fleet that it scrapes",
            options.like,
            strange
        );
    }
    let steps = (to - 1).div_euclid(step) - (from - 1).div_euclid(step);
    eprintln!(
        "{} series from {} to {}, every {}{}",
        history.series(),
        Time(from),
        Time(to),
        format_duration(options.step),
        if strange > 0 { format!("; {strange} are of no machine of this fleet") } else { String::new() }
    );
    let style =
        ProgressStyle::with_template("{bar:40} {percent}% of {human_len} samples, {per_sec}, {eta} left  {msg}");
    let progress = ProgressBar::new(history.series() as u64 * steps.unsigned_abs());
    progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));

    let mut days: VecDeque<_> = days(from, to).collect();
    let (maker, mut made) = mpsc::channel(AHEAD);
    let making = tokio::task::spawn_blocking(move || {
        let mut history = history;
        while let Some((start, end)) = days.pop_front() {
            // An error means that nobody sends any more.
            if maker.blocking_send((start, history.bodies(start, end))).is_err() {
                return;
            }
        }
    });
    let sender = Sender::new(options.url, usize::from(options.senders))?;
    let begin = std::time::Instant::now();
    let mut at = from;
    let work = async {
        while let Some((start, bodies)) = made.recv().await {
            at = start;
            progress.set_message(Time(start).to_string().split('T').next().unwrap_or_default().to_owned());
            sender.send(bodies, |samples| progress.inc(samples)).await?;
        }
        anyhow::Ok(())
    };
    let outcome = tokio::select! {
        outcome = work => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    drop(made);
    making.await.context("the model failed")?;
    progress.finish_and_clear();
    let (samples, bytes, repeated) = sender.sent();
    let seconds = begin.elapsed().as_secs_f64();
    eprintln!(
        "{samples} samples, {:.1} MB, {repeated} requests repeated, {seconds:.1} s, {:.0} samples/s",
        bytes as f64 / 1e6,
        samples as f64 / seconds
    );
    outcome.with_context(|| format!("to go on: --from {}", Time(at)))
}

/// Days of UTC, the first and the last one cut: first millisecond, and the one behind the last.
fn days(from: i64, to: i64) -> impl Iterator<Item = (i64, i64)> {
    let first = from.div_euclid(DAY);
    let last = (to - 1).div_euclid(DAY);
    (first..=last).map(move |day| ((day * DAY).max(from), ((day + 1) * DAY).min(to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_utc() {
        let of: Vec<_> = days(DAY / 2, 2 * DAY + 1).collect();
        assert_eq!(of, [(DAY / 2, DAY), (DAY, 2 * DAY), (2 * DAY, 2 * DAY + 1)]);
    }

    #[test]
    fn a_step_is_a_multiple_of_a_sample() {
        assert_eq!(step("5m"), Ok(Duration::from_secs(300)));
        for wrong in ["0", "30s", "1", "fast"] {
            assert!(step(wrong).is_err(), "{wrong}");
        }
    }
}
