//! How many guests are dealt with at the same time.
//!
//! There are two lanes: one for guests that answer in time, and a fifth as wide one for those that lately did not, so that
//! however many hang, the others are not kept waiting.

use std::sync::Arc;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

/// Permits for handshakes and collections, and for connections that are kept open.
#[derive(Debug)]
pub struct Lanes {
    well: Arc<Semaphore>,
    sick: Arc<Semaphore>,
    connections: Arc<Semaphore>,
}

/// What is open beside connections to guests: to vCenters and hosts, scrapes, the store.
const OTHER_FILES: u64 = 500;

/// Part of the permits that is for guests that did not answer.
const SICK: usize = 5;

impl Lanes {
    /// For so many at the same time, of both kinds together.
    pub fn new(in_flight: usize, connections: usize) -> Self {
        let sick = (in_flight / SICK).max(1);
        // With a single permit both lanes have one: nobody waits for ever.
        let well = in_flight.saturating_sub(sick).max(1);
        raise_file_limit(connections);
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { well: semaphore(well), sick: semaphore(sick), connections: semaphore(connections) }
    }

    /// A permit for one collection, with or without a handshake.
    pub async fn enter(&self, is_sick: bool) -> Option<OwnedSemaphorePermit> {
        let lane = if is_sick { &self.sick } else { &self.well };
        // It is never closed.
        Arc::clone(lane).acquire_owned().await.ok()
    }

    /// A permit to keep a connection open; `None` where there are enough.
    pub fn keep_open(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.connections).try_acquire_owned().ok()
    }
}

/// Each connection is a file to the system, which lets a program have 1,024 of them unless it asks for more.
fn raise_file_limit(connections: usize) {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        Ok(hard)
    });
    match raised {
        Ok(hard) if hard < connections as u64 + OTHER_FILES => {
            let text = "fewer files may be open than `guests.max_connections` needs: raise LimitNOFILE or `ulimit -Hn`";
            warn!(limit = hard, connections, "{text}");
        }
        Ok(_) => {}
        Err(error) => warn!(%error, "failed to raise the limit of open files"),
    }
}
