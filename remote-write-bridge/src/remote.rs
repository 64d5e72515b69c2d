//! Sends samples by remote write, for commands: in requests of bounded size, again when the receiver is busy or away.

use std::time::Duration;

use prost::Message as _;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, StatusCode};
use tokio::time::{Instant, sleep};
use url::Url;

use crate::chunk::Point;
use crate::wire::{self, Label, TimeSeries, WriteRequest};

/// Points of a request, and its size before it is packed; receivers refuse large ones.
const MAX_POINTS: usize = 5000;
const MAX_BYTES: usize = 1 << 20;
/// A number with its time takes at most so much.
const SAMPLE_BYTES: usize = 20;
const TIMEOUT: Duration = Duration::from_secs(60);
/// Between tries, and for how long there are some.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const GIVE_UP: Duration = Duration::from_secs(600);

/// Of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Version {
    #[value(name = "1.0")]
    V1,
    #[value(name = "2.0")]
    V2,
}

/// Why a request is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("{url} does not take it for {GIVE_UP:?}: {reason}")]
    GaveUp { url: Url, reason: String },
    #[error("{url} answered {status}: {text}")]
    Refused { url: Url, status: StatusCode, text: String },
    #[error("failed to pack a request: {0}")]
    Pack(#[from] snap::Error),
    #[error("failed to make a client: {0}")]
    Client(#[source] reqwest::Error),
}

pub(crate) struct Sender {
    http: Client,
    url: Url,
    version: Version,
    series: Vec<TimeSeries>,
    points: usize,
    bytes: usize,
    /// Points that were sent, refused requests included.
    pub(crate) sent: u64,
    /// What the receiver says of requests that it takes in part or not at all: how many, and of the first one.
    pub(crate) refused: Option<(u64, String)>,
}

impl Sender {
    pub(crate) fn new(url: Url, version: Version) -> Result<Self, SendError> {
        let http = Client::builder().timeout(TIMEOUT).build().map_err(SendError::Client)?;
        Ok(Self { http, url, version, series: vec![], points: 0, bytes: 0, sent: 0, refused: None })
    }

    /// Sends it, or keeps it for the next request.
    pub(crate) async fn add(&mut self, labels: &[(&str, &str)], point: Point) -> Result<(), SendError> {
        let series = match self.series.last_mut().filter(|series| has_labels(series, labels)) {
            Some(series) => series,
            None => {
                let label =
                    |(name, value): &(&str, &str)| Label { name: (*name).to_owned(), value: (*value).to_owned() };
                let labels: Vec<_> = labels.iter().map(label).collect();
                self.bytes += labels.iter().map(|label| label.name.len() + label.value.len() + 6).sum::<usize>();
                self.series.push(TimeSeries { labels, ..TimeSeries::default() });
                let last = self.series.len() - 1;
                &mut self.series[last]
            }
        };
        match point {
            Point::Float(sample) => {
                self.bytes += SAMPLE_BYTES;
                series.samples.push(sample);
            }
            Point::Histogram(histogram) => {
                self.bytes += histogram.encoded_len();
                series.histograms.push(*histogram);
            }
        }
        self.points += 1;
        if self.points >= MAX_POINTS || self.bytes >= MAX_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Sends what is kept.
    pub(crate) async fn flush(&mut self) -> Result<(), SendError> {
        if self.points == 0 {
            return Ok(());
        }
        let request = WriteRequest { timeseries: std::mem::take(&mut self.series), metadata: vec![] };
        let body = match self.version {
            Version::V1 => wire::encode(&request)?,
            Version::V2 => wire::encode(&v2::request(&request.timeseries))?,
        };
        let points = std::mem::take(&mut self.points);
        self.bytes = 0;
        match self.post(body.into()).await {
            Err(SendError::Refused { status: StatusCode::BAD_REQUEST, text, .. }) => {
                let (requests, _) = self.refused.get_or_insert((0, text));
                *requests += 1;
            }
            other => other?,
        }
        self.sent += points as u64;
        Ok(())
    }

    async fn post(&self, body: bytes::Bytes) -> Result<(), SendError> {
        let (content_type, version) = match self.version {
            Version::V1 => (wire::CONTENT_TYPE, "0.1.0"),
            Version::V2 => ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
        };
        let (begin, mut pause) = (Instant::now(), PAUSE);
        loop {
            let request = self.http.post(self.url.clone()).header(CONTENT_TYPE, content_type);
            let request =
                request.header(CONTENT_ENCODING, "snappy").header("X-Prometheus-Remote-Write-Version", version);
            let (reason, wait) = match request.body(body.clone()).send().await {
                Err(error) => (format!("{:#}", anyhow::Error::from(error.without_url())), pause),
                Ok(response) if response.status().is_success() => return Ok(()),
                Ok(response) => {
                    let status = response.status();
                    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
                    let text = response.text().await.unwrap_or_default().trim_end().to_owned();
                    if !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS {
                        return Err(SendError::Refused { url: self.url.clone(), status, text });
                    }
                    (format!("{status}: {text}"), after.map_or(pause, Duration::from_secs).min(LONGEST_PAUSE))
                }
            };
            if begin.elapsed() > GIVE_UP {
                return Err(SendError::GaveUp { url: self.url.clone(), reason });
            }
            if pause == PAUSE {
                eprintln!("{}: {reason}; trying again for {GIVE_UP:?}", self.url);
            }
            sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

fn has_labels(series: &TimeSeries, labels: &[(&str, &str)]) -> bool {
    series.labels.iter().map(|label| (label.name.as_str(), label.value.as_str())).eq(labels.iter().copied())
}

/// The message of remote write 2.0, with the fields that are used here.
mod v2 {
    use std::collections::HashMap;

    use prost::Message;

    use crate::wire::{self, Histogram, Sample};

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Request {
        #[prost(string, repeated, tag = "4")]
        symbols: Vec<String>,
        #[prost(message, repeated, tag = "5")]
        timeseries: Vec<TimeSeries>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct TimeSeries {
        #[prost(uint32, repeated, tag = "1")]
        labels_refs: Vec<u32>,
        #[prost(message, repeated, tag = "2")]
        samples: Vec<Sample>,
        #[prost(message, repeated, tag = "3")]
        histograms: Vec<Histogram>,
    }

    /// A series has samples or histograms, so that one with both is two.
    pub(super) fn request(all: &[wire::TimeSeries]) -> Request {
        let mut request = Request { symbols: vec![String::new()], timeseries: Vec::new() };
        let mut known: HashMap<&str, u32> = HashMap::new();
        for series in all {
            let mut labels_refs = Vec::with_capacity(series.labels.len() * 2);
            for text in series.labels.iter().flat_map(|label| [&label.name, &label.value]) {
                let next = request.symbols.len() as u32;
                let number = *known.entry(text).or_insert(next);
                if number == next {
                    request.symbols.push(text.clone());
                }
                labels_refs.push(number);
            }
            for (samples, histograms) in [(&series.samples[..], &[][..]), (&[], &series.histograms)] {
                if !samples.is_empty() || !histograms.is_empty() {
                    let (samples, histograms) = (samples.to_vec(), histograms.to_vec());
                    request.timeseries.push(TimeSeries { labels_refs: labels_refs.clone(), samples, histograms });
                }
            }
        }
        request
    }
}
