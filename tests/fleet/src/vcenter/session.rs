//! Sessions: who is signed in, and what dies with the session.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::soap::MoRef;

use super::events::EventFilter;
use super::spec::FilterSpec;
use super::updates::Collector;

/// The collector that every session has.
pub const DEFAULT_COLLECTOR: &str = "propertyCollector";

/// A session.
#[derive(Debug)]
pub struct Session {
    /// Its key, which is also the cookie.
    pub key: String,
    /// Who signed in.
    pub user: String,
    /// When, in simulated milliseconds.
    pub login: i64,
    /// How the client calls itself.
    pub agent: String,
    /// What the client has made.
    pub state: Mutex<State>,
    last_active: Mutex<Instant>,
    /// When the last call was, in simulated milliseconds, and how many there were.
    calls: Mutex<(i64, u64)>,
    next: AtomicU64,
}

/// What a client has made in its session.
#[derive(Debug, Default)]
pub struct State {
    /// Views by id.
    pub views: HashMap<String, View>,
    /// Property collectors by id.
    pub collectors: HashMap<String, Arc<Collector>>,
    /// The rest of property answers, by token.
    pub pages: HashMap<String, Page>,
    /// Event collectors by id.
    pub events: HashMap<String, EventCollector>,
}

/// A view.
#[derive(Debug, Clone, PartialEq)]
pub enum View {
    /// All objects of some types below another.
    Container {
        /// Below which.
        container: MoRef,
        /// Of which types; all if empty.
        kinds: Vec<String>,
        /// Whether to go deeper than its children.
        recursive: bool,
    },
    /// These objects.
    List(Vec<MoRef>),
}

/// The rest of a property answer.
#[derive(Debug)]
pub struct Page {
    /// What was asked.
    pub spec: FilterSpec,
    /// The objects still to send.
    pub rest: VecDeque<MoRef>,
    /// Objects in an answer.
    pub size: usize,
}

/// An `EventHistoryCollector`.
#[derive(Debug, Clone)]
pub struct EventCollector {
    /// Which events.
    pub filter: EventFilter,
    /// Events of `latestPage`.
    pub page: usize,
    /// Key of the newest event that was read.
    pub position: Option<i64>,
}

impl Session {
    /// A name that no other object of this session has. As in vCenter, it starts with the session's key.
    pub fn name(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("session[{}]{number:016x}", self.key)
    }

    /// What the client has made.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A property collector by its id.
    pub fn collector(&self, id: &str) -> Option<Arc<Collector>> {
        self.state().collectors.get(id).cloned()
    }

    fn touch(&self) {
        *self.last_active.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Notes a call.
    pub fn called(&self, now: i64) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        *calls = (now, calls.1 + 1);
    }

    /// When the last call was, or else the sign-in, and how many there were.
    pub fn calls(&self) -> (i64, u64) {
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> Duration {
        self.last_active.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// All sessions of a server.
#[derive(Debug, Default)]
pub struct Sessions {
    open: Mutex<HashMap<String, Arc<Session>>>,
    next: AtomicU64,
}

impl Sessions {
    /// Signs someone in; `None` when there are too many.
    pub fn open(&self, user: &str, agent: &str, login: i64, limit: usize, timeout: Duration) -> Option<Arc<Session>> {
        let mut open = self.lock();
        open.retain(|_, session| session.idle() < timeout);
        if open.len() >= limit {
            return None;
        }
        let session = Arc::new(Session {
            key: self.key(),
            user: user.to_owned(),
            login,
            agent: agent.to_owned(),
            state: Mutex::default(),
            last_active: Mutex::new(Instant::now()),
            calls: Mutex::new((login, 0)),
            next: AtomicU64::new(1),
        });
        session.state().collectors.insert(DEFAULT_COLLECTOR.to_owned(), Arc::default());
        open.insert(session.key.clone(), session.clone());
        Some(session)
    }

    /// The session of a cookie, if it has not ended; using it keeps it alive.
    pub fn find(&self, key: &str, timeout: Duration) -> Option<Arc<Session>> {
        let mut open = self.lock();
        let session = open.get(key)?.clone();
        if session.idle() >= timeout {
            open.remove(key);
            return None;
        }
        session.touch();
        Some(session)
    }

    /// All of them, the oldest first; who looks keeps none of them alive.
    pub fn all(&self) -> Vec<Arc<Session>> {
        let mut all: Vec<_> = self.lock().values().cloned().collect();
        all.sort_by(|a, b| (a.login, &a.key).cmp(&(b.login, &b.key)));
        all
    }

    /// Whether a session is still there.
    pub fn has(&self, key: &str) -> bool {
        self.lock().contains_key(key)
    }

    /// Ends a session; its views, collectors and filters go with it.
    pub fn close(&self, key: &str) -> bool {
        self.lock().remove(key).is_some()
    }

    /// Ends all: the server has restarted.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Unique, and shaped as vCenter's. It guards nothing: the fleet serves made-up data on loopback.
    fn key(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let part = |salt: u64| {
            xxhash_rust::xxh3::xxh3_64_with_seed(&number.to_le_bytes(), salt ^ u64::from(std::process::id()))
        };
        let (a, b) = (part(1), part(2));
        format!(
            "52{:06x}-{:04x}-{:04x}-{:04x}-{:012x}",
            a >> 40,
            a & 0xffff,
            b >> 48,
            a >> 16 & 0xffff,
            b & 0xffff_ffff_ffff
        )
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_session_ends_when_it_is_idle() {
        let sessions = Sessions::default();
        let session = sessions.open("u", "", 0, 10, HOUR).unwrap();
        assert!(sessions.find(&session.key, HOUR).is_some());
        assert!(sessions.find(&session.key, Duration::ZERO).is_none());
        assert!(!sessions.has(&session.key));
    }

    #[test]
    fn one_session_too_many_is_refused_until_another_ends() {
        let sessions = Sessions::default();
        let first = sessions.open("u", "", 0, 1, HOUR).unwrap();
        assert!(sessions.open("u", "", 0, 1, HOUR).is_none());
        assert!(sessions.close(&first.key));
        assert!(sessions.open("u", "", 0, 1, HOUR).is_some());
    }

    #[test]
    fn keys_and_names_are_unique() {
        let sessions = Sessions::default();
        let (a, b) = (sessions.open("u", "", 0, 9, HOUR).unwrap(), sessions.open("u", "", 0, 9, HOUR).unwrap());
        assert_ne!(a.key, b.key);
        assert_ne!(a.name(), a.name());
    }
}
