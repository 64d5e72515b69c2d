//! `histogram </ number` and `histogram >/ number`: the observations on one side of a value.

use super::quantile::exponential_part;
use super::{Bucket, Histogram};

impl Histogram {
    /// The observations below `at` where `upper`, else those above it. Unless all stay, their sum is an estimate: those
    /// of a bucket are taken to be in the middle of the part that stays.
    pub(crate) fn trimmed(&self, at: f64, upper: bool) -> Histogram {
        let mut out = self.clone();
        let custom = self.uses_custom_buckets();
        let mut sum = 0.0;
        let mut count = 0.0;
        let mut all_stay = true;
        let mut keep = |bucket: &Bucket, linear: bool, is_zero: bool| {
            // No bucket lies on any side of NaN; of the zero bucket Prometheus computes a part all the same.
            let is_gone = at.is_nan() && !is_zero;
            let (stays, value) = if is_gone { (0.0, 0.0) } else { part(bucket, at, upper, linear) };
            all_stay &= stays == bucket.count;
            count += stays;
            if stays != 0.0 {
                sum += stays * value;
            }
            stays
        };
        for (index, &stored) in self.positive.iter().enumerate().filter(|(_, b)| b.1 != 0.0) {
            out.positive[index].1 = keep(&self.positive_bucket(stored), custom, false);
        }
        for (index, &stored) in self.negative.iter().enumerate().filter(|(_, b)| b.1 != 0.0) {
            out.negative[index].1 = keep(&self.negative_bucket(stored), custom, false);
        }
        if self.zero_count > 0.0 {
            let mut zero = self.zero_bucket();
            self.trim_zero_bucket(&mut zero);
            out.zero_count = keep(&zero, true, true);
        }
        if all_stay {
            return out;
        }
        out.count = count;
        out.sum = sum;
        out.compact()
    }
}

/// How many observations of a bucket stay, and where they are.
fn part(bucket: &Bucket, at: f64, upper: bool, linear: bool) -> (f64, f64) {
    let (mut low, mut high) = (bucket.lower, bucket.upper);
    let whole = if upper { high <= at } else { low >= at };
    match (low.is_infinite(), high.is_infinite()) {
        (true, true) => return (if whole { bucket.count } else { 0.0 }, 0.0),
        // Only custom buckets end nowhere. One that starts nowhere and ends above 0 is taken to start there; of any
        // other all are taken to be at its one end, or at the value where that is farther out.
        (true, false) if high > 0.0 && (whole || at >= 0.0) => low = 0.0,
        (true, false) => {
            let stay = upper && (whole || high <= 0.0);
            return if stay { (bucket.count, high.min(at)) } else { (0.0, 0.0) };
        }
        (false, true) if at == f64::INFINITY => return if upper { (bucket.count, low) } else { (0.0, 0.0) },
        (false, true) => return if upper { (0.0, 0.0) } else { (bucket.count, low.max(at)) },
        (false, false) => {}
    }
    let below = if at <= low {
        0.0
    } else if at >= high {
        1.0
    } else if linear {
        (at - low) / (high - low)
    } else {
        exponential_part(bucket, at)
    };
    let stays = bucket.count * if upper { below } else { 1.0 - below };
    if upper {
        high = high.min(at);
    } else {
        low = low.max(at);
    }
    let middle = if linear { f64::midpoint(low, high) } else { (low * high).sqrt().copysign(high + low) };
    (stays, middle)
}
