//! Floating-point counts: each as what differs from the bits before.

use lynceus_promql::is_stale;

use super::bits::{BitReader, BitWriter};
use super::histogram::Counts;
use super::xor::Xor;
use super::{ChunkError, Encoding};
use crate::wire::{Histogram, HistogramCount, HistogramZeroCount};

#[derive(Debug)]
pub(super) struct Float {
    /// Count, zero count, sum.
    counts: [Xor; 3],
    buckets: Vec<Xor>,
}

fn counts(histogram: &Histogram) -> [f64; 3] {
    if is_stale(histogram.sum) {
        return [0.0, 0.0, histogram.sum];
    }
    let count = match histogram.count {
        Some(HistogramCount::Float(count)) => count,
        _ => 0.0,
    };
    let zero_count = match histogram.zero_count {
        Some(HistogramZeroCount::Float(count)) => count,
        _ => 0.0,
    };
    [count, zero_count, histogram.sum]
}

fn buckets(histogram: &Histogram) -> impl Iterator<Item = f64> {
    histogram.positive_counts.iter().chain(&histogram.negative_counts).copied()
}

impl Counts for Float {
    const ENCODING: Encoding = Encoding::FloatHistogram;
    const BUCKET_BITS: u64 = 64;

    fn write_first(histogram: &Histogram, out: &mut BitWriter) -> Self {
        let counts = counts(histogram);
        counts.into_iter().chain(buckets(histogram)).for_each(|value| out.bits(value.to_bits(), 64));
        Self { counts: counts.map(Xor::new), buckets: buckets(histogram).map(Xor::new).collect() }
    }

    fn write(&mut self, histogram: &Histogram, out: &mut BitWriter) {
        self.counts.iter_mut().zip(counts(histogram)).for_each(|(xor, value)| xor.write(value, out));
        if !is_stale(histogram.sum) {
            self.buckets.iter_mut().zip(buckets(histogram)).for_each(|(xor, count)| xor.write(count, out));
        }
    }

    fn read_first(from: &mut BitReader<'_>, buckets: u64) -> Result<Self, ChunkError> {
        let mut double = || from.double().map(Xor::new);
        let counts = [double()?, double()?, double()?];
        Ok(Self { counts, buckets: (0..buckets).map(|_| double()).collect::<Result<_, _>>()? })
    }

    fn read(&mut self, from: &mut BitReader<'_>) -> Result<(), ChunkError> {
        self.counts.iter_mut().try_for_each(|one| one.read(from).map(drop))?;
        if is_stale(self.sum()) { Ok(()) } else { self.buckets.iter_mut().try_for_each(|one| one.read(from).map(drop)) }
    }

    fn sum(&self) -> f64 {
        self.counts[2].value()
    }

    fn set(&self, histogram: &mut Histogram, positive: usize) {
        let is_stale = is_stale(self.sum());
        let count = |xor: Xor| if is_stale { 0.0 } else { xor.value() };
        histogram.count = Some(HistogramCount::Float(count(self.counts[0])));
        histogram.zero_count = Some(HistogramZeroCount::Float(count(self.counts[1])));
        if !is_stale {
            let mut counts = self.buckets.iter().map(|bucket| bucket.value());
            histogram.positive_counts = counts.by_ref().take(positive).collect();
            histogram.negative_counts = counts.collect();
        }
    }
}
