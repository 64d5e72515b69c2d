use std::process::ExitCode;

use clap::Parser;
use lynceus_notifier::App;
use lynceus_service::{Defaults, Flags};

const EXAMPLES: &str = "\
Examples:
  lynceus-notifier --config.file notifier.yml
  lynceus-notifier --config.file notifier.yml --check-config
  lynceus-notifier --config.file notifier.yml --web.listen-address 127.0.0.1:9096 --web.config.file web.yml

Alertmanager posts to http://<listen-address>/alertmanager/webhook; see docs/notifier.md.";

/// Brings Alertmanager's notifications to people, by mail.
#[derive(Parser)]
#[command(name = "lynceus-notifier", after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = lynceus_service::parse(Defaults { config_file: "notifier.yml", listen_address: "127.0.0.1:9096" });
    lynceus_service::run::<App>(cli.flags, ()).await
}
