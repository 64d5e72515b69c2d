//! Remote write 1.0: `prometheus.WriteRequest`.
//!
//! Senders write the labels of a series as one run of fields, so the run names the series. Labels that stand anywhere
//! else are found as well, only slower.

use super::{
    Body, Exemplar, Found, Labels, Metadata, MetricKind, Raw, Sample, SeriesError, add, exemplar_labels, label_set,
};
use crate::labels::{self, Pairs};
use crate::protobuf::{Message, ProtobufError};
use crate::series::Registry;

/// Tells its keys from those of 2.0.
const RUN: u64 = 1;
const SCATTERED: u64 = 2;

/// Keys of fields: number and "length-delimited".
const SERIES: u8 = 1 << 3 | 2;
const LABEL: u8 = 1 << 3 | 2;
const SAMPLE: u8 = 2 << 3 | 2;
/// Of a label.
const NAME: u8 = 1 << 3 | 2;
const VALUE: u8 = 2 << 3 | 2;

/// A request; its series have the message that has their labels, or the run of them that it begins with.
pub(super) fn decode<'a>(request: Message<'a>, registry: &Registry) -> Result<Body<'a, Message<'a>>, ProtobufError> {
    let mut body = Body { series: Vec::new(), samples: Vec::new(), others: Vec::new(), metadata: Vec::new() };
    let mut fields = request.fields();
    loop {
        if let Some(message) = fields.next_if(SERIES)? {
            let series = series(message, registry, &mut body)?;
            add(&mut body.series, series, fields.read())?;
            continue;
        }
        match fields.next()? {
            Some((1, value)) => {
                let series = series(value.bytes(&fields)?, registry, &mut body)?;
                add(&mut body.series, series, fields.read())?;
            }
            Some((3, value)) => body.metadata.push(metadata(value.bytes(&fields)?)?),
            Some(_) => {}
            None => return Ok(body),
        }
    }
}

#[inline]
fn series<'a>(
    message: Message<'a>,
    registry: &Registry,
    body: &mut Body<'a, Message<'a>>,
) -> Result<Found<Message<'a>>, ProtobufError> {
    let (first, first_other, mut scattered) = (body.samples.len(), body.others.len(), false);
    let mut fields = message.fields();
    fields.skip_run(LABEL)?;
    let run = &message.bytes[..fields.read()];
    loop {
        if let Some(message) = fields.next_if(SAMPLE)? {
            body.samples.push(sample(message)?.0);
            continue;
        }
        match fields.next()? {
            None => break,
            Some((1, value)) => {
                value.bytes(&fields)?;
                scattered = true;
            }
            Some((2, value)) => body.samples.push(sample(value.bytes(&fields)?)?.0),
            Some((3, value)) => body.others.push(Raw::Exemplar(value.bytes(&fields)?)),
            Some((4, value)) => body.others.push(Raw::Histogram(value.bytes(&fields)?)),
            Some(_) => {}
        }
    }
    let (key, labels) = if scattered {
        (registry.key(&gathered(message)?, SCATTERED), message)
    } else {
        (registry.key(run, RUN), Message { bytes: run, ..message })
    };
    Ok(Found { key, labels, samples: body.samples.len() - first, others: body.others.len() - first_other })
}

fn metadata(message: Message<'_>) -> Result<Metadata, ProtobufError> {
    let (mut fields, mut kind, mut name, mut help, mut unit) = (message.fields(), 0, "", "", "");
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => kind = value.integer(&fields)?,
            2 => name = value.bytes(&fields)?.text()?,
            4 => help = value.bytes(&fields)?.text()?,
            5 => unit = value.bytes(&fields)?.text()?,
            _ => {}
        }
    }
    let (metric_name, unit, help) = (name.to_owned(), unit.to_owned(), help.to_owned());
    Ok(Metadata { metric_name, kind: MetricKind::of(kind), unit, help })
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
pub(super) fn labels(message: Message<'_>) -> Result<Labels, ProtobufError> {
    match pairs(message)? {
        Some(pairs) => Ok(label_set(pairs)),
        None => Ok(Err((SeriesError::Utf8, lossy(message)?))),
    }
}

/// An exemplar, or why it is none.
pub(super) fn exemplar(message: Message<'_>) -> Result<Result<Exemplar, String>, ProtobufError> {
    let (value, timestamp) = exemplar_value(message)?;
    let labels = pairs(message)?.ok_or_else(|| SeriesError::Utf8.to_string()).and_then(exemplar_labels);
    Ok(labels.map(|labels| Exemplar { timestamp, value, labels }))
}

/// Value and time of an exemplar, of either version.
pub(super) fn exemplar_value(message: Message<'_>) -> Result<(f64, i64), ProtobufError> {
    let (mut fields, mut value, mut timestamp) = (message.fields(), 0.0, 0);
    while let Some((number, found)) = fields.next()? {
        match number {
            2 => value = found.double(&fields)?,
            3 => timestamp = found.integer(&fields)?.cast_signed(),
            _ => {}
        }
    }
    Ok((value, timestamp))
}

/// The labels of a series or an exemplar; `None` where they are not all text.
fn pairs(message: Message<'_>) -> Result<Option<Pairs<'_>>, ProtobufError> {
    if let Some(pairs) = run(message.bytes) {
        return Ok(Some(pairs));
    }
    let mut pairs = Vec::with_capacity(16);
    let mut fields = message.fields();
    let mut is_text = true;
    while let Some((number, value)) = fields.next()? {
        if number == 1 {
            let (name, value) = label(value.bytes(&fields)?)?;
            match (str::from_utf8(name), str::from_utf8(value)) {
                (Ok(name), Ok(value)) => pairs.push((name, value)),
                _ => is_text = false,
            }
        }
    }
    Ok(is_text.then_some(pairs))
}

/// Labels as senders write them: one after the other, names and values of less than 128 bytes, which is text as a whole.
fn run(bytes: &[u8]) -> Option<Pairs<'_>> {
    let mut rest = str::from_utf8(bytes).ok()?;
    let mut pairs = Vec::with_capacity(16);
    while let [LABEL, length @ 0..0x80, NAME, name @ 0..0x80, ..] = rest.as_bytes() {
        let (label, others) = rest.split_at_checked(usize::from(*length) + 2)?;
        let (name, value) = label.get(4..)?.split_at_checked(usize::from(*name))?;
        let [VALUE, length @ 0..0x80, ..] = value.as_bytes() else { return None };
        let value = value.get(2..).filter(|value| value.len() == usize::from(*length))?;
        pairs.push((name, value));
        rest = others;
    }
    rest.is_empty().then_some(pairs)
}

/// The name of a series whose labels are not all text.
#[cold]
fn lossy(message: Message<'_>) -> Result<String, ProtobufError> {
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

/// A sample and when its series began to count, of either version: 1.0 does not say when.
#[inline]
pub(super) fn sample(message: Message<'_>) -> Result<(Sample, i64), ProtobufError> {
    const VALUE: u8 = 1 << 3 | 1;
    let mut fields = message.fields();
    // As senders write it; a value or time of 0 is left out.
    if let [VALUE, a, b, c, d, e, f, g, h, 0x10, time @ ..] = message.bytes
        && let Some(timestamp) = whole_varint(time)
    {
        let value = f64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
        return Ok((Sample { timestamp, value }, 0));
    }
    let (mut sample, mut start) = (Sample { timestamp: 0, value: 0. }, 0);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => sample.value = value.double(&fields)?,
            2 => sample.timestamp = value.integer(&fields)?.cast_signed(),
            3 => start = value.integer(&fields)?.cast_signed(),
            _ => {}
        }
    }
    Ok((sample, start))
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
