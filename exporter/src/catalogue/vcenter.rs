//! The vCenter as a whole.

use super::{Kind, Metric, Source, Unit, gauge, labelled, moment, number};
use crate::exposition::Series;
use crate::inventory::{Licence, Object};
use crate::standby::Source as From;
use crate::state::VcenterView;

pub(super) static METRICS: &[Metric] = &[
    labelled(
        "vsphere_source",
        Unit::Boolean,
        &["source"],
        Source::Vcenter(|vcenter, out| {
            for source in From::ALL {
                out.labelled(&[("source", source.as_str())], f64::from(u8::from(source == vcenter.source)));
            }
        }),
        "Where the numbers come from: 1 for `vcenter`, or for `esxi` while hosts are asked because the vCenter does not answer",
    ),
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
            // Hosts do not know what holds them.
            let known = if vcenter.source == From::Esxi { 4 } else { counts.len() };
            for (object, count) in &counts[..known] {
                out.labelled(&[("object", object)], *count as f64);
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
        "vsphere_vcenter_unreadable_values",
        Unit::Count,
        Source::Vcenter(|vcenter, out| out.maybe(vcenter.inventory.map(|inventory| inventory.unreadable as f64))),
        "Values of properties that are nested deeper than vSphere allows, such as a snapshot tree; what is read from them is absent",
    ),
    gauge(
        "vsphere_vcenter_undecided_vms",
        Unit::Count,
        Source::Vcenter(|vcenter, out| out.maybe(vcenter.inventory.map(|inventory| inventory.undecided as f64))),
        "VMs that are not shown yet, since what says whose they are is not known: tags that were not read, or of a VM that only its host knows",
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
    Metric {
        name: "vsphere_events_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        labels: &["event"],
        source: Source::Vcenter(|vcenter, out| {
            for (event, count) in vcenter.events.into_iter().flatten() {
                out.labelled(&[("event", event)], *count as f64);
            }
        }),
        help: "Events of the vCenter by their type, from an hour before the exporter first saw it; beyond 200 types, `other`",
    },
    labelled(
        "vsphere_licence_capacity",
        Unit::Count,
        &["licence", "edition"],
        Source::Vcenter(|vcenter, out| licences(vcenter, out, |licence| number(licence.capacity))),
        "What the licence is for, in its own unit, such as processors; absent where it has no limit",
    ),
    labelled(
        "vsphere_licence_used",
        Unit::Count,
        &["licence", "edition"],
        Source::Vcenter(|vcenter, out| licences(vcenter, out, |licence| number(licence.used))),
        "How much of the licence is used, in its own unit",
    ),
    labelled(
        "vsphere_licence_expiration_timestamp_seconds",
        Unit::Seconds,
        &["licence", "edition"],
        Source::Vcenter(|vcenter, out| licences(vcenter, out, |licence| moment(licence.end))),
        "When the licence ends, as Unix time; of several of one name, the first",
    ),
];

fn licences(vcenter: &VcenterView<'_>, out: &mut Series<'_>, value: fn(&Licence) -> Option<f64>) {
    for licence in vcenter.inventory.into_iter().flat_map(|inventory| &inventory.licences) {
        if let Some(value) = value(licence) {
            out.labelled(&[("licence", &licence.name), ("edition", &licence.edition)], value);
        }
    }
}
