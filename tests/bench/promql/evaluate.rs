//! Evaluation on samples in memory, beside Prometheus with one CPU. What counts there is the time that it says itself to
//! have evaluated, which includes reading its head, and neither parsing nor writing the answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use lynceus_demo::{Process, eventually, free_port, tool};
use lynceus_promql::{Labels, Memory, Options, query_range};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::messages::{Label, Sample, TimeSeries, WriteRequest};
use crate::text::median;

const ROUNDS: usize = 9;
/// What a peer still does after its answer must not count against the other, which has the same core for neighbour.
const PAUSE: Duration = Duration::from_millis(50);
const MACHINES: usize = 500;
/// Every 15 s for two hours.
const SAMPLES: i64 = 480;
const EVERY: i64 = 15_000;
/// Samples of a series in a request.
const SLICE: usize = 40;

const QUERIES: [&str; 9] = [
    "machine_load",
    "sum by (team) (machine_load)",
    "rate(machine_bytes_total[5m])",
    "sum by (team) (rate(machine_bytes_total[5m]))",
    "avg_over_time(machine_load[5m])",
    "quantile_over_time(0.9, machine_load[5m])",
    "topk(10, machine_load)",
    "machine_load / on (vm) machine_bytes_total > 0",
    "histogram_quantile(0.9, sum by (team, le) (rate(machine_latency_bucket[5m])))",
];

/// Milliseconds.
#[derive(Serialize)]
pub(crate) struct Evaluated {
    pub(crate) query: String,
    pub(crate) peer: String,
    pub(crate) own: f64,
    pub(crate) theirs: f64,
}

#[expect(clippy::print_stderr, reason = "shows progress")]
pub(crate) async fn all(peers: Option<&Path>) -> anyhow::Result<Vec<Evaluated>> {
    let now = jiff::Timestamp::now().as_millisecond() / EVERY * EVERY;
    let start = now - SAMPLES * EVERY;
    let series = series(start);
    let mut memory = Memory::new();
    for (labels, samples) in &series {
        let labels = Labels::new(labels.iter().map(|(name, value)| (*name, value.as_str())));
        samples.iter().for_each(|(time, value)| memory.push_float(&labels, *time, *value, 0));
    }
    let range = (start + 600_000, now, 30_000);
    let mut all = Vec::new();
    let debian = tool("prometheus").context("no Prometheus: `make setup`")?;
    let newest = peers.map(|peers| peers.join("bin/prometheus3")).filter(|path| path.exists());
    for (name, program) in
        [Some(("Prometheus 2.42", debian)), newest.map(|path| ("Prometheus 3", path))].into_iter().flatten()
    {
        let peer = Peer::start(&program).await?;
        peer.write(&series).await?;
        for query in QUERIES {
            let expr = lynceus_promql::parse(query)?;
            let (mut own, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                tokio::time::sleep(PAUSE).await;
                let began = Instant::now();
                let answer = query_range(&expr, range, &memory, &Options::default())?;
                own.push(began.elapsed().as_secs_f64() * 1000.);
                drop(answer);
                tokio::time::sleep(PAUSE).await;
                theirs.push(peer.evaluate(query, range).await?);
            }
            let median = |all| median(all).context("no round");
            let (own, theirs) = (median(own)?, median(theirs)?);
            eprintln!("{query}: {own:.1} ms, {name} {theirs:.1} ms");
            all.push(Evaluated { query: query.into(), peer: name.into(), own, theirs });
        }
    }
    Ok(all)
}

type Series = (Vec<(&'static str, String)>, Vec<(i64, f64)>);

fn series(start: i64) -> Vec<Series> {
    let times = || (0..SAMPLES).map(|at| (at, start + at * EVERY));
    let mut all = Vec::new();
    for vm in 0..MACHINES {
        let labels = |name: &str, le: &str| {
            let mut labels = vec![("__name__", name.to_owned())];
            if !le.is_empty() {
                labels.push(("le", le.to_owned()));
            }
            labels.extend([("team", format!("team-{}", vm % 10)), ("vm", format!("vm-{vm}"))]);
            labels
        };
        let load = |at: i64| ((at as f64 + vm as f64) / 17.).sin().mul_add(40., 50.);
        all.push((labels("machine_load", ""), times().map(|(at, time)| (time, load(at))).collect()));
        let bytes = |at: i64| (at * (1000 + vm as i64)) as f64;
        all.push((labels("machine_bytes_total", ""), times().map(|(at, time)| (time, bytes(at))).collect()));
        for (place, le) in ["0.1", "0.5", "1", "5", "+Inf"].into_iter().enumerate().filter(|_| vm < 100) {
            let count = |at: i64| (at * (place as i64 + 1)) as f64;
            all.push((labels("machine_latency_bucket", le), times().map(|(at, time)| (time, count(at))).collect()));
        }
    }
    all
}

struct Peer {
    _process: Process,
    _dir: tempfile::TempDir,
    base: String,
    http: reqwest::Client,
}

/// What counts of an answer.
#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    stats: Stats,
}

#[derive(Deserialize)]
struct Stats {
    timings: BTreeMap<String, f64>,
}

impl Peer {
    async fn start(program: &Path) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let port = free_port();
        std::fs::write(dir.path().join("prometheus.yml"), "global: {}\n")?;
        let mut command = Command::new(program);
        command.arg("--config.file=prometheus.yml").arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command.args(["--web.enable-remote-write-receiver", "--storage.tsdb.path=data"]).env("GOMAXPROCS", "1");
        let mut process = Process::start("prometheus", command, dir.path())?;
        let base = format!("http://127.0.0.1:{port}");
        process.wait_for_http(&format!("{base}/-/ready"), Duration::from_secs(60)).await?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { _process: process, _dir: dir, base, http })
    }

    async fn write(&self, series: &[Series]) -> anyhow::Result<()> {
        // In order of time: what is an hour older than the newest is refused.
        let slices = (0..SAMPLES as usize).step_by(SLICE).map(|at| at..(at + SLICE).min(SAMPLES as usize));
        for (some, slice) in slices.flat_map(|slice| series.chunks(500).map(move |some| (some, slice.clone()))) {
            let timeseries = some.iter().map(|(labels, samples)| TimeSeries {
                labels: labels
                    .iter()
                    .map(|(name, value)| Label { name: (*name).into(), value: value.clone() })
                    .collect(),
                samples: samples[slice.clone()]
                    .iter()
                    .map(|(timestamp, value)| Sample { timestamp: *timestamp, value: *value })
                    .collect(),
            });
            let body = WriteRequest { timeseries: timeseries.collect() }.encode_to_vec();
            let body = snap::raw::Encoder::new().compress_vec(&body)?;
            let request = self.http.post(format!("{}/api/v1/write", self.base)).body(body);
            let request = request.header("content-encoding", "snappy").header("content-type", "application/x-protobuf");
            let answer = request.header("x-prometheus-remote-write-version", "0.1.0").send().await?;
            ensure!(answer.status().is_success(), "{}: {}", answer.status(), answer.text().await?);
        }
        eventually(Duration::from_secs(60), "all series", || async {
            let url = format!("{}/api/v1/query", self.base);
            let body: Value = self
                .http
                .get(url)
                .query(&[("query", "count({__name__=~\"machine_.+\"})")])
                .send()
                .await?
                .json()
                .await?;
            let found = body["data"]["result"][0]["value"][1].as_str().unwrap_or_default();
            ensure!(found == series.len().to_string(), "{found}");
            Ok(())
        })
        .await
    }

    /// Milliseconds, by its own watch.
    async fn evaluate(&self, query: &str, (start, end, step): (i64, i64, i64)) -> anyhow::Result<f64> {
        let seconds = |millis: i64| (millis as f64 / 1000.).to_string();
        let url = format!("{}/api/v1/query_range", self.base);
        let params = [
            ("query", query),
            ("start", &seconds(start)),
            ("end", &seconds(end)),
            ("step", &seconds(step)),
            ("stats", "all"),
        ];
        // The numbers are skipped: a hundred thousand values that are made and freed would leave this process's memory in
        // pieces, and its own evaluation would pay for it.
        let answer: Answer = self.http.get(url).query(&params).send().await?.error_for_status()?.json().await?;
        let timings = answer.data.stats.timings;
        let of = |name: &str| timings.get(name).with_context(|| format!("no {name} in {timings:?}"));
        Ok((of("innerEvalTime")? + of("queryPreparationTime")?) * 1000.)
    }
}
