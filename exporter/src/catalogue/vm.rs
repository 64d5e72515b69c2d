//! Virtual machines.

use super::CounterUnit::{
    KiloBytes, KiloBytesPerSecond, MegaHertz, Millisecond, Number, NumberPerSecond, Percent, Second,
};
use super::Shown::{Mean, MeanOfVcpus, Newest, Peak, PeakOfVcpus};
use super::{
    ALARM_ACKNOWLEDGED, ALARM_SEVERITY, Class, Counter, CounterUnit, Metric, Shown, Source, Unit, alarm_acknowledged,
    alarm_severity, boolean, counter, device_counter, gauge, labelled, moment, number, of_devices,
};
use crate::inventory::VmPower;

const fn sampled(name: &'static str, unit: Unit, counter: Counter, shown: Shown, help: &'static str) -> Metric {
    super::sampled(name, unit, Class::Vm, counter, shown, help)
}

const fn summed(name: &'static str, unit: Unit, counter: Counter, help: &'static str) -> Metric {
    super::summed(name, unit, Class::Vm, counter, help)
}

const fn disk(name: &'static str, unit: CounterUnit) -> Counter {
    device_counter(name, unit)
}

const CPU_READY: Counter = counter("cpu.ready.summation", Millisecond);
const CPU_COSTOP: Counter = counter("cpu.costop.summation", Millisecond);
const CPU_USAGE: Counter = counter("cpu.usage.average", Percent);
const MEMORY_USAGE: Counter = counter("mem.usage.average", Percent);
const DISK_READ: Counter = counter("disk.read.average", KiloBytesPerSecond);
const DISK_WRITE: Counter = counter("disk.write.average", KiloBytesPerSecond);
const DISK_LATENCY: Counter = counter("disk.maxTotalLatency.latest", Millisecond);
const RECEIVED: Counter = counter("net.received.average", KiloBytesPerSecond);
const TRANSMITTED: Counter = counter("net.transmitted.average", KiloBytesPerSecond);
const DISK: &[&str] = &["disk"];

pub(super) static METRICS: &[Metric] = &[
    labelled(
        "vsphere_vm_power_state",
        Unit::State,
        &["state"],
        Source::Vm("runtime.powerState", |vm, out| out.states(vm.power)),
        "Whether the VM is on, off or suspended",
    ),
    labelled(
        "vsphere_vm_info",
        Unit::Info,
        &[
            "host",
            "cluster",
            "datacenter",
            "folder",
            "resource_pool",
            "guest_os",
            "hardware_version",
            "tools_version",
            "tools_status",
            "address",
            "tier",
        ],
        Source::Vm("runtime.host, parent, resourcePool, config, guest", |vm, out| {
            let mut labels = vec![
                ("host", vm.place.host.as_str()),
                ("cluster", &vm.place.cluster),
                ("datacenter", &vm.place.datacenter),
                ("folder", &vm.folder),
                ("resource_pool", &vm.resource_pool),
                ("guest_os", &vm.guest_os),
                ("hardware_version", &vm.hardware_version),
                ("tools_version", &vm.tools_version),
                ("tools_status", &vm.tools_status),
                ("address", &vm.address),
                ("tier", &vm.tier),
            ];
            labels.extend(vm.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            out.labelled(&labels, 1.0);
        }),
        "Where the VM runs and what it is; a label is absent where it is not known; tags and custom attributes that the config names are labels, too",
    ),
    gauge(
        "vsphere_vm_cpus",
        Unit::Count,
        Source::Vm("config.hardware.numCPU", |vm, out| out.maybe(vm.cpus.map(f64::from))),
        "Virtual CPUs that are configured",
    ),
    gauge(
        "vsphere_vm_memory_size_bytes",
        Unit::Bytes,
        Source::Vm("config.hardware.memoryMB", |vm, out| out.maybe(number(vm.memory_bytes))),
        "Memory that is configured",
    ),
    gauge(
        "vsphere_vm_cpu_reservation_hertz",
        Unit::Hertz,
        Source::Vm("config.cpuAllocation.reservation", |vm, out| {
            out.maybe(number(vm.allocation.cpu_reservation_hertz))
        }),
        "CPU that is set aside for the VM",
    ),
    gauge(
        "vsphere_vm_cpu_limit_hertz",
        Unit::Hertz,
        Source::Vm("config.cpuAllocation.limit", |vm, out| out.maybe(number(vm.allocation.cpu_limit_hertz))),
        "CPU that the VM may use at most; absent without a limit",
    ),
    gauge(
        "vsphere_vm_memory_reservation_bytes",
        Unit::Bytes,
        Source::Vm("config.memoryAllocation.reservation", |vm, out| {
            out.maybe(number(vm.allocation.memory_reservation_bytes));
        }),
        "Memory that is set aside for the VM",
    ),
    gauge(
        "vsphere_vm_memory_limit_bytes",
        Unit::Bytes,
        Source::Vm("config.memoryAllocation.limit", |vm, out| out.maybe(number(vm.allocation.memory_limit_bytes))),
        "Host memory that the VM may use at most; absent without a limit",
    ),
    gauge(
        "vsphere_vm_boot_timestamp_seconds",
        Unit::Seconds,
        Source::Vm("runtime.bootTime", |vm, out| out.maybe(moment(vm.boot_time))),
        "When the VM was switched on, as Unix time; absent while it is off",
    ),
    labelled(
        "vsphere_vm_tools_state",
        Unit::State,
        &["state"],
        Source::Vm("guest.toolsRunningStatus", |vm, out| {
            out.states(vm.tools.filter(|_| vm.power == Some(VmPower::On)))
        }),
        "Whether VMware Tools run in the VM; absent while it is not on",
    ),
    labelled(
        "vsphere_vm_heartbeat_state",
        Unit::State,
        &["state"],
        Source::Vm("guestHeartbeatStatus", |vm, out| {
            out.states(vm.heartbeat.filter(|_| vm.power == Some(VmPower::On)));
        }),
        "Heartbeats of VMware Tools: green for regular, yellow for some, red for none, gray without VMware Tools; absent while the VM is not on",
    ),
    gauge(
        "vsphere_vm_consolidation_needed",
        Unit::Boolean,
        Source::Vm("runtime.consolidationNeeded", |vm, out| out.maybe(boolean(vm.consolidation_needed))),
        "Whether disks of deleted snapshots are left and should be consolidated",
    ),
    gauge(
        "vsphere_vm_snapshots",
        Unit::Count,
        Source::Vm("snapshot", |vm, out| out.maybe(vm.snapshots.map(|snapshots| snapshots.count as f64))),
        "Snapshots of the VM",
    ),
    gauge(
        "vsphere_vm_snapshot_depth",
        Unit::Count,
        Source::Vm("snapshot", |vm, out| out.maybe(vm.snapshots.map(|snapshots| snapshots.depth as f64))),
        "Longest chain of snapshots",
    ),
    gauge(
        "vsphere_vm_snapshot_oldest_timestamp_seconds",
        Unit::Seconds,
        Source::Vm("snapshot", |vm, out| out.maybe(moment(vm.snapshots.and_then(|s| s.oldest)))),
        "When the oldest snapshot was made, as Unix time; absent without snapshots",
    ),
    gauge(
        "vsphere_vm_snapshot_size_bytes",
        Unit::Bytes,
        Source::Vm("layoutEx", |vm, out| {
            out.maybe(number(vm.snapshot_bytes.filter(|_| vm.snapshots.is_some_and(|snapshots| snapshots.count > 0))));
        }),
        "What snapshots take in datastores: the changes since the oldest one, and saved memory; absent without snapshots",
    ),
    gauge(
        "vsphere_vm_storage_used_bytes",
        Unit::Bytes,
        Source::Vm("summary.storage.committed", |vm, out| out.maybe(number(vm.storage_used_bytes))),
        "What the VM takes in datastores",
    ),
    gauge(
        "vsphere_vm_storage_uncommitted_bytes",
        Unit::Bytes,
        Source::Vm("summary.storage.uncommitted", |vm, out| out.maybe(number(vm.storage_uncommitted_bytes))),
        "What the VM's thin disks may take more when they fill up",
    ),
    labelled(
        "vsphere_vm_file_system_size_bytes",
        Unit::Bytes,
        &["path"],
        Source::Vm("guest.disk", |vm, out| {
            for system in &vm.file_systems {
                out.labelled(&[("path", &system.path)], system.capacity_bytes as f64);
            }
        }),
        "Size of a file system, as VMware Tools see it",
    ),
    labelled(
        "vsphere_vm_file_system_free_bytes",
        Unit::Bytes,
        &["path"],
        Source::Vm("guest.disk", |vm, out| {
            for system in &vm.file_systems {
                out.labelled(&[("path", &system.path)], system.free_bytes as f64);
            }
        }),
        "Free space of a file system, as VMware Tools see it",
    ),
    labelled(
        "vsphere_vm_alarm_severity",
        Unit::Count,
        &["alarm"],
        Source::Vm("triggeredAlarmState", |vm, out| alarm_severity(&vm.alarms, out)),
        ALARM_SEVERITY,
    ),
    labelled(
        "vsphere_vm_alarm_acknowledged",
        Unit::Boolean,
        &["alarm"],
        Source::Vm("triggeredAlarmState", |vm, out| alarm_acknowledged(&vm.alarms, out)),
        ALARM_ACKNOWLEDGED,
    ),
    sampled("vsphere_vm_cpu_usage_ratio", Unit::Ratio, CPU_USAGE, Mean, "CPU in use as a part of the virtual CPUs"),
    sampled(
        "vsphere_vm_cpu_usage_peak_ratio",
        Unit::Ratio,
        CPU_USAGE,
        Peak,
        "CPU in use as a part of the virtual CPUs",
    ),
    sampled("vsphere_vm_cpu_usage_hertz", Unit::Hertz, counter("cpu.usagemhz.average", MegaHertz), Mean, "CPU in use"),
    sampled(
        "vsphere_vm_cpu_demand_hertz",
        Unit::Hertz,
        counter("cpu.demand.average", MegaHertz),
        Mean,
        "CPU that the VM would use if there were no contention and no limit",
    ),
    sampled(
        "vsphere_vm_cpu_ready_ratio",
        Unit::Ratio,
        CPU_READY,
        MeanOfVcpus,
        "Part of the time in which a virtual CPU could have run but got no physical one, mean of the virtual CPUs",
    ),
    sampled(
        "vsphere_vm_cpu_ready_peak_ratio",
        Unit::Ratio,
        CPU_READY,
        PeakOfVcpus,
        "Part of the time in which a virtual CPU could have run but got no physical one, mean of the virtual CPUs",
    ),
    summed(
        "vsphere_vm_cpu_ready_seconds_total",
        Unit::Seconds,
        CPU_READY,
        "Time in which virtual CPUs could have run but got no physical one, of all virtual CPUs together",
    ),
    sampled(
        "vsphere_vm_cpu_costop_ratio",
        Unit::Ratio,
        CPU_COSTOP,
        MeanOfVcpus,
        "Part of the time in which a virtual CPU had to wait for its siblings, mean of the virtual CPUs",
    ),
    summed(
        "vsphere_vm_cpu_costop_seconds_total",
        Unit::Seconds,
        CPU_COSTOP,
        "Time in which virtual CPUs had to wait for their siblings, of all virtual CPUs together",
    ),
    summed(
        "vsphere_vm_cpu_run_seconds_total",
        Unit::Seconds,
        counter("cpu.run.summation", Millisecond),
        "Time in which virtual CPUs ran, of all virtual CPUs together",
    ),
    summed(
        "vsphere_vm_cpu_swap_wait_seconds_total",
        Unit::Seconds,
        counter("cpu.swapwait.summation", Millisecond),
        "Time in which virtual CPUs waited for memory to be swapped in, of all virtual CPUs together",
    ),
    summed(
        "vsphere_vm_cpu_limited_seconds_total",
        Unit::Seconds,
        counter("cpu.maxlimited.summation", Millisecond),
        "Time in which virtual CPUs could have run but were held back by the VM's limit, of all virtual CPUs together",
    ),
    sampled(
        "vsphere_vm_cpu_latency_ratio",
        Unit::Ratio,
        counter("cpu.latency.average", Percent),
        Mean,
        "Part of the time in which the VM could not run for contention of physical CPUs",
    ),
    sampled(
        "vsphere_vm_memory_usage_ratio",
        Unit::Ratio,
        MEMORY_USAGE,
        Mean,
        "Memory in active use as a part of the configured memory",
    ),
    sampled(
        "vsphere_vm_memory_usage_peak_ratio",
        Unit::Ratio,
        MEMORY_USAGE,
        Peak,
        "Memory in active use as a part of the configured memory",
    ),
    sampled(
        "vsphere_vm_memory_active_bytes",
        Unit::Bytes,
        counter("mem.active.average", KiloBytes),
        Mean,
        "Guest memory in active use, as the host estimates it",
    ),
    sampled(
        "vsphere_vm_memory_consumed_bytes",
        Unit::Bytes,
        counter("mem.consumed.average", KiloBytes),
        Mean,
        "Host memory that backs the VM's memory",
    ),
    sampled(
        "vsphere_vm_memory_granted_bytes",
        Unit::Bytes,
        counter("mem.granted.average", KiloBytes),
        Mean,
        "Guest memory that is mapped to host memory, shared pages included",
    ),
    sampled(
        "vsphere_vm_memory_balloon_bytes",
        Unit::Bytes,
        counter("mem.vmmemctl.average", KiloBytes),
        Mean,
        "Guest memory that the balloon driver has taken back",
    ),
    sampled(
        "vsphere_vm_memory_swapped_bytes",
        Unit::Bytes,
        counter("mem.swapped.average", KiloBytes),
        Mean,
        "Guest memory that the host has swapped out",
    ),
    sampled(
        "vsphere_vm_memory_compressed_bytes",
        Unit::Bytes,
        counter("mem.compressed.average", KiloBytes),
        Mean,
        "Guest memory that the host has compressed",
    ),
    sampled(
        "vsphere_vm_memory_latency_ratio",
        Unit::Ratio,
        counter("mem.latency.average", Percent),
        Mean,
        "Part of the time in which the VM waited for swapped or compressed memory",
    ),
    summed(
        "vsphere_vm_memory_swap_in_bytes_total",
        Unit::Bytes,
        counter("mem.swapinRate.average", KiloBytesPerSecond),
        "Guest memory that the host has swapped in",
    ),
    summed(
        "vsphere_vm_memory_swap_out_bytes_total",
        Unit::Bytes,
        counter("mem.swapoutRate.average", KiloBytesPerSecond),
        "Guest memory that the host has swapped out",
    ),
    sampled("vsphere_vm_disk_read_bytes_per_second", Unit::BytesPerSecond, DISK_READ, Mean, "Data read from disks"),
    summed("vsphere_vm_disk_read_bytes_total", Unit::Bytes, DISK_READ, "Data read from disks"),
    sampled("vsphere_vm_disk_write_bytes_per_second", Unit::BytesPerSecond, DISK_WRITE, Mean, "Data written to disks"),
    summed("vsphere_vm_disk_write_bytes_total", Unit::Bytes, DISK_WRITE, "Data written to disks"),
    sampled("vsphere_vm_disk_max_latency_seconds", Unit::Seconds, DISK_LATENCY, Mean, "Highest latency of all disks"),
    sampled(
        "vsphere_vm_disk_max_latency_peak_seconds",
        Unit::Seconds,
        DISK_LATENCY,
        Peak,
        "Highest latency of all disks",
    ),
    of_devices(
        summed(
            "vsphere_vm_virtual_disk_reads_total",
            Unit::Count,
            disk("virtualDisk.numberReadAveraged.average", NumberPerSecond),
            "Read commands to a virtual disk",
        ),
        DISK,
    ),
    of_devices(
        summed(
            "vsphere_vm_virtual_disk_writes_total",
            Unit::Count,
            disk("virtualDisk.numberWriteAveraged.average", NumberPerSecond),
            "Write commands to a virtual disk",
        ),
        DISK,
    ),
    of_devices(
        sampled(
            "vsphere_vm_virtual_disk_read_latency_seconds",
            Unit::Seconds,
            disk("virtualDisk.totalReadLatency.average", Millisecond),
            Mean,
            "Time that a read command to a virtual disk takes",
        ),
        DISK,
    ),
    of_devices(
        sampled(
            "vsphere_vm_virtual_disk_write_latency_seconds",
            Unit::Seconds,
            disk("virtualDisk.totalWriteLatency.average", Millisecond),
            Mean,
            "Time that a write command to a virtual disk takes",
        ),
        DISK,
    ),
    sampled("vsphere_vm_network_receive_bytes_per_second", Unit::BytesPerSecond, RECEIVED, Mean, "Data received"),
    summed("vsphere_vm_network_receive_bytes_total", Unit::Bytes, RECEIVED, "Data received"),
    sampled("vsphere_vm_network_transmit_bytes_per_second", Unit::BytesPerSecond, TRANSMITTED, Mean, "Data sent"),
    summed("vsphere_vm_network_transmit_bytes_total", Unit::Bytes, TRANSMITTED, "Data sent"),
    summed(
        "vsphere_vm_network_receive_packets_total",
        Unit::Count,
        counter("net.packetsRx.summation", Number),
        "Packets received",
    ),
    summed(
        "vsphere_vm_network_transmit_packets_total",
        Unit::Count,
        counter("net.packetsTx.summation", Number),
        "Packets sent",
    ),
    summed(
        "vsphere_vm_network_receive_drops_total",
        Unit::Count,
        counter("net.droppedRx.summation", Number),
        "Packets that were to be received and were dropped",
    ),
    summed(
        "vsphere_vm_network_transmit_drops_total",
        Unit::Count,
        counter("net.droppedTx.summation", Number),
        "Packets that were to be sent and were dropped",
    ),
    sampled(
        "vsphere_vm_uptime_seconds",
        Unit::Seconds,
        counter("sys.uptime.latest", Second),
        Newest,
        "Time since the VM was switched on",
    ),
];
