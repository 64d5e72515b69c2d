//! Command line of `lynceus-auth-proxy`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lynceus_auth_proxy::{App, Args, UserArgs, manage_users};
use lynceus_service::{Defaults, Flags, parse, run};

/// Sign-in and team isolation in front of Prometheus
#[derive(Parser)]
#[command(name = "lynceus-auth-proxy", after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    flags: Flags,

    #[command(flatten)]
    args: Args,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    User(UserArgs),
}

const EXAMPLES: &str = "Examples:
  Check a config file, say what is wrong with it:
    lynceus-auth-proxy --config.file=auth-proxy.yml --check-config
  Add a user of team red, and one who sees everything:
    lynceus-auth-proxy user add alice --team red --config.file=auth-proxy.yml < password
    lynceus-auth-proxy user add petra --platform --password-file=password --config.file=auth-proxy.yml
  Run for browsers on other machines, metrics on loopback only:
    lynceus-auth-proxy --config.file=auth-proxy.yml --web.listen-address=:8080";

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = parse(Defaults { config_file: "auth-proxy.yml", listen_address: "127.0.0.1:8080" });
    match cli.command {
        None => run::<App>(cli.flags, cli.args).await,
        Some(Command::User(args)) => match manage_users(args, &mut std::io::stdout().lock()).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                report(&format!("{error:#}"));
                ExitCode::FAILURE
            }
        },
    }
}

#[expect(clippy::print_stderr, reason = "a command speaks to the person who typed it")]
fn report(text: &str) {
    eprintln!("{text}");
}
