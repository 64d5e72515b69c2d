//! Where counters begin again: a chunk of histograms has no reset inside, and its header says what was at its start.

use lynceus_promql::is_stale;

use super::{is_whole, layout};
use crate::wire::{Histogram, HistogramCount, HistogramZeroCount};

/// `reset_hint` of a histogram: it begins again, it goes on, it is no counter.
const RESET: i32 = 1;
const NOT_RESET: i32 = 2;
const GAUGE: i32 = 3;

/// What the header says, in its two highest bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Resets {
    Unknown = 0,
    NotReset = 0b0100_0000,
    Reset = 0b1000_0000,
    Gauge = 0b1100_0000,
}

impl Resets {
    pub(super) fn from_flags(flags: u8) -> Self {
        match flags >> 6 {
            0 => Self::Unknown,
            1 => Self::NotReset,
            2 => Self::Reset,
            _ => Self::Gauge,
        }
    }

    /// Of a chunk that begins with a histogram, behind one that ended with another.
    pub(super) fn at_start(before: Option<&Histogram>, first: &Histogram) -> Self {
        match before {
            _ if first.reset_hint == GAUGE => Self::Gauge,
            _ if first.reset_hint == RESET => Self::Reset,
            Some(before) => compare(before, first),
            None => Self::Unknown,
        }
    }

    /// What is known of a histogram of the chunk. Of the first one that is nothing, since the chunk before may be gone.
    pub(super) fn hint(self, is_first: bool) -> i32 {
        match self {
            Self::Gauge => GAUGE,
            _ if is_first => 0,
            _ => NOT_RESET,
        }
    }
}

/// Whether a histogram can be in the chunk of the one before it.
pub(super) fn continues(before: &Histogram, next: &Histogram) -> bool {
    let kinds = [before, next].map(|histogram| (is_whole(histogram), histogram.reset_hint == GAUGE));
    if is_stale(next.sum) {
        return kinds[0].0 == kinds[1].0;
    }
    match next.reset_hint {
        _ if kinds[0] != kinds[1] => false,
        RESET => false,
        GAUGE => !is_stale(before.sum) && layout::is_same(before, next),
        _ => compare(before, next) == Resets::NotReset,
    }
}

/// Two counters, one after the other.
fn compare(before: &Histogram, next: &Histogram) -> Resets {
    if before.reset_hint == GAUGE || is_whole(before) != is_whole(next) {
        return Resets::Unknown;
    }
    if is_stale(next.sum) {
        return Resets::NotReset;
    }
    if is_stale(before.sum) {
        return Resets::Unknown;
    }
    if count(next) < count(before) {
        return Resets::Reset;
    }
    if !layout::is_same(before, next) {
        return Resets::Unknown;
    }
    if zero_count(next) < zero_count(before) || buckets(before).zip(buckets(next)).any(|(before, next)| next < before) {
        return Resets::Reset;
    }
    Resets::NotReset
}

/// Beyond 2^53 a whole count is rounded: that a counter lost one of nine quadrillion observations is not seen.
fn count(histogram: &Histogram) -> f64 {
    match histogram.count {
        Some(HistogramCount::Int(count)) => count as f64,
        Some(HistogramCount::Float(count)) => count,
        None => 0.0,
    }
}

fn zero_count(histogram: &Histogram) -> f64 {
    match histogram.zero_count {
        Some(HistogramZeroCount::Int(count)) => count as f64,
        Some(HistogramZeroCount::Float(count)) => count,
        None => 0.0,
    }
}

/// Counts of all buckets.
fn buckets(histogram: &Histogram) -> impl Iterator<Item = f64> {
    let sums = |deltas: &[i64]| {
        let mut sum = 0i64;
        let sums = deltas.iter().map(|delta| {
            sum = sum.wrapping_add(*delta);
            sum as f64
        });
        sums.collect::<Vec<_>>()
    };
    let whole = sums(&histogram.positive_deltas).into_iter().chain(sums(&histogram.negative_deltas));
    whole.chain(histogram.positive_counts.iter().copied()).chain(histogram.negative_counts.iter().copied())
}
