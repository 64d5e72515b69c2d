//! Which samples of a request can be stored, and as what rows.
//!
//! The specification lets a receiver keep the valid part of a request whose other part it refuses. This one does: a
//! sender does not send a refused request again, and one broken series should not cost the others their samples.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use lynceus_service::format_duration;

use crate::archive::{SampleRow, SeriesRow};
use crate::labels::{self, METRIC_NAME};
use crate::metrics::Refusal;
use crate::time::{self, Day};
use crate::wire::{Label, TimeSeries, WriteRequest};

/// Timestamps that are taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeRange {
    pub(crate) now: i64,
    pub(crate) retention: Duration,
    pub(crate) max_future: Duration,
}

/// A request, sorted out.
#[derive(Debug, Default)]
pub(crate) struct Accepted {
    pub(crate) samples: Vec<SampleRow>,
    /// Of series whose row of the month is not known to be stored.
    pub(crate) series: Vec<SeriesRow>,
    /// Samples in the request, the refused ones included.
    pub(crate) received: u64,
    pub(crate) metadata: u64,
    pub(crate) refused: Refused,
}

/// What cannot be stored: how many by reason, and the first of each in words.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    reasons: Vec<(Refusal, u64, String)>,
}

impl Refused {
    fn add(&mut self, reason: Refusal, count: usize, example: impl FnOnce() -> String) {
        let count = count as u64;
        match self.reasons.iter_mut().find(|(known, ..)| *known == reason) {
            Some((_, total, _)) => *total += count,
            None => self.reasons.push((reason, count, example())),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    pub(crate) fn counts(&self) -> impl Iterator<Item = (Refusal, u64)> {
        self.reasons.iter().map(|(reason, count, _)| (*reason, *count))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (reason, count, example)) in self.reasons.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{count} {} (first: {example})", reason.as_str())?;
        }
        Ok(())
    }
}

/// Sorts a request out. `knows` tells whether a series' row of a month is stored already.
pub(crate) fn accept(request: WriteRequest, range: TimeRange, knows: impl Fn(u128, Day) -> bool) -> Accepted {
    let mut accepted = Accepted { metadata: request.metadata.len() as u64, ..Accepted::default() };
    let oldest = range.now.saturating_sub(millis(range.retention));
    let newest = range.now.saturating_add(millis(range.max_future));
    for mut series in request.timeseries {
        accepted.received += series.samples.len() as u64;
        let identity = match labels::identify(&mut series.labels) {
            Ok(identity) => identity,
            Err(error) => {
                let example = || format!("`{}` has {error}", labels::display(&series.labels));
                accepted.refused.add(Refusal::InvalidLabels, series.samples.len().max(1), example);
                continue;
            }
        };
        refuse_unkept(&series, &mut accepted.refused);
        let mut months = HashSet::new();
        for sample in &series.samples {
            let timestamp = sample.timestamp;
            if timestamp < oldest {
                let retention = format_duration(range.retention);
                let why = || at(&series, timestamp, &format!("older than retention.samples ({retention})"));
                accepted.refused.add(Refusal::TooOld, 1, why);
                continue;
            }
            if timestamp > newest {
                let ahead = format_duration(range.max_future);
                let why =
                    || at(&series, timestamp, &format!("ahead of the clock by more than ingest.max_future ({ahead})"));
                accepted.refused.add(Refusal::TooFarInFuture, 1, why);
                continue;
            }
            let labels::Identity { series_id, vm_key } = identity;
            let row = SampleRow { vm_key, series_id, timestamp, value: sample.value };
            months.insert(time::month(row.day()));
            accepted.samples.push(row);
        }
        for month in months.into_iter().filter(|month| !knows(identity.series_id, *month)) {
            accepted.series.push(series_row(&series.labels, identity, month));
        }
    }
    accepted
}

/// Native histograms and exemplars have no table yet. Answering 2xx would lose them without a word.
fn refuse_unkept(series: &TimeSeries, refused: &mut Refused) {
    let name = || labels::display(&series.labels);
    if !series.histograms.is_empty() {
        let example = || format!("`{}`; set send_native_histograms: false", name());
        refused.add(Refusal::NativeHistogram, series.histograms.len(), example);
    }
    if !series.exemplars.is_empty() {
        let example = || format!("`{}`; set send_exemplars: false", name());
        refused.add(Refusal::Exemplar, series.exemplars.len(), example);
    }
}

fn series_row(labels: &[Label], identity: labels::Identity, month: Day) -> SeriesRow {
    let mut metric_name = String::new();
    let mut others = Vec::with_capacity(labels.len());
    for label in labels {
        if label.name == METRIC_NAME {
            metric_name.clone_from(&label.value);
        } else {
            others.push((label.name.clone(), label.value.clone()));
        }
    }
    SeriesRow { month, series_id: identity.series_id, vm_key: identity.vm_key, metric_name, labels: others }
}

fn at(series: &TimeSeries, timestamp: i64, what: &str) -> String {
    format!("`{}` at {} is {what}", labels::display(&series.labels), time::display(timestamp))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Sample, Unread};

    const DAY: i64 = 86_400_000;
    const NOW: i64 = 20_000 * DAY;

    fn series(labels: &[(&str, &str)], times: &[i64]) -> TimeSeries {
        TimeSeries {
            labels: labels.iter().map(|(name, value)| Label { name: (*name).into(), value: (*value).into() }).collect(),
            samples: times.iter().map(|timestamp| Sample { value: 1., timestamp: *timestamp }).collect(),
            ..TimeSeries::default()
        }
    }

    fn check(timeseries: Vec<TimeSeries>, stored: usize, refused: &str) -> Accepted {
        let range =
            TimeRange { now: NOW, retention: Duration::from_secs(730 * 86_400), max_future: Duration::from_secs(3600) };
        let accepted = accept(WriteRequest { timeseries, metadata: vec![] }, range, |_, _| false);
        assert_eq!((accepted.samples.len(), accepted.refused.to_string().as_str()), (stored, refused));
        accepted
    }

    #[test]
    fn the_edges_of_the_accepted_time_are_in() {
        check(vec![series(&[("a", "b")], &[NOW, NOW - 730 * DAY, NOW + 3_600_000])], 3, "");
    }

    #[test]
    fn samples_outside_the_accepted_time_are_refused_by_themselves() {
        check(
            vec![series(&[("__name__", "up"), ("a", "b")], &[NOW, NOW - 730 * DAY - 1, NOW + 3_600_001, 0, i64::MAX])],
            1,
            "2 too_old (first: `up{a=\"b\"}` at 2022-10-04T23:59:59.999Z is older than retention.samples (730d)); \
             2 too_far_in_future (first: `up{a=\"b\"}` at 2024-10-04T01:00:00.001Z is ahead of the clock by more than \
             ingest.max_future (1h))",
        );
    }

    #[test]
    fn a_series_with_invalid_labels_does_not_cost_the_others() {
        let broken = series(&[("a", "1"), ("a", "2")], &[NOW, NOW + 1]);
        let accepted = check(
            vec![broken, series(&[("__name__", "up")], &[NOW])],
            1,
            "2 invalid_labels (first: `{a=\"1\",a=\"2\"}` has label `a` twice)",
        );
        assert_eq!(accepted.received, 3);
    }

    #[test]
    fn what_has_no_table_is_refused_and_its_floats_are_stored() {
        let mut one = series(&[("__name__", "up")], &[NOW]);
        one.histograms = vec![Unread {}; 2];
        one.exemplars = vec![Unread {}];
        check(
            vec![one],
            1,
            "2 native_histogram (first: `up{}`; set send_native_histograms: false); \
             1 exemplar (first: `up{}`; set send_exemplars: false)",
        );
    }

    #[test]
    fn a_series_has_one_row_for_each_month_of_its_samples() {
        // Day 20000 is 2024-10-04.
        let times = [NOW, NOW - DAY, NOW - 4 * DAY];
        let accepted = check(vec![series(&[("__name__", "up"), ("b", "2"), ("a", "1")], &times)], 3, "");
        let mut months: Vec<_> = accepted.series.iter().map(|row| row.month).collect();
        months.sort_unstable();
        assert_eq!(months, [19967, 19997]);
        assert_eq!(accepted.series[0].metric_name, "up");
        assert_eq!(accepted.series[0].labels, [("a".into(), "1".into()), ("b".into(), "2".into())]);
    }
}
