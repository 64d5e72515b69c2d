//! Tests of the exporter as a whole.

mod config;

mod generated;

mod support;
