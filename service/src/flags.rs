//! The command line that all daemons have in common, named as Prometheus names it.

use std::path::PathBuf;
use std::time::Duration;

use crate::parse_duration;

/// Flags that every daemon takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Flags {
    /// Config file, in YAML
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: PathBuf,

    /// Address to listen on; may be repeated
    #[arg(long = "web.listen-address", value_name = "HOST:PORT")]
    pub listen_addresses: Vec<String>,

    /// TLS and basic authentication, in the format of Prometheus' exporter-toolkit
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub web_config_file: Option<PathBuf>,

    /// Least severe message that is logged
    #[arg(long = "log.level", value_name = "LEVEL", value_enum, default_value_t = LogLevel::Info)]
    pub log_level: LogLevel,

    /// How messages are written to standard error
    #[arg(long = "log.format", value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Check the config file, say what is wrong with it, and exit: 0 when valid, 2 when not
    #[arg(long = "check-config")]
    pub check_config: bool,

    /// How long work in flight may take after SIGTERM or SIGINT
    #[arg(long = "shutdown.grace-period", value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub grace_period: Duration,
}

/// Severity of log messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogLevel {
    /// Everything, for developers
    Debug,
    /// What happens
    Info,
    /// What may need attention
    Warn,
    /// What someone should act on
    Error,
}

/// Format of log messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// What differs between daemons in the shared flags.
#[derive(Debug, Clone, Copy)]
pub struct Defaults {
    /// Of `--config.file`.
    pub config_file: &'static str,
    /// Of `--web.listen-address`.
    pub listen_address: &'static str,
}

/// Parses the command line of a daemon; prints help, version or usage errors and exits where those are due.
pub fn parse<C: clap::CommandFactory + clap::FromArgMatches>(defaults: Defaults) -> C {
    let command = C::command()
        .version(crate::VERSION)
        .mut_arg("config_file", |arg| arg.required(false).default_value(defaults.config_file))
        .mut_arg("listen_addresses", |arg| arg.required(false).default_value(defaults.listen_address));
    C::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "expected a duration such as `30s` or `1m30s`".to_owned())
}
