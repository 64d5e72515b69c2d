//! Commands beside the daemon.

pub mod audit;
pub mod cardinality;
pub mod erase;
pub mod export;
pub mod import;
pub mod schema;
