//! What events do, once their targets are known.

use std::collections::HashSet;
use std::time::Duration;

use super::time::Time;
use super::{Power, VmId};

/// All of it, each kind in the order of begin.
#[derive(Debug, Clone, Default)]
pub(crate) struct Effects {
    pub(crate) outages: Vec<Outage>,
    pub(crate) sick: Vec<Sick>,
    pub(crate) storms: Vec<Storm>,
    pub(crate) fills: Vec<Fill>,
    pub(crate) snapshots: Vec<Forgotten>,
    pub(crate) noisy: Vec<Noisy>,
    pub(crate) leaks: Vec<Leak>,
    pub(crate) churns: Vec<Churn>,
    pub(crate) switches: Vec<Switched>,
}

/// A span of time; without an end, for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: Time,
    pub(crate) until: Time,
}

impl Span {
    pub(crate) fn holds(&self, at: Time) -> bool {
        self.from <= at && at < self.until
    }
}

/// A host runs no VMs: it does not respond, or it is in maintenance, which its VMs leave before as they run.
#[derive(Debug, Clone)]
pub(crate) struct Outage {
    pub(crate) span: Span,
    pub(crate) host: usize,
    pub(crate) cluster: usize,
    /// The VMs that were on it, whatever their power.
    pub(crate) vms: HashSet<VmId>,
    /// Whether it is for maintenance.
    pub(crate) planned: bool,
}

impl Effects {
    /// Hosts that do not respond.
    pub(crate) fn failures(&self) -> impl Iterator<Item = &Outage> {
        self.outages.iter().filter(|outage| !outage.planned)
    }
}

/// A host tells vCenter no samples.
#[derive(Debug, Clone)]
pub(crate) struct Sick {
    pub(crate) span: Span,
    pub(crate) host: usize,
    /// How long vCenter waits for it.
    pub(crate) timeout: Duration,
}

/// VMs of clusters move all the time.
#[derive(Debug, Clone)]
pub(crate) struct Storm {
    pub(crate) span: Span,
    pub(crate) clusters: Vec<bool>,
    pub(crate) every: i64,
}

/// A datastore fills up.
#[derive(Debug, Clone)]
pub(crate) struct Fill {
    pub(crate) span: Span,
    pub(crate) datastore: usize,
    /// Part of the capacity that is used once it is full.
    pub(crate) to: f64,
    pub(crate) within: i64,
}

/// VMs have a snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Forgotten {
    pub(crate) span: Span,
    pub(crate) vms: HashSet<VmId>,
    pub(crate) age: i64,
}

/// VMs take what they can get.
#[derive(Debug, Clone)]
pub(crate) struct Noisy {
    pub(crate) span: Span,
    pub(crate) vms: HashSet<VmId>,
}

/// Processes in VMs take more and more memory.
#[derive(Debug, Clone)]
pub(crate) struct Leak {
    pub(crate) span: Span,
    pub(crate) vms: HashSet<VmId>,
    pub(crate) to: f64,
    pub(crate) within: i64,
}

/// Seats change hands.
#[derive(Debug, Clone)]
pub(crate) struct Churn {
    pub(crate) span: Span,
    pub(crate) seats: Vec<bool>,
    /// How long one VM stays in a seat.
    pub(crate) period: i64,
}

/// VMs have a power state.
#[derive(Debug, Clone)]
pub(crate) struct Switched {
    pub(crate) span: Span,
    pub(crate) vms: HashSet<VmId>,
    pub(crate) power: Power,
}

/// How far a ramp has come: 0 before it, 1 after it.
pub(crate) fn ramp(since: i64, within: i64) -> f64 {
    (since.max(0) as f64 / within.max(1) as f64).min(1.0)
}
