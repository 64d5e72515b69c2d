//! Remote write 1.0: `prometheus.WriteRequest`.
//!
//! Senders write the labels of a series as one run of fields, so the run names the series. Labels that stand anywhere
//! else are found as well, only slower.

use super::{Content, Sample, SeriesError, Sink, label_set};
use crate::labels::{self, LabelSet};
use crate::protobuf::{Message, ProtobufError};

/// Tells its keys from those of 2.0.
const RUN: u64 = 1;
const SCATTERED: u64 = 2;

/// Keys of fields: number and "length-delimited".
const SERIES: u8 = 1 << 3 | 2;
const LABEL: u8 = 1 << 3 | 2;
const SAMPLE: u8 = 2 << 3 | 2;

pub(super) fn decode(request: Message<'_>, sink: &mut Sink<'_>) -> Result<(), ProtobufError> {
    let mut fields = request.fields();
    loop {
        if let Some(message) = fields.next_if(SERIES)? {
            series(message, sink)?;
            continue;
        }
        match fields.next()? {
            Some((1, value)) => series(value.bytes(&fields)?, sink)?,
            Some((3, value)) => {
                value.bytes(&fields)?;
                sink.accepted.metadata += 1;
            }
            Some(_) => {}
            None => return Ok(()),
        }
    }
}

fn series(message: Message<'_>, sink: &mut Sink<'_>) -> Result<(), ProtobufError> {
    let mut fields = message.fields();
    let mut content = sink.begin();
    while fields.next_if(LABEL)?.is_some() {}
    let run = &message.bytes[..fields.read()];
    let mut scattered = false;
    loop {
        if let Some(message) = fields.next_if(SAMPLE)? {
            sink.sample(sample(message)?);
            continue;
        }
        match fields.next()? {
            None => break,
            Some((1, value)) => {
                value.bytes(&fields)?;
                scattered = true;
            }
            Some((2, value)) => sink.sample(sample(value.bytes(&fields)?)?),
            Some((number @ (3 | 4), value)) => {
                value.bytes(&fields)?;
                if number == 3 { content.exemplars += 1 } else { content.histograms += 1 }
            }
            Some(_) => {}
        }
    }
    end(message, run, scattered, &content, sink)
}

fn end(
    message: Message<'_>,
    run: &[u8],
    scattered: bool,
    content: &Content,
    sink: &mut Sink<'_>,
) -> Result<(), ProtobufError> {
    let key = if scattered { sink.registry.key(&gathered(message)?, SCATTERED) } else { sink.registry.key(run, RUN) };
    let mut malformed = None;
    sink.end(content, key, || match parse(message) {
        Ok(labels) => labels,
        Err(error) => {
            malformed = Some(error);
            Err((SeriesError::Utf8, String::new()))
        }
    });
    malformed.map_or(Ok(()), Err)
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

type Parsed = Result<LabelSet, (SeriesError, String)>;

/// The labels of a series that is new. The outer error is of the message, the inner one of the series.
fn parse(message: Message<'_>) -> Result<Parsed, ProtobufError> {
    let mut raw = Vec::new();
    let mut fields = message.fields();
    while let Some((number, value)) = fields.next()? {
        if number == 1 {
            raw.push(label(value.bytes(&fields)?)?);
        }
    }
    let texts: Result<Vec<_>, _> = raw
        .iter()
        .map(|(name, value)| str::from_utf8(name).and_then(|name| Ok((name, str::from_utf8(value)?))))
        .collect();
    Ok(match texts {
        Ok(pairs) => label_set(&pairs),
        Err(_) => {
            let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let pairs: Vec<_> = raw.iter().map(|(name, value)| (lossy(name), lossy(value))).collect();
            let name = labels::display(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            Err((SeriesError::Utf8, name))
        }
    })
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
