//! Write requests of both versions: no panic, and what is known changes nothing of what is kept.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use lynceus_bridge::ingest::{Limits, Version, accept};
use lynceus_bridge::series::Registry;

fuzz_target!(|body: &[u8]| {
    let hour = Duration::from_secs(3600);
    let limits = Limits {
        now: 1_767_261_640_000,
        retention: hour * 24 * 730,
        max_future: hour,
        max_series: 1000,
        max_series_per_job: 100,
    };
    for version in [Version::V1, Version::V2] {
        let registry = Registry::new();
        let first = accept(version, body, &registry, limits);
        let again = accept(version, body, &registry, limits);
        let kept = |outcome: &Result<lynceus_bridge::ingest::Accepted, _>| {
            let samples = outcome.as_ref().ok().map(|accepted| accepted.samples.iter());
            samples.map(|samples| samples.map(|s| (s.timestamp, s.value.to_bits())).collect::<Vec<_>>())
        };
        assert_eq!(kept(&first), kept(&again));
    }
});
