//! `lynceus-fleet`: a simulated VMware estate.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use lynceus_fleet::{Cli, Command, Fleet};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing_subscriber::EnvFilter;

#[tokio::main]
#[expect(clippy::print_stderr, reason = "the log may not be there yet")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    if let Some(Command::Backfill(options)) = cli.command {
        lynceus_service::tls::install_provider();
        return exit(lynceus_fleet::backfill::run(options).await);
    }
    let options = match cli.options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("lynceus-fleet: {error:#}");
            return ExitCode::from(2);
        }
    };
    exit(run(options).await)
}

#[expect(clippy::print_stderr, reason = "the log may not be there")]
fn exit(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lynceus-fleet: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: lynceus_fleet::Options) -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let fleet = Fleet::start(options).await?;
    info!(vcenter = %fleet.addresses.vcenter.url, control = %fleet.addresses.control, "listening");
    writeln!(std::io::stdout(), "{}", fleet.ready_line())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    fleet.stop().await;
    Ok(())
}
