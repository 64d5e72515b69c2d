//! Quantiles, fractions and moments of native histograms.

use super::{Bucket, Histogram};

/// What observations of NaN did to a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NanNote {
    /// The quantile is among them.
    Result,
    /// They are counted, above everything.
    Skew,
}

impl Histogram {
    /// The value below which `q` of all observations are. Within a bucket they are taken to be spread exponentially,
    /// in the zero bucket and in custom ones evenly.
    pub(crate) fn quantile(&self, q: f64) -> (f64, Option<NanNote>) {
        if q < 0.0 {
            return (f64::NEG_INFINITY, None);
        }
        if q > 1.0 {
            return (f64::INFINITY, None);
        }
        if self.count == 0.0 || q.is_nan() {
            return (f64::NAN, None);
        }
        // NaN counts as an observation but is in no bucket, so only the way up finds the rank.
        let has_nan = self.sum.is_nan();
        let upwards = has_nan || q < 0.5;
        let mut buckets = self.all_buckets();
        if !upwards {
            buckets.reverse();
        }
        let mut rank = if upwards { q * self.count } else { (1.0 - q) * self.count };
        let mut count = 0.0;
        let mut found = Bucket { lower: 0.0, upper: 0.0, lower_inclusive: true, upper_inclusive: true, count: 0.0 };
        let mut rest = buckets.into_iter();
        for bucket in rest.by_ref() {
            found = bucket;
            count += bucket.count;
            if bucket.count != 0.0 && count >= rank {
                break;
            }
        }
        if self.uses_custom_buckets() {
            if found.lower == f64::NEG_INFINITY {
                if found.upper <= 0.0 {
                    return (found.upper, None);
                }
                found.lower = 0.0;
            } else if found.upper == f64::INFINITY {
                return (found.lower, None);
            }
        } else {
            self.trim_zero_bucket(&mut found);
        }
        let count = count.min(self.count);
        if count < rank {
            return if has_nan { (f64::NAN, Some(NanNote::Result)) } else { (found.upper, None) };
        }
        let in_buckets = count + rest.map(|bucket| bucket.count).sum::<f64>();
        let note = (has_nan && in_buckets < self.count).then_some(NanNote::Skew);
        rank = if upwards { rank - (count - found.count) } else { count - rank };
        let fraction = rank / found.count;
        if self.uses_custom_buckets() || (found.lower <= 0.0 && found.upper >= 0.0) {
            return (found.lower + (found.upper - found.lower) * fraction, note);
        }
        let (lower, upper) = (found.lower.abs().log2(), found.upper.abs().log2());
        let value = if found.lower > 0.0 {
            (lower + (upper - lower) * fraction).exp2()
        } else {
            -(upper + (lower - upper) * (1.0 - fraction)).exp2()
        };
        (value, note)
    }

    /// A zero bucket of a histogram with observations on one side only ends at 0.
    pub(super) fn trim_zero_bucket(&self, bucket: &mut Bucket) {
        if bucket.lower < 0.0 && bucket.upper > 0.0 {
            match (self.negative.is_empty(), self.positive.is_empty()) {
                (true, false) => bucket.lower = 0.0,
                (false, true) => bucket.upper = 0.0,
                _ => {}
            }
        }
    }

    /// The part of all observations between two values, and whether some are NaN, which are in none.
    pub(crate) fn fraction(&self, lower: f64, upper: f64) -> (f64, bool) {
        if self.count == 0.0 || lower.is_nan() || upper.is_nan() {
            return (f64::NAN, false);
        }
        if lower >= upper {
            return (0.0, false);
        }
        let mut total = 0.0;
        let (mut below_lower, mut below_upper) = (None, None);
        for mut bucket in self.all_buckets() {
            let is_zero = !self.uses_custom_buckets() && bucket.lower <= 0.0 && bucket.upper >= 0.0;
            if is_zero {
                self.trim_zero_bucket(&mut bucket);
            }
            if self.uses_custom_buckets() && bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0 {
                bucket.lower = 0.0;
            }
            let rank_of = |value: f64| {
                if bucket.lower >= value {
                    return Some(total);
                }
                if bucket.upper <= value {
                    return None;
                }
                // Where in an endless bucket they are cannot be known: all are taken to be at its one end.
                let part = match (bucket.lower.is_infinite(), bucket.upper.is_infinite()) {
                    (true, _) => 1.0,
                    (false, true) => 0.0,
                    _ if is_zero || self.uses_custom_buckets() => {
                        (value - bucket.lower) / (bucket.upper - bucket.lower)
                    }
                    _ => exponential_part(&bucket, value),
                };
                Some(total + bucket.count * part)
            };
            below_lower = below_lower.or_else(|| rank_of(lower));
            below_upper = below_upper.or_else(|| rank_of(upper));
            total += bucket.count;
        }
        // A sum of NaN may be one of both infinities, too.
        let may_have_nan = self.sum.is_nan();
        let all = if may_have_nan { total } else { self.count };
        let rank = |below: Option<f64>| below.filter(|rank| *rank <= all).unwrap_or(all);
        ((rank(below_upper) - rank(below_lower)) / self.count, may_have_nan && total < self.count)
    }

    pub(crate) fn variance(&self) -> f64 {
        let mean = self.sum / self.count;
        let mut variance = crate::eval::Kahan::default();
        for bucket in self.all_buckets().iter().filter(|b| b.count != 0.0) {
            let value = if self.uses_custom_buckets() {
                f64::midpoint(bucket.upper, bucket.lower)
            } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
                0.0
            } else {
                (bucket.upper * bucket.lower).sqrt().copysign(bucket.upper)
            };
            variance.add(bucket.count * (value - mean) * (value - mean));
        }
        variance.total() / self.count
    }
}

/// How much of a bucket lies below a value in it, of observations that are spread exponentially.
pub(super) fn exponential_part(bucket: &Bucket, value: f64) -> f64 {
    let (lower, upper, at) = (bucket.lower.abs().log2(), bucket.upper.abs().log2(), value.abs().log2());
    if value > 0.0 { (at - lower) / (upper - lower) } else { 1.0 - (at - upper) / (lower - upper) }
}
