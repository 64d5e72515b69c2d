//! The fleet as its clients see it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod exporter;
mod model;
mod model_scenarios;
mod protocol;
mod pyvmomi;
mod support;
