//! ESXi hosts.

use std::sync::Arc;

use crate::model::{ClusterId, DatacenterId, DatastoreId, HostId, PortgroupId, SwitchId, Time};

/// A host at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// The managed object.
    pub id: HostId,
    /// What does not change.
    pub config: Arc<HostConfig>,
    /// `runtime.connectionState`
    pub connection: Connection,
    /// `runtime.inMaintenanceMode`
    pub maintenance: bool,
    /// `runtime.bootTime`
    pub boot_time: Time,
}

impl Host {
    /// `runtime.powerState`: on, or unknown while vCenter gets no answer.
    pub fn power_name(&self) -> &'static str {
        if self.connection == Connection::Connected { "poweredOn" } else { "unknown" }
    }
}

/// `HostSystemConnectionState`, as far as it occurs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Connection {
    /// `connected`
    Connected,
    /// `notResponding`
    NotResponding,
}

impl Connection {
    /// The name in vim25.
    pub fn name(self) -> &'static str {
        match self {
            Connection::Connected => "connected",
            Connection::NotResponding => "notResponding",
        }
    }
}

/// What a host is.
#[derive(Debug, Clone, PartialEq)]
pub struct HostConfig {
    /// `name`: its DNS name
    pub name: String,
    /// Place in the estate, from 0: for addresses and ports.
    pub index: u32,
    /// `parent`
    pub cluster: ClusterId,
    /// The datacenter above it.
    pub datacenter: DatacenterId,
    /// `hardware.systemInfo.uuid`
    pub uuid: String,
    /// `hardware.systemInfo.serialNumber`
    pub serial: String,
    /// `summary.hardware.vendor`
    pub vendor: &'static str,
    /// `summary.hardware.model`
    pub model: &'static str,
    /// `summary.hardware.cpuModel`
    pub cpu_model: &'static str,
    /// `summary.hardware.numCpuPkgs`
    pub sockets: u32,
    /// `summary.hardware.numCpuCores`
    pub cores: u32,
    /// `summary.hardware.numCpuThreads`
    pub threads: u32,
    /// `summary.hardware.cpuMhz`
    pub core_mhz: u32,
    /// `summary.hardware.memorySize`, bytes
    pub memory: u64,
    /// `config.product.version`
    pub version: &'static str,
    /// `config.product.build`
    pub build: &'static str,
    /// `config.network.vnic[0].spec.ip.ipAddress` of `vmk0`
    pub address: String,
    /// `config.network.pnic`
    pub pnics: Vec<Pnic>,
    /// `config.storageDevice.hostBusAdapter`
    pub adapters: Vec<Adapter>,
    /// `datastore`: shared ones, its own and the share.
    pub datastores: Vec<DatastoreId>,
    /// Canonical names of the disks of its datastores, with which disk samples have their instances: (datastore, LUN).
    pub luns: Vec<(DatastoreId, String)>,
    /// The distributed switch that it is a member of.
    pub switch: SwitchId,
    /// `network`: port groups that it offers.
    pub portgroups: Vec<PortgroupId>,
    /// `runtime.healthSystemRuntime.systemHealthInfo.numericSensorInfo`
    pub sensors: Vec<Sensor>,
    /// `notAfter` of `configManager.certificateManager`'s `certificateInfo`
    pub certificate_not_after: Time,
    /// `power.powerCap.average` and what the power supplies deliver, watts
    pub power_cap: u32,
}

impl HostConfig {
    /// CPU of all cores together, MHz.
    pub fn capacity_mhz(&self) -> f64 {
        f64::from(self.cores) * f64::from(self.core_mhz)
    }
}

/// `PhysicalNic`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pnic {
    /// `device`, which is the instance of its performance samples: `vmnic0`.
    pub device: String,
    /// `mac`
    pub mac: String,
    /// `linkSpeed.speedMb`; absent where the link is down.
    pub speed_mb: Option<u32>,
    /// `driver`
    pub driver: &'static str,
}

/// `HostHostBusAdapter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adapter {
    /// `device`: `vmhba0`
    pub device: String,
    /// `model`
    pub model: &'static str,
    /// The vim25 type: `HostFibreChannelHba` or `HostBlockHba`.
    pub kind: &'static str,
}

/// `HostNumericSensorInfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sensor {
    /// `name`
    pub name: String,
    /// `sensorType`
    pub kind: &'static str,
    /// `baseUnits`
    pub unit: &'static str,
    /// `unitModifier`: the reading is `current_reading * 10^unit_modifier`.
    pub unit_modifier: i32,
    /// `currentReading`
    pub reading: i64,
    /// `healthState.key`: `green`, `yellow` or `red`
    pub health: &'static str,
}
