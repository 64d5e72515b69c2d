//! What taking in and storing samples costs: `make bench-archive`.
//!
//! Bodies are made beforehand and sent again and again; what counts is the CPU time of the receiver, from /proc, since
//! senders share its machine. The bridge syncs its log before each answer; its peers answer before their data are on
//! disk. Prints tables, writes them to target/bench/archive.json, and ends with 0 only when all goals held.

mod corpus;
mod decode;
mod receive;
mod report;
#[path = "../text.rs"]
#[expect(dead_code, reason = "shared with the exporter's benchmark")]
mod text;
#[path = "../usage.rs"]
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::corpus::Corpus;
use crate::report::Report;

#[tokio::main]
#[expect(clippy::print_stderr, clippy::print_stdout, reason = "speaks to the person at the terminal")]
async fn main() -> ExitCode {
    lynceus_service::tls::install_provider();
    match run().await {
        Ok(report) => {
            print!("{report}");
            let (held, all) = report.held();
            println!("bench-archive: {held} of {all} goals held");
            if held == all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("bench-archive: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<Report> {
    let peers = std::env::var_os("LYNCEUS_PEERS").map(PathBuf::from);
    let corpus = Corpus::new();
    let decoded = decode::all(&corpus);
    let received = receive::all(&corpus, peers.as_deref()).await?;
    let report = Report::new(decoded, received);
    report.save()?;
    Ok(report)
}
