//! Tests of the exporter as a whole.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod asking;
mod bad_input;
mod books;
mod cli;
mod config;
mod decoder;
mod exact;
mod faults;
mod fleet;
mod front;
mod generated;
mod golden;
mod ha;
mod happenings;
mod live;
mod serving;
mod sick;
mod standby;
mod support;
mod tags;
mod vcsim;
