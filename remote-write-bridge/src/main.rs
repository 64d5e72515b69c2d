use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use lynceus_bridge::{App, Args};
use lynceus_service::{Defaults, Flags};

const EXAMPLES: &str = "\
Examples:
  lynceus-bridge --config.file bridge.yml
  lynceus-bridge --config.file bridge.yml --check-config
  lynceus-bridge --config.file bridge.yml --storage.path /var/lib/lynceus-bridge
  lynceus-bridge --config.file bridge.yml --web.listen-address 127.0.0.1:9201 --log.format json

Prometheus writes to http://<listen-address>/api/v1/write and reads from /api/v1/read; see docs/bridge.md.";

/// Keeps what Prometheus writes remotely in ClickHouse, and gives it back to remote read.
#[derive(Parser)]
#[command(name = "lynceus-bridge", after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    flags: Flags,

    /// Folder for what was accepted and is not in ClickHouse yet
    #[arg(long = "storage.path", value_name = "FOLDER", default_value = "data")]
    storage_path: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = lynceus_service::parse(Defaults { config_file: "bridge.yml", listen_address: "127.0.0.1:9201" });
    lynceus_service::run::<App>(cli.flags, Args { storage_path: cli.storage_path }).await
}
