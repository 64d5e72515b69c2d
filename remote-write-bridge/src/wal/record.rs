//! A record of the log: one write request, as compact as it can be without a compressor.
//!
//! Series have numbers within a segment. A record defines those that the segment does not know yet, so a segment is
//! read by itself, on any machine and for any server. A sample is the difference of its time to the one before and its
//! eight bytes: about eleven in all.

use std::ops::Range;

use crate::ingest::Sample;
use crate::labels::{Identity, LabelSet};

/// What a record is. Others may come; a reader that does not know one stops there and says so.
const WRITE: u8 = 1;

/// Writes a record.
pub(super) struct Writer {
    bytes: Vec<u8>,
    last: Last,
}

/// What the next number is written as the difference to.
#[derive(Default)]
struct Last {
    number: i64,
    time: i64,
}

impl Writer {
    pub(super) fn new(definitions: &[&LabelSet]) -> Self {
        let mut bytes = vec![WRITE];
        push(&mut bytes, definitions.len() as u64);
        for labels in definitions {
            push(&mut bytes, labels.as_bytes().len() as u64);
            bytes.extend_from_slice(labels.as_bytes());
        }
        Self { bytes, last: Last::default() }
    }

    /// The samples of the series that has this number.
    #[inline]
    pub(super) fn series(&mut self, number: u32, samples: &[Sample]) {
        let number = i64::from(number);
        push_signed(&mut self.bytes, number - self.last.number);
        self.last.number = number;
        push(&mut self.bytes, samples.len() as u64);
        for sample in samples {
            push_signed(&mut self.bytes, sample.timestamp.wrapping_sub(self.last.time));
            self.last.time = sample.timestamp;
            self.bytes.extend_from_slice(&sample.value.to_bits().to_le_bytes());
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// A series that a segment defines.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Defined {
    pub(super) identity: Identity,
    /// Where its labels are in the segment.
    pub(super) labels: Range<u64>,
}

/// Why a record cannot be read, though its checksum holds.
#[derive(Debug, thiserror::Error, PartialEq)]
pub(super) enum RecordError {
    #[error("the record ends too early")]
    Truncated,
    #[error("a record of kind {0}: it was written by a later version of lynceus-bridge")]
    Kind(u8),
    #[error("labels that are none")]
    Labels,
    #[error("series {number}, where the segment defines {defined}")]
    Undefined { number: i64, defined: usize },
}

/// Reads a record that begins at `at` of its segment. What it defines is added to `defined`; `each` gets its samples.
pub(super) fn read(
    bytes: &[u8],
    at: u64,
    defined: &mut Vec<Defined>,
    mut each: impl FnMut(u32, &Defined, Sample),
) -> Result<(), RecordError> {
    let mut rest = Rest(bytes);
    let kind = rest.byte()?;
    if kind != WRITE {
        return Err(RecordError::Kind(kind));
    }
    for _ in 0..rest.number()? {
        let length = usize::try_from(rest.number()?).map_err(|_| RecordError::Truncated)?;
        let start = at + (bytes.len() - rest.0.len()) as u64;
        let labels = LabelSet::from_bytes(rest.take(length)?).ok_or(RecordError::Labels)?;
        defined.push(Defined { identity: labels.identity(), labels: start..start + length as u64 });
    }
    let mut last = Last::default();
    while !rest.0.is_empty() {
        last.number = last.number.wrapping_add(rest.signed()?);
        let undefined = || RecordError::Undefined { number: last.number, defined: defined.len() };
        let place = u32::try_from(last.number).map_err(|_| undefined())?;
        let series = defined.get(place as usize).ok_or_else(undefined)?;
        for _ in 0..rest.number()? {
            last.time = last.time.wrapping_add(rest.signed()?);
            let (bits, others) = rest.0.split_first_chunk().ok_or(RecordError::Truncated)?;
            rest.0 = others;
            let sample = Sample { timestamp: last.time, value: f64::from_bits(u64::from_le_bytes(*bits)) };
            each(place, series, sample);
        }
    }
    Ok(())
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn byte(&mut self) -> Result<u8, RecordError> {
        let (byte, rest) = self.0.split_first().ok_or(RecordError::Truncated)?;
        self.0 = rest;
        Ok(*byte)
    }

    fn number(&mut self) -> Result<u64, RecordError> {
        let mut value = 0;
        for place in 0..10 {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(RecordError::Truncated)
    }

    fn signed(&mut self) -> Result<i64, RecordError> {
        let value = self.number()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(RecordError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }
}

fn push(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        // The lowest seven bits.
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Small numbers of either sign in few bytes.
fn push_signed(bytes: &mut Vec<u8>, value: i64) {
    push(bytes, (value << 1 ^ value >> 63).cast_unsigned());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(name: &str) -> LabelSet {
        LabelSet::of_pairs(vec![("__name__", name)]).unwrap()
    }

    #[test]
    fn a_sample_takes_eleven_bytes() {
        let now = 1_767_261_640_000;
        let mut writer = Writer::new(&[]);
        let series = |number| (number, [Sample { timestamp: now, value: 0.1 }]);
        (0..1000).map(series).for_each(|(number, samples)| writer.series(number, &samples));
        assert_eq!(writer.finish().len(), 2 + 5 + 1000 * 11);
    }

    #[test]
    fn a_record_that_refers_to_nothing_is_an_error() {
        let mut writer = Writer::new(&[]);
        writer.series(0, &[]);
        let error = read(&writer.finish(), 0, &mut Vec::new(), |_, _, _| {}).unwrap_err();
        assert_eq!(error, RecordError::Undefined { number: 0, defined: 0 });
        assert_eq!(read(&[9], 0, &mut Vec::new(), |_, _, _| {}), Err(RecordError::Kind(9)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            series in prop::collection::vec((0u32..3, prop::collection::vec((any::<i64>(), any::<u64>()), 0..4)), 0..6)
        ) {
            let all = [labels("a"), labels("b"), labels("c")];
            let mut writer = Writer::new(&[&all[1], &all[2]]);
            let mut expected = Vec::new();
            for (number, samples) in &series {
                let of = |(timestamp, bits): &(i64, u64)| Sample { timestamp: *timestamp, value: f64::from_bits(*bits) };
                writer.series(*number, &samples.iter().map(of).collect::<Vec<_>>());
                expected.extend(samples.iter().map(|(timestamp, bits)| (*number, *timestamp, *bits)));
            }
            let bytes = writer.finish();
            let mut defined = vec![Defined { identity: all[0].identity(), labels: 0..1 }];
            let mut found = Vec::new();
            read(&bytes, 100, &mut defined, |number, series, sample| {
                assert_eq!(series.identity, all[number as usize].identity());
                found.push((number, sample.timestamp, sample.value.to_bits()));
            }).unwrap();
            prop_assert_eq!(found, expected);
            let at = |range: &Range<u64>| usize::try_from(range.start - 100).unwrap()..usize::try_from(range.end - 100).unwrap();
            prop_assert_eq!(&bytes[at(&defined[2].labels)], all[2].as_bytes());
        }

        #[test]
        fn damage_never_panics(bytes: Vec<u8>, kind: bool) {
            let bytes = if kind { [vec![WRITE], bytes].concat() } else { bytes };
            drop(read(&bytes, 0, &mut Vec::new(), |_, _, _| {}));
        }
    }
}
