//! Which properties are read of which type. Only leaves, where there are leaves: whole subtrees are ten times the size.
//!
//! [`live`] is what a filter of the property collector follows: what changes when somebody or something changes the
//! estate. [`slow`] is what changes all the time or is large, and is read now and then.

use crate::vsphere::methods::PropertySet;

const VM: &[&str] = &[
    "name",
    "parent",
    "resourcePool",
    "network",
    "runtime.host",
    "runtime.powerState",
    "runtime.connectionState",
    "runtime.bootTime",
    "runtime.consolidationNeeded",
    "config.template",
    "config.instanceUuid",
    "config.version",
    "config.guestFullName",
    "config.hardware.numCPU",
    "config.hardware.memoryMB",
    "config.cpuAllocation.reservation",
    "config.cpuAllocation.limit",
    "config.memoryAllocation.reservation",
    "config.memoryAllocation.limit",
    "guest.guestFullName",
    "guest.toolsVersion",
    "guest.toolsVersionStatus2",
    "guest.toolsRunningStatus",
    "guest.ipAddress",
    "guest.net",
    "guestHeartbeatStatus",
    "snapshot",
];

const HOST: &[&str] = &[
    "name",
    "parent",
    "network",
    "overallStatus",
    "runtime.connectionState",
    "runtime.powerState",
    "runtime.inMaintenanceMode",
    "runtime.bootTime",
    "summary.rebootRequired",
    "summary.hardware.uuid",
    "summary.hardware.vendor",
    "summary.hardware.model",
    "summary.hardware.numCpuCores",
    "summary.hardware.cpuMhz",
    "summary.hardware.memorySize",
    "summary.config.product.version",
    "summary.config.product.build",
    "configManager.certificateManager",
];

const DATASTORE: &[&str] = &[
    "name",
    "parent",
    "overallStatus",
    "summary.url",
    "summary.type",
    "summary.accessible",
    "summary.capacity",
    "summary.freeSpace",
    "summary.maintenanceMode",
];

const NETWORK: &[&str] = &["name", "parent", "summary.accessible"];

const PORTGROUP: &[&str] =
    &["name", "parent", "summary.accessible", "config.distributedVirtualSwitch", "config.numPorts"];

const SWITCH: &[&str] = &["name", "parent", "overallStatus", "summary.numPorts", "summary.productInfo.version"];

const CLUSTER: &[&str] = &[
    "name",
    "parent",
    "overallStatus",
    "summary.numHosts",
    "summary.numEffectiveHosts",
    "summary.totalCpu",
    "summary.effectiveCpu",
    "summary.totalMemory",
    "summary.effectiveMemory",
    "configuration.dasConfig.enabled",
    "configuration.dasConfig.hostMonitoring",
    "configuration.dasConfig.admissionControlEnabled",
    "configuration.drsConfig.enabled",
    "configuration.drsConfig.defaultVmBehavior",
];

const POOL: &[&str] = &[
    "name",
    "parent",
    "owner",
    "config.cpuAllocation.reservation",
    "config.cpuAllocation.limit",
    "config.memoryAllocation.reservation",
    "config.memoryAllocation.limit",
];

const PLACE: &[&str] = &["name", "parent"];

/// Custom attributes of VMs, which are followed where the config names any.
pub(super) const CUSTOM_VALUE: &str = "customValue";

/// The alarms of all objects below it; asked of the root folder.
pub const TRIGGERED: &str = "triggeredAlarmState";

/// What is followed of all objects in the view.
pub fn live(custom_values: bool) -> Vec<PropertySet> {
    let mut vm = VM.to_vec();
    if custom_values {
        vm.push(CUSTOM_VALUE);
    }
    vec![
        ("VirtualMachine", vm),
        ("HostSystem", HOST.to_vec()),
        ("Datastore", DATASTORE.to_vec()),
        ("Network", NETWORK.to_vec()),
        ("DistributedVirtualPortgroup", PORTGROUP.to_vec()),
        ("DistributedVirtualSwitch", SWITCH.to_vec()),
        ("ClusterComputeResource", CLUSTER.to_vec()),
        ("ComputeResource", PLACE.to_vec()),
        ("ResourcePool", POOL.to_vec()),
        ("VirtualApp", PLACE.to_vec()),
        ("Folder", PLACE.to_vec()),
        ("Datacenter", PLACE.to_vec()),
    ]
}

const SLOW_VM: &[&str] = &["guest.disk", "summary.storage.committed", "summary.storage.uncommitted"];

const SLOW_HOST: &[&str] = &[
    "runtime.healthSystemRuntime.systemHealthInfo.numericSensorInfo",
    "runtime.healthSystemRuntime.hardwareStatusInfo",
    "runtime.vsanRuntimeInfo",
    "config.network.pnic",
    "config.storageDevice.hostBusAdapter",
    "config.storageDevice.multipathInfo",
    "config.dateTimeInfo.ntpConfig.server",
    "config.service.service",
];

const SLOW_DATASTORE: &[&str] = &["summary.uncommitted"];

const SLOW_CLUSTER: &[&str] = &["summary"];

const SLOW_POOL: &[&str] = &["runtime.cpu.overallUsage", "runtime.memory.overallUsage"];

/// The sizes of a VM's files: asked only of VMs with snapshots.
pub(super) const LAYOUT: &str = "layoutEx";

/// When a host's certificate ends.
pub(super) const CERTIFICATE: &str = "certificateInfo";

/// What is read now and then of all objects in the view.
pub fn slow() -> Vec<PropertySet> {
    vec![
        ("VirtualMachine", SLOW_VM.to_vec()),
        ("HostSystem", SLOW_HOST.to_vec()),
        ("Datastore", SLOW_DATASTORE.to_vec()),
        ("ClusterComputeResource", SLOW_CLUSTER.to_vec()),
        ("ResourcePool", SLOW_POOL.to_vec()),
    ]
}

/// What is read now and then of these objects alone.
pub fn of_some() -> Vec<PropertySet> {
    vec![("VirtualMachine", vec![LAYOUT]), ("HostCertificateManager", vec![CERTIFICATE])]
}

/// Whether what is read from here (as the catalogue names it) is read now and then only.
pub fn is_slow(kind: &str, origin: &str) -> bool {
    if origin == LAYOUT || origin == "configManager.certificateManager" {
        return true;
    }
    let of_kind = |sets: Vec<PropertySet>| -> Vec<&str> {
        sets.into_iter().filter(|(of, _)| *of == kind).flat_map(|(_, paths)| paths).collect()
    };
    let within = |path: &str| path.starts_with(origin) || origin.strip_prefix(path).is_some_and(|r| r.starts_with('.'));
    !of_kind(live(false)).contains(&origin) && of_kind(slow()).into_iter().any(within)
}

/// The path as a constant, if it is one that is asked for.
pub(super) fn known(path: &str) -> Option<&'static str> {
    const ALL: &[&[&str]] = &[
        VM,
        HOST,
        DATASTORE,
        NETWORK,
        PORTGROUP,
        SWITCH,
        CLUSTER,
        POOL,
        SLOW_VM,
        SLOW_HOST,
        SLOW_DATASTORE,
        SLOW_CLUSTER,
        SLOW_POOL,
        &[CUSTOM_VALUE, TRIGGERED, LAYOUT, CERTIFICATE],
    ];
    ALL.iter().copied().flatten().find(|known| **known == path).copied()
}
