//! Remote write 1.0: `prometheus.WriteRequest`.
//!
//! Senders write the labels of a series as one run of fields, so the run names the series. Labels that stand anywhere
//! else are found as well, only slower.

use super::{Accepted, Found, Labels, Sample, SeriesError, add, label_set};
use crate::labels;
use crate::protobuf::{Message, ProtobufError};
use crate::series::Registry;

/// Tells its keys from those of 2.0.
const RUN: u64 = 1;
const SCATTERED: u64 = 2;

/// Keys of fields: number and "length-delimited".
const SERIES: u8 = 1 << 3 | 2;
const LABEL: u8 = 1 << 3 | 2;
const SAMPLE: u8 = 2 << 3 | 2;

/// The series of a request, with the message that has their labels; their samples and what else there is go into
/// `accepted`.
pub(super) fn decode<'a>(
    request: Message<'a>,
    registry: &Registry,
    accepted: &mut Accepted,
) -> Result<Vec<Found<Message<'a>>>, ProtobufError> {
    let mut found = Vec::new();
    let mut fields = request.fields();
    loop {
        if let Some(message) = fields.next_if(SERIES)? {
            add(&mut found, series(message, registry, &mut accepted.samples)?, fields.read())?;
            continue;
        }
        match fields.next()? {
            Some((1, value)) => {
                let series = series(value.bytes(&fields)?, registry, &mut accepted.samples)?;
                add(&mut found, series, fields.read())?;
            }
            Some((3, value)) => {
                value.bytes(&fields)?;
                accepted.metadata += 1;
            }
            Some(_) => {}
            None => return Ok(found),
        }
    }
}

#[inline]
fn series<'a>(
    message: Message<'a>,
    registry: &Registry,
    samples: &mut Vec<Sample>,
) -> Result<Found<Message<'a>>, ProtobufError> {
    let (first, mut histograms, mut exemplars, mut scattered) = (samples.len(), 0, 0, false);
    let mut fields = message.fields();
    fields.skip_run(LABEL)?;
    let run = &message.bytes[..fields.read()];
    loop {
        if let Some(message) = fields.next_if(SAMPLE)? {
            samples.push(sample(message)?);
            continue;
        }
        match fields.next()? {
            None => break,
            Some((1, value)) => {
                value.bytes(&fields)?;
                scattered = true;
            }
            Some((2, value)) => samples.push(sample(value.bytes(&fields)?)?),
            Some((number @ (3 | 4), value)) => {
                value.bytes(&fields)?;
                if number == 3 { exemplars += 1 } else { histograms += 1 }
            }
            Some(_) => {}
        }
    }
    let key = if scattered { registry.key(&gathered(message)?, SCATTERED) } else { registry.key(run, RUN) };
    Ok(Found { key, labels: message, samples: samples.len() - first, histograms, exemplars })
}

/// All label fields, one after the other.
fn gathered(message: Message<'_>) -> Result<Vec<u8>, ProtobufError> {
    let (mut fields, mut bytes) = (message.fields(), Vec::new());
    loop {
        let start = fields.read();
        match fields.next()? {
            Some((1, _)) => bytes.extend_from_slice(&message.bytes[start..fields.read()]),
            Some(_) => {}
            None => return Ok(bytes),
        }
    }
}

/// The labels of a series that is new. The outer error is of the message, the inner one of the series.
pub(super) fn labels(message: &Message<'_>) -> Result<Labels, ProtobufError> {
    let mut pairs = Vec::with_capacity(16);
    let mut is_text = true;
    let mut fields = message.fields();
    while let Some((number, value)) = fields.next()? {
        if number == 1 {
            let (name, value) = label(value.bytes(&fields)?)?;
            match (str::from_utf8(name), str::from_utf8(value)) {
                (Ok(name), Ok(value)) => pairs.push((name, value)),
                _ => is_text = false,
            }
        }
    }
    if is_text { Ok(label_set(pairs)) } else { Ok(Err((SeriesError::Utf8, lossy(message)?))) }
}

/// The name of a series whose labels are not all text.
#[cold]
fn lossy(message: &Message<'_>) -> Result<String, ProtobufError> {
    let (mut fields, mut pairs) = (message.fields(), Vec::new());
    while let Some((number, value)) = fields.next()? {
        if number == 1 {
            let (name, value) = label(value.bytes(&fields)?)?;
            pairs.push((String::from_utf8_lossy(name), String::from_utf8_lossy(value)));
        }
    }
    Ok(labels::display(pairs.iter().map(|(name, value)| (&**name, &**value))))
}

/// Name and value; the last one counts where there are more.
fn label(message: Message<'_>) -> Result<(&[u8], &[u8]), ProtobufError> {
    let (mut fields, mut name, mut value) = (message.fields(), &[][..], &[][..]);
    while let Some((number, found)) = fields.next()? {
        match number {
            1 => name = found.bytes(&fields)?.bytes,
            2 => value = found.bytes(&fields)?.bytes,
            _ => {}
        }
    }
    Ok((name, value))
}

/// A sample, of either version.
#[inline]
pub(super) fn sample(message: Message<'_>) -> Result<Sample, ProtobufError> {
    const VALUE: u8 = 1 << 3 | 1;
    let mut fields = message.fields();
    // As senders write it; a value or time of 0 is left out.
    if let [VALUE, a, b, c, d, e, f, g, h, 0x10, time @ ..] = message.bytes
        && let Some(timestamp) = whole_varint(time)
    {
        let value = f64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
        return Ok(Sample { timestamp, value });
    }
    let mut sample = Sample { timestamp: 0, value: 0. };
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => sample.value = value.double(&fields)?,
            2 => sample.timestamp = value.integer(&fields)?.cast_signed(),
            _ => {}
        }
    }
    Ok(sample)
}

/// A number that is all of these bytes: the six that a time of this century has.
#[inline]
fn whole_varint(bytes: &[u8]) -> Option<i64> {
    let [a, b, c, d, e, f] = bytes else { return None };
    let all = [*a, *b, *c, *d, *e];
    if all.iter().any(|byte| *byte < 0x80) || *f >= 0x80 {
        return None;
    }
    let low = all.iter().rev().fold(0i64, |value, byte| value << 7 | i64::from(byte & 0x7f));
    Some(i64::from(*f) << 35 | low)
}
