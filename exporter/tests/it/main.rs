//! Tests of the exporter as a whole.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod asking;
mod bad_guests;
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
mod guests;
mod ha;
mod happenings;
mod linux;
mod live;
mod serving;
mod sick;
mod ssh;
mod sshd;
mod standby;
mod support;
mod tags;
mod vcsim;
