//! A running Prometheus, and what both it and the evaluator answer in one shape.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lynceus_demo::{Process, free_port, parts, tool};
use lynceus_promql::{Answer, EvalError, Histogram, Labels, Memory, SampleValue, Severity, Value};
use reqwest::StatusCode;
use serde_json::Value as Json;

use super::write_request;

const LIMIT: Duration = Duration::from_secs(60);

pub(super) struct Prometheus {
    _process: Process,
    url: String,
    client: reqwest::Client,
}

/// What a query gives: samples by labels and time, and notes.
#[derive(Default)]
pub(super) struct Answered {
    pub(super) samples: BTreeMap<(Labels, i64), Sample>,
    notes: BTreeSet<(Severity, String)>,
}

#[derive(Debug)]
pub(super) enum Sample {
    Float(f64),
    /// Count, sum, and the count of each bucket, by its bounds as they are written.
    Histogram(f64, f64, Vec<(String, f64)>),
}

impl Prometheus {
    /// Debian's; none where it is not there.
    pub(super) async fn of_debian(dir: &Path) -> Option<Self> {
        tool("prometheus")?;
        let port = free_port();
        let process = parts::prometheus(dir, "", port, &["--web.enable-remote-write-receiver"]).await.unwrap();
        Some(Self { _process: process, url: format!("http://127.0.0.1:{port}"), client: reqwest::Client::new() })
    }

    /// Prometheus 3; none where there is none, which is said.
    pub(super) async fn new(dir: &Path, more_features: &str) -> Option<Self> {
        let binary = std::env::var_os("LYNCEUS_PEERS").map(|peers| PathBuf::from(peers).join("bin/prometheus3"));
        let Some(binary) = binary.filter(|path| path.exists()) else {
            eprintln!("skipped: LYNCEUS_PEERS names no folder with bin/prometheus3");
            return None;
        };
        let port = free_port();
        std::fs::write(dir.join("prometheus.yml"), "").unwrap();
        let mut command = Command::new(binary);
        command.current_dir(dir).args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--web.enable-remote-write-receiver");
        let features = "promql-experimental-functions,promql-duration-expr,promql-extended-range-selectors";
        command.arg(format!("--enable-feature={features}{more_features}"));
        let mut process = Process::start("prometheus3", command, dir).unwrap();
        let url = format!("http://127.0.0.1:{port}");
        process.wait_for_http(&format!("{url}/-/ready"), LIMIT).await.unwrap();
        Some(Self { _process: process, url, client: reqwest::Client::new() })
    }

    pub(super) async fn write(&self, memory: &Memory) {
        let request = self.client.post(format!("{}/api/v1/write", self.url)).body(write_request::of(memory));
        let request = request.header("content-encoding", "snappy").header("content-type", "application/x-protobuf");
        let answer = request.header("x-prometheus-remote-write-version", "0.1.0").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT, "{}", answer.text().await.unwrap());
    }

    pub(super) async fn ask(&self, path: &str, params: &[(&str, String)]) -> Result<Answered, String> {
        let answer = self.client.post(format!("{}/api/v1/{path}", self.url)).form(params).send().await.unwrap();
        let body: Json = answer.json().await.unwrap();
        if body["status"] != "success" {
            return Err(body["error"].as_str().unwrap().to_owned());
        }
        let mut answered = Answered::default();
        for (key, severity) in [("warnings", Severity::Warning), ("infos", Severity::Info)] {
            let texts = body[key].as_array().into_iter().flatten();
            answered.notes.extend(texts.map(|text| (severity, text.as_str().unwrap().to_owned())));
        }
        let result = &body["data"]["result"];
        match body["data"]["resultType"].as_str() {
            Some("scalar") => answered.add(&Labels::default(), result),
            Some("string") => {}
            _ => {
                for one in result.as_array().unwrap() {
                    let pairs = one["metric"].as_object().unwrap().iter();
                    let labels = Labels::new(pairs.map(|(name, value)| (name.as_str(), value.as_str().unwrap())));
                    let many = ["values", "histograms"].map(|key| one[key].as_array().into_iter().flatten());
                    many.into_iter().flatten().for_each(|pair| answered.add(&labels, pair));
                    ["value", "histogram"].iter().filter_map(|key| one.get(key)).for_each(|p| answered.add(&labels, p));
                }
            }
        }
        Ok(answered)
    }
}

fn float(value: &Json) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}

impl Answered {
    fn add(&mut self, labels: &Labels, pair: &Json) {
        let time = (pair[0].as_f64().unwrap() * 1000.).round() as i64;
        let value = &pair[1];
        let bucket = |bucket: &Json| {
            let bounds = format!("{} {:e} {:e}", bucket[0], float(&bucket[1]), float(&bucket[2]));
            (bounds, float(&bucket[3]))
        };
        let sample = match value.as_str() {
            Some(text) => Sample::Float(text.parse().unwrap()),
            None => {
                let buckets = value["buckets"].as_array().into_iter().flatten().map(bucket).collect();
                Sample::Histogram(float(&value["count"]), float(&value["sum"]), buckets)
            }
        };
        self.samples.insert((labels.clone(), time), sample);
    }

    fn of(query: &str, answer: &Answer) -> Self {
        let note = |note: &lynceus_promql::Annotation| (note.severity, note.render(query));
        let notes = answer.annotations.iter().map(note).collect();
        let samples = match &answer.value {
            Value::Scalar(time, value) => BTreeMap::from([((Labels::default(), *time), Sample::Float(*value))]),
            Value::Text(..) => BTreeMap::new(),
            Value::Vector(all) | Value::Matrix(all) => {
                let samples = all.iter().flat_map(|one| one.samples().map(|sample| (one.labels.clone(), sample)));
                samples.map(|(labels, sample)| ((labels, sample.time), Sample::of(sample.value))).collect()
            }
        };
        Self { samples, notes }
    }
}

impl Sample {
    fn of(value: SampleValue<'_>) -> Self {
        let histogram: &Histogram = match value {
            SampleValue::Float(value) => return Self::Float(value),
            SampleValue::Histogram(histogram) => histogram,
        };
        let bucket = |bucket: &lynceus_promql::Bucket| {
            let kind = match (bucket.lower_inclusive, bucket.upper_inclusive) {
                (false, true) => 0,
                (true, false) => 1,
                (false, false) => 2,
                (true, true) => 3,
            };
            (format!("{kind} {:e} {:e}", bucket.lower, bucket.upper), bucket.count)
        };
        let buckets = histogram.all_buckets();
        let filled = buckets.iter().filter(|bucket| bucket.count != 0.0).map(bucket);
        Self::Histogram(histogram.count, histogram.sum, filled.collect())
    }

    fn is_near(&self, other: &Self, tolerance: f64) -> bool {
        let near = |a: f64, b: f64| {
            a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1e-300)
        };
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => near(*a, *b),
            (Self::Histogram(a, b, buckets), Self::Histogram(c, d, others)) => {
                let same = |((a, x), (b, y)): (&(String, f64), &(String, f64))| a == b && near(*x, *y);
                near(*a, *c) && near(*b, *d) && buckets.len() == others.len() && buckets.iter().zip(others).all(same)
            }
            _ => false,
        }
    }
}

/// Whether both give something, or why they are not the same.
pub(super) fn judge(
    query: &str,
    expected: &Result<Answered, String>,
    found: &Result<Answer, EvalError>,
    tolerance: f64,
    with_notes: bool,
) -> Result<bool, String> {
    let (expected, found) = match (expected, found) {
        (Err(_), Err(_)) => return Ok(false),
        (Err(error), Ok(_)) => return Err(format!("Prometheus refuses it: {error}")),
        (Ok(_), Err(error)) => return Err(format!("it is refused here: {error}")),
        (Ok(expected), Ok(found)) => (expected, Answered::of(query, found)),
    };
    let (expected_keys, found_keys) = (expected.samples.keys(), found.samples.keys());
    if !expected_keys.clone().eq(found_keys.clone()) {
        let more = found_keys.clone().find(|key| !expected.samples.contains_key(key));
        let fewer = expected_keys.clone().find(|key| !found.samples.contains_key(key));
        let (found, expected) = (found_keys.len(), expected_keys.len());
        return Err(format!("{found} samples, not {expected}; too many {more:?}, missing {fewer:?}"));
    }
    for ((key, expected), found) in expected.samples.iter().zip(found.samples.values()) {
        if !expected.is_near(found, tolerance) {
            return Err(format!("{key:?}: expected {expected:?}, found {found:?}"));
        }
    }
    if with_notes && expected.notes != found.notes {
        let missing: Vec<_> = expected.notes.difference(&found.notes).collect();
        let more: Vec<_> = found.notes.difference(&expected.notes).collect();
        return Err(format!("notes: missing {missing:#?}, too many {more:#?}"));
    }
    Ok(!expected.samples.is_empty())
}
