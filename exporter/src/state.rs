//! What is known of one vCenter, and since when. Pure: time comes in as a value.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::catalogue::Class;
use crate::events::Events;
use crate::inventory::{Inventory, VmPower};
use crate::ledger::{Cell, Ledger, StoredLedger};
use crate::standby::Source;
use crate::vsphere::methods::About;

/// How many intervals a gauge stays without news.
const GAUGE_STAYS_FOR: u32 = 3;

/// How many intervals a counter does. Frozen it would be a rate of 0, and a double one when it goes on.
const COUNTER_STAYS_FOR: u32 = 2;

/// How a part of the collection went the last time.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// The label `collector`.
    pub collector: &'static str,
    /// Whether all of it succeeded.
    pub success: bool,
    /// What went wrong.
    pub error: Option<String>,
    /// How long it took.
    pub duration: Duration,
    /// When it last succeeded, as Unix time.
    pub last_success: Option<f64>,
    /// From the start of the one before to its start.
    pub interval: Option<Duration>,
    /// How a part that asks for samples went.
    pub performance: Option<Performance>,
    /// Of a part that asks hosts: how many there are, and how many answer.
    pub hosts: Option<(usize, usize)>,
}

/// How a part that asks for samples went.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Performance {
    /// Objects that were to be asked.
    pub expected: usize,
    /// Objects that samples came of.
    pub returned: usize,
    /// Objects that were left out, since an earlier query that includes them is still open.
    pub late: usize,
    /// Age of the newest sample, in seconds.
    pub sample_age: Option<f64>,
    /// Objects in a query at most.
    pub batch_size: usize,
    /// Queries at the same time at most.
    pub in_flight: usize,
    /// Hosts that are asked by themselves.
    pub sick_hosts: usize,
    /// Samples that were taken in, ever.
    pub samples: u64,
    /// Samples that nobody had any more, ever.
    pub missing: u64,
}

/// What the metrics of the vCenter as a whole are made of.
#[derive(Debug, Clone, Copy)]
pub struct VcenterView<'a> {
    /// Where the numbers come from.
    pub source: Source,
    /// Its objects.
    pub inventory: Option<&'a Inventory>,
    /// What it says of itself.
    pub about: Option<&'a About>,
    /// How far its clock is ahead, in seconds.
    pub clock_skew: Option<f64>,
    /// When its certificate ends, in Unix milliseconds.
    pub certificate_end: Option<i64>,
    /// How many events there were of each type.
    pub events: Option<&'a BTreeMap<String, u64>>,
}

/// Everything that is known of a vCenter.
#[derive(Debug)]
pub struct State {
    inventory: Option<Arc<Inventory>>,
    /// Since when nobody keeps the inventory true; `None` while somebody does.
    inventory_unkept_since: Option<Instant>,
    /// When the vCenter last answered.
    last_answer: Option<Instant>,
    source: Source,
    /// What hosts tell in the vCenter's place, and when they last did.
    standby: Option<(Arc<Inventory>, Instant)>,
    intervals: [Duration; Class::ALL.len()],
    ledgers: [Ledger; Class::ALL.len()],
    health: Vec<Health>,
    /// What there was before the exporter was started.
    pub stored_inventory: Option<Arc<Inventory>>,
    /// What the server says of itself.
    pub about: Option<About>,
    /// How far its clock is ahead, in seconds.
    pub clock_skew: Option<f64>,
    /// When its certificate ends, in Unix milliseconds.
    pub certificate_end: Option<i64>,
    /// What happened in it.
    pub events: Events,
}

impl State {
    /// Nothing yet. `interval` is that of collections.
    pub fn new(interval: Duration) -> Self {
        Self {
            inventory: None,
            inventory_unkept_since: None,
            last_answer: None,
            source: Source::Vcenter,
            standby: None,
            intervals: Class::ALL.map(|class| least_interval(class).max(interval)),
            ledgers: Class::ALL.map(|class| Ledger::new(class.counters())),
            health: Vec::new(),
            stored_inventory: None,
            about: None,
            clock_skew: None,
            certificate_end: None,
            events: Events::default(),
        }
    }

    /// Takes in what there is now.
    pub fn replace_inventory(&mut self, inventory: Arc<Inventory>) {
        self.inventory = Some(inventory);
    }

    /// Somebody keeps the inventory true.
    pub fn kept(&mut self, now: Instant) {
        self.inventory_unkept_since = None;
        self.answered(now);
    }

    /// Nobody keeps the inventory true any more.
    pub fn unkept(&mut self, now: Instant) {
        self.inventory_unkept_since.get_or_insert(now);
    }

    /// The vCenter answered.
    pub fn answered(&mut self, now: Instant) {
        self.last_answer = Some(self.last_answer.map_or(now, |last| last.max(now)));
    }

    /// When the vCenter last answered.
    pub fn last_answer(&self) -> Option<Instant> {
        self.last_answer
    }

    /// Whom the numbers come from now on. Where that is the hosts, all parts that ask the vCenter have failed.
    pub fn switch(&mut self, source: Source, reason: &str) {
        (self.source, self.standby) = (source, None);
        if source == Source::Esxi {
            for health in self.health.iter_mut().filter(|health| health.success) {
                (health.success, health.error) = (false, Some(reason.to_owned()));
            }
        }
    }

    /// Takes in what hosts tell in the vCenter's place.
    pub fn take_hosts(&mut self, inventory: Arc<Inventory>, now: Instant) {
        self.standby = Some((inventory, now));
    }

    /// What the hosts told is still so.
    pub fn hosts_answer(&mut self, now: Instant) {
        if let Some((_, last)) = &mut self.standby {
            *last = now;
        }
    }

    /// A part of the collection is over.
    pub fn withdraw(&mut self, collector: &str) {
        self.health.retain(|health| health.collector != collector);
    }

    /// Notes how a part of the collection went. `unix_time` is now.
    pub fn note(&mut self, mut health: Health, unix_time: f64) {
        let before = self.health.iter().position(|other| other.collector == health.collector);
        health.success = health.error.is_none();
        match before {
            Some(place) => {
                let last = self.health[place].last_success;
                health.last_success = if health.success { Some(unix_time) } else { last };
                self.health[place] = health;
            }
            None => {
                health.last_success = health.success.then_some(unix_time);
                self.health.push(health);
                self.health.sort_by_key(|health| health.collector);
            }
        }
    }

    /// The time between two collections of a class, as it is now.
    pub fn set_interval(&mut self, class: Class, interval: Duration) {
        self.intervals[class as usize] = least_interval(class).max(interval);
    }

    /// A part that goes on all the time still does. `unix_time` is now.
    pub fn goes_on(&mut self, collector: &str, unix_time: f64) {
        if let Some(health) = self.health.iter_mut().find(|health| health.collector == collector && health.success) {
            health.last_success = Some(unix_time);
        }
    }

    /// Whether objects were ever seen.
    pub fn has_begun(&self) -> bool {
        self.inventory.is_some() || self.standby.is_some()
    }

    /// What the vCenter told last of its objects, however old.
    pub fn last_inventory(&self) -> Option<&Arc<Inventory>> {
        self.inventory.as_ref()
    }

    /// The objects, unless they were last known to be true too long ago. What hosts tell goes before what the vCenter did.
    pub fn inventory(&self, now: Instant) -> Option<&Arc<Inventory>> {
        let max_age = self.max_age();
        let recent = |since: Instant| now.saturating_duration_since(since) <= max_age;
        if let Some((inventory, last)) = &self.standby {
            return recent(*last).then_some(inventory);
        }
        let kept = self.inventory_unkept_since.is_none_or(recent) && self.last_answer.is_some_and(recent);
        self.inventory.as_ref().filter(|_| kept)
    }

    /// How long ago the objects were last known to be true.
    pub fn inventory_age(&self, now: Instant) -> Option<Duration> {
        let since = [self.inventory_unkept_since, self.last_answer].into_iter().flatten().min()?;
        self.inventory.as_ref().map(|_| now.saturating_duration_since(since))
    }

    /// How the parts of the collection went, by name.
    pub fn health(&self) -> &[Health] {
        &self.health
    }

    /// The books of a class.
    pub fn ledger(&self, class: Class) -> &Ledger {
        &self.ledgers[class as usize]
    }

    /// The books of a class, to write in.
    pub fn ledger_mut(&mut self, class: Class) -> &mut Ledger {
        &mut self.ledgers[class as usize]
    }

    /// Joins what another exporter counted with what is counted here.
    pub fn join(&mut self, class: Class, stored: StoredLedger) {
        self.ledger_mut(class).restore(stored);
        let (samples, missing) = self.ledger(class).totals();
        let mut health = self.health.iter_mut().filter(|health| health.collector == class.collector());
        if let Some(performance) = health.find_map(|health| health.performance.as_mut()) {
            (performance.samples, performance.missing) = (samples, missing);
        }
    }

    /// Whether a series may be shown as a gauge.
    pub fn shows_gauge(&self, class: Class, cell: &Cell, now: Instant) -> bool {
        cell.is_fresh(now, self.intervals[class as usize] * GAUGE_STAYS_FOR)
    }

    /// Whether a series may be shown as a counter.
    pub fn shows_counter(&self, class: Class, cell: &Cell, now: Instant) -> bool {
        cell.is_fresh(now, self.intervals[class as usize] * COUNTER_STAYS_FOR)
    }

    /// How long the inventory stays without news.
    pub fn max_age(&self) -> Duration {
        self.intervals[Class::Vm as usize] * GAUGE_STAYS_FOR
    }

    /// What the metrics of the vCenter as a whole are made of.
    pub fn vcenter(&self, now: Instant) -> VcenterView<'_> {
        VcenterView {
            source: self.source,
            inventory: self.inventory(now).map(|inventory| &**inventory),
            about: self.about.as_ref(),
            clock_skew: self.clock_skew.filter(|_| self.source == Source::Vcenter),
            certificate_end: self.certificate_end,
            events: self.events.counts(now, self.intervals[Class::Vm as usize] * COUNTER_STAYS_FOR),
        }
    }
}

/// News cannot come faster than samples are made, however short the interval.
fn least_interval(class: Class) -> Duration {
    Duration::from_secs(u64::from(class.sample_interval()))
}

/// Whether samples of a VM can be there.
pub fn is_measured(vm: &crate::inventory::Vm) -> bool {
    vm.power == Some(VmPower::On) && vm.connected
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    fn begun() -> (State, Instant) {
        let (mut state, start) = (State::new(INTERVAL), Instant::now());
        state.replace_inventory(Arc::default());
        state.kept(start);
        (state, start)
    }

    #[test]
    fn an_inventory_stays_for_three_intervals_after_nobody_keeps_it() {
        let (mut state, start) = begun();
        state.unkept(start);
        state.unkept(start + INTERVAL);
        state.answered(start + INTERVAL * 4);
        assert!(state.inventory(start + INTERVAL * 3).is_some());
        assert!(state.inventory(start + INTERVAL * 3 + Duration::from_millis(1)).is_none());
        assert_eq!(state.inventory_age(start + INTERVAL * 5), Some(INTERVAL * 5));
        state.kept(start + INTERVAL * 4);
        assert!(state.inventory(start + INTERVAL * 4).is_some());
    }

    #[test]
    fn an_inventory_that_is_kept_stays_while_the_vcenter_answers() {
        let (mut state, start) = begun();
        assert!(state.inventory(start + INTERVAL * 4).is_none());
        state.answered(start + INTERVAL * 4);
        assert!(state.inventory(start + INTERVAL * 7).is_some());
    }

    #[test]
    fn what_hosts_tell_is_shown_while_they_answer_and_is_not_what_the_vcenter_told() {
        let (mut state, start) = begun();
        let told = state.last_inventory().cloned();
        state.switch(Source::Esxi, "down");
        let of_hosts = Arc::new(Inventory { templates: 7, ..Inventory::default() });
        state.take_hosts(of_hosts, start + INTERVAL * 4);
        state.hosts_answer(start + INTERVAL * 5);
        let shown = |state: &State, intervals| state.inventory(start + INTERVAL * intervals).map(|i| i.templates);
        assert_eq!((shown(&state, 8), shown(&state, 9)), (Some(7), None));
        assert!(Arc::ptr_eq(&told.unwrap(), state.last_inventory().unwrap()));
        state.switch(Source::Vcenter, "");
        state.kept(start + INTERVAL * 9);
        assert_eq!(shown(&state, 9), Some(0));
    }

    #[test]
    fn parts_that_ask_the_vcenter_have_failed_when_its_hosts_are_asked() {
        let (mut state, _) = begun();
        state.note(Health { collector: "inventory", ..Health::default() }, 100.0);
        state.switch(Source::Esxi, "down");
        let health = &state.health()[0];
        assert_eq!((health.success, health.error.as_deref(), health.last_success), (false, Some("down"), Some(100.0)));
    }

    #[test]
    fn a_slow_vcenter_stretches_the_age() {
        let (mut state, start) = begun();
        state.set_interval(Class::Vm, INTERVAL * 2);
        assert!(state.inventory(start + INTERVAL * 6).is_some());
    }

    #[test]
    fn a_failed_part_keeps_the_time_of_its_last_success() {
        let (mut state, _) = begun();
        let health =
            |error: Option<&str>| Health { collector: "events", error: error.map(str::to_owned), ..Health::default() };
        state.note(health(None), 100.0);
        state.note(health(Some("down")), 130.0);
        let found: Vec<_> = state.health().iter().map(|h| (h.collector, h.success, h.last_success)).collect();
        assert_eq!(found, [("events", false, Some(100.0))]);
    }
}
