//! Command line of `lynceus-exporter`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use lynceus_exporter::app::Args;
use lynceus_exporter::{App, dry_run};
use lynceus_service::{Defaults, Flags, parse, run};
use url::Url;

/// Answers of megabytes come and go while books of small things stay: with glibc's allocator a third more memory is in use,
/// and most of that is between them. `.cargo/config.toml` has its settings.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Prometheus exporter for VMware vCenter: virtual machines, hosts and datastores
///
/// Without a command it runs, and serves what it collects.
#[derive(Parser)]
#[command(name = "lynceus-exporter", after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    flags: Flags,

    /// Address under which Prometheus reaches this exporter, where it is not the one that it asked for targets
    #[arg(long = "web.external-url", value_name = "URL")]
    external_url: Option<Url>,

    /// Folder for what has to go on after a restart: counters, and how far samples were read
    #[arg(long = "storage.path", value_name = "FOLDER", default_value = "data")]
    storage_path: PathBuf,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// List all VMs with the team and tier that the config gives them, and the series that each would have
    #[command(after_help = INVENTORY_EXAMPLES)]
    Inventory(dry_run::Options),
    /// Print a script that completes this command's flags in a shell
    Completion {
        /// The shell
        shell: Shell,
    },
}

const EXAMPLES: &str = "Examples:
  Check a config file, say what is wrong with it:
    lynceus-exporter --config.file=exporter.yml --check-config
  See whose VM is whose by the config's rules, without running anything:
    lynceus-exporter inventory --config.file=exporter.yml
  Run, reachable for a Prometheus on another machine:
    lynceus-exporter --config.file=exporter.yml --web.listen-address=:19272
  See what is collected:
    curl http://127.0.0.1:19272/sd/vcenters
    curl http://127.0.0.1:19272/vcenter/vc01/metrics";

const INVENTORY_EXAMPLES: &str = "Examples:
  VMs that no rule matches, in one vCenter:
    lynceus-exporter inventory --vcenter=vc01 --team=unowned
  Number of VMs by team, with jq:
    lynceus-exporter inventory --output=json | jq '.vcenters[].teams'

Exit codes: 0 all was read, 1 something could not be read, 2 config or usage.";

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = parse(Defaults { config_file: "exporter.yml", listen_address: "127.0.0.1:19272" });
    match cli.command {
        None => run::<App>(cli.flags, Args { external_url: cli.external_url, storage_path: cli.storage_path }).await,
        Some(Command::Inventory(options)) => dry_run::run(options).await,
        Some(Command::Completion { shell }) => {
            clap_complete::generate(shell, &mut Cli::command(), "lynceus-exporter", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
    }
}
