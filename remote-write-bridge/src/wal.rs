//! The log of what was accepted: on disk and synced before a sender is told so, kept until ClickHouse has it, and two
//! hours longer.
//!
//! ```text
//! requests ──▶ append: one thread; what waits is written together and synced once ──▶ answers
//!                 │ segments
//!                 ▼
//! writer  ◀── read: in order, from where ClickHouse was left (state)
//! ```
//!
//! A segment defines its own series, so it can be read without anything else. Each start begins a new one. Records have
//! checksums: what a crash tore off the end of the last segment was never acknowledged and is cut; a record that is
//! damaged elsewhere is set aside, named and counted, and the rest goes on.

mod append;
mod bytes;
mod read;
mod record;
mod segment;
mod state;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use crate::ingest::Accepted;
use crate::metrics::Metrics;
use append::{Append, Appender};
pub(crate) use read::{Chunk, Reader};
use state::State;

/// Shipped segments are kept for so long: a server that lost what it acknowledged can be sent it again.
const KEEP: Duration = Duration::from_secs(2 * 3600);

/// Of the room for the log, what shipped segments may leave no less of.
const FREE_FOR_NEW: f64 = 0.5;

/// A place in the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Position {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

/// Why something was not logged, or cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum WalError {
    #[error("the log on disk is full ({limit} bytes, wal.max_bytes) because ClickHouse does not take what is in it")]
    Full { limit: u64 },
    #[error("the bridge is shutting down")]
    Closed,
    #[error("failed to {what} `{}`: {error}", path.display())]
    Io { what: &'static str, path: PathBuf, error: Arc<std::io::Error> },
    #[error("`{}` is in use by another lynceus-bridge", .0.display())]
    Locked(PathBuf),
    #[error("expected the state of the log in `{}`, found {reason}", path.display())]
    State { path: PathBuf, reason: String },
}

impl WalError {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::Io { what, path: path.to_owned(), error: Arc::new(error) }
    }
}

/// The log, for those who add to it. Clones are the same log.
#[derive(Clone)]
pub(crate) struct Wal {
    folder: Arc<Folder>,
    queue: mpsc::UnboundedSender<Append>,
    synced: watch::Receiver<Position>,
}

/// What all parts know of the log on disk.
struct Folder {
    path: PathBuf,
    /// Written into each segment: those of another log are not taken for this one's.
    id: u128,
    /// Bytes of all segments.
    size: AtomicU64,
    /// All before is in ClickHouse.
    shipped: Mutex<Position>,
    /// The last segment that was found damaged.
    damaged: AtomicU64,
    metrics: Metrics,
    /// Keeps another bridge out for as long as it is open.
    _lock: std::fs::File,
}

/// Opens the log in a folder, which is made where it is missing; it is read from where it was shipped.
pub(crate) fn open(path: &Path, replica_label: &str, metrics: Metrics) -> Result<(Wal, Reader), WalError> {
    std::fs::create_dir_all(path).map_err(WalError::io("make the folder", path))?;
    let lock = lock(path)?;
    let segments = segment::list(path)?;
    let state = State::load(path, &segments)?;
    if let Some(last) = segments.last() {
        segment::cut_torn_tail(&path.join(segment::name(*last)))?;
    }
    let (size, shipped) = (AtomicU64::new(total(path)?), Mutex::new(state.shipped));
    let folder = Folder {
        path: path.to_owned(),
        id: state.wal,
        size,
        shipped,
        damaged: AtomicU64::new(0),
        metrics,
        _lock: lock,
    };
    let folder = Arc::new(folder);
    let next = segments.last().map_or(state.shipped.segment + 1, |last| last + 1);
    let (queue, waiting) = mpsc::unbounded_channel();
    // All that is on disk is synced, or never will be: it ends where the next segment begins.
    let (sender, synced) = watch::channel(Position { segment: next, offset: 0 });
    let appender = Appender::new(folder.clone(), next, sender);
    std::thread::Builder::new()
        .name("wal".to_owned())
        .spawn(move || appender.run(waiting))
        .map_err(WalError::io("start a thread for", path))?;
    let from = state.replay.unwrap_or(state.shipped);
    let reader = Reader::new(folder.clone(), from, replica_label.to_owned());
    Ok((Wal { folder, queue, synced }, reader))
}

/// Bytes of all segments.
fn total(path: &Path) -> Result<u64, WalError> {
    Ok(segment::list(path)?.into_iter().map(|number| segment::size(path, number)).sum())
}

fn lock(path: &Path) -> Result<std::fs::File, WalError> {
    let file = path.join("lock");
    let lock = std::fs::File::create(&file).map_err(WalError::io("create", &file))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(WalError::Locked(path.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(WalError::io("lock", &file)(error)),
    }
}

impl Wal {
    /// Adds a request; when this returns, it survives anything but the loss of the disk. A caller that does not wait
    /// for it changes nothing.
    pub(crate) async fn append(&self, accepted: Accepted, limit: u64) -> Result<(), WalError> {
        if self.folder.size.load(Relaxed) >= limit {
            return Err(WalError::Full { limit });
        }
        let (answer, answered) = oneshot::channel();
        self.queue.send(Append { accepted, limit, answer }).map_err(|_| WalError::Closed)?;
        answered.await.map_err(|_| WalError::Closed)?
    }

    /// How far it is synced; what lies before may be shipped.
    pub(crate) fn synced(&self) -> watch::Receiver<Position> {
        self.synced.clone()
    }

    /// Bytes of all segments.
    pub(crate) fn size(&self) -> u64 {
        self.folder.size.load(Relaxed)
    }

    /// Whether all that is synced is shipped.
    pub(crate) fn is_shipped(&self) -> bool {
        *self.synced.borrow() <= self.shipped()
    }

    /// Bytes that are not shipped yet.
    pub(crate) fn unshipped(&self) -> Result<u64, WalError> {
        let shipped = self.shipped();
        let segments = segment::list(&self.folder.path)?;
        let ahead = segments.iter().filter(|number| **number >= shipped.segment);
        let bytes: u64 = ahead.map(|number| segment::size(&self.folder.path, *number)).sum();
        let done = if segments.contains(&shipped.segment) { shipped.offset } else { 0 };
        Ok(bytes.saturating_sub(done))
    }

    /// All before is in ClickHouse.
    pub(crate) fn shipped(&self) -> Position {
        *self.folder.shipped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down how far it was shipped, and from where it is read again after a start.
    pub(crate) fn set_shipped(&self, shipped: Position, replay: Option<Position>) -> Result<(), WalError> {
        State { wal: self.folder.id, shipped, replay }.save(&self.folder.path)?;
        *self.folder.shipped.lock().unwrap_or_else(PoisonError::into_inner) = shipped;
        Ok(())
    }

    /// Where what ClickHouse refuses for good is put.
    pub(crate) fn dead_letters(&self) -> PathBuf {
        self.folder.path.join("dead")
    }

    /// Deletes segments that are shipped and old enough, or in the way of new ones.
    pub(crate) fn clean(&self, limit: u64) -> Result<(), WalError> {
        let (Folder { path, size, .. }, shipped) = (&*self.folder, self.shipped());
        for number in segment::list(path)?.into_iter().filter(|number| *number < shipped.segment) {
            let file = path.join(segment::name(number));
            let meta = file.metadata().map_err(WalError::io("look at", &file))?;
            let age = meta.modified().ok().and_then(|modified| modified.elapsed().ok()).unwrap_or_default();
            let in_the_way = size.load(Relaxed) as f64 > limit as f64 * FREE_FOR_NEW;
            if age < KEEP && !in_the_way {
                continue;
            }
            std::fs::remove_file(&file).map_err(WalError::io("delete", &file))?;
            size.store(total(path)?, Relaxed);
        }
        // A write that failed has left what nobody counted.
        size.store(total(path)?, Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
