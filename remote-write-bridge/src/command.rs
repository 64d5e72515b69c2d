//! Commands beside the daemon.

pub mod audit;
pub mod schema;
