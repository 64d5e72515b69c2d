//! What is read is what was written: compared with a real Prometheus that got the same bytes.

use lynceus_demo::{free_port, parts};
use reqwest::StatusCode;

use crate::support::{Archive, has_tools, http, now, post, read};
use crate::wire::{self, STALE, Series, series};

#[tokio::test]
async fn values_come_back_bit_for_bit() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start().await;
    let start = now() - 60_000;
    let bits = [
        STALE,
        0x7ff8_0000_0000_0001, // Prometheus' ordinary NaN
        0x7ff0_0000_0000_0001, // a signalling NaN
        0xfff8_dead_beef_cafe, // a NaN with sign and payload
        (-0.0_f64).to_bits(),
        0.0_f64.to_bits(),
        1, // the smallest denormal
        f64::MAX.to_bits(),
        f64::INFINITY.to_bits(),
        f64::NEG_INFINITY.to_bits(),
        0.1_f64.to_bits(),
        9_007_199_254_740_993.0_f64.to_bits(),
    ];
    let mut written = series(&[("__name__", "bits")], &[]);
    written.samples = bits.into_iter().zip(start..).map(|(bits, time)| (time, bits)).collect();
    archive.store(&[written.clone()]).await;
    // Merged parts go through the codec once more.
    archive.sql("OPTIMIZE TABLE samples FINAL").await;
    assert_eq!(archive.read(start, start + 100, &[(0, "__name__", "bits")]).await, [written]);
}

#[tokio::test]
async fn a_sample_that_comes_twice_is_read_once() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start().await;
    let t = now() - 60_000;
    let one = series(&[("__name__", "twice")], &[(t, 1.), (t + 1, 2.)]);
    archive.store(std::slice::from_ref(&one)).await;
    archive.store(std::slice::from_ref(&one)).await;
    // As Prometheus repeats them: in other company.
    archive
        .store(&[
            series(&[("__name__", "other")], &[(t, 1.)]),
            series(&[("__name__", "twice")], &[(t + 1, 2.), (t + 2, 3.)]),
        ])
        .await;
    let expected = [series(&[("__name__", "twice")], &[(t, 1.), (t + 1, 2.), (t + 2, 3.)])];
    assert_eq!(archive.read(t, t + 10, &[(0, "__name__", "twice")]).await, expected);
    assert_eq!(archive.sql("SELECT count() FROM samples FINAL").await, "4");
    // Another value for a time that is known: the later one stands.
    archive.store(&[series(&[("__name__", "twice")], &[(t, 9.)])]).await;
    let found = archive.read(t, t, &[(0, "__name__", "twice")]).await;
    assert_eq!(found, [series(&[("__name__", "twice")], &[(t, 9.)])]);
}

#[tokio::test]
async fn a_range_ends_with_its_last_millisecond_and_may_span_days() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start().await;
    let day = 86_400_000;
    let midnight = now() / day * day - 40 * day;
    let times = [midnight - 1, midnight, midnight + 1, midnight + 31 * day];
    let all: Vec<_> = times.iter().map(|time| (*time, 1.)).collect();
    archive.store(&[series(&[("__name__", "days")], &all)]).await;
    let read = async |start, end| {
        let found = archive.read(start, end, &[(0, "__name__", "days")]).await;
        found.into_iter().flat_map(|series| series.samples).map(|(time, _)| time - midnight).collect::<Vec<_>>()
    };
    assert_eq!(read(midnight, midnight).await, [0]);
    assert_eq!(read(midnight - 1, midnight + 1).await, [-1, 0, 1]);
    assert_eq!(read(i64::MIN, i64::MAX).await, [-1, 0, 1, 31 * day]);
    assert_eq!(read(midnight + 2, midnight + 31 * day - 1).await, [] as [i64; 0]);
    assert_eq!(read(midnight + 1, midnight - 1).await, [] as [i64; 0]);
}

/// Series that differ where matchers do.
fn zoo(t: i64) -> Vec<Series> {
    // No -0.0: Prometheus' own encoder leaves it out, as if it were 0.
    let with = |labels: &[(&str, &str)]| series(labels, &[(t, 1.), (t + 1, f64::from_bits(STALE)), (t + 2, 0.)]);
    vec![
        with(&[("__name__", "a")]),
        with(&[("__name__", "a"), ("Upper", "x")]),
        with(&[("__name__", "a"), ("x", "1")]),
        with(&[("__name__", "a"), ("x", "1"), ("y", "2")]),
        with(&[("__name__", "a"), ("x", "10")]),
        with(&[("__name__", "a"), ("x", "a.c")]),
        with(&[("__name__", "a"), ("x", "abc")]),
        with(&[("__name__", "a"), ("x", "ABC")]),
        with(&[("__name__", "a"), ("x", "日本語")]),
        with(&[("__name__", "a"), ("x", "it's \"quoted\" \\ and ? {p:String} \t")]),
        with(&[("__name__", "a"), ("x", "%_*")]),
        with(&[("__name__", "a:b"), ("x", "1")]),
        with(&[("__name__", "b"), ("x", "1"), ("z", "")]),
        with(&[("__name__", "b"), ("le", "+Inf"), ("x", "1")]),
    ]
}

#[tokio::test]
async fn matchers_mean_what_they_mean_to_prometheus() {
    if !has_tools(&["python", "prometheus"]) {
        return;
    }
    let archive = Archive::start().await;
    let port = free_port();
    let dir = archive.dir.path().join("prometheus");
    let flags = ["--web.enable-remote-write-receiver"];
    let _prometheus = parts::prometheus(&dir, "global: {}\n", port, &flags).await.unwrap();
    let (client, prometheus) = (http(), format!("http://127.0.0.1:{port}"));

    let t = now() - 30_000;
    let body = wire::packed(&wire::write_request(&zoo(t)));
    let response = post(&client, &format!("{prometheus}/api/v1/write"), body.clone()).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT, "{}", response.text().await.unwrap());
    assert_eq!(archive.post("/api/v1/write", body).await.status(), StatusCode::NO_CONTENT);
    archive.settle().await;

    let (eq, ne, re, nre) = (0, 1, 2, 3);
    let a = (eq, "__name__", "a");
    let cases: &[&[wire::Matcher<'_>]] = &[
        &[a],
        &[(ne, "__name__", "a")],
        &[(re, "__name__", "a|b")],
        &[(re, "__name__", "a.*")],
        &[(nre, "__name__", "a.*")],
        &[(re, "__name__", ".+"), (eq, "x", "1")],
        &[a, (eq, "x", "")],
        &[a, (ne, "x", "")],
        &[a, (eq, "x", "1")],
        &[a, (ne, "x", "1")],
        &[a, (eq, "nowhere", "")],
        &[a, (ne, "nowhere", "1")],
        &[a, (eq, "nowhere", "1")],
        &[(re, "x", "1")],
        &[a, (re, "x", "1")],
        &[a, (re, "x", "1.*")],
        &[a, (re, "x", "1|10")],
        &[a, (re, "x", "")],
        &[a, (nre, "x", "")],
        &[a, (re, "x", ".*")],
        &[a, (re, "x", ".+")],
        &[a, (nre, "x", ".*")],
        &[a, (nre, "x", ".+")],
        &[a, (re, "x", "a.c")],
        &[a, (re, "x", "a\\.c")],
        &[a, (eq, "x", "a.c")],
        &[a, (re, "x", "(?i)abc")],
        &[a, (re, "x", "b")],
        &[a, (re, "x", "^abc$")],
        &[a, (re, "x", "1|")],
        &[a, (re, "x", "日.語")],
        &[a, (re, "x", "\\p{Han}+")],
        &[a, (eq, "x", "it's \"quoted\" \\ and ? {p:String} \t")],
        &[a, (re, "x", "it's.*\\\\ and \\? .*")],
        &[a, (eq, "x", "%_*")],
        &[a, (re, "x", "%_\\*")],
        &[a, (ne, "x", "%_*"), (nre, "x", "[0-9]+"), (ne, "x", "")],
        &[a, (re, "y", "2?")],
        &[(eq, "le", "+Inf")],
        &[(re, "le", "\\+Inf")],
        &[(eq, "Upper", "x")],
        &[(eq, "z", ""), (re, "__name__", "b")],
        &[(eq, "it's", ""), a],
    ];
    for matchers in cases {
        let expected = read(&client, &prometheus, t - 1000, t + 1000, matchers).await;
        let found = archive.read(t - 1000, t + 1000, matchers).await;
        assert_eq!(found, expected, "{matchers:?}");
    }
    // The table would prove nothing if it selected nothing.
    assert_eq!(archive.read(t, t, &[a]).await.len(), 11);
    assert_eq!(archive.read(t, t, &[a, (re, "x", "1|10")]).await.len(), 3);
    assert_eq!(archive.read(t, t, &[a, (eq, "x", "")]).await.len(), 2);
}
