//! The bridge as a process, against the real engine and a real Prometheus.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on says where")]

mod audit;
mod blocks;
mod cardinality;
mod crash;
mod docs;
mod durability;
mod erase;
mod kinds;
mod limits;
mod outage;
mod pairs;
mod path;
mod pushdown;
mod refusals;
mod rollups;
mod schema;
mod semantics;
mod streamed;
mod support;
mod tls;
mod wire;
