//! The real binary on loopback, before a real Prometheus and before a recorder of what reaches it.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod command_line;
mod forwarding;
mod isolation;
mod paths;
mod sessions;
mod world;
