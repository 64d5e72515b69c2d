//! Native histograms with float counts: what Prometheus calls a float histogram.
//!
//! Buckets are kept as ordered (index, count) pairs in place of the wire's spans and deltas: a bucket that is not
//! listed is empty. Bucket `i` of schema `s` reaches from `base^(i-1)`, exclusive, to `base^i`, inclusive, with
//! `base = 2^(2^-s)`; schema -53 has custom bounds.

mod arithmetic;
mod buckets;
mod quantile;
mod roots;
mod sum;
mod trim;

use std::fmt;

pub(crate) use arithmetic::{Combined, Incompatible};
pub use buckets::Bucket;
pub(crate) use quantile::NanNote;
pub(crate) use sum::{Accumulator, HistogramMean, HistogramSum};

/// The schema of histograms with custom bounds.
pub const CUSTOM_SCHEMA: i32 = -53;

/// Counts by bucket index, ascending.
pub type BucketCounts = Vec<(i32, f64)>;

/// A native histogram.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// -4 to 8, or [`CUSTOM_SCHEMA`].
    pub schema: i32,
    /// Observations whose absolute value is at most this are counted in the zero bucket.
    pub zero_threshold: f64,
    pub zero_count: f64,
    pub count: f64,
    pub sum: f64,
    pub positive: BucketCounts,
    pub negative: BucketCounts,
    /// Upper bounds, ascending, without the last one, which is infinity. Of custom schemas only.
    pub custom_bounds: Vec<f64>,
    pub reset_hint: ResetHint,
}

/// What is known about a counter reset between a histogram and the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResetHint {
    #[default]
    Unknown,
    Reset,
    NotReset,
    /// Not a counter.
    Gauge,
}

impl Histogram {
    pub fn uses_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_SCHEMA
    }

    pub(crate) fn is_stale(&self) -> bool {
        crate::storage::is_stale(self.sum)
    }

    /// Equal to the bit in all but the hint; empty buckets are none.
    pub fn same_as(&self, other: &Histogram) -> bool {
        fn filled(buckets: &BucketCounts) -> impl Iterator<Item = (i32, u64)> {
            buckets.iter().filter(|b| b.1 != 0.0).map(|b| (b.0, b.1.to_bits()))
        }
        self.schema == other.schema
            && self.count.to_bits() == other.count.to_bits()
            && self.sum.to_bits() == other.sum.to_bits()
            && self.zero_threshold == other.zero_threshold
            && self.zero_count.to_bits() == other.zero_count.to_bits()
            && self.custom_bounds == other.custom_bounds
            && filled(&self.positive).eq(filled(&other.positive))
            && filled(&self.negative).eq(filled(&other.negative))
    }

    /// Without empty buckets.
    pub fn compact(mut self) -> Histogram {
        self.positive.retain(|b| b.1 != 0.0);
        self.negative.retain(|b| b.1 != 0.0);
        self
    }
}

/// As Prometheus writes it into a label (`count_values`): `{count:3, sum:4.5, (1,2]:3}`.
impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::eval::go_number;
        write!(f, "{{count:{}, sum:{}", go_number(self.count), go_number(self.sum))?;
        for bucket in self.all_buckets().iter().filter(|b| b.count != 0.0) {
            let open = if bucket.lower_inclusive { '[' } else { '(' };
            let close = if bucket.upper_inclusive { ']' } else { ')' };
            let (lower, upper) = (go_number(bucket.lower), go_number(bucket.upper));
            write!(f, ", {open}{lower},{upper}{close}:{}", go_number(bucket.count))?;
        }
        f.write_str("}")
    }
}
