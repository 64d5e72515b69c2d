use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lynceus_rules::{Catalogue, Report, check_paths};

const EXAMPLES: &str = "\
Examples:
  lynceus-rules check rules/packs
  lynceus-rules check --catalogue exporter/metrics.json rules/packs my-team.yml

Exit codes: 0 no findings, 1 findings, 2 wrong usage or a file that cannot be read.";

/// Checks Prometheus' rule files, without a Prometheus.
#[derive(Parser)]
#[command(name = "lynceus-rules", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks rule files: their shape, every expression and, with a catalogue, every metric that they name
    #[command(after_help = EXAMPLES)]
    Check {
        /// Rule files, or folders with such (`*.yml` and `*.yaml`, but not below folders called `tests`)
        #[arg(required = true)]
        paths: Vec<PathBuf>,

        /// Catalogue of the metrics that exist, such as exporter/metrics.json; may be given several times
        #[arg(long, value_name = "FILE")]
        catalogue: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    let Command::Check { paths, catalogue } = Cli::parse().command;
    let report = match check(&paths, &catalogue) {
        Ok(report) => report,
        Err(error) => return fail(&*error),
    };
    let mut out = std::io::stdout().lock();
    let colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if let Err(error) = write!(out, "{}", report.render(colour)) {
        return fail(&error);
    }
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn check(paths: &[PathBuf], catalogues: &[PathBuf]) -> Result<Report, Box<dyn std::error::Error>> {
    let catalogue = if catalogues.is_empty() { None } else { Some(Catalogue::read(catalogues)?) };
    Ok(check_paths(paths, catalogue.as_ref())?)
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    let mut text = format!("lynceus-rules: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    // Nobody is left to tell when this fails too.
    drop(writeln!(std::io::stderr(), "{text}"));
    ExitCode::from(2)
}
