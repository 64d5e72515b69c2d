//! What one exporter of a pair shows of the pair. Absent without one.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::metrics::register;

/// Clones are the same metrics.
#[derive(Debug, Clone, Default)]
pub(super) struct Metrics {
    leader: Gauge,
    peer_up: Gauge,
    takeovers: Counter,
    state_age: Gauge<f64, AtomicU64>,
}

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        register(registry, "ha_leader", self.leader.clone());
        register(registry, "ha_peer_up", self.peer_up.clone());
        register(registry, "ha_takeovers_total", self.takeovers.clone());
        register(registry, "ha_state_age_seconds", self.state_age.clone());
    }

    pub(super) fn set(&self, leads: bool, peer_up: bool, takeovers: u64, state_age: Duration) {
        self.leader.set(i64::from(leads));
        self.peer_up.set(i64::from(peer_up));
        self.takeovers.inc_by(takeovers.saturating_sub(self.takeovers.get()));
        self.state_age.set(state_age.as_secs_f64());
    }
}
