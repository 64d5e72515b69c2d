//! Clusters.

use super::CounterUnit::{MegaHertz, Percent};
use super::Shown::Newest;
use super::{
    ALARM_ACKNOWLEDGED, ALARM_SEVERITY, Class, Counter, Kind, Metric, Source, Unit, alarm_acknowledged, alarm_severity,
    boolean, counter, gauge, labelled, number,
};

/// A roll-up of vCenter: the mean of five minutes, some minutes late.
const fn rolled_up(name: &'static str, unit: Unit, counter: Counter, help: &'static str) -> Metric {
    super::sampled(name, unit, Class::Cluster, counter, Newest, help)
}

pub(super) static METRICS: &[Metric] = &[
    labelled(
        "vsphere_cluster_info",
        Unit::Info,
        &["datacenter"],
        Source::Cluster("parent", |cluster, out| out.labelled(&[("datacenter", &cluster.datacenter)], 1.0)),
        "Where the cluster belongs",
    ),
    labelled(
        "vsphere_cluster_health_state",
        Unit::State,
        &["state"],
        Source::Cluster("overallStatus", |cluster, out| out.states(cluster.status)),
        "What vCenter thinks of the cluster as a whole",
    ),
    gauge(
        "vsphere_cluster_hosts",
        Unit::Count,
        Source::Cluster("summary.numHosts", |cluster, out| out.maybe(cluster.hosts.map(f64::from))),
        "Hosts of the cluster",
    ),
    gauge(
        "vsphere_cluster_effective_hosts",
        Unit::Count,
        Source::Cluster("summary.numEffectiveHosts", |cluster, out| out.maybe(cluster.effective_hosts.map(f64::from))),
        "Hosts that can run VMs: connected and not in maintenance mode",
    ),
    gauge(
        "vsphere_cluster_cpu_capacity_hertz",
        Unit::Hertz,
        Source::Cluster("summary.totalCpu", |cluster, out| out.maybe(number(cluster.cpu_hertz))),
        "CPU of all hosts together",
    ),
    gauge(
        "vsphere_cluster_effective_cpu_hertz",
        Unit::Hertz,
        Source::Cluster("summary.effectiveCpu", |cluster, out| out.maybe(number(cluster.effective_cpu_hertz))),
        "CPU of the hosts that can run VMs, without what they need themselves",
    ),
    gauge(
        "vsphere_cluster_memory_size_bytes",
        Unit::Bytes,
        Source::Cluster("summary.totalMemory", |cluster, out| out.maybe(number(cluster.memory_bytes))),
        "Memory of all hosts together",
    ),
    gauge(
        "vsphere_cluster_effective_memory_bytes",
        Unit::Bytes,
        Source::Cluster("summary.effectiveMemory", |cluster, out| out.maybe(number(cluster.effective_memory_bytes))),
        "Memory of the hosts that can run VMs, without what they need themselves",
    ),
    gauge(
        "vsphere_cluster_ha_enabled",
        Unit::Boolean,
        Source::Cluster("configuration.dasConfig.enabled", |cluster, out| out.maybe(boolean(cluster.ha))),
        "Whether VMs of a failed host are restarted on another one (vSphere HA)",
    ),
    gauge(
        "vsphere_cluster_ha_host_monitoring",
        Unit::Boolean,
        Source::Cluster("configuration.dasConfig.hostMonitoring", |cluster, out| {
            out.maybe(boolean(cluster.host_monitoring));
        }),
        "Whether vSphere HA watches the hosts; some switch it off for work on the network and forget it",
    ),
    gauge(
        "vsphere_cluster_ha_admission_control",
        Unit::Boolean,
        Source::Cluster("configuration.dasConfig.admissionControlEnabled", |cluster, out| {
            out.maybe(boolean(cluster.admission_control));
        }),
        "Whether room for a failed host is kept free",
    ),
    gauge(
        "vsphere_cluster_ha_failover_hosts",
        Unit::Count,
        Source::Cluster("summary.currentFailoverLevel", |cluster, out| {
            out.maybe(cluster.failover_level.filter(|level| *level >= 0).map(f64::from));
        }),
        "How many hosts may fail before VMs cannot be restarted; absent where vCenter does not say it",
    ),
    gauge(
        "vsphere_cluster_drs_enabled",
        Unit::Boolean,
        Source::Cluster("configuration.drsConfig.enabled", |cluster, out| out.maybe(boolean(cluster.drs))),
        "Whether VMs are placed and moved by load (DRS)",
    ),
    labelled(
        "vsphere_cluster_drs_automation_state",
        Unit::State,
        &["state"],
        Source::Cluster("configuration.drsConfig.defaultVmBehavior", |cluster, out| out.states(cluster.automation)),
        "What DRS does by itself",
    ),
    Metric {
        name: "vsphere_cluster_vmotions_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        labels: &[],
        source: Source::Cluster("summary.numVmotions", |cluster, out| out.maybe(number(cluster.vmotions))),
        help: "VMs that were moved between hosts of the cluster, read every few minutes",
    },
    labelled(
        "vsphere_cluster_alarm_severity",
        Unit::Count,
        &["alarm"],
        Source::Cluster("triggeredAlarmState", |cluster, out| alarm_severity(&cluster.alarms, out)),
        ALARM_SEVERITY,
    ),
    labelled(
        "vsphere_cluster_alarm_acknowledged",
        Unit::Boolean,
        &["alarm"],
        Source::Cluster("triggeredAlarmState", |cluster, out| alarm_acknowledged(&cluster.alarms, out)),
        ALARM_ACKNOWLEDGED,
    ),
    rolled_up(
        "vsphere_cluster_cpu_usage_ratio",
        Unit::Ratio,
        counter("cpu.usage.average", Percent),
        "CPU in use as a part of all cores, mean of five minutes",
    ),
    rolled_up(
        "vsphere_cluster_cpu_usage_hertz",
        Unit::Hertz,
        counter("cpu.usagemhz.average", MegaHertz),
        "CPU in use, mean of five minutes",
    ),
    rolled_up(
        "vsphere_cluster_memory_usage_ratio",
        Unit::Ratio,
        counter("mem.usage.average", Percent),
        "Memory that is consumed as a part of the memory of all hosts, mean of five minutes",
    ),
];
