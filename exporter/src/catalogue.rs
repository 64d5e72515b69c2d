//! Every metric of this exporter: name, unit, labels, where it comes from, what it means.
//!
//! One table per object, all in [`METRICS`]. The pages are encoded by walking it, and `exporter/metrics.json` and the
//! table in `docs/exporter.md` are printed from it, so that none of them can say something else.

mod collector;
mod datastore;
mod host;
mod own;
mod print;
mod vcenter;
mod vm;

pub use print::{json, markdown};

use crate::exposition::Series;
use crate::inventory::{Datastore, Host, Vm};
use crate::state::{Health, VcenterView};

/// All metrics, in the order of the pages.
pub static METRICS: &[&[Metric]] = &[
    vm::METRICS,
    host::METRICS,
    datastore::METRICS,
    vcenter::METRICS,
    collector::METRICS,
    own::METRICS,
    own::SHARED_METRICS,
];

/// All metrics, one after the other.
pub fn metrics() -> impl Iterator<Item = &'static Metric> {
    METRICS.iter().copied().flatten()
}

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name, as Prometheus sees it.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What it is measured in.
    pub unit: Unit,
    /// Labels beside those that identify the object.
    pub labels: &'static [&'static str],
    /// What it is of, and where it is read.
    pub source: Source,
    /// What it means: a phrase without a full stop.
    pub help: &'static str,
}

impl Metric {
    /// All labels of its samples, without those that Prometheus takes from the target.
    pub fn all_labels(&self) -> Vec<&'static str> {
        let identity: &[&str] = match self.source {
            Source::Vm(..) | Source::VmCounter(_) => &["vm_id", "vm", "team"],
            Source::Host(..) | Source::HostCounter(_) => &["host_id", "host"],
            Source::Datastore(..) => &["datastore_id", "datastore"],
            Source::Vcenter(..) => &[],
            Source::Collector(..) => &["collector"],
            Source::Own(_) => &[],
        };
        [identity, self.labels].concat()
    }

    /// The help text of the page, which names the origin of the number.
    pub fn full_help(&self) -> String {
        match self.source {
            Source::VmCounter(counter) | Source::HostCounter(counter) => {
                format!("{}, newest real-time sample ({})", self.help, counter.name)
            }
            Source::Vm(origin, _) | Source::Host(origin, _) | Source::Datastore(origin, _) => {
                format!("{} ({origin})", self.help)
            }
            Source::Vcenter(..) | Source::Collector(..) | Source::Own(_) => self.help.to_owned(),
        }
    }

    /// What the number is read from.
    pub fn origin(&self) -> &'static str {
        match self.source {
            Source::VmCounter(counter) | Source::HostCounter(counter) => counter.name,
            Source::Vm(origin, _) | Source::Host(origin, _) | Source::Datastore(origin, _) | Source::Own(origin) => {
                origin
            }
            Source::Vcenter(..) | Source::Collector(..) => "exporter",
        }
    }

    /// The page that shows it.
    pub fn page(&self) -> &'static str {
        if matches!(self.source, Source::Own(_)) { "/metrics" } else { "/vcenter/{name}/metrics" }
    }
}

/// Type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up.
    Counter,
    /// Counts observations by size.
    Histogram,
}

impl Kind {
    /// As the page and the catalogue write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// Unit of a metric: always a base unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// 0 to 1.
    Ratio,
    /// Cycles per second.
    Hertz,
    /// Bytes.
    Bytes,
    /// Bytes per second.
    BytesPerSecond,
    /// Seconds.
    Seconds,
    /// Joules per second.
    Watts,
    /// A count of what the name says.
    Count,
    /// One series for each state, 1 for the present one and 0 for the others.
    State,
    /// 0 for no, 1 for yes.
    Boolean,
    /// Always 1: the labels are what it tells.
    Info,
}

impl Unit {
    /// As the catalogue writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ratio => "ratio",
            Self::Hertz => "hertz",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "bytes_per_second",
            Self::Seconds => "seconds",
            Self::Watts => "watts",
            Self::Count => "count",
            Self::State => "state",
            Self::Boolean => "boolean",
            Self::Info => "info",
        }
    }
}

/// What a metric is of, and how its value is found. The text is the property it is read from.
#[derive(Debug)]
pub enum Source {
    /// Each virtual machine, from the inventory.
    Vm(&'static str, fn(&Vm, &mut Series<'_>)),
    /// Each virtual machine, from a performance counter.
    VmCounter(Counter),
    /// Each host, from the inventory.
    Host(&'static str, fn(&Host, &mut Series<'_>)),
    /// Each host, from a performance counter.
    HostCounter(Counter),
    /// Each datastore, from the inventory.
    Datastore(&'static str, fn(&Datastore, &mut Series<'_>)),
    /// The vCenter as a whole.
    Vcenter(fn(&VcenterView<'_>, &mut Series<'_>)),
    /// Each part of the collection.
    Collector(fn(&Health, &mut Series<'_>)),
    /// The exporter itself.
    Own(&'static str),
}

/// A vSphere performance counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// `group.name.rollup`, as VMware's documentation writes it.
    pub name: &'static str,
    /// The unit that vCenter has to give for it; a counter in another unit is not used.
    pub unit: CounterUnit,
}

/// Units of vSphere's counters, and what one of them is in base units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CounterUnit {
    /// Hundredths of a percent.
    Percent,
    /// Millions of cycles per second.
    MegaHertz,
    /// KiB.
    KiloBytes,
    /// KiB per second.
    KiloBytesPerSecond,
    /// Milliseconds.
    Millisecond,
    /// Milliseconds within the sample's interval, summed over the vCPUs.
    MillisecondsOfVcpus,
    /// Seconds.
    Second,
    /// Watts.
    Watt,
}

impl CounterUnit {
    /// The key of the unit in `PerfCounterInfo.unitInfo`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Percent => "percent",
            Self::MegaHertz => "megaHertz",
            Self::KiloBytes => "kiloBytes",
            Self::KiloBytesPerSecond => "kiloBytesPerSecond",
            Self::Millisecond | Self::MillisecondsOfVcpus => "millisecond",
            Self::Second => "second",
            Self::Watt => "watt",
        }
    }

    /// A sample in base units. `None` where what it has to be divided by is not known.
    pub fn convert(self, sample: i64, interval_seconds: u32, vcpus: Option<u32>) -> Option<f64> {
        let value = sample as f64;
        Some(match self {
            Self::Percent => value / 10_000.0,
            Self::MegaHertz => value * 1_000_000.0,
            Self::KiloBytes | Self::KiloBytesPerSecond => value * 1024.0,
            Self::Millisecond => value / 1000.0,
            Self::MillisecondsOfVcpus => {
                let vcpus = vcpus.filter(|vcpus| *vcpus > 0)?;
                if interval_seconds == 0 {
                    return None;
                }
                value / (f64::from(interval_seconds) * 1000.0 * f64::from(vcpus))
            }
            Self::Second | Self::Watt => value,
        })
    }
}

/// The counters that the tables name for virtual machines, in their order.
pub fn vm_counters() -> Vec<Counter> {
    metrics()
        .filter_map(|metric| if let Source::VmCounter(counter) = metric.source { Some(counter) } else { None })
        .collect()
}

/// The counters that the tables name for hosts, in their order.
pub fn host_counters() -> Vec<Counter> {
    metrics()
        .filter_map(|metric| if let Source::HostCounter(counter) = metric.source { Some(counter) } else { None })
        .collect()
}

const fn gauge(name: &'static str, unit: Unit, source: Source, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, labels: &[], source, help }
}

const fn labelled(
    name: &'static str,
    unit: Unit,
    labels: &'static [&'static str],
    source: Source,
    help: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, labels, source, help }
}

const fn counter(name: &'static str, unit: CounterUnit) -> Counter {
    Counter { name, unit }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_name_is_used_once_and_ends_in_its_unit() {
        let mut seen = HashSet::new();
        for metric in metrics() {
            assert!(seen.insert(metric.name), "{} is in the table twice", metric.name);
            assert!(!metric.help.ends_with('.'), "{}: a help text has no full stop", metric.name);
            let suffix = match metric.unit {
                Unit::Ratio | Unit::Hertz | Unit::Bytes | Unit::BytesPerSecond | Unit::Seconds | Unit::Watts => {
                    format!("_{}", metric.unit.as_str())
                }
                Unit::Info => "_info".to_owned(),
                Unit::State => "_state".to_owned(),
                Unit::Count | Unit::Boolean => String::new(),
            };
            let name = metric.name.strip_suffix("_total").unwrap_or(metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert!(name.ends_with(&suffix), "{}: expected the suffix `{suffix}`", metric.name);
        }
    }

    #[test]
    fn samples_come_out_in_base_units() {
        let check = |unit: CounterUnit, sample, expected| assert_eq!(unit.convert(sample, 20, Some(4)), Some(expected));
        check(CounterUnit::Percent, 454, 0.0454);
        check(CounterUnit::MegaHertz, 230, 230e6);
        check(CounterUnit::KiloBytes, 3, 3072.0);
        check(CounterUnit::KiloBytesPerSecond, 1, 1024.0);
        check(CounterUnit::Millisecond, 7, 0.007);
        check(CounterUnit::MillisecondsOfVcpus, 8000, 0.1);
        check(CounterUnit::Second, 9, 9.0);
        check(CounterUnit::Watt, 250, 250.0);
    }

    #[test]
    fn a_time_shared_by_vcpus_needs_their_number() {
        assert_eq!(CounterUnit::MillisecondsOfVcpus.convert(10, 20, None), None);
        assert_eq!(CounterUnit::MillisecondsOfVcpus.convert(10, 20, Some(0)), None);
        assert_eq!(CounterUnit::MillisecondsOfVcpus.convert(10, 0, Some(1)), None);
    }
}
