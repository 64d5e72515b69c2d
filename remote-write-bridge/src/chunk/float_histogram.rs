//! Native histograms with floating-point counts: the times as changes of changes, all else as what differs in its bits.

use lynceus_promql::is_stale;

use super::bits::{BitReader, BitWriter};
use super::xor::Xor;
use super::{ChunkError, HISTOGRAM_HEADER, Resets, layout};
use crate::wire::{Histogram, HistogramCount, HistogramZeroCount};

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

/// Writes a chunk sample by sample.
#[derive(Debug)]
pub(super) struct Writer {
    out: BitWriter,
    time: i64,
    step: i64,
    /// Count, zero count, sum.
    counts: [Xor; 3],
    buckets: Vec<Xor>,
}

impl Writer {
    /// The first sample says the layout of all.
    pub(super) fn new(header: [u8; HISTOGRAM_HEADER], first: &Histogram) -> Self {
        let mut out = BitWriter::new(&header);
        layout::write(first, &mut out);
        out.varbit(first.timestamp);
        let counts = counts(first);
        let buckets = first.positive_counts.iter().chain(&first.negative_counts);
        counts.iter().chain(buckets.clone()).for_each(|value| out.bits(value.to_bits(), 64));
        let buckets = buckets.map(|count| Xor::new(*count)).collect();
        Self { out, time: first.timestamp, step: 0, counts: counts.map(Xor::new), buckets }
    }

    pub(super) fn push(&mut self, histogram: &Histogram) {
        let out = &mut self.out;
        let step = histogram.timestamp.wrapping_sub(self.time);
        out.varbit(step.wrapping_sub(self.step));
        (self.time, self.step) = (histogram.timestamp, step);
        self.counts.iter_mut().zip(counts(histogram)).for_each(|(xor, value)| xor.write(value, out));
        if !is_stale(histogram.sum) {
            let buckets = histogram.positive_counts.iter().chain(&histogram.negative_counts);
            self.buckets.iter_mut().zip(buckets).for_each(|(xor, count)| xor.write(*count, out));
        }
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
    time: i64,
    step: i64,
    counts: [Xor; 3],
    buckets: Vec<Xor>,
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
        let [count, zero_count, sum] = state.counts.map(Xor::value);
        let timestamp = state.time;
        if is_stale(sum) {
            let count = Some(HistogramCount::Float(0.0));
            let zero_count = Some(HistogramZeroCount::Float(0.0));
            return Ok(Some(Histogram { count, zero_count, sum, timestamp, ..Histogram::default() }));
        }
        let positive = layout::buckets(&state.layout.positive_spans) as usize;
        let mut counts = state.buckets.iter().map(|bucket| bucket.value());
        Ok(Some(Histogram {
            count: Some(HistogramCount::Float(count)),
            zero_count: Some(HistogramZeroCount::Float(zero_count)),
            sum,
            timestamp,
            reset_hint: self.resets.hint(is_first),
            positive_counts: counts.by_ref().take(positive).collect(),
            negative_counts: counts.collect(),
            ..state.layout.clone()
        }))
    }
}

impl State {
    fn read(from: &mut BitReader<'_>) -> Result<Self, ChunkError> {
        let layout = layout::read(from, 64)?;
        let time = from.varbit()?;
        let mut counts = [Xor::new(0.0); 3];
        for count in &mut counts {
            *count = Xor::new(from.double()?);
        }
        let number = layout::buckets(&layout.positive_spans) + layout::buckets(&layout.negative_spans);
        let buckets = (0..number).map(|_| from.double().map(Xor::new)).collect::<Result<_, _>>()?;
        Ok(Self { layout, time, step: 0, counts, buckets })
    }

    fn read_next(&mut self, from: &mut BitReader<'_>) -> Result<(), ChunkError> {
        self.step = self.step.wrapping_add(from.varbit()?);
        self.time = self.time.wrapping_add(self.step);
        for count in &mut self.counts {
            count.read(from)?;
        }
        if !is_stale(self.counts[2].value()) {
            for bucket in &mut self.buckets {
                bucket.read(from)?;
            }
        }
        Ok(())
    }
}
