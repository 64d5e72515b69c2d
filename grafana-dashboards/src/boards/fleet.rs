//! How is the estate, at a glance?

use crate::board::{Board, Kind, Panel, Query, Unit, Variable};

pub(super) static BOARD: Board = Board {
    file: "dashboards/vsphere-fleet.json",
    uid: "lynceus-vsphere-fleet",
    title: "vSphere fleet",
    description: "How the virtual machines, hosts and datastores of all vCenters are, at a glance",
    tags: &["lynceus", "vsphere"],
    variables: &[
        Variable { name: "vcenter", label: "vCenter", query: "label_values(vsphere_vm_power_state, vcenter)" },
        Variable {
            name: "team",
            label: "Team",
            query: "label_values(vsphere_vm_power_state{vcenter=~\"$vcenter\"}, team)",
        },
    ],
    panels: &[
        Panel {
            title: "VMs now",
            description: "Virtual machines by power state.",
            kind: Kind::Stat,
            unit: Unit::Count,
            width: 12,
            height: 4,
            limits: None,
            queries: &[Query {
                expr: "sum by (state) (team:vsphere_vm_power_state:sum{vcenter=~\"$vcenter\", team=~\"$team\"})",
                legend: "{{state}}",
            }],
        },
        Panel {
            title: "Hosts not connected",
            description: "Hosts that vCenter has disconnected or gets no answer from. Nothing is known of their VMs.",
            kind: Kind::Stat,
            unit: Unit::Count,
            width: 6,
            height: 4,
            limits: Some((1.0, 1.0)),
            queries: &[Query {
                expr: "count(vsphere_host_connection_state{vcenter=~\"$vcenter\", state=\"connected\"} == 0) or vector(0)",
                legend: "hosts",
            }],
        },
        Panel {
            title: "Age of the oldest collection",
            description: "Time since the inventory, VMs and hosts were all collected with success. Above 5 \
                          minutes VsphereCollectionStale fires, and the rest of this board is the past.",
            kind: Kind::Stat,
            unit: Unit::Seconds,
            width: 6,
            height: 4,
            limits: Some((120.0, 300.0)),
            queries: &[Query {
                expr: "time() - min(vsphere_collector_last_success_timestamp_seconds{vcenter=~\"$vcenter\", \
                       collector=~\"inventory|vm_performance|host_performance\"})",
                legend: "age",
            }],
        },
        Panel {
            title: "VMs by power state",
            description: "A step down of `on` that nobody planned is worth a look at VsphereVmWentDown.",
            kind: Kind::Stacked,
            unit: Unit::Count,
            width: 12,
            height: 8,
            limits: None,
            queries: &[Query {
                expr: "sum by (state) (team:vsphere_vm_power_state:sum{vcenter=~\"$vcenter\", team=~\"$team\"})",
                legend: "{{state}}",
            }],
        },
        Panel {
            title: "Running VMs by team",
            description: "Teams come from the exporter's ownership rules; `unowned` is what no rule names.",
            kind: Kind::Stacked,
            unit: Unit::Count,
            width: 12,
            height: 8,
            limits: None,
            queries: &[Query {
                expr: "sum by (team) (team:vsphere_vm_power_state:sum{vcenter=~\"$vcenter\", team=~\"$team\", state=\"on\"})",
                legend: "{{team}}",
            }],
        },
        Panel {
            title: "CPU in use by team",
            description: "CPU that the VMs of each team use, in hertz of physical CPU.",
            kind: Kind::Stacked,
            unit: Unit::Hertz,
            width: 12,
            height: 8,
            limits: None,
            queries: &[Query {
                expr: "sum by (team) (vsphere_vm_cpu_usage_hertz{vcenter=~\"$vcenter\", team=~\"$team\"})",
                legend: "{{team}}",
            }],
        },
        Panel {
            title: "CPU ready by cluster",
            description: "Part of the time in which virtual CPUs could have run but got no physical one, mean of the \
                          cluster's VMs. Below 5 % is fine, above 10 % VMs are slow. Of all teams.",
            kind: Kind::TimeSeries,
            unit: Unit::Ratio,
            width: 12,
            height: 8,
            limits: Some((0.05, 0.1)),
            queries: &[Query {
                expr: "cluster:vsphere_vm_cpu_ready_ratio:avg{vcenter=~\"$vcenter\"}",
                legend: "{{vcenter}} {{cluster}}",
            }],
        },
        Panel {
            title: "Memory of hosts",
            description: "Consumed memory as a part of the physical memory of each host.",
            kind: Kind::TimeSeries,
            unit: Unit::Ratio,
            width: 12,
            height: 8,
            limits: Some((0.9, 0.95)),
            queries: &[Query {
                expr: "vsphere_host_memory_usage_ratio{vcenter=~\"$vcenter\"}",
                legend: "{{vcenter}} {{host}}",
            }],
        },
        Panel {
            title: "Memory taken from VMs by team",
            description: "Memory that hosts have taken back from VMs by ballooning, or swapped out. Lasting values above \
                          zero mean that hosts have too little memory for what runs on them. Empty where \
                          vCenter has no such counters.",
            kind: Kind::TimeSeries,
            unit: Unit::Bytes,
            width: 12,
            height: 8,
            limits: None,
            queries: &[
                Query {
                    expr: "sum by (team) (vsphere_vm_memory_balloon_bytes{vcenter=~\"$vcenter\", team=~\"$team\"})",
                    legend: "{{team}} ballooned",
                },
                Query {
                    expr: "sum by (team) (vsphere_vm_memory_swapped_bytes{vcenter=~\"$vcenter\", team=~\"$team\"})",
                    legend: "{{team}} swapped",
                },
            ],
        },
        Panel {
            title: "Datastores by fill",
            description: "Used part of each datastore, the fullest first. A datastore that no host reaches is not shown.",
            kind: Kind::Bars,
            unit: Unit::Ratio,
            width: 24,
            height: 10,
            limits: Some((0.75, 0.9)),
            queries: &[Query {
                expr: "sort_desc(1 - vsphere_datastore_free_bytes{vcenter=~\"$vcenter\"} \
                       / vsphere_datastore_capacity_bytes{vcenter=~\"$vcenter\"})",
                legend: "{{vcenter}} {{datastore}}",
            }],
        },
    ],
};
