//! Datastores.

use super::{Metric, Source, Unit, gauge, labelled};

pub(super) static METRICS: &[Metric] = &[
    labelled(
        "vsphere_datastore_info",
        Unit::Info,
        &["datacenter", "file_system"],
        Source::Datastore("parent, summary.type", |datastore, out| {
            out.labelled(&[("datacenter", &datastore.datacenter), ("file_system", &datastore.file_system)], 1.0);
        }),
        "Where the datastore belongs and what it is; a label is absent where it is not known",
    ),
    gauge(
        "vsphere_datastore_accessible",
        Unit::Boolean,
        Source::Datastore("summary.accessible", |datastore, out| {
            out.maybe(datastore.accessible.map(|accessible| f64::from(u8::from(accessible))));
        }),
        "Whether at least one host reaches the datastore",
    ),
    gauge(
        "vsphere_datastore_capacity_bytes",
        Unit::Bytes,
        Source::Datastore("summary.capacity", |datastore, out| {
            out.maybe(
                datastore.capacity_bytes.filter(|_| datastore.accessible == Some(true)).map(|bytes| bytes as f64),
            );
        }),
        "Size of the datastore; absent while it is not accessible",
    ),
    gauge(
        "vsphere_datastore_free_bytes",
        Unit::Bytes,
        Source::Datastore("summary.freeSpace", |datastore, out| {
            out.maybe(datastore.free_bytes.filter(|_| datastore.accessible == Some(true)).map(|bytes| bytes as f64));
        }),
        "Free space of the datastore, which vCenter refreshes every few minutes; absent while it is not accessible",
    ),
];
