//! The vCenter as a whole.

use super::{Metric, Source, Unit, labelled};
use crate::inventory::Object;

pub(super) static METRICS: &[Metric] = &[
    labelled(
        "vsphere_vcenter_duplicate_ids",
        Unit::Count,
        &["object"],
        Source::Vcenter(|vcenter, out| {
            for object in Object::ALL {
                out.labelled(&[("object", object.as_str())], vcenter.inventory.doubled(object) as f64);
            }
        }),
        "Objects whose id another object has too, so that their id label is extended to tell them apart",
    ),
    labelled(
        "vsphere_vcenter_unidentified_objects",
        Unit::Count,
        &["object"],
        Source::Vcenter(|vcenter, out| {
            for object in Object::ALL {
                out.labelled(&[("object", object.as_str())], vcenter.inventory.unidentified(object) as f64);
            }
        }),
        "Objects that vCenter tells too little of to show them: without a name, or VMs without an instance UUID",
    ),
];
