//! Generated queries over the same samples, here and in a running Prometheus: the same series and numbers, or both
//! refuse.
//!
//! Debian's 2.42 closes ranges on the left, where Prometheus 3 leaves them open. No range begins at a sample here, so
//! that does not show; what else has changed since is left out by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use lynceus_demo::{Process, free_port, parts, tool};
use lynceus_promql::{
    EvalError, Labels, Memory, Options, STALE, SampleValue, SeriesMatcher, Storage as _, Value, parse, query,
    query_range,
};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use reqwest::StatusCode;

use crate::generate::{Language, scalar, vector};

/// What Prometheus has changed since 2.42: the extrapolation of rates that begin far behind a range's start (2.52), the
/// deviation of a single NaN (0), infinite parameters of `topk` (an error even where nothing is taken).
const CHANGED_SINCE_2_42: [&str; 5] = ["rate(", "increase(", "stddev", "inf", "Inf"];

const LIMIT: Duration = Duration::from_secs(60);
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

fn varint(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

fn field(tag: u64, content: &[u8], into: &mut Vec<u8>) {
    varint(tag << 3 | 2, into);
    varint(content.len() as u64, into);
    into.extend_from_slice(content);
}

/// A remote write request of all that is in memory.
fn write_request(memory: &Memory) -> Vec<u8> {
    let all = SeriesMatcher::new(&lynceus_promql::Matcher::new("", lynceus_promql::MatcherOp::Equal, "")).unwrap();
    let hints = lynceus_promql::Hints { start: 0, end: i64::MAX, step: 0, window: i64::MAX, range: 0, newest: false };
    let mut request = Vec::new();
    for series in memory.select(&[all], &hints).unwrap() {
        let mut message = Vec::new();
        for (name, value) in series.labels.iter() {
            let mut label = Vec::new();
            field(1, name.as_bytes(), &mut label);
            field(2, value.as_bytes(), &mut label);
            field(1, &label, &mut message);
        }
        for (time, value) in series.floats.times.iter().zip(&series.floats.values) {
            let mut sample = vec![1 << 3 | 1];
            sample.extend(value.to_bits().to_le_bytes());
            sample.push(2 << 3);
            varint(time.cast_unsigned(), &mut sample);
            field(2, &sample, &mut message);
        }
        field(1, &message, &mut request);
    }
    snap::raw::Encoder::new().compress_vec(&request).unwrap()
}

struct Prometheus {
    _process: Process,
    url: String,
    client: reqwest::Client,
}

/// By labels and time.
type Numbers = BTreeMap<(Labels, i64), f64>;

impl Prometheus {
    async fn write(&self, memory: &Memory) {
        let request = self.client.post(format!("{}/api/v1/write", self.url)).body(write_request(memory));
        let request = request.header("content-encoding", "snappy").header("content-type", "application/x-protobuf");
        let answer = request.header("x-prometheus-remote-write-version", "0.1.0").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT, "{}", answer.text().await.unwrap());
    }

    async fn ask(&self, path: &str, params: &[(&str, String)]) -> Result<Numbers, String> {
        let answer = self.client.post(format!("{}/api/v1/{path}", self.url)).form(params).send().await.unwrap();
        let body: serde_json::Value = answer.json().await.unwrap();
        if body["status"] != "success" {
            return Err(body["error"].as_str().unwrap().to_owned());
        }
        let mut numbers = Numbers::new();
        let mut add = |labels: &Labels, pair: &serde_json::Value| {
            let time = (pair[0].as_f64().unwrap() * 1000.).round() as i64;
            numbers.insert((labels.clone(), time), pair[1].as_str().unwrap().parse().unwrap());
        };
        let result = &body["data"]["result"];
        if body["data"]["resultType"] == "scalar" {
            add(&Labels::default(), result);
            return Ok(numbers);
        }
        for one in result.as_array().unwrap() {
            let pairs = one["metric"].as_object().unwrap().iter();
            let labels = Labels::new(pairs.map(|(name, value)| (name.as_str(), value.as_str().unwrap())));
            let many = one["values"].as_array().into_iter().flatten();
            many.chain(one.get("value")).for_each(|pair| add(&labels, pair));
        }
        Ok(numbers)
    }
}

fn numbers(value: &Value) -> Numbers {
    match value {
        Value::Scalar(time, value) => Numbers::from([((Labels::default(), *time), *value)]),
        Value::Text(..) => Numbers::new(),
        Value::Vector(all) | Value::Matrix(all) => {
            let samples = all.iter().flat_map(|one| one.samples().map(|sample| (one.labels.clone(), sample)));
            let number = |sample: lynceus_promql::Sample<'_>| match sample.value {
                SampleValue::Float(value) => value,
                SampleValue::Histogram(_) => panic!("a histogram of floats"),
            };
            samples.map(|(labels, sample)| ((labels, sample.time), number(sample))).collect()
        }
    }
}

fn is_near(a: f64, b: f64, tolerance: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1e-300)
}

/// How many of so many queries have a number in their answer.
async fn compare(peer: &Prometheus, language: Language, cases: usize, left_out: &[&str], tolerance: f64) -> usize {
    let now = i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let start = now / 60_000 * 60_000 - SAMPLES * EVERY - 60_000;
    let memory = data(start);
    peer.write(&memory).await;
    let (from, to, step) = (start + 600_777, start + 1_500_777, 150_000);
    let options = Options::default();
    let queries = proptest::prop_oneof![6 => vector(language), 1 => scalar(language)];
    let mut runner = TestRunner::deterministic();
    let (mut asked, mut answered, mut wrong) = (0, 0, Vec::new());
    while asked < cases {
        let text = queries.new_tree(&mut runner).unwrap().current();
        if left_out.iter().any(|word| text.contains(word)) {
            continue;
        }
        asked += 1;
        let expr = parse(&text).unwrap();
        let seconds = |millis: i64| format!("{}.{:03}", millis / 1000, millis % 1000);
        let range =
            [("query", text.clone()), ("start", seconds(from)), ("end", seconds(to)), ("step", "150".to_owned())];
        let instant = [("query", text.clone()), ("time", seconds(to))];
        let pairs = [
            (peer.ask("query_range", &range).await, query_range(&expr, (from, to, step), &memory, &options)),
            (peer.ask("query", &instant).await, query(&expr, to, &memory, &options)),
        ];
        for (expected, found) in pairs {
            match judge(&expected, &found, tolerance) {
                Ok(has_numbers) => answered += usize::from(has_numbers),
                Err(reason) => wrong.push(format!("{text}\n    {reason}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), 2 * cases, wrong.join("\n"));
    answered
}

fn judge(
    expected: &Result<Numbers, String>,
    found: &Result<lynceus_promql::Answer, EvalError>,
    tolerance: f64,
) -> Result<bool, String> {
    let (expected, found) = match (expected, found) {
        (Err(_), Err(_)) => return Ok(false),
        (Err(error), Ok(_)) => return Err(format!("Prometheus refuses it: {error}")),
        (Ok(_), Err(error)) => return Err(format!("it is refused here: {error}")),
        (Ok(expected), Ok(found)) => (expected, numbers(&found.value)),
    };
    if !expected.keys().eq(found.keys()) {
        let more = found.keys().find(|key| !expected.contains_key(key));
        let fewer = expected.keys().find(|key| !found.contains_key(key));
        return Err(format!("{} numbers, not {}; too many {more:?}, missing {fewer:?}", found.len(), expected.len()));
    }
    for ((key, expected), found) in expected.iter().zip(found.values()) {
        if !is_near(*expected, *found, tolerance) {
            return Err(format!("{key:?}: expected {expected}, found {found}"));
        }
    }
    Ok(!expected.is_empty())
}

#[tokio::test]
async fn debian_s_prometheus_gives_the_same() {
    if tool("prometheus").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let process = parts::prometheus(dir.path(), "", port, &["--web.enable-remote-write-receiver"]).await.unwrap();
    let url = format!("http://127.0.0.1:{port}");
    let peer = Prometheus { _process: process, url, client: reqwest::Client::new() };
    let answered = compare(&peer, Language::V2, 600, &CHANGED_SINCE_2_42, 1e-12).await;
    assert!(answered > 300, "{answered} answers have numbers");
}

async fn start_prometheus_3(binary: &Path, dir: &Path) -> Prometheus {
    let port = free_port();
    std::fs::write(dir.join("prometheus.yml"), "").unwrap();
    let mut command = Command::new(binary);
    command.current_dir(dir).args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
    command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--web.enable-remote-write-receiver");
    command.arg("--enable-feature=promql-experimental-functions,promql-duration-expr,promql-extended-range-selectors");
    let mut process = Process::start("prometheus3", command, dir).unwrap();
    let url = format!("http://127.0.0.1:{port}");
    process.wait_for_http(&format!("{url}/-/ready"), LIMIT).await.unwrap();
    Prometheus { _process: process, url, client: reqwest::Client::new() }
}

#[tokio::test]
async fn prometheus_3_gives_the_same() {
    let binary = std::env::var_os("LYNCEUS_PEERS").map(|peers| PathBuf::from(peers).join("bin/prometheus3"));
    let Some(binary) = binary.filter(|path| path.exists()) else {
        eprintln!("skipped: LYNCEUS_PEERS names no folder with bin/prometheus3");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let peer = start_prometheus_3(&binary, dir.path()).await;
    let answered = compare(&peer, Language::V3, 1500, &[], 1e-12).await;
    assert!(answered > 700, "{answered} answers have numbers");
}
