//! What an answer was made of, for the one who reads it.

use std::collections::BTreeSet;

use lynceus_promql::{Buckets, Matcher, Windows};

use super::cost::selector;
use crate::rollup::{Plan, Source};
use crate::time;

/// More says nothing more.
const MAX_NOTES: usize = 10;

/// Each text once.
#[derive(Default)]
pub(super) struct Notes(BTreeSet<String>);

/// What was read of one selector's roll-ups.
pub(super) struct Coverage {
    series: usize,
    buckets: usize,
    /// Ends of the first and the last bucket, in milliseconds.
    first: i64,
    last: i64,
}

impl Coverage {
    pub(super) fn new() -> Self {
        Self { series: 0, buckets: 0, first: i64::MAX, last: i64::MIN }
    }

    pub(super) fn add(&mut self, one: &Buckets) {
        self.series += 1;
        self.buckets += one.ends.len();
        self.first = self.first.min(one.ends.first().copied().unwrap_or(i64::MAX));
        self.last = self.last.max(one.ends.last().copied().unwrap_or(i64::MIN));
    }
}

impl Notes {
    pub(super) fn read_buckets(&mut self, matchers: &[Matcher], plan: &Plan, windows: &Windows, coverage: &Coverage) {
        let Coverage { series, buckets, first, last } = *coverage;
        let mut text = format!(
            "lynceus: {} read from roll-ups of {}h: {series} series, {buckets} buckets",
            selector(matchers),
            plan.hours
        );
        let unmade: i64 = plan
            .pieces
            .iter()
            .filter(|piece| piece.source == Source::Samples)
            .map(|piece| piece.end - piece.start)
            .sum();
        if unmade > 0 {
            text.push_str(&format!(", {}h of them from samples", unmade / 3_600_000));
        }
        if series > 0 {
            let asked = windows.last() - windows.start();
            let covered = (last - (first - plan.hours * 3_600_000)).clamp(0, asked);
            let percent = covered as f64 * 100. / asked.max(1) as f64;
            text.push_str(&format!(
                "; there are data from {} on, {percent:.0}% of the time asked for",
                time::display(first)
            ));
        }
        if self.0.len() < MAX_NOTES {
            self.0.insert(text);
        }
    }

    pub(super) fn texts(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}
