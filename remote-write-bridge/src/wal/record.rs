//! Records of the log: what one write request says, as compact as it can be without a compressor.
//!
//! Series have numbers within a segment. The record of a request's samples defines those that the segment does not know
//! yet, so a segment is read by itself, on any machine and for any server. It names the number of the first that it
//! defines: where a record before it is damaged, no series takes the place of another. A sample is the difference of its
//! time to the one before and its eight bytes: about eleven in all. What else series have, and metadata, follow in
//! records of their own.

use std::num::NonZeroU64;

use super::bytes::{Rest, push, push_bytes, push_signed};
use crate::ingest::{Metadata, MetricKind, Other, Sample};
use crate::labels::{Identity, LabelSet};
use crate::pairs::{self, Source};

/// What a record is. Others may come; a reader that does not know one sets it aside and says so.
const SAMPLES: u8 = 1;
const OTHERS: u8 = 2;
const METADATA: u8 = 3;

/// What a series has beside samples.
const HISTOGRAM: u8 = 1;
const EXEMPLAR: u8 = 2;
const START: u8 = 3;

/// Writes a record of samples, or of what else series have.
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
    /// Of samples, and of series that are numbered from `first` on.
    pub(super) fn samples(first: u32, definitions: &[&LabelSet]) -> Self {
        let mut bytes = vec![SAMPLES];
        push(&mut bytes, u64::from(first));
        push(&mut bytes, definitions.len() as u64);
        for labels in definitions {
            push_bytes(&mut bytes, labels.as_bytes());
        }
        Self { bytes, last: Last::default() }
    }

    /// The samples of the series that has this number.
    #[inline]
    pub(super) fn series(&mut self, number: u32, samples: &[Sample]) {
        self.number(number);
        push(&mut self.bytes, samples.len() as u64);
        for sample in samples {
            self.time(sample.timestamp);
            self.bytes.extend_from_slice(&sample.value.to_bits().to_le_bytes());
        }
    }

    /// Of what else series have.
    pub(super) fn others() -> Self {
        Self { bytes: vec![OTHERS], last: Last::default() }
    }

    /// Of the series that has this number.
    pub(super) fn other(&mut self, number: u32, timestamp: i64, other: &Other) {
        self.number(number);
        self.time(timestamp);
        match other {
            Other::Histogram(message) => {
                self.bytes.push(HISTOGRAM);
                push_bytes(&mut self.bytes, message);
            }
            Other::Exemplar { value, labels } => {
                self.bytes.push(EXEMPLAR);
                self.bytes.extend_from_slice(&value.to_bits().to_le_bytes());
                push_bytes(&mut self.bytes, labels);
            }
            Other::Start(start) => {
                self.bytes.push(START);
                push_signed(&mut self.bytes, *start);
            }
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    #[inline]
    fn number(&mut self, number: u32) {
        let number = i64::from(number);
        push_signed(&mut self.bytes, number - self.last.number);
        self.last.number = number;
    }

    #[inline]
    fn time(&mut self, time: i64) {
        push_signed(&mut self.bytes, time.wrapping_sub(self.last.time));
        self.last.time = time;
    }
}

/// A record of metadata that came at a time.
pub(super) fn metadata(now: i64, all: &[Metadata]) -> Vec<u8> {
    let mut bytes = vec![METADATA];
    push_signed(&mut bytes, now);
    for Metadata { metric_name, kind, unit, help } in all {
        bytes.push(kind.number());
        for text in [metric_name, unit, help] {
            push_bytes(&mut bytes, text.as_bytes());
        }
    }
    bytes
}

/// A series that a segment defines.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Defined {
    /// Without the label that names a replica.
    pub(super) identity: Identity,
    /// Of a series that has such a label.
    pub(super) source: Option<Source>,
    /// Where its labels are in the segment: not in its head.
    pub(super) at: NonZeroU64,
    pub(super) length: u64,
}

/// The series that a segment defines, by number; those of a record that is damaged are missing.
#[derive(Debug)]
pub(super) struct Definitions {
    by_number: Vec<Option<Defined>>,
    /// The label that names a replica.
    replica_label: String,
}

impl Definitions {
    pub(super) fn new(replica_label: String) -> Self {
        Self { by_number: Vec::new(), replica_label }
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&Defined> {
        self.by_number.get(number as usize)?.as_ref()
    }

    /// Adds those of a record, from `first` on.
    fn add(&mut self, first: usize, new: impl IntoIterator<Item = Defined>) {
        if first > self.by_number.len() {
            self.by_number.resize(first, None);
        }
        for (number, defined) in (first..).zip(new) {
            match self.by_number.get_mut(number) {
                Some(place) => *place = Some(defined),
                None => self.by_number.push(Some(defined)),
            }
        }
    }
}

/// What a record says.
pub(super) enum Item<'a> {
    /// Of the series that has this number.
    Sample(u32, &'a Defined, Sample),
    Other(u32, &'a Defined, i64, Other),
    /// And when it came.
    Metadata(i64, Metadata),
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
    #[error("text that is not UTF-8")]
    Text,
    #[error("series {0}, which cannot be so many here")]
    Number(i64),
    #[error("{0} samples of series that are defined in a damaged record")]
    Undefined(u64),
}

/// Reads a record that begins at `at` of its segment. What it defines is added to `definitions`; `each` gets what it says,
/// but for what is of series that are not defined.
pub(super) fn read(
    bytes: &[u8],
    at: u64,
    definitions: &mut Definitions,
    mut each: impl FnMut(Item<'_>),
) -> Result<(), RecordError> {
    let mut rest = Rest(bytes);
    match rest.byte()? {
        SAMPLES => {
            define(&mut rest, at + bytes.len() as u64, definitions)?;
            read_samples(rest, definitions, each)
        }
        OTHERS => read_others(rest, definitions, each),
        METADATA => {
            let now = rest.signed()?;
            while !rest.is_empty() {
                let kind = MetricKind::of(u64::from(rest.byte()?));
                let (metric_name, unit, help) = (rest.text()?, rest.text()?, rest.text()?);
                let (metric_name, unit, help) = (metric_name.to_owned(), unit.to_owned(), help.to_owned());
                each(Item::Metadata(now, Metadata { metric_name, kind, unit, help }));
            }
            Ok(())
        }
        kind => Err(RecordError::Kind(kind)),
    }
}

/// Adds the series that a record defines, which ends at `end` of its segment.
fn define(rest: &mut Rest<'_>, end: u64, definitions: &mut Definitions) -> Result<(), RecordError> {
    // Each definition before it takes more than a byte.
    let first = rest.number()?;
    let first = usize::try_from(first).ok().filter(|_| first <= end).ok_or(RecordError::Number(first.cast_signed()))?;
    let mut new = Vec::new();
    for _ in 0..rest.number()? {
        let labels = rest.bytes()?;
        let length = labels.len() as u64;
        let at = NonZeroU64::new(end - rest.0.len() as u64 - length).ok_or(RecordError::Labels)?;
        let labels = LabelSet::from_bytes(labels).ok_or(RecordError::Labels)?;
        let (labels, source) = pairs::of_replica(labels, &definitions.replica_label);
        new.push(Defined { identity: labels.identity(), source, at, length });
    }
    definitions.add(first, new);
    Ok(())
}

fn read_samples(
    mut rest: Rest<'_>,
    definitions: &Definitions,
    mut each: impl FnMut(Item<'_>),
) -> Result<(), RecordError> {
    let (mut last, mut undefined) = (Last::default(), 0);
    while !rest.is_empty() {
        let number = last.number(&mut rest)?;
        let series = definitions.get(number);
        for _ in 0..rest.number()? {
            let sample = Sample { timestamp: last.time(&mut rest)?, value: rest.double()? };
            match series {
                Some(series) => each(Item::Sample(number, series, sample)),
                None => undefined += 1,
            }
        }
    }
    if undefined == 0 { Ok(()) } else { Err(RecordError::Undefined(undefined)) }
}

fn read_others(
    mut rest: Rest<'_>,
    definitions: &Definitions,
    mut each: impl FnMut(Item<'_>),
) -> Result<(), RecordError> {
    let (mut last, mut undefined) = (Last::default(), 0);
    while !rest.is_empty() {
        let (number, timestamp) = (last.number(&mut rest)?, last.time(&mut rest)?);
        let other = match rest.byte()? {
            HISTOGRAM => Other::Histogram(rest.bytes()?.to_vec()),
            EXEMPLAR => Other::Exemplar { value: rest.double()?, labels: rest.bytes()?.to_vec() },
            START => Other::Start(rest.signed()?),
            kind => return Err(RecordError::Kind(kind)),
        };
        match definitions.get(number) {
            Some(series) => each(Item::Other(number, series, timestamp, other)),
            None => undefined += 1,
        }
    }
    if undefined == 0 { Ok(()) } else { Err(RecordError::Undefined(undefined)) }
}

impl Last {
    #[inline]
    fn number(&mut self, rest: &mut Rest<'_>) -> Result<u32, RecordError> {
        self.number = self.number.wrapping_add(rest.signed()?);
        u32::try_from(self.number).map_err(|_| RecordError::Number(self.number))
    }

    #[inline]
    fn time(&mut self, rest: &mut Rest<'_>) -> Result<i64, RecordError> {
        self.time = self.time.wrapping_add(rest.signed()?);
        Ok(self.time)
    }
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
        let mut writer = Writer::samples(0, &[]);
        let series = |number| (number, [Sample { timestamp: now, value: 0.1 }]);
        (0..1000).map(series).for_each(|(number, samples)| writer.series(number, &samples));
        assert_eq!(writer.finish().len(), 3 + 5 + 1000 * 11);
    }

    #[test]
    fn a_series_that_nothing_defines_has_no_samples() {
        let mut writer = Writer::samples(1, &[&labels("b")]);
        for number in [0, 1, 7] {
            writer.series(number, &[Sample { timestamp: 5, value: 1. }; 2]);
        }
        let mut found = Vec::new();
        let outcome = read(&writer.finish(), AT, &mut Definitions::new("replica".into()), |item| match item {
            Item::Sample(number, ..) => found.push(number),
            _ => unreachable!(),
        });
        assert_eq!((outcome, found), (Err(RecordError::Undefined(4)), vec![1, 1]));
    }

    #[test]
    fn what_else_there_is_is_read() {
        let mut definitions = Definitions::new("replica".into());
        read(&Writer::samples(0, &[&labels("a"), &labels("b")]).finish(), AT, &mut definitions, |_| {}).unwrap();
        let expected = [
            (1, -5, Other::Histogram(vec![1, 2, 3])),
            (0, i64::MAX, Other::Exemplar { value: -0.0, labels: labels("x").as_bytes().to_vec() }),
            (1, i64::MIN, Other::Start(7)),
        ];
        let mut writer = Writer::others();
        expected.iter().for_each(|(number, time, other)| writer.other(*number, *time, other));
        let mut found = Vec::new();
        read(&writer.finish(), AT, &mut definitions, |item| match item {
            Item::Other(number, _, time, other) => found.push((number, time, other)),
            _ => unreachable!(),
        })
        .unwrap();
        assert_eq!(found, expected);
    }

    #[test]
    fn metadata_is_read() {
        let one = |name: &str, kind| Metadata {
            metric_name: name.into(),
            kind: MetricKind::of(kind),
            unit: "seconds".into(),
            help: "Zeit, überall".into(),
        };
        let all = [one("a", 1), one("b", 7)];
        let mut found = Vec::new();
        read(&metadata(-1, &all), AT, &mut Definitions::new("replica".into()), |item| match item {
            Item::Metadata(-1, metadata) => found.push(metadata),
            _ => unreachable!(),
        })
        .unwrap();
        assert_eq!(found, all);
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        let outcome = |bytes: &[u8]| read(bytes, AT, &mut Definitions::new("replica".into()), |_| {}).unwrap_err();
        assert_eq!(outcome(&[9]), RecordError::Kind(9));
        assert_eq!(outcome(&Writer::samples(1001, &[&labels("a")]).finish()), RecordError::Number(1001));
        assert_eq!(outcome(&[SAMPLES, 0, 0, 1, 0]), RecordError::Number(-1));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            series in prop::collection::vec((0u32..3, prop::collection::vec((any::<i64>(), any::<u64>()), 0..4)), 0..6)
        ) {
            let all = [labels("a"), labels("b"), labels("c")];
            let mut definitions = Definitions::new("replica".into());
            read(&Writer::samples(0, &[&all[0]]).finish(), AT, &mut definitions, |_| {}).unwrap();
            let mut writer = Writer::samples(1, &[&all[1], &all[2]]);
            let mut expected = Vec::new();
            for (number, samples) in &series {
                let of = |(timestamp, bits): &(i64, u64)| Sample { timestamp: *timestamp, value: f64::from_bits(*bits) };
                writer.series(*number, &samples.iter().map(of).collect::<Vec<_>>());
                expected.extend(samples.iter().map(|(timestamp, bits)| (*number, *timestamp, *bits)));
            }
            let bytes = writer.finish();
            let mut found = Vec::new();
            read(&bytes, AT, &mut definitions, |item| {
                let Item::Sample(number, series, sample) = item else { unreachable!() };
                assert_eq!(series.identity, all[number as usize].identity());
                found.push((number, sample.timestamp, sample.value.to_bits()));
            }).unwrap();
            prop_assert_eq!(found, expected);
            let Defined { at, length, .. } = definitions.get(2).unwrap();
            let (start, length) = (usize::try_from(at.get() - AT).unwrap(), usize::try_from(*length).unwrap());
            prop_assert_eq!(&bytes[start..start + length], all[2].as_bytes());
        }

        #[test]
        fn damage_never_panics(bytes: Vec<u8>, kind in 1u8..4) {
            let bytes = [vec![kind], bytes].concat();
            drop(read(&bytes, AT, &mut Definitions::new("replica".into()), |_| {}));
        }
    }
}
