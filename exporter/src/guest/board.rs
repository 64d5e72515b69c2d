//! What is served of guests: the page of each, or why there is none.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::families::Families;
use crate::exposition::{End, Page, Unfinished};

/// A page has counters on it, and leaves when its newest one would be a false rate.
const STAYS_FOR: u32 = 2;

/// The guests of all vCenters. Clones are the same board.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<RwLock<BTreeMap<String, ByVm>>>);

/// Guests by the ids of their VMs.
type ByVm = BTreeMap<String, Arc<Guest>>;

/// A guest that a rule says is to be collected.
#[derive(Debug)]
pub struct Guest {
    /// The labels of its target.
    pub labels: Labels,
    /// How often it is collected.
    pub interval: Duration,
    state: Mutex<State>,
}

/// The labels of a guest's target.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the labels")]
pub struct Labels {
    pub vcenter: String,
    pub vm_id: String,
    pub vm: String,
    pub team: String,
    pub os: &'static str,
}

#[derive(Debug)]
struct State {
    collected: Option<Collected>,
    /// Why there is nothing newer, or what of it could not be read.
    reason: String,
}

#[derive(Debug)]
struct Collected {
    page: Unfinished,
    at: Instant,
    /// The guest's clock at that time, as Unix time.
    clock: Option<f64>,
}

impl Board {
    /// The guests of a vCenter are these, from now on.
    pub fn replace(&self, vcenter: &str, guests: impl IntoIterator<Item = Arc<Guest>>) {
        let guests = guests.into_iter().map(|guest| (guest.labels.vm_id.clone(), guest)).collect();
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(vcenter.to_owned(), guests);
    }

    /// Nothing is known of a vCenter any more.
    pub fn withdraw(&self, vcenter: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(vcenter);
    }

    /// A guest.
    pub fn guest(&self, vcenter: &str, vm_id: &str) -> Option<Arc<Guest>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(vcenter)?.get(vm_id).cloned()
    }

    /// All guests of these vCenters; `None` where the guests of one of them are not known yet.
    pub fn of(&self, vcenters: &[String]) -> Option<Vec<Arc<Guest>>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut guests = Vec::new();
        for vcenter in vcenters {
            guests.extend(known.get(vcenter)?.values().cloned());
        }
        Some(guests)
    }
}

impl Guest {
    /// Nothing collected yet, but for what is known of the same guest under other labels.
    pub fn new(labels: Labels, interval: Duration, reason: &str, before: Option<&Self>) -> Arc<Self> {
        let known = |before: &Self| before.state.lock().unwrap_or_else(PoisonError::into_inner).collected.take();
        let state = State { collected: before.and_then(known), reason: reason.to_owned() };
        Arc::new(Self { labels, interval, state: Mutex::new(state) })
    }

    /// Takes in what was collected.
    pub fn publish(&self, families: &Families, clock: Option<f64>, at: Instant) {
        let collected = Collected { page: families.page(), at, clock };
        self.state.lock().unwrap_or_else(PoisonError::into_inner).collected = Some(collected);
    }

    /// Takes in what is wrong, or nothing; whether that is news.
    pub fn note(&self, reason: &str) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = state.reason != reason;
        reason.clone_into(&mut state.reason);
        is_news
    }

    /// The page, unless it is too old: then why there is none.
    pub fn page(&self, now: Instant) -> Result<Page, String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |collected: &&Collected| now.saturating_duration_since(collected.at) <= self.interval * STAYS_FOR;
        let Some(collected) = state.collected.as_ref().filter(fresh) else {
            let reason = if state.reason.is_empty() { "it is late" } else { &state.reason };
            return Err(reason.to_owned());
        };
        let age = now.saturating_duration_since(collected.at).as_secs_f64();
        let mut end = End::default();
        end.gauge("lynceus_guest_age_seconds", "How long ago the numbers of this page were read in the guest.", age);
        // A clock goes on: as it was read it would seem to be late by the age of the page.
        if let Some(clock) = collected.clock {
            end.gauge("node_time_seconds", "System time in seconds since epoch (1970).", clock + age);
        }
        Ok(collected.page.finish(&end))
    }
}
