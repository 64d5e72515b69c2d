//! Decoding alone: the bridge, which also checks, finds and keeps apart, against prost, which only decodes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use lynceus_bridge::ingest::{Limits, Version, accept};
use lynceus_bridge::series::Registry;
use prost::Message;
use serde::Serialize;

use crate::corpus::{Corpus, RequestV2, SERIES};
use crate::messages::WriteRequest;
use crate::text::median;

const REPEATS: usize = 21;

/// Nanoseconds of CPU a sample.
#[derive(Serialize)]
pub(crate) struct Decoded {
    pub(crate) version: &'static str,
    pub(crate) prost: f64,
    pub(crate) known: f64,
    pub(crate) new: f64,
}

pub(crate) fn all(v1: &Corpus, v2: &Corpus) -> Vec<Decoded> {
    vec![
        measure("1.0", Version::V1, v1, |body| drop(black_box(WriteRequest::decode(body)))),
        measure("2.0", Version::V2, v2, |body| drop(black_box(RequestV2::decode(body)))),
    ]
}

fn measure(name: &'static str, version: Version, corpus: &Corpus, prost: impl Fn(&[u8])) -> Decoded {
    let bodies = &corpus.plain;
    let limits = Limits {
        now: corpus.now,
        retention: Duration::from_secs(86_400 * 730),
        max_future: Duration::from_secs(3600),
        max_series: usize::MAX,
        max_series_per_job: usize::MAX,
    };
    let own = |registry: &Registry| {
        for body in bodies {
            drop(black_box(accept(version, body, registry, limits)));
        }
    };
    let warm = Registry::new();
    own(&warm);
    let (mut of_prost, mut known, mut new) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        of_prost.push(timed(|| bodies.iter().for_each(|body| prost(body))));
        known.push(timed(|| own(&warm)));
        let cold = Registry::new();
        new.push(timed(|| own(&cold)));
    }
    let median = |times: Vec<f64>| median(times).unwrap_or_default();
    Decoded { version: name, prost: median(of_prost), known: median(known), new: median(new) }
}

/// Nanoseconds a sample.
fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e9 / SERIES as f64
}
