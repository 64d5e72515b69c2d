//! The archive's door: Prometheus remote write in, ClickHouse behind, remote read out.
//!
//! A write request is checked and decoded (`write`), its labels become an identity (`labels`), its samples wait in
//! the queue (`writer`) where those of many requests become one batch (`batch`), and the batch becomes one INSERT for
//! each day (`archive`). Only then is the request answered 2xx: what is acknowledged is in ClickHouse and synced.
//! A read request becomes SQL over the same two tables (`read`).
//!
//! A sample may arrive twice, because a lost answer makes Prometheus send it again. The table merges equal
//! (series, timestamp) and every reader here asks for one row a sample.
//!
//! The bridge never changes a value, never thins samples, never answers 429 (Prometheus would drop the samples), and
//! keeps nothing on disk.

mod app;
mod archive;
mod batch;
mod body;
mod config;
mod labels;
mod metrics;
mod read;
mod time;
mod wire;
mod write;
mod writer;

pub use app::App;
pub use config::Config;
