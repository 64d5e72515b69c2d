use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use lynceus_bridge::{App, Args, audit, cardinality, erase, export, import, schema};
use lynceus_service::{Defaults, Flags};

const EXAMPLES: &str = "\
Examples:
  lynceus-bridge --config.file bridge.yml
  lynceus-bridge --config.file bridge.yml --check-config
  lynceus-bridge --config.file bridge.yml --storage.path /var/lib/lynceus-bridge
  lynceus-bridge --config.file bridge.yml --web.listen-address 127.0.0.1:9201 --log.format json
  lynceus-bridge schema print --config.file bridge.yml

Prometheus writes to http://<listen-address>/api/v1/write and reads from /api/v1/read; Grafana asks the address as it asks
a Prometheus; see docs/bridge.md.";

const AUDIT_EXAMPLES: &str = "\
Examples:
  Is all of the last day there?
    lynceus-bridge audit --config.file bridge.yml --source http://prometheus:9090 --from 24h
  Fill a hole:
    lynceus-bridge audit --config.file bridge.yml --source http://prometheus:9090 \\
      --from 2026-11-26T08:00:00Z --to 2026-11-26T09:00:00Z --repair --bridge http://bridge:9201

Exit codes: 0 nothing is missing, or all of it was sent; 1 something is missing; 2 config, usage, or no answer.";

const CARDINALITY_EXAMPLES: &str = "\
Examples:
  lynceus-bridge cardinality --config.file bridge.yml
  lynceus-bridge cardinality --config.file bridge.yml --month 2026-10 --top 5

The second number is the change since the month before.
Exit codes: 0 fine, 1 ClickHouse fails, 2 config or usage.";

const ERASE_EXAMPLES: &str = "\
Examples:
  What would be deleted of one machine:
    lynceus-bridge erase --config.file bridge.yml --match '{vm_id=\"502a-42\"}' --reason 'ticket 7'
  Delete an hour of one metric:
    lynceus-bridge erase --config.file bridge.yml --match broken_metric --reason 'wrong unit' \\
      --from 2026-11-26T08:00:00Z --to 2026-11-26T09:00:00Z --yes

Exit codes: 0 deleted, or said what would be; 1 ClickHouse or the bridge fails; 2 config or usage.";

const EXPORT_EXAMPLES: &str = "\
Examples:
  A week as blocks, and a Prometheus on them:
    lynceus-bridge export --config.file bridge.yml --from 7d --output blocks
    prometheus --storage.tsdb.path blocks --storage.tsdb.retention.time 10y --config.file empty.yml
  One machine as text:
    lynceus-bridge export --config.file bridge.yml --match '{vm_id=\"502a-42\"}' --from 30d \\
      --format openmetrics --output vm.txt
  To another receiver:
    lynceus-bridge export --config.file bridge.yml --from 1d \\
      --format remote-write --output http://receiver:9090/api/v1/write

Exit codes: 0 all is written; 1 ClickHouse, the disk or the receiver fails; 2 config or usage.";

const IMPORT_EXAMPLES: &str = "\
Examples:
  All blocks of a Prometheus, with the labels that it adds to what it writes remotely:
    lynceus-bridge import --dir /var/lib/prometheus/data --url http://bridge:9201 \\
      --label prometheus=main
  One block, one job, from a time on:
    lynceus-bridge import --dir data/01BKGV7JBM69T2G1BGBGM6KB12 --match '{job=\"node\"}' \\
      --from 2026-11-01T00:00:00Z

What is sent twice is stored once. What a Prometheus has only in its log (the last hours) is not
in its blocks.

Exit codes: 0 all was taken; 1 a block is damaged, or the bridge does not take all; 2 usage.";

const SCHEMA_EXAMPLES: &str = "\
Examples:
  Statements for someone who may create tables, when the bridge may not:
    lynceus-bridge schema print --config.file bridge.yml | clickhouse-client --multiquery
  See whether a restored database fits:
    lynceus-bridge schema check --config.file bridge.yml

Exit codes: 0 fine, 1 tables are other than they should be or ClickHouse fails, 2 config or usage.";

/// Keeps what Prometheus writes remotely in ClickHouse, and answers PromQL and remote read over it.
///
/// Without a command it runs.
#[derive(Parser)]
#[command(name = "lynceus-bridge", after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    flags: Flags,

    /// Folder for what was accepted and is not in ClickHouse yet
    #[arg(long = "storage.path", value_name = "FOLDER", default_value = "data")]
    storage_path: PathBuf,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// The archive's tables: print their statements, make them, or look at them
    #[command(after_help = SCHEMA_EXAMPLES)]
    Schema(schema::Options),
    /// Compare the archive with the Prometheus that wrote to it, and send what is missing
    #[command(after_help = AUDIT_EXAMPLES)]
    Audit(Box<audit::Options>),
    /// Say where the series of a month come from, and which labels have grown
    #[command(after_help = CARDINALITY_EXAMPLES)]
    Cardinality(cardinality::Options),
    /// Delete series for good, with a record
    #[command(after_help = ERASE_EXAMPLES)]
    Erase(Box<erase::Options>),
    /// Write samples as blocks of Prometheus, as OpenMetrics, or to another receiver of remote write
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(Box<export::Options>),
    /// Send blocks of a Prometheus to a running bridge
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(Box<import::Options>),
    /// Print a script that completes this command's flags in a shell
    Completion {
        /// The shell
        shell: Shell,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = lynceus_service::parse(Defaults { config_file: "bridge.yml", listen_address: "127.0.0.1:9201" });
    let outcome = match cli.command {
        None => return lynceus_service::run::<App>(cli.flags, Args { storage_path: cli.storage_path }).await,
        Some(Command::Completion { shell }) => {
            clap_complete::generate(shell, &mut Cli::command(), "lynceus-bridge", &mut std::io::stdout());
            return ExitCode::SUCCESS;
        }
        Some(Command::Schema(options)) => schema::run(options).await,
        Some(Command::Audit(options)) => audit::run(*options).await,
        Some(Command::Cardinality(options)) => cardinality::run(options).await,
        Some(Command::Erase(options)) => erase::run(*options).await,
        Some(Command::Export(options)) => export::run(*options).await,
        Some(Command::Import(options)) => import::run(*options).await,
    };
    outcome.unwrap_or_else(|code| code)
}
