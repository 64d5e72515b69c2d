//! Hosts (ESXi).

use super::CounterUnit::{Joule, KiloBytes, KiloBytesPerSecond, MegaHertz, Millisecond, Number, Percent, Second, Watt};
use super::Shown::{Mean, Newest, Peak};
use super::{
    ALARM_ACKNOWLEDGED, ALARM_SEVERITY, Class, Counter, Metric, Shown, Source, Unit, alarm_acknowledged,
    alarm_severity, boolean, counter, device_counter, gauge, labelled, moment, number, of_devices,
};
use crate::exposition::State;
use crate::inventory::{PathState, Status};

const fn sampled(name: &'static str, unit: Unit, counter: Counter, shown: Shown, help: &'static str) -> Metric {
    super::sampled(name, unit, Class::Host, counter, shown, help)
}

const fn summed(name: &'static str, unit: Unit, counter: Counter, help: &'static str) -> Metric {
    super::summed(name, unit, Class::Host, counter, help)
}

const CPU_USAGE: Counter = counter("cpu.usage.average", Percent);
const DISK_READ: Counter = counter("disk.read.average", KiloBytesPerSecond);
const DISK_WRITE: Counter = counter("disk.write.average", KiloBytesPerSecond);
const DISK_LATENCY: Counter = counter("disk.maxTotalLatency.latest", Millisecond);
const RECEIVED: Counter = counter("net.received.average", KiloBytesPerSecond);
const TRANSMITTED: Counter = counter("net.transmitted.average", KiloBytesPerSecond);
const LUN: &[&str] = &["lun"];
const NIC: &[&str] = &["nic"];

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
    labelled(
        "vsphere_host_health_state",
        Unit::State,
        &["state"],
        Source::Host("overallStatus", |host, out| out.states(host.status)),
        "What vCenter thinks of the host as a whole",
    ),
    gauge(
        "vsphere_host_maintenance_mode",
        Unit::Boolean,
        Source::Host("runtime.inMaintenanceMode", |host, out| out.maybe(boolean(host.maintenance))),
        "Whether the host is in maintenance mode",
    ),
    gauge(
        "vsphere_host_reboot_required",
        Unit::Boolean,
        Source::Host("summary.rebootRequired", |host, out| out.maybe(boolean(host.reboot_required))),
        "Whether a change of its configuration waits for a reboot",
    ),
    gauge(
        "vsphere_host_boot_timestamp_seconds",
        Unit::Seconds,
        Source::Host("runtime.bootTime", |host, out| out.maybe(moment(host.boot_time))),
        "When the host was started, as Unix time",
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
            out.maybe(host.cpu_hertz.zip(host.cpu_cores).map(|(hertz, cores)| hertz as f64 * f64::from(cores)));
        }),
        "CPU of all cores together",
    ),
    gauge(
        "vsphere_host_memory_size_bytes",
        Unit::Bytes,
        Source::Host("summary.hardware.memorySize", |host, out| out.maybe(number(host.memory_bytes))),
        "Physical memory",
    ),
    labelled(
        "vsphere_host_sensor_severity",
        Unit::Count,
        &["sensor", "kind"],
        Source::Host("runtime.healthSystemRuntime", |host, out| {
            for sensor in &host.sensors {
                let severity = match sensor.status {
                    Some(Status::Green) => 0.0,
                    Some(Status::Yellow) => 1.0,
                    Some(Status::Red) => 2.0,
                    Some(Status::Gray) | None => continue,
                };
                out.labelled(&[("sensor", &sensor.name), ("kind", &sensor.kind)], severity);
            }
        }),
        "Health of hardware sensors and parts: 0 for good (green), 1 for a warning (yellow), 2 for a failure (red); absent where the host does not know it",
    ),
    labelled(
        "vsphere_host_sensor_temperature_celsius",
        Unit::Celsius,
        &["sensor"],
        Source::Host("runtime.healthSystemRuntime.systemHealthInfo.numericSensorInfo", |host, out| {
            for sensor in &host.sensors {
                if let Some(celsius) = sensor.celsius {
                    out.labelled(&[("sensor", &sensor.name)], celsius);
                }
            }
        }),
        "Temperature that a sensor measures",
    ),
    labelled(
        "vsphere_host_nic_up",
        Unit::Boolean,
        &["nic"],
        Source::Host("config.network.pnic", |host, out| {
            for nic in &host.nics {
                out.labelled(&[("nic", &nic.device)], f64::from(u8::from(nic.speed_bits.is_some())));
            }
        }),
        "Whether a physical network card has a link",
    ),
    labelled(
        "vsphere_host_nic_speed_bytes_per_second",
        Unit::BytesPerSecond,
        &["nic"],
        Source::Host("config.network.pnic", |host, out| {
            for nic in &host.nics {
                if let Some(bits) = nic.speed_bits {
                    out.labelled(&[("nic", &nic.device)], bits as f64 / 8.0);
                }
            }
        }),
        "Speed of the link of a physical network card; absent without a link",
    ),
    labelled(
        "vsphere_host_storage_adapter_state",
        Unit::State,
        &["adapter", "state"],
        Source::Host("config.storageDevice.hostBusAdapter", |host, out| {
            for adapter in &host.adapters {
                out.labelled_states(&[("adapter", &adapter.device)], adapter.state);
            }
        }),
        "Whether a storage adapter (HBA) works",
    ),
    labelled(
        "vsphere_host_storage_paths",
        Unit::Count,
        &["state"],
        Source::Host("config.storageDevice.multipathInfo", |host, out| {
            if !host.paths.is_empty() {
                for state in PathState::ALL {
                    let paths = host.paths.get(state).copied().unwrap_or_default();
                    out.labelled(&[("state", state.as_str())], paths as f64);
                }
            }
        }),
        "Paths to storage by their state",
    ),
    gauge(
        "vsphere_host_certificate_not_after_timestamp_seconds",
        Unit::Seconds,
        Source::Host("configManager.certificateManager", |host, out| out.maybe(moment(host.certificate_end))),
        "When the host's certificate ends, as Unix time",
    ),
    gauge(
        "vsphere_host_vsan_members",
        Unit::Count,
        Source::Host("runtime.vsanRuntimeInfo", |host, out| out.maybe(host.vsan.map(|vsan| vsan.members as f64))),
        "Hosts of its vSAN cluster that the host sees, itself included: fewer than there are is a partition",
    ),
    gauge(
        "vsphere_host_vsan_disk_issues",
        Unit::Count,
        Source::Host("runtime.vsanRuntimeInfo", |host, out| out.maybe(host.vsan.map(|vsan| vsan.disk_issues as f64))),
        "Disks of the host that vSAN finds fault with",
    ),
    gauge(
        "vsphere_host_ntp_servers",
        Unit::Count,
        Source::Host("config.dateTimeInfo", |host, out| out.maybe(host.ntp_servers.map(|servers| servers as f64))),
        "NTP servers that are configured",
    ),
    gauge(
        "vsphere_host_ntp_running",
        Unit::Boolean,
        Source::Host("config.service", |host, out| out.maybe(boolean(host.ntp_running))),
        "Whether the NTP service runs",
    ),
    labelled(
        "vsphere_host_alarm_severity",
        Unit::Count,
        &["alarm"],
        Source::Host("triggeredAlarmState", |host, out| alarm_severity(&host.alarms, out)),
        ALARM_SEVERITY,
    ),
    labelled(
        "vsphere_host_alarm_acknowledged",
        Unit::Boolean,
        &["alarm"],
        Source::Host("triggeredAlarmState", |host, out| alarm_acknowledged(&host.alarms, out)),
        ALARM_ACKNOWLEDGED,
    ),
    sampled("vsphere_host_cpu_usage_ratio", Unit::Ratio, CPU_USAGE, Mean, "CPU in use as a part of all cores"),
    sampled("vsphere_host_cpu_usage_peak_ratio", Unit::Ratio, CPU_USAGE, Peak, "CPU in use as a part of all cores"),
    sampled(
        "vsphere_host_cpu_usage_hertz",
        Unit::Hertz,
        counter("cpu.usagemhz.average", MegaHertz),
        Mean,
        "CPU in use",
    ),
    sampled(
        "vsphere_host_cpu_latency_ratio",
        Unit::Ratio,
        counter("cpu.latency.average", Percent),
        Mean,
        "Part of the time in which VMs could not run for contention of physical CPUs",
    ),
    summed(
        "vsphere_host_cpu_ready_seconds_total",
        Unit::Seconds,
        counter("cpu.ready.summation", Millisecond),
        "Time in which virtual CPUs could have run but got no physical one, of all VMs together",
    ),
    summed(
        "vsphere_host_cpu_costop_seconds_total",
        Unit::Seconds,
        counter("cpu.costop.summation", Millisecond),
        "Time in which virtual CPUs had to wait for their siblings, of all VMs together",
    ),
    sampled(
        "vsphere_host_memory_usage_ratio",
        Unit::Ratio,
        counter("mem.usage.average", Percent),
        Mean,
        "Memory that is consumed as a part of the physical memory",
    ),
    sampled(
        "vsphere_host_memory_active_bytes",
        Unit::Bytes,
        counter("mem.active.average", KiloBytes),
        Mean,
        "Memory in active use by VMs and the host itself, as the host estimates it",
    ),
    sampled(
        "vsphere_host_memory_consumed_bytes",
        Unit::Bytes,
        counter("mem.consumed.average", KiloBytes),
        Mean,
        "Memory in use by VMs and the host itself",
    ),
    sampled(
        "vsphere_host_memory_balloon_bytes",
        Unit::Bytes,
        counter("mem.vmmemctl.average", KiloBytes),
        Mean,
        "Memory that balloon drivers have taken back from VMs",
    ),
    sampled(
        "vsphere_host_memory_swap_used_bytes",
        Unit::Bytes,
        counter("mem.swapused.average", KiloBytes),
        Mean,
        "Memory of VMs that is swapped out",
    ),
    sampled(
        "vsphere_host_memory_compressed_bytes",
        Unit::Bytes,
        counter("mem.compressed.average", KiloBytes),
        Mean,
        "Memory of VMs that is compressed",
    ),
    sampled(
        "vsphere_host_memory_latency_ratio",
        Unit::Ratio,
        counter("mem.latency.average", Percent),
        Mean,
        "Part of the time in which VMs waited for swapped or compressed memory",
    ),
    summed(
        "vsphere_host_memory_swap_in_bytes_total",
        Unit::Bytes,
        counter("mem.swapinRate.average", KiloBytesPerSecond),
        "Memory of VMs that was swapped in",
    ),
    summed(
        "vsphere_host_memory_swap_out_bytes_total",
        Unit::Bytes,
        counter("mem.swapoutRate.average", KiloBytesPerSecond),
        "Memory of VMs that was swapped out",
    ),
    sampled("vsphere_host_disk_read_bytes_per_second", Unit::BytesPerSecond, DISK_READ, Mean, "Data read from disks"),
    summed("vsphere_host_disk_read_bytes_total", Unit::Bytes, DISK_READ, "Data read from disks"),
    sampled(
        "vsphere_host_disk_write_bytes_per_second",
        Unit::BytesPerSecond,
        DISK_WRITE,
        Mean,
        "Data written to disks",
    ),
    summed("vsphere_host_disk_write_bytes_total", Unit::Bytes, DISK_WRITE, "Data written to disks"),
    sampled("vsphere_host_disk_max_latency_seconds", Unit::Seconds, DISK_LATENCY, Mean, "Highest latency of all disks"),
    sampled(
        "vsphere_host_disk_max_latency_peak_seconds",
        Unit::Seconds,
        DISK_LATENCY,
        Peak,
        "Highest latency of all disks",
    ),
    of_devices(
        sampled(
            "vsphere_host_lun_device_latency_seconds",
            Unit::Seconds,
            device_counter("disk.deviceLatency.average", Millisecond),
            Mean,
            "Time that a command to a LUN takes in the storage device",
        ),
        LUN,
    ),
    of_devices(
        sampled(
            "vsphere_host_lun_kernel_latency_seconds",
            Unit::Seconds,
            device_counter("disk.kernelLatency.average", Millisecond),
            Mean,
            "Time that a command to a LUN spends in the host's kernel",
        ),
        LUN,
    ),
    of_devices(
        summed(
            "vsphere_host_lun_commands_aborted_total",
            Unit::Count,
            device_counter("disk.commandsAborted.summation", Number),
            "Commands to a LUN that were given up",
        ),
        LUN,
    ),
    sampled("vsphere_host_network_receive_bytes_per_second", Unit::BytesPerSecond, RECEIVED, Mean, "Data received"),
    summed("vsphere_host_network_receive_bytes_total", Unit::Bytes, RECEIVED, "Data received"),
    sampled("vsphere_host_network_transmit_bytes_per_second", Unit::BytesPerSecond, TRANSMITTED, Mean, "Data sent"),
    summed("vsphere_host_network_transmit_bytes_total", Unit::Bytes, TRANSMITTED, "Data sent"),
    summed(
        "vsphere_host_network_receive_drops_total",
        Unit::Count,
        counter("net.droppedRx.summation", Number),
        "Packets that were to be received and were dropped",
    ),
    summed(
        "vsphere_host_network_transmit_drops_total",
        Unit::Count,
        counter("net.droppedTx.summation", Number),
        "Packets that were to be sent and were dropped",
    ),
    of_devices(
        summed(
            "vsphere_host_nic_receive_errors_total",
            Unit::Count,
            device_counter("net.errorsRx.summation", Number),
            "Packets with errors that a physical network card received",
        ),
        NIC,
    ),
    of_devices(
        summed(
            "vsphere_host_nic_transmit_errors_total",
            Unit::Count,
            device_counter("net.errorsTx.summation", Number),
            "Packets that a physical network card failed to send",
        ),
        NIC,
    ),
    sampled(
        "vsphere_host_power_watts",
        Unit::Watts,
        counter("power.power.average", Watt),
        Mean,
        "Electrical power that the host draws",
    ),
    summed(
        "vsphere_host_energy_joules_total",
        Unit::Joules,
        counter("power.energy.summation", Joule),
        "Electrical energy that the host has used",
    ),
    sampled(
        "vsphere_host_uptime_seconds",
        Unit::Seconds,
        counter("sys.uptime.latest", Second),
        Newest,
        "Time since the host was started",
    ),
];
