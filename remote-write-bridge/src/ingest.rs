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

use crate::labels::{self, LabelError, LabelSet, Pairs};
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
///
/// In two steps: what the body says, then which series that is. Looking series up is waiting for memory, and many such
/// waits at a time take no longer than one.
pub fn accept(version: Version, body: &[u8], registry: &Registry, range: TimeRange) -> Result<Accepted, ProtobufError> {
    let body = Message::new(body);
    let mut sink = Sink::new(registry, range);
    match version {
        Version::V1 => {
            let found = v1::decode(body, registry, &mut sink.accepted)?;
            sink.resolve(&found, v1::labels)?;
        }
        Version::V2 => {
            let (found, names) = v2::decode(body, registry, &mut sink.accepted)?;
            sink.resolve(&found, |series| Ok(names.labels(series)))?;
        }
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
    Symbol { found: u32, symbols: usize },
    #[error("samples and histograms, of which a series has only one kind")]
    Mixed,
}

/// Labels of a series, or why it has none and how it is named then.
type Labels = Result<LabelSet, (SeriesError, String)>;

/// Series of a request at most. Each takes 64 bytes while it is read, and an empty one is two bytes long.
const MAX_SERIES: usize = 1_000_000;

/// A series of a body, before it is known which.
struct Found<L> {
    /// Of the bytes that name it.
    key: Key,
    /// Where its labels are.
    labels: L,
    samples: usize,
    histograms: usize,
    exemplars: usize,
}

/// Finds out what was meant.
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

    /// Looks up all series of a body; `labels` reads those of one that is new.
    fn resolve<L>(
        &mut self,
        found: &[Found<L>],
        labels: impl Fn(&L) -> Result<Labels, ProtobufError>,
    ) -> Result<(), ProtobufError> {
        self.accepted.received = self.accepted.samples.len() as u64;
        self.accepted.series.reserve(found.len());
        let known: Vec<_> = found.iter().map(|series| self.known.get(series.key)).collect();
        // Samples that are kept move down over those that are not.
        let (mut next, mut kept) = (0, 0);
        for (found, known) in found.iter().zip(known) {
            let own = next..next + found.samples;
            next = own.end;
            let series = match known {
                Some(series) => series,
                None => match labels(&found.labels)? {
                    Ok(labels) => {
                        let series = Arc::new(Series::new(labels));
                        self.new.push((found.key, series.clone()));
                        series
                    }
                    Err((error, name)) => {
                        let count = (found.samples + found.histograms + found.exemplars).max(1);
                        self.accepted.refused.add(Refusal::InvalidLabels, count, || format!("`{name}` has {error}"));
                        continue;
                    }
                },
            };
            if found.histograms + found.exemplars > 0 {
                self.refuse_unkept(&series, found.histograms, found.exemplars);
            }
            let first = kept;
            for place in own {
                let sample = self.accepted.samples[place];
                if (self.oldest..=self.newest).contains(&sample.timestamp) {
                    self.accepted.samples[kept] = sample;
                    kept += 1;
                } else {
                    self.refuse_time(&series, sample.timestamp);
                }
            }
            if kept > first {
                self.accepted.series.push((series, kept - first));
            }
        }
        self.accepted.samples.truncate(kept);
        Ok(())
    }

    /// Native histograms and exemplars have no table yet. Answering 2xx would lose them without a word.
    #[cold]
    fn refuse_unkept(&mut self, series: &Series, histograms: usize, exemplars: usize) {
        let name = || labels::display(series.labels.iter());
        if histograms > 0 {
            let example = || format!("`{}`; set send_native_histograms: false", name());
            self.accepted.refused.add(Refusal::NativeHistogram, histograms, example);
        }
        if exemplars > 0 {
            let example = || format!("`{}`; set send_exemplars: false", name());
            self.accepted.refused.add(Refusal::Exemplar, exemplars, example);
        }
    }

    #[cold]
    fn refuse_time(&mut self, series: &Series, timestamp: i64) {
        let at = |what: String| {
            format!("`{}` at {} is {what}", labels::display(series.labels.iter()), time::display(timestamp))
        };
        let TimeRange { retention, max_future, .. } = self.range;
        if timestamp < self.oldest {
            let why = || at(format!("older than retention.samples ({})", format_duration(retention)));
            self.accepted.refused.add(Refusal::TooOld, 1, why);
        } else {
            let ahead = format_duration(max_future);
            let why = || at(format!("ahead of the clock by more than ingest.max_future ({ahead})"));
            self.accepted.refused.add(Refusal::TooFarInFuture, 1, why);
        }
    }

    fn finish(self) -> Accepted {
        // The lock is given back before others are added.
        drop(self.known);
        self.registry.add(self.new);
        self.accepted
    }
}

/// Adds a series of the message that ends at `position`.
#[inline]
fn add<L>(found: &mut Vec<Found<L>>, series: Found<L>, position: usize) -> Result<(), ProtobufError> {
    if found.len() == MAX_SERIES {
        return Err(ProtobufError { position, reason: "more than a million series in one request" });
    }
    found.push(series);
    Ok(())
}

/// Labels of pairs, with the name of the series where they are none.
fn label_set(pairs: Pairs<'_>) -> Labels {
    LabelSet::of_pairs(pairs).map_err(|(error, pairs)| (error.into(), labels::display(pairs.into_iter())))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
