//! A day of virtual machines of the fleet, as the exporter shows and Prometheus scrapes them every 30 s: all metrics of
//! `exporter/metrics.json` that a VM has, with the values of the fleet's model where they come from a counter.

use std::collections::HashMap;

use anyhow::Context;
use lynceus_demo::repository;
use lynceus_fleet::model::{COUNTERS, Counter, Entity, Model, Power, Size, Stats, TICK_MILLIS, Time, Vm};
use serde::Deserialize;

use crate::messages::{Label, Sample, TimeSeries};

pub(crate) const DAY: i64 = 86_400_000;
const STEP: i64 = 30_000;
/// Scrapes of a series that are sent at once: ten minutes.
const BLOCK: i64 = 20;

/// Which corpus.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) vms: u32,
    /// Milliseconds by which scrapes are late, at most. All series of a scrape share theirs.
    pub(crate) jitter: u64,
}

#[derive(Deserialize)]
struct Contract {
    metrics: Vec<Metric>,
}

#[derive(Deserialize)]
struct Metric {
    name: String,
    r#type: String,
    unit: String,
    labels: Vec<String>,
    source: String,
}

/// Where the values of a series come from.
enum Source {
    /// A counter of the model; of its instances each is a series.
    Counter(Counter),
    /// What changes seldom, or never.
    Constant(f64),
}

/// A series, from block to block.
struct Series {
    labels: Vec<Label>,
    place: Option<usize>,
    total: i64,
    constant: f64,
}

/// Calls back with all samples of the day, block by block, series by series, in the order of time. Returns their number.
pub(crate) fn day(
    shape: Shape,
    start: i64,
    mut each: impl FnMut(Vec<TimeSeries>) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    let contract = std::fs::read(repository().join("exporter/metrics.json")).context("exporter/metrics.json")?;
    let contract: Contract = serde_json::from_slice(&contract)?;
    let metrics: Vec<_> = contract.metrics.iter().filter(|metric| metric.name.starts_with("vsphere_vm_")).collect();
    let counters: Vec<Counter> = metrics.iter().filter_map(|metric| counter(metric)).collect();
    let model = Model::new(1, Size::of(shape.vms), Time(start));
    let inventory = model.inventory(Time(start));
    let vms: Vec<&Vm> = inventory.vms.iter().filter(|vm| vm.power == Power::On).collect();
    let mut known: HashMap<(usize, usize, String), Series> = HashMap::new();
    let mut count = 0;
    for block in (0..DAY / STEP).step_by(usize::try_from(BLOCK)?) {
        let scrapes: Vec<i64> = (block..block + BLOCK).map(|scrape| start + scrape * STEP).collect();
        let first = (start + (block - 1) * STEP).div_euclid(TICK_MILLIS) + 1;
        let last = (start + (block + BLOCK - 1) * STEP).div_euclid(TICK_MILLIS) + 1;
        for (vm_place, vm) in vms.iter().enumerate() {
            let samples = model.realtime_of(&inventory, Entity::Vm(vm.id), first..last, Some(&counters)).series;
            let mut block = Vec::new();
            for (metric_place, metric) in metrics.iter().enumerate() {
                let source = match counter(metric) {
                    Some(counter) => Source::Counter(counter),
                    None => Source::Constant(constant(vm, metric)),
                };
                for (instance, place) in instances(metric, &source, &samples) {
                    let key = (vm_place, metric_place, instance.clone());
                    let series = known.entry(key).or_insert_with(|| Series {
                        labels: labels(metric, vm, &instance),
                        place,
                        total: 0,
                        constant: if let Source::Constant(value) = source { value } else { 0.0 },
                    });
                    let ticks = series.place.map(|place| &samples[place].values[..]);
                    let mut of = Vec::with_capacity(scrapes.len());
                    for at in &scrapes {
                        let new = (at - STEP).div_euclid(TICK_MILLIS) + 1..at.div_euclid(TICK_MILLIS) + 1;
                        let value = match ticks {
                            Some(ticks) => {
                                let new =
                                    &ticks[usize::try_from(new.start - first)?..usize::try_from(new.end - first)?];
                                value(metric, new, &mut series.total)
                            }
                            None => series.constant,
                        };
                        of.push(Sample { value, timestamp: at + late(*at, shape.jitter) });
                    }
                    count += of.len();
                    block.push(TimeSeries { labels: series.labels.clone(), samples: of });
                }
            }
            each(block)?;
        }
    }
    Ok(count)
}

fn counter(metric: &Metric) -> Option<Counter> {
    let of = |info: &lynceus_fleet::model::CounterInfo| {
        format!("{}.{}.{}", info.group, info.name, info.rollup.name()) == metric.source
    };
    COUNTERS.iter().find(|info| of(info)).map(|info| info.counter)
}

/// Instances that a metric has series of, with their places among the samples.
fn instances(
    metric: &Metric,
    source: &Source,
    samples: &[lynceus_fleet::model::Series],
) -> Vec<(String, Option<usize>)> {
    match source {
        Source::Counter(counter) => {
            let is_whole = !metric.labels.iter().any(|label| label == "disk");
            let own = samples.iter().enumerate().filter(|(_, series)| series.counter == *counter);
            own.filter(|(_, series)| series.instance.is_empty() == is_whole)
                .map(|(place, series)| (series.instance.clone(), Some(place)))
                .collect()
        }
        // One of three states holds.
        Source::Constant(_) if metric.unit == "state" => {
            ["on", "off", "suspended"].map(|state| (state.to_owned(), None)).to_vec()
        }
        Source::Constant(_) => vec![(String::new(), None)],
    }
}

/// As the exporter computes it: totals of whole numbers, means, peaks.
fn value(metric: &Metric, new: &[i64], total: &mut i64) -> f64 {
    let info = counter(metric).map(Counter::info);
    let (unit, rate) = info.map_or(("", false), |info| (info.unit, matches!(info.stats, Stats::Rate)));
    let scale = |value: f64| match (metric.unit.as_str(), unit) {
        ("ratio", "percent") => value / 10_000.0,
        ("ratio", "millisecond") => value / 20_000.0,
        ("seconds", "millisecond") => value / 1_000.0,
        ("hertz", _) => value * 1e6,
        (_, "kiloBytes" | "kiloBytesPerSecond") => value * 1_024.0,
        _ => value,
    };
    let seconds = if rate { TICK_MILLIS / 1_000 } else { 1 };
    *total += new.iter().map(|value| value.max(&0) * seconds).sum::<i64>();
    if metric.r#type == "counter" {
        return scale(*total as f64);
    }
    if metric.name.contains("_peak") {
        return scale(new.iter().copied().max().unwrap_or(0) as f64);
    }
    scale(new.iter().sum::<i64>() as f64 / new.len().max(1) as f64)
}

fn constant(vm: &Vm, metric: &Metric) -> f64 {
    let sum: usize = metric.name.bytes().chain(vm.config.name.bytes()).map(usize::from).sum();
    match metric.unit.as_str() {
        "bytes" => (sum << 20) as f64,
        "state" | "info" | "boolean" => (sum % 2) as f64,
        _ => (sum % 8) as f64,
    }
}

fn labels(metric: &Metric, vm: &Vm, instance: &str) -> Vec<Label> {
    let label = |name: &str, value: &str| Label { name: name.to_owned(), value: value.to_owned() };
    let (job, vcenter) = ("vsphere", "vc01.example.net");
    let mut labels = vec![
        label("__name__", &metric.name),
        label("instance", vcenter),
        label("job", job),
        label("team", "payments"),
        label("vcenter", vcenter),
        label("vm", &vm.config.name),
        label("vm_id", &vm.config.instance_uuid),
    ];
    if !instance.is_empty() {
        labels.push(label(if metric.unit == "state" { "state" } else { "disk" }, instance));
    }
    labels.sort_by(|one, other| one.name.cmp(&other.name));
    labels
}

/// A hash of the time, so that each run has the same corpus.
fn late(at: i64, jitter: u64) -> i64 {
    let mixed = at.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // Some milliseconds.
    ((mixed >> 32) % (jitter + 1)) as i64
}
