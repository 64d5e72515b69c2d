//! Remote write 2.0: `io.prometheus.write.v2.Request`.
//!
//! Strings stand once in a table, and labels are references into it. References differ from request to request, so a
//! series is named by the hashes of its strings.

use std::ops::Range;

use super::{Accepted, Found, Labels, SeriesError, add, label_set, v1};
use crate::labels;
use crate::protobuf::{Message, ProtobufError, Value};
use crate::series::{Key, Registry};

const REFERENCES: u64 = 3;
/// Of a series that is refused for what it has, whatever its labels, or for their number.
const REFUSED: u64 = 4;

/// No series has more: they are refused, and not looked at one by one.
const MAX_REFERENCES: usize = 512;

/// What names the series of a request.
pub(super) struct Names<'a> {
    symbols: Vec<Message<'a>>,
    references: Vec<u32>,
}

/// Where the references of a series are, and whether it has samples and histograms both.
pub(super) struct Place {
    references: Range<usize>,
    mixed: bool,
}

/// The series of a request; their samples and what else there is go into `accepted`.
pub(super) fn decode<'a>(
    request: Message<'a>,
    registry: &Registry,
    accepted: &mut Accepted,
) -> Result<(Vec<Found<Place>>, Names<'a>), ProtobufError> {
    let mut names = Names { symbols: symbols(request)?, references: Vec::new() };
    let hashes: Vec<u128> = names.symbols.iter().map(|symbol| registry.hash(symbol.bytes)).collect();
    let (mut found, mut key) = (Vec::new(), Vec::new());
    let mut fields = request.fields();
    while let Some((number, value)) = fields.next()? {
        if number != 5 {
            continue;
        }
        let series = series(value.bytes(&fields)?, &mut names.references, accepted)?;
        key.clear();
        let references = &names.references[series.labels.references.clone()];
        for reference in references.iter().take(MAX_REFERENCES) {
            // What leads nowhere has a hash too; it is never one of a known series, and names none.
            let hash = usize::try_from(*reference).ok().and_then(|place| hashes.get(place));
            key.extend_from_slice(&hash.copied().unwrap_or_default().to_le_bytes());
        }
        let refused = series.labels.mixed || references.len() > MAX_REFERENCES;
        let salt = if refused { REFUSED } else { REFERENCES };
        add(&mut found, Found { key: registry.key(&key, salt), ..series }, fields.read())?;
    }
    Ok((found, names))
}

/// The table of strings, which may stand anywhere in the message.
fn symbols(request: Message<'_>) -> Result<Vec<Message<'_>>, ProtobufError> {
    let (mut fields, mut symbols) = (request.fields(), Vec::<Message<'_>>::new());
    while let Some((number, value)) = fields.next()? {
        match number {
            4 => symbols.push(value.bytes(&fields)?),
            1..=3 => {
                let reason = "a field of version 1.0 in a message of version 2.0";
                return Err(ProtobufError { position: fields.read(), reason });
            }
            _ => {}
        }
    }
    match symbols.first() {
        Some(first) if !first.bytes.is_empty() => {
            Err(ProtobufError { position: first.position, reason: "the first symbol is not empty" })
        }
        _ => Ok(symbols),
    }
}

/// A series without its key.
fn series(
    message: Message<'_>,
    references: &mut Vec<u32>,
    accepted: &mut Accepted,
) -> Result<Found<Place>, ProtobufError> {
    let (first, first_sample, mut histograms, mut exemplars) = (references.len(), accepted.samples.len(), 0, 0);
    let mut fields = message.fields();
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Bytes(packed)) => {
                let mut numbers = packed.fields();
                while !numbers.is_done() {
                    references.push(reference(numbers.varint()?));
                }
            }
            (1, value) => references.push(reference(value.integer(&fields)?)),
            (2, value) => accepted.samples.push(v1::sample(value.bytes(&fields)?)?),
            (3, value) => {
                value.bytes(&fields)?;
                histograms += 1;
            }
            (4, value) => {
                value.bytes(&fields)?;
                exemplars += 1;
            }
            // Prometheus sends one with each series, empty where it knows nothing.
            (5, value) => accepted.metadata += u64::from(!value.bytes(&fields)?.bytes.is_empty()),
            _ => {}
        }
    }
    let samples = accepted.samples.len() - first_sample;
    let labels = Place { references: first..references.len(), mixed: histograms > 0 && samples > 0 };
    Ok(Found { key: Key::default(), labels, samples, histograms, exemplars })
}

/// None that is larger leads anywhere.
fn reference(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Names<'_> {
    /// The labels of a series that is new.
    pub(super) fn labels(&self, series: &Place) -> Labels {
        let references = &self.references[series.references.clone()];
        let bytes = |reference: u32| {
            let symbol = usize::try_from(reference).ok().and_then(|place| self.symbols.get(place)).copied();
            symbol.ok_or(SeriesError::Symbol { found: reference, symbols: self.symbols.len() })
        };
        let lossy = |reference: u32| bytes(reference).map_or("?".into(), |found| String::from_utf8_lossy(found.bytes));
        let name = || {
            let pairs: Vec<_> = references.chunks_exact(2).map(|pair| (lossy(pair[0]), lossy(pair[1]))).collect();
            labels::display(pairs.iter().map(|(name, value)| (&**name, &**value)))
        };
        if references.len() % 2 == 1 {
            return Err((SeriesError::Odd(references.len()), name()));
        }
        if series.mixed {
            return Err((SeriesError::Mixed, name()));
        }
        let text = |reference: u32| bytes(reference)?.text().map_err(|_| SeriesError::Utf8);
        let pairs: Result<Vec<_>, SeriesError> =
            references.chunks_exact(2).map(|pair| Ok((text(pair[0])?, text(pair[1])?))).collect();
        pairs.map_err(|error| (error, name())).and_then(label_set)
    }
}
