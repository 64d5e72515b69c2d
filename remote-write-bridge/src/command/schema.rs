//! `lynceus-bridge schema`: the tables, as statements, made, or looked at.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{Outcome, failed, say};

/// What the command line says.
#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    task: Task,

    /// Config file, in YAML
    #[arg(long = "config.file", value_name = "FILE", default_value = "bridge.yml", global = true)]
    config_file: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Print the statements that make the tables on an empty server or cluster
    Print,
    /// Make or migrate the tables now, as the daemon does when it starts
    Apply,
    /// Say what is other than this version expects; change nothing
    Check,
}

/// Exit codes: 0 fine, 1 tables are other than they should be or ClickHouse fails, 2 config or usage.
pub async fn run(options: Options) -> Outcome {
    let config = super::config(&options.config_file)?;
    let database = config.clickhouse.database.clone();
    let connection = super::connection(config)?;
    let fine = format!("database `{database}` is as this version needs it\n");
    let outcome = match options.task {
        Task::Print => {
            let statements = connection.statements();
            Ok((statements.into_iter().map(|statement| statement + ";\n\n").collect(), true))
        }
        Task::Apply => connection.check().await.map(|()| (fine, true)),
        Task::Check => connection.differences().await.map(|differences| match differences.as_slice() {
            [] => (fine, true),
            differences => (differences.join("\n") + "\n", false),
        }),
    };
    let (text, is_fine) = outcome.map_err(|error| failed(1, &error))?;
    say(&text);
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
