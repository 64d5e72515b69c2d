//! Identities of managed objects: the numbers in vCenter's managed object references.
//!
//! They are stable over time and never given twice. On an ESXi host the references are others; what is the same on
//! both sides are the UUIDs in the inventory.

use std::fmt;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident($number:ty) = $kind:literal, $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $number);

        impl $name {
            /// The vim25 type of the object.
            pub const KIND: &'static str = $kind;
        }

        /// The value of the managed object reference.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    )*};
}

ids! {
    /// A virtual machine or a template.
    VmId(u32) = "VirtualMachine", "vm-";
    /// An ESXi host.
    HostId(u32) = "HostSystem", "host-";
    /// A cluster.
    ClusterId(u32) = "ClusterComputeResource", "domain-c";
    /// A datacenter.
    DatacenterId(u32) = "Datacenter", "datacenter-";
    /// A resource pool; the root pool of a cluster is one as well.
    PoolId(u32) = "ResourcePool", "resgroup-";
    /// A vApp.
    VappId(u32) = "VirtualApp", "resgroup-v";
    /// A datastore.
    DatastoreId(u32) = "Datastore", "datastore-";
    /// A network of standard switches.
    NetworkId(u32) = "Network", "network-";
    /// A distributed switch.
    SwitchId(u32) = "VmwareDistributedVirtualSwitch", "dvs-";
    /// A port group of a distributed switch.
    PortgroupId(u32) = "DistributedVirtualPortgroup", "dvportgroup-";
    /// An alarm definition.
    AlarmId(u32) = "Alarm", "alarm-";
    /// A snapshot of a VM.
    SnapshotId(u64) = "VirtualMachineSnapshot", "snapshot-";
}

/// A folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FolderId {
    /// What it holds, which is a letter in its reference.
    pub holds: FolderKind,
    /// The number in its reference.
    pub number: u32,
}

impl FolderId {
    /// The vim25 type of the object.
    pub const KIND: &'static str = "Folder";
}

/// What a folder holds (`Folder.childType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FolderKind {
    /// Datacenters: the root folder.
    Datacenters,
    /// Virtual machines and vApps.
    Vms,
    /// Hosts and clusters.
    Hosts,
    /// Datastores.
    Datastores,
    /// Networks and distributed switches.
    Networks,
}

impl fmt::Display for FolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.holds {
            FolderKind::Datacenters => 'd',
            FolderKind::Vms => 'v',
            FolderKind::Hosts => 'h',
            FolderKind::Datastores => 's',
            FolderKind::Networks => 'n',
        };
        write!(f, "group-{letter}{}", self.number)
    }
}

/// Something that has performance samples, alarms or events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// A virtual machine.
    Vm(VmId),
    /// A host.
    Host(HostId),
    /// A cluster.
    Cluster(ClusterId),
    /// A resource pool.
    Pool(PoolId),
    /// A datastore.
    Datastore(DatastoreId),
}

impl Entity {
    /// The vim25 type of the object.
    pub fn kind(self) -> &'static str {
        match self {
            Entity::Vm(_) => VmId::KIND,
            Entity::Host(_) => HostId::KIND,
            Entity::Cluster(_) => ClusterId::KIND,
            Entity::Pool(_) => PoolId::KIND,
            Entity::Datastore(_) => DatastoreId::KIND,
        }
    }
}

/// The value of the managed object reference.
impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entity::Vm(id) => id.fmt(f),
            Entity::Host(id) => id.fmt(f),
            Entity::Cluster(id) => id.fmt(f),
            Entity::Pool(id) => id.fmt(f),
            Entity::Datastore(id) => id.fmt(f),
        }
    }
}
