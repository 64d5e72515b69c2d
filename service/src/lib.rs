//! What every Lynceus daemon shares: flags, config loading, logging, listeners, health, reload, shutdown.
//!
//! A daemon implements [`Daemon`] and its `main` calls [`run`], which goes through its life in this order:
//! logging, config, [`Daemon::start`], listeners, wait for a signal; then readiness off, stop accepting, let
//! requests in flight end, [`Daemon::drain`], end the background tasks, all within the grace period.
//!
//! This crate knows no domain type: nothing in it names a metric, a VM or an alert.

/// Version of Lynceus: all its packages have the workspace's.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

mod admin;
mod body;
mod config;
mod daemon;
mod duration;
mod flags;
mod locate;
mod log;
mod problems;
mod secret;
mod server;
pub mod tls;
mod web;

pub use config::{Config, ConfigError, load, parse_config};
pub use daemon::{Daemon, Host, run};
pub use duration::{format_duration, parse_duration};
pub use flags::{Defaults, Flags, LogFormat, LogLevel, parse};
pub use problems::Problems;
pub use secret::{Secret, SecretError, SecretSource};
