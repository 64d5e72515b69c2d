//! What taking in and storing samples costs: `make bench-archive`.
//!
//! Bodies are made beforehand and sent again and again; what counts is the CPU time of the receiver, from /proc, since
//! senders share its machine. The bridge syncs its log before each answer; its peers answer before their data are on
//! disk. Prints tables, writes them to target/bench/archive.json, and ends with 0 only when all goals held.

mod corpus;
mod decode;
#[path = "../messages.rs"]
mod messages;
mod receive;
#[path = "../receiver.rs"]
#[expect(dead_code, reason = "shared with the storage benchmark")]
mod receiver;
mod report;
#[path = "../text.rs"]
#[expect(dead_code, reason = "shared with the exporter's benchmark")]
mod text;
#[path = "../usage.rs"]
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::corpus::{Corpus, Shape, Version};
use crate::report::Report;

#[expect(clippy::print_stderr, clippy::print_stdout, reason = "speaks to the person at the terminal")]
fn main() -> ExitCode {
    lynceus_service::tls::install_provider();
    match run() {
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

fn run() -> anyhow::Result<Report> {
    // Before there are other threads.
    receiver::step_aside()?;
    let peers = std::env::var_os("LYNCEUS_PEERS").map(PathBuf::from);
    let [v1, v2] = [Version::V1, Version::V2].map(|version| Corpus::new(Shape::steady(version)));
    let decoded = decode::all(&v1, &v2);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let received = runtime.block_on(receive::all(vec![v1, v2], peers.as_deref()))?;
    let report = Report::new(decoded, received);
    report.save()?;
    Ok(report)
}
