//! The tool on rule files that are wrong, and on our own packs beside Prometheus' promtool.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod command;
mod findings;
mod packs;
