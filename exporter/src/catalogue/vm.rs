//! Virtual machines.

use super::{CounterUnit, Metric, Source, Unit, counter, gauge, labelled};

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
            "address",
        ],
        Source::Vm("runtime.host, parent, resourcePool, config, guest", |vm, out| {
            out.labelled(
                &[
                    ("host", &vm.place.host),
                    ("cluster", &vm.place.cluster),
                    ("datacenter", &vm.place.datacenter),
                    ("folder", &vm.folder),
                    ("resource_pool", &vm.resource_pool),
                    ("guest_os", &vm.guest_os),
                    ("hardware_version", &vm.hardware_version),
                    ("tools_version", &vm.tools_version),
                    ("address", &vm.address),
                ],
                1.0,
            );
        }),
        "Where the VM runs and what it is; a label is absent where it is not known",
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
        Source::Vm("config.hardware.memoryMB", |vm, out| out.maybe(vm.memory_bytes.map(|bytes| bytes as f64))),
        "Memory that is configured",
    ),
    gauge(
        "vsphere_vm_cpu_usage_ratio",
        Unit::Ratio,
        Source::VmCounter(counter("cpu.usage.average", CounterUnit::Percent)),
        "CPU in use as a part of the virtual CPUs",
    ),
    gauge(
        "vsphere_vm_cpu_usage_hertz",
        Unit::Hertz,
        Source::VmCounter(counter("cpu.usagemhz.average", CounterUnit::MegaHertz)),
        "CPU in use",
    ),
    gauge(
        "vsphere_vm_cpu_demand_hertz",
        Unit::Hertz,
        Source::VmCounter(counter("cpu.demand.average", CounterUnit::MegaHertz)),
        "CPU that the VM would use if there were no contention and no limit",
    ),
    gauge(
        "vsphere_vm_cpu_ready_ratio",
        Unit::Ratio,
        Source::VmCounter(counter("cpu.ready.summation", CounterUnit::MillisecondsOfVcpus)),
        "Part of the time in which a virtual CPU could have run but got no physical one, mean of the virtual CPUs",
    ),
    gauge(
        "vsphere_vm_cpu_costop_ratio",
        Unit::Ratio,
        Source::VmCounter(counter("cpu.costop.summation", CounterUnit::MillisecondsOfVcpus)),
        "Part of the time in which a virtual CPU had to wait for its siblings, mean of the virtual CPUs",
    ),
    gauge(
        "vsphere_vm_memory_usage_ratio",
        Unit::Ratio,
        Source::VmCounter(counter("mem.usage.average", CounterUnit::Percent)),
        "Memory in active use as a part of the configured memory",
    ),
    gauge(
        "vsphere_vm_memory_active_bytes",
        Unit::Bytes,
        Source::VmCounter(counter("mem.active.average", CounterUnit::KiloBytes)),
        "Guest memory in active use, as the host estimates it",
    ),
    gauge(
        "vsphere_vm_memory_consumed_bytes",
        Unit::Bytes,
        Source::VmCounter(counter("mem.consumed.average", CounterUnit::KiloBytes)),
        "Host memory that backs the VM's memory",
    ),
    gauge(
        "vsphere_vm_memory_granted_bytes",
        Unit::Bytes,
        Source::VmCounter(counter("mem.granted.average", CounterUnit::KiloBytes)),
        "Guest memory that is mapped to host memory, shared pages included",
    ),
    gauge(
        "vsphere_vm_memory_balloon_bytes",
        Unit::Bytes,
        Source::VmCounter(counter("mem.vmmemctl.average", CounterUnit::KiloBytes)),
        "Guest memory that the balloon driver has taken back",
    ),
    gauge(
        "vsphere_vm_memory_swapped_bytes",
        Unit::Bytes,
        Source::VmCounter(counter("mem.swapped.average", CounterUnit::KiloBytes)),
        "Guest memory that the host has swapped out",
    ),
    gauge(
        "vsphere_vm_disk_read_bytes_per_second",
        Unit::BytesPerSecond,
        Source::VmCounter(counter("disk.read.average", CounterUnit::KiloBytesPerSecond)),
        "Data read from disks, mean of the sample's 20 seconds",
    ),
    gauge(
        "vsphere_vm_disk_write_bytes_per_second",
        Unit::BytesPerSecond,
        Source::VmCounter(counter("disk.write.average", CounterUnit::KiloBytesPerSecond)),
        "Data written to disks, mean of the sample's 20 seconds",
    ),
    gauge(
        "vsphere_vm_disk_max_latency_seconds",
        Unit::Seconds,
        Source::VmCounter(counter("disk.maxTotalLatency.latest", CounterUnit::Millisecond)),
        "Highest latency of all disks",
    ),
    gauge(
        "vsphere_vm_network_receive_bytes_per_second",
        Unit::BytesPerSecond,
        Source::VmCounter(counter("net.received.average", CounterUnit::KiloBytesPerSecond)),
        "Data received, mean of the sample's 20 seconds",
    ),
    gauge(
        "vsphere_vm_network_transmit_bytes_per_second",
        Unit::BytesPerSecond,
        Source::VmCounter(counter("net.transmitted.average", CounterUnit::KiloBytesPerSecond)),
        "Data sent, mean of the sample's 20 seconds",
    ),
    gauge(
        "vsphere_vm_uptime_seconds",
        Unit::Seconds,
        Source::VmCounter(counter("sys.uptime.latest", CounterUnit::Second)),
        "Time since the VM was switched on",
    ),
];
