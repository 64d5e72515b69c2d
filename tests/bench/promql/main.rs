//! What PromQL costs: `make bench-promql`.
//!
//! Evaluation beside Prometheus on samples in memory, and queries over years of 1,500 machines in the archive, with
//! roll-ups, without them, and through a Prometheus that reads remotely. Prints tables, writes them to
//! target/bench/promql.json, and ends with 0 only when all goals held. Parsing has a benchmark of its own (../parse).

mod archive;
mod evaluate;
#[path = "../messages.rs"]
mod messages;
mod report;
#[path = "../text.rs"]
#[expect(dead_code, reason = "shared with the exporter's benchmark")]
mod text;
#[path = "../usage.rs"]
#[expect(dead_code, reason = "shared with the archive's benchmark")]
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::report::Report;

#[tokio::main]
#[expect(clippy::print_stderr, clippy::print_stdout, reason = "speaks to the person at the terminal")]
async fn main() -> ExitCode {
    lynceus_service::tls::install_provider();
    match run().await {
        Ok(report) => {
            print!("{report}");
            let (held, all) = report.held();
            println!("bench-promql: {held} of {all} goals held");
            if held == all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("bench-promql: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "shows progress")]
async fn run() -> anyhow::Result<Report> {
    let peers = std::env::var_os("LYNCEUS_PEERS").map(PathBuf::from);
    let mut report = Report::default();
    // `cargo bench … -- evaluation`, or `archive`: one of the two.
    let wanted = |part: &str| std::env::args().skip(1).all(|arg| arg.starts_with('-') || arg == part);
    if wanted("evaluation") {
        eprintln!("evaluation");
        report.evaluated = evaluate::all(peers.as_deref()).await?;
    }
    if wanted("archive") {
        eprintln!("the archive: some minutes");
        report.archived = archive::all().await?;
    }
    report.judge();
    report.save()?;
    Ok(report)
}
