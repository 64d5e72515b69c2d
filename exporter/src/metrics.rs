//! The exporter's metrics about itself. Names and help texts are in the catalogue.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use crate::catalogue::{self, Class};
use crate::guest;
use crate::vsphere::{FailureReason, Method};

/// What all names begin with.
pub const PREFIX: &str = "lynceus_exporter";

/// From a fast answer of a small vCenter to the default time limit.
const BUCKETS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByVcenter {
    vcenter: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByCollector {
    vcenter: String,
    collector: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByMethod {
    vcenter: String,
    method: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByGuestReason {
    vcenter: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    vcenter: String,
    method: &'static str,
    reason: &'static str,
}

/// Clones are the same metrics.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Families>);

#[derive(Debug)]
struct Families {
    collections: Family<ByVcenter, Counter>,
    collections_failed: Family<ByVcenter, Counter>,
    sign_ins: Family<ByVcenter, Counter>,
    requests: Family<ByMethod, Counter>,
    requests_failed: Family<ByReason, Counter>,
    request_duration: Family<ByMethod, Histogram>,
    response_bytes: Family<ByVcenter, Counter>,
    unpaired_series: Family<ByVcenter, Counter>,
    unavailable_counters: Family<ByCollector, Gauge>,
    unavailable_properties: Family<ByVcenter, Counter>,
    stores_failed: Family<ByVcenter, Counter>,
    page_size: Family<ByVcenter, Gauge>,
    page_series: Family<ByVcenter, Gauge>,
    guests: Family<ByVcenter, Gauge>,
    guest_handshakes: Family<ByVcenter, Counter>,
    guest_collections: Family<ByVcenter, Counter>,
    guest_collections_failed: Family<ByGuestReason, Counter>,
    guest_collections_late: Family<ByVcenter, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self(Arc::new(Families {
            collections: Family::default(),
            collections_failed: Family::default(),
            sign_ins: Family::default(),
            requests: Family::default(),
            requests_failed: Family::default(),
            request_duration: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            response_bytes: Family::default(),
            unpaired_series: Family::default(),
            unavailable_counters: Family::default(),
            unavailable_properties: Family::default(),
            stores_failed: Family::default(),
            page_size: Family::default(),
            page_series: Family::default(),
            guests: Family::default(),
            guest_handshakes: Family::default(),
            guest_collections: Family::default(),
            guest_collections_failed: Family::default(),
            guest_collections_late: Family::default(),
        }))
    }
}

impl Metrics {
    /// Shows them on `/metrics`. The registry adds the prefix.
    pub fn register(&self, registry: &mut Registry) {
        let families = &self.0;
        register(registry, "collections_total", families.collections.clone());
        register(registry, "collections_failed_total", families.collections_failed.clone());
        register(registry, "sign_ins_total", families.sign_ins.clone());
        register(registry, "vsphere_requests_total", families.requests.clone());
        register(registry, "vsphere_requests_failed_total", families.requests_failed.clone());
        register(registry, "vsphere_request_duration_seconds", families.request_duration.clone());
        register(registry, "vsphere_response_bytes_total", families.response_bytes.clone());
        register(registry, "unpaired_series_total", families.unpaired_series.clone());
        register(registry, "unavailable_counters", families.unavailable_counters.clone());
        register(registry, "unavailable_properties_total", families.unavailable_properties.clone());
        register(registry, "stores_failed_total", families.stores_failed.clone());
        register(registry, "page_size_bytes", families.page_size.clone());
        register(registry, "page_series", families.page_series.clone());
        register(registry, "guests", families.guests.clone());
        register(registry, "guest_handshakes_total", families.guest_handshakes.clone());
        register(registry, "guest_collections_total", families.guest_collections.clone());
        register(registry, "guest_collections_failed_total", families.guest_collections_failed.clone());
        register(registry, "guest_collections_late_total", families.guest_collections_late.clone());
    }

    /// Starts all counters of a vCenter at 0, so that the first failure is an increase.
    pub fn announce(&self, vcenter: &str) {
        let by_vcenter = by(vcenter);
        for family in [
            &self.0.collections,
            &self.0.collections_failed,
            &self.0.sign_ins,
            &self.0.response_bytes,
            &self.0.unpaired_series,
            &self.0.unavailable_properties,
            &self.0.stores_failed,
            &self.0.guest_handshakes,
            &self.0.guest_collections,
            &self.0.guest_collections_late,
        ] {
            drop(family.get_or_create(&by_vcenter));
        }
        drop(self.0.guests.get_or_create(&by_vcenter));
        for reason in guest::REASONS {
            drop(self.0.guest_collections_failed.get_or_create(&ByGuestReason { vcenter: vcenter.to_owned(), reason }));
        }
        for method in Method::ALL.iter().copied().map(Method::as_str) {
            drop(self.0.requests.get_or_create(&ByMethod { vcenter: vcenter.to_owned(), method }));
            for reason in FailureReason::ALL.map(FailureReason::as_str) {
                let labels = ByReason { vcenter: vcenter.to_owned(), method, reason };
                drop(self.0.requests_failed.get_or_create(&labels));
            }
        }
    }

    /// A vCenter that is no longer in the config.
    pub fn withdraw(&self, vcenter: &str) {
        let by_vcenter = by(vcenter);
        let families = &self.0;
        for family in [
            &families.collections,
            &families.collections_failed,
            &families.sign_ins,
            &families.response_bytes,
            &families.unpaired_series,
            &families.unavailable_properties,
            &families.stores_failed,
            &families.guest_handshakes,
            &families.guest_collections,
            &families.guest_collections_late,
        ] {
            family.remove(&by_vcenter);
        }
        for family in [&families.page_size, &families.page_series, &families.guests] {
            family.remove(&by_vcenter);
        }
        for reason in guest::REASONS {
            families.guest_collections_failed.remove(&ByGuestReason { vcenter: vcenter.to_owned(), reason });
        }
        for class in Class::ALL {
            families.unavailable_counters.remove(&by_collector(vcenter, class));
        }
        for method in Method::ALL.iter().copied().map(Method::as_str) {
            let by_method = ByMethod { vcenter: vcenter.to_owned(), method };
            families.requests.remove(&by_method);
            families.request_duration.remove(&by_method);
            for reason in FailureReason::ALL.map(FailureReason::as_str) {
                families.requests_failed.remove(&ByReason { vcenter: vcenter.to_owned(), method, reason });
            }
        }
    }

    pub(crate) fn collection(&self, vcenter: &str, success: bool) {
        self.0.collections.get_or_create(&by(vcenter)).inc();
        if !success {
            self.0.collections_failed.get_or_create(&by(vcenter)).inc();
        }
    }

    pub(crate) fn signed_in(&self, vcenter: &str) {
        self.0.sign_ins.get_or_create(&by(vcenter)).inc();
    }

    pub(crate) fn request(&self, vcenter: &str, method: Method, duration: Duration) {
        let labels = ByMethod { vcenter: vcenter.to_owned(), method: method.as_str() };
        self.0.requests.get_or_create(&labels).inc();
        self.0.request_duration.get_or_create(&labels).observe(duration.as_secs_f64());
    }

    pub(crate) fn request_failed(&self, vcenter: &str, method: Method, reason: FailureReason) {
        let labels = ByReason { vcenter: vcenter.to_owned(), method: method.as_str(), reason: reason.as_str() };
        self.0.requests_failed.get_or_create(&labels).inc();
    }

    pub(crate) fn response_bytes(&self, vcenter: &str, bytes: usize) {
        self.0.response_bytes.get_or_create(&by(vcenter)).inc_by(bytes as u64);
    }

    pub(crate) fn unpaired_series(&self, vcenter: &str, series: usize) {
        self.0.unpaired_series.get_or_create(&by(vcenter)).inc_by(series as u64);
    }

    pub(crate) fn unavailable_counters(&self, vcenter: &str, class: Class, counters: usize) {
        self.0.unavailable_counters.get_or_create(&by_collector(vcenter, class)).set(to_i64(counters));
    }

    pub(crate) fn unavailable_property(&self, vcenter: &str) {
        self.0.unavailable_properties.get_or_create(&by(vcenter)).inc();
    }

    pub(crate) fn store_failed(&self, vcenter: &str) {
        self.0.stores_failed.get_or_create(&by(vcenter)).inc();
    }

    pub(crate) fn page(&self, vcenter: &str, bytes: usize, series: usize) {
        self.0.page_size.get_or_create(&by(vcenter)).set(to_i64(bytes));
        self.0.page_series.get_or_create(&by(vcenter)).set(to_i64(series));
    }
}

impl Metrics {
    pub(crate) fn guests(&self, vcenter: &str, guests: usize) {
        self.0.guests.get_or_create(&by(vcenter)).set(to_i64(guests));
    }

    pub(crate) fn guest_handshake(&self, vcenter: &str) {
        self.0.guest_handshakes.get_or_create(&by(vcenter)).inc();
    }

    pub(crate) fn guest_collection(&self, vcenter: &str, failure: Option<&'static str>) {
        self.0.guest_collections.get_or_create(&by(vcenter)).inc();
        if let Some(reason) = failure {
            let labels = ByGuestReason { vcenter: vcenter.to_owned(), reason };
            self.0.guest_collections_failed.get_or_create(&labels).inc();
        }
    }

    pub(crate) fn guest_late(&self, vcenter: &str, beats: u64) {
        self.0.guest_collections_late.get_or_create(&by(vcenter)).inc_by(beats);
    }
}

/// The library appends `_total` to the name of a counter and a full stop to the help text.
pub(crate) fn register(registry: &mut Registry, name: &str, metric: impl Metric) {
    let full = format!("{PREFIX}_{name}");
    let help = catalogue::metrics().find(|metric| metric.name == full).map_or("", |metric| metric.help);
    registry.register(name.strip_suffix("_total").unwrap_or(name), help, metric);
}

fn by(vcenter: &str) -> ByVcenter {
    ByVcenter { vcenter: vcenter.to_owned() }
}

fn by_collector(vcenter: &str, class: Class) -> ByCollector {
    ByCollector { vcenter: vcenter.to_owned(), collector: class.collector() }
}

fn to_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
