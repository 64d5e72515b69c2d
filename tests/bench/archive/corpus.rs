//! What is sent: scrapes of 36,000 series with seven labels, 2,000 samples a request, in both versions.

use prost::Message;

pub(crate) const SERIES: usize = 36_000;
pub(crate) const SAMPLES_A_REQUEST: usize = 2_000;
pub(crate) const ROUNDS: usize = 60;

/// Milliseconds between two scrapes.
const STEP: i64 = 15_000;

/// Bodies, packed, in the order in which they are sent.
pub(crate) struct Corpus {
    pub(crate) v1: Vec<Vec<u8>>,
    pub(crate) v2: Vec<Vec<u8>>,
    /// The first scrape, unpacked.
    pub(crate) plain_v1: Vec<Vec<u8>>,
    pub(crate) plain_v2: Vec<Vec<u8>>,
    pub(crate) now: i64,
}

/// The messages, as prost has them: what the bridge's own decoder is compared with.
pub(crate) mod messages {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct WriteRequest {
        #[prost(message, repeated, tag = "1")]
        pub(crate) timeseries: Vec<TimeSeries>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct TimeSeries {
        #[prost(message, repeated, tag = "1")]
        pub(crate) labels: Vec<Label>,
        #[prost(message, repeated, tag = "2")]
        pub(crate) samples: Vec<Sample>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Label {
        #[prost(string, tag = "1")]
        pub(crate) name: String,
        #[prost(string, tag = "2")]
        pub(crate) value: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Sample {
        #[prost(double, tag = "1")]
        pub(crate) value: f64,
        #[prost(int64, tag = "2")]
        pub(crate) timestamp: i64,
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
}

use messages::{Label, RequestV2, Sample, TimeSeries, TimeSeriesV2, WriteRequest};

impl Corpus {
    /// Ends now, so that no receiver finds it too old.
    pub(crate) fn new() -> Self {
        let now = jiff::Timestamp::now().as_millisecond();
        let labels: Vec<_> = (0..SERIES).map(labels).collect();
        let mut corpus = Self { v1: Vec::new(), v2: Vec::new(), plain_v1: Vec::new(), plain_v2: Vec::new(), now };
        for round in 0..ROUNDS {
            for first in (0..SERIES).step_by(SAMPLES_A_REQUEST) {
                let places = first..first + SAMPLES_A_REQUEST;
                let sample = |place: usize| Sample { value: value(place, round), timestamp: time(now, place, round) };
                let of = |place: usize| TimeSeries { labels: labels[place].clone(), samples: vec![sample(place)] };
                let v1 = WriteRequest { timeseries: places.clone().map(of).collect() }.encode_to_vec();
                let mut symbols = Symbols::default();
                let mut of = |place: usize| TimeSeriesV2 {
                    labels_refs: labels[place]
                        .iter()
                        .flat_map(|l| [symbols.of(&l.name), symbols.of(&l.value)])
                        .collect(),
                    samples: vec![sample(place)],
                };
                let timeseries = places.map(&mut of).collect();
                let v2 = RequestV2 { symbols: symbols.texts, timeseries }.encode_to_vec();
                corpus.v1.push(pack(&v1));
                corpus.v2.push(pack(&v2));
                if round == 0 {
                    corpus.plain_v1.push(v1);
                    corpus.plain_v2.push(v2);
                }
            }
        }
        corpus
    }

    pub(crate) fn samples(&self) -> usize {
        SERIES * ROUNDS
    }
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

fn pack(body: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(body).unwrap_or_default()
}

/// 24 metrics of 1,500 virtual machines.
fn labels(place: usize) -> Vec<Label> {
    let (vm, metric) = (place / 24, place % 24);
    let label = |name: &str, value: String| Label { name: name.to_owned(), value };
    vec![
        label("__name__", format!("vsphere_vm_metric_{metric:02}_seconds_total")),
        label("instance", "vc01.example.net".to_owned()),
        label("job", "vsphere".to_owned()),
        label("team", format!("team-{}", vm % 20)),
        label("vcenter", "vc01.example.net".to_owned()),
        label("vm", format!("web-{vm:05}.prod.example.net")),
        label("vm_id", format!("502a1b2c-{vm:04x}-4000-8000-0123456789ab")),
    ]
}

/// Scrapes of one target share their millisecond.
fn time(now: i64, place: usize, round: usize) -> i64 {
    let jitter = (place / SAMPLES_A_REQUEST + round * 7) % 5;
    // At most some minutes.
    now - (ROUNDS - round) as i64 * STEP + jitter as i64
}

/// Half counters of different speeds, half gauges.
fn value(place: usize, round: usize) -> f64 {
    let noise = (place * 7919 + round * 104_729) % 1_000;
    if place.is_multiple_of(2) { (round * (place % 97 + 1) * 1_000 + noise) as f64 / 1_000.0 } else { noise as f64 }
}
