//! `make demo`: everything on loopback until Ctrl-C, or the smoke checks and out.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use lynceus_demo::progress::step;
use lynceus_demo::stack::{PASSWORD, Simulator, Stack, StackOptions, USERS};
use lynceus_demo::{Ports, history, repository, smoke};
use tokio::signal::unix::{SignalKind, signal};

/// Starts Lynceus and all that it stands on, on loopback, with a simulated vCenter.
#[derive(Parser)]
#[command(
    name = "lynceus-demo",
    version,
    after_help = "Examples:\n  \
        lynceus-demo --vms 500      a larger estate\n  \
        lynceus-demo --smoke        check that data reaches the end of each branch, and stop\n  \
        lynceus-demo --history 0    an archive that begins now\n  \
        lynceus-demo --free-ports   where the usual ports are taken"
)]
struct Cli {
    /// What simulates the vCenter: the fleet, where things happen, or VMware's own vcsim
    #[arg(long, value_enum, default_value_t = VcenterKind::Fleet)]
    vcenter: VcenterKind,

    /// Virtual machines of the simulated vCenter
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(4..=5_000))]
    vms: u32,

    /// Days that the fleet's past is written into the archive for, while everything runs; 0 for none
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=700))]
    history: u32,

    /// Check that data reaches the end of each branch, then stop: 0 when all does, 1 when not
    #[arg(long)]
    smoke: bool,

    /// Listen on any free ports instead of the documented ones
    #[arg(long)]
    free_ports: bool,

    /// Folder for configs, data and logs; emptied at the start [default: target/demo]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum VcenterKind {
    Fleet,
    Vcsim,
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stderr, reason = "speaks to the person at the terminal")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lynceus-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "speaks to the person at the terminal")]
async fn run(cli: Cli) -> anyhow::Result<()> {
    let dir = cli.dir.unwrap_or_else(|| repository().join("target/demo"));
    let ports = if cli.free_ports { Ports::free() } else { Ports::documented() };
    let simulator = match cli.vcenter {
        VcenterKind::Vcsim => Simulator::Vcsim,
        // The checks bring a trouble of their own, and count what they find.
        VcenterKind::Fleet if cli.smoke => Simulator::Fleet,
        VcenterKind::Fleet => Simulator::TroubledFleet,
    };
    let stack = tokio::select! {
        stack = Stack::start(StackOptions { simulator, dir, ports, vms: cli.vms }) => stack?,
        // Dropping the half-started stack kills what runs.
        told = told_to_stop() => return told,
    };
    let outcome = if cli.smoke {
        checks(&stack).await
    } else {
        eprintln!("{}", welcome(&stack));
        tokio::select! {
            told = told_to_stop() => told,
            Err(error) = past(&stack, cli.history) => Err(error),
        }
    };
    step("everything stopped", stack.stop()).await?;
    outcome
}

/// Never ends where all is well.
async fn past(stack: &Stack, days: u32) -> anyhow::Result<()> {
    if days > 0 && stack.options.simulator != Simulator::Vcsim {
        let what = format!("the archive has the last {days} days of the VMs, a sample every five minutes");
        step(&what, history::fill(stack, days)).await?;
    }
    std::future::pending().await
}

async fn told_to_stop() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        _ = terminate.recv() => Ok(()),
    }
}

async fn checks(stack: &Stack) -> anyhow::Result<()> {
    step("Prometheus scrapes the exporter", smoke::exporter_is_scraped(stack)).await?;
    step("every VM is in Prometheus", smoke::every_vm_is_in_prometheus(stack)).await?;
    step("every VM is in the archive", smoke::every_vm_is_in_the_archive(stack)).await?;
    if stack.options.simulator != Simulator::Vcsim {
        step("the archive goes on from a past", smoke::the_archive_goes_on_from_a_past(stack)).await?;
    }
    step("an alert and its end are mailed", smoke::an_alert_and_its_end_are_mailed(stack)).await?;
    step("each team sees only its own VMs", smoke::each_team_sees_its_own(stack)).await
}

fn welcome(stack: &Stack) -> String {
    let ports = &stack.options.ports;
    let graph = "classic/graph?g0.range_input=5m&g0.tab=0&g0.expr=sum+by+%28team%29+%28vsphere_vm_cpu_usage_hertz%29";
    let places = [
        ("Look here first: CPU use by team", ports.prometheus, graph),
        ("Sign in; each team sees its own VMs", ports.proxy, ""),
        ("Prometheus: alerts and their rules", ports.prometheus, "classic/alerts"),
        ("The archive: the same questions, answered by ClickHouse", ports.archive, "classic/graph"),
        ("The archive by SQL", ports.clickhouse, "?query=SELECT+count()+FROM+lynceus.samples"),
        ("What Prometheus scrapes", ports.exporter, "vcenter/vc01/metrics"),
        ("Alertmanager's alerts, as JSON", ports.alertmanager, "api/v2/alerts"),
        ("The bridge, which archives", ports.bridge, ""),
        ("The notifier, which mails", ports.notifier, ""),
    ];
    let places: String =
        places.iter().map(|(what, port, path)| format!("{what}\n  http://127.0.0.1:{port}/{path}\n")).collect();
    let users: Vec<_> = USERS.iter().map(|(name, team)| format!("{name} ({})", team.unwrap_or("platform"))).collect();
    let soon = match stack.options.simulator {
        Simulator::TroubledFleet => {
            "In the first minutes a VM of team red goes down and a host fails: see the alerts, and the mails.\n"
        }
        Simulator::Fleet | Simulator::Vcsim => "",
    };
    format!(
        "\nLynceus watches {} simulated VMs.\n{soon}\n{places}\nUsers     {}\nPassword  {PASSWORD}\nMails     {}\nLogs      \
         {}/*/*.log\n\nCtrl-C stops everything.",
        stack.vcenter.vms,
        users.join(", "),
        stack.options.dir.join("smtp/mail/new").display(),
        stack.options.dir.display(),
    )
}
