//! Commands beside the daemon.

pub mod audit;
pub mod erase;
pub mod schema;
