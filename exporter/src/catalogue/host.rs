//! Hosts (ESXi).

use super::{CounterUnit, Metric, Source, Unit, counter, gauge, labelled};

pub(super) static METRICS: &[Metric] = &[
    labelled(
        "vsphere_host_connection_state",
        Unit::State,
        &["state"],
        Source::Host("runtime.connectionState", |host, out| out.states(host.connection)),
        "Whether vCenter is connected to the host, has disconnected it, or gets no answer from it",
    ),
    labelled(
        "vsphere_host_power_state",
        Unit::State,
        &["state"],
        Source::Host("runtime.powerState", |host, out| out.states(host.power)),
        "Whether the host is on, off or in standby; unknown while it is not connected",
    ),
    labelled(
        "vsphere_host_info",
        Unit::Info,
        &["cluster", "datacenter", "vendor", "model", "version", "build"],
        Source::Host("parent, summary.hardware, summary.config.product", |host, out| {
            out.labelled(
                &[
                    ("cluster", &host.place.cluster),
                    ("datacenter", &host.place.datacenter),
                    ("vendor", &host.vendor),
                    ("model", &host.model),
                    ("version", &host.version),
                    ("build", &host.build),
                ],
                1.0,
            );
        }),
        "Where the host belongs and what it is; a label is absent where it is not known",
    ),
    gauge(
        "vsphere_host_cpu_cores",
        Unit::Count,
        Source::Host("summary.hardware.numCpuCores", |host, out| out.maybe(host.cpu_cores.map(f64::from))),
        "Physical CPU cores",
    ),
    gauge(
        "vsphere_host_cpu_capacity_hertz",
        Unit::Hertz,
        Source::Host("summary.hardware.numCpuCores * summary.hardware.cpuMhz", |host, out| {
            let capacity = host.cpu_cores.zip(host.cpu_hertz).map(|(cores, hertz)| f64::from(cores) * hertz as f64);
            out.maybe(capacity);
        }),
        "CPU of all cores together",
    ),
    gauge(
        "vsphere_host_memory_size_bytes",
        Unit::Bytes,
        Source::Host("summary.hardware.memorySize", |host, out| out.maybe(host.memory_bytes.map(|bytes| bytes as f64))),
        "Physical memory",
    ),
    gauge(
        "vsphere_host_cpu_usage_ratio",
        Unit::Ratio,
        Source::HostCounter(counter("cpu.usage.average", CounterUnit::Percent)),
        "CPU in use as a part of all cores",
    ),
    gauge(
        "vsphere_host_cpu_usage_hertz",
        Unit::Hertz,
        Source::HostCounter(counter("cpu.usagemhz.average", CounterUnit::MegaHertz)),
        "CPU in use",
    ),
    gauge(
        "vsphere_host_memory_usage_ratio",
        Unit::Ratio,
        Source::HostCounter(counter("mem.usage.average", CounterUnit::Percent)),
        "Memory that is consumed as a part of the physical memory",
    ),
    gauge(
        "vsphere_host_memory_active_bytes",
        Unit::Bytes,
        Source::HostCounter(counter("mem.active.average", CounterUnit::KiloBytes)),
        "Memory in active use by VMs and the host itself, as the host estimates it",
    ),
    gauge(
        "vsphere_host_memory_consumed_bytes",
        Unit::Bytes,
        Source::HostCounter(counter("mem.consumed.average", CounterUnit::KiloBytes)),
        "Memory in use by VMs and the host itself",
    ),
    gauge(
        "vsphere_host_memory_balloon_bytes",
        Unit::Bytes,
        Source::HostCounter(counter("mem.vmmemctl.average", CounterUnit::KiloBytes)),
        "Memory that balloon drivers have taken back from VMs",
    ),
    gauge(
        "vsphere_host_memory_swap_used_bytes",
        Unit::Bytes,
        Source::HostCounter(counter("mem.swapused.average", CounterUnit::KiloBytes)),
        "Memory of VMs that is swapped out",
    ),
    gauge(
        "vsphere_host_disk_read_bytes_per_second",
        Unit::BytesPerSecond,
        Source::HostCounter(counter("disk.read.average", CounterUnit::KiloBytesPerSecond)),
        "Data read from disks, mean of the sample's 20 seconds",
    ),
    gauge(
        "vsphere_host_disk_write_bytes_per_second",
        Unit::BytesPerSecond,
        Source::HostCounter(counter("disk.write.average", CounterUnit::KiloBytesPerSecond)),
        "Data written to disks, mean of the sample's 20 seconds",
    ),
    gauge(
        "vsphere_host_disk_max_latency_seconds",
        Unit::Seconds,
        Source::HostCounter(counter("disk.maxTotalLatency.latest", CounterUnit::Millisecond)),
        "Highest latency of all disks",
    ),
    gauge(
        "vsphere_host_network_receive_bytes_per_second",
        Unit::BytesPerSecond,
        Source::HostCounter(counter("net.received.average", CounterUnit::KiloBytesPerSecond)),
        "Data received, mean of the sample's 20 seconds",
    ),
    gauge(
        "vsphere_host_network_transmit_bytes_per_second",
        Unit::BytesPerSecond,
        Source::HostCounter(counter("net.transmitted.average", CounterUnit::KiloBytesPerSecond)),
        "Data sent, mean of the sample's 20 seconds",
    ),
    gauge(
        "vsphere_host_power_watts",
        Unit::Watts,
        Source::HostCounter(counter("power.power.average", CounterUnit::Watt)),
        "Electrical power that the host draws",
    ),
    gauge(
        "vsphere_host_uptime_seconds",
        Unit::Seconds,
        Source::HostCounter(counter("sys.uptime.latest", CounterUnit::Second)),
        "Time since the host was started",
    ),
];
