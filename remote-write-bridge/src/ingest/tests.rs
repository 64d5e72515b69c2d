use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::wire;

const DAY: i64 = 86_400_000;
const NOW: i64 = 20_000 * DAY;

const LIMITS: Limits = Limits {
    now: NOW,
    retention: Duration::from_secs(730 * 86_400),
    max_future: Duration::from_secs(3600),
    max_series: 1_000_000,
    max_series_per_job: 1_000_000,
};

/// The messages of 2.0, as prost writes them.
mod v2_messages {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Request {
        #[prost(string, repeated, tag = "4")]
        pub(super) symbols: Vec<String>,
        #[prost(message, repeated, tag = "5")]
        pub(super) timeseries: Vec<TimeSeries>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct TimeSeries {
        #[prost(uint32, repeated, tag = "1")]
        pub(super) labels_refs: Vec<u32>,
        #[prost(message, repeated, tag = "2")]
        pub(super) samples: Vec<Sample>,
        #[prost(message, repeated, tag = "3")]
        pub(super) histograms: Vec<crate::wire::Histogram>,
        #[prost(message, repeated, tag = "4")]
        pub(super) exemplars: Vec<Exemplar>,
        #[prost(message, optional, tag = "5")]
        pub(super) metadata: Option<Metadata>,
        /// Until Prometheus 3.7.
        #[prost(int64, tag = "6")]
        pub(super) created_timestamp: i64,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(super) struct Sample {
        #[prost(double, required, tag = "1")]
        pub(super) value: f64,
        #[prost(int64, tag = "2")]
        pub(super) timestamp: i64,
        #[prost(int64, tag = "3")]
        pub(super) start_timestamp: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Exemplar {
        #[prost(uint32, repeated, tag = "1")]
        pub(super) labels_refs: Vec<u32>,
        #[prost(double, required, tag = "2")]
        pub(super) value: f64,
        #[prost(int64, tag = "3")]
        pub(super) timestamp: i64,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(super) struct Metadata {
        #[prost(int32, tag = "1")]
        pub(super) kind: i32,
        #[prost(uint32, tag = "3")]
        pub(super) help_ref: u32,
        #[prost(uint32, tag = "4")]
        pub(super) unit_ref: u32,
    }
}

fn series(labels: &[(&str, &str)], times: &[i64]) -> wire::TimeSeries {
    let label = |(name, value): &(&str, &str)| wire::Label { name: (*name).into(), value: (*value).into() };
    wire::TimeSeries {
        labels: labels.iter().map(label).collect(),
        samples: times.iter().map(|timestamp| wire::Sample { value: 1., timestamp: *timestamp }).collect(),
        ..wire::TimeSeries::default()
    }
}

fn request(timeseries: Vec<wire::TimeSeries>) -> Vec<u8> {
    wire::WriteRequest { timeseries, metadata: vec![] }.encode_to_vec()
}

/// The same as 2.0.
fn request_v2(timeseries: &[wire::TimeSeries]) -> Vec<u8> {
    let mut symbols = vec![String::new()];
    let mut reference = |text: &str| {
        let place = symbols.iter().position(|known| known == text).unwrap_or_else(|| {
            symbols.push(text.to_owned());
            symbols.len() - 1
        });
        u32::try_from(place).unwrap()
    };
    let mut labels_refs = |labels: &[wire::Label]| {
        labels.iter().flat_map(|label| [reference(&label.name), reference(&label.value)]).collect::<Vec<_>>()
    };
    let mut of = |series: &wire::TimeSeries| v2_messages::TimeSeries {
        labels_refs: labels_refs(&series.labels),
        samples: series.samples.iter().map(|sample| v2_sample(*sample, 0)).collect(),
        histograms: series.histograms.clone(),
        exemplars: series
            .exemplars
            .iter()
            .map(|exemplar| v2_messages::Exemplar {
                labels_refs: labels_refs(&exemplar.labels),
                value: exemplar.value,
                timestamp: exemplar.timestamp,
            })
            .collect(),
        metadata: Some(v2_messages::Metadata::default()),
        created_timestamp: 0,
    };
    let timeseries = timeseries.iter().map(&mut of).collect();
    v2_messages::Request { symbols, timeseries }.encode_to_vec()
}

fn v2_sample(sample: wire::Sample, start_timestamp: i64) -> v2_messages::Sample {
    v2_messages::Sample { value: sample.value, timestamp: sample.timestamp, start_timestamp }
}

/// What is kept of each series: labels and samples.
type Kept = Vec<(Vec<(String, String)>, Vec<(i64, u64)>)>;

fn kept(accepted: &Accepted) -> Kept {
    let mut rest = accepted.samples.as_slice();
    let mut found = Vec::new();
    for (series, samples) in accepted.series.iter().filter(|(_, samples)| *samples > 0) {
        let (own, others) = rest.split_at(*samples);
        rest = others;
        let labels = series.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        found.push((labels, own.iter().map(|sample| (sample.timestamp, sample.value.to_bits())).collect()));
    }
    assert!(rest.is_empty());
    found
}

fn check(timeseries: Vec<wire::TimeSeries>, stored: usize, refused: &str) {
    for (version, body) in [(Version::V1, request(timeseries.clone())), (Version::V2, request_v2(&timeseries))] {
        let registry = Registry::new();
        // What is known does not change what is kept.
        for _ in 0..2 {
            let accepted = accept(version, &body, &registry, LIMITS).unwrap();
            assert_eq!(
                (accepted.samples.len(), accepted.refused.to_string().as_str()),
                (stored, refused),
                "{version:?}"
            );
            assert_eq!(kept(&accepted).iter().map(|(_, samples)| samples.len()).sum::<usize>(), stored);
        }
    }
}

#[test]
fn the_edges_of_the_accepted_time_are_in() {
    check(vec![series(&[("a", "b")], &[NOW, NOW - 730 * DAY, NOW + 3_600_000])], 3, "");
}

#[test]
fn samples_outside_the_accepted_time_are_refused_by_themselves() {
    check(
        vec![series(&[("__name__", "up"), ("a", "b")], &[NOW, NOW - 730 * DAY - 1, NOW + 3_600_001, 0, i64::MAX])],
        1,
        "2 too_old (first: `up{a=\"b\"}` at 2022-10-04T23:59:59.999Z is older than retention.samples (730d)); \
         2 too_far_in_future (first: `up{a=\"b\"}` at 2024-10-04T01:00:00.001Z is ahead of the clock by more than \
         ingest.max_future (1h))",
    );
}

#[test]
fn a_series_with_invalid_labels_does_not_cost_the_others() {
    let broken = series(&[("a", "1"), ("a", "2")], &[NOW, NOW + 1]);
    let others = series(&[("__name__", "up")], &[NOW]);
    check(vec![broken, others], 1, "2 invalid_labels (first: `{a=\"1\",a=\"2\"}` has label `a` twice)");
}

fn histogram(timestamp: i64) -> wire::Histogram {
    wire::Histogram {
        count: Some(wire::HistogramCount::Int(3)),
        sum: 6.,
        positive_spans: vec![wire::BucketSpan { offset: 1, length: 2 }],
        positive_deltas: vec![1, 1],
        timestamp,
        ..wire::Histogram::default()
    }
}

fn exemplar(labels: &[(&str, &str)], timestamp: i64) -> wire::Exemplar {
    wire::Exemplar { labels: series(labels, &[]).labels, value: 0.5, timestamp }
}

/// What there is beside samples, with the name of its series.
fn others(accepted: &Accepted) -> Vec<(&str, i64, &Other)> {
    let name = |place: &usize| accepted.series[*place].0.labels.get("__name__").unwrap();
    accepted.others.iter().map(|(place, time, other)| (name(place), *time, other)).collect()
}

#[test]
fn histograms_and_exemplars_are_kept_with_their_series() {
    let mut one = series(&[("__name__", "one")], &[]);
    one.histograms = vec![histogram(NOW), histogram(NOW - 5)];
    let mut two = series(&[("__name__", "two")], &[NOW]);
    two.exemplars = vec![exemplar(&[("trace_id", "x"), ("a", "b")], NOW - 1), exemplar(&[], NOW)];
    let timeseries = vec![one, series(&[("a", "b")], &[0]), two];
    for (version, body) in [(Version::V1, request(timeseries.clone())), (Version::V2, request_v2(&timeseries))] {
        let registry = Registry::new();
        for _ in 0..2 {
            let accepted = accept(version, &body, &registry, LIMITS).unwrap();
            let message = Other::Histogram(histogram(0).encode_to_vec());
            let of = |labels: Vec<u8>| Other::Exemplar { value: 0.5, labels };
            let labels = LabelSet::of_pairs(vec![("a", "b"), ("trace_id", "x")]).unwrap();
            let (full, bare) = (of(labels.as_bytes().to_vec()), of(vec![]));
            let expected =
                [("one", NOW, &message), ("one", NOW - 5, &message), ("two", NOW - 1, &full), ("two", NOW, &bare)];
            assert_eq!(others(&accepted), expected, "{version:?}");
            assert_eq!(accepted.written(), Written { samples: 1, histograms: 2, exemplars: 2 });
        }
    }
}

#[test]
fn histograms_and_exemplars_that_are_none_do_not_cost_their_series() {
    let mut one = series(&[("__name__", "up")], &[NOW]);
    one.exemplars = vec![exemplar(&[("a", "1"), ("a", "2")], NOW), exemplar(&[], 0), exemplar(&[], NOW)];
    check(
        vec![one],
        1,
        "1 invalid_exemplar (first: one of `up{}` has label `a` twice); 1 too_old (first: `up{}` at \
         1970-01-01T00:00:00Z is older than retention.samples (730d))",
    );
    let mut one = series(&[("__name__", "up")], &[]);
    one.histograms = vec![wire::Histogram { schema: 99, ..histogram(NOW) }, histogram(i64::MAX), histogram(NOW)];
    let reason = "schema 99, expected -53 or one of -9 to 52";
    check(
        vec![one],
        0,
        &format!(
            "1 invalid_histogram (first: `up{{}}` has {reason}); 1 too_far_in_future (first: `up{{}}` at \
             9223372036854775807 ms is ahead of the clock by more than ingest.max_future (1h))"
        ),
    );
}

#[test]
fn metadata_is_kept_once_a_month() {
    let one = |name: &str, help: &str| wire::Metadata {
        r#type: 3,
        metric_family_name: name.into(),
        help: help.into(),
        unit: "s".into(),
    };
    let body = |metadata| wire::WriteRequest { timeseries: vec![], metadata }.encode_to_vec();
    let first = body(vec![one("a", "A."), one("b", "B."), one("a", "A.")]);
    let registry = Registry::new();
    let accepted = accept(Version::V1, &first, &registry, LIMITS).unwrap();
    let names: Vec<_> = accepted.metadata.iter().map(|found| (found.metric_name.as_str(), &*found.help)).collect();
    assert_eq!(names, [("a", "A."), ("b", "B.")]);
    // It is not in the log yet.
    let again = accept(Version::V1, &first, &registry, LIMITS).unwrap();
    assert_eq!(again.metadata, accepted.metadata);
    registry.learn(again.learned);
    assert!(accept(Version::V1, &first, &registry, LIMITS).unwrap().is_empty());
    let other = accept(Version::V1, &body(vec![one("a", "Another.")]), &registry, LIMITS).unwrap();
    assert_eq!(other.metadata.len(), 1);
    let later = Limits { now: NOW + 40 * DAY, ..LIMITS };
    assert_eq!(accept(Version::V1, &first, &registry, later).unwrap().metadata.len(), 2);
}

#[test]
fn metadata_of_version_2_is_that_of_the_family() {
    let symbols = ["", "__name__", "x_bucket", "x_sum", "Help.", "s"].map(String::from).to_vec();
    let of = |name, help_ref| v2_messages::TimeSeries {
        labels_refs: vec![1, name],
        samples: vec![v2_sample(wire::Sample { value: 1., timestamp: NOW }, 0)],
        metadata: Some(v2_messages::Metadata { kind: 3, help_ref, unit_ref: 5 }),
        ..v2_messages::TimeSeries::default()
    };
    let body = |timeseries| v2_messages::Request { symbols: symbols.clone(), timeseries }.encode_to_vec();
    let both = body(vec![of(2, 4), of(3, 4)]);
    let registry = Registry::new();
    let accepted = accept(Version::V2, &both, &registry, LIMITS).unwrap();
    let (unit, help) = ("s".to_owned(), "Help.".to_owned());
    let expected = Metadata { metric_name: "x".into(), kind: MetricKind::of(3), unit, help };
    assert_eq!(accepted.metadata, [expected]);
    registry.learn(accepted.learned);
    let again = accept(Version::V2, &both, &registry, LIMITS).unwrap();
    assert_eq!((again.metadata, again.learned.kinds.len()), (vec![], 0));
    // It has changed.
    assert_eq!(accept(Version::V2, &body(vec![of(2, 0)]), &registry, LIMITS).unwrap().metadata.len(), 1);
    let error = accept(Version::V2, &body(vec![of(2, 9)]), &registry, LIMITS).unwrap_err();
    assert_eq!(error.reason, "metadata that refers to no symbol");
}

#[test]
fn a_start_is_kept_when_it_changes() {
    let symbols = ["", "__name__", "x"].map(String::from).to_vec();
    let body = |samples: &[(i64, i64)], created_timestamp| {
        let of = |(timestamp, start): &(i64, i64)| v2_sample(wire::Sample { value: 1., timestamp: *timestamp }, *start);
        let samples = samples.iter().map(of).collect();
        let one = v2_messages::TimeSeries {
            labels_refs: vec![1, 2],
            samples,
            created_timestamp,
            ..v2_messages::TimeSeries::default()
        };
        v2_messages::Request { symbols: symbols.clone(), timeseries: vec![one] }.encode_to_vec()
    };
    let registry = Registry::new();
    let starts = |body: &[u8]| {
        let accepted = accept(Version::V2, body, &registry, LIMITS).unwrap();
        let found: Vec<_> = others(&accepted).iter().map(|(_, time, other)| (*time, (*other).clone())).collect();
        registry.learn(accepted.learned);
        found
    };
    let first = body(&[(NOW - 3, 7), (NOW - 2, 7), (NOW - 1, NOW - 2), (NOW, 0)], 0);
    assert_eq!(starts(&first), [(NOW - 3, Other::Start(7)), (NOW - 1, Other::Start(NOW - 2))]);
    assert_eq!(starts(&body(&[(NOW, NOW - 2)], 0)), []);
    assert_eq!(starts(&body(&[(NOW, 0)], 9)), [(NOW, Other::Start(9))]);
    assert_eq!(starts(&body(&[(NOW, 9)], 0)), []);
}

#[test]
fn a_series_of_version_2_has_samples_or_histograms() {
    let mut one = series(&[("__name__", "up")], &[NOW]);
    one.histograms = vec![histogram(NOW)];
    let registry = Registry::new();
    let pure = series(&[("__name__", "up")], &[NOW]);
    for _ in 0..2 {
        let accepted = accept(Version::V2, &request_v2(&[one.clone(), pure.clone()]), &registry, LIMITS).unwrap();
        let refused =
            "2 invalid_labels (first: `up{}` has samples and histograms, of which a series has only one kind)";
        assert_eq!((accepted.refused.to_string().as_str(), accepted.samples.len()), (refused, 1));
    }
}

#[test]
fn references_that_lead_nowhere_are_refused_by_themselves() {
    let broken = |labels_refs: &[u32], refused: &str| {
        let sample = v2_sample(wire::Sample { value: 1., timestamp: NOW }, 0);
        let of = |labels_refs: &[u32]| v2_messages::TimeSeries {
            labels_refs: labels_refs.to_vec(),
            samples: vec![sample],
            ..v2_messages::TimeSeries::default()
        };
        let symbols = ["", "__name__", "up"].map(String::from).to_vec();
        let body = v2_messages::Request { symbols, timeseries: vec![of(labels_refs), of(&[1, 2])] }.encode_to_vec();
        let accepted = accept(Version::V2, &body, &Registry::new(), LIMITS).unwrap();
        assert_eq!((accepted.refused.to_string().as_str(), accepted.samples.len()), (refused, 1));
    };
    broken(&[1, 3], "1 invalid_labels (first: `?{}` has a reference to symbol 3, where the request has 3)");
    broken(&[1], "1 invalid_labels (first: `{}` has 1 references to symbols, which is no list of pairs)");
    broken(&[0, 2], "1 invalid_labels (first: `{=\"up\"}` has a label without a name)");
    broken(&[1, 2].repeat(300), "1 invalid_labels (first: `up{}` has 300 labels, at most 256 are taken)");
}

#[test]
fn new_series_beyond_the_limits_are_refused_and_known_ones_go_on() {
    let of = |name: &str, job: &str| series(&[("__name__", name), ("job", job)], &[NOW]);
    let registry = Registry::new();
    let limits = Limits { max_series: 3, max_series_per_job: 2, ..LIMITS };
    let check = |timeseries: &[wire::TimeSeries], stored: usize, refused: &str| {
        let accepted = accept(Version::V1, &request(timeseries.to_vec()), &registry, limits).unwrap();
        assert_eq!((accepted.samples.len(), accepted.refused.to_string().as_str()), (stored, refused));
    };
    let of_job = "1 too_many_series (first: `c{job=\"x\"}` has no room: job `x` has 2 active series already \
                  (ingest.max_series_per_job))";
    check(&[of("a", "x"), of("b", "x"), of("c", "x")], 2, of_job);
    check(&[of("a", "x"), of("c", "x")], 1, of_job);
    let all = "1 too_many_series (first: `b{job=\"y\"}` has no room: 3 series are active already (ingest.max_series))";
    check(&[of("a", "y"), of("b", "y"), of("b", "x")], 2, all);
}

#[test]
fn a_message_of_the_other_version_is_none() {
    let one = vec![series(&[("__name__", "up")], &[NOW])];
    let error = accept(Version::V2, &request(one), &Registry::new(), LIMITS).unwrap_err();
    assert_eq!(error.reason, "a field of version 1.0 in a message of version 2.0");
    let first = v2_messages::Request { symbols: vec!["x".into()], timeseries: vec![] }.encode_to_vec();
    let error = accept(Version::V2, &first, &Registry::new(), LIMITS).unwrap_err();
    assert_eq!(error.to_string(), "at byte 2: the first symbol is not empty");
}

#[test]
fn a_million_series_are_enough() {
    for (version, key) in [(Version::V1, 1 << 3 | 2), (Version::V2, 5 << 3 | 2)] {
        let body = [key, 0].repeat(MAX_SERIES + 1);
        let error = accept(version, &body, &Registry::new(), LIMITS).unwrap_err();
        assert_eq!(error.to_string(), format!("at byte {}: more than a million series in one request", body.len()));
    }
}

#[test]
fn labels_that_stand_apart_name_the_same_series() {
    // A label, a sample, another label.
    let whole = series(&[("a", "1"), ("b", "2")], &[NOW]).encode_to_vec();
    let label = |name: &str, value: &str| {
        let label = wire::Label { name: name.into(), value: value.into() }.encode_to_vec();
        [vec![0x0a, u8::try_from(label.len()).unwrap()], label].concat()
    };
    let sample = whole[label("a", "1").len() * 2..].to_vec();
    let apart = [label("a", "1"), sample, label("b", "2")].concat();
    let body = |series: &[u8]| [vec![0x0a, u8::try_from(series.len()).unwrap()], series.to_vec()].concat();
    let registry = Registry::new();
    let both: Vec<_> = [&whole, &apart, &whole, &apart]
        .map(|series| kept(&accept(Version::V1, &body(series), &registry, LIMITS).unwrap()))
        .into();
    assert!(both.iter().all(|kept| *kept == both[0] && kept[0].0.len() == 2), "{both:?}");
}

#[test]
fn text_that_is_not_utf8_costs_its_series_only() {
    let mut body = request(vec![series(&[("a", "1"), ("b", "xyz")], &[NOW]), series(&[("b", "2")], &[NOW])]);
    let at = body.windows(3).position(|bytes| bytes == b"xyz").unwrap();
    body[at + 1] = 0xff;
    let accepted = accept(Version::V1, &body, &Registry::new(), LIMITS).unwrap();
    let refused = "1 invalid_labels (first: `{a=\"1\",b=\"x\u{fffd}z\"}` has a label that is not UTF-8)";
    assert_eq!((accepted.refused.to_string().as_str(), accepted.samples.len()), (refused, 1));
}

fn any_series() -> impl Strategy<Value = wire::TimeSeries> {
    let label = ("[a-c_]{0,3}", "[x-zä]{0,3}").prop_map(|(name, value)| wire::Label { name, value });
    let value = prop_oneof![any::<u64>().prop_map(f64::from_bits), Just(0.), Just(-0.), Just(1.)];
    let time = prop_oneof![NOW - DAY..NOW, any::<i64>(), Just(0)];
    let sample = (value, time).prop_map(|(value, timestamp)| wire::Sample { value, timestamp });
    (prop::collection::vec(label, 0..5), prop::collection::vec(sample, 0..4), 0usize..2).prop_map(
        |(labels, samples, exemplars)| wire::TimeSeries {
            labels,
            samples,
            exemplars: vec![exemplar(&[("a", "b")], NOW); exemplars],
            histograms: vec![],
        },
    )
}

/// What prost says of the same bytes, sorted out in the plainest way.
fn oracle(body: &[u8]) -> (Kept, u64) {
    let request = wire::WriteRequest::decode(body).unwrap();
    let mut received = 0;
    let mut kept = Vec::new();
    for series in request.timeseries {
        received += series.samples.len() as u64;
        let mut labels: Vec<_> = series.labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect();
        labels.retain(|(name, value)| name.is_empty() || !value.is_empty());
        labels.sort();
        let unique = labels.windows(2).all(|pair| pair[0].0 != pair[1].0);
        if labels.is_empty() || labels[0].0.is_empty() || !unique {
            continue;
        }
        let in_range = |sample: &&wire::Sample| (NOW - 730 * DAY..=NOW + 3_600_000).contains(&sample.timestamp);
        let samples: Vec<_> =
            series.samples.iter().filter(in_range).map(|sample| (sample.timestamp, sample.value.to_bits())).collect();
        if !samples.is_empty() {
            kept.push((labels, samples));
        }
    }
    (kept, received)
}

proptest! {
    #[test]
    fn both_decoders_say_what_prost_says(timeseries in prop::collection::vec(any_series(), 0..6)) {
        let body = request(timeseries.clone());
        let expected = oracle(&body);
        for (version, body) in [(Version::V1, body), (Version::V2, request_v2(&timeseries))] {
            let registry = Registry::new();
            for _ in 0..2 {
                let accepted = accept(version, &body, &registry, LIMITS).unwrap();
                prop_assert_eq!((kept(&accepted), accepted.received), expected.clone());
            }
        }
    }

    #[test]
    fn damage_never_panics(
        timeseries in prop::collection::vec(any_series(), 1..4),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        for (version, mut body) in [(Version::V1, request(timeseries.clone())), (Version::V2, request_v2(&timeseries))] {
            for (at, byte) in &edits {
                let at = at.index(body.len());
                body[at] = *byte;
            }
            body.truncate(cut.index(body.len() + 1));
            drop(accept(version, &body, &Registry::new(), LIMITS));
        }
    }
}
