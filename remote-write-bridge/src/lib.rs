//! The archive's door: Prometheus remote write in, ClickHouse behind, PromQL and remote read out.
//!
//! ```text
//! write ─▶ ingest ─▶ wal ─▶ 204        writer: wal ─▶ batch ─▶ archive ─▶ ClickHouse ─▶ select, fetch ─▶ api, read
//! ```
//!
//! A write request is decoded and checked (`ingest`), its series found again by the bytes that name them (`series`,
//! `labels`), and what it has goes into a log on disk (`wal`). When that is synced the request is answered 2xx: what is
//! acknowledged survives anything but the loss of the disk. The `writer` reads the log in order and makes one INSERT for
//! each table and day of what came meanwhile (`batch`, `archive`). A read request, and each selector of a query, becomes SQL
//! over the same tables (`select`, `fetch`); queries are evaluated here (`api`, by lynceus-promql).
//!
//! Remote read, `export` and `import` share samples in the formats of Prometheus' TSDB (`chunk`, `block`); commands that send
//! samples do it through `remote`.
//!
//! Of two Prometheus that scrape the same targets one is stored (`pairs`). The hours that have new samples are rolled up
//! (`rollup`).
//!
//! A sample may arrive twice, because a lost answer makes Prometheus send it again. The table merges equal
//! (series, timestamp) and every reader here asks for one row a sample.
//!
//! The bridge never changes a value, never thins samples, never answers 429 (Prometheus would drop the samples), and
//! never deletes from its log what ClickHouse has not acknowledged.

mod api;
mod app;
mod archive;
mod batch;
mod block;
mod body;
mod chunk;
mod command;
mod config;
mod fetch;
mod file;
pub mod ingest;
mod labels;
mod log;
mod metrics;
mod pairs;
pub mod protobuf;
mod read;
mod remote;
mod rollup;
mod select;
pub mod series;
mod time;
mod wal;
mod wire;
mod write;
mod writer;

pub use app::{App, Args};
pub use command::{Outcome, audit, cardinality, erase, export, import, schema};
pub use config::Config;
