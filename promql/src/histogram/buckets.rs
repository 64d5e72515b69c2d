//! Bounds of buckets, and buckets in order of their bounds.

use super::roots::ROOTS;
use super::{BucketCounts, Histogram};

/// A bucket with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    pub lower: f64,
    pub upper: f64,
    pub lower_inclusive: bool,
    pub upper_inclusive: bool,
    pub count: f64,
}

/// The upper bound of a bucket's absolute values.
pub(super) fn bound(index: i32, schema: i32, custom: &[f64]) -> f64 {
    if schema == super::CUSTOM_SCHEMA {
        return match usize::try_from(index) {
            Err(_) => f64::NEG_INFINITY,
            Ok(at) => custom.get(at).copied().unwrap_or(f64::INFINITY),
        };
    }
    let (power, root) = if schema <= 0 {
        (i64::from(index) << schema.unsigned_abs().min(31), 0.5)
    } else {
        let schema = schema.min(8);
        let place = index.rem_euclid(1 << schema) << (8 - schema);
        (i64::from(index >> schema), ROOTS[place as usize])
    };
    // The bucket that ends at 2^1024 also holds the largest number, which is just below.
    if power == 1024 && root == 0.5 { f64::MAX } else { 2.0 * root * (power as f64).exp2() }
}

impl Histogram {
    pub(crate) fn positive_bucket(&self, (index, count): (i32, f64)) -> Bucket {
        Bucket {
            lower: bound(index - 1, self.schema, &self.custom_bounds),
            upper: bound(index, self.schema, &self.custom_bounds),
            lower_inclusive: self.uses_custom_buckets() && index == 0,
            upper_inclusive: true,
            count,
        }
    }

    pub(crate) fn negative_bucket(&self, (index, count): (i32, f64)) -> Bucket {
        Bucket {
            lower: -bound(index, self.schema, &self.custom_bounds),
            upper: -bound(index - 1, self.schema, &self.custom_bounds),
            lower_inclusive: true,
            upper_inclusive: false,
            count,
        }
    }

    pub(crate) fn zero_bucket(&self) -> Bucket {
        Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
        }
    }

    /// From the lowest to the highest. One that overlaps with the zero bucket ends there.
    pub fn all_buckets(&self) -> Vec<Bucket> {
        let mut all = Vec::with_capacity(self.positive.len() + self.negative.len() + 1);
        for &bucket in self.negative.iter().rev() {
            let mut bucket = self.negative_bucket(bucket);
            bucket.upper = bucket.upper.min(-self.zero_threshold);
            all.push(bucket);
        }
        if self.zero_count > 0.0 {
            all.push(self.zero_bucket());
        }
        for &bucket in &self.positive {
            let mut bucket = self.positive_bucket(bucket);
            if !self.uses_custom_buckets() {
                bucket.lower = bucket.lower.max(self.zero_threshold);
            }
            all.push(bucket);
        }
        all
    }

    /// The same in a schema that is not finer.
    pub(crate) fn to_schema(&self, schema: i32) -> Histogram {
        let mut coarse = self.clone();
        if schema != self.schema && !self.uses_custom_buckets() {
            coarse.positive = coarser(&self.positive, self.schema - schema);
            coarse.negative = coarser(&self.negative, self.schema - schema);
            coarse.schema = schema;
        }
        coarse
    }

    /// The zero count with a threshold that is not lower. A threshold within a filled bucket grows to its end.
    pub(super) fn zero_count_for(&self, mut threshold: f64) -> (f64, f64) {
        if threshold == self.zero_threshold {
            return (self.zero_count, threshold);
        }
        'again: loop {
            let mut count = self.zero_count;
            for &bucket in &self.positive {
                let bucket = self.positive_bucket(bucket);
                if bucket.lower >= threshold {
                    break;
                }
                count += bucket.count;
                if bucket.upper > threshold {
                    if bucket.count != 0.0 {
                        threshold = bucket.upper;
                    }
                    break;
                }
            }
            for &bucket in &self.negative {
                let bucket = self.negative_bucket(bucket);
                if bucket.upper <= -threshold {
                    break;
                }
                count += bucket.count;
                if bucket.lower < -threshold {
                    if bucket.count != 0.0 {
                        threshold = -bucket.lower;
                        continue 'again;
                    }
                    break;
                }
            }
            return (count, threshold);
        }
    }

    /// Takes away the buckets that the zero bucket now holds.
    pub(super) fn drop_buckets_in_zero(&mut self) {
        let (schema, threshold) = (self.schema, self.zero_threshold);
        let outside = |b: &(i32, f64)| bound(b.0 - 1, schema, &[]) >= threshold;
        self.positive.retain(outside);
        self.negative.retain(outside);
    }
}

/// Buckets of a schema `by` lower: 2^by of them become one.
fn coarser(buckets: &BucketCounts, by: i32) -> BucketCounts {
    let mut merged: BucketCounts = Vec::with_capacity(buckets.len());
    for &(index, count) in buckets {
        let index = ((index - 1) >> by.clamp(0, 31)) + 1;
        match merged.last_mut().filter(|last| last.0 == index) {
            Some(last) => last.1 += count,
            None => merged.push((index, count)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_prometheus_to_the_bit() {
        for (schema, index, bits) in [
            (1, -299, 0x3696_a09e_667f_3bcc_u64),
            (8, 300, 0x4002_063b_8862_8cd6),
            (3, 7, 0x3ffd_5818_dcfb_a486),
            (0, 5, 0x4040_0000_0000_0000),
            (-4, 64, f64::MAX.to_bits()),
            (2, 4096, f64::MAX.to_bits()),
            (2, 4097, f64::INFINITY.to_bits()),
            (8, -274_000, 0xd),
            (8, -275_200, 0),
        ] {
            let found = bound(index, schema, &[]);
            assert_eq!(found.to_bits(), bits, "{schema} {index}: {found:e}");
        }
    }
}
