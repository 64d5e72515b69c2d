//! Stored histograms as the evaluator has them.

use lynceus_promql::{BucketCounts, Histogram, ResetHint};

use crate::wire::{self, BucketSpan, HistogramCount, HistogramZeroCount};

/// With float counts.
pub(super) fn histogram(message: wire::Histogram) -> Histogram {
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
