//! What a person sees while the demo starts: a spinner on a terminal, plain lines elsewhere.

use std::future::Future;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Runs a step and says how it went.
#[expect(clippy::print_stderr, reason = "progress is for the person at the terminal")]
pub async fn step<T>(what: &str, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let start = Instant::now();
    let spinner = std::io::stderr().is_terminal().then(|| {
        let bar = ProgressBar::new_spinner().with_message(what.to_owned());
        bar.set_style(
            ProgressStyle::with_template("{spinner} {msg} {elapsed}").unwrap_or(ProgressStyle::default_spinner()),
        );
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    });
    let outcome = work.await;
    if let Some(spinner) = spinner {
        spinner.finish_and_clear();
    }
    let mark = if outcome.is_ok() { "ok    " } else { "FAILED" };
    eprintln!("{mark} {what} ({:.1} s)", start.elapsed().as_secs_f64());
    outcome
}
