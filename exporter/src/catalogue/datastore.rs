//! Datastores.

use super::CounterUnit::{KiloBytesPerSecond, Millisecond, NumberPerSecond};
use super::Shown::Newest;
use super::{
    ALARM_ACKNOWLEDGED, ALARM_SEVERITY, Class, Counter, Metric, Source, Unit, alarm_acknowledged, alarm_severity,
    boolean, counter, gauge, labelled, number,
};

/// A roll-up of vCenter: the mean of five minutes, some minutes late.
const fn rolled_up(name: &'static str, unit: Unit, counter: Counter, help: &'static str) -> Metric {
    super::sampled(name, unit, Class::Datastore, counter, Newest, help)
}

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
        Source::Datastore("summary.accessible", |datastore, out| out.maybe(boolean(datastore.accessible))),
        "Whether at least one host reaches the datastore",
    ),
    labelled(
        "vsphere_datastore_health_state",
        Unit::State,
        &["state"],
        Source::Datastore("overallStatus", |datastore, out| out.states(datastore.status)),
        "What vCenter thinks of the datastore as a whole",
    ),
    labelled(
        "vsphere_datastore_maintenance_state",
        Unit::State,
        &["state"],
        Source::Datastore("summary.maintenanceMode", |datastore, out| out.states(datastore.maintenance)),
        "Whether the datastore is in use, being emptied for maintenance, or in maintenance",
    ),
    gauge(
        "vsphere_datastore_capacity_bytes",
        Unit::Bytes,
        Source::Datastore("summary.capacity", |datastore, out| {
            out.maybe(number(datastore.capacity_bytes.filter(|_| datastore.accessible == Some(true))));
        }),
        "Size of the datastore; absent while it is not accessible",
    ),
    gauge(
        "vsphere_datastore_free_bytes",
        Unit::Bytes,
        Source::Datastore("summary.freeSpace", |datastore, out| {
            out.maybe(number(datastore.free_bytes.filter(|_| datastore.accessible == Some(true))));
        }),
        "Free space of the datastore, which vCenter refreshes every few minutes; absent while it is not accessible",
    ),
    gauge(
        "vsphere_datastore_uncommitted_bytes",
        Unit::Bytes,
        Source::Datastore("summary.uncommitted", |datastore, out| {
            out.maybe(number(datastore.uncommitted_bytes.filter(|_| datastore.accessible == Some(true))));
        }),
        "What thin disks may take more when they fill up; absent while the datastore is not accessible",
    ),
    labelled(
        "vsphere_datastore_alarm_severity",
        Unit::Count,
        &["alarm"],
        Source::Datastore("triggeredAlarmState", |datastore, out| alarm_severity(&datastore.alarms, out)),
        ALARM_SEVERITY,
    ),
    labelled(
        "vsphere_datastore_alarm_acknowledged",
        Unit::Boolean,
        &["alarm"],
        Source::Datastore("triggeredAlarmState", |datastore, out| alarm_acknowledged(&datastore.alarms, out)),
        ALARM_ACKNOWLEDGED,
    ),
    rolled_up(
        "vsphere_datastore_read_latency_seconds",
        Unit::Seconds,
        counter("datastore.totalReadLatency.average", Millisecond),
        "Time that a read command takes, mean of five minutes",
    ),
    rolled_up(
        "vsphere_datastore_write_latency_seconds",
        Unit::Seconds,
        counter("datastore.totalWriteLatency.average", Millisecond),
        "Time that a write command takes, mean of five minutes",
    ),
    rolled_up(
        "vsphere_datastore_reads_per_second",
        Unit::Count,
        counter("datastore.numberReadAveraged.average", NumberPerSecond),
        "Read commands per second, mean of five minutes",
    ),
    rolled_up(
        "vsphere_datastore_writes_per_second",
        Unit::Count,
        counter("datastore.numberWriteAveraged.average", NumberPerSecond),
        "Write commands per second, mean of five minutes",
    ),
    rolled_up(
        "vsphere_datastore_read_bytes_per_second",
        Unit::BytesPerSecond,
        counter("datastore.read.average", KiloBytesPerSecond),
        "Data read, mean of five minutes",
    ),
    rolled_up(
        "vsphere_datastore_write_bytes_per_second",
        Unit::BytesPerSecond,
        counter("datastore.write.average", KiloBytesPerSecond),
        "Data written, mean of five minutes",
    ),
];
