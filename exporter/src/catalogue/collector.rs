//! The parts of the collection: how each of them went.

use super::{Kind, Metric, Source, Unit, gauge};

pub(super) static METRICS: &[Metric] = &[
    gauge(
        "vsphere_collector_success",
        Unit::Boolean,
        Source::Collector(|health, out| out.value(f64::from(u8::from(health.success)))),
        "Whether this part of the collection succeeded as a whole the last time",
    ),
    gauge(
        "vsphere_collector_duration_seconds",
        Unit::Seconds,
        Source::Collector(|health, out| out.value(health.duration.as_secs_f64())),
        "How long this part of the collection took the last time; of the inventory, its first reading",
    ),
    gauge(
        "vsphere_collector_last_success_timestamp_seconds",
        Unit::Seconds,
        Source::Collector(|health, out| out.maybe(health.last_success)),
        "When this part of the collection last succeeded as a whole, as Unix time; absent before the first success",
    ),
    gauge(
        "vsphere_collector_interval_seconds",
        Unit::Seconds,
        Source::Collector(|health, out| out.maybe(health.interval.map(|interval| interval.as_secs_f64()))),
        "Time between the starts of the last two collections: longer than configured when the vCenter is slow",
    ),
    gauge(
        "vsphere_collector_objects_expected",
        Unit::Count,
        Source::Collector(|health, out| {
            let hosts = health.hosts.map(|(known, _)| known);
            out.maybe(health.performance.map(|found| found.expected).or(hosts).map(|objects| objects as f64));
        }),
        "Objects whose samples were asked for; of `standby`, the hosts that the vCenter last told of",
    ),
    gauge(
        "vsphere_collector_objects_returned",
        Unit::Count,
        Source::Collector(|health, out| {
            let hosts = health.hosts.map(|(_, reached)| reached);
            out.maybe(health.performance.map(|found| found.returned).or(hosts).map(|objects| objects as f64));
        }),
        "Objects of which samples came; of `standby`, the hosts that answer",
    ),
    gauge(
        "vsphere_collector_objects_late",
        Unit::Count,
        Source::Collector(|health, out| out.maybe(health.performance.map(|found| found.late as f64))),
        "Objects that were not asked, since an earlier query that includes them has no answer yet",
    ),
    gauge(
        "vsphere_collector_sample_age_seconds",
        Unit::Seconds,
        Source::Collector(|health, out| out.maybe(health.performance.and_then(|found| found.sample_age))),
        "How old the newest sample was by the server's clock when it came",
    ),
    gauge(
        "vsphere_collector_batch_objects",
        Unit::Count,
        Source::Collector(|health, out| out.maybe(health.performance.map(|found| found.batch_size as f64))),
        "Objects in a performance query at most: fewer than configured when the vCenter could not answer",
    ),
    gauge(
        "vsphere_collector_batches_in_flight",
        Unit::Count,
        Source::Collector(|health, out| out.maybe(health.performance.map(|found| found.in_flight as f64))),
        "Performance queries at the same time at most",
    ),
    gauge(
        "vsphere_collector_sick_hosts",
        Unit::Count,
        Source::Collector(|health, out| out.maybe(health.performance.map(|found| found.sick_hosts as f64))),
        "Hosts that are asked by themselves, since a query that touched them failed",
    ),
    Metric {
        name: "vsphere_collector_samples_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        labels: &[],
        source: Source::Collector(|health, out| out.maybe(health.performance.map(|found| found.samples as f64))),
        help: "Samples that were taken in; goes on after a restart",
    },
    Metric {
        name: "vsphere_collector_samples_missing_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        labels: &[],
        source: Source::Collector(|health, out| out.maybe(health.performance.map(|found| found.missing as f64))),
        help: "Samples that series lack between two that they have: nobody had them any more",
    },
];
