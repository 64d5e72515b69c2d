//! Native histograms: checked as Prometheus checks them, and kept as the message of remote write 2.0.
//!
//! A histogram that is not consistent would be an error of every query that meets it, so it is refused where it comes
//! in. The rules are those of Prometheus' `histogram.Validate`; the buckets of a float histogram need not add up to its
//! count, since sums of floats are inexact.

use crate::wire::{BucketSpan, Histogram, HistogramCount, HistogramZeroCount};

/// Buckets with limits of their own, instead of powers of two.
const CUSTOM_BUCKETS: i32 = -53;
/// Schemas that Prometheus 3 knows beside it; it scales those below -4 and above 8 when it reads them.
const COARSEST: i32 = -9;
const FINEST: i32 = 52;

/// Why a histogram is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum HistogramError {
    #[error("schema {0}, expected {CUSTOM_BUCKETS} or one of {COARSEST} to {FINEST}")]
    Schema(i32),
    #[error("whole and floating-point counts both")]
    Mixed,
    #[error("{0} custom limits with schema {1}, which has none")]
    Limits(usize, i32),
    #[error("custom limits that do not increase, or are infinite")]
    LimitsOrder,
    #[error("custom limits and a zero bucket or negative buckets both")]
    NotCustom,
    #[error("{0} buckets where its spans have {1}")]
    Spans(usize, u64),
    #[error("a span that begins before the one before it ends")]
    SpanOffset,
    #[error("buckets beyond its {0} custom limits")]
    BeyondLimits(usize),
    #[error("a negative count")]
    Negative,
    #[error("a count of {found}, where its buckets add up to {expected}")]
    Count { expected: u64, found: u64 },
}

/// Whether it is consistent.
pub(super) fn check(histogram: &Histogram) -> Result<(), HistogramError> {
    let Histogram { schema, custom_values: limits, positive_spans, negative_spans, .. } = histogram;
    let has_negative =
        !negative_spans.is_empty() || !histogram.negative_deltas.is_empty() || !histogram.negative_counts.is_empty();
    if *schema == CUSTOM_BUCKETS {
        let has_zero = histogram.zero_threshold != 0.0
            || !matches!(
                histogram.zero_count,
                None | Some(HistogramZeroCount::Int(0)) | Some(HistogramZeroCount::Float(0.0))
            );
        if has_zero || has_negative {
            return Err(HistogramError::NotCustom);
        }
        let increasing = limits.windows(2).all(|pair| pair[0] < pair[1]);
        if !increasing || limits.iter().any(|limit| limit.is_nan() || *limit == f64::INFINITY) {
            return Err(HistogramError::LimitsOrder);
        }
        let end: i64 = positive_spans.iter().map(|span| i64::from(span.offset) + i64::from(span.length)).sum();
        // The last bucket has no limit.
        if end > limits.len() as i64 + 1 || positive_spans.first().is_some_and(|span| span.offset < 0) {
            return Err(HistogramError::BeyondLimits(limits.len()));
        }
    } else if !(COARSEST..=FINEST).contains(schema) {
        return Err(HistogramError::Schema(*schema));
    } else if !limits.is_empty() {
        return Err(HistogramError::Limits(limits.len(), *schema));
    }
    match (histogram.count.unwrap_or(HistogramCount::Int(0)), histogram.zero_count) {
        (HistogramCount::Int(count), None | Some(HistogramZeroCount::Int(_))) => check_whole(histogram, count),
        (HistogramCount::Float(count), None | Some(HistogramZeroCount::Float(_))) => check_floats(histogram, count),
        _ => Err(HistogramError::Mixed),
    }
}

fn check_whole(histogram: &Histogram, count: u64) -> Result<(), HistogramError> {
    if !histogram.positive_counts.is_empty() || !histogram.negative_counts.is_empty() {
        return Err(HistogramError::Mixed);
    }
    let mut sum = match histogram.zero_count {
        Some(HistogramZeroCount::Int(count)) => count,
        _ => 0,
    };
    for (spans, deltas) in [
        (&histogram.positive_spans, &histogram.positive_deltas),
        (&histogram.negative_spans, &histogram.negative_deltas),
    ] {
        check_spans(spans, deltas.len())?;
        let mut bucket = 0i64;
        for delta in deltas {
            bucket = bucket.checked_add(*delta).filter(|count| *count >= 0).ok_or(HistogramError::Negative)?;
            sum = sum.saturating_add(bucket.cast_unsigned());
        }
    }
    // An observation of NaN is in the count, and in no bucket.
    let fits = if histogram.sum.is_nan() { sum <= count } else { sum == count };
    if fits { Ok(()) } else { Err(HistogramError::Count { expected: sum, found: count }) }
}

fn check_floats(histogram: &Histogram, count: f64) -> Result<(), HistogramError> {
    if !histogram.positive_deltas.is_empty() || !histogram.negative_deltas.is_empty() {
        return Err(HistogramError::Mixed);
    }
    check_spans(&histogram.positive_spans, histogram.positive_counts.len())?;
    check_spans(&histogram.negative_spans, histogram.negative_counts.len())?;
    let zero = match histogram.zero_count {
        Some(HistogramZeroCount::Float(count)) => count,
        _ => 0.0,
    };
    let mut counts = histogram.positive_counts.iter().chain(&histogram.negative_counts).copied().chain([zero, count]);
    if counts.any(|count| count < 0.0) { Err(HistogramError::Negative) } else { Ok(()) }
}

fn check_spans(spans: &[BucketSpan], buckets: usize) -> Result<(), HistogramError> {
    if spans.iter().skip(1).any(|span| span.offset < 0) {
        return Err(HistogramError::SpanOffset);
    }
    let expected = spans.iter().map(|span| u64::from(span.length)).sum();
    if buckets as u64 == expected { Ok(()) } else { Err(HistogramError::Spans(buckets, expected)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Histogram {
        Histogram {
            count: Some(HistogramCount::Int(9)),
            sum: 20.,
            schema: 3,
            zero_threshold: 0.001,
            zero_count: Some(HistogramZeroCount::Int(2)),
            positive_spans: vec![BucketSpan { offset: -2, length: 2 }, BucketSpan { offset: 3, length: 1 }],
            positive_deltas: vec![1, 1, 1],
            negative_spans: vec![BucketSpan { offset: 0, length: 1 }],
            negative_deltas: vec![1],
            ..Histogram::default()
        }
    }

    fn custom() -> Histogram {
        Histogram {
            count: Some(HistogramCount::Float(2.5)),
            schema: CUSTOM_BUCKETS,
            custom_values: vec![-1., 0., 5.],
            positive_spans: vec![BucketSpan { offset: 1, length: 3 }],
            positive_counts: vec![0.5, 1., 1.],
            ..Histogram::default()
        }
    }

    #[test]
    fn consistent_ones_are_taken() {
        let stale = f64::from_bits(0x7ff0_0000_0000_0002);
        let empty = Histogram { sum: stale, ..Histogram::default() };
        let with_nan = Histogram { sum: f64::NAN, count: Some(HistogramCount::Int(10)), ..whole() };
        for histogram in [whole(), custom(), empty, with_nan] {
            assert_eq!(check(&histogram), Ok(()), "{histogram:?}");
        }
    }

    #[test]
    fn others_are_refused_with_the_reason() {
        use HistogramError as E;
        let span = |offset, length| BucketSpan { offset, length };
        let cases = [
            (Histogram { schema: 53, ..whole() }, E::Schema(53)),
            (Histogram { positive_counts: vec![1.], ..whole() }, E::Mixed),
            (Histogram { zero_count: Some(HistogramZeroCount::Float(2.)), ..whole() }, E::Mixed),
            (Histogram { positive_deltas: vec![1], ..custom() }, E::Mixed),
            (Histogram { custom_values: vec![1.], ..whole() }, E::Limits(1, 3)),
            (Histogram { custom_values: vec![1., 1., 2.], ..custom() }, E::LimitsOrder),
            (Histogram { custom_values: vec![1., f64::INFINITY], ..custom() }, E::LimitsOrder),
            (Histogram { zero_threshold: 1., ..custom() }, E::NotCustom),
            (Histogram { negative_spans: vec![span(0, 1)], ..custom() }, E::NotCustom),
            (Histogram { positive_deltas: vec![1], ..whole() }, E::Spans(1, 3)),
            (Histogram { negative_spans: vec![span(0, u32::MAX); 2], ..whole() }, E::Spans(1, 8_589_934_590)),
            (Histogram { positive_spans: vec![span(0, 2), span(-1, 1)], ..whole() }, E::SpanOffset),
            (Histogram { positive_spans: vec![span(2, 3)], ..custom() }, E::BeyondLimits(3)),
            (Histogram { positive_spans: vec![span(-1, 3)], ..custom() }, E::BeyondLimits(3)),
            (Histogram { positive_deltas: vec![1, -2, 1], ..whole() }, E::Negative),
            (Histogram { positive_deltas: vec![i64::MAX, 1, 1], ..whole() }, E::Negative),
            (Histogram { positive_counts: vec![0.5, -1., 1.], ..custom() }, E::Negative),
            (Histogram { count: Some(HistogramCount::Int(8)), ..whole() }, E::Count { expected: 9, found: 8 }),
        ];
        for (histogram, expected) in cases {
            assert_eq!(check(&histogram), Err(expected), "{histogram:?}");
        }
    }
}
