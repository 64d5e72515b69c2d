//! Performance counters: what is measured, on what, in which unit.
//!
//! Keys, units and levels are those of a vCenter (as recorded in govmomi's simulator); a client must look them up by
//! name all the same, since they differ between vCenters. Values are whole numbers in vSphere's units: percent is
//! hundredths of a percent, a summation counts within the sample.

use std::fmt;

use super::Entity;
use Instances::{Core, Datastore, Lun, Nic, Pnic, Vcpu, VirtualDisk, Whole};
use Rollup::{Average, Latest, Summation};
use Stats::{Absolute, Delta, Rate};

/// `PerfCounterInfo.rollupType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollup {
    /// `average`
    Average,
    /// `summation`
    Summation,
    /// `latest`
    Latest,
}

impl Rollup {
    /// The name in vim25.
    pub fn name(self) -> &'static str {
        match self {
            Average => "average",
            Summation => "summation",
            Latest => "latest",
        }
    }
}

/// `PerfCounterInfo.statsType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stats {
    /// `absolute`
    Absolute,
    /// `delta`
    Delta,
    /// `rate`
    Rate,
}

impl Stats {
    /// The name in vim25.
    pub fn name(self) -> &'static str {
        match self {
            Absolute => "absolute",
            Delta => "delta",
            Rate => "rate",
        }
    }
}

/// What the instances of a counter are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instances {
    /// The entity as a whole: the empty instance.
    Whole,
    /// Virtual CPUs: `0`, `1`, ...
    Vcpu,
    /// Virtual disks: `scsi0:0`, ...
    VirtualDisk,
    /// Network cards of a VM: `4000`, ...
    Nic,
    /// Datastores, by UUID.
    Datastore,
    /// LUNs, by canonical name: `naa...`
    Lun,
    /// Cores of a host: `0`, `1`, ...
    Core,
    /// Network cards of a host: `vmnic0`, ...
    Pnic,
}

/// A counter's `PerfCounterInfo`, and what has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CounterInfo {
    /// The counter.
    pub counter: Counter,
    /// `key`
    pub key: i32,
    /// `groupInfo.key`
    pub group: &'static str,
    /// `nameInfo.key`
    pub name: &'static str,
    /// `rollupType`
    pub rollup: Rollup,
    /// `unitInfo.key`
    pub unit: &'static str,
    /// `statsType`
    pub stats: Stats,
    /// `level`
    pub level: i32,
    /// `perDeviceLevel`
    pub per_device_level: i32,
    vm: &'static [Instances],
    host: &'static [Instances],
    cluster: &'static [Instances],
    pool: &'static [Instances],
    datastore: &'static [Instances],
}

impl CounterInfo {
    /// With which kinds of instances an entity has this counter; empty when it does not have it.
    pub fn instances(&self, entity: Entity) -> &'static [Instances] {
        match entity {
            Entity::Vm(_) => self.vm,
            Entity::Host(_) => self.host,
            Entity::Cluster(_) => self.cluster,
            Entity::Pool(_) => self.pool,
            Entity::Datastore(_) => self.datastore,
        }
    }
}

macro_rules! counters {
    ($($counter:ident = $key:literal, $group:literal, $name:literal, $rollup:ident, $unit:literal, $stats:ident,
        $level:literal, $device:literal, [$vm:expr, $host:expr, $cluster:expr, $pool:expr, $datastore:expr];)*) => {
        /// A performance counter; [`Counter::info`] says the rest.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "the table beside each name says it")]
        pub enum Counter {
            $($counter,)*
        }

        /// All counters, in the order of [`Counter`].
        pub static COUNTERS: &[CounterInfo] = &[$(CounterInfo {
            counter: Counter::$counter,
            key: $key,
            group: $group,
            name: $name,
            rollup: $rollup,
            unit: $unit,
            stats: $stats,
            level: $level,
            per_device_level: $device,
            vm: $vm,
            host: $host,
            cluster: $cluster,
            pool: $pool,
            datastore: $datastore,
        },)*];
    };
}

// Counter, key, group, name, roll-up, unit, statistics, level, level of instances; then the kinds of instances with
// which VMs, hosts, clusters, resource pools and datastores have it. Clusters and datastores have no real-time samples.
counters! {
    CpuUsage = 2, "cpu", "usage", Average, "percent", Rate, 1, 3, [&[Whole], &[Whole, Core], &[Whole], &[], &[]];
    CpuUsageMhz = 6, "cpu", "usagemhz", Average, "megaHertz", Rate, 1, 3, [&[Whole, Vcpu], &[Whole], &[Whole], &[Whole], &[]];
    CpuReservedCapacity = 9, "cpu", "reservedCapacity", Average, "megaHertz", Absolute, 2, 3, [&[], &[Whole], &[], &[], &[]];
    CpuSystem = 10, "cpu", "system", Summation, "millisecond", Delta, 3, 3, [&[Whole, Vcpu], &[], &[], &[], &[]];
    CpuWait = 11, "cpu", "wait", Summation, "millisecond", Delta, 3, 3, [&[Whole, Vcpu], &[Whole], &[], &[], &[]];
    CpuReady = 12, "cpu", "ready", Summation, "millisecond", Delta, 1, 3, [&[Whole, Vcpu], &[Whole], &[], &[], &[]];
    CpuIdle = 13, "cpu", "idle", Summation, "millisecond", Delta, 2, 3, [&[Whole, Vcpu], &[Whole, Core], &[], &[], &[]];
    CpuUsed = 14, "cpu", "used", Summation, "millisecond", Delta, 3, 3, [&[Whole, Vcpu], &[Whole, Core], &[], &[], &[]];
    CpuRun = 402, "cpu", "run", Summation, "millisecond", Delta, 2, 3, [&[Whole, Vcpu], &[], &[], &[], &[]];
    CpuCostop = 399, "cpu", "costop", Summation, "millisecond", Delta, 2, 3, [&[Whole, Vcpu], &[Whole], &[], &[], &[]];
    CpuSwapwait = 386, "cpu", "swapwait", Summation, "millisecond", Delta, 3, 3, [&[Whole, Vcpu], &[Whole], &[], &[], &[]];
    CpuMaxlimited = 400, "cpu", "maxlimited", Summation, "millisecond", Delta, 2, 3, [&[Whole, Vcpu], &[], &[], &[], &[]];
    CpuOverlap = 401, "cpu", "overlap", Summation, "millisecond", Delta, 3, 3, [&[Whole, Vcpu], &[], &[], &[], &[]];
    CpuDemand = 398, "cpu", "demand", Average, "megaHertz", Absolute, 2, 3, [&[Whole], &[Whole], &[], &[], &[]];
    CpuEntitlement = 397, "cpu", "entitlement", Latest, "megaHertz", Absolute, 2, 3, [&[Whole], &[], &[], &[], &[]];
    CpuLatency = 396, "cpu", "latency", Average, "percent", Rate, 2, 3, [&[Whole], &[Whole], &[], &[], &[]];
    CpuReadiness = 404, "cpu", "readiness", Average, "percent", Rate, 4, 4, [&[Whole, Vcpu], &[Whole], &[], &[], &[]];
    CpuUtilization = 388, "cpu", "utilization", Average, "percent", Rate, 2, 3, [&[], &[Whole, Core], &[], &[], &[]];
    CpuCoreUtilization = 392, "cpu", "coreUtilization", Average, "percent", Rate, 2, 3, [&[], &[Whole, Core], &[], &[], &[]];
    CpuTotalCapacity = 395, "cpu", "totalCapacity", Average, "megaHertz", Absolute, 2, 3, [&[], &[Whole], &[], &[], &[]];
    CpuTotalMhz = 278, "cpu", "totalmhz", Average, "megaHertz", Rate, 1, 3, [&[], &[], &[Whole], &[], &[]];
    MemUsage = 24, "mem", "usage", Average, "percent", Absolute, 1, 3, [&[Whole], &[Whole], &[Whole], &[], &[]];
    MemGranted = 29, "mem", "granted", Average, "kiloBytes", Absolute, 2, 3, [&[Whole], &[Whole], &[Whole], &[Whole], &[]];
    MemActive = 33, "mem", "active", Average, "kiloBytes", Absolute, 2, 3, [&[Whole], &[Whole], &[Whole], &[Whole], &[]];
    MemActiveWrite = 417, "mem", "activewrite", Average, "kiloBytes", Absolute, 2, 3, [&[Whole], &[Whole], &[], &[], &[]];
    MemShared = 37, "mem", "shared", Average, "kiloBytes", Absolute, 2, 3, [&[Whole], &[Whole], &[Whole], &[Whole], &[]];
    MemSharedCommon = 57, "mem", "sharedcommon", Average, "kiloBytes", Absolute, 2, 3, [&[], &[Whole], &[], &[], &[]];
    MemZero = 41, "mem", "zero", Average, "kiloBytes", Absolute, 2, 3, [&[Whole], &[Whole], &[Whole], &[Whole], &[]];
    MemUnreserved = 45, "mem", "unreserved", Average, "kiloBytes", Absolute, 2, 3, [&[], &[Whole], &[], &[], &[]];
    MemSwapUsed = 49, "mem", "swapused", Average, "kiloBytes", Absolute, 2, 3, [&[], &[Whole], &[Whole], &[], &[]];
    MemSwapped = 70, "mem", "swapped", Average, "kiloBytes", Absolute, 2, 3, [&[Whole], &[], &[], &[Whole], &[]];
    MemSwapTarget = 74, "mem", "swaptarget", Average, "kiloBytes", Absolute, 2, 3, [&[Whole], &[], &[], &[], &[]];
    MemSwapIn = 406, "mem", "swapin", Average, "kiloBytes", Absolute, 2, 3, [&[Whole], &[Whole], &[], &[], &[]];
    MemSwapOut = 410, "mem", "swapout", Average, "kiloBytes", Absolute, 2, 3, [&[Whole], &[Whole], &[], &[], &[]];
    MemSwapInRate = 85, "mem", "swapinRate", Average, "kiloBytesPerSecond", Rate, 1, 3, [&[Whole], &[Whole], &[], &[], &[]];
    MemSwapOutRate = 86, "mem", "swapoutRate", Average, "kiloBytesPerSecond", Rate, 1, 3, [&[Whole], &[Whole], &[], &[], &[]];
    MemVmmemctl = 90, "mem", "vmmemctl", Average, "kiloBytes", Absolute, 1, 3, [&[Whole], &[Whole], &[Whole], &[Whole], &[]];
    MemVmmemctlTarget = 94, "mem", "vmmemctltarget", Average, "kiloBytes", Absolute, 2, 3, [&[Whole], &[], &[], &[], &[]];
    MemConsumed = 98, "mem", "consumed", Average, "kiloBytes", Absolute, 1, 3, [&[Whole], &[Whole], &[Whole], &[Whole], &[]];
    MemOverhead = 102, "mem", "overhead", Average, "kiloBytes", Absolute, 1, 1, [&[Whole], &[Whole], &[Whole], &[Whole], &[]];
    MemCompressed = 105, "mem", "compressed", Average, "kiloBytes", Absolute, 2, 3, [&[Whole], &[Whole], &[], &[Whole], &[]];
    MemCompressionRate = 106, "mem", "compressionRate", Average, "kiloBytesPerSecond", Rate, 2, 3, [&[Whole], &[Whole], &[], &[], &[]];
    MemDecompressionRate = 107, "mem", "decompressionRate", Average, "kiloBytesPerSecond", Rate, 2, 3, [&[Whole], &[Whole], &[], &[], &[]];
    MemEntitlement = 423, "mem", "entitlement", Average, "kiloBytes", Absolute, 2, 3, [&[Whole], &[], &[], &[], &[]];
    MemLatency = 422, "mem", "latency", Average, "percent", Absolute, 2, 3, [&[Whole], &[Whole], &[], &[], &[]];
    MemState = 68, "mem", "state", Latest, "number", Absolute, 2, 3, [&[], &[Whole], &[], &[], &[]];
    MemSysUsage = 414, "mem", "sysUsage", Average, "kiloBytes", Absolute, 2, 3, [&[], &[Whole], &[], &[], &[]];
    MemReservedCapacity = 27, "mem", "reservedCapacity", Average, "megaBytes", Absolute, 2, 3, [&[], &[Whole], &[Whole], &[], &[]];
    MemTotalCapacity = 419, "mem", "totalCapacity", Average, "megaBytes", Absolute, 2, 3, [&[], &[Whole], &[], &[], &[]];
    MemTotalMb = 279, "mem", "totalmb", Average, "megaBytes", Absolute, 1, 3, [&[], &[], &[Whole], &[], &[]];
    DiskUsage = 125, "disk", "usage", Average, "kiloBytesPerSecond", Rate, 1, 3, [&[Whole], &[Whole], &[], &[], &[]];
    DiskRead = 130, "disk", "read", Average, "kiloBytesPerSecond", Rate, 2, 3, [&[Whole, Lun], &[Whole, Lun], &[], &[], &[]];
    DiskWrite = 131, "disk", "write", Average, "kiloBytesPerSecond", Rate, 2, 3, [&[Whole, Lun], &[Whole, Lun], &[], &[], &[]];
    DiskNumberRead = 128, "disk", "numberRead", Summation, "number", Delta, 3, 3, [&[Lun], &[Lun], &[], &[], &[]];
    DiskNumberWrite = 129, "disk", "numberWrite", Summation, "number", Delta, 3, 3, [&[Lun], &[Lun], &[], &[], &[]];
    DiskNumberReadAveraged = 136, "disk", "numberReadAveraged", Average, "number", Rate, 1, 3, [&[Lun], &[Lun], &[], &[], &[]];
    DiskNumberWriteAveraged = 137, "disk", "numberWriteAveraged", Average, "number", Rate, 1, 3, [&[Lun], &[Lun], &[], &[], &[]];
    DiskCommands = 446, "disk", "commands", Summation, "number", Delta, 2, 3, [&[Lun], &[Lun], &[], &[], &[]];
    DiskMaxTotalLatency = 133, "disk", "maxTotalLatency", Latest, "millisecond", Absolute, 1, 3, [&[Whole], &[Whole], &[], &[], &[]];
    DiskTotalLatency = 132, "disk", "totalLatency", Average, "millisecond", Absolute, 3, 3, [&[], &[Lun], &[], &[], &[]];
    DiskTotalReadLatency = 449, "disk", "totalReadLatency", Average, "millisecond", Absolute, 2, 3, [&[], &[Lun], &[], &[], &[]];
    DiskTotalWriteLatency = 453, "disk", "totalWriteLatency", Average, "millisecond", Absolute, 2, 3, [&[], &[Lun], &[], &[], &[]];
    DiskDeviceLatency = 455, "disk", "deviceLatency", Average, "millisecond", Absolute, 1, 3, [&[], &[Lun], &[], &[], &[]];
    DiskKernelLatency = 456, "disk", "kernelLatency", Average, "millisecond", Absolute, 2, 3, [&[], &[Lun], &[], &[], &[]];
    DiskQueueLatency = 457, "disk", "queueLatency", Average, "millisecond", Absolute, 2, 3, [&[], &[Lun], &[], &[], &[]];
    DiskCommandsAborted = 134, "disk", "commandsAborted", Summation, "number", Delta, 2, 3, [&[Lun], &[Lun], &[], &[], &[]];
    DiskBusResets = 135, "disk", "busResets", Summation, "number", Delta, 2, 3, [&[Lun], &[Lun], &[], &[], &[]];
    DiskUsed = 281, "disk", "used", Latest, "kiloBytes", Absolute, 1, 1, [&[], &[], &[], &[], &[Whole]];
    DiskProvisioned = 282, "disk", "provisioned", Latest, "kiloBytes", Absolute, 1, 1, [&[], &[], &[], &[], &[Whole]];
    DiskCapacity = 283, "disk", "capacity", Latest, "kiloBytes", Absolute, 1, 3, [&[], &[], &[], &[], &[Whole]];
    VirtualDiskRead = 173, "virtualDisk", "read", Average, "kiloBytesPerSecond", Rate, 2, 2, [&[VirtualDisk], &[], &[], &[], &[]];
    VirtualDiskWrite = 174, "virtualDisk", "write", Average, "kiloBytesPerSecond", Rate, 2, 2, [&[VirtualDisk], &[], &[], &[], &[]];
    VirtualDiskNumberReadAveraged = 171, "virtualDisk", "numberReadAveraged", Average, "number", Rate, 1, 3, [&[VirtualDisk], &[], &[], &[], &[]];
    VirtualDiskNumberWriteAveraged = 172, "virtualDisk", "numberWriteAveraged", Average, "number", Rate, 1, 3, [&[VirtualDisk], &[], &[], &[], &[]];
    VirtualDiskTotalReadLatency = 175, "virtualDisk", "totalReadLatency", Average, "millisecond", Absolute, 1, 3, [&[VirtualDisk], &[], &[], &[], &[]];
    VirtualDiskTotalWriteLatency = 176, "virtualDisk", "totalWriteLatency", Average, "millisecond", Absolute, 1, 3, [&[VirtualDisk], &[], &[], &[], &[]];
    VirtualDiskReadOio = 344, "virtualDisk", "readOIO", Latest, "number", Absolute, 2, 2, [&[VirtualDisk], &[], &[], &[], &[]];
    VirtualDiskWriteOio = 345, "virtualDisk", "writeOIO", Latest, "number", Absolute, 2, 2, [&[VirtualDisk], &[], &[], &[], &[]];
    VirtualDiskReadLatencyUs = 532, "virtualDisk", "readLatencyUS", Latest, "microsecond", Absolute, 4, 4, [&[VirtualDisk], &[], &[], &[], &[]];
    VirtualDiskWriteLatencyUs = 533, "virtualDisk", "writeLatencyUS", Latest, "microsecond", Absolute, 4, 4, [&[VirtualDisk], &[], &[], &[], &[]];
    DatastoreRead = 180, "datastore", "read", Average, "kiloBytesPerSecond", Rate, 2, 2, [&[Datastore], &[Datastore], &[], &[], &[Whole]];
    DatastoreWrite = 181, "datastore", "write", Average, "kiloBytesPerSecond", Rate, 2, 2, [&[Datastore], &[Datastore], &[], &[], &[Whole]];
    DatastoreNumberReadAveraged = 178, "datastore", "numberReadAveraged", Average, "number", Rate, 1, 3, [&[Datastore], &[Datastore], &[], &[], &[Whole]];
    DatastoreNumberWriteAveraged = 179, "datastore", "numberWriteAveraged", Average, "number", Rate, 1, 3, [&[Datastore], &[Datastore], &[], &[], &[Whole]];
    DatastoreTotalReadLatency = 182, "datastore", "totalReadLatency", Average, "millisecond", Absolute, 1, 3, [&[Datastore], &[Datastore], &[], &[], &[Whole]];
    DatastoreTotalWriteLatency = 183, "datastore", "totalWriteLatency", Average, "millisecond", Absolute, 1, 3, [&[Datastore], &[Datastore], &[], &[], &[Whole]];
    DatastoreMaxTotalLatency = 184, "datastore", "maxTotalLatency", Latest, "millisecond", Absolute, 3, 3, [&[Whole], &[Whole], &[], &[], &[]];
    DatastoreIops = 185, "datastore", "datastoreIops", Average, "number", Absolute, 1, 3, [&[], &[Datastore], &[], &[], &[]];
    DatastoreNormalizedLatency = 186, "datastore", "sizeNormalizedDatastoreLatency", Average, "microsecond", Absolute, 1, 3, [&[], &[Datastore], &[], &[], &[]];
    NetUsage = 143, "net", "usage", Average, "kiloBytesPerSecond", Rate, 1, 3, [&[Whole, Nic], &[Whole, Pnic], &[], &[], &[]];
    NetReceived = 148, "net", "received", Average, "kiloBytesPerSecond", Rate, 2, 3, [&[Whole, Nic], &[Whole, Pnic], &[], &[], &[]];
    NetTransmitted = 149, "net", "transmitted", Average, "kiloBytesPerSecond", Rate, 2, 3, [&[Whole, Nic], &[Whole, Pnic], &[], &[], &[]];
    NetBytesRx = 462, "net", "bytesRx", Average, "kiloBytesPerSecond", Rate, 2, 3, [&[Whole, Nic], &[Whole, Pnic], &[], &[], &[]];
    NetBytesTx = 463, "net", "bytesTx", Average, "kiloBytesPerSecond", Rate, 2, 3, [&[Whole, Nic], &[Whole, Pnic], &[], &[], &[]];
    NetPacketsRx = 146, "net", "packetsRx", Summation, "number", Delta, 2, 3, [&[Whole, Nic], &[Whole, Pnic], &[], &[], &[]];
    NetPacketsTx = 147, "net", "packetsTx", Summation, "number", Delta, 2, 3, [&[Whole, Nic], &[Whole, Pnic], &[], &[], &[]];
    NetDroppedRx = 460, "net", "droppedRx", Summation, "number", Delta, 2, 3, [&[Whole, Nic], &[Whole, Pnic], &[], &[], &[]];
    NetDroppedTx = 461, "net", "droppedTx", Summation, "number", Delta, 2, 3, [&[Whole, Nic], &[Whole, Pnic], &[], &[], &[]];
    NetErrorsRx = 468, "net", "errorsRx", Summation, "number", Delta, 2, 3, [&[], &[Whole, Pnic], &[], &[], &[]];
    NetErrorsTx = 469, "net", "errorsTx", Summation, "number", Delta, 2, 3, [&[], &[Whole, Pnic], &[], &[], &[]];
    SysUptime = 155, "sys", "uptime", Latest, "second", Absolute, 1, 3, [&[Whole], &[Whole], &[], &[], &[]];
    SysOsUptime = 498, "sys", "osUptime", Latest, "second", Absolute, 4, 4, [&[Whole], &[], &[], &[], &[]];
    SysHeartbeat = 473, "sys", "heartbeat", Latest, "number", Absolute, 4, 4, [&[Whole], &[], &[], &[], &[]];
    Power = 157, "power", "power", Average, "watt", Rate, 2, 3, [&[Whole], &[Whole], &[], &[], &[]];
    PowerCap = 158, "power", "powerCap", Average, "watt", Absolute, 3, 3, [&[], &[Whole], &[], &[], &[]];
    PowerEnergy = 159, "power", "energy", Summation, "joule", Delta, 3, 3, [&[Whole], &[Whole], &[], &[], &[]];
    EffectiveCpu = 276, "clusterServices", "effectivecpu", Average, "megaHertz", Rate, 1, 3, [&[], &[], &[Whole], &[], &[]];
    EffectiveMem = 277, "clusterServices", "effectivemem", Average, "megaBytes", Absolute, 1, 3, [&[], &[], &[Whole], &[], &[]];
    FailoverLevel = 280, "clusterServices", "failover", Latest, "number", Absolute, 1, 3, [&[], &[], &[Whole], &[], &[]];
}

impl Counter {
    /// What is known about it.
    pub fn info(self) -> &'static CounterInfo {
        &COUNTERS[self as usize]
    }

    /// A counter by its key.
    pub fn of_key(key: i32) -> Option<Counter> {
        COUNTERS.iter().find(|info| info.key == key).map(|info| info.counter)
    }

    /// A counter by its name: `cpu.usage.average`.
    pub fn of_name(name: &str) -> Option<Counter> {
        let (group, rest) = name.split_once('.')?;
        let (name, rollup) = rest.rsplit_once('.')?;
        let matches = |info: &&CounterInfo| info.group == group && info.name == name && info.rollup.name() == rollup;
        COUNTERS.iter().find(matches).map(|info| info.counter)
    }
}

/// `group.name.rollup`
impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.info();
        write!(f, "{}.{}.{}", info.group, info.name, info.rollup.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_counter_is_found_by_key_and_by_name() {
        for info in COUNTERS {
            assert_eq!(info.counter.info(), info);
            assert_eq!(Counter::of_key(info.key), Some(info.counter));
            assert_eq!(Counter::of_name(&info.counter.to_string()), Some(info.counter));
        }
        assert_eq!(Counter::of_key(-1), None);
        assert_eq!(Counter::of_name("cpu.usage"), None);
    }

    #[test]
    fn each_counter_is_there_once() {
        let keys: HashSet<i32> = COUNTERS.iter().map(|info| info.key).collect();
        assert_eq!(keys.len(), COUNTERS.len());
    }
}
