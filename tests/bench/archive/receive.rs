//! Over HTTP: CPU time of a receiver until the last answer, and of the bridge and the engine until the rows are there.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, ensure};
use lynceus_demo::{Process, eventually};
use serde::Serialize;

use crate::corpus::{Corpus, Shape, Version};
use crate::receiver::{Kind, LIMIT};
use crate::text::median;
use crate::usage;

const REPEATS: usize = 3;
const SENDERS: usize = 4;

/// Seconds of CPU by a million samples; MB of memory.
#[derive(Default, Serialize)]
pub(crate) struct Received {
    pub(crate) name: &'static str,
    pub(crate) wall: f64,
    /// Until the last answer.
    pub(crate) acknowledged: f64,
    /// The bridge until the engine has all of it.
    pub(crate) stored: Option<f64>,
    /// The engine meanwhile.
    pub(crate) engine: Option<f64>,
    pub(crate) memory: f64,
}

const LOG: Kind = Kind::Bridge { engine: false, disk: true };
const IN_MEMORY: Kind = Kind::Bridge { engine: false, disk: false };
const ARCHIVE: Kind = Kind::Bridge { engine: true, disk: true };
const V1: Shape = Shape::steady(Version::V1);
const V2: Shape = Shape::steady(Version::V2);
const SMALL: Shape = Shape { samples_a_request: 500, ..V1 };
const CHURN: Shape = Shape { churn: 1, ..V1 };
const MUCH_CHURN: Shape = Shape { churn: 20, ..V1 };

/// What is measured. The goals are about some of them, by name.
const RUNS: [(&str, Kind, Shape); 15] = [
    (OWN, LOG, V1),
    ("lynceus, 2.0, log only", LOG, V2),
    ("lynceus, 1.0, log only, not synced", IN_MEMORY, V1),
    ("lynceus, 1.0, log only, 500 a request", LOG, SMALL),
    ("lynceus, 1.0, log only, 1 % new", LOG, CHURN),
    ("lynceus, 1.0, log only, 20 % new", LOG, MUCH_CHURN),
    (STORED, ARCHIVE, V1),
    ("lynceus, 2.0", ARCHIVE, V2),
    ("lynceus, 1.0, 20 % new", ARCHIVE, MUCH_CHURN),
    (PROMETHEUS, Kind::Prometheus, V1),
    ("Prometheus 2.42, 1.0, 20 % new", Kind::Prometheus, MUCH_CHURN),
    ("Prometheus 3, 1.0", Kind::Prometheus3, V1),
    ("Prometheus 3, 2.0", Kind::Prometheus3, V2),
    (VICTORIA, Kind::VictoriaMetrics, V1),
    ("victoria-metrics, 1.0, 20 % new", Kind::VictoriaMetrics, MUCH_CHURN),
];

pub(crate) const OWN: &str = "lynceus, 1.0, log only";
pub(crate) const STORED: &str = "lynceus, 1.0";
pub(crate) const PROMETHEUS: &str = "Prometheus 2.42, 1.0";
pub(crate) const VICTORIA: &str = "victoria-metrics, 1.0";

/// All that can be run, in turns; `corpora` are those that are there already.
#[expect(clippy::print_stderr, reason = "shows progress")]
pub(crate) async fn all(mut corpora: Vec<Corpus>, peers: Option<&Path>) -> anyhow::Result<Vec<Received>> {
    let mut runs = Vec::new();
    for (name, kind, shape) in RUNS {
        match kind.program(peers) {
            Some(program) => runs.push((name, kind, shape, program, Vec::new())),
            None => eprintln!("{name} is left out: no program; LYNCEUS_PEERS names a folder with bin/ of the peers"),
        }
    }
    for turn in 1..=REPEATS {
        for (name, kind, shape, program, of) in &mut runs {
            if !corpora.iter().any(|corpus| corpus.shape == *shape) {
                corpora.push(Corpus::new(*shape));
            }
            let Some(corpus) = corpora.iter().find(|corpus| corpus.shape == *shape) else { continue };
            let received = one(corpus, *kind, program).await.with_context(|| (*name).to_owned())?;
            eprintln!("{turn} of {REPEATS}, {name}: {:.2} s of CPU by a million samples", received.acknowledged);
            of.push(received);
        }
    }
    Ok(runs.into_iter().map(|(name, .., of)| medians(name, &of)).collect())
}

fn medians(name: &'static str, of: &[Received]) -> Received {
    let number = |pick: fn(&Received) -> Option<f64>| median(of.iter().filter_map(pick).collect());
    let always = |pick: fn(&Received) -> Option<f64>| number(pick).unwrap_or_default();
    Received {
        name,
        wall: always(|r| Some(r.wall)),
        acknowledged: always(|r| Some(r.acknowledged)),
        stored: number(|r| r.stored),
        engine: number(|r| r.engine),
        memory: always(|r| Some(r.memory)),
    }
}

async fn one(corpus: &Corpus, kind: Kind, program: &Path) -> anyhow::Result<Received> {
    let receiver = kind.start(program).await?;
    let millions = corpus.samples() as f64 / 1e6;
    let pid = receiver.process.pid();
    let engine = receiver.engine.as_ref().map(Process::pid);
    let (before, engine_before) = (usage::cpu(pid)?, engine.map(usage::cpu).transpose()?);
    let start = Instant::now();
    send(&receiver.base, corpus).await?;
    let (wall, acknowledged) = (start.elapsed().as_secs_f64(), usage::cpu(pid)? - before);
    let mut received = Received { wall, acknowledged: acknowledged / millions, ..Received::default() };
    if let (Some(engine), Some(engine_before)) = (engine, engine_before) {
        let sent = jiff::Timestamp::now().as_millisecond() as f64 / 1e3;
        eventually(LIMIT, "all rows in the engine", || async {
            let page = reqwest::get(format!("{}/metrics", receiver.base)).await?.text().await?;
            let caught_up = crate::text::sum(&page, "lynceus_bridge_caught_up_timestamp_seconds").unwrap_or_default();
            ensure!(caught_up > sent, "{caught_up} of {sent}");
            Ok(())
        })
        .await?;
        received.stored = Some((usage::cpu(pid)? - before) / millions);
        received.engine = Some((usage::cpu(engine)? - engine_before) / millions);
    }
    received.memory = usage::peak_memory(pid)?;
    Ok(received)
}

/// Sends all bodies over four connections.
async fn send(base: &str, corpus: &Corpus) -> anyhow::Result<()> {
    let (kind, version) = match corpus.shape.version {
        Version::V1 => ("application/x-protobuf", "0.1.0"),
        Version::V2 => ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
    };
    let next = AtomicUsize::new(0);
    let sender = async || {
        let http = reqwest::Client::builder().no_proxy().build()?;
        while let Some(body) = corpus.bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
            let request = http.post(format!("{base}/api/v1/write")).header("content-type", kind);
            let request = request.header("content-encoding", "snappy").body(body.clone());
            let answer = request.header("x-prometheus-remote-write-version", version).send().await?;
            ensure!(answer.status().is_success(), "{}: {}", answer.status(), answer.text().await?);
        }
        Ok(())
    };
    futures_util::future::try_join_all((0..SENDERS).map(|_| sender())).await?;
    Ok(())
}
