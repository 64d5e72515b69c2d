//! The language as a whole: against generated queries, Prometheus' own test scripts and a running Prometheus.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod buckets;
mod consistency;
mod differential;
mod errors;
mod evaluation;
mod generate;
mod notation;
mod prometheus;
mod promqltest;
mod round_trip;
mod script;
mod sizes;
mod suite;
