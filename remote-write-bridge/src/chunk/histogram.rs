//! Native histograms with whole counts: the times and all counts as changes of changes.

use lynceus_promql::is_stale;

use super::bits::{BitReader, BitWriter};
use super::xor::Xor;
use super::{ChunkError, HISTOGRAM_HEADER, Resets, layout};
use crate::wire::{Histogram, HistogramCount, HistogramZeroCount};

/// A number and how it changed last. Counts of 64 bits wrap, and come back when they are read.
#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    value: i64,
    change: i64,
}

impl Counter {
    fn write(&mut self, value: i64, out: &mut BitWriter) {
        let change = value.wrapping_sub(self.value);
        out.varbit(change.wrapping_sub(self.change));
        *self = Self { value, change };
    }

    fn read(&mut self, from: &mut BitReader<'_>) -> Result<i64, ChunkError> {
        self.change = self.change.wrapping_add(from.varbit()?);
        self.value = self.value.wrapping_add(self.change);
        Ok(self.value)
    }
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

/// Writes a chunk sample by sample.
#[derive(Debug)]
pub(super) struct Writer {
    out: BitWriter,
    time: Counter,
    count: Counter,
    zero_count: Counter,
    sum: Xor,
    buckets: Vec<Counter>,
}

impl Writer {
    /// The first sample says the layout of all.
    pub(super) fn new(header: [u8; HISTOGRAM_HEADER], first: &Histogram) -> Self {
        let mut out = BitWriter::new(&header);
        layout::write(first, &mut out);
        let (count, zero_count) = counts(first);
        out.varbit(first.timestamp);
        out.unsigned_varbit(count);
        out.unsigned_varbit(zero_count);
        out.bits(first.sum.to_bits(), 64);
        let deltas = first.positive_deltas.iter().chain(&first.negative_deltas);
        deltas.clone().for_each(|delta| out.varbit(*delta));
        let counter = |value| Counter { value, change: 0 };
        Self {
            out,
            time: counter(first.timestamp),
            count: counter(count.cast_signed()),
            zero_count: counter(zero_count.cast_signed()),
            sum: Xor::new(first.sum),
            buckets: deltas.map(|delta| counter(*delta)).collect(),
        }
    }

    pub(super) fn push(&mut self, histogram: &Histogram) {
        let out = &mut self.out;
        self.time.write(histogram.timestamp, out);
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
        let deltas = histogram.positive_deltas.iter().chain(&histogram.negative_deltas);
        self.buckets.iter_mut().zip(deltas).for_each(|(bucket, delta)| bucket.write(*delta, out));
    }

    pub(super) fn out(&mut self) -> &mut BitWriter {
        &mut self.out
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out.into_bytes()
    }
}

/// Reads a chunk sample by sample.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    from: BitReader<'a>,
    left: u16,
    resets: Resets,
    state: Option<State>,
}

#[derive(Debug)]
struct State {
    layout: Histogram,
    time: Counter,
    count: Counter,
    zero_count: Counter,
    sum: Xor,
    buckets: Vec<Counter>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(data: &'a [u8], samples: u16, resets: Resets) -> Self {
        Self { from: BitReader::new(data, HISTOGRAM_HEADER), left: samples, resets, state: None }
    }

    pub(super) fn next(&mut self) -> Result<Option<Histogram>, ChunkError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let from = &mut self.from;
        let is_first = self.state.is_none();
        let state = match &mut self.state {
            None => self.state.insert(State::read(from)?),
            Some(state) => {
                state.read_next(from)?;
                state
            }
        };
        let (timestamp, sum) = (state.time.value, state.sum.value());
        if is_stale(sum) {
            let (count, zero_count) = (Some(HistogramCount::Int(0)), Some(HistogramZeroCount::Int(0)));
            return Ok(Some(Histogram { count, zero_count, sum, timestamp, ..Histogram::default() }));
        }
        let positive = layout::buckets(&state.layout.positive_spans) as usize;
        let mut deltas = state.buckets.iter().map(|bucket| bucket.value);
        Ok(Some(Histogram {
            count: Some(HistogramCount::Int(state.count.value.cast_unsigned())),
            zero_count: Some(HistogramZeroCount::Int(state.zero_count.value.cast_unsigned())),
            sum,
            timestamp,
            reset_hint: self.resets.hint(is_first),
            positive_deltas: deltas.by_ref().take(positive).collect(),
            negative_deltas: deltas.collect(),
            ..state.layout.clone()
        }))
    }
}

impl State {
    fn read(from: &mut BitReader<'_>) -> Result<Self, ChunkError> {
        let layout = layout::read(from, 1)?;
        let counter = |value| Counter { value, change: 0 };
        let time = counter(from.varbit()?);
        let count = counter(from.unsigned_varbit()?.cast_signed());
        let zero_count = counter(from.unsigned_varbit()?.cast_signed());
        let sum = Xor::new(from.double()?);
        let number = layout::buckets(&layout.positive_spans) + layout::buckets(&layout.negative_spans);
        let buckets = (0..number).map(|_| Ok(counter(from.varbit()?))).collect::<Result<_, _>>()?;
        Ok(Self { layout, time, count, zero_count, sum, buckets })
    }

    fn read_next(&mut self, from: &mut BitReader<'_>) -> Result<(), ChunkError> {
        self.time.read(from)?;
        self.count.read(from)?;
        self.zero_count.read(from)?;
        if !is_stale(self.sum.read(from)?) {
            for bucket in &mut self.buckets {
                bucket.read(from)?;
            }
        }
        Ok(())
    }
}
