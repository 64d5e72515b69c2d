//! Remote write 2.0: `io.prometheus.write.v2.Request`.
//!
//! Strings stand once in a table, and labels are references into it. References differ from request to request, so a
//! series is named by the hashes of its strings.

use std::cell::OnceCell;

use super::{SeriesError, Sink, label_set, v1};
use crate::labels::{self, LabelSet};
use crate::protobuf::{Message, ProtobufError, Value};

const REFERENCES: u64 = 3;

/// A label set has at most 256 labels; more references are not looked at.
const MAX_REFERENCES: usize = 512;

/// A string of the table.
struct Symbol<'a> {
    message: Message<'a>,
    hash: OnceCell<u128>,
}

pub(super) fn decode(request: Message<'_>, sink: &mut Sink<'_>) -> Result<(), ProtobufError> {
    // The table may stand anywhere in the message.
    let (mut fields, mut symbols) = (request.fields(), Vec::new());
    while let Some((number, value)) = fields.next()? {
        match number {
            4 => symbols.push(Symbol { message: value.bytes(&fields)?, hash: OnceCell::new() }),
            1..=3 => {
                let reason = "a field of version 1.0 in a message of version 2.0";
                return Err(ProtobufError { position: fields.read(), reason });
            }
            _ => {}
        }
    }
    if symbols.first().is_some_and(|symbol| !symbol.message.bytes.is_empty()) {
        return Err(ProtobufError { position: symbols[0].message.position, reason: "the first symbol is not empty" });
    }
    let mut references = Vec::new();
    let mut fields = request.fields();
    while let Some((number, value)) = fields.next()? {
        if number == 5 {
            series(value.bytes(&fields)?, &symbols, &mut references, sink)?;
        }
    }
    Ok(())
}

fn series(
    message: Message<'_>,
    symbols: &[Symbol<'_>],
    references: &mut Vec<u64>,
    sink: &mut Sink<'_>,
) -> Result<(), ProtobufError> {
    references.clear();
    let mut content = sink.begin();
    let mut fields = message.fields();
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Bytes(packed)) => {
                let mut numbers = packed.fields();
                while !numbers.is_done() {
                    references.push(numbers.varint()?);
                }
            }
            (1, value) => references.push(value.integer(&fields)?),
            (2, value) => sink.sample(v1::sample(value.bytes(&fields)?)?),
            (3, value) => {
                value.bytes(&fields)?;
                content.histograms += 1;
            }
            (4, value) => {
                value.bytes(&fields)?;
                content.exemplars += 1;
            }
            (5, value) => {
                // Prometheus sends one with each series, empty where it knows nothing.
                sink.accepted.metadata += u64::from(!value.bytes(&fields)?.bytes.is_empty());
            }
            _ => {}
        }
    }
    let mixed = content.histograms > 0 && sink.accepted.samples.len() > content.first;
    let registry = sink.registry;
    // A hash for each string, and one for all of them; what refers to nothing has a hash of its own, which is never known.
    let mut hashes = Vec::with_capacity(references.len().min(MAX_REFERENCES) * 16);
    for reference in references.iter().take(MAX_REFERENCES) {
        let symbol = usize::try_from(*reference).ok().and_then(|place| symbols.get(place));
        let hash = symbol.map_or(u128::MAX, |s| *s.hash.get_or_init(|| registry.part(s.message.bytes)));
        hashes.extend_from_slice(&hash.to_le_bytes());
    }
    let key =
        registry.key(&hashes, REFERENCES + u64::from(mixed) + (references.len().min(MAX_REFERENCES + 1) as u64) * 8);
    sink.end(&content, key, || parse(references, symbols, mixed));
    Ok(())
}

/// The labels of a series that is new.
fn parse(references: &[u64], symbols: &[Symbol<'_>], mixed: bool) -> Result<LabelSet, (SeriesError, String)> {
    let bytes = |reference: u64| {
        let symbol = usize::try_from(reference).ok().and_then(|place| symbols.get(place));
        symbol.map(|symbol| symbol.message).ok_or(SeriesError::Symbol { found: reference, symbols: symbols.len() })
    };
    let lossy = |reference: u64| bytes(reference).map_or("?".into(), |found| String::from_utf8_lossy(found.bytes));
    let name = || {
        let pairs: Vec<_> = references.chunks_exact(2).map(|pair| (lossy(pair[0]), lossy(pair[1]))).collect();
        labels::display(pairs.iter().map(|(name, value)| (&**name, &**value)))
    };
    let text = |reference: u64| bytes(reference)?.text().map_err(|_| SeriesError::Utf8);
    let pairs: Result<Vec<_>, SeriesError> =
        references.chunks_exact(2).map(|pair| Ok((text(pair[0])?, text(pair[1])?))).collect();
    match pairs {
        _ if references.len() % 2 == 1 => Err((SeriesError::Odd(references.len()), name())),
        _ if mixed => Err((SeriesError::Mixed, name())),
        Ok(pairs) => label_set(&pairs),
        Err(error) => Err((error, name())),
    }
}
