//! The archive as the evaluator reads it.

use std::sync::{Arc, Mutex, PoisonError};

use lynceus_promql::{
    BucketCounts, Hints, Histogram, Labels, Matcher, Points, ResetHint, SeriesMatcher, Storage, StorageError,
    StoredSeries,
};
use prost::Message as _;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::archive::Connection;
use crate::config::ReadLimits;
use crate::fetch::{Budget, FetchedSeries};
use crate::metrics::Metrics;
use crate::select::Selection;
use crate::wire::{self, BucketSpan, HistogramCount, HistogramZeroCount};

/// Fetches what a query selects, on the thread that evaluates it.
pub(super) struct ArchiveStorage {
    runtime: Handle,
    connection: Arc<Connection>,
    budget: Mutex<Budget>,
    metrics: Metrics,
    cancelled: CancellationToken,
}

impl ArchiveStorage {
    pub(super) fn new(
        runtime: Handle,
        connection: Arc<Connection>,
        limits: ReadLimits,
        metrics: Metrics,
        cancelled: CancellationToken,
    ) -> Self {
        Self { runtime, connection, budget: Mutex::new(Budget::new(limits)), metrics, cancelled }
    }
}

impl Storage for ArchiveStorage {
    fn select(&self, matchers: &[SeriesMatcher], hints: &Hints) -> Result<Vec<Arc<StoredSeries>>, StorageError> {
        let matchers: Vec<Matcher> = matchers.iter().map(|matcher| matcher.matcher.clone()).collect();
        let selection = Selection::new(hints.start, hints.end, &[matchers]);
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        let fetch = budget.fetch(&self.connection, &selection, &self.metrics);
        let fetched = self.runtime.block_on(self.cancelled.run_until_cancelled(fetch)).ok_or("cancelled")??;
        fetched.series().into_iter().map(|series| Ok(Arc::new(stored(&series)?))).collect()
    }
}

fn stored(series: &FetchedSeries<'_>) -> Result<StoredSeries, StorageError> {
    let mut stored = StoredSeries { labels: Labels::new(series.labels.iter().copied()), ..StoredSeries::default() };
    stored.floats.times = series.samples.iter().map(|row| row.timestamp).collect();
    stored.floats.values = series.samples.iter().map(|row| row.value).collect();
    for row in series.histograms {
        let message = wire::Histogram::decode(row.histogram.as_slice())?;
        Points::push(&mut stored.histograms, row.timestamp, Arc::new(histogram(message)), 0);
    }
    Ok(stored)
}

/// With float counts, as the evaluator has them.
fn histogram(message: wire::Histogram) -> Histogram {
    let count = match message.count {
        Some(HistogramCount::Int(count)) => count as f64,
        Some(HistogramCount::Float(count)) => count,
        None => 0.0,
    };
    let zero_count = match message.zero_count {
        Some(HistogramZeroCount::Int(count)) => count as f64,
        Some(HistogramZeroCount::Float(count)) => count,
        None => 0.0,
    };
    Histogram {
        schema: message.schema,
        zero_threshold: message.zero_threshold,
        zero_count,
        count,
        sum: message.sum,
        positive: buckets(&message.positive_spans, &message.positive_deltas, &message.positive_counts),
        negative: buckets(&message.negative_spans, &message.negative_deltas, &message.negative_counts),
        custom_bounds: message.custom_values,
        reset_hint: match message.reset_hint {
            1 => ResetHint::Reset,
            2 => ResetHint::NotReset,
            3 => ResetHint::Gauge,
            _ => ResetHint::Unknown,
        },
    }
}

/// Either deltas or counts are there: it was checked when it came.
fn buckets(spans: &[BucketSpan], deltas: &[i64], counts: &[f64]) -> BucketCounts {
    let mut bucket = 0i64;
    let whole = deltas.iter().map(|delta| {
        bucket = bucket.saturating_add(*delta);
        bucket as f64
    });
    let mut next = 0i32;
    let indexes = spans.iter().flat_map(|span| {
        let first = next.saturating_add(span.offset);
        next = first.saturating_add_unsigned(span.length);
        first..next
    });
    indexes.zip(whole.chain(counts.iter().copied())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_deltas_become_buckets() {
        let spans = [BucketSpan { offset: -2, length: 2 }, BucketSpan { offset: 3, length: 1 }];
        assert_eq!(buckets(&spans, &[1, 2, -1], &[]), [(-2, 1.), (-1, 3.), (3, 2.)]);
        assert_eq!(buckets(&spans, &[], &[0.5, 1., 2.]), [(-2, 0.5), (-1, 1.), (3, 2.)]);
    }
}
