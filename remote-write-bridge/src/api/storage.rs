//! The archive as the evaluator reads it.

mod cost;
mod histogram;
mod notes;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lynceus_promql::{
    Buckets, Columns, Hints, Labels, Matcher, Points, STALE, SeriesMatcher, Storage, StorageError, StoredSeries,
    Windows,
};
use prost::Message as _;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::app::Shared;
use crate::archive::{ArchiveError, Connection};
use crate::fetch::{Budget, FetchedBuckets, FetchedSeries};
use crate::metrics::Metrics;
use crate::rollup::{Dirty, Plan, Thin};
use crate::select::{Selection, Wanted};
use crate::wire;
use notes::{Coverage, Notes};

/// Fetches what a query selects, on the thread that evaluates it: from roll-ups where they give the same.
pub(super) struct ArchiveStorage {
    runtime: Handle,
    connection: Arc<Connection>,
    /// None where roll-ups are not to be read.
    dirty: Option<Arc<Dirty>>,
    metrics: Metrics,
    cancelled: CancellationToken,
    state: Mutex<State>,
}

struct State {
    budget: Budget,
    notes: Notes,
}

impl ArchiveStorage {
    /// Of the runtime that it is called on.
    pub(super) fn new(shared: &Shared, rollups: bool, cancelled: CancellationToken) -> Result<Self, ArchiveError> {
        let budget = Budget::new(shared.live().config.read.clone());
        Ok(Self {
            runtime: Handle::current(),
            connection: shared.archive.prepared()?,
            dirty: rollups.then(|| shared.dirty.clone()),
            metrics: shared.metrics.clone(),
            cancelled,
            state: Mutex::new(State { budget, notes: Notes::default() }),
        })
    }

    /// What the reader of the answer should know.
    pub(super) fn notes(&self) -> Vec<String> {
        self.state().notes.texts()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, unless the query is given up.
    fn wait<T>(&self, work: impl Future<Output = Result<T, ArchiveError>>) -> Result<T, StorageError> {
        Ok(self.runtime.block_on(self.cancelled.run_until_cancelled(work)).ok_or("cancelled")??)
    }

    fn buckets(
        &self,
        matchers: &[SeriesMatcher],
        (plan, windows): (&Plan, &Windows),
        wanted: Wanted,
        mut each: impl FnMut(FetchedBuckets) -> ControlFlow<()>,
    ) -> Result<bool, StorageError> {
        let matchers = plain(matchers);
        let selection = Selection::new(windows.start() + 1, windows.last(), std::slice::from_ref(&matchers));
        let State { budget, notes } = &mut *self.state();
        let mut coverage = Coverage::new();
        let each = |series: FetchedBuckets| {
            coverage.add(&series.buckets);
            each(series)
        };
        let work = budget.buckets(&self.connection, &selection, (plan, wanted), &self.metrics, each);
        let is_given = self.wait(work)?;
        if is_given {
            notes.read_buckets(&matchers, plan, windows, &coverage);
        }
        Ok(is_given)
    }

    /// The newest sample of each window as a series of these; None where buckets do not give them.
    fn newest(
        &self,
        matchers: &[SeriesMatcher],
        hints: &Hints,
    ) -> Result<Option<Vec<Arc<StoredSeries>>>, StorageError> {
        let (true, Some(dirty)) = (hints.newest && hints.step > 0, &self.dirty) else { return Ok(None) };
        let steps = usize::try_from((hints.end - hints.start) / hints.step)? + 1;
        let end = hints.start + hints.window - 1;
        let windows = Windows { end, step: hints.step, steps, range: hints.window };
        let Some(plan) = Plan::of_newest(&windows, dirty) else { return Ok(None) };
        let mut all = Vec::new();
        let is_given = self.buckets(matchers, (&plan, &windows), Wanted::Newest, |series| {
            all.push(Arc::new(newest_of(series, hints.window)));
            ControlFlow::Continue(())
        })?;
        all.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(is_given.then_some(all))
    }
}

impl Storage for ArchiveStorage {
    fn select(&self, matchers: &[SeriesMatcher], hints: &Hints) -> Result<Vec<Arc<StoredSeries>>, StorageError> {
        if let Some(found) = self.newest(matchers, hints)? {
            return Ok(found);
        }
        let matchers = plain(matchers);
        let is_thin = hints.step > hints.window;
        let thin = is_thin.then_some(Thin { start: hints.start - 1, step: hints.step, width: hints.window });
        let selection = Selection::new(hints.start, hints.end, std::slice::from_ref(&matchers)).thinned(thin);
        let State { budget, .. } = &mut *self.state();
        if let Some(cost) = self.wait(cost::estimate(&self.connection, &selection, hints))? {
            cost.check(&matchers, hints, budget.left())?;
        }
        let fetched = self.wait(budget.fetch(&self.connection, &selection, &self.metrics))?;
        fetched.series().into_iter().map(|series| Ok(Arc::new(stored(&series)?))).collect()
    }

    fn summarize(
        &self,
        matchers: &[SeriesMatcher],
        windows: &Windows,
        columns: Columns,
        each: &mut dyn FnMut(Buckets) -> ControlFlow<()>,
    ) -> Result<bool, StorageError> {
        let Some(plan) = self.dirty.as_ref().and_then(|dirty| Plan::of_windows(windows, dirty)) else {
            return Ok(false);
        };
        self.buckets(matchers, (&plan, windows), Wanted::Values(columns), |series| each(series.buckets))
    }
}

fn plain(matchers: &[SeriesMatcher]) -> Vec<Matcher> {
    matchers.iter().map(|matcher| matcher.matcher.clone()).collect()
}

/// Each bucket ends with a window; what is older than that began is none of it.
fn newest_of(series: FetchedBuckets, window: i64) -> StoredSeries {
    let FetchedBuckets { buckets, stale } = series;
    let mut stored = StoredSeries { labels: buckets.labels, ..StoredSeries::default() };
    for (place, end) in buckets.ends.iter().enumerate() {
        let last = buckets.last_times.get(place).zip(buckets.lasts.get(place));
        match last {
            _ if stale.get(place) == Some(&true) => stored.floats.push(*end, STALE, 0),
            Some((time, value)) if *time > end - window => stored.floats.push(*time, *value, 0),
            _ => {}
        }
    }
    stored
}

fn stored(series: &FetchedSeries<'_>) -> Result<StoredSeries, StorageError> {
    let mut stored = StoredSeries { labels: Labels::new(series.labels.iter().copied()), ..StoredSeries::default() };
    stored.floats.times = series.samples.iter().map(|sample| sample.timestamp).collect();
    stored.floats.values = series.samples.iter().map(|sample| sample.value).collect();
    for row in series.histograms {
        let message = wire::Histogram::decode(row.histogram.as_slice())?;
        Points::push(&mut stored.histograms, row.timestamp, Arc::new(histogram::histogram(message)), 0);
    }
    Ok(stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_sample_is_neither_older_than_its_window_nor_before_a_stale_marker() {
        let buckets = Buckets {
            ends: vec![1000, 2000, 3000, 4000],
            counts: vec![1, 1, 1, 0],
            lasts: vec![1., 2., 3., 0.],
            last_times: vec![900, 1700, 2900, 0],
            ..Buckets::default()
        };
        let found = newest_of(FetchedBuckets { buckets, stale: vec![false, false, true, false] }, 300);
        assert_eq!(found.floats.times, [900, 3000]);
        assert_eq!(found.floats.values[0], 1.);
        assert!(lynceus_promql::is_stale(found.floats.values[1]));
    }
}
