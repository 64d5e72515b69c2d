//! What there is in a vCenter: virtual machines, hosts, datastores, and the names of what holds them.
//!
//! [`build`] is pure: objects of the property collector in, [`Inventory`] out. Objects are sorted by their reference,
//! so that a page lists them in the same order each time.

mod build;
mod identity;
mod states;

pub use build::build;
pub use states::{HostConnection, HostPower, VmPower};

use crate::vsphere::methods::PropertySet;

/// What is read of each type. Only leaves: whole subtrees are ten times the size.
pub const PROPERTIES: &[PropertySet] = &[
    (
        "VirtualMachine",
        &[
            "name",
            "parent",
            "resourcePool",
            "runtime.host",
            "runtime.powerState",
            "runtime.connectionState",
            "config.template",
            "config.instanceUuid",
            "config.version",
            "config.guestFullName",
            "config.hardware.numCPU",
            "config.hardware.memoryMB",
            "guest.guestFullName",
            "guest.toolsVersion",
            "guest.ipAddress",
        ],
    ),
    (
        "HostSystem",
        &[
            "name",
            "parent",
            "runtime.connectionState",
            "runtime.powerState",
            "summary.hardware.uuid",
            "summary.hardware.vendor",
            "summary.hardware.model",
            "summary.hardware.numCpuCores",
            "summary.hardware.cpuMhz",
            "summary.hardware.memorySize",
            "summary.config.product.version",
            "summary.config.product.build",
        ],
    ),
    (
        "Datastore",
        &[
            "name",
            "parent",
            "summary.url",
            "summary.type",
            "summary.accessible",
            "summary.capacity",
            "summary.freeSpace",
        ],
    ),
    ("Folder", &["name", "parent"]),
    ("Datacenter", &["name", "parent"]),
    ("ComputeResource", &["name", "parent"]),
    ("ResourcePool", &["name", "parent"]),
];

/// The objects of a vCenter at one moment.
#[derive(Debug, Default)]
pub struct Inventory {
    /// Without templates.
    pub vms: Vec<Vm>,
    /// ESXi hosts.
    pub hosts: Vec<Host>,
    /// Datastores.
    pub datastores: Vec<Datastore>,
    doubled: [usize; 3],
    unidentified: [usize; 3],
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

/// Types of object that have a page entry.
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
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Place {
    /// ESXi host.
    pub host: String,
    /// Cluster, which a standalone host does not have.
    pub cluster: String,
    /// Datacenter.
    pub datacenter: String,
}

/// A virtual machine. Texts are empty where vCenter does not know them.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names are those of the labels and metrics")]
pub struct Vm {
    /// Id of its reference: valid in this vCenter only.
    pub moref: String,
    /// The label `vm_id`.
    pub id: String,
    pub name: String,
    pub team: String,
    pub power: Option<VmPower>,
    /// Whether its host can be asked about it.
    pub connected: bool,
    pub place: Place,
    /// Path below the datacenter; `/` for its root.
    pub folder: String,
    /// Path below the cluster or host; `/` for its root.
    pub resource_pool: String,
    pub guest_os: String,
    pub hardware_version: String,
    pub tools_version: String,
    pub address: String,
    pub cpus: Option<u32>,
    pub memory_bytes: Option<u64>,
}

/// An ESXi host.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names are those of the labels and metrics")]
pub struct Host {
    /// Id of its reference: valid in this vCenter only.
    pub moref: String,
    /// The label `host_id`.
    pub id: String,
    pub place: Place,
    pub connection: Option<HostConnection>,
    pub power: Option<HostPower>,
    pub vendor: String,
    pub model: String,
    pub version: String,
    pub build: String,
    pub cpu_cores: Option<u32>,
    pub cpu_hertz: Option<u64>,
    pub memory_bytes: Option<u64>,
}

/// A datastore.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names are those of the labels and metrics")]
pub struct Datastore {
    /// The label `datastore_id`.
    pub id: String,
    pub name: String,
    pub datacenter: String,
    pub file_system: String,
    pub accessible: Option<bool>,
    pub capacity_bytes: Option<u64>,
    pub free_bytes: Option<u64>,
}
