//! The exporter itself, on `/metrics`. `crate::metrics` fills them; a test compares the page with this table.

use super::{Kind, Metric, Source, Unit};

const fn own(
    name: &'static str,
    kind: Kind,
    unit: Unit,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind, unit, labels, source: Source::Own("exporter"), help }
}

pub(super) static METRICS: &[Metric] = &[
    own(
        "lynceus_exporter_collections_total",
        Kind::Counter,
        Unit::Count,
        &["vcenter"],
        "Parts of collections that were made",
    ),
    own(
        "lynceus_exporter_collections_failed_total",
        Kind::Counter,
        Unit::Count,
        &["vcenter"],
        "Parts of collections that failed",
    ),
    own("lynceus_exporter_sign_ins_total", Kind::Counter, Unit::Count, &["vcenter"], "Sessions opened on the vCenter"),
    own(
        "lynceus_exporter_vsphere_requests_total",
        Kind::Counter,
        Unit::Count,
        &["vcenter", "method"],
        "Requests sent to the vCenter, retries included",
    ),
    own(
        "lynceus_exporter_vsphere_requests_failed_total",
        Kind::Counter,
        Unit::Count,
        &["vcenter", "method", "reason"],
        "Requests to the vCenter without a usable answer, retries included",
    ),
    own(
        "lynceus_exporter_vsphere_request_duration_seconds",
        Kind::Histogram,
        Unit::Seconds,
        &["vcenter", "method"],
        "Time from sending a request to the vCenter to the end of its answer",
    ),
    own(
        "lynceus_exporter_vsphere_response_bytes_total",
        Kind::Counter,
        Unit::Bytes,
        &["vcenter"],
        "Size of the vCenter's answers after decompression",
    ),
    own(
        "lynceus_exporter_unpaired_series_total",
        Kind::Counter,
        Unit::Count,
        &["vcenter"],
        "Series of performance samples left out because they had another number of values than of timestamps",
    ),
    own(
        "lynceus_exporter_unavailable_counters",
        Kind::Gauge,
        Unit::Count,
        &["vcenter", "collector"],
        "Performance counters of the catalogue that the vCenter does not have, or has in another unit",
    ),
    own(
        "lynceus_exporter_unavailable_properties_total",
        Kind::Counter,
        Unit::Count,
        &["vcenter"],
        "Properties of objects that were left out, since this version of vSphere does not have them",
    ),
    own(
        "lynceus_exporter_stores_failed_total",
        Kind::Counter,
        Unit::Count,
        &["vcenter"],
        "Attempts to write counters and inventory to the storage path that failed",
    ),
    own(
        "lynceus_exporter_page_size_bytes",
        Kind::Gauge,
        Unit::Bytes,
        &["vcenter"],
        "Size of the page that is served for the vCenter, before compression",
    ),
    own(
        "lynceus_exporter_page_series",
        Kind::Gauge,
        Unit::Count,
        &["vcenter"],
        "Series on the page that is served for the vCenter",
    ),
    own(
        "lynceus_exporter_guests",
        Kind::Gauge,
        Unit::Count,
        &["vcenter"],
        "Guests that the rules say are collected, of the virtual machines that run",
    ),
    own(
        "lynceus_exporter_guest_handshakes_total",
        Kind::Counter,
        Unit::Count,
        &["vcenter"],
        "Connections to guests that were opened and signed in to",
    ),
    own(
        "lynceus_exporter_guest_collections_total",
        Kind::Counter,
        Unit::Count,
        &["vcenter"],
        "Collections of guests that were begun",
    ),
    own(
        "lynceus_exporter_guest_collections_failed_total",
        Kind::Counter,
        Unit::Count,
        &["vcenter", "reason"],
        "Collections of guests that failed",
    ),
    own(
        "lynceus_exporter_guest_collections_late_total",
        Kind::Counter,
        Unit::Count,
        &["vcenter"],
        "Collections of guests that were left out, since the one before took longer than the interval",
    ),
    own(
        "lynceus_exporter_ha_leader",
        Kind::Gauge,
        Unit::Boolean,
        &[],
        "Whether this exporter of a pair collects; absent without `ha` in the config, as all of the pair's metrics",
    ),
    own(
        "lynceus_exporter_ha_peer_up",
        Kind::Gauge,
        Unit::Boolean,
        &[],
        "Whether the other exporter of the pair was heard within the lease",
    ),
    own(
        "lynceus_exporter_ha_takeovers_total",
        Kind::Counter,
        Unit::Count,
        &[],
        "How often this exporter took the lead over from the other one",
    ),
    own(
        "lynceus_exporter_ha_state_age_seconds",
        Kind::Gauge,
        Unit::Seconds,
        &[],
        "Time since the leader last handed state to the other exporter, told by both; since the start where it never did",
    ),
];

/// What every daemon of Lynceus shows under its own prefix.
pub(super) static SHARED_METRICS: &[Metric] = &[
    own("lynceus_exporter_build_info", Kind::Gauge, Unit::Info, &["version"], "Version of this binary"),
    own(
        "lynceus_exporter_config_last_reload_successful",
        Kind::Gauge,
        Unit::Boolean,
        &[],
        "Whether the last attempt to load the config was successful",
    ),
    own(
        "lynceus_exporter_config_last_reload_success_timestamp_seconds",
        Kind::Gauge,
        Unit::Seconds,
        &[],
        "When the config was last loaded successfully, as Unix time",
    ),
];
