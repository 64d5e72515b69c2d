//! What reading samples will cost, from the roll-ups of the same time.

use std::time::Duration;

use clickhouse::Client;
use lynceus_promql::{Expr, Hints, Matcher, MatcherOp, Span, VectorSelector};
use lynceus_service::format_duration;

use crate::archive::{ArchiveError, Connection};
use crate::labels::METRIC_NAME;
use crate::select::Selection;
use crate::time;

/// Less is read without looking first.
const WORTH_A_LOOK: i64 = 24 * 3_600_000;

/// About how many samples a selector reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    samples: u64,
    series: u64,
}

/// Why a query is not begun: what it would cost, and what would make it fit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct TooCostly(String);

/// None where it is little in any case.
pub(super) async fn estimate(
    connection: &Connection,
    selection: &Selection,
    hints: &Hints,
) -> Result<Option<Cost>, ArchiveError> {
    if hints.end.saturating_sub(hints.start) < WORTH_A_LOOK {
        return Ok(None);
    }
    let sql = |client: &Client| selection.rolled_up(client);
    let found: Vec<(u64, u64)> = connection.fetch(sql, "rows", 1).await?;
    Ok(found.first().map(|(samples, series)| {
        let of_step = if hints.step > hints.window { hints.window as f64 / hints.step as f64 } else { 1. };
        Cost { samples: (*samples as f64 * of_step) as u64, series: *series }
    }))
}

impl Cost {
    pub(super) fn check(&self, matchers: &[Matcher], hints: &Hints, left: usize) -> Result<(), TooCostly> {
        let Self { samples, series } = *self;
        let part = left as f64 / samples.max(1) as f64;
        if part >= 1. {
            return Ok(());
        }
        let minutes = |minutes: f64| format_duration(Duration::from_secs(60 * minutes as u64));
        let fits = minutes(((hints.end - hints.start) as f64 * part / 60_000.).floor());
        let step = match hints.step {
            0 => String::new(),
            step => format!(", or with a step of {}", minutes((step.max(hints.window) as f64 / part / 60_000.).ceil())),
        };
        Err(TooCostly(format!(
            "{selector} would read about {samples} samples of {series} series from {start} to {end}, and {left} may be \
             read (read.max_samples); it fits within {fits}{step}; min, max, avg, sum, count, first, last and \
             present_over_time, rate, increase and delta read roll-ups where start, step, range and offset are whole hours",
            selector = selector(matchers),
            start = time::display(hints.start),
            end = time::display(hints.end),
        )))
    }
}

/// As PromQL writes it.
pub(super) fn selector(matchers: &[Matcher]) -> String {
    let is_name = |matcher: &&Matcher| matcher.name == METRIC_NAME && matcher.op == MatcherOp::Equal;
    let name = matchers.iter().find(is_name);
    let matchers = matchers.iter().filter(|matcher| Some(*matcher) != name).cloned().collect();
    let (name, span) = (name.map(|matcher| matcher.value.clone()), Span::default());
    Expr::Vector(VectorSelector { name, matchers, offset: None, at: None, extension: None, span }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    #[test]
    fn what_costs_too_much_is_refused_with_what_would_fit() {
        let matchers =
            [("__name__", "x"), ("vm", "a")].map(|(name, value)| Matcher::new(name, MatcherOp::Equal, value));
        let hints = Hints { start: 0, end: 100 * DAY, step: DAY, window: DAY, range: DAY, newest: false };
        let cost = Cost { samples: 1000, series: 7 };
        assert_eq!(cost.check(&matchers, &hints, 1000), Ok(()));
        let error = cost.check(&matchers, &hints, 100).unwrap_err().to_string();
        let expected = "x{vm=\"a\"} would read about 1000 samples of 7 series from 1970-01-01T00:00:00Z to \
                        1970-04-11T00:00:00Z, and 100 may be read (read.max_samples); it fits within 10d, or with a \
                        step of 10d; ";
        assert!(error.starts_with(expected), "{error}");
    }
}
