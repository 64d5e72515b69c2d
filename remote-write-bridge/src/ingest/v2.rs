//! Remote write 2.0: `io.prometheus.write.v2.Request`.
//!
//! Strings stand once in a table, and labels are references into it. References differ from request to request, so a
//! series is named by the hashes of its strings.

use std::cell::OnceCell;
use std::ops::Range;

use super::{Body, Exemplar, Found, Labels, MetricKind, Raw, SeriesError, add, exemplar_labels, label_set, v1};
use crate::labels::{self, Pairs};
use crate::protobuf::{Fields, Message, ProtobufError, Value};
use crate::series::{Key, Registry};

const REFERENCES: u64 = 3;
/// Of a series that is refused for what it has, whatever its labels, or for their number.
const REFUSED: u64 = 4;

/// No series has more: they are refused, and not looked at one by one.
const MAX_REFERENCES: usize = 512;

/// What names the series of a request.
pub(super) struct Names<'a> {
    symbols: Vec<Message<'a>>,
    hashes: Vec<u128>,
    /// The symbols as text, where they are: only looked at when there is a new series.
    texts: OnceCell<Vec<Option<&'a str>>>,
    references: Vec<u32>,
}

/// Where the references of a series are, and whether it has samples and histograms both.
pub(super) struct Place {
    references: Range<usize>,
    mixed: bool,
}

/// A request, and what names its series.
pub(super) fn decode<'a>(
    request: Message<'a>,
    registry: &Registry,
) -> Result<(Body<'a, Place>, Names<'a>), ProtobufError> {
    let symbols = symbols(request)?;
    let hashes = symbols.iter().map(|symbol| registry.hash(symbol.bytes)).collect();
    let mut names = Names { symbols, hashes, texts: OnceCell::new(), references: Vec::new() };
    let mut body = Body { series: Vec::new(), samples: Vec::new(), others: Vec::new(), metadata: Vec::new() };
    let (mut fields, mut key) = (request.fields(), Vec::new());
    while let Some((number, value)) = fields.next()? {
        if number != 5 {
            continue;
        }
        let series = series(value.bytes(&fields)?, &mut names, &mut body)?;
        key.clear();
        let references = &names.references[series.labels.references.clone()];
        for reference in references.iter().take(MAX_REFERENCES) {
            // What leads nowhere has a hash too; it is never one of a known series, and names none.
            key.extend_from_slice(&names.hash(*reference).unwrap_or_default().to_le_bytes());
        }
        let refused = series.labels.mixed || references.len() > MAX_REFERENCES;
        let salt = if refused { REFUSED } else { REFERENCES };
        add(&mut body.series, Found { key: registry.key(&key, salt), ..series }, fields.read())?;
    }
    Ok((body, names))
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
fn series<'a>(
    message: Message<'a>,
    names: &mut Names<'a>,
    body: &mut Body<'a, Place>,
) -> Result<Found<Place>, ProtobufError> {
    let (first, first_sample, first_other) = (names.references.len(), body.samples.len(), body.others.len());
    let (mut last_start, mut has_histograms, mut created) = (0, false, 0);
    let mut fields = message.fields();
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, value) => read_references(value, &fields, &mut names.references)?,
            (2, value) => {
                let (sample, start) = v1::sample(value.bytes(&fields)?)?;
                if start != last_start && start != 0 {
                    body.others.push(Raw::Start { timestamp: sample.timestamp, start });
                    last_start = start;
                }
                body.samples.push(sample);
            }
            (3, value) => {
                body.others.push(Raw::Histogram(value.bytes(&fields)?));
                has_histograms = true;
            }
            (4, value) => body.others.push(Raw::Exemplar(value.bytes(&fields)?)),
            // Prometheus sends one with each series, empty where it knows nothing.
            (5, value) => body.others.extend(names.metadata(value.bytes(&fields)?)?),
            // As Prometheus 3.0 to 3.7 sends it, for all samples of a series.
            (6, value) => created = value.integer(&fields)?.cast_signed(),
            _ => {}
        }
    }
    let samples = body.samples.len() - first_sample;
    if created != 0
        && let Some(sample) = body.samples.get(first_sample)
    {
        body.others.push(Raw::Start { timestamp: sample.timestamp, start: created });
    }
    let labels = Place { references: first..names.references.len(), mixed: has_histograms && samples > 0 };
    Ok(Found { key: Key::default(), labels, samples, others: body.others.len() - first_other })
}

/// A list of references, packed or not.
fn read_references(value: Value<'_>, fields: &Fields<'_>, into: &mut Vec<u32>) -> Result<(), ProtobufError> {
    match value {
        Value::Bytes(packed) => {
            let mut numbers = packed.fields();
            while !numbers.is_done() {
                into.push(reference(numbers.varint()?));
            }
        }
        value => into.push(reference(value.integer(fields)?)),
    }
    Ok(())
}

/// None that is larger leads anywhere.
fn reference(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl<'a> Names<'a> {
    /// The labels of a series that is new.
    pub(super) fn labels(&self, series: &Place) -> Labels {
        let references = &self.references[series.references.clone()];
        let lossy =
            |reference: u32| self.symbol(reference).map_or("?".into(), |found| String::from_utf8_lossy(found.bytes));
        let name = || {
            let pairs: Vec<_> = references.chunks_exact(2).map(|pair| (lossy(pair[0]), lossy(pair[1]))).collect();
            labels::display(pairs.iter().map(|(name, value)| (&**name, &**value)))
        };
        if series.mixed && references.len().is_multiple_of(2) {
            return Err((SeriesError::Mixed, name()));
        }
        self.pairs(references).map_err(|error| (error, name())).and_then(label_set)
    }

    /// An exemplar, or why it is none.
    pub(super) fn exemplar(&self, message: Message<'_>) -> Result<Result<Exemplar, String>, ProtobufError> {
        let (value, timestamp) = v1::exemplar_value(message)?;
        let (mut fields, mut references) = (message.fields(), Vec::new());
        while let Some((number, value)) = fields.next()? {
            if number == 1 {
                read_references(value, &fields, &mut references)?;
            }
        }
        let labels = self.pairs(&references).map_err(|error| error.to_string()).and_then(exemplar_labels);
        Ok(labels.map(|labels| Exemplar { timestamp, value, labels }))
    }

    /// The metadata of a series, unless it says nothing.
    fn metadata(&self, message: Message<'_>) -> Result<Option<Raw<'a>>, ProtobufError> {
        let (mut fields, mut kind, mut help, mut unit) = (message.fields(), 0, 0, 0);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => kind = value.integer(&fields)?,
                3 => help = reference(value.integer(&fields)?),
                4 => unit = reference(value.integer(&fields)?),
                _ => {}
            }
        }
        if (kind, help, unit) == (0, 0, 0) {
            return Ok(None);
        }
        let lost = |_| ProtobufError { position: message.position, reason: "metadata that refers to no symbol" };
        let symbol = |reference| self.symbol(reference).map_err(lost);
        let hash = |reference| self.hash(reference).unwrap_or_default();
        // The unit is turned so that it is no help in the same words. Its lower half is as good a hash as any.
        let hash = (hash(help) ^ hash(unit).rotate_left(64)) as u32 ^ kind as u32;
        Ok(Some(Raw::Metadata { hash, kind: MetricKind::of(kind), help: symbol(help)?, unit: symbol(unit)? }))
    }

    fn pairs(&self, references: &[u32]) -> Result<Pairs<'a>, SeriesError> {
        if references.len() % 2 == 1 {
            return Err(SeriesError::Odd(references.len()));
        }
        let texts = self.texts.get_or_init(|| self.symbols.iter().map(|symbol| symbol.text().ok()).collect());
        let text = |reference: u32| match usize::try_from(reference).ok().and_then(|place| texts.get(place)) {
            Some(text) => text.ok_or(SeriesError::Utf8),
            None => Err(SeriesError::Symbol { found: reference, symbols: texts.len() }),
        };
        let mut pairs = Vec::with_capacity(references.len() / 2);
        for pair in references.chunks_exact(2) {
            pairs.push((text(pair[0])?, text(pair[1])?));
        }
        Ok(pairs)
    }

    fn symbol(&self, reference: u32) -> Result<Message<'a>, SeriesError> {
        let symbol = usize::try_from(reference).ok().and_then(|place| self.symbols.get(place)).copied();
        symbol.ok_or(SeriesError::Symbol { found: reference, symbols: self.symbols.len() })
    }

    fn hash(&self, reference: u32) -> Option<u128> {
        self.hashes.get(usize::try_from(reference).ok()?).copied()
    }
}
