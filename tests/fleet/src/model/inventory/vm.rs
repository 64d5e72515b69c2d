//! Virtual machines and templates.

use std::sync::Arc;

use super::{AttributeValue, TagId};
use crate::model::{
    DatastoreId, FolderId, HostId, NetworkId, PoolId, PortgroupId, SnapshotId, SwitchId, Time, VappId, VmId,
};

/// A virtual machine at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Vm {
    /// The managed object.
    pub id: VmId,
    /// What does not change while the VM exists.
    pub config: Arc<VmConfig>,
    /// `runtime.host`.
    pub host: HostId,
    /// `runtime.powerState`.
    pub power: Power,
    /// `runtime.connectionState`: disconnected while its host does not respond and before HA has restarted it.
    pub connected: bool,
    /// `runtime.bootTime`: the last time that it was switched on; absent when it is not on.
    pub boot_time: Option<Time>,
    /// `snapshot.rootSnapshotList`, oldest first; each is the parent of the next, the last is `currentSnapshot`.
    pub snapshots: Vec<Snapshot>,
}

/// `VirtualMachinePowerState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Power {
    /// `poweredOn`
    On,
    /// `poweredOff`
    Off,
    /// `suspended`
    Suspended,
}

impl Power {
    /// The name in vim25.
    pub fn name(self) -> &'static str {
        match self {
            Power::On => "poweredOn",
            Power::Off => "poweredOff",
            Power::Suspended => "suspended",
        }
    }
}

/// `VirtualMachineSnapshotTree`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// `snapshot`
    pub id: SnapshotId,
    /// `id`: unique within the VM.
    pub number: u32,
    /// `name`
    pub name: String,
    /// `description`
    pub description: String,
    /// `createTime`
    pub created: Time,
    /// `quiesced`
    pub quiesced: bool,
}

/// What a VM is: everything that stays while it exists.
#[derive(Debug, Clone, PartialEq)]
pub struct VmConfig {
    /// `name`, as typed: may hold any character.
    pub name: String,
    /// `config.instanceUuid`; in each estate of 40 VMs or more, one is there twice.
    pub instance_uuid: String,
    /// `config.uuid`
    pub bios_uuid: String,
    /// `config.template`
    pub template: bool,
    /// `config.createDate`
    pub created: Time,
    /// `config.annotation`
    pub annotation: String,
    /// `config.guestId`
    pub guest_id: &'static str,
    /// `config.guestFullName`
    pub guest_full_name: &'static str,
    /// `guest.guestFamily`
    pub family: GuestFamily,
    /// `config.version`
    pub hardware_version: &'static str,
    /// `config.firmware`
    pub firmware: &'static str,
    /// `config.hardware.numCPU`
    pub vcpus: u32,
    /// `config.hardware.numCoresPerSocket`
    pub cores_per_socket: u32,
    /// `config.hardware.memoryMB`
    pub memory_mb: u32,
    /// `config.cpuAllocation.reservation`, MHz
    pub cpu_reservation_mhz: u32,
    /// `config.memoryAllocation.reservation`, MB
    pub memory_reservation_mb: u32,
    /// `config.hardware.device`: virtual disks, on one SCSI controller.
    pub disks: Vec<Disk>,
    /// `config.hardware.device`: network cards.
    pub nics: Vec<Nic>,
    /// `parent`; for a VM in a vApp absent, and `parentVApp` is set.
    pub folder: FolderId,
    /// `resourcePool`; templates have none.
    pub pool: Option<PoolId>,
    /// `parentVApp`
    pub vapp: Option<VappId>,
    /// `guest.hostName`
    pub hostname: String,
    /// Whether VMware Tools are installed: without them there is no `guest.ipAddress`, no host name, no balloon driver.
    pub tools: Option<Tools>,
    /// What it does, which is where its load comes from. vSphere does not know it.
    pub role: Role,
    /// Who it belongs to. vSphere knows it only from the folder, a tag, a custom attribute and the name.
    pub team: &'static str,
    /// Tags that are attached.
    pub tags: Vec<TagId>,
    /// `customValue`
    pub attributes: Vec<AttributeValue>,
}

impl VmConfig {
    /// `config.files.vmPathName`, given the name of the datastore of the first disk. Characters that a file name
    /// cannot hold are written as vCenter does.
    pub fn path(&self, datastore: &str) -> String {
        let folder: String = self.name.trim().chars().map(|c| if "/\\%".contains(c) { '_' } else { c }).collect();
        format!("[{datastore}] {folder}/{folder}.vmx")
    }
}

/// VMware Tools in a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tools {
    /// `guest.toolsVersion`
    pub version: u32,
    /// `guest.toolsVersionStatus2`
    pub status: ToolsStatus,
}

/// `VirtualMachineToolsVersionStatus`, as far as it occurs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolsStatus {
    /// `guestToolsCurrent`
    Current,
    /// `guestToolsSupportedOld`
    SupportedOld,
    /// `guestToolsUnmanaged`: open-vm-tools of a Linux distribution.
    Unmanaged,
}

impl ToolsStatus {
    /// The name in vim25.
    pub fn name(self) -> &'static str {
        match self {
            ToolsStatus::Current => "guestToolsCurrent",
            ToolsStatus::SupportedOld => "guestToolsSupportedOld",
            ToolsStatus::Unmanaged => "guestToolsUnmanaged",
        }
    }
}

/// `guest.guestFamily`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestFamily {
    /// `linuxGuest`
    Linux,
    /// `windowsGuest`
    Windows,
}

impl GuestFamily {
    /// The name in vim25.
    pub fn name(self) -> &'static str {
        match self {
            GuestFamily::Linux => "linuxGuest",
            GuestFamily::Windows => "windowsGuest",
        }
    }
}

/// `VirtualDisk`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// `key`: 2000 for the first.
    pub key: i32,
    /// `deviceInfo.label`
    pub label: String,
    /// Instance of its performance samples: `scsi0:0`.
    pub instance: String,
    /// `unitNumber` on the SCSI controller with the key 1000.
    pub unit: u32,
    /// `capacityInBytes`, always whole kilobytes
    pub capacity: u64,
    /// `backing.datastore`
    pub datastore: DatastoreId,
    /// `backing.thinProvisioned`
    pub thin: bool,
    /// `guest.disk.diskPath` of the file system that fills it.
    pub mount: String,
}

/// `VirtualVmxnet3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// `key`: 4000 for the first. Its decimal form is the instance of its performance samples.
    pub key: i32,
    /// `deviceInfo.label`
    pub label: String,
    /// `macAddress`
    pub mac: String,
    /// What it is connected to.
    pub network: NicNetwork,
    /// `guest.net.ipAddress`: as the guest has it, whether or not it runs tools that tell.
    pub addresses: Vec<String>,
}

/// Where a network card is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NicNetwork {
    /// `VirtualEthernetCardNetworkBackingInfo`
    Standard(NetworkId),
    /// `VirtualEthernetCardDistributedVirtualPortBackingInfo`
    Distributed {
        /// `port.portgroupKey`
        portgroup: PortgroupId,
        /// The switch whose UUID is `port.switchUuid`.
        switch: SwitchId,
        /// `port.portKey`
        port: u32,
    },
}

/// What a VM does all day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Serves people: follows their day.
    Web,
    /// Serves web servers: their rhythm, flatter, with much memory and disk.
    Database,
    /// Works at night, flat out, and sleeps in the day.
    Batch,
    /// One person's desktop: office hours.
    Desktop,
    /// Does next to nothing, but something.
    Idle,
    /// Forgotten: powered on, nobody talks to it.
    Zombie,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 6] = [Role::Web, Role::Database, Role::Batch, Role::Desktop, Role::Idle, Role::Zombie];

    /// How it stands in names of VMs and in scenarios.
    pub fn name(self) -> &'static str {
        match self {
            Role::Web => "web",
            Role::Database => "db",
            Role::Batch => "batch",
            Role::Desktop => "desktop",
            Role::Idle => "idle",
            Role::Zombie => "zombie",
        }
    }
}
