//! The log of events: what vCenter's event manager keeps.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::model::{EventKind, HostId, Time, VcenterEvent};

/// As many as a client may reasonably have missed; vCenter keeps a month's.
const KEPT: usize = 20_000;

/// The newest events, oldest first, numbered without gaps.
#[derive(Debug, Default)]
pub(crate) struct Log {
    entries: VecDeque<Arc<Entry>>,
    last: i64,
    /// VMs that DRS has moved to each host.
    migrations: Arc<HashMap<HostId, u64>>,
}

/// An event with its number.
#[derive(Debug)]
pub(crate) struct Entry {
    /// `key`
    pub(crate) key: i64,
    /// `createdTime`
    pub(crate) at: Time,
    /// What happened.
    pub(crate) what: What,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum What {
    /// To the estate.
    Estate(VcenterEvent),
    /// Someone signed in, or failed to, or out.
    Session {
        /// `UserLoginSessionEvent`, `UserLogoutSessionEvent` or `BadUsernameSessionEvent`.
        kind: &'static str,
        /// Who.
        user: String,
    },
}

impl Log {
    pub(crate) fn extend(&mut self, events: Vec<VcenterEvent>) {
        for event in events {
            if let (EventKind::DrsVmMigrated { .. }, Some(host)) = (event.kind, event.host) {
                *Arc::make_mut(&mut self.migrations).entry(host).or_default() += 1;
            }
            self.push(event.at, What::Estate(event));
        }
    }

    pub(crate) fn push(&mut self, at: Time, what: What) {
        self.last += 1;
        self.entries.push_back(Arc::new(Entry { key: self.last, at, what }));
        if self.entries.len() > KEPT {
            self.entries.pop_front();
        }
    }

    pub(crate) fn migrations(&self) -> Arc<HashMap<HostId, u64>> {
        self.migrations.clone()
    }

    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.entries.iter()
    }
}
