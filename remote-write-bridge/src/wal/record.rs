//! A record of the log: one write request, as compact as it can be without a compressor.
//!
//! Series have numbers within a segment. A record defines those that the segment does not know yet, so a segment is
//! read by itself, on any machine and for any server. It names the number of the first that it defines: where a record
//! before it is damaged, no series takes the place of another. A sample is the difference of its time to the one before
//! and its eight bytes: about eleven in all.

use std::num::NonZeroU64;

use crate::ingest::Sample;
use crate::labels::{Identity, LabelSet};

/// What a record is. Others may come; a reader that does not know one sets it aside and says so.
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
    /// Of a record that defines these series, numbered from `first` on.
    pub(super) fn new(first: u32, definitions: &[&LabelSet]) -> Self {
        let mut bytes = vec![WRITE];
        push(&mut bytes, u64::from(first));
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
    /// Where its labels are in the segment: not in its head.
    pub(super) at: NonZeroU64,
    pub(super) length: u64,
}

/// The series that a segment defines, by number; those of a record that is damaged are missing.
#[derive(Debug, Default)]
pub(super) struct Definitions(Vec<Option<Defined>>);

impl Definitions {
    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&Defined> {
        self.0.get(number as usize)?.as_ref()
    }

    /// Adds those of a record, from `first` on.
    fn add(&mut self, first: usize, new: impl IntoIterator<Item = Defined>) {
        if first > self.0.len() {
            self.0.resize(first, None);
        }
        for (number, defined) in (first..).zip(new) {
            match self.0.get_mut(number) {
                Some(place) => *place = Some(defined),
                None => self.0.push(Some(defined)),
            }
        }
    }
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
    #[error("series {0}, which cannot be so many here")]
    Number(i64),
    #[error("{0} samples of series that are defined in a damaged record")]
    Undefined(u64),
}

/// Reads a record that begins at `at` of its segment. What it defines is added to `definitions`; `each` gets its samples,
/// but for those of series that are not defined.
pub(super) fn read(
    bytes: &[u8],
    at: u64,
    definitions: &mut Definitions,
    mut each: impl FnMut(u32, &Defined, Sample),
) -> Result<(), RecordError> {
    let mut rest = Rest(bytes);
    let kind = rest.byte()?;
    if kind != WRITE {
        return Err(RecordError::Kind(kind));
    }
    // Each definition before this record takes more than a byte.
    let first = rest.number()?;
    let first = usize::try_from(first).ok().filter(|_| first <= at).ok_or(RecordError::Number(first.cast_signed()))?;
    let mut new = Vec::new();
    for _ in 0..rest.number()? {
        let length = rest.number()?;
        let at = NonZeroU64::new(at + (bytes.len() - rest.0.len()) as u64).ok_or(RecordError::Labels)?;
        let taken = rest.take(usize::try_from(length).map_err(|_| RecordError::Truncated)?)?;
        let identity = LabelSet::from_bytes(taken).ok_or(RecordError::Labels)?.identity();
        new.push(Defined { identity, at, length });
    }
    definitions.add(first, new);
    let (mut last, mut undefined) = (Last::default(), 0);
    while !rest.0.is_empty() {
        last.number = last.number.wrapping_add(rest.signed()?);
        let number = u32::try_from(last.number).map_err(|_| RecordError::Number(last.number))?;
        let series = definitions.get(number);
        for _ in 0..rest.number()? {
            last.time = last.time.wrapping_add(rest.signed()?);
            let (bits, others) = rest.0.split_first_chunk().ok_or(RecordError::Truncated)?;
            rest.0 = others;
            let sample = Sample { timestamp: last.time, value: f64::from_bits(u64::from_le_bytes(*bits)) };
            match series {
                Some(series) => each(number, series, sample),
                None => undefined += 1,
            }
        }
    }
    if undefined == 0 { Ok(()) } else { Err(RecordError::Undefined(undefined)) }
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

    /// Where the records of these tests begin.
    const AT: u64 = 100;

    #[test]
    fn a_sample_takes_eleven_bytes() {
        let now = 1_767_261_640_000;
        let mut writer = Writer::new(0, &[]);
        let series = |number| (number, [Sample { timestamp: now, value: 0.1 }]);
        (0..1000).map(series).for_each(|(number, samples)| writer.series(number, &samples));
        assert_eq!(writer.finish().len(), 3 + 5 + 1000 * 11);
    }

    #[test]
    fn a_series_that_nothing_defines_has_no_samples() {
        let mut writer = Writer::new(1, &[&labels("b")]);
        for number in [0, 1, 7] {
            writer.series(number, &[Sample { timestamp: 5, value: 1. }; 2]);
        }
        let mut found = Vec::new();
        let outcome = read(&writer.finish(), AT, &mut Definitions::default(), |number, _, _| found.push(number));
        assert_eq!((outcome, found), (Err(RecordError::Undefined(4)), vec![1, 1]));
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        let outcome = |bytes: &[u8]| read(bytes, AT, &mut Definitions::default(), |_, _, _| {}).unwrap_err();
        assert_eq!(outcome(&[9]), RecordError::Kind(9));
        assert_eq!(outcome(&Writer::new(101, &[&labels("a")]).finish()), RecordError::Number(101));
        assert_eq!(outcome(&[WRITE, 0, 0, 1, 0]), RecordError::Number(-1));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            series in prop::collection::vec((0u32..3, prop::collection::vec((any::<i64>(), any::<u64>()), 0..4)), 0..6)
        ) {
            let all = [labels("a"), labels("b"), labels("c")];
            let mut definitions = Definitions::default();
            read(&Writer::new(0, &[&all[0]]).finish(), AT, &mut definitions, |_, _, _| {}).unwrap();
            let mut writer = Writer::new(1, &[&all[1], &all[2]]);
            let mut expected = Vec::new();
            for (number, samples) in &series {
                let of = |(timestamp, bits): &(i64, u64)| Sample { timestamp: *timestamp, value: f64::from_bits(*bits) };
                writer.series(*number, &samples.iter().map(of).collect::<Vec<_>>());
                expected.extend(samples.iter().map(|(timestamp, bits)| (*number, *timestamp, *bits)));
            }
            let bytes = writer.finish();
            let mut found = Vec::new();
            read(&bytes, AT, &mut definitions, |number, series, sample| {
                assert_eq!(series.identity, all[number as usize].identity());
                found.push((number, sample.timestamp, sample.value.to_bits()));
            }).unwrap();
            prop_assert_eq!(found, expected);
            let Defined { at, length, .. } = definitions.get(2).unwrap();
            let (start, length) = (usize::try_from(at.get() - AT).unwrap(), usize::try_from(*length).unwrap());
            prop_assert_eq!(&bytes[start..start + length], all[2].as_bytes());
        }

        #[test]
        fn damage_never_panics(bytes: Vec<u8>, kind: bool) {
            let bytes = if kind { [vec![WRITE], bytes].concat() } else { bytes };
            drop(read(&bytes, AT, &mut Definitions::default(), |_, _, _| {}));
        }
    }
}
