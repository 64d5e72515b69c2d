//! Queries over the same samples, here and in a running Prometheus: the same series, numbers and notes, or both refuse.
//!
//! Debian's 2.42 closes ranges on the left, where Prometheus 3 leaves them open. No range begins at a sample here, so
//! that does not show; what else has changed since is left out by name.

mod catalogue;
mod peer;
mod write_request;

use std::time::SystemTime;

use lynceus_promql::{Labels, Memory, Options, STALE, parse, query, query_range};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::generate::{Language, scalar, vector};
use peer::{Prometheus, judge};

/// What Prometheus has changed since 2.42: the extrapolation of rates that begin far behind a range's start (2.52), the
/// deviation of a single NaN (0), infinite parameters of `topk` (an error even where nothing is taken).
const CHANGED_SINCE_2_42: [&str; 5] = ["rate(", "increase(", "stddev", "inf", "Inf"];

const EVERY: i64 = 30_000;
const SAMPLES: i64 = 60;

/// Floats with gaps, stale markers, NaN and resets, of names and labels that the generator asks for.
fn data(start: i64) -> Memory {
    let names = ["up", "node_cpu_seconds_total", "job:up:sum", "sum", "by", "and", "_x", "vsphere_cpu", "offset"];
    let mut memory = Memory::new();
    for (n, name) in names.iter().enumerate() {
        for (m, (a, b)) in [("b", ""), ("b", "1.x"), ("cc", ""), ("d", "2.y"), ("", "z")].iter().enumerate() {
            let labels = [("__name__", *name), ("a", *a), ("b", *b), ("vm_id", "7"), ("e", "x")];
            let labels = Labels::new(labels.into_iter().filter(|(_, value)| !value.is_empty()));
            for at in 0..SAMPLES {
                // Never at a full second, where subqueries are evaluated.
                let time = start + at * EVERY + 1000 * (n as i64 + m as i64) + 123;
                let value = match (at + n as i64 * 3 + m as i64) % 17 {
                    3 => continue,
                    5 => STALE,
                    8 => f64::NAN,
                    _ => ((at * 7 + m as i64) % 40) as f64 + n as f64 / 8.0,
                };
                memory.push_float(&labels, time, value, 0);
            }
        }
    }
    memory
}

/// Some time ago, so that all samples are in the past.
fn start() -> i64 {
    let now = i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    now / 60_000 * 60_000 - SAMPLES * EVERY - 60_000
}

/// A query as a range, and at the end of it; how many of both give something.
async fn compare(
    peer: &Prometheus,
    text: &str,
    memory: &Memory,
    (from, to): (i64, i64),
    options: &Options<'_>,
    with_notes: bool,
) -> Result<usize, String> {
    let expr = parse(text).unwrap();
    let seconds = |millis: i64| format!("{}.{:03}", millis / 1000, millis % 1000);
    let range =
        [("query", text.to_owned()), ("start", seconds(from)), ("end", seconds(to)), ("step", "150".to_owned())];
    let instant = [("query", text.to_owned()), ("time", seconds(to))];
    let pairs = [
        (peer.ask("query_range", &range).await, query_range(&expr, (from, to, 150_000), memory, options)),
        (peer.ask("query", &instant).await, query(&expr, to, memory, options)),
    ];
    let mut answered = 0;
    for (expected, found) in &pairs {
        let has_samples = judge(text, expected, found, 1e-12, with_notes);
        answered += usize::from(has_samples.map_err(|reason| format!("{text}\n    {reason}"))?);
    }
    Ok(answered)
}

/// How many answers to so many generated queries have a number.
async fn generated(peer: &Prometheus, language: Language, cases: usize, left_out: &[&str]) -> usize {
    let start = start();
    let memory = data(start);
    peer.write(&memory).await;
    let times = (start + 600_777, start + 1_500_777);
    let queries = proptest::prop_oneof![6 => vector(language), 1 => scalar(language)];
    let mut runner = TestRunner::deterministic();
    let (mut asked, mut answered, mut wrong) = (0, 0, Vec::new());
    while asked < cases {
        let text = queries.new_tree(&mut runner).unwrap().current();
        if left_out.iter().any(|word| text.contains(word)) {
            continue;
        }
        asked += 1;
        match compare(peer, &text, &memory, times, &Options::default(), false).await {
            Ok(some) => answered += some,
            Err(reason) => wrong.push(reason),
        }
    }
    assert!(wrong.is_empty(), "{} of {cases} differ:\n{}", wrong.len(), wrong.join("\n"));
    answered
}

#[tokio::test]
async fn debian_s_prometheus_gives_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let Some(peer) = Prometheus::of_debian(dir.path()).await else { return };
    let answered = generated(&peer, Language::V2, 600, &CHANGED_SINCE_2_42).await;
    assert!(answered > 300, "{answered} answers have numbers");
}

#[tokio::test]
async fn prometheus_3_gives_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let Some(peer) = Prometheus::new(dir.path(), "").await else { return };
    let answered = generated(&peer, Language::V3, 1500, &[]).await;
    assert!(answered > 700, "{answered} answers have numbers");
}
