use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Hints, SeriesMatcher, Storage, StorageError, StoredSeries};
use crate::histogram::{Histogram, ResetHint};
use crate::labels::Labels;

/// Series in memory, ordered by their labels.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    series: BTreeMap<Labels, Arc<StoredSeries>>,
}

impl Memory {
    pub fn new() -> Memory {
        Memory::default()
    }

    /// Adds a sample that is newer than all others of its series. `start` is when its counter began, 0 for unknown.
    pub fn push_float(&mut self, labels: &Labels, time: i64, value: f64, start: i64) {
        self.series_mut(labels).floats.push(time, value, start);
    }

    /// As [`push_float`](Memory::push_float). That the counter was not reset since the sample before is written to the
    /// histogram here, once, as Prometheus does when it stores one. A reset that only the counts show is left to them.
    pub fn push_histogram(&mut self, labels: &Labels, time: i64, mut histogram: Histogram, start: i64) {
        let series = self.series_mut(labels);
        let newest_float = series.floats.times.last().copied();
        let before = series.histograms.times.last().zip(series.histograms.values.last());
        if histogram.reset_hint != ResetHint::Gauge {
            let follows = before.filter(|(time, before)| {
                let is_newest = newest_float.is_none_or(|float| float < **time);
                let same_kind = before.uses_custom_buckets() == histogram.uses_custom_buckets();
                is_newest && same_kind && before.reset_hint != ResetHint::Gauge && !before.is_stale()
            });
            histogram.reset_hint = match follows {
                _ if histogram.reset_hint == ResetHint::Reset => ResetHint::Reset,
                None => ResetHint::Unknown,
                Some((_, before)) => {
                    histogram.reset_hint = ResetHint::Unknown;
                    if histogram.is_reset_of(before) { ResetHint::Unknown } else { ResetHint::NotReset }
                }
            };
        }
        series.histograms.push(time, Arc::new(histogram), start);
    }

    /// Adds a whole series in place of one with the same labels.
    pub fn insert(&mut self, series: StoredSeries) {
        self.series.insert(series.labels.clone(), Arc::new(series));
    }

    fn series_mut(&mut self, labels: &Labels) -> &mut StoredSeries {
        let new = || Arc::new(StoredSeries { labels: labels.clone(), ..StoredSeries::default() });
        Arc::make_mut(self.series.entry(labels.clone()).or_insert_with(new))
    }
}

impl Storage for Memory {
    fn select(&self, matchers: &[SeriesMatcher], _hints: &Hints) -> Result<Vec<Arc<StoredSeries>>, StorageError> {
        let matches = |series: &&Arc<StoredSeries>| matchers.iter().all(|m| m.matches_labels(&series.labels));
        Ok(self.series.values().filter(matches).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ast::{Matcher, MatcherOp};

    #[track_caller]
    fn check(op: MatcherOp, value: &str, expected: &[&str]) {
        let mut memory = Memory::new();
        for team in ["", "db", "dbx", "web"] {
            memory.push_float(&Labels::new([("__name__", "up"), ("team", team)]), 0, 1.0, 0);
        }
        let matcher = SeriesMatcher::new(&Matcher::new("team", op, value)).unwrap();
        let hints = Hints { start: 0, end: 0, step: 0, window: 1, range: 0, newest: false };
        let found = memory.select(&[matcher], &hints).unwrap();
        let teams: Vec<_> = found.iter().map(|s| s.labels.get("team")).collect();
        assert_eq!(teams, expected, "{value}");
    }

    #[test]
    fn a_label_that_is_not_there_is_empty_and_a_pattern_is_anchored() {
        check(MatcherOp::Equal, "", &[""]);
        check(MatcherOp::NotEqual, "", &["db", "dbx", "web"]);
        check(MatcherOp::Regex, "db", &["db"]);
        check(MatcherOp::Regex, "db|", &["", "db"]);
        check(MatcherOp::NotRegex, "db.*", &["", "web"]);
    }
}
