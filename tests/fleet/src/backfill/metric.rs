//! The metrics that have a past: where their values come from, as `exporter/metrics.json` names it.

use crate::model::{Counter, Power};

/// What the values of a metric are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// A counter of vSphere, times this.
    Gauge(Counter, f64),
    /// The sum of a counter of vSphere, times this. What is counted by the second or by the sample of 20 s is the same for all
    /// of the time until the next sample.
    Total(Counter, f64),
    /// 1 for the label `state` that holds.
    Power,
    /// 1 while there is a machine.
    Info,
    Cpus,
    MemorySize,
}

const KIB: f64 = 1_024.0;

pub(super) const METRICS: [(&str, Kind); 20] = [
    ("vsphere_vm_info", Kind::Info),
    ("vsphere_vm_power_state", Kind::Power),
    ("vsphere_vm_cpus", Kind::Cpus),
    ("vsphere_vm_memory_size_bytes", Kind::MemorySize),
    ("vsphere_vm_cpu_usage_ratio", Kind::Gauge(Counter::CpuUsage, 1e-4)),
    ("vsphere_vm_cpu_usage_hertz", Kind::Gauge(Counter::CpuUsageMhz, 1e6)),
    ("vsphere_vm_cpu_demand_hertz", Kind::Gauge(Counter::CpuDemand, 1e6)),
    ("vsphere_vm_cpu_ready_seconds_total", Kind::Total(Counter::CpuReady, 1e-3)),
    ("vsphere_vm_cpu_run_seconds_total", Kind::Total(Counter::CpuRun, 1e-3)),
    ("vsphere_vm_memory_usage_ratio", Kind::Gauge(Counter::MemUsage, 1e-4)),
    ("vsphere_vm_memory_active_bytes", Kind::Gauge(Counter::MemActive, KIB)),
    ("vsphere_vm_memory_consumed_bytes", Kind::Gauge(Counter::MemConsumed, KIB)),
    ("vsphere_vm_memory_balloon_bytes", Kind::Gauge(Counter::MemVmmemctl, KIB)),
    ("vsphere_vm_memory_swapped_bytes", Kind::Gauge(Counter::MemSwapped, KIB)),
    ("vsphere_vm_disk_read_bytes_total", Kind::Total(Counter::DiskRead, KIB)),
    ("vsphere_vm_disk_write_bytes_total", Kind::Total(Counter::DiskWrite, KIB)),
    ("vsphere_vm_disk_max_latency_seconds", Kind::Gauge(Counter::DiskMaxTotalLatency, 1e-3)),
    ("vsphere_vm_network_receive_bytes_total", Kind::Total(Counter::NetReceived, KIB)),
    ("vsphere_vm_network_transmit_bytes_total", Kind::Total(Counter::NetTransmitted, KIB)),
    ("vsphere_vm_uptime_seconds", Kind::Gauge(Counter::SysUptime, 1.0)),
];

impl Kind {
    pub(super) fn of(metric: &str) -> Option<Self> {
        METRICS.iter().find(|(name, _)| *name == metric).map(|(_, kind)| *kind)
    }

    pub(super) fn counter(self) -> Option<Counter> {
        match self {
            Self::Gauge(counter, _) | Self::Total(counter, _) => Some(counter),
            _ => None,
        }
    }
}

/// As the exporter names it.
pub(super) fn state(power: Power) -> &'static str {
    match power {
        Power::On => "on",
        Power::Off => "off",
        Power::Suspended => "suspended",
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::model::Stats;

    #[derive(Deserialize)]
    struct Contract {
        metrics: Vec<Entry>,
    }

    #[derive(Deserialize)]
    struct Entry {
        name: String,
        r#type: String,
        unit: String,
        source: String,
    }

    #[test]
    fn metrics_are_those_of_the_exporter_with_its_units() {
        let contract: Contract = serde_json::from_str(include_str!("../../../../exporter/metrics.json")).unwrap();
        for (name, kind) in METRICS {
            let entry = contract.metrics.iter().find(|entry| entry.name == name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(entry.r#type == "counter", matches!(kind, Kind::Total(..)), "{name}");
            let Some(counter) = kind.counter() else { continue };
            let info = counter.info();
            assert_eq!(entry.source, format!("{}.{}.{}", info.group, info.name, info.rollup.name()), "{name}");
            let expected = match (entry.unit.as_str(), info.unit) {
                ("ratio", "percent") => 1e-4,
                ("hertz", "megaHertz") => 1e6,
                ("seconds", "millisecond") => 1e-3,
                ("seconds", "second") => 1.0,
                ("bytes", "kiloBytes" | "kiloBytesPerSecond") => KIB,
                other => panic!("{name}: {other:?}"),
            };
            let (Kind::Gauge(_, factor) | Kind::Total(_, factor)) = kind else { continue };
            assert_eq!(factor, expected, "{name}");
            let is_level = matches!(info.stats, Stats::Absolute);
            assert!(!(is_level && matches!(kind, Kind::Total(..))), "{name}");
        }
    }
}
