//! Commands beside the daemon.

pub mod schema;
