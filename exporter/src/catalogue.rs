//! Every metric of this exporter: name, unit, labels, where it comes from, what it means.
//!
//! One table per object, all in [`METRICS`]. The pages are encoded by walking it, and `exporter/metrics.json` and
//! `docs/metrics.md` are printed from it, so that none of them can say something else.

mod cluster;
mod collector;
mod datastore;
mod host;
mod network;
mod own;
mod pool;
mod print;
mod vcenter;
mod vm;

pub use print::{json, markdown};

use crate::exposition::Series;
use crate::inventory::{Alarm, Cluster, Datastore, Host, Network, Pool, Status, Vm};
use crate::state::{Health, VcenterView};

/// All metrics, in the order of the pages.
pub static METRICS: &[&[Metric]] = &[
    vm::METRICS,
    host::METRICS,
    datastore::METRICS,
    network::METRICS,
    cluster::METRICS,
    pool::METRICS,
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
            Source::Vm(..) | Source::Perf(Class::Vm, ..) => &["vm_id", "vm", "team"],
            Source::Host(..) | Source::Perf(Class::Host, ..) => &["host_id", "host"],
            Source::Datastore(..) | Source::Perf(Class::Datastore, ..) => &["datastore_id", "datastore"],
            Source::Network(..) => &["network_id", "network"],
            Source::Cluster(..) | Source::Perf(Class::Cluster, ..) => &["cluster_id", "cluster"],
            Source::Pool(..) => &["resource_pool_id", "resource_pool"],
            Source::Collector(..) => &["collector"],
            Source::Vcenter(..) | Source::Own(_) => &[],
        };
        [identity, self.labels].concat()
    }

    /// The help text of the page, which names the origin of the number.
    pub fn full_help(&self) -> String {
        match self.source {
            Source::Perf(_, counter, shown) => format!("{}, {} ({})", self.help, shown.as_str(), counter.name),
            Source::Vm(origin, _)
            | Source::Host(origin, _)
            | Source::Datastore(origin, _)
            | Source::Network(origin, _)
            | Source::Cluster(origin, _)
            | Source::Pool(origin, _) => format!("{} ({origin})", self.help),
            Source::Vcenter(..) | Source::Collector(..) | Source::Own(_) => self.help.to_owned(),
        }
    }

    /// What the number is read from.
    pub fn origin(&self) -> &'static str {
        match self.source {
            Source::Perf(_, counter, _) => counter.name,
            Source::Vm(origin, _)
            | Source::Host(origin, _)
            | Source::Datastore(origin, _)
            | Source::Network(origin, _)
            | Source::Cluster(origin, _)
            | Source::Pool(origin, _)
            | Source::Own(origin) => origin,
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
    /// Not said, as node_exporter does where the kernel does not.
    Untyped,
}

impl Kind {
    /// As the page and the catalogue write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
            Self::Untyped => "untyped",
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
    /// Joules.
    Joules,
    /// Degrees.
    Celsius,
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
            Self::Joules => "joules",
            Self::Celsius => "celsius",
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
    /// Each host, from the inventory.
    Host(&'static str, fn(&Host, &mut Series<'_>)),
    /// Each datastore, from the inventory.
    Datastore(&'static str, fn(&Datastore, &mut Series<'_>)),
    /// Each network, from the inventory.
    Network(&'static str, fn(&Network, &mut Series<'_>)),
    /// Each cluster, from the inventory.
    Cluster(&'static str, fn(&Cluster, &mut Series<'_>)),
    /// Each resource pool, from the inventory.
    Pool(&'static str, fn(&Pool, &mut Series<'_>)),
    /// Each object of a class, from a performance counter.
    Perf(Class, Counter, Shown),
    /// The vCenter as a whole.
    Vcenter(fn(&VcenterView<'_>, &mut Series<'_>)),
    /// Each part of the collection.
    Collector(fn(&Health, &mut Series<'_>)),
    /// The exporter itself.
    Own(&'static str),
}

/// Objects that performance is asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Virtual machines: real-time samples of 20 s.
    Vm,
    /// Hosts: real-time samples of 20 s.
    Host,
    /// Datastores: vCenter's roll-ups of 5 min.
    Datastore,
    /// Clusters: vCenter's roll-ups of 5 min.
    Cluster,
}

impl Class {
    /// All of them, by their number.
    pub const ALL: [Self; 4] = [Self::Vm, Self::Host, Self::Datastore, Self::Cluster];

    /// The type in vSphere.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Vm => "VirtualMachine",
            Self::Host => "HostSystem",
            Self::Datastore => "Datastore",
            Self::Cluster => "ClusterComputeResource",
        }
    }

    /// The value of the label `collector`.
    pub const fn collector(self) -> &'static str {
        match self {
            Self::Vm => "vm_performance",
            Self::Host => "host_performance",
            Self::Datastore => "datastore_performance",
            Self::Cluster => "cluster_performance",
        }
    }

    /// The value of the label `object`, and of the field of that name.
    pub const fn object(self) -> &'static str {
        match self {
            Self::Vm => "vm",
            Self::Host => "host",
            Self::Datastore => "datastore",
            Self::Cluster => "cluster",
        }
    }

    /// Whether its samples are made by vCenter from those of hosts, and kept in its database.
    pub const fn is_rolled_up(self) -> bool {
        matches!(self, Self::Datastore | Self::Cluster)
    }

    /// The length of its samples, in seconds.
    pub fn sample_interval(self) -> u32 {
        match self {
            Self::Vm | Self::Host => 20,
            Self::Datastore | Self::Cluster => 300,
        }
    }

    /// The counters that the tables name, each once, in their order.
    pub fn counters(self) -> Vec<Counter> {
        let mut found: Vec<Counter> = Vec::new();
        for metric in metrics() {
            if let Source::Perf(class, counter, _) = metric.source
                && class == self
                && !found.contains(&counter)
            {
                found.push(counter);
            }
        }
        found
    }
}

/// A vSphere performance counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// `group.name.rollup`, as VMware's documentation writes it.
    pub name: &'static str,
    /// The unit that vCenter has to give for it; a counter in another unit is not used.
    pub unit: CounterUnit,
    /// Whether it is asked of each device, not of the object as a whole.
    pub by_instance: bool,
}

/// What is shown of a counter's samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The mean of the samples since the collection before.
    Mean,
    /// The highest of them.
    Peak,
    /// The mean, of a time that all virtual CPUs share, as a part of the time of one.
    MeanOfVcpus,
    /// The highest of these.
    PeakOfVcpus,
    /// The newest sample.
    Newest,
    /// The sum of all samples there ever were.
    Total,
}

impl Shown {
    /// In words, for help texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mean | Self::MeanOfVcpus => "mean of the samples since the collection before",
            Self::Peak | Self::PeakOfVcpus => "highest sample since the collection before",
            Self::Newest => "newest sample",
            Self::Total => "sum of all samples",
        }
    }
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
    /// Seconds.
    Second,
    /// Watts.
    Watt,
    /// Joules.
    Joule,
    /// What the name says, within the sample.
    Number,
    /// What the name says, per second.
    NumberPerSecond,
}

impl CounterUnit {
    /// The key of the unit in `PerfCounterInfo.unitInfo`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Percent => "percent",
            Self::MegaHertz => "megaHertz",
            Self::KiloBytes => "kiloBytes",
            Self::KiloBytesPerSecond => "kiloBytesPerSecond",
            Self::Millisecond => "millisecond",
            Self::Second => "second",
            Self::Watt => "watt",
            Self::Joule => "joule",
            Self::Number | Self::NumberPerSecond => "number",
        }
    }

    /// What a sample of so many seconds counts in a sum: a rate holds for all of them.
    pub fn weight(self, interval_seconds: u32) -> u64 {
        match self {
            Self::KiloBytesPerSecond | Self::NumberPerSecond | Self::Watt => u64::from(interval_seconds),
            _ => 1,
        }
    }

    /// A value in base units.
    pub fn base(self, value: f64) -> f64 {
        match self {
            Self::Percent => value / 10_000.0,
            Self::MegaHertz => value * 1_000_000.0,
            Self::KiloBytes | Self::KiloBytesPerSecond => value * 1024.0,
            Self::Millisecond => value / 1000.0,
            Self::Second | Self::Watt | Self::Joule | Self::Number | Self::NumberPerSecond => value,
        }
    }
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

/// A gauge that is read from a counter of the object as a whole.
const fn sampled(
    name: &'static str,
    unit: Unit,
    class: Class,
    counter: Counter,
    shown: Shown,
    help: &'static str,
) -> Metric {
    gauge(name, unit, Source::Perf(class, counter, shown), help)
}

/// A counter that sums up the samples of one of vSphere's.
const fn summed(name: &'static str, unit: Unit, class: Class, counter: Counter, help: &'static str) -> Metric {
    let source = Source::Perf(class, counter, Shown::Total);
    Metric { name, kind: Kind::Counter, unit, labels: &[], source, help }
}

/// The same for each device: its name is the label.
const fn of_devices(metric: Metric, label: &'static [&'static str]) -> Metric {
    Metric { labels: label, ..metric }
}

const fn counter(name: &'static str, unit: CounterUnit) -> Counter {
    Counter { name, unit, by_instance: false }
}

const fn device_counter(name: &'static str, unit: CounterUnit) -> Counter {
    Counter { name, unit, by_instance: true }
}

/// A yes or no, where it is known.
fn boolean(value: Option<bool>) -> Option<f64> {
    value.map(|value| f64::from(u8::from(value)))
}

/// A whole number, where it is known.
fn number(value: Option<u64>) -> Option<f64> {
    value.map(|value| value as f64)
}

/// A moment as Unix time, where it is known.
fn moment(milliseconds: Option<i64>) -> Option<f64> {
    milliseconds.map(|milliseconds| milliseconds as f64 / 1000.0)
}

/// Alarms by name: 1 for yellow, 2 for red.
fn alarm_severity(alarms: &[Alarm], out: &mut Series<'_>) {
    for alarm in alarms {
        out.labelled(&[("alarm", &alarm.name)], if alarm.status == Status::Red { 2.0 } else { 1.0 });
    }
}

fn alarm_acknowledged(alarms: &[Alarm], out: &mut Series<'_>) {
    for alarm in alarms {
        out.labelled(&[("alarm", &alarm.name)], f64::from(u8::from(alarm.acknowledged)));
    }
}

const ALARM_SEVERITY: &str = "Triggered alarms of vCenter: 1 for a warning (yellow), 2 for an alert (red)";
const ALARM_ACKNOWLEDGED: &str = "Whether somebody has acknowledged the triggered alarm";

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
                Unit::Ratio
                | Unit::Hertz
                | Unit::Bytes
                | Unit::BytesPerSecond
                | Unit::Seconds
                | Unit::Watts
                | Unit::Joules
                | Unit::Celsius => format!("_{}", metric.unit.as_str()),
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
        let check = |unit: CounterUnit, sample, expected| assert_eq!(unit.base(sample), expected);
        check(CounterUnit::Percent, 454.0, 0.0454);
        check(CounterUnit::MegaHertz, 230.0, 230e6);
        check(CounterUnit::KiloBytes, 3.0, 3072.0);
        check(CounterUnit::KiloBytesPerSecond, 1.0, 1024.0);
        check(CounterUnit::Millisecond, 7.0, 0.007);
        check(CounterUnit::Second, 9.0, 9.0);
        check(CounterUnit::Watt, 250.0, 250.0);
    }

    #[test]
    fn a_counter_that_is_shown_in_two_ways_is_asked_for_once() {
        for class in Class::ALL {
            let counters = class.counters();
            let names: HashSet<_> = counters.iter().map(|counter| (counter.name, counter.by_instance)).collect();
            assert_eq!(names.len(), counters.len(), "{class:?}: a counter stands in the tables with two units");
        }
    }
}
