//! The parts of a collection: how each of them went.

use super::{Metric, Source, Unit, gauge};

pub(super) static METRICS: &[Metric] = &[
    gauge(
        "vsphere_collector_success",
        Unit::Boolean,
        Source::Collector(|health, out| out.value(f64::from(u8::from(health.success)))),
        "Whether this part of the last collection succeeded as a whole",
    ),
    gauge(
        "vsphere_collector_duration_seconds",
        Unit::Seconds,
        Source::Collector(|health, out| out.value(health.duration.as_secs_f64())),
        "How long this part of the last collection took",
    ),
    gauge(
        "vsphere_collector_last_success_timestamp_seconds",
        Unit::Seconds,
        Source::Collector(|health, out| out.maybe(health.last_success)),
        "When this part of a collection last succeeded as a whole, as Unix time; absent before the first success",
    ),
];
