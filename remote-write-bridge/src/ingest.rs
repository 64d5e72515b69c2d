//! What a write request says, in either version of the protocol: what is kept, and what is refused and why.
//!
//! The specification lets a receiver keep the valid part of a request whose other part it refuses. This one does: a
//! sender does not send a refused request again, and one broken series should not cost the others their samples.

mod v1;
mod v2;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lynceus_service::format_duration;

use crate::labels::{self, LabelError, LabelSet};
use crate::metrics::Refusal;
use crate::protobuf::{Message, ProtobufError};
use crate::series::{Key, Lookup, Registry, Series};
use crate::time;

/// Timestamps that are taken.
#[derive(Debug, Clone, Copy)]
pub struct TimeRange {
    /// Milliseconds since 1970.
    pub now: i64,
    /// How old a sample may be.
    pub retention: Duration,
    /// How far ahead of the clock it may be.
    pub max_future: Duration,
}

/// Versions of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 1.0.
    V1,
    /// 2.0.
    V2,
}

impl Version {
    /// The name of its message, which is also the content type's parameter `proto`.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::V1 => "prometheus.WriteRequest",
            Self::V2 => "io.prometheus.write.v2.Request",
        }
    }
}

/// One value of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// Bit for bit as it came.
    pub value: f64,
}

/// A request, sorted out.
#[derive(Debug, Default)]
pub struct Accepted {
    /// Each with the number of its samples.
    pub(crate) series: Vec<(Arc<Series>, usize)>,
    /// Of all series, in their order.
    pub samples: Vec<Sample>,
    /// Samples in the request, the refused ones included.
    pub(crate) received: u64,
    pub(crate) metadata: u64,
    pub(crate) refused: Refused,
}

/// What cannot be stored: how many by reason, and the first of each in words.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    reasons: Vec<(Refusal, u64, String)>,
}

impl Refused {
    fn add(&mut self, reason: Refusal, count: usize, example: impl FnOnce() -> String) {
        let count = count as u64;
        match self.reasons.iter_mut().find(|(known, ..)| *known == reason) {
            Some((_, total, _)) => *total += count,
            None => self.reasons.push((reason, count, example())),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    pub(crate) fn counts(&self) -> impl Iterator<Item = (Refusal, u64)> {
        self.reasons.iter().map(|(reason, count, _)| (*reason, *count))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (reason, count, example)) in self.reasons.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{count} {} (first: {example})", reason.as_str())?;
        }
        Ok(())
    }
}

/// Reads an unpacked body. An error means that it is no message; then nothing of it is kept.
pub fn accept(version: Version, body: &[u8], registry: &Registry, range: TimeRange) -> Result<Accepted, ProtobufError> {
    let mut sink = Sink::new(registry, range);
    match version {
        Version::V1 => v1::decode(Message::new(body), &mut sink)?,
        Version::V2 => v2::decode(Message::new(body), &mut sink)?,
    }
    Ok(sink.finish())
}

/// Why a series cannot be stored.
#[derive(Debug, thiserror::Error)]
enum SeriesError {
    #[error(transparent)]
    Label(#[from] LabelError),
    #[error("a label that is not UTF-8")]
    Utf8,
    #[error("{0} references to symbols, which is no list of pairs")]
    Odd(usize),
    #[error("a reference to symbol {found}, where the request has {symbols}")]
    Symbol { found: u64, symbols: usize },
    #[error("samples and histograms, of which a series has only one kind")]
    Mixed,
}

/// What a series has beside its labels, while it is read.
#[derive(Debug, Default)]
struct Content {
    /// Where its samples begin.
    first: usize,
    histograms: usize,
    exemplars: usize,
}

/// Takes in what the decoders find.
struct Sink<'a> {
    registry: &'a Registry,
    known: Lookup<'a>,
    new: Vec<(Key, Arc<Series>)>,
    range: TimeRange,
    oldest: i64,
    newest: i64,
    accepted: Accepted,
}

impl<'a> Sink<'a> {
    fn new(registry: &'a Registry, range: TimeRange) -> Self {
        Self {
            registry,
            known: registry.lookup(),
            new: Vec::new(),
            range,
            oldest: range.now.saturating_sub(millis(range.retention)),
            newest: range.now.saturating_add(millis(range.max_future)),
            accepted: Accepted::default(),
        }
    }

    fn begin(&self) -> Content {
        Content { first: self.accepted.samples.len(), ..Content::default() }
    }

    #[inline]
    fn sample(&mut self, sample: Sample) {
        self.accepted.samples.push(sample);
    }

    /// Ends a series: `key` is of the bytes that name it, `labels` reads them where they are new.
    #[inline]
    fn end(&mut self, content: &Content, key: Key, labels: impl FnOnce() -> Result<LabelSet, (SeriesError, String)>) {
        let samples = self.accepted.samples.len() - content.first;
        self.accepted.received += samples as u64;
        let series = match self.known.get(key) {
            Some(series) => series,
            None => match labels() {
                Ok(labels) => {
                    let series = Arc::new(Series::new(labels));
                    self.new.push((key, series.clone()));
                    series
                }
                Err((error, name)) => {
                    self.accepted.samples.truncate(content.first);
                    let count = (samples + content.histograms + content.exemplars).max(1);
                    self.accepted.refused.add(Refusal::InvalidLabels, count, || format!("`{name}` has {error}"));
                    return;
                }
            },
        };
        if content.histograms + content.exemplars > 0 {
            self.refuse_unkept(&series, content);
        }
        let new = &self.accepted.samples[content.first..];
        if new.iter().any(|sample| sample.timestamp < self.oldest || sample.timestamp > self.newest) {
            self.refuse_by_time(&series, content.first);
        }
        let samples = self.accepted.samples.len() - content.first;
        if samples > 0 {
            self.accepted.series.push((series, samples));
        }
    }

    /// Native histograms and exemplars have no table yet. Answering 2xx would lose them without a word.
    #[cold]
    fn refuse_unkept(&mut self, series: &Series, content: &Content) {
        let name = || labels::display(series.labels.iter());
        if content.histograms > 0 {
            let example = || format!("`{}`; set send_native_histograms: false", name());
            self.accepted.refused.add(Refusal::NativeHistogram, content.histograms, example);
        }
        if content.exemplars > 0 {
            let example = || format!("`{}`; set send_exemplars: false", name());
            self.accepted.refused.add(Refusal::Exemplar, content.exemplars, example);
        }
    }

    #[cold]
    fn refuse_by_time(&mut self, series: &Series, first: usize) {
        let (oldest, newest, range) = (self.oldest, self.newest, self.range);
        let at = |timestamp: i64, what: String| {
            format!("`{}` at {} is {what}", labels::display(series.labels.iter()), time::display(timestamp))
        };
        let Accepted { samples, refused, .. } = &mut self.accepted;
        let mut kept = first;
        for place in first..samples.len() {
            let timestamp = samples[place].timestamp;
            if timestamp < oldest {
                let retention = format_duration(range.retention);
                let why = || at(timestamp, format!("older than retention.samples ({retention})"));
                refused.add(Refusal::TooOld, 1, why);
            } else if timestamp > newest {
                let ahead = format_duration(range.max_future);
                let why = || at(timestamp, format!("ahead of the clock by more than ingest.max_future ({ahead})"));
                refused.add(Refusal::TooFarInFuture, 1, why);
            } else {
                samples[kept] = samples[place];
                kept += 1;
            }
        }
        samples.truncate(kept);
    }

    fn finish(self) -> Accepted {
        // The lock is given back before others are added.
        drop(self.known);
        self.registry.add(self.new);
        self.accepted
    }
}

/// Labels of pairs, with the name of the series where they are none.
fn label_set(pairs: &[(&str, &str)]) -> Result<LabelSet, (SeriesError, String)> {
    LabelSet::of(pairs.iter().copied()).map_err(|error| (error.into(), labels::display(pairs.iter().copied())))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
