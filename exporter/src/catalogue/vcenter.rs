//! The vCenter as a whole.

use super::{Metric, Source, Unit, gauge, labelled, moment};
use crate::inventory::Object;

pub(super) static METRICS: &[Metric] = &[
    labelled(
        "vsphere_vcenter_info",
        Unit::Info,
        &["version", "build", "api_type", "instance_uuid"],
        Source::Vcenter(|vcenter, out| {
            let Some(about) = vcenter.about else { return };
            out.labelled(
                &[
                    ("version", &about.version),
                    ("build", &about.build),
                    ("api_type", &about.api_type),
                    ("instance_uuid", &about.instance_uuid),
                ],
                1.0,
            );
        }),
        "What the server says of itself",
    ),
    labelled(
        "vsphere_vcenter_objects",
        Unit::Count,
        &["object"],
        Source::Vcenter(|vcenter, out| {
            let Some(inventory) = vcenter.inventory else { return };
            let counts = [
                ("vm", inventory.vms.len()),
                ("template", inventory.templates),
                ("host", inventory.hosts.len()),
                ("datastore", inventory.datastores.len()),
                ("network", inventory.networks.len()),
                ("cluster", inventory.clusters.len()),
                ("resource_pool", inventory.pools.len()),
                ("datacenter", inventory.datacenters),
            ];
            for (object, count) in counts {
                out.labelled(&[("object", object)], count as f64);
            }
        }),
        "Objects by their type",
    ),
    labelled(
        "vsphere_vcenter_duplicate_ids",
        Unit::Count,
        &["object"],
        Source::Vcenter(|vcenter, out| {
            let Some(inventory) = vcenter.inventory else { return };
            for object in Object::ALL {
                out.labelled(&[("object", object.as_str())], inventory.doubled(object) as f64);
            }
        }),
        "Objects whose id another object has too, so that their id label is extended to tell them apart",
    ),
    labelled(
        "vsphere_vcenter_unidentified_objects",
        Unit::Count,
        &["object"],
        Source::Vcenter(|vcenter, out| {
            let Some(inventory) = vcenter.inventory else { return };
            for object in Object::ALL {
                out.labelled(&[("object", object.as_str())], inventory.unidentified(object) as f64);
            }
        }),
        "Objects that vCenter tells too little of to show them: without a name, or VMs without an instance UUID",
    ),
    gauge(
        "vsphere_vcenter_undecided_vms",
        Unit::Count,
        Source::Vcenter(|vcenter, out| out.maybe(vcenter.inventory.map(|inventory| inventory.undecided as f64))),
        "VMs that are not shown yet, since their tags say whose they are and were not read",
    ),
    gauge(
        "vsphere_vcenter_clock_skew_seconds",
        Unit::Seconds,
        Source::Vcenter(|vcenter, out| out.maybe(vcenter.clock_skew)),
        "How far the server's clock is ahead of the exporter's",
    ),
    gauge(
        "vsphere_vcenter_certificate_not_after_timestamp_seconds",
        Unit::Seconds,
        Source::Vcenter(|vcenter, out| out.maybe(moment(vcenter.certificate_end))),
        "When the certificate that the server shows ends, as Unix time",
    ),
];
