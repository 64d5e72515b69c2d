//! Sums and means of many histograms, compensated for what rounding loses.

use super::{BucketCounts, Combined, Histogram, Incompatible, ResetHint};
use crate::eval::Kahan;

/// Many histograms that become one.
pub(crate) trait Accumulator: Sized {
    fn of(first: &Histogram) -> Self;

    fn add(&mut self, other: &Histogram) -> Result<Combined, Incompatible>;

    fn total(self) -> Histogram;
}

/// A sum with a compensation for each of its counts.
#[derive(Clone, Debug)]
pub(crate) struct HistogramSum {
    sum: Histogram,
    /// Of the same layout as the sum.
    lost: Option<Histogram>,
}

impl Accumulator for HistogramSum {
    fn of(first: &Histogram) -> HistogramSum {
        HistogramSum { sum: first.clone(), lost: None }
    }

    fn add(&mut self, other: &Histogram) -> Result<Combined, Incompatible> {
        // First the layouts: adding no observations changes nothing else.
        let combined = self.sum.add(&other.without_observations())?;
        let layout = self.sum.without_observations();
        let mut value = layout.clone();
        value.add(other)?;
        let mut lost = layout;
        if let Some(before) = &self.lost {
            lost.add(before)?;
        }
        // A zero bucket that had to grow for the compensation's sake would differ from the sum's.
        let add = |sum: &mut f64, lost: &mut f64, value: f64| {
            let mut kahan = Kahan { sum: *sum, lost: *lost };
            kahan.add(value);
            (*sum, *lost) = (kahan.sum, kahan.lost);
        };
        add(&mut self.sum.count, &mut lost.count, value.count);
        add(&mut self.sum.sum, &mut lost.sum, value.sum);
        add(&mut self.sum.zero_count, &mut lost.zero_count, value.zero_count);
        each(&mut self.sum.positive, &mut lost.positive, &value.positive, add);
        each(&mut self.sum.negative, &mut lost.negative, &value.negative, add);
        lost.reset_hint = ResetHint::Unknown;
        self.lost = Some(lost);
        Ok(combined)
    }

    fn total(self) -> Histogram {
        let hint = self.sum.reset_hint;
        let mut total = self.sum;
        if let Some(lost) = self.lost.filter(Histogram::is_finite) {
            // The layouts are the same, so this cannot fail.
            if total.add(&lost).is_ok() {
                total.reset_hint = hint;
            }
        }
        total.compact()
    }
}

impl HistogramSum {
    fn scaled(&self, factor: f64) -> HistogramSum {
        HistogramSum { sum: self.sum.scaled(factor), lost: self.lost.as_ref().map(|l| l.scaled(factor)) }
    }
}

fn each(
    sums: &mut BucketCounts,
    lost: &mut BucketCounts,
    values: &BucketCounts,
    add: impl Fn(&mut f64, &mut f64, f64),
) {
    let place = |counts: &mut BucketCounts, index: i32| match counts.binary_search_by_key(&index, |b| b.0) {
        Ok(at) => at,
        Err(at) => {
            counts.insert(at, (index, 0.0));
            at
        }
    };
    for &(index, value) in values {
        let (a, b) = (place(sums, index), place(lost, index));
        add(&mut sums[a].1, &mut lost[b].1, value);
    }
}

/// As [`Mean`](crate::eval) of floats: by the sum while that is finite.
#[derive(Clone, Debug)]
pub(crate) struct HistogramMean {
    sum: HistogramSum,
    mean: Option<HistogramSum>,
    count: f64,
}

impl Accumulator for HistogramMean {
    fn of(first: &Histogram) -> HistogramMean {
        HistogramMean { sum: HistogramSum::of(first), mean: None, count: 1.0 }
    }

    fn add(&mut self, other: &Histogram) -> Result<Combined, Incompatible> {
        self.count += 1.0;
        let mut combined = Combined::default();
        if self.mean.is_none() {
            let mut sum = self.sum.clone();
            combined = sum.add(other)?;
            if sum.sum.is_finite() {
                self.sum = sum;
                return Ok(combined);
            }
            self.mean = Some(self.sum.scaled(1.0 / (self.count - 1.0)));
        }
        if let Some(mean) = &mut self.mean {
            let mut next = mean.scaled((self.count - 1.0) / self.count);
            let added = next.add(&other.divided(self.count))?;
            combined.bounds_reconciled |= added.bounds_reconciled;
            *mean = next;
        }
        Ok(combined)
    }

    fn total(self) -> Histogram {
        match self.mean {
            Some(mean) => mean.total(),
            None => {
                let count = self.count;
                let HistogramSum { sum, lost } = self.sum;
                HistogramSum { sum: sum.divided(count), lost: lost.map(|l| l.divided(count)) }.total()
            }
        }
    }
}

impl Histogram {
    /// Its layout, with no counts in it.
    fn without_observations(&self) -> Histogram {
        let emptied = |buckets: &BucketCounts| buckets.iter().map(|b| (b.0, 0.0)).collect();
        Histogram {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            positive: emptied(&self.positive),
            negative: emptied(&self.negative),
            custom_bounds: self.custom_bounds.clone(),
            reset_hint: self.reset_hint,
            ..Histogram::default()
        }
    }
}
