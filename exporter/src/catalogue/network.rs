//! Networks: standard ones, distributed port groups and switches.

use super::{
    ALARM_ACKNOWLEDGED, ALARM_SEVERITY, Metric, Source, Unit, alarm_acknowledged, alarm_severity, boolean, gauge,
    labelled,
};

pub(super) static METRICS: &[Metric] = &[
    labelled(
        "vsphere_network_info",
        Unit::Info,
        &["datacenter", "kind", "switch", "version"],
        Source::Network("parent, config, summary", |network, out| {
            out.labelled(
                &[
                    ("datacenter", &network.datacenter),
                    ("kind", &network.kind),
                    ("switch", &network.switch),
                    ("version", &network.version),
                ],
                1.0,
            );
        }),
        "Where the network belongs and what it is: a standard network, a distributed port group or a distributed switch",
    ),
    gauge(
        "vsphere_network_accessible",
        Unit::Boolean,
        Source::Network("summary.accessible", |network, out| out.maybe(boolean(network.accessible))),
        "Whether at least one host has the network",
    ),
    labelled(
        "vsphere_network_health_state",
        Unit::State,
        &["state"],
        Source::Network("overallStatus", |network, out| out.states(network.status)),
        "What vCenter thinks of a distributed switch as a whole",
    ),
    gauge(
        "vsphere_network_ports",
        Unit::Count,
        Source::Network("config.numPorts, summary.numPorts", |network, out| out.maybe(network.ports.map(f64::from))),
        "Ports of a distributed port group or switch",
    ),
    gauge(
        "vsphere_network_vms",
        Unit::Count,
        Source::Network("network", |network, out| out.maybe(network.vms.map(|vms| vms as f64))),
        "Virtual machines that are connected to the network, templates included",
    ),
    gauge(
        "vsphere_network_hosts",
        Unit::Count,
        Source::Network("network", |network, out| out.maybe(network.hosts.map(|hosts| hosts as f64))),
        "Hosts that have the network",
    ),
    labelled(
        "vsphere_network_alarm_severity",
        Unit::Count,
        &["alarm"],
        Source::Network("triggeredAlarmState", |network, out| alarm_severity(&network.alarms, out)),
        ALARM_SEVERITY,
    ),
    labelled(
        "vsphere_network_alarm_acknowledged",
        Unit::Boolean,
        &["alarm"],
        Source::Network("triggeredAlarmState", |network, out| alarm_acknowledged(&network.alarms, out)),
        ALARM_ACKNOWLEDGED,
    ),
];
