//! How fast and how small the exporter is: `make bench-exporter`.
//!
//! The exporter is a binary here, asked over HTTP and looked at in /proc. On VMware's simulator it runs beside a floor
//! (its own `QueryPerf` requests, sent again by a client that throws the answers away), vmware_exporter and telegraf; on
//! the fleet, whose calls cost what those of a vCenter cost, it runs alone. Everything is on loopback, one program at a
//! time. Prints tables, writes them to target/bench/exporter.json, and ends with 0 only when all goals held.

mod estate;
mod floor;
mod front;
mod goals;
mod lynceus;
mod plan;
mod report;
mod soap;
mod telegraf;
#[path = "../text.rs"]
mod text;
#[path = "../usage.rs"]
mod usage;
mod vmware_exporter;

use std::process::ExitCode;
use std::time::Instant;

use crate::plan::Plan;
use crate::report::Report;

#[tokio::main]
#[expect(clippy::print_stderr, clippy::print_stdout, reason = "speaks to the person at the terminal")]
async fn main() -> ExitCode {
    lynceus_service::tls::install_provider();
    // `cargo bench` adds flags of its own.
    let plan = if std::env::args().any(|argument| argument == "--quick") { Plan::quick() } else { Plan::full() };
    match run(&plan).await {
        Ok(report) => {
            print!("{report}");
            let (held, all) = report.held();
            println!("bench-exporter: {held} of {all} goals held");
            if held == all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("bench-exporter: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "shows progress")]
async fn run(plan: &Plan) -> anyhow::Result<Report> {
    let started = Instant::now();
    let mut estates = Vec::new();
    for size in &plan.sizes {
        estates.extend(estate::both(plan, size).await?);
    }
    let goals = goals::all(plan, &estates);
    let report = Report { estates, goals };
    report.save(plan.file)?;
    eprintln!("took {:.0} min", started.elapsed().as_secs_f64() / 60.0);
    Ok(report)
}
