//! Samples as Prometheus keeps them: chunks of up to 120, in the formats of its TSDB.
//!
//! The same bytes are in Prometheus' blocks and in the answers of remote read, so this is what `export`, `import` and
//! streamed reads share. Formats: <https://github.com/prometheus/prometheus/blob/main/tsdb/docs/format/chunks.md>. What is
//! encoded is what Prometheus 3 writes by default; its newer formats with start times (4 to 6) are not read.
//!
//! Where a histogram has other buckets than the one before, Prometheus makes room for them in all of the chunk. Here another
//! chunk begins: it takes some bytes more and says the same.

mod bits;
mod float;
mod histogram;
mod layout;
mod resets;
#[cfg(test)]
mod tests;
mod whole;
mod xor;

use lynceus_promql::is_stale;
use prost::Message as _;

use crate::archive::HistogramRow;
use crate::wire::{Histogram, HistogramCount, Sample};
use float::Float;
use histogram::{Counts, Reader, Writer};
pub(crate) use resets::Resets;
use whole::Whole;

/// As Prometheus cuts them.
const MAX_SAMPLES: usize = 120;
/// Chunks of histograms end at this size as well, unless they have fewer than ten.
const HISTOGRAM_BYTES: usize = 1024;
const LEAST_HISTOGRAMS: usize = 10;
/// The number of samples; for histograms a byte about counter resets follows.
const HEADER: usize = 2;
const HISTOGRAM_HEADER: usize = 3;

/// Samples of one series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) encoding: Encoding,
    /// Times of its first and last sample.
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) samples: usize,
    pub(crate) data: Vec<u8>,
}

/// The numbers are those of Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Encoding {
    Xor = 1,
    Histogram = 2,
    FloatHistogram = 3,
}

/// A sample of either kind.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Point {
    Float(Sample),
    Histogram(Box<Histogram>),
}

impl Point {
    fn histogram(histogram: Histogram) -> Self {
        Self::Histogram(Box::new(histogram))
    }

    pub(crate) fn timestamp(&self) -> i64 {
        match self {
            Self::Float(sample) => sample.timestamp,
            Self::Histogram(histogram) => histogram.timestamp,
        }
    }
}

/// Why bytes are no chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChunkError {
    #[error("expected a chunk of encoding 1 to 3 (XOR, histogram, float histogram), found {0}")]
    Encoding(u8),
    #[error("the chunk ends inside a sample, after {length} bytes")]
    Ends { length: usize },
    #[error("at byte {at} of the chunk: a number of more than 64 bits")]
    Number { at: usize },
    #[error("at byte {at} of the chunk: a value of which more than 64 bits have changed")]
    Window { at: usize },
    #[error("at byte {at} of the chunk: a schema of histograms that is not known")]
    Schema { at: usize },
    #[error("at byte {at} of the chunk: a span beyond what 32 bits can say")]
    Span { at: usize },
    #[error("at byte {at} of the chunk: {found} buckets, more than follow")]
    Buckets { at: usize, found: u64 },
}

/// Why a histogram of the archive cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoredError {
    #[error("a histogram of the archive is no message: {0}")]
    Message(#[from] prost::DecodeError),
    #[error("a histogram of the archive has {found} buckets where its spans have {expected}")]
    Buckets { expected: u64, found: usize },
}

/// Chunks of a series, in the order of time.
///
/// Of a number and a histogram at the same time the number stays: to Prometheus a series has one value at a time.
pub(crate) struct Chunks<'a> {
    samples: &'a [Sample],
    histograms: &'a [HistogramRow],
    /// The histogram that the last chunk ended with.
    before: Option<Histogram>,
}

impl<'a> Chunks<'a> {
    /// Of rows in the order of time.
    pub(crate) fn new(samples: &'a [Sample], histograms: &'a [HistogramRow]) -> Self {
        Self { samples, histograms, before: None }
    }

    fn floats(&mut self) -> Option<Chunk> {
        let until = self.histograms.first().map_or(i64::MAX, |row| row.timestamp);
        let number = self.samples.iter().take(MAX_SAMPLES).take_while(|row| row.timestamp <= until).count();
        let (rows, rest) = self.samples.split_at(number);
        let (first, last) = (rows.first()?.timestamp, rows.last()?.timestamp);
        let skipped = self.histograms.iter().take_while(|row| row.timestamp <= last).count();
        (self.samples, self.histograms, self.before) = (rest, &self.histograms[skipped..], None);
        let data = xor::encode(rows.iter().copied());
        Some(Chunk { encoding: Encoding::Xor, first, last, samples: rows.len(), data })
    }

    fn histograms(&mut self) -> Result<Option<Chunk>, StoredError> {
        let Some(first) = self.histograms.first() else { return Ok(None) };
        let first = stored(first)?;
        if is_whole(&first) { self.histograms_of::<Whole>(first) } else { self.histograms_of::<Float>(first) }.map(Some)
    }

    fn histograms_of<C: Counts>(&mut self, first: Histogram) -> Result<Chunk, StoredError> {
        let until = self.samples.first().map_or(i64::MAX, |row| row.timestamp);
        let start = first.timestamp;
        let mut writer = Writer::<C>::new(Resets::at_start(self.before.as_ref(), &first), &first);
        let (mut samples, mut last) = (1, first);
        while samples < MAX_SAMPLES && (samples < LEAST_HISTOGRAMS || writer.out.len() < HISTOGRAM_BYTES) {
            let next = self.histograms.get(samples).filter(|row| row.timestamp < until);
            let Some(next) = next.map(stored).transpose()? else { break };
            if !resets::continues(&last, &next) {
                break;
            }
            writer.push(&next);
            samples += 1;
            last = next;
        }
        self.histograms = &self.histograms[samples..];
        // At most MAX_SAMPLES.
        writer.out.bytes()[..HEADER].copy_from_slice(&(samples as u16).to_be_bytes());
        let end = last.timestamp;
        self.before = Some(last);
        Ok(Chunk { encoding: C::ENCODING, first: start, last: end, samples, data: writer.out.into_bytes() })
    }
}

impl Iterator for Chunks<'_> {
    type Item = Result<Chunk, StoredError>;

    fn next(&mut self) -> Option<Self::Item> {
        let is_float = match (self.samples.first(), self.histograms.first()) {
            (Some(sample), Some(histogram)) => sample.timestamp <= histogram.timestamp,
            (sample, _) => sample.is_some(),
        };
        if is_float { self.floats().map(Ok) } else { self.histograms().transpose() }
    }
}

/// Samples of a series, those of either kind in the order of time. Of two at the same time both are there.
pub(crate) fn points(
    mut samples: &[Sample],
    mut histograms: &[HistogramRow],
) -> impl Iterator<Item = Result<Point, StoredError>> {
    std::iter::from_fn(move || {
        let is_float = match (samples.first(), histograms.first()) {
            (Some(sample), Some(histogram)) => sample.timestamp <= histogram.timestamp,
            (sample, _) => sample.is_some(),
        };
        if is_float {
            return Some(Ok(Point::Float(*samples.split_off_first()?)));
        }
        Some(stored(histograms.split_off_first()?).map(Point::histogram))
    })
}

/// A histogram with its time; of a stale marker nothing else counts.
fn stored(row: &HistogramRow) -> Result<Histogram, StoredError> {
    let histogram = Histogram { timestamp: row.timestamp, ..Histogram::decode(row.histogram.as_slice())? };
    if is_stale(histogram.sum) {
        let Histogram { count, sum, timestamp, reset_hint, .. } = histogram;
        return Ok(Histogram { count, sum, timestamp, reset_hint, ..Histogram::default() });
    }
    let Histogram { positive_deltas, negative_deltas, positive_counts, negative_counts, .. } = &histogram;
    let (positive, negative) = match is_whole(&histogram) {
        true => (positive_deltas.len(), negative_deltas.len()),
        false => (positive_counts.len(), negative_counts.len()),
    };
    for (spans, found) in [(&histogram.positive_spans, positive), (&histogram.negative_spans, negative)] {
        let expected = layout::buckets(spans);
        if found as u64 != expected {
            return Err(StoredError::Buckets { expected, found });
        }
    }
    Ok(histogram)
}

fn is_whole(histogram: &Histogram) -> bool {
    !matches!(histogram.count, Some(HistogramCount::Float(_)))
}

/// Reads a chunk sample by sample, and stays small whatever it claims to have.
#[derive(Debug)]
pub(crate) struct Points<'a>(Kind<'a>);

#[derive(Debug)]
enum Kind<'a> {
    Xor(xor::Reader<'a>),
    Histogram(Reader<'a, Whole>),
    FloatHistogram(Reader<'a, Float>),
}

impl<'a> Points<'a> {
    pub(crate) fn new(encoding: u8, data: &'a [u8]) -> Result<Self, ChunkError> {
        let ends = ChunkError::Ends { length: data.len() };
        let samples = u16::from_be_bytes(*data.first_chunk().ok_or_else(|| ends.clone())?);
        let resets = || data.get(HEADER).map(|flags| Resets::from_flags(*flags)).ok_or(ends);
        Ok(Self(match encoding {
            1 => Kind::Xor(xor::Reader::new(data, samples)),
            2 => Kind::Histogram(Reader::new(data, samples, resets()?)),
            3 => Kind::FloatHistogram(Reader::new(data, samples, resets()?)),
            found => return Err(ChunkError::Encoding(found)),
        }))
    }

    pub(crate) fn next(&mut self) -> Result<Option<Point>, ChunkError> {
        match &mut self.0 {
            Kind::Xor(reader) => reader.next(),
            Kind::Histogram(reader) => Ok(reader.next()?.map(Point::histogram)),
            Kind::FloatHistogram(reader) => Ok(reader.next()?.map(Point::histogram)),
        }
    }
}
