//! What is known of one vCenter, and since when. Pure: time comes in as a value.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::inventory::{Inventory, VmPower};
use crate::vsphere::Sample;

/// How many intervals a value stays without news.
const STAYS_FOR: u32 = 3;

/// ESXi makes a sample every 20 s: news cannot come faster, however short the interval.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(20);

/// What one collection found.
#[derive(Debug)]
pub struct Findings {
    /// All objects.
    pub inventory: Part<Arc<Inventory>>,
    /// Samples of VMs.
    pub vm_performance: Part<Vec<Reading>>,
    /// Samples of hosts.
    pub host_performance: Part<Vec<Reading>>,
}

impl Findings {
    /// How long it took, if all of it succeeded. What fails slowly must not make old values live longer.
    fn duration_of_success(&self) -> Option<Duration> {
        let Self { inventory, vm_performance, host_performance } = self;
        let success = inventory.error.is_none() && vm_performance.error.is_none() && host_performance.error.is_none();
        success.then(|| inventory.duration + vm_performance.duration + host_performance.duration)
    }
}

/// One part of a collection. It may have failed and found something all the same.
#[derive(Debug)]
pub struct Part<T> {
    /// What was found.
    pub found: Option<T>,
    /// What went wrong.
    pub error: Option<String>,
    /// How long it took.
    pub duration: Duration,
}

/// Samples of one object: its reference's id, then place in the list of counters and sample.
pub type Reading = (String, Vec<(usize, Sample)>);

/// How a part of the last collection went.
#[derive(Debug, Clone)]
pub struct Health {
    /// The label `collector`.
    pub collector: &'static str,
    /// Whether all of it succeeded.
    pub success: bool,
    /// How long it took.
    pub duration: Duration,
    /// When it last succeeded, as Unix time.
    pub last_success: Option<f64>,
}

/// What the metrics of the vCenter as a whole are made of.
#[derive(Debug)]
pub struct VcenterView<'a> {
    /// Its objects.
    pub inventory: &'a Inventory,
}

/// Everything that is known of a vCenter.
#[derive(Debug)]
pub struct State {
    interval: Duration,
    last_duration: Duration,
    inventory: Option<(Arc<Inventory>, Instant)>,
    vms: Readings,
    hosts: Readings,
    health: Vec<Health>,
}

impl State {
    /// Nothing yet.
    pub fn new(interval: Duration) -> Self {
        let (vms, hosts) = (Readings::default(), Readings::default());
        Self { interval, last_duration: Duration::ZERO, inventory: None, vms, hosts, health: Vec::new() }
    }

    /// Takes in what a collection found. `unix_time` is the same moment as `now`.
    pub fn apply(&mut self, findings: Findings, now: Instant, unix_time: f64) {
        if let Some(duration) = findings.duration_of_success() {
            self.last_duration = duration;
        }
        self.note("inventory", &findings.inventory, unix_time);
        self.note("vm_performance", &findings.vm_performance, unix_time);
        self.note("host_performance", &findings.host_performance, unix_time);
        self.vms.apply(findings.vm_performance.found.unwrap_or_default(), now);
        self.hosts.apply(findings.host_performance.found.unwrap_or_default(), now);
        if let Some(inventory) = findings.inventory.found {
            // Readings of before must not come back when a VM is switched on again.
            let running = |vm: &&crate::inventory::Vm| vm.power == Some(VmPower::On);
            self.vms.keep(inventory.vms.iter().filter(running).map(|vm| vm.moref.as_str()));
            self.hosts.keep(inventory.hosts.iter().map(|host| host.moref.as_str()));
            self.inventory = Some((inventory, now));
        }
    }

    fn note<T>(&mut self, collector: &'static str, part: &Part<T>, unix_time: f64) {
        let success = part.error.is_none();
        let before = self.health.iter().position(|health| health.collector == collector);
        let before = before.map(|place| self.health.remove(place)).and_then(|health| health.last_success);
        let last_success = if success { Some(unix_time) } else { before };
        self.health.push(Health { collector, success, duration: part.duration, last_success });
    }

    /// Whether objects were ever seen.
    pub fn has_begun(&self) -> bool {
        self.inventory.is_some()
    }

    /// The objects, unless they were last seen too long ago.
    pub fn inventory(&self, now: Instant) -> Option<&Arc<Inventory>> {
        let (inventory, seen) = self.inventory.as_ref()?;
        (now.duration_since(*seen) <= self.max_age()).then_some(inventory)
    }

    /// The newest sample of a VM, unless there was no newer one for too long.
    pub fn vm_sample(&self, moref: &str, place: usize, now: Instant) -> Option<Sample> {
        self.vms.fresh(moref, place, now, self.max_age())
    }

    /// The same for a host.
    pub fn host_sample(&self, moref: &str, place: usize, now: Instant) -> Option<Sample> {
        self.hosts.fresh(moref, place, now, self.max_age())
    }

    /// How the parts of the last collection went.
    pub fn health(&self) -> &[Health] {
        &self.health
    }

    /// How long a value stays without news. A collection that takes longer than the interval stretches it.
    pub fn max_age(&self) -> Duration {
        self.interval.max(SAMPLE_INTERVAL).max(self.last_duration) * STAYS_FOR
    }
}

/// The newest sample of each counter, by object, and when it was news.
#[derive(Debug, Default)]
struct Readings(HashMap<String, Vec<Option<(Sample, Instant)>>>);

impl Readings {
    fn apply(&mut self, readings: Vec<Reading>, now: Instant) {
        for (moref, samples) in readings {
            let known = self.0.entry(moref).or_default();
            for (place, sample) in samples {
                if known.len() <= place {
                    known.resize(place + 1, None);
                }
                // The same sample again is no news: its age goes on.
                if known[place].is_none_or(|(old, _)| old.time != sample.time) {
                    known[place] = Some((sample, now));
                }
            }
        }
    }

    fn keep<'a>(&mut self, morefs: impl Iterator<Item = &'a str>) {
        let morefs: std::collections::HashSet<_> = morefs.collect();
        self.0.retain(|moref, _| morefs.contains(moref.as_str()));
    }

    fn fresh(&self, moref: &str, place: usize, now: Instant, max_age: Duration) -> Option<Sample> {
        let (sample, news) = (*self.0.get(moref)?.get(place)?)?;
        (now.duration_since(news) <= max_age).then_some(sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::build;
    use crate::ownership::Ownership;
    use crate::vsphere::{MoRef, Object, Property};

    const INTERVAL: Duration = Duration::from_secs(30);

    fn inventory(power: &str) -> Part<Arc<Inventory>> {
        let property = |text: &str| Property { text: text.to_owned(), ref_type: None };
        let properties = [("name", "web"), ("config.instanceUuid", "u"), ("runtime.powerState", power)]
            .map(|(name, text)| (name.to_owned(), property(text)));
        let reference = MoRef { kind: "VirtualMachine".to_owned(), id: "vm-1".to_owned() };
        let object = Object { reference, properties: properties.into_iter().collect() };
        found(Arc::new(build(vec![object], &Ownership::default())))
    }

    fn found<T>(found: T) -> Part<T> {
        Part { found: Some(found), error: None, duration: Duration::ZERO }
    }

    fn failed<T>() -> Part<T> {
        Part { found: None, error: Some("down".to_owned()), duration: Duration::ZERO }
    }

    fn sample(second: i64) -> Vec<Reading> {
        let time = jiff::Timestamp::from_second(second).unwrap();
        vec![("vm-1".to_owned(), vec![(0, Sample { time, interval: 20, value: second })])]
    }

    fn collected(power: &str, second: i64) -> Findings {
        let vm_performance = found(sample(second));
        Findings { inventory: inventory(power), vm_performance, host_performance: found(Vec::new()) }
    }

    fn down() -> Findings {
        Findings { inventory: failed(), vm_performance: failed(), host_performance: failed() }
    }

    fn shown(state: &State, now: Instant) -> (bool, Option<i64>) {
        (state.inventory(now).is_some(), state.vm_sample("vm-1", 0, now).map(|sample| sample.value))
    }

    #[test]
    fn a_value_stays_for_three_intervals_without_news() {
        let (start, mut state) = (Instant::now(), State::new(INTERVAL));
        state.apply(collected("poweredOn", 1), start, 100.0);
        for failures in 1..=3 {
            state.apply(down(), start + INTERVAL * failures, 100.0);
            assert_eq!(shown(&state, start + INTERVAL * failures), (true, Some(1)));
        }
        assert_eq!(shown(&state, start + INTERVAL * 3 + Duration::from_millis(1)), (false, None));
    }

    #[test]
    fn the_same_sample_again_is_no_news() {
        let (start, mut state) = (Instant::now(), State::new(INTERVAL));
        for collections in 0..5 {
            state.apply(collected("poweredOn", 1), start + INTERVAL * collections, 100.0);
        }
        assert_eq!(shown(&state, start + INTERVAL * 4), (true, None));
        state.apply(collected("poweredOn", 2), start + INTERVAL * 5, 100.0);
        assert_eq!(shown(&state, start + INTERVAL * 5), (true, Some(2)));
    }

    #[test]
    fn a_vm_that_is_switched_off_has_no_readings() {
        let (start, mut state) = (Instant::now(), State::new(INTERVAL));
        state.apply(collected("poweredOn", 1), start, 100.0);
        state.apply(collected("poweredOff", 1), start + INTERVAL, 130.0);
        assert_eq!(shown(&state, start + INTERVAL), (true, None));
    }

    #[test]
    fn a_failed_part_keeps_the_time_of_its_last_success() {
        let (start, mut state) = (Instant::now(), State::new(INTERVAL));
        state.apply(collected("poweredOn", 1), start, 100.0);
        state.apply(down(), start + INTERVAL, 130.0);
        let health: Vec<_> = state.health().iter().map(|h| (h.collector, h.success, h.last_success)).collect();
        let expected = ["inventory", "vm_performance", "host_performance"].map(|name| (name, false, Some(100.0)));
        assert_eq!(health, expected);
    }

    #[test]
    fn a_slow_failure_brings_nothing_back() {
        let (start, mut state) = (Instant::now(), State::new(INTERVAL));
        state.apply(collected("poweredOn", 1), start, 100.0);
        let mut slow = down();
        slow.inventory.duration = INTERVAL * 20;
        state.apply(slow, start + INTERVAL * 20, 100.0);
        assert_eq!(shown(&state, start + INTERVAL * 20), (false, None));
    }

    #[test]
    fn a_slow_collection_stretches_the_age() {
        let (start, mut state) = (Instant::now(), State::new(INTERVAL));
        let mut slow = collected("poweredOn", 1);
        slow.inventory.duration = INTERVAL * 4;
        state.apply(slow, start, 100.0);
        assert_eq!(shown(&state, start + INTERVAL * 8), (true, Some(1)));
    }
}
