//! Sums and differences of histograms of different layouts, and counter resets.

use super::{BucketCounts, Histogram, ResetHint};

/// One has exponential buckets, the other custom ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Incompatible;

/// What a sum had to put up with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Combined {
    /// One said that the counter was reset, the other that it was not.
    pub(crate) hint_collision: bool,
    /// Custom bounds differed; those in common are left.
    pub(crate) bounds_reconciled: bool,
}

impl Histogram {
    pub(crate) fn add(&mut self, other: &Histogram) -> Result<Combined, Incompatible> {
        self.combine(other, 1.0)
    }

    pub(crate) fn sub(&mut self, other: &Histogram) -> Result<Combined, Incompatible> {
        self.combine(other, -1.0)
    }

    fn combine(&mut self, other: &Histogram, sign: f64) -> Result<Combined, Incompatible> {
        if self.uses_custom_buckets() != other.uses_custom_buckets() {
            return Err(Incompatible);
        }
        let hint_collision = self.adjust_hint(other.reset_hint);
        let mut bounds_reconciled = false;
        if self.uses_custom_buckets() {
            if self.custom_bounds == other.custom_bounds {
                self.positive = merged(&self.positive, &other.positive, sign);
            } else {
                bounds_reconciled = true;
                let common: Vec<f64> =
                    self.custom_bounds.iter().copied().filter(|b| other.custom_bounds.contains(b)).collect();
                let mine = rebucket(&self.positive, &self.custom_bounds, &common);
                let theirs = rebucket(&other.positive, &other.custom_bounds, &common);
                self.positive = merged(&mine, &theirs, sign);
                self.custom_bounds = common;
            }
        } else {
            let mut other_zero = (other.zero_count, other.zero_threshold);
            while other_zero.1 != self.zero_threshold {
                if self.zero_threshold > other_zero.1 {
                    other_zero = other.zero_count_for(self.zero_threshold);
                }
                if other_zero.1 > self.zero_threshold {
                    (self.zero_count, self.zero_threshold) = self.zero_count_for(other_zero.1);
                    self.drop_buckets_in_zero();
                }
            }
            let schema = self.schema.min(other.schema);
            let mut other = other.clone();
            other.zero_threshold = other_zero.1;
            other.drop_buckets_in_zero();
            let other = other.to_schema(schema);
            let mine = self.to_schema(schema);
            self.positive = merged(&mine.positive, &other.positive, sign);
            self.negative = merged(&mine.negative, &other.negative, sign);
            self.schema = schema;
            self.zero_count += sign * other_zero.0;
        }
        self.count += sign * other.count;
        self.sum += sign * other.sum;
        Ok(Combined { hint_collision, bounds_reconciled })
    }

    /// Gauges win, then the unknown; true when reset meets not reset.
    fn adjust_hint(&mut self, other: ResetHint) -> bool {
        let (hint, collision) = match (self.reset_hint, other) {
            (a, b) if a == b => (a, false),
            (ResetHint::Gauge, _) | (_, ResetHint::Gauge) => (ResetHint::Gauge, false),
            (ResetHint::Unknown, _) | (_, ResetHint::Unknown) => (ResetHint::Unknown, false),
            _ => (ResetHint::Unknown, true),
        };
        self.reset_hint = hint;
        collision
    }

    pub(crate) fn scaled(&self, factor: f64) -> Histogram {
        let mut scaled = self.clone();
        scaled.each(|value| value * factor);
        if factor < 0.0 {
            scaled.reset_hint = ResetHint::Gauge;
        }
        scaled
    }

    pub(crate) fn divided(&self, divisor: f64) -> Histogram {
        let mut divided = self.clone();
        divided.each(|value| value / divisor);
        if divisor == 0.0 {
            divided.positive.clear();
            divided.negative.clear();
        }
        if divisor < 0.0 {
            divided.reset_hint = ResetHint::Gauge;
        }
        divided
    }

    fn each(&mut self, change: impl Fn(f64) -> f64) {
        self.zero_count = change(self.zero_count);
        self.count = change(self.count);
        self.sum = change(self.sum);
        for bucket in self.positive.iter_mut().chain(&mut self.negative) {
            bucket.1 = change(bucket.1);
        }
    }

    pub(crate) fn is_finite(&self) -> bool {
        let buckets = self.positive.iter().chain(&self.negative).all(|b| !b.1.is_infinite());
        buckets && !self.count.is_infinite() && !self.sum.is_infinite() && !self.zero_count.is_infinite()
    }

    /// Whether the counter was reset between `before` and this one: by the hint, or because a count went down.
    pub(crate) fn is_reset_of(&self, before: &Histogram) -> bool {
        match self.reset_hint {
            ResetHint::Reset => return true,
            ResetHint::NotReset => return false,
            // Functions of counters work on gauges, too, with a warning.
            ResetHint::Unknown | ResetHint::Gauge => {}
        }
        if self.count < before.count {
            return true;
        }
        if self.uses_custom_buckets() != before.uses_custom_buckets() {
            return true;
        }
        if self.uses_custom_buckets() {
            if self.custom_bounds == before.custom_bounds {
                return lost(&self.positive, &before.positive);
            }
            let common: Vec<f64> =
                self.custom_bounds.iter().copied().filter(|b| before.custom_bounds.contains(b)).collect();
            return lost(
                &rebucket(&self.positive, &self.custom_bounds, &common),
                &rebucket(&before.positive, &before.custom_bounds, &common),
            );
        }
        // Neither a finer resolution nor a smaller zero bucket comes without a reset.
        if self.schema > before.schema || self.zero_threshold < before.zero_threshold {
            return true;
        }
        let (zero_count, threshold) = before.zero_count_for(self.zero_threshold);
        if threshold != self.zero_threshold || self.zero_count < zero_count {
            return true;
        }
        let mut before = before.clone();
        before.zero_threshold = threshold;
        before.drop_buckets_in_zero();
        let before = before.to_schema(self.schema);
        lost(&self.positive, &before.positive) || lost(&self.negative, &before.negative)
    }
}

/// Whether a bucket has less than before.
fn lost(now: &BucketCounts, before: &BucketCounts) -> bool {
    before.iter().any(|&(index, count)| {
        let found = now.binary_search_by_key(&index, |b| b.0);
        found.map_or(0.0, |at| now[at].1) < count
    })
}

fn merged(a: &BucketCounts, b: &BucketCounts, sign: f64) -> BucketCounts {
    let mut out = Vec::with_capacity(a.len().max(b.len()));
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let left = a.get(i).map_or(i32::MAX, |x| x.0);
        let right = b.get(j).map_or(i32::MAX, |x| x.0);
        match left.cmp(&right) {
            std::cmp::Ordering::Less => out.push(a[i]),
            std::cmp::Ordering::Greater => out.push((right, sign * b[j].1)),
            std::cmp::Ordering::Equal => out.push((left, a[i].1 + sign * b[j].1)),
        }
        i += usize::from(left <= right);
        j += usize::from(right <= left);
    }
    out
}

/// Counts of custom buckets by a part of their bounds.
fn rebucket(buckets: &BucketCounts, bounds: &[f64], common: &[f64]) -> BucketCounts {
    let mut out: BucketCounts = Vec::with_capacity(buckets.len());
    for &(index, count) in buckets {
        let upper = super::buckets::bound(index, super::CUSTOM_SCHEMA, bounds);
        let index = common.partition_point(|bound| *bound < upper) as i32;
        match out.last_mut().filter(|last| last.0 == index) {
            Some(last) => last.1 += count,
            None => out.push((index, count)),
        }
    }
    out
}
