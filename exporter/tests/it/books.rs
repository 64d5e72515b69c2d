//! Counters on a page against the fleet's model, which is the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use lynceus_demo::eventually;
use lynceus_exporter::catalogue::{Class, Shown, Source, metrics};
use lynceus_fleet::model::{COUNTERS, Counter, Entity, Inventory, Model, Stats, Tick};

use crate::fleet::FleetEstate;
use crate::support::{Exporter, LIMIT};

/// How much more than the true sum a counter may be, or less.
const EXACT: f64 = 1e-9;

/// A line of a page: labels and value.
pub(crate) struct Line<'a> {
    pub(crate) name: &'a str,
    pub(crate) labels: Vec<(&'a str, String)>,
    pub(crate) value: f64,
}

impl Line<'_> {
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| *label == name).map(|(_, value)| value.as_str())
    }
}

/// A label's value up to its closing quote, and what follows it.
fn unescape(text: &str) -> (String, &str) {
    let (mut value, mut chars) = (String::new(), text.chars());
    loop {
        match chars.next().unwrap() {
            '"' => return (value, chars.as_str()),
            '\\' => value.push(match chars.next().unwrap() {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
}

/// All lines of a page.
pub(crate) fn lines(page: &str) -> impl Iterator<Item = Line<'_>> {
    page.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, mut rest) = series.split_once('{').unwrap_or((series, ""));
        let mut labels = Vec::new();
        while let Some((label, quoted)) = rest.split_once("=\"") {
            let (value, after) = unescape(quoted);
            labels.push((label, value));
            rest = after.trim_start_matches(',');
        }
        Line { name, labels, value: value.parse().unwrap() }
    })
}

/// What a label says on all lines of a metric.
pub(crate) fn values_of(page: &str, metric: &str, label: &str) -> BTreeSet<String> {
    let lines = lines(page).filter(|line| line.name == metric);
    lines.filter_map(|line| line.label(label).map(str::to_owned)).collect()
}

/// Identities of the VMs on a page; the fleet has two VMs of one.
pub(crate) fn vm_ids(page: &str) -> BTreeSet<String> {
    let ids = values_of(page, "vsphere_vm_info", "vm_id");
    ids.iter().map(|id| id.split(':').next().unwrap_or_default().to_owned()).collect()
}

/// What identifies a counter of an object: counter and device.
type Key = (Counter, String);

/// The counters of each VM or host on a page, in base units, by the object's name.
fn counters(page: &str, class: Class) -> BTreeMap<String, BTreeMap<Key, f64>> {
    let mut names = BTreeMap::new();
    for metric in metrics() {
        if let Source::Perf(of, counter, Shown::Total) = metric.source
            && of == class
            && let Some(info) = COUNTERS.iter().find(|info| info.counter.to_string() == counter.name)
        {
            names.insert(metric.name, (info.counter, metric.labels.first().copied()));
        }
    }
    let object = if class == Class::Vm { "vm" } else { "host" };
    let mut found: BTreeMap<String, BTreeMap<Key, f64>> = BTreeMap::new();
    for line in lines(page) {
        let Some((counter, device)) = names.get(line.name) else { continue };
        let device = device.and_then(|device| line.label(device)).unwrap_or_default().to_owned();
        let (object, value) = (line.label(object).unwrap().to_owned(), line.value);
        found.entry(object).or_default().insert((*counter, device), value);
    }
    found
}

/// One sample in base units: a rate is of 20 s.
fn base(counter: Counter) -> f64 {
    let info = counter.info();
    let unit = match info.unit {
        "millisecond" => 1e-3,
        "kiloBytesPerSecond" => 1024.0,
        "number" | "joule" | "second" => 1.0,
        other => panic!("{counter}: {other}"),
    };
    if info.stats == Stats::Rate { 20.0 * unit } else { unit }
}

/// Which samples the counters of each object are the sum of: after the first tick, up to and including the second.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) marks: BTreeMap<String, (Tick, Tick)>,
    /// Those of whole objects, from before each counter was looked at by itself.
    whole: Option<BTreeMap<String, (Tick, Tick)>>,
}

impl Books {
    /// From now on the counters of an object need not be at the same sample.
    pub(crate) fn take_apart(&mut self) {
        self.whole = Some(std::mem::take(&mut self.marks));
    }

    /// Looks into a page: the counters of each object have to be exactly the sum of its samples from where they began
    /// up to one that is later than that of the page before. All counters of an object have to agree.
    pub(crate) fn check(&mut self, estate: &FleetEstate, page: &str, class: Class, objects: usize) -> usize {
        let moment = estate.fleet.lab.moment();
        let (model, inventory) = (&moment.model, &moment.inventory);
        let now = estate.tick();
        let mut checked = 0;
        for (object, found) in counters(page, class).into_iter().take(objects) {
            let Some(entity) = entity(inventory, class, &object) else { continue };
            let first = model.origin().tick() - 2;
            let samples = samples(model, inventory, entity, first..now + 1, &found);
            checked += 1;
            let Some(whole) = &self.whole else {
                let before = self.marks.get(&object).copied();
                let fit = fit(&object, before, first..=now, &found, &samples);
                self.marks.insert(object, fit);
                continue;
            };
            for (key, value) in found {
                let name = format!("{object} {} {}", key.0, key.1);
                let before = self.marks.get(&name).or(whole.get(&object)).copied();
                let fit = fit(&name, before, first..=now, &BTreeMap::from([(key, value)]), &samples);
                self.marks.insert(name, fit);
            }
        }
        checked
    }

    /// The mark that is furthest behind.
    pub(crate) fn end(&self) -> Tick {
        self.marks.values().map(|(_, end)| *end).min().unwrap_or_default()
    }
}

/// Between which ticks all of these counters are sums of their samples.
fn fit(
    name: &str,
    before: Option<(Tick, Tick)>,
    ticks: RangeInclusive<Tick>,
    found: &BTreeMap<Key, f64>,
    samples: &BTreeMap<Key, Vec<i64>>,
) -> (Tick, Tick) {
    let (first, now) = (*ticks.start(), *ticks.end());
    let place = |tick: Tick| usize::try_from(tick - first).unwrap();
    let are_sums = |begin: Tick, end: Tick| {
        found.iter().all(|(key, value)| {
            let sums = &samples[key];
            let sum = (sums[place(end) + 1] - sums[place(begin) + 1]) as f64 * base(key.0);
            (sum - value).abs() <= EXACT * sum.abs().max(1e-3)
        })
    };
    let ends = |begin: Tick| (before.map_or(begin, |(_, end)| end)..=now).rev().map(move |end| (begin, end));
    let begins = before.map_or(first..=now, |(begin, _)| begin..=begin);
    let fits = begins.rev().flat_map(ends).find(|(begin, end)| are_sums(*begin, *end));
    fits.unwrap_or_else(|| {
        panic!("{name}: no samples of {first}..={now}, before {before:?}, give {found:?}\n{samples:?}")
    })
}

pub(crate) fn entity(inventory: &Inventory, class: Class, name: &str) -> Option<Entity> {
    match class {
        Class::Vm => inventory.vms.iter().find(|vm| vm.config.name == name).map(|vm| Entity::Vm(vm.id)),
        _ => inventory.hosts.iter().find(|host| host.config.name == name).map(|host| Entity::Host(host.id)),
    }
}

/// Sums of the samples from the first tick on, the first of them 0.
fn samples(
    model: &Arc<Model>,
    inventory: &Inventory,
    entity: Entity,
    ticks: std::ops::Range<Tick>,
    wanted: &BTreeMap<Key, f64>,
) -> BTreeMap<Key, Vec<i64>> {
    let counters: Vec<Counter> = wanted.keys().map(|(counter, _)| *counter).collect();
    let mut found = BTreeMap::new();
    for series in model.realtime_of(inventory, entity, ticks, Some(&counters)).series {
        let key = (series.counter, series.instance);
        if wanted.contains_key(&key) {
            let mut sum = 0;
            let rest = series.values.into_iter().map(|value| {
                sum += value.max(0);
                sum
            });
            found.insert(key, std::iter::once(0).chain(rest).collect());
        }
    }
    found
}

/// A page whose counters of VMs have been read up to this sample at least.
pub(crate) async fn exact_page(
    estate: &FleetEstate,
    exporter: &Exporter,
    books: &mut Books,
    until: Tick,
) -> (String, usize) {
    let page = eventually(LIMIT, &format!("samples up to {until}"), || async {
        let page = exporter.page().await?;
        anyhow::ensure!(page.contains("\nvsphere_vm_cpu_run_seconds_total{"), "no counters yet");
        Ok(page)
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}\n{}", exporter.process.log()));
    let mut page = page;
    let deadline = std::time::Instant::now() + LIMIT;
    loop {
        let checked = books.check(estate, &page, Class::Vm, usize::MAX);
        if books.end() >= until && checked > 0 {
            return (page, checked);
        }
        assert!(std::time::Instant::now() < deadline, "{} < {until}\n{}", books.end(), exporter.process.log());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        page = exporter.page().await.unwrap();
    }
}
