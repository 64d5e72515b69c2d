//! Over HTTP: CPU time of a receiver until the last answer, and of the bridge and the engine until the rows are there.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use lynceus_demo::{Process, eventually, free_port, parts, repository, tool};
use serde::Serialize;
use tempfile::TempDir;

use crate::corpus::Corpus;
use crate::text::median;
use crate::usage;

const REPEATS: usize = 3;
const SENDERS: usize = 4;
const LIMIT: Duration = Duration::from_secs(120);

/// Seconds of CPU by a million samples; MB of memory.
#[derive(Default, Serialize)]
pub(crate) struct Received {
    pub(crate) name: String,
    pub(crate) wall: f64,
    /// Until the last answer.
    pub(crate) acknowledged: f64,
    /// The bridge until the engine has all of it.
    pub(crate) stored: Option<f64>,
    /// The engine meanwhile.
    pub(crate) engine: Option<f64>,
    pub(crate) memory: f64,
}

struct Receiver {
    process: Process,
    url: String,
    engine: Option<Process>,
    _dir: TempDir,
}

#[derive(Clone, Copy)]
enum What {
    Bridge { engine: bool },
    Prometheus,
    VictoriaMetrics,
}

#[expect(clippy::print_stderr, reason = "shows progress")]
pub(crate) async fn all(corpus: &Corpus, peers: Option<&Path>) -> anyhow::Result<Vec<Received>> {
    let victoria = peers.map(|peers| peers.join("bin/victoria-metrics")).filter(|path| path.exists());
    let mut runs = vec![
        ("lynceus, 1.0, log only", What::Bridge { engine: false }, false),
        ("lynceus, 2.0, log only", What::Bridge { engine: false }, true),
        ("lynceus, 1.0", What::Bridge { engine: true }, false),
        ("lynceus, 2.0", What::Bridge { engine: true }, true),
        ("Prometheus 2.42, 1.0", What::Prometheus, false),
    ];
    match &victoria {
        Some(_) => runs.push(("victoria-metrics, 1.0", What::VictoriaMetrics, false)),
        None => eprintln!("victoria-metrics is left out: LYNCEUS_PEERS names no folder with bin/victoria-metrics"),
    }
    let mut all = Vec::new();
    for (name, what, v2) in runs {
        let mut of = Vec::new();
        for _ in 0..REPEATS {
            of.push(one(corpus, what, v2, victoria.as_deref()).await.with_context(|| name.to_owned())?);
        }
        let number = |pick: fn(&Received) -> Option<f64>| median(of.iter().filter_map(pick).collect());
        let always = |pick: fn(&Received) -> Option<f64>| number(pick).unwrap_or_default();
        let received = Received {
            name: name.to_owned(),
            wall: always(|r| Some(r.wall)),
            acknowledged: always(|r| Some(r.acknowledged)),
            stored: number(|r| r.stored),
            engine: number(|r| r.engine),
            memory: always(|r| Some(r.memory)),
        };
        eprintln!("{name}: {:.2} s of CPU by a million samples", received.acknowledged);
        all.push(received);
    }
    Ok(all)
}

async fn one(corpus: &Corpus, what: What, v2: bool, victoria: Option<&Path>) -> anyhow::Result<Received> {
    let receiver = start(what, victoria).await?;
    let millions = corpus.samples() as f64 / 1e6;
    let pid = receiver.process.pid();
    let engine = receiver.engine.as_ref().map(Process::pid);
    let (before, engine_before) = (usage::cpu(pid)?, engine.map(usage::cpu).transpose()?);
    let start = Instant::now();
    send(&receiver.url, if v2 { &corpus.v2 } else { &corpus.v1 }, v2).await?;
    let (wall, acknowledged) = (start.elapsed().as_secs_f64(), usage::cpu(pid)? - before);
    let mut received = Received { wall, acknowledged: acknowledged / millions, ..Received::default() };
    if let (Some(engine), Some(engine_before)) = (engine, engine_before) {
        let sent = jiff::Timestamp::now().as_millisecond() as f64 / 1e3;
        let metrics = receiver.url.replace("api/v1/write", "metrics");
        eventually(LIMIT, "all rows in the engine", || async {
            let page = reqwest::get(&metrics).await?.text().await?;
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

async fn start(what: What, victoria: Option<&Path>) -> anyhow::Result<Receiver> {
    let dir = tempfile::tempdir()?;
    let port = free_port();
    let base = format!("http://127.0.0.1:{port}");
    let mut engine = None;
    let (process, path) = match what {
        What::Bridge { engine: with } => {
            let engine_port = free_port();
            if with {
                engine = Some(parts::clickhouse(&dir.path().join("engine"), engine_port).await?);
            }
            std::fs::write(
                dir.path().join("bridge.yml"),
                format!("clickhouse: {{ url: http://127.0.0.1:{engine_port} }}\n"),
            )?;
            let mut command = Command::new(repository().join("target/release/lynceus-bridge"));
            command.arg("--config.file=bridge.yml").arg(format!("--web.listen-address=127.0.0.1:{port}"));
            let mut process = Process::start("bridge", command, dir.path())?;
            process.wait_for_http(&format!("{base}/-/ready"), LIMIT).await?;
            if with {
                eventually(LIMIT, "the engine", || async {
                    let page = reqwest::get(format!("{base}/metrics")).await?.text().await?;
                    ensure!(page.contains("\nlynceus_bridge_clickhouse_up 1\n"));
                    Ok(())
                })
                .await?;
            }
            (process, "api/v1/write")
        }
        What::Prometheus => {
            let mut command = Command::new(tool("prometheus").context("no prometheus in target/tools")?);
            command.arg("--config.file=prometheus.yml").arg(format!("--web.listen-address=127.0.0.1:{port}"));
            command.args(["--web.enable-remote-write-receiver", "--storage.tsdb.path=data"]);
            std::fs::write(dir.path().join("prometheus.yml"), "global: {}\n")?;
            let mut process = Process::start("prometheus", command, dir.path())?;
            process.wait_for_http(&format!("{base}/-/ready"), LIMIT).await?;
            (process, "api/v1/write")
        }
        What::VictoriaMetrics => {
            let mut command = Command::new(victoria.context("no victoria-metrics")?);
            command
                .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
                .args(["-storageDataPath=data", "-retentionPeriod=2y"]);
            let mut process = Process::start("victoria-metrics", command, dir.path())?;
            process.wait_for_http(&format!("{base}/health"), LIMIT).await?;
            (process, "api/v1/write")
        }
    };
    Ok(Receiver { process, url: format!("{base}/{path}"), engine, _dir: dir })
}

/// Sends all bodies over four connections; what is refused for now is sent again.
async fn send(url: &str, bodies: &[Vec<u8>], v2: bool) -> anyhow::Result<()> {
    let bodies: Arc<Vec<bytes::Bytes>> =
        Arc::new(bodies.iter().map(|body| bytes::Bytes::copy_from_slice(body)).collect());
    let next = Arc::new(AtomicUsize::new(0));
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..SENDERS {
        let (bodies, next, url) = (bodies.clone(), next.clone(), url.to_owned());
        senders.spawn(async move {
            let http = reqwest::Client::builder().no_proxy().build()?;
            loop {
                let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) else { return anyhow::Ok(()) };
                let kind = if v2 {
                    "application/x-protobuf;proto=io.prometheus.write.v2.Request"
                } else {
                    "application/x-protobuf"
                };
                let version = if v2 { "2.0.0" } else { "0.1.0" };
                let request = http.post(&url).header("content-type", kind).header("content-encoding", "snappy");
                let request = request.header("x-prometheus-remote-write-version", version).body(body.clone());
                let answer = request.send().await?;
                ensure!(answer.status().is_success(), "{}: {}", answer.status(), answer.text().await?);
            }
        });
    }
    while let Some(sender) = senders.join_next().await {
        sender??;
    }
    Ok(())
}
