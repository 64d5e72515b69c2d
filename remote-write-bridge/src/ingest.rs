//! What a write request says, in either version of the protocol: what is kept, and what is refused and why.
//!
//! The specification lets a receiver keep the valid part of a request whose other part it refuses. This one does: a
//! sender does not send a refused request again, and one broken series should not cost the others their samples.

mod histogram;
mod v1;
mod v2;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lynceus_service::format_duration;
use prost::Message as _;

use crate::labels::{self, LabelError, LabelSet, Pairs};
use crate::metrics::Refusal;
use crate::protobuf::{Message, ProtobufError};
use crate::series::{Key, Learned, Lookup, Registry, Series};
use crate::time::{self, Day};
use crate::wire;

/// What is taken.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Milliseconds since 1970.
    pub now: i64,
    /// How old a sample may be.
    pub retention: Duration,
    /// How far ahead of the clock it may be.
    pub max_future: Duration,
    /// How many series may be known at a time.
    pub max_series: usize,
    /// How many of them one job may have.
    pub max_series_per_job: usize,
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

/// What a series has beside samples.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Other {
    /// A message of remote write 2.0, without its time.
    Histogram(Vec<u8>),
    /// With labels as [`LabelSet::as_bytes`] gives them; it may have none.
    Exemplar { value: f64, labels: Vec<u8> },
    /// Samples from here on began to count at this time.
    Start(i64),
}

/// What a metric is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// Of the family: without the suffixes of histograms and summaries.
    pub(crate) metric_name: String,
    pub(crate) kind: MetricKind,
    pub(crate) unit: String,
    pub(crate) help: String,
}

/// Types of metrics; their numbers are the same in both versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MetricKind(u8);

impl MetricKind {
    /// As Prometheus' API names them.
    const NAMES: [&str; 8] =
        ["unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"];

    /// Another number is one that is not known here.
    pub(crate) fn of(number: u64) -> Self {
        Self(u8::try_from(number).ok().filter(|number| usize::from(*number) < Self::NAMES.len()).unwrap_or(0))
    }

    pub(crate) fn number(self) -> u8 {
        self.0
    }

    pub(crate) fn as_str(self) -> &'static str {
        Self::NAMES[usize::from(self.0)]
    }

    /// The name of the family that a series belongs to.
    fn family(self, series: &str) -> &str {
        let suffixes: &[&str] = match self.as_str() {
            "histogram" | "gaugehistogram" => &["_bucket", "_sum", "_count", "_gsum", "_gcount"],
            "summary" => &["_sum", "_count"],
            _ => &[],
        };
        suffixes.iter().find_map(|suffix| series.strip_suffix(suffix)).unwrap_or(series)
    }
}

/// How much of a request is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) samples: u64,
    pub(crate) histograms: u64,
    pub(crate) exemplars: u64,
}

/// A request, sorted out.
#[derive(Debug, Default)]
pub struct Accepted {
    /// Each with the number of its samples.
    pub(crate) series: Vec<(Arc<Series>, usize)>,
    /// Of all series, in their order.
    pub samples: Vec<Sample>,
    /// With the place of their series and their time.
    pub(crate) others: Vec<(usize, i64, Other)>,
    /// What is not known to be in the log.
    pub(crate) metadata: Vec<Metadata>,
    /// What is known of series and metrics when this is in the log.
    pub(crate) learned: Learned,
    /// When it came, in milliseconds since 1970.
    pub(crate) now: i64,
    /// Samples in the request, the refused ones included.
    pub(crate) received: u64,
    pub(crate) refused: Refused,
}

impl Accepted {
    /// Whether there is nothing to keep.
    pub(crate) fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.others.is_empty() && self.metadata.is_empty()
    }

    pub(crate) fn written(&self) -> Written {
        let count = |wanted: fn(&Other) -> bool| self.others.iter().filter(|(.., other)| wanted(other)).count() as u64;
        Written {
            samples: self.samples.len() as u64,
            histograms: count(|other| matches!(other, Other::Histogram(_))),
            exemplars: count(|other| matches!(other, Other::Exemplar { .. })),
        }
    }
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
pub fn accept(version: Version, body: &[u8], registry: &Registry, limits: Limits) -> Result<Accepted, ProtobufError> {
    let message = Message::new(body);
    match version {
        Version::V1 => {
            let body = v1::decode(message, registry)?;
            Sink::new(registry, limits).resolve(body, |message| v1::labels(*message), v1::exemplar)
        }
        Version::V2 => {
            let (body, names) = v2::decode(message, registry)?;
            let labels = |place: &v2::Place| Ok(names.labels(place));
            Sink::new(registry, limits).resolve(body, labels, |message| names.exemplar(message))
        }
    }
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
    #[error("no room: {limit} series are active already (ingest.max_series)")]
    TooMany { limit: usize },
    #[error("no room: job `{job}` has {limit} active series already (ingest.max_series_per_job)")]
    TooManyOfJob { job: String, limit: usize },
}

impl SeriesError {
    fn refusal(&self) -> Refusal {
        match self {
            Self::TooMany { .. } | Self::TooManyOfJob { .. } => Refusal::TooManySeries,
            _ => Refusal::InvalidLabels,
        }
    }
}

/// Labels of a series, or why it has none and how it is named then.
type Labels = Result<LabelSet, (SeriesError, String)>;

/// Series of a request at most. Each takes 64 bytes while it is read, and an empty one is two bytes long.
const MAX_SERIES: usize = 1_000_000;

/// A body, before it is known which its series are.
struct Body<'a, L> {
    series: Vec<Found<L>>,
    samples: Vec<Sample>,
    others: Vec<Raw<'a>>,
    metadata: Vec<Metadata>,
}

/// A series of a body.
struct Found<L> {
    /// Of the bytes that name it.
    key: Key,
    /// Where its labels are.
    labels: L,
    samples: usize,
    others: usize,
}

/// What stands beside the samples of a series.
enum Raw<'a> {
    Histogram(Message<'a>),
    Exemplar(Message<'a>),
    /// Of the samples from `timestamp` on.
    Start {
        timestamp: i64,
        start: i64,
    },
    Metadata {
        hash: u32,
        kind: MetricKind,
        help: Message<'a>,
        unit: Message<'a>,
    },
}

/// An exemplar, with its labels as the log has them.
struct Exemplar {
    timestamp: i64,
    value: f64,
    labels: Vec<u8>,
}

/// Finds out what was meant.
struct Sink<'a> {
    registry: &'a Registry,
    known: Lookup<'a>,
    new: Vec<(Key, Arc<Series>)>,
    /// Jobs of new series, with how many more each may have.
    room: Vec<(String, usize)>,
    limits: Limits,
    oldest: i64,
    newest: i64,
    accepted: Accepted,
}

impl<'a> Sink<'a> {
    fn new(registry: &'a Registry, limits: Limits) -> Self {
        Self {
            registry,
            known: registry.lookup(),
            new: Vec::new(),
            room: Vec::new(),
            limits,
            oldest: limits.now.saturating_sub(millis(limits.retention)),
            newest: limits.now.saturating_add(millis(limits.max_future)),
            accepted: Accepted { now: limits.now, ..Accepted::default() },
        }
    }

    /// Looks up all series of a body; `labels` reads those of one that is new.
    fn resolve<L>(
        mut self,
        body: Body<'_, L>,
        labels: impl Fn(&L) -> Result<Labels, ProtobufError>,
        exemplar: impl Fn(Message<'_>) -> Result<Result<Exemplar, String>, ProtobufError>,
    ) -> Result<Accepted, ProtobufError> {
        self.accepted.samples = body.samples;
        self.accepted.received = self.accepted.samples.len() as u64;
        self.accepted.series.reserve(body.series.len());
        let known: Vec<_> = body.series.iter().map(|series| self.known.get(series.key)).collect();
        let mut others = body.others.into_iter();
        // Samples that are kept move down over those that are not.
        let (mut next, mut kept) = (0, 0);
        for (found, known) in body.series.iter().zip(known) {
            let own = next..next + found.samples;
            next = own.end;
            let mut others = others.by_ref().take(found.others);
            let series = match known {
                Some(series) => series,
                None => {
                    let new = labels(&found.labels)?.and_then(|labels| self.new_series(found.key, labels));
                    match new {
                        Ok(series) => series,
                        Err((error, name)) => {
                            let values = others.filter(|raw| matches!(raw, Raw::Histogram(_) | Raw::Exemplar(_)));
                            let count = (found.samples + values.count()).max(1);
                            let why = || format!("`{name}` has {error}");
                            self.accepted.refused.add(error.refusal(), count, why);
                            continue;
                        }
                    }
                }
            };
            let first = kept;
            for place in own {
                let sample = self.accepted.samples[place];
                if self.is_in_time(&series, sample.timestamp) {
                    self.accepted.samples[kept] = sample;
                    kept += 1;
                }
            }
            let before = self.accepted.others.len();
            others.try_for_each(|raw| self.other(&series, raw, &exemplar))?;
            if kept > first || self.accepted.others.len() > before {
                self.accepted.series.push((series, kept - first));
            }
        }
        self.accepted.samples.truncate(kept);
        body.metadata.into_iter().for_each(|metadata| self.metadata(metadata));
        // The lock is given back before others are added.
        drop(self.known);
        self.registry.add(self.new);
        Ok(self.accepted)
    }

    /// A series that nobody named yet, if there is room for it.
    fn new_series(&mut self, key: Key, labels: LabelSet) -> Result<Arc<Series>, (SeriesError, String)> {
        let series = Series::new(labels);
        let job = series.job();
        let Limits { max_series, max_series_per_job, .. } = self.limits;
        // A request has one job, mostly.
        let place = match self.room.iter().rposition(|(known, _)| known == job) {
            Some(place) => place,
            None => {
                self.room.push((job.to_owned(), max_series_per_job.saturating_sub(self.known.of_job(job))));
                self.room.len() - 1
            }
        };
        let room = &mut self.room[place].1;
        let error = if self.known.len() + self.new.len() >= max_series {
            SeriesError::TooMany { limit: max_series }
        } else if *room == 0 {
            SeriesError::TooManyOfJob { job: job.to_owned(), limit: max_series_per_job }
        } else {
            *room -= 1;
            let series = Arc::new(series);
            self.new.push((key, series.clone()));
            return Ok(series);
        };
        Err((error, labels::display(series.labels.iter())))
    }

    /// What a series that will be the next of those accepted has beside samples.
    fn other(
        &mut self,
        series: &Arc<Series>,
        raw: Raw<'_>,
        exemplar: impl Fn(Message<'_>) -> Result<Result<Exemplar, String>, ProtobufError>,
    ) -> Result<(), ProtobufError> {
        let (timestamp, other) = match raw {
            Raw::Histogram(message) => {
                let mut histogram = wire::Histogram::decode(message.bytes).map_err(|_| ProtobufError {
                    position: message.position,
                    reason: "a native histogram that is no message of its kind",
                })?;
                if let Err(error) = histogram::check(&histogram) {
                    let why = || format!("`{}` has {error}", labels::display(series.labels.iter()));
                    self.accepted.refused.add(Refusal::InvalidHistogram, 1, why);
                    return Ok(());
                }
                let timestamp = std::mem::take(&mut histogram.timestamp);
                (timestamp, Other::Histogram(histogram.encode_to_vec()))
            }
            Raw::Exemplar(message) => match exemplar(message)? {
                Ok(Exemplar { timestamp, value, labels }) => (timestamp, Other::Exemplar { value, labels }),
                Err(error) => {
                    let why = || format!("one of `{}` has {error}", labels::display(series.labels.iter()));
                    self.accepted.refused.add(Refusal::InvalidExemplar, 1, why);
                    return Ok(());
                }
            },
            Raw::Start { timestamp, start } => {
                let month = time::month(time::day(timestamp));
                // A sample that is refused is refused already.
                if (self.oldest..=self.newest).contains(&timestamp) && !series.has_started(start, month) {
                    self.accepted.others.push((self.accepted.series.len(), timestamp, Other::Start(start)));
                    self.accepted.learned.starts.push((series.clone(), start, month));
                }
                return Ok(());
            }
            Raw::Metadata { hash, kind, help, unit } => {
                let month = self.month();
                if !series.has_metadata(hash, month) {
                    let name = series.labels.get(labels::METRIC_NAME).unwrap_or_default();
                    let metric_name = kind.family(name).to_owned();
                    let (unit, help) = (unit.text()?.to_owned(), help.text()?.to_owned());
                    self.metadata(Metadata { metric_name, kind, unit, help });
                    self.accepted.learned.kinds.push((series.clone(), hash, month));
                }
                return Ok(());
            }
        };
        if self.is_in_time(series, timestamp) {
            self.accepted.others.push((self.accepted.series.len(), timestamp, other));
        }
        Ok(())
    }

    /// Takes metadata that is not known of this month.
    fn metadata(&mut self, metadata: Metadata) {
        let Metadata { metric_name, kind, unit, help } = &metadata;
        let strings = [metric_name, kind.as_str(), unit, help];
        let key = self.registry.hash(&labels::concatenated(strings.into_iter()));
        let month = self.month();
        if !self.registry.knows_metadata(key, month) && !self.accepted.learned.metadata.contains(&(key, month)) {
            self.accepted.learned.metadata.push((key, month));
            self.accepted.metadata.push(metadata);
        }
    }

    fn month(&self) -> Day {
        time::month(time::day(self.limits.now))
    }

    #[inline]
    fn is_in_time(&mut self, series: &Series, timestamp: i64) -> bool {
        let is_in_time = (self.oldest..=self.newest).contains(&timestamp);
        if !is_in_time {
            self.refuse_time(series, timestamp);
        }
        is_in_time
    }

    #[cold]
    fn refuse_time(&mut self, series: &Series, timestamp: i64) {
        let at = |what: String| {
            format!("`{}` at {} is {what}", labels::display(series.labels.iter()), time::display(timestamp))
        };
        let Limits { retention, max_future, .. } = self.limits;
        if timestamp < self.oldest {
            let why = || at(format!("older than retention.samples ({})", format_duration(retention)));
            self.accepted.refused.add(Refusal::TooOld, 1, why);
        } else {
            let ahead = format_duration(max_future);
            let why = || at(format!("ahead of the clock by more than ingest.max_future ({ahead})"));
            self.accepted.refused.add(Refusal::TooFarInFuture, 1, why);
        }
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

/// Labels of an exemplar as the log has them; it may have none.
fn exemplar_labels(pairs: Pairs<'_>) -> Result<Vec<u8>, String> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    LabelSet::of_pairs(pairs).map(|labels| labels.as_bytes().to_vec()).map_err(|(error, _)| error.to_string())
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
