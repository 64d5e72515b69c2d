//! What samples cost on disk, and how they should lie there: `make bench-storage`.
//!
//! A day of virtual machines of the fleet goes through the bridge into the engine, and the same samples into its peers.
//! Then the engine lays them out in other orders and codecs. Everything is merged before it is measured. Prints tables,
//! writes them to target/bench/storage.json, and ends with 0 only when all goals held.

mod corpus;
mod engine;
#[path = "../messages.rs"]
mod messages;
#[path = "../receiver.rs"]
#[expect(dead_code, reason = "shared with the archive's benchmark")]
mod receiver;
mod report;
#[path = "../text.rs"]
#[expect(dead_code, reason = "shared with the exporter's benchmark")]
mod text;
mod variants;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use lynceus_demo::eventually;
use prost::Message;

use crate::corpus::{DAY, Shape};
use crate::engine::Engine;
use crate::messages::WriteRequest;
use crate::receiver::{Kind, Receiver};
use crate::report::{Peer, Report};
use crate::variants::VARIANTS;

const LIMIT: Duration = Duration::from_secs(600);
const VMS: u32 = 60;
/// Milliseconds: none, that of a quiet Prometheus, that of a busy one.
const JITTERS: [u64; 3] = [0, 3, 50];
const ARCHIVE: Kind = Kind::Bridge { engine: true, disk: true };

#[tokio::main]
#[expect(clippy::print_stderr, clippy::print_stdout, reason = "speaks to the person at the terminal")]
async fn main() -> ExitCode {
    lynceus_service::tls::install_provider();
    match run().await {
        Ok(report) => {
            print!("{report}");
            let (held, all) = report.held();
            println!("bench-storage: {held} of {all} goals held");
            if held == all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("bench-storage: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "shows progress")]
async fn run() -> anyhow::Result<Report> {
    let peers = std::env::var_os("LYNCEUS_PEERS").map(PathBuf::from);
    // The day before yesterday: whole, and over.
    let now = jiff::Timestamp::now().as_millisecond();
    let start = now - now.rem_euclid(DAY) - 2 * DAY;
    let mut report = Report::default();
    for jitter in [0, 3] {
        let program = Kind::VictoriaMetrics.program(peers.as_deref());
        let Some(program) = program else {
            eprintln!("victoria-metrics is left out: LYNCEUS_PEERS names no folder with bin/victoria-metrics");
            break;
        };
        let receiver = Kind::VictoriaMetrics.start(&program).await?;
        let samples = send(&receiver, Shape { vms: VMS, jitter }, start).await?;
        ask(&receiver, "internal/force_flush").await?;
        ask(&receiver, "internal/force_merge").await?;
        let bytes = settled(receiver.dir().join("data")).await?;
        eprintln!("victoria-metrics, {jitter} ms: {:.2} bytes a sample", bytes / samples);
        report.peers.push(Peer { name: "victoria-metrics", jitter, total: bytes / samples });
    }
    let program = ARCHIVE.program(None).context("no bridge")?;
    let receiver = ARCHIVE.start(&program).await?;
    report.samples = send(&receiver, Shape { vms: VMS, jitter: 0 }, start).await?;
    let engine = Engine {
        http: reqwest::Client::builder().no_proxy().build()?,
        url: receiver.engine_url("lynceus") + "&enable_alp_codec=1",
    };
    eventually(LIMIT, "all samples in the engine", || async {
        let stored = engine.ask("SELECT count() FROM samples").await?;
        ensure!(stored.parse::<f64>()? >= report.samples, "{stored}");
        Ok(())
    })
    .await?;
    eventually(LIMIT, "all roll-ups", || async {
        let rolled = engine.ask("SELECT sum(count) FROM rollup_1h FINAL").await?;
        ensure!(rolled.parse::<f64>()? >= report.samples, "{rolled}");
        Ok(())
    })
    .await?;
    report.series = engine.ask("SELECT uniqExact(series_id) FROM samples").await?.parse()?;
    for table in ["samples", "rollup_1h", "rollup_5m", "series"] {
        engine.ask(&format!("OPTIMIZE TABLE {table} FINAL")).await?;
        report.tables.push((table.to_owned(), engine.size(table).await?.1 / report.samples));
    }
    report.entropy = engine
        .ask(
            "SELECT sum(bits * n) / sum(n) / 8 FROM (SELECT count() AS n, entropy(step) AS bits FROM (\
             SELECT series_id, value - lagInFrame(value) OVER (PARTITION BY series_id ORDER BY timestamp) AS step \
             FROM samples FINAL) GROUP BY series_id)",
        )
        .await?
        .parse()?;
    for jitter in JITTERS {
        for variant in &VARIANTS {
            let measured = engine.measure(variant, jitter, report.samples).await;
            let measured = measured.with_context(|| variant.name)?;
            eprintln!("{}, {jitter} ms: {:.2} bytes a sample", measured.name, measured.total);
            report.variants.push(measured);
        }
    }
    report.save()?;
    Ok(report)
}

/// Sends the corpus, and says how many samples it has.
async fn send(receiver: &Receiver, shape: Shape, start: i64) -> anyhow::Result<f64> {
    let (sender, mut bodies) = tokio::sync::mpsc::channel(16);
    let making = tokio::task::spawn_blocking(move || {
        corpus::day(shape, start, |timeseries| {
            let body = WriteRequest { timeseries }.encode_to_vec();
            Ok(sender.blocking_send(snap::raw::Encoder::new().compress_vec(&body)?)?)
        })
    });
    let http = reqwest::Client::builder().no_proxy().build()?;
    while let Some(body) = bodies.recv().await {
        let request = http.post(format!("{}/api/v1/write", receiver.base)).header("content-encoding", "snappy");
        let request = request.header("content-type", "application/x-protobuf").body(body);
        let answer = request.header("x-prometheus-remote-write-version", "0.1.0").send().await?;
        ensure!(answer.status().is_success(), "{}: {}", answer.status(), answer.text().await?);
    }
    Ok(making.await?? as f64)
}

async fn ask(receiver: &Receiver, path: &str) -> anyhow::Result<()> {
    reqwest::get(format!("{}/{path}", receiver.base)).await?.error_for_status()?;
    Ok(())
}

/// The size of a folder once it stays the same for some seconds.
async fn settled(folder: PathBuf) -> anyhow::Result<f64> {
    let mut last = 0;
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let bytes = size(&folder)?;
        if bytes == last {
            return Ok(bytes as f64);
        }
        last = bytes;
    }
}

fn size(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let is_folder = entry.file_type()?.is_dir();
        bytes += if is_folder { size(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}
