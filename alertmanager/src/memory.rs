//! What was already handed over, so that a retry reaches only those who have not got it.
//!
//! Alertmanager sends the same notification again when it was not answered 200, and two Alertmanagers of a
//! cluster may both send it. It also sends it again, on purpose, as a reminder (`repeat_interval`). Nothing in the
//! request tells these apart, so time does:
//!
//! - While a notification is incomplete, a recipient that has it gets it no second time for [`RETRY`].
//! - Once it is complete, an identical one within [`TWIN`] is taken for a copy; later it is a reminder.
//!
//! The memory is bounded ([`CAPACITY`]) and ends with the process: a restart between a partial delivery and
//! its retry mails the same recipients again. Twice is better than never.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::route::Delivery;
use crate::webhook::Notification;

/// Alertmanager's default `repeat_interval`: those who have it are due a reminder by then.
const RETRY: SignedDuration = SignedDuration::from_hours(4);
/// Peers of a cluster wait 15 s for each other; Alertmanager's default `group_interval` is the longest that it tries.
const TWIN: SignedDuration = SignedDuration::from_mins(5);
/// Notifications, each a few hundred bytes.
pub(crate) const CAPACITY: usize = 4096;

/// A hash: of a notification, or of one delivery in it.
pub(crate) type Id = [u8; 16];

#[derive(Default)]
pub(crate) struct Memory {
    entries: HashMap<Id, Entry>,
}

struct Entry {
    begun: Timestamp,
    completed: Option<Timestamp>,
    served: HashSet<Id>,
}

impl Entry {
    fn expired(&self, now: Timestamp) -> bool {
        match self.completed {
            Some(completed) => now.duration_since(completed) >= TWIN,
            None => now.duration_since(self.begun) >= RETRY,
        }
    }
}

impl Memory {
    /// Starts or goes on with a notification; gives the time when it was first seen, and whether another one had to
    /// be forgotten for it before its time.
    pub(crate) fn begin(&mut self, id: Id, now: Timestamp) -> (Timestamp, bool) {
        if let Some(entry) = self.entries.get(&id).filter(|entry| !entry.expired(now)) {
            return (entry.begun, false);
        }
        self.entries.retain(|_, entry| !entry.expired(now));
        let mut evicted = false;
        if self.entries.len() >= CAPACITY
            && let Some(oldest) = self.entries.iter().min_by_key(|(_, entry)| entry.begun).map(|(id, _)| *id)
        {
            evicted = self.entries.remove(&oldest).is_some_and(|entry| entry.completed.is_none());
        }
        self.entries.insert(id, Entry { begun: now, completed: None, served: HashSet::new() });
        (now, evicted)
    }

    pub(crate) fn is_served(&self, id: Id, delivery: Id) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.served.contains(&delivery))
    }

    pub(crate) fn serve(&mut self, id: Id, delivery: Id) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.served.insert(delivery);
        }
    }

    pub(crate) fn complete(&mut self, id: Id, now: Timestamp) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.completed.get_or_insert(now);
        }
    }
}

/// What makes a notification the same as another: its group, and the alerts with their states and starts.
pub(crate) fn notification_id(notification: &Notification) -> Id {
    let mut alerts: Vec<_> =
        notification.alerts.iter().map(|a| (a.fingerprint.as_str(), a.status, a.starts_at)).collect();
    alerts.sort_unstable();
    let mut parts = vec![notification.group_key.clone(), notification.status.to_string()];
    parts.extend(alerts.into_iter().map(|(fingerprint, status, start)| format!("{fingerprint} {status} {start}")));
    hash(parts.iter().map(String::as_str))
}

/// What makes a delivery the same as another one of the same notification: who gets which alerts.
pub(crate) fn delivery_id(notification: &Notification, delivery: &Delivery<'_>) -> Id {
    let mut alerts: Vec<_> = delivery.alerts.iter().map(|i| notification.alerts[*i].fingerprint.as_str()).collect();
    alerts.sort_unstable();
    hash(std::iter::once(delivery.recipient.email.as_ref()).chain(alerts))
}

/// The parts are kept apart: (`ab`, `c`) is not (`a`, `bc`).
pub(crate) fn hash<'a>(parts: impl Iterator<Item = &'a str>) -> Id {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(part.len().to_le_bytes());
        sha.update(part);
    }
    let mut id = Id::default();
    id.copy_from_slice(&sha.finalize()[..16]);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Id = [1; 16];
    const B: Id = [2; 16];

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn a_retry_knows_who_was_served() {
        let mut memory = Memory::default();
        memory.begin(A, at(0));
        memory.serve(A, B);
        assert_eq!(memory.begin(A, at(600)), (at(0), false));
        assert!(memory.is_served(A, B));
    }

    #[test]
    fn while_incomplete_the_served_are_reminded_after_four_hours() {
        let mut memory = Memory::default();
        memory.begin(A, at(0));
        memory.serve(A, B);
        memory.begin(A, at(4 * 3600 - 1));
        assert!(memory.is_served(A, B));
        memory.begin(A, at(4 * 3600));
        assert!(!memory.is_served(A, B));
    }

    #[test]
    fn a_complete_one_is_a_copy_for_five_minutes_and_then_a_reminder() {
        let mut memory = Memory::default();
        memory.begin(A, at(0));
        memory.serve(A, B);
        memory.complete(A, at(10));
        memory.begin(A, at(309));
        // The copy does not prolong the time.
        memory.complete(A, at(309));
        assert!(memory.is_served(A, B));
        memory.begin(A, at(310));
        assert!(!memory.is_served(A, B));
    }

    #[test]
    fn the_oldest_is_forgotten_when_full_and_that_is_told() {
        let mut memory = Memory::default();
        let id = |n: usize| hash([n.to_string().as_str()].into_iter());
        for n in 0..CAPACITY {
            assert!(!memory.begin(id(n), at(n as i64 / 1000)).1);
        }
        memory.serve(id(1), B);
        assert!(memory.begin(A, at(10)).1);
        assert_eq!(memory.entries.len(), CAPACITY);
    }

    #[test]
    fn parts_of_a_hash_are_kept_apart() {
        assert_ne!(hash(["ab", "c"].into_iter()), hash(["a", "bc"].into_iter()));
    }
}
