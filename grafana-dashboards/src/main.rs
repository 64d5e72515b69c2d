use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lynceus_dashboards::{Options, generate};

const EXAMPLES: &str = "\
Examples:
  lynceus-dashboards generate --out grafana-dashboards/generated
  lynceus-dashboards generate --out /etc/grafana --datasource-uid prometheus --boards-path /etc/grafana/dashboards

docs/dashboards.md says how Grafana is told of them.";

/// Generates Grafana boards and the files that make Grafana load them.
#[derive(Parser)]
#[command(name = "lynceus-dashboards", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes the boards (`dashboards/`) and what Grafana needs to load them (`provisioning/`)
    #[command(after_help = EXAMPLES)]
    Generate {
        /// Folder to write to; files of the same names are replaced
        #[arg(long, value_name = "DIR")]
        out: PathBuf,

        /// UID of the Prometheus data source in Grafana
        #[arg(long, value_name = "UID", default_value = "lynceus-prometheus")]
        datasource_uid: String,

        /// URL at which Grafana reaches Prometheus
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
        prometheus_url: String,

        /// Where Grafana finds the folder `dashboards/`
        #[arg(long, value_name = "DIR", default_value = "/var/lib/grafana/dashboards/lynceus")]
        boards_path: String,
    },
}

fn main() -> ExitCode {
    let Command::Generate { out, datasource_uid, prometheus_url, boards_path } = Cli::parse().command;
    let written = match generate(&out, &Options { datasource_uid, prometheus_url, boards_path }) {
        Ok(written) => written,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            // Nobody is left to tell when this fails too.
            drop(writeln!(std::io::stderr(), "lynceus-dashboards: {error}{cause}"));
            return ExitCode::FAILURE;
        }
    };
    let list: String = written.iter().map(|path| format!("{}\n", path.display())).collect();
    // The files are written, whether or not anybody reads their names.
    drop(std::io::stdout().write_all(list.as_bytes()));
    ExitCode::SUCCESS
}
