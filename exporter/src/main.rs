//! Command line of `lynceus-exporter`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use lynceus_exporter::App;
use lynceus_exporter::app::Args;
use lynceus_service::{Defaults, Flags, parse, run};
use url::Url;

/// Prometheus exporter for VMware vCenter: virtual machines, hosts and datastores
#[derive(Parser)]
#[command(name = "lynceus-exporter", after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    flags: Flags,

    /// Address under which Prometheus reaches this exporter, where it is not the one that it asked for targets
    #[arg(long = "web.external-url", value_name = "URL")]
    external_url: Option<Url>,

    /// Folder for what has to go on after a restart: counters, and how far samples were read
    #[arg(long = "storage.path", value_name = "FOLDER", default_value = "data")]
    storage_path: PathBuf,
}

const EXAMPLES: &str = "Examples:
  Check a config file, say what is wrong with it:
    lynceus-exporter --config.file=exporter.yml --check-config
  Run, reachable for a Prometheus on another machine:
    lynceus-exporter --config.file=exporter.yml --web.listen-address=:19272
  See what is collected:
    curl http://127.0.0.1:19272/sd/vcenters
    curl http://127.0.0.1:19272/vcenter/vc01/metrics";

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = parse(Defaults { config_file: "exporter.yml", listen_address: "127.0.0.1:19272" });
    run::<App>(cli.flags, Args { external_url: cli.external_url, storage_path: cli.storage_path }).await
}
