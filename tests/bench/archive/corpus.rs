//! What is sent: scrapes of 36,000 series with seven labels, in the versions and shapes that senders have.

use prost::Message;

use crate::messages::{Label, Sample, TimeSeries, WriteRequest};

pub(crate) const SERIES: usize = 36_000;
const ROUNDS: usize = 60;

/// Milliseconds between two scrapes.
const STEP: i64 = 15_000;

/// How the samples are sent.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Shape {
    pub(crate) version: Version,
    pub(crate) samples_a_request: usize,
    /// Of a hundred series so many are new in each scrape, in the place of others.
    pub(crate) churn: usize,
}

/// Versions of remote write.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Version {
    V1,
    V2,
}

impl Shape {
    /// As Prometheus sends by default, once its targets are known.
    pub(crate) const fn steady(version: Version) -> Self {
        Self { version, samples_a_request: 2_000, churn: 0 }
    }
}

/// Bodies of a shape.
pub(crate) struct Corpus {
    pub(crate) shape: Shape,
    /// Packed, in the order in which they are sent.
    pub(crate) bodies: Vec<bytes::Bytes>,
    /// The first scrape, unpacked.
    pub(crate) plain: Vec<Vec<u8>>,
    pub(crate) now: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RequestV2 {
    #[prost(string, repeated, tag = "4")]
    pub(crate) symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) timeseries: Vec<TimeSeriesV2>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TimeSeriesV2 {
    #[prost(uint32, repeated, tag = "1")]
    pub(crate) labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) samples: Vec<Sample>,
}

impl Corpus {
    /// Ends now, so that no receiver finds it too old.
    pub(crate) fn new(shape: Shape) -> Self {
        let now = jiff::Timestamp::now().as_millisecond();
        let mut labels: Vec<_> = (0..SERIES).map(|place| labels(place, 0)).collect();
        let mut corpus = Self { shape, bodies: Vec::new(), plain: Vec::new(), now };
        for round in 0..ROUNDS {
            for (place, labels) in labels.iter_mut().enumerate() {
                if round > 0 && (place + round * 37) % 100 < shape.churn {
                    *labels = self::labels(place, round);
                }
            }
            for first in (0..SERIES).step_by(shape.samples_a_request) {
                let series = (first..first + shape.samples_a_request).map(|place| {
                    let sample = Sample { value: value(place, round), timestamp: time(now, place, round) };
                    (labels[place].clone(), sample)
                });
                let body = match shape.version {
                    Version::V1 => WriteRequest {
                        timeseries: series
                            .map(|(labels, sample)| TimeSeries { labels, samples: vec![sample] })
                            .collect(),
                    }
                    .encode_to_vec(),
                    Version::V2 => version_2(series).encode_to_vec(),
                };
                corpus.bodies.push(snap::raw::Encoder::new().compress_vec(&body).unwrap_or_default().into());
                if round == 0 {
                    corpus.plain.push(body);
                }
            }
        }
        corpus
    }

    pub(crate) fn samples(&self) -> usize {
        SERIES * ROUNDS
    }
}

/// Strings stand once, labels refer to them.
fn version_2(series: impl Iterator<Item = (Vec<Label>, Sample)>) -> RequestV2 {
    let mut symbols = Symbols::default();
    let timeseries = series
        .map(|(labels, sample)| TimeSeriesV2 {
            labels_refs: labels.iter().flat_map(|l| [symbols.of(&l.name), symbols.of(&l.value)]).collect(),
            samples: vec![sample],
        })
        .collect();
    RequestV2 { symbols: symbols.texts, timeseries }
}

struct Symbols {
    texts: Vec<String>,
    places: std::collections::HashMap<String, u32>,
}

impl Default for Symbols {
    fn default() -> Self {
        Self { texts: vec![String::new()], places: [(String::new(), 0)].into() }
    }
}

impl Symbols {
    fn of(&mut self, text: &str) -> u32 {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        // A request has some thousand strings.
        let place = self.texts.len() as u32;
        self.texts.push(text.to_owned());
        self.places.insert(text.to_owned(), place);
        place
    }
}

/// 24 metrics of 1,500 virtual machines; what is new in a round is another machine in the place of one.
fn labels(place: usize, round: usize) -> Vec<Label> {
    let (vm, metric) = (place / 24, place % 24);
    let label = |name: &str, value: String| Label { name: name.to_owned(), value };
    vec![
        label("__name__", format!("vsphere_vm_metric_{metric:02}_seconds_total")),
        label("instance", "vc01.example.net".to_owned()),
        label("job", "vsphere".to_owned()),
        label("team", format!("team-{}", vm % 20)),
        label("vcenter", "vc01.example.net".to_owned()),
        label("vm", format!("web-{vm:05}.prod.example.net")),
        label("vm_id", format!("502a1b2c-{vm:04x}-4000-8000-0123456789{round:02x}")),
    ]
}

/// Scrapes of one target share their millisecond.
fn time(now: i64, place: usize, round: usize) -> i64 {
    let jitter = (place / 2_000 + round * 7) % 5;
    // At most some minutes.
    now - (ROUNDS - round) as i64 * STEP + jitter as i64
}

/// Half counters of different speeds, half gauges.
fn value(place: usize, round: usize) -> f64 {
    let noise = (place * 7919 + round * 104_729) % 1_000;
    if place.is_multiple_of(2) { (round * (place % 97 + 1) * 1_000 + noise) as f64 / 1_000.0 } else { noise as f64 }
}
