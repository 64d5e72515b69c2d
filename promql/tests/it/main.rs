//! The language as a whole: against generated queries, Prometheus' own test scripts and a running Prometheus.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod errors;
mod generate;
mod prometheus;
mod promqltest;
mod round_trip;
mod sizes;
