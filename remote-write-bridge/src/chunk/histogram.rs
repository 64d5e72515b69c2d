//! Native histograms: the layout once, then times as changes of changes, then what the counts of this kind make of it.

use lynceus_promql::is_stale;

use super::bits::{BitReader, BitWriter};
use super::{ChunkError, Encoding, HISTOGRAM_HEADER, Resets, layout};
use crate::wire::Histogram;

/// What of a histogram changes from sample to sample, its time aside.
pub(super) trait Counts: Sized {
    const ENCODING: Encoding;
    /// Bits that the count of a bucket takes at least, in the first sample.
    const BUCKET_BITS: u64;

    fn write_first(histogram: &Histogram, out: &mut BitWriter) -> Self;
    fn write(&mut self, histogram: &Histogram, out: &mut BitWriter);
    fn read_first(from: &mut BitReader<'_>, buckets: u64) -> Result<Self, ChunkError>;
    fn read(&mut self, from: &mut BitReader<'_>) -> Result<(), ChunkError>;
    fn sum(&self) -> f64;
    /// Sets all counts; of the buckets so many are positive. A stale marker has counts of 0, and no buckets.
    fn set(&self, histogram: &mut Histogram, positive: usize);
}

/// A number and how it changed last. Counts of 64 bits wrap, and come back when they are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counter {
    pub(super) value: i64,
    change: i64,
}

impl Counter {
    pub(super) fn new(value: i64) -> Self {
        Self { value, change: 0 }
    }

    pub(super) fn write(&mut self, value: i64, out: &mut BitWriter) {
        let change = value.wrapping_sub(self.value);
        out.varbit(change.wrapping_sub(self.change));
        *self = Self { value, change };
    }

    pub(super) fn read(&mut self, from: &mut BitReader<'_>) -> Result<(), ChunkError> {
        self.change = self.change.wrapping_add(from.varbit()?);
        self.value = self.value.wrapping_add(self.change);
        Ok(())
    }
}

/// Writes a chunk sample by sample.
#[derive(Debug)]
pub(super) struct Writer<C> {
    pub(super) out: BitWriter,
    time: Counter,
    counts: C,
}

impl<C: Counts> Writer<C> {
    /// The first sample says the layout of all.
    pub(super) fn new(resets: Resets, first: &Histogram) -> Self {
        let mut out = BitWriter::new(&[0, 0, resets as u8]);
        layout::write(first, &mut out);
        out.varbit(first.timestamp);
        let counts = C::write_first(first, &mut out);
        Self { out, time: Counter::new(first.timestamp), counts }
    }

    pub(super) fn push(&mut self, histogram: &Histogram) {
        self.time.write(histogram.timestamp, &mut self.out);
        self.counts.write(histogram, &mut self.out);
    }
}

/// Reads a chunk sample by sample.
#[derive(Debug)]
pub(super) struct Reader<'a, C> {
    from: BitReader<'a>,
    left: u16,
    resets: Resets,
    /// Layout, time and counts of the sample before.
    last: Option<(Histogram, Counter, C)>,
}

impl<'a, C: Counts> Reader<'a, C> {
    pub(super) fn new(data: &'a [u8], samples: u16, resets: Resets) -> Self {
        Self { from: BitReader::new(data, HISTOGRAM_HEADER), left: samples, resets, last: None }
    }

    pub(super) fn next(&mut self) -> Result<Option<Histogram>, ChunkError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let from = &mut self.from;
        let is_first = self.last.is_none();
        let (layout, time, counts) = match &mut self.last {
            None => {
                let layout = layout::read(from, C::BUCKET_BITS)?;
                let time = Counter::new(from.varbit()?);
                let buckets = layout::buckets(&layout.positive_spans) + layout::buckets(&layout.negative_spans);
                let counts = C::read_first(from, buckets)?;
                self.last.insert((layout, time, counts))
            }
            Some(last) => {
                last.1.read(from)?;
                last.2.read(from)?;
                last
            }
        };
        let (timestamp, sum) = (time.value, counts.sum());
        let mut histogram = if is_stale(sum) {
            Histogram { sum, timestamp, ..Histogram::default() }
        } else {
            Histogram { sum, timestamp, reset_hint: self.resets.hint(is_first), ..layout.clone() }
        };
        counts.set(&mut histogram, layout::buckets(&layout.positive_spans) as usize);
        Ok(Some(histogram))
    }
}
