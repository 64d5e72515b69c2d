//! Inside the guests: what only the operating system of a virtual machine knows.
//!
//! A guest is asked over a connection that stays open, with no agent on it. Its numbers have the names that the world's
//! dashboards and rules know from node_exporter, so that they cannot tell the difference.

pub mod board;
pub mod families;
pub mod lanes;
pub mod linux;
pub mod reading;
pub mod rules;
pub mod scripts;
pub mod ssh;
pub mod visits;
pub mod watch;

/// Why a collection can fail: the label `reason`.
pub const REASONS: [&str; 12] = [
    "connect_timeout",
    "unreachable",
    "host_key",
    "protocol",
    "sign_in",
    "credential",
    "command",
    "timeout",
    "too_long",
    "closed",
    "incomplete",
    "connections",
];
