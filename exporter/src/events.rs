//! The book of events: how many there were of each type, and the newest of them.
//!
//! Each event counts once, whatever is read twice and whenever the exporter was restarted: what was counted is known by
//! number and time for as long as it may come again. Pure: time comes in as a value.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::inventory::{Inventory, Vm};
use crate::vsphere::Event;

/// Types that are told apart; no vCenter is meant to have so many.
pub const MAX_TYPES: usize = 200;

/// What the rest of them counts as.
pub const OTHER: &str = "other";

/// Events that stay readable.
pub const MAX_KEPT: usize = 1000;

/// An event may be written so much later than it says: several are written at a time, and a host tells what it did while
/// it was cut off.
const OVERLAP_MILLIS: i64 = 120_000;

/// Where a first reading begins.
const FIRST_MILLIS: i64 = 3_600_000;

/// How far an event may be ahead of the server's clock, which is asked for in another moment.
const AHEAD_MILLIS: i64 = 60_000;

/// Types that alerts wait for: they begin at 0, so that the first one is an increase.
const EXPECTED: [&str; 12] = [
    "AlarmStatusChangedEvent",
    "BadUsernameSessionEvent",
    "DasHostFailedEvent",
    "DrsVmMigratedEvent",
    "HostConnectionLostEvent",
    "HostDisconnectedEvent",
    "VmCreatedEvent",
    "VmMigratedEvent",
    "VmPoweredOffEvent",
    "VmPoweredOnEvent",
    "VmRemovedEvent",
    "VmRestartedOnAlternateHostEvent",
];

/// The book of one vCenter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Events {
    counts: BTreeMap<String, u64>,
    /// By time and number.
    newest: BTreeMap<(i64, i64), Kept>,
    /// All events before this moment are in the book, by the server's clock, in Unix milliseconds; 0 at the beginning.
    settled: i64,
    /// Those in the book that are not before it.
    counted: BTreeSet<(i64, i64)>,
    /// When events were last read as a whole.
    #[serde(skip)]
    read: Option<Instant>,
}

/// An event that stays readable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The event.
    pub event: Event,
    /// Identity and team of the VM that it is about, at that time.
    pub vm: Option<(String, String)>,
}

/// What came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Events that were not in the book.
    pub seen: usize,
    /// Those of them that counted.
    pub counted: usize,
}

/// What to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// From when on, by the server's clock, in Unix milliseconds.
    pub begin: i64,
    /// Whether what comes is known already, and must not count.
    pub known: bool,
    now: i64,
}

impl Events {
    /// Of two books of one vCenter the one that is further on.
    pub fn further(self, other: Self) -> Self {
        let position =
            |events: &Self| (events.settled, events.counted.last().copied(), events.counts.values().sum::<u64>());
        if position(&other) > position(&self) { other } else { self }
    }

    /// What to ask for. `server_now` is the server's clock.
    pub fn next(&self, server_now: i64) -> Reading {
        let (begin, known) = if self.settled == 0 {
            (server_now - FIRST_MILLIS, false)
        } else if self.settled > server_now + AHEAD_MILLIS {
            // The clock went back: what lies ahead of it was counted, and its numbers are gone for the most part.
            (server_now, true)
        } else {
            (self.settled, false)
        };
        Reading { begin, known, now: server_now }
    }

    /// Takes in a part of what came.
    pub fn take(&mut self, reading: Reading, events: Vec<Event>, inventory: Option<&Inventory>) -> Taken {
        let mut taken = Taken::default();
        for event in events {
            let place = (event.time, event.key);
            // A simulator sends what is older as well.
            if event.time < reading.begin || !self.counted.insert(place) {
                continue;
            }
            taken.seen += 1;
            if reading.known {
                continue;
            }
            taken.counted += 1;
            self.count(&event.kind);
            let vm = event.vm().and_then(|moref| owner(inventory?, moref));
            self.newest.insert(place, Kept { event, vm });
            if self.newest.len() > MAX_KEPT {
                self.newest.pop_first();
            }
        }
        taken
    }

    /// All of it came.
    pub fn settle(&mut self, reading: Reading, now: Instant) {
        let newest = self.counted.last().map_or(0, |(time, _)| *time);
        self.settled = reading.begin.max(newest.min(reading.now) - OVERLAP_MILLIS);
        self.counted = self.counted.split_off(&(self.settled, i64::MIN));
        self.read = Some(now);
        if self.counts.is_empty() {
            self.counts.extend(EXPECTED.map(|kind| (kind.to_owned(), 0)));
        }
    }

    fn count(&mut self, kind: &str) {
        if self.counts.is_empty() {
            self.counts.extend(EXPECTED.map(|kind| (kind.to_owned(), 0)));
        }
        let kind = if self.counts.contains_key(kind) || self.counts.len() < MAX_TYPES { kind } else { OTHER };
        *self.counts.entry(kind.to_owned()).or_default() += 1;
    }

    /// Says whose the VMs are that were not known when their event came, such as new ones.
    pub fn name_owners(&mut self, inventory: &Inventory) {
        for kept in self.newest.values_mut().filter(|kept| kept.vm.is_none()) {
            kept.vm = kept.event.vm().and_then(|moref| owner(inventory, moref));
        }
    }

    /// How many there were of each type; nothing where they were last read too long ago.
    pub fn counts(&self, now: Instant, max_age: Duration) -> Option<&BTreeMap<String, u64>> {
        let fresh = self.read.is_some_and(|read| now.saturating_duration_since(read) <= max_age);
        fresh.then_some(&self.counts)
    }

    /// Those that stay readable, newest first.
    pub fn newest(&self) -> impl Iterator<Item = &Kept> {
        self.newest.values().rev()
    }
}

fn owner(inventory: &Inventory, moref: &str) -> Option<(String, String)> {
    // Sorted by reference.
    let place = inventory.vms.binary_search_by(|vm: &Vm| vm.moref.as_str().cmp(moref)).ok()?;
    let vm = &inventory.vms[place];
    Some((vm.id.clone(), vm.team.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vsphere::EventObject;

    const START: i64 = 1_767_225_600_000;
    const ON: &str = "VmPoweredOnEvent";

    fn event(key: i64, second: i64, kind: &str) -> Event {
        let vm = EventObject { role: "vm".into(), name: "a".into(), kind: "VirtualMachine".into(), id: "vm-1".into() };
        let (user, message) = (String::new(), String::new());
        Event { key, time: START + second * 1000, kind: kind.to_owned(), user, message, objects: vec![vm] }
    }

    /// Reads these at this second: numbers and seconds.
    fn read(events: &mut Events, second: i64, found: &[(i64, i64)]) -> usize {
        let reading = events.next(START + second * 1000);
        let found = found.iter().map(|(key, second)| event(*key, *second, ON)).collect();
        let taken = events.take(reading, found, None);
        events.settle(reading, Instant::now());
        taken.counted
    }

    fn count(events: &Events, kind: &str) -> Option<u64> {
        events.counts(Instant::now(), Duration::from_secs(60)).unwrap().get(kind).copied()
    }

    #[test]
    fn an_event_counts_once_however_often_it_comes() {
        let mut events = Events::default();
        assert_eq!(read(&mut events, 10, &[(1, 1), (2, 5)]), 2);
        assert_eq!(read(&mut events, 20, &[(1, 1), (2, 5), (3, 15)]), 1);
        assert_eq!(read(&mut events, 600, &[(2, 5), (3, 15), (4, 590)]), 1);
        assert_eq!(read(&mut events, 610, &[(3, 15), (4, 590)]), 0);
        assert_eq!((count(&events, ON), count(&events, "VmPoweredOffEvent")), (Some(4), Some(0)));
    }

    #[test]
    fn an_event_that_is_written_late_counts() {
        let mut events = Events::default();
        read(&mut events, 10, &[(2, 9)]);
        assert_eq!(read(&mut events, 20, &[(1, 8), (2, 9), (3, 4)]), 2);
    }

    #[test]
    fn a_first_reading_goes_back_an_hour_and_a_next_one_a_little() {
        let mut events = Events::default();
        let begin = |events: &Events, second: i64| (events.next(START + second * 1000).begin - START) / 1000;
        assert_eq!(begin(&events, 4000), 400);
        read(&mut events, 4000, &[(1, 100), (2, 3900)]);
        assert_eq!(count(&events, ON), Some(1));
        assert_eq!(begin(&events, 9000), 3780);
    }

    #[test]
    fn numbers_that_begin_anew_are_other_events() {
        let mut events = Events::default();
        read(&mut events, 10, &[(7, 9)]);
        assert_eq!(read(&mut events, 20, &[(7, 15)]), 1);
    }

    #[test]
    fn a_clock_that_went_back_counts_nothing_twice() {
        let mut events = Events::default();
        read(&mut events, 4000, &[(1, 3990), (2, 3995)]);
        assert_eq!(read(&mut events, 3000, &[(1, 3990), (2, 3995)]), 0);
        assert_eq!(read(&mut events, 3010, &[(1, 3990), (2, 3995), (3, 3005)]), 1);
        assert_eq!(read(&mut events, 4010, &[(1, 3990), (2, 3995), (4, 4005)]), 1);
    }

    #[test]
    fn of_two_books_the_one_that_is_further_on_is_taken() {
        let (mut behind, mut ahead) = (Events::default(), Events::default());
        read(&mut behind, 100, &[(1, 99)]);
        read(&mut ahead, 100, &[(1, 99)]);
        read(&mut ahead, 200, &[(2, 150)]);
        assert_eq!(behind.clone().further(ahead.clone()), ahead);
        assert_eq!(ahead.clone().further(behind), ahead);
    }

    #[test]
    fn what_is_stored_goes_on() {
        let mut events = Events::default();
        read(&mut events, 10, &[(1, 1), (2, 5)]);
        let stored = postcard::to_allocvec(&events).unwrap();
        let mut events: Events = postcard::from_bytes(&stored).unwrap();
        assert_eq!(events.counts(Instant::now(), Duration::MAX), None, "not read yet");
        assert_eq!(read(&mut events, 30, &[(1, 1), (2, 5), (3, 20)]), 1);
        assert_eq!((count(&events, ON), events.newest().count()), (Some(3), 3));
    }

    #[test]
    fn types_without_end_become_others() {
        let mut events = Events::default();
        let reading = events.next(START);
        let many = (0..1100).map(|key| event(key, 0, &format!("Type{key}"))).collect();
        assert_eq!(events.take(reading, many, None).counted, 1100);
        events.settle(reading, Instant::now());
        let counts = events.counts(Instant::now(), Duration::MAX).unwrap();
        let named = MAX_TYPES - EXPECTED.len();
        assert_eq!((counts.len(), counts[OTHER]), (MAX_TYPES + 1, 1100 - u64::try_from(named).unwrap()));
        let newest: Vec<_> = events.newest().map(|kept| kept.event.key).collect();
        assert_eq!((newest.len(), newest[0], newest[999]), (MAX_KEPT, 1099, 100));
    }

    #[test]
    fn the_owner_of_a_vm_is_known_once_it_is_in_the_inventory() {
        let mut events = Events::default();
        read(&mut events, 10, &[(1, 1)]);
        let owner = |events: &Events| events.newest().next().unwrap().vm.clone();
        assert_eq!(owner(&events), None);
        let vm =
            |moref: &str| Vm { moref: moref.into(), id: format!("u-{moref}"), team: "red".into(), ..Vm::default() };
        events.name_owners(&Inventory { vms: vec![vm("vm-1"), vm("vm-2")], ..Inventory::default() });
        assert_eq!(owner(&events), Some(("u-vm-1".to_owned(), "red".to_owned())));
        events.name_owners(&Inventory::default());
        assert_eq!(owner(&events), Some(("u-vm-1".to_owned(), "red".to_owned())));
    }
}
