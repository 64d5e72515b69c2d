//! Logs go to standard error: messages are fixed lower-case sentences plus fields, in text or JSON.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::flags::{LogFormat, LogLevel};

/// Starts logging for the whole process. A second call keeps the first one's settings.
pub(crate) fn init(level: LogLevel, format: LogFormat) {
    let level = match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    // Libraries speak at most at `info`: their debug output drowns ours and may carry request bodies. Audit records
    // are written whatever the level: who asks for fewer messages does not ask for a gap in them.
    let directives = format!("{},lynceus={level},audit=info", level.min(LevelFilter::INFO));
    let filter = EnvFilter::builder().parse_lossy(directives);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let outcome = match format {
        LogFormat::Text => {
            use std::io::IsTerminal;
            builder.with_ansi(std::io::stderr().is_terminal()).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "logging is already set up");
    }
}
