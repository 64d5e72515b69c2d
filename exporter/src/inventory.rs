//! What there is in a vCenter: virtual machines, hosts, datastores, networks, and what holds them.
//!
//! A [`Mirror`] holds the properties of all objects as vCenter tells them; [`build`] makes an [`Inventory`] of it, and is
//! pure. Objects are sorted by their reference, so that a page lists them in the same order each time.

mod build;
mod hardware;
mod identity;
mod licences;
mod mirror;
pub mod paths;
mod snapshots;
mod states;
mod storage;
#[cfg(test)]
mod testing;
mod vm;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use build::{Terms, build};
pub use licences::Licence;
pub use mirror::Mirror;
pub use snapshots::Snapshots;
pub use states::{
    AdapterState, Automation, DatastoreMaintenance, HostConnection, HostPower, PathState, Status, ToolsState, VmPower,
};
pub use vm::{label_name, os_family};

/// The objects of a vCenter at one moment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Inventory {
    /// Without templates.
    pub vms: Vec<Vm>,
    /// ESXi hosts.
    pub hosts: Vec<Host>,
    /// Datastores.
    pub datastores: Vec<Datastore>,
    /// Standard networks, distributed port groups and switches.
    pub networks: Vec<Network>,
    /// Clusters.
    pub clusters: Vec<Cluster>,
    /// Resource pools and vApps, without the one that each cluster and host has at the top.
    pub pools: Vec<Pool>,
    /// How many datacenters there are.
    pub datacenters: usize,
    /// How many templates there are.
    pub templates: usize,
    pub(crate) doubled: [usize; 3],
    pub(crate) unidentified: [usize; 3],
    /// Values of properties that are nested too deep to be read.
    pub unreadable: usize,
    /// VMs that are not shown before their tags are known, since these say whose they are.
    pub undecided: usize,
    /// Licences, by name and edition.
    pub licences: Vec<Licence>,
}

impl Inventory {
    /// How many objects of this type share their id with another one.
    pub fn doubled(&self, object: Object) -> usize {
        self.doubled[object as usize]
    }

    /// How many objects of this type could not be shown.
    pub fn unidentified(&self, object: Object) -> usize {
        self.unidentified[object as usize]
    }
}

/// Types of object that have an id of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// Virtual machines.
    Vm,
    /// Hosts.
    Host,
    /// Datastores.
    Datastore,
}

impl Object {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Vm, Self::Host, Self::Datastore];

    /// The value of the label `object`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vm => "vm",
            Self::Host => "host",
            Self::Datastore => "datastore",
        }
    }
}

/// Names of what holds a VM or a host; empty where there is none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// ESXi host.
    pub host: String,
    /// Cluster, which a standalone host does not have.
    pub cluster: String,
    /// Datacenter.
    pub datacenter: String,
}

/// A triggered alarm of an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// Its name, as the vSphere client shows it.
    pub name: String,
    /// Yellow or red.
    pub status: Status,
    /// Whether somebody has taken note of it.
    pub acknowledged: bool,
}

/// What is set aside for an object and what it may use at most. vSphere writes "no limit" as -1: here it is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Allocation {
    pub cpu_reservation_hertz: Option<u64>,
    pub cpu_limit_hertz: Option<u64>,
    pub memory_reservation_bytes: Option<u64>,
    pub memory_limit_bytes: Option<u64>,
}

/// A virtual machine. Texts are empty where vCenter does not know them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the labels and metrics")]
pub struct Vm {
    /// Id of its reference: valid in this vCenter only.
    pub moref: String,
    /// The label `vm_id`.
    pub id: String,
    pub name: String,
    pub team: String,
    pub tier: String,
    /// The ownership rules that say so, counted from 0.
    pub team_rule: Option<usize>,
    pub tier_rule: Option<usize>,
    pub power: Option<VmPower>,
    /// Whether its host can be asked about it.
    pub connected: bool,
    /// Id of its host's reference.
    pub host_moref: String,
    pub place: Place,
    /// Path below the datacenter; `/` for its root.
    pub folder: String,
    /// Path below the cluster or host; `/` for its root.
    pub resource_pool: String,
    pub guest_os: String,
    /// The rule about guests that it meets first, counted from 0.
    pub guest_rule: Option<usize>,
    pub hardware_version: String,
    pub tools_version: String,
    /// What vSphere thinks of that version, such as `current`.
    pub tools_status: String,
    pub address: String,
    /// All that the guest has.
    pub addresses: Vec<String>,
    /// Labels from tags and custom attributes that the config asks for.
    pub labels: Vec<(String, String)>,
    pub cpus: Option<u32>,
    pub memory_bytes: Option<u64>,
    pub allocation: Allocation,
    pub tools: Option<ToolsState>,
    pub heartbeat: Option<Status>,
    /// In Unix milliseconds.
    pub boot_time: Option<i64>,
    pub consolidation_needed: Option<bool>,
    /// `None` where they cannot be read.
    pub snapshots: Option<Snapshots>,
    pub snapshot_bytes: Option<u64>,
    pub storage_used_bytes: Option<u64>,
    pub storage_uncommitted_bytes: Option<u64>,
    /// File systems as VMware Tools see them.
    pub file_systems: Vec<FileSystem>,
    pub alarms: Vec<Alarm>,
}

/// A file system within a VM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct FileSystem {
    pub path: String,
    pub capacity_bytes: u64,
    pub free_bytes: u64,
}

/// An ESXi host.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the labels and metrics")]
pub struct Host {
    /// Id of its reference: valid in this vCenter only.
    pub moref: String,
    /// The label `host_id`.
    pub id: String,
    pub place: Place,
    pub connection: Option<HostConnection>,
    pub power: Option<HostPower>,
    pub status: Option<Status>,
    pub maintenance: Option<bool>,
    pub reboot_required: Option<bool>,
    /// In Unix milliseconds.
    pub boot_time: Option<i64>,
    pub vendor: String,
    pub model: String,
    pub version: String,
    pub build: String,
    pub cpu_cores: Option<u32>,
    pub cpu_hertz: Option<u64>,
    pub memory_bytes: Option<u64>,
    pub sensors: Vec<Sensor>,
    pub nics: Vec<Nic>,
    pub adapters: Vec<Adapter>,
    /// How many storage paths are in which state; empty where that is not known.
    pub paths: BTreeMap<PathState, usize>,
    /// In Unix milliseconds.
    pub certificate_end: Option<i64>,
    pub ntp_servers: Option<usize>,
    pub ntp_running: Option<bool>,
    /// Of a host of a vSAN cluster.
    pub vsan: Option<Vsan>,
    pub alarms: Vec<Alarm>,
}

/// What a host knows of its vSAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vsan {
    /// Hosts of the cluster that it sees, with itself.
    pub members: usize,
    /// Disks of its own that have an issue.
    pub disk_issues: usize,
}

/// A sensor of a host, or a part whose health a host knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sensor {
    /// Its name.
    pub name: String,
    /// Its type, such as `temperature`, `cpu` or `memory`.
    pub kind: String,
    /// Green, yellow or red; `None` where the host does not know it.
    pub status: Option<Status>,
    /// What it measures, if that is a temperature.
    pub celsius: Option<f64>,
}

/// A physical network card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Nic {
    /// Such as `vmnic0`.
    pub device: String,
    /// Bits per second; `None` without a link.
    pub speed_bits: Option<u64>,
}

/// A storage adapter (HBA).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Adapter {
    /// Such as `vmhba0`.
    pub device: String,
    /// Whether it works.
    pub state: AdapterState,
}

/// A datastore.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the labels and metrics")]
pub struct Datastore {
    /// Id of its reference: valid in this vCenter only.
    pub moref: String,
    /// The label `datastore_id`.
    pub id: String,
    pub name: String,
    pub datacenter: String,
    pub file_system: String,
    pub accessible: Option<bool>,
    pub status: Option<Status>,
    pub maintenance: Option<DatastoreMaintenance>,
    pub capacity_bytes: Option<u64>,
    pub free_bytes: Option<u64>,
    pub uncommitted_bytes: Option<u64>,
    pub alarms: Vec<Alarm>,
}

/// A network that VMs or hosts are connected to, or a distributed switch.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the labels and metrics")]
pub struct Network {
    /// The label `network_id`: its reference, since it has no other id.
    pub id: String,
    pub name: String,
    pub datacenter: String,
    /// `standard`, `portgroup` or `switch`.
    pub kind: Cow<'static, str>,
    /// Name of a port group's switch.
    pub switch: String,
    /// Version of a switch.
    pub version: String,
    pub accessible: Option<bool>,
    pub status: Option<Status>,
    pub ports: Option<u32>,
    /// VMs that are connected to it; `None` for a switch.
    pub vms: Option<usize>,
    /// Hosts that have it; `None` for a switch.
    pub hosts: Option<usize>,
    pub alarms: Vec<Alarm>,
}

/// A cluster.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the labels and metrics")]
pub struct Cluster {
    /// The label `cluster_id`: its reference, since it has no other id.
    pub id: String,
    pub name: String,
    pub datacenter: String,
    pub status: Option<Status>,
    pub hosts: Option<u32>,
    pub effective_hosts: Option<u32>,
    pub cpu_hertz: Option<u64>,
    pub effective_cpu_hertz: Option<u64>,
    pub memory_bytes: Option<u64>,
    pub effective_memory_bytes: Option<u64>,
    pub ha: Option<bool>,
    pub host_monitoring: Option<bool>,
    pub admission_control: Option<bool>,
    pub drs: Option<bool>,
    pub automation: Option<Automation>,
    pub failover_level: Option<i32>,
    pub vmotions: Option<u64>,
    pub alarms: Vec<Alarm>,
}

/// A resource pool or a vApp.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the labels and metrics")]
pub struct Pool {
    /// The label `resource_pool_id`: its reference, since it has no other id.
    pub id: String,
    /// Path below the cluster or host.
    pub path: String,
    pub cluster: String,
    pub vapp: bool,
    pub vms: usize,
    pub allocation: Allocation,
    pub cpu_usage_hertz: Option<u64>,
    pub memory_usage_bytes: Option<u64>,
}
