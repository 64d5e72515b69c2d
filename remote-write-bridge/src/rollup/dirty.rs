//! Hours that have samples which are not rolled up, and blocks that are not made, in a file that is replaced as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::blocks::Blocks;
use crate::file::replace;

const FILE: &str = "rollups.json";

/// The list.
#[derive(Debug)]
pub(crate) struct Dirty {
    folder: PathBuf,
    hours: Mutex<Hours>,
}

#[derive(Debug)]
struct Hours {
    /// Where no list was found: then all hours with samples belong in it.
    is_unknown: bool,
    by_hour: BTreeMap<i64, Touched>,
    /// Those that are made.
    blocks: Blocks,
    /// But for these, by their last hours.
    unmade: BTreeSet<i64>,
}

/// What the file says.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Listed {
    Whole(Content),
    /// Of a bridge that knew UTC only.
    Hours(Vec<i64>),
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    hours: Vec<i64>,
    blocks_end: Blocks,
    unmade_blocks: BTreeSet<i64>,
}

/// What of some hours roll-ups do not have.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Missing {
    pub(super) hours: BTreeSet<i64>,
    /// By their last hours.
    pub(super) blocks: BTreeSet<i64>,
}

/// When samples came for an hour.
#[derive(Debug, Clone, Copy)]
struct Touched {
    first: Instant,
    last: Instant,
    /// Grows with each time.
    generation: u64,
}

/// Why the list cannot be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum DirtyError {
    #[error("failed to {what} `{}`: {reason}", path.display())]
    Io { what: &'static str, path: PathBuf, reason: String },
    #[error("expected a list of hours in `{}`, found {reason}; delete it to have all roll-ups made again", path.display())]
    Content { path: PathBuf, reason: String },
}

impl Dirty {
    /// As it was written last.
    pub(crate) fn load(folder: &Path) -> Result<Self, DirtyError> {
        let path = folder.join(FILE);
        let listed = match std::fs::read(&path) {
            Ok(bytes) => Some(
                serde_json::from_slice::<Listed>(&bytes)
                    .map_err(|error| DirtyError::Content { path, reason: error.to_string() })?,
            ),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(DirtyError::Io { what: "read", path, reason: error.to_string() }),
        };
        let now = Instant::now();
        let touched = Touched { first: now, last: now, generation: 0 };
        let is_unknown = listed.is_none();
        let Content { hours, blocks_end: blocks, unmade_blocks: unmade } = match listed {
            Some(Listed::Whole(content)) => content,
            Some(Listed::Hours(hours)) => Content { hours, ..Content::default() },
            None => Content::default(),
        };
        let by_hour = hours.into_iter().map(|hour| (hour, touched)).collect();
        Ok(Self { folder: folder.to_owned(), hours: Mutex::new(Hours { is_unknown, by_hour, blocks, unmade }) })
    }

    pub(crate) fn is_unknown(&self) -> bool {
        self.lock().is_unknown
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().by_hour.len()
    }

    /// Which blocks there are.
    pub(super) fn blocks(&self) -> Blocks {
        self.lock().blocks
    }

    /// Of some hours, and the blocks that end with them; None while that is not known, and where the blocks are others.
    pub(super) fn within(&self, hours: RangeInclusive<i64>, blocks: Blocks) -> Option<Missing> {
        let all = self.lock();
        (!all.is_unknown && all.blocks == blocks).then(|| Missing {
            hours: all.by_hour.range(hours.clone()).map(|(hour, _)| *hour).collect(),
            blocks: all.unmade.range(hours).copied().collect(),
        })
    }

    /// The newest that is not made.
    pub(super) fn next_block(&self) -> Option<i64> {
        self.lock().unmade.last().copied()
    }

    /// Whether all others are made.
    pub(super) fn is_last_block(&self, block: i64) -> bool {
        self.lock().unmade.iter().eq([&block])
    }

    /// A block is made.
    pub(super) fn made(&self, block: i64) -> Result<(), DirtyError> {
        let mut hours = self.lock();
        if hours.unmade.remove(&block) { self.save(&hours) } else { Ok(()) }
    }

    /// Whether any of some hours but one is dirty.
    pub(super) fn has_others(&self, hours: RangeInclusive<i64>, but: i64) -> bool {
        self.lock().by_hour.range(hours).any(|(hour, _)| *hour != but)
    }

    /// Hours have new samples. When this returns, that survives a crash.
    pub(crate) fn mark(&self, new: impl IntoIterator<Item = i64>) -> Result<(), DirtyError> {
        let mut hours = self.lock();
        let (now, before) = (Instant::now(), hours.by_hour.len());
        for hour in new {
            let touched = hours.by_hour.entry(hour).or_insert(Touched { first: now, last: now, generation: 0 });
            touched.last = now;
            touched.generation += 1;
        }
        if hours.by_hour.len() > before && !hours.is_unknown { self.save(&hours) } else { Ok(()) }
    }

    /// All of these, and hours that came meanwhile, are to be made from now on.
    pub(super) fn begin(&self, all: Vec<i64>, blocks: Blocks, unmade: Vec<i64>) -> Result<(), DirtyError> {
        let mut hours = self.lock();
        hours.blocks = blocks;
        hours.unmade = unmade.into_iter().collect();
        let now = Instant::now();
        for hour in all {
            hours.by_hour.entry(hour).or_insert(Touched { first: now, last: now, generation: 0 });
        }
        self.save(&hours)?;
        hours.is_unknown = false;
        Ok(())
    }

    /// The newest hour up to `over` that had no samples for a while, or that was waited for long enough.
    pub(super) fn next(&self, over: i64, quiet: Duration, patience: Duration) -> Option<(i64, u64)> {
        let hours = self.lock();
        let is_due = |touched: &Touched| touched.last.elapsed() >= quiet || touched.first.elapsed() >= patience;
        let found = hours.by_hour.range(..=over).rev().find(|(_, touched)| is_due(touched));
        found.map(|(hour, touched)| (*hour, touched.generation))
    }

    /// An hour is rolled up, with all samples that had come when it was given out.
    pub(super) fn clean(&self, hour: i64, generation: u64) -> Result<(), DirtyError> {
        let mut hours = self.lock();
        match hours.by_hour.get_mut(&hour) {
            Some(touched) if touched.generation == generation => {
                let touched = *touched;
                hours.by_hour.remove(&hour);
                self.save(&hours).inspect_err(|_| {
                    hours.by_hour.insert(hour, touched);
                })
            }
            Some(touched) => {
                touched.first = touched.last;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn save(&self, hours: &Hours) -> Result<(), DirtyError> {
        let list = hours.by_hour.keys().copied().collect();
        let content = Content { hours: list, blocks_end: hours.blocks, unmade_blocks: hours.unmade.clone() };
        let written =
            serde_json::to_vec(&content).map_err(Into::into).and_then(|json| replace(&self.folder, FILE, &json));
        let path = self.folder.join(FILE);
        written.map_err(|error| DirtyError::Io { what: "write", path, reason: error.to_string() })
    }

    fn lock(&self) -> MutexGuard<'_, Hours> {
        self.hours.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;
    const NEVER: Duration = Duration::from_secs(3600);

    #[test]
    fn hours_are_dirty_until_they_are_rolled_up_whatever_ends_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let dirty = Dirty::load(dir.path()).unwrap();
        assert!(dirty.is_unknown());
        dirty.mark([5]).unwrap();
        dirty.begin(vec![3, 4], Blocks::of_zone(9), vec![]).unwrap();
        let dirty = Dirty::load(dir.path()).unwrap();
        assert_eq!((dirty.is_unknown(), dirty.len()), (false, 3));
        let (hour, generation) = dirty.next(4, NOW, NEVER).unwrap();
        assert_eq!(hour, 4);
        // A sample comes while it is rolled up.
        dirty.mark([4]).unwrap();
        dirty.clean(hour, generation).unwrap();
        let (hour, generation) = dirty.next(4, NOW, NEVER).unwrap();
        assert_eq!(hour, 4);
        dirty.clean(hour, generation).unwrap();
        assert_eq!(Dirty::load(dir.path()).unwrap().next(9, NOW, NEVER).map(|(hour, _)| hour), Some(5));
        assert_eq!(dirty.next(4, NOW, NEVER).map(|(hour, _)| hour), Some(3));
    }

    #[test]
    fn an_hour_that_is_not_quiet_waits_but_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let dirty = Dirty::load(dir.path()).unwrap();
        dirty.mark([1]).unwrap();
        assert_eq!(dirty.next(1, NEVER, NEVER), None);
        assert_eq!(dirty.next(1, NEVER, NOW), Some((1, 1)));
    }

    #[test]
    fn blocks_of_another_zone_are_to_be_made() {
        let dir = tempfile::tempdir().unwrap();
        // As a bridge of before wrote it.
        std::fs::write(dir.path().join(FILE), "[7]").unwrap();
        let dirty = Dirty::load(dir.path()).unwrap();
        assert_eq!((dirty.blocks(), dirty.next_block()), (Blocks::default(), None));
        dirty.begin(vec![], Blocks::of_zone(8), vec![4, 10, 16]).unwrap();
        let dirty = Dirty::load(dir.path()).unwrap();
        assert_eq!((dirty.blocks(), dirty.next_block()), (Blocks::of_zone(8), Some(16)));
        assert!(!dirty.is_last_block(16));
        dirty.made(16).unwrap();
        let missing = Missing { hours: [7].into(), blocks: [10].into() };
        assert_eq!(Dirty::load(dir.path()).unwrap().within(5..=20, Blocks::of_zone(8)), Some(missing));
    }

    #[test]
    fn a_list_that_is_none_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "x").unwrap();
        let error = Dirty::load(dir.path()).unwrap_err().to_string();
        assert!(error.ends_with("delete it to have all roll-ups made again"), "{error}");
    }
}
