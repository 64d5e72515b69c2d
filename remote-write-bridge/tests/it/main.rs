//! The bridge as a process, against the real engine and a real Prometheus.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on says where")]

mod audit;
mod blocks;
mod cardinality;
mod crash;
mod docs;
mod durability;
mod erase;
mod grafana;
mod kinds;
mod limits;
#[path = "../../../promql/tests/it/notation.rs"]
#[expect(dead_code, reason = "shared with the tests of the evaluator")]
mod notation;
mod outage;
mod pairs;
mod path;
mod promqltest;
mod pushdown;
mod refusals;
mod rollups;
mod schema;
#[path = "../../../promql/tests/it/script.rs"]
#[expect(dead_code, reason = "shared with the tests of the evaluator")]
mod script;
mod semantics;
mod streamed;
#[path = "../../../promql/tests/it/suite.rs"]
mod suite;
mod support;
mod tls;
mod wire;
