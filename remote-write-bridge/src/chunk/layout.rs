//! What all histograms of a chunk have in common, written once: schema, zero threshold, spans and custom limits.

use super::ChunkError;
use super::bits::{BitReader, BitWriter};
use crate::wire::{BucketSpan, Histogram};

/// Buckets with limits of their own.
const CUSTOM_BUCKETS: i32 = -53;
/// Schemas that Prometheus knows beside it.
const SCHEMAS: std::ops::RangeInclusive<i32> = -9..=52;
/// Powers of two from 2^-243 to 2^10 are written as one byte, as the exponent of a fraction of 0.5.
const THRESHOLD_BIAS: i32 = 243;
/// Limits up to here that are whole thousandths are written as such.
const MAX_THOUSANDTHS: f64 = 33_554_430.0;

/// Buckets as a layout says, one number for each.
pub(super) fn buckets(spans: &[BucketSpan]) -> u64 {
    spans.iter().map(|span| u64::from(span.length)).sum()
}

/// Whether two histograms can be in the same chunk.
pub(super) fn is_same(a: &Histogram, b: &Histogram) -> bool {
    let limits =
        |histogram: &Histogram| histogram.custom_values.iter().map(|limit| limit.to_bits()).collect::<Vec<_>>();
    a.schema == b.schema
        && a.zero_threshold.to_bits() == b.zero_threshold.to_bits()
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && limits(a) == limits(b)
}

pub(super) fn write(histogram: &Histogram, out: &mut BitWriter) {
    write_threshold(histogram.zero_threshold, out);
    out.varbit(i64::from(histogram.schema));
    for spans in [&histogram.positive_spans, &histogram.negative_spans] {
        out.unsigned_varbit(spans.len() as u64);
        for span in spans {
            out.unsigned_varbit(u64::from(span.length));
            out.varbit(i64::from(span.offset));
        }
    }
    if histogram.schema == CUSTOM_BUCKETS {
        out.unsigned_varbit(histogram.custom_values.len() as u64);
        histogram.custom_values.iter().for_each(|limit| write_limit(*limit, out));
    }
}

fn write_threshold(threshold: f64, out: &mut BitWriter) {
    let exponent = (threshold.to_bits() >> 52) as i32 - 1022;
    let is_power = threshold.is_normal() && threshold.to_bits().trailing_zeros() >= 52;
    match exponent + THRESHOLD_BIAS {
        _ if threshold == 0.0 => out.bits(0, 8),
        byte @ 1..=254 if is_power => out.bits(byte as u64, 8),
        _ => {
            out.bits(255, 8);
            out.bits(threshold.to_bits(), 64);
        }
    }
}

fn write_limit(limit: f64, out: &mut BitWriter) {
    let thousandths = limit * 1000.0;
    let is_whole = (0.0..=MAX_THOUSANDTHS).contains(&thousandths) && thousandths.round() / 1000.0 == limit;
    if is_whole {
        out.unsigned_varbit(thousandths.round() as u64 + 1);
    } else {
        out.bit(false);
        out.bits(limit.to_bits(), 64);
    }
}

/// A histogram that has the layout and nothing else. `bits` are the fewest that a bucket of the first sample takes.
pub(super) fn read(from: &mut BitReader<'_>, bits: u64) -> Result<Histogram, ChunkError> {
    let zero_threshold = match from.bits(8)? as i32 {
        0 => 0.0,
        255 => from.double()?,
        byte => 2f64.powi(byte - THRESHOLD_BIAS - 1),
    };
    let at = from.position();
    let schema = i32::try_from(from.varbit()?).ok().filter(|found| *found == CUSTOM_BUCKETS || SCHEMAS.contains(found));
    let schema = schema.ok_or(ChunkError::Schema { at })?;
    let positive_spans = read_spans(from)?;
    let negative_spans = read_spans(from)?;
    let mut custom_values = Vec::new();
    if schema == CUSTOM_BUCKETS {
        for _ in 0..from.unsigned_varbit()? {
            custom_values.push(match from.unsigned_varbit()? {
                0 => from.double()?,
                thousandths => (thousandths - 1) as f64 / 1000.0,
            });
        }
    }
    // Before memory is taken for them.
    let found = buckets(&positive_spans).saturating_add(buckets(&negative_spans));
    if found.saturating_mul(bits) > from.left() as u64 {
        return Err(ChunkError::Buckets { at: from.position(), found });
    }
    Ok(Histogram { schema, zero_threshold, positive_spans, negative_spans, custom_values, ..Histogram::default() })
}

fn read_spans(from: &mut BitReader<'_>) -> Result<Vec<BucketSpan>, ChunkError> {
    let mut spans = Vec::new();
    for _ in 0..from.unsigned_varbit()? {
        let at = from.position();
        let (length, offset) = (u32::try_from(from.unsigned_varbit()?), i32::try_from(from.varbit()?));
        let (Ok(length), Ok(offset)) = (length, offset) else { return Err(ChunkError::Span { at }) };
        spans.push(BucketSpan { offset, length });
    }
    Ok(spans)
}
