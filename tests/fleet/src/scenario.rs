//! Scenarios: what goes wrong, when, with what, and what should be seen of it.
//!
//! A scenario is a YAML file whose times count from its start ([`Scenario`]). Started at a moment it becomes events
//! with absolute times ([`Event`]), which [`crate::model::Model::with`] takes in. Targets are named or described
//! (`busiest`); they are looked up when the event happens, in the estate as it is then.

mod raw;
mod target;

use std::path::Path;
use std::time::Duration;

use lynceus_service::ConfigError;
pub use target::{Pick, Target};

use crate::model::{Power, Time};

/// A scenario as it is written, checked as far as that goes without an estate.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// `name`
    pub name: String,
    /// `description`
    pub description: String,
    /// In the order of their times.
    pub steps: Vec<Step>,
}

/// One event of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// `at`: time since the scenario's start.
    pub at: Duration,
    /// `for`: how long it lasts; without it, for good.
    pub lasts: Option<Duration>,
    /// `kind` and what belongs to it.
    pub action: Action,
    /// `expect`
    pub expect: Expect,
    /// Where it is written, for errors: `demo.yml:12: events[1]`.
    pub source: String,
}

/// What should be seen of an event.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expect {
    /// PromQL expressions that have a result while the event lasts.
    pub metrics: Vec<String>,
    /// Names of alerts that fire.
    pub alerts: Vec<String>,
}

/// What happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// A host stops responding; its VMs are restarted on others where the cluster has HA.
    HostFails {
        /// One host.
        host: Target,
    },
    /// A host enters maintenance mode: its VMs move away, then it is in it, and responds all the while.
    HostMaintenance {
        /// One host.
        host: Target,
    },
    /// A host answers none of vCenter's questions for samples; it runs its VMs, and is connected.
    HostSick {
        /// One host.
        host: Target,
        /// How long vCenter waits for it.
        timeout: Duration,
    },
    /// VMs of a cluster move all the time.
    VmotionStorm {
        /// One cluster or all.
        cluster: Target,
        /// How often each VM moves.
        every: Duration,
    },
    /// A datastore fills up.
    DatastoreFills {
        /// One datastore.
        datastore: Target,
        /// Part of the capacity that is used in the end.
        to: f64,
        /// How long it takes.
        within: Duration,
    },
    /// VMs get a snapshot that nobody deletes.
    SnapshotForgotten {
        /// VMs.
        vms: Target,
        /// How old the snapshot says that it is when it appears, as one does that came with a VM from elsewhere.
        age: Duration,
    },
    /// VMs take all the CPU, disk and network that they can get.
    NoisyNeighbour {
        /// VMs.
        vms: Target,
    },
    /// Processes in VMs take more and more memory.
    MemoryLeak {
        /// VMs.
        vms: Target,
        /// Part of the configured memory that is in use in the end.
        to: f64,
        /// How long it takes.
        within: Duration,
    },
    /// VMs are destroyed and new ones made in their places.
    VmChurn {
        /// VMs whose places change hands.
        vms: Target,
        /// Part of them that is replaced each minute.
        rate: f64,
    },
    /// VMs are switched.
    VmPower {
        /// VMs.
        vms: Target,
        /// To what.
        state: Power,
    },
    /// vCenter takes longer for everything.
    VcenterSlow {
        /// How many times longer.
        factor: f64,
    },
    /// vCenter refuses connections; afterwards its sessions are gone.
    VcenterDown,
    /// vCenter is away for as long as a restart takes; afterwards its sessions, views and collectors are gone.
    VcenterRestarted,
    /// vCenter's certificate ends soon.
    CertificateExpiring {
        /// Time that is left when the event begins.
        left: Duration,
    },
    /// vCenter's clock is wrong.
    ClockSkew {
        /// Milliseconds that it is ahead; negative when it is behind.
        by_millis: i64,
    },
}

impl Action {
    /// `kind` in a scenario.
    pub fn kind(&self) -> &'static str {
        match self {
            Action::HostFails { .. } => "host_fails",
            Action::HostMaintenance { .. } => "host_maintenance",
            Action::HostSick { .. } => "host_sick",
            Action::VmotionStorm { .. } => "vmotion_storm",
            Action::DatastoreFills { .. } => "datastore_fills",
            Action::SnapshotForgotten { .. } => "snapshot_forgotten",
            Action::NoisyNeighbour { .. } => "noisy_neighbour",
            Action::MemoryLeak { .. } => "memory_leak",
            Action::VmChurn { .. } => "vm_churn",
            Action::VmPower { .. } => "vm_power",
            Action::VcenterSlow { .. } => "vcenter_slow",
            Action::VcenterDown => "vcenter_down",
            Action::VcenterRestarted => "vcenter_restarted",
            Action::CertificateExpiring { .. } => "certificate_expiring",
            Action::ClockSkew { .. } => "clock_skew",
        }
    }
}

/// All kinds of events.
pub const KINDS: [&str; 15] = [
    "host_fails",
    "host_maintenance",
    "host_sick",
    "vmotion_storm",
    "datastore_fills",
    "snapshot_forgotten",
    "noisy_neighbour",
    "memory_leak",
    "vm_churn",
    "vm_power",
    "vcenter_slow",
    "vcenter_down",
    "vcenter_restarted",
    "certificate_expiring",
    "clock_skew",
];

/// An event at its absolute time.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it begins.
    pub at: Time,
    /// When it is over; none for never.
    pub until: Option<Time>,
    /// What happens.
    pub action: Action,
    /// What should be seen of it.
    pub expect: Expect,
    /// Where it is written, for errors.
    pub source: String,
}

impl Event {
    /// Whether it lasts at a moment.
    pub fn lasts_at(&self, at: Time) -> bool {
        at >= self.at && self.until.is_none_or(|until| at < until)
    }
}

impl Scenario {
    /// Reads a scenario. `file` is what errors name.
    pub fn parse(yaml: &str, file: &Path) -> Result<Scenario, ConfigError> {
        let mut scenario: Scenario = lynceus_service::parse_config(yaml, file)?;
        for step in &mut scenario.steps {
            step.source = format!("{}:{}", file.display(), step.source);
        }
        Ok(scenario)
    }

    /// Its events when it is started at a moment.
    pub fn starting(&self, start: Time) -> Vec<Event> {
        let event = |step: &Step| Event {
            at: start + step.at,
            until: step.lasts.map(|lasts| start + step.at + lasts),
            action: step.action.clone(),
            expect: step.expect.clone(),
            source: step.source.clone(),
        };
        self.steps.iter().map(event).collect()
    }
}
