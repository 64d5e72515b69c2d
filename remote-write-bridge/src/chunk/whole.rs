//! Whole counts: each as the change of its change.

use lynceus_promql::is_stale;

use super::bits::{BitReader, BitWriter};
use super::histogram::{Counter, Counts};
use super::xor::Xor;
use super::{ChunkError, Encoding};
use crate::wire::{Histogram, HistogramCount, HistogramZeroCount};

#[derive(Debug)]
pub(super) struct Whole {
    count: Counter,
    zero_count: Counter,
    sum: Xor,
    buckets: Vec<Counter>,
}

fn counts(histogram: &Histogram) -> (u64, u64) {
    let count = match histogram.count {
        Some(HistogramCount::Int(count)) => count,
        _ => 0,
    };
    let zero_count = match histogram.zero_count {
        Some(HistogramZeroCount::Int(count)) => count,
        _ => 0,
    };
    (count, zero_count)
}

fn buckets(histogram: &Histogram) -> impl Iterator<Item = i64> {
    histogram.positive_deltas.iter().chain(&histogram.negative_deltas).copied()
}

impl Counts for Whole {
    const ENCODING: Encoding = Encoding::Histogram;
    const BUCKET_BITS: u64 = 1;

    fn write_first(histogram: &Histogram, out: &mut BitWriter) -> Self {
        let (count, zero_count) = counts(histogram);
        out.unsigned_varbit(count);
        out.unsigned_varbit(zero_count);
        out.bits(histogram.sum.to_bits(), 64);
        buckets(histogram).for_each(|delta| out.varbit(delta));
        Self {
            count: Counter::new(count.cast_signed()),
            zero_count: Counter::new(zero_count.cast_signed()),
            sum: Xor::new(histogram.sum),
            buckets: buckets(histogram).map(Counter::new).collect(),
        }
    }

    fn write(&mut self, histogram: &Histogram, out: &mut BitWriter) {
        if is_stale(histogram.sum) {
            // Nothing but stale markers follows it.
            out.varbit(0);
            out.varbit(0);
            return self.sum.write(histogram.sum, out);
        }
        let (count, zero_count) = counts(histogram);
        self.count.write(count.cast_signed(), out);
        self.zero_count.write(zero_count.cast_signed(), out);
        self.sum.write(histogram.sum, out);
        self.buckets.iter_mut().zip(buckets(histogram)).for_each(|(bucket, delta)| bucket.write(delta, out));
    }

    fn read_first(from: &mut BitReader<'_>, buckets: u64) -> Result<Self, ChunkError> {
        Ok(Self {
            count: Counter::new(from.unsigned_varbit()?.cast_signed()),
            zero_count: Counter::new(from.unsigned_varbit()?.cast_signed()),
            sum: Xor::new(from.double()?),
            buckets: (0..buckets).map(|_| from.varbit().map(Counter::new)).collect::<Result<_, _>>()?,
        })
    }

    fn read(&mut self, from: &mut BitReader<'_>) -> Result<(), ChunkError> {
        self.count.read(from)?;
        self.zero_count.read(from)?;
        if is_stale(self.sum.read(from)?) { Ok(()) } else { self.buckets.iter_mut().try_for_each(|one| one.read(from)) }
    }

    fn sum(&self) -> f64 {
        self.sum.value()
    }

    fn set(&self, histogram: &mut Histogram, positive: usize) {
        let is_stale = is_stale(self.sum());
        let count = |counter: Counter| if is_stale { 0 } else { counter.value.cast_unsigned() };
        histogram.count = Some(HistogramCount::Int(count(self.count)));
        histogram.zero_count = Some(HistogramZeroCount::Int(count(self.zero_count)));
        if !is_stale {
            let mut deltas = self.buckets.iter().map(|bucket| bucket.value);
            histogram.positive_deltas = deltas.by_ref().take(positive).collect();
            histogram.negative_deltas = deltas.collect();
        }
    }
}
