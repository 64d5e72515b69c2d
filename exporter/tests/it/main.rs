//! Tests of the exporter as a whole.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod asking;
mod cli;
mod config;
mod decoder;
mod faults;
mod fleet;
mod front;
mod generated;
mod golden;
mod ha;
mod happenings;
mod serving;
mod standby;
mod support;
mod tags;
mod vcsim;
