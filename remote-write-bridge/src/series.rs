//! The series that senders have named: found again by the bytes of their labels, without reading them.
//!
//! A sender names a series in the same bytes each time. Their 128-bit hash leads to the `Series`, so only the first
//! request of a series is parsed, checked and sorted. Who may write cannot make two label sets collide: the hash has a
//! secret that is random in each process. What is not named for two hours is forgotten, which costs one more parsing.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_128_with_secret;

use crate::labels::LabelSet;
use crate::time::Day;

/// A series that was not named for so long is forgotten.
const FORGET: Duration = Duration::from_secs(2 * 3600);

/// Metrics have some ten thousand descriptions. Beyond this they are forgotten, and written once more.
const MAX_METADATA: usize = 1_000_000;

/// A series.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: LabelSet,
    /// Its number in the segment of the log that is written now: number of the segment, number within it. Only the
    /// task that writes the log uses it.
    pub(crate) place: AtomicU64,
    /// Seconds of the registry's clock.
    named: AtomicU32,
    /// A hash of the metadata that is in the log, and of the month of which it is.
    kind: AtomicU32,
    /// The same of the time at which it began to count.
    started: AtomicU64,
}

/// What is known of series and metrics when something is in the log: it need not be there again in the same month.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    pub(crate) starts: Vec<(Arc<Series>, i64, Day)>,
    pub(crate) kinds: Vec<(Arc<Series>, u32, Day)>,
    pub(crate) metadata: Vec<(u128, Day)>,
}

impl Series {
    /// Of these labels.
    pub(crate) fn new(labels: LabelSet) -> Self {
        let (place, named) = (AtomicU64::new(u64::MAX), AtomicU32::new(0));
        Self { labels, place, named, kind: AtomicU32::new(0), started: AtomicU64::new(0) }
    }

    /// The job that it comes from.
    pub(crate) fn job(&self) -> &str {
        self.labels.get("job").unwrap_or_default()
    }

    /// Whether it is in the log that it began to count at this time.
    pub(crate) fn has_started(&self, start: i64, month: Day) -> bool {
        self.started.load(Ordering::Relaxed) == start_of(start, month)
    }

    /// Whether metadata with this hash is in the log.
    pub(crate) fn has_metadata(&self, hash: u32, month: Day) -> bool {
        self.kind.load(Ordering::Relaxed) == kind_of(hash, month)
    }
}

/// Milliseconds since 1970 need 42 bits for a century.
fn start_of(start: i64, month: Day) -> u64 {
    start.cast_unsigned() ^ u64::from(month) << 48
}

fn kind_of(hash: u32, month: Day) -> u32 {
    hash.wrapping_add(u32::from(month))
}

/// The hash of the bytes that name a series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Key(u128);

impl std::hash::Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Its lower half is as good a hash as any.
        state.write_u64(self.0 as u64);
    }
}

/// Takes a hash as it is.
#[derive(Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Series by the hash of what names them, and how many each job has.
#[derive(Debug, Default)]
struct Map {
    by_key: HashMap<Key, Arc<Series>, BuildHasherDefault<AsItIs>>,
    by_job: HashMap<String, usize>,
}

/// All series that are known.
#[derive(Debug)]
pub struct Registry {
    /// Of the length that the hash's own has. A seed would be made into one for each long input.
    secret: [u8; 192],
    start: Instant,
    series: RwLock<Map>,
    /// Hashes of the metadata that is in the log, and of which month.
    metadata: Mutex<HashSet<(u128, Day)>>,
}

/// Looks series up.
pub(crate) struct Lookup<'a> {
    series: RwLockReadGuard<'a, Map>,
    now: u32,
}

impl Registry {
    /// Empty.
    #[expect(clippy::new_without_default, reason = "each has a secret of its own")]
    pub fn new() -> Self {
        Self {
            secret: std::array::from_fn(|_| rand::random()),
            start: Instant::now(),
            series: RwLock::default(),
            metadata: Mutex::default(),
        }
    }

    /// The key of the bytes that name a series; those of different formats have different `salt`s.
    #[inline]
    pub(crate) fn key(&self, bytes: &[u8], salt: u64) -> Key {
        Key(self.hash(bytes) ^ u128::from(salt) << 64)
    }

    /// A hash of such bytes, or of a part of them.
    #[inline]
    pub(crate) fn hash(&self, bytes: &[u8]) -> u128 {
        xxh3_128_with_secret(bytes, &self.secret)
    }

    /// Looks up while nobody adds.
    pub(crate) fn lookup(&self) -> Lookup<'_> {
        Lookup { series: self.series.read().unwrap_or_else(PoisonError::into_inner), now: self.now() }
    }

    /// Adds series.
    pub(crate) fn add(&self, new: Vec<(Key, Arc<Series>)>) {
        if new.is_empty() {
            return;
        }
        let now = self.now();
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let Map { by_key, by_job } = &mut *series;
        by_key.reserve(new.len());
        let mut count = |job: String, added: usize| {
            if added > 0 {
                *by_job.entry(job).or_default() += added;
            }
        };
        // One after the other they are of one job, mostly.
        let (mut job, mut before) = (String::new(), by_key.len());
        for (key, found) in new {
            if found.job() != job {
                let done = std::mem::replace(&mut job, found.job().to_owned());
                count(done, by_key.len() - before);
                before = by_key.len();
            }
            found.named.store(now, Ordering::Relaxed);
            // Two requests may have found the same one new.
            by_key.insert(key, found);
        }
        count(job, by_key.len() - before);
    }

    /// Whether metadata is in the log.
    pub(crate) fn knows_metadata(&self, key: u128, month: Day) -> bool {
        self.metadata.lock().unwrap_or_else(PoisonError::into_inner).contains(&(key, month))
    }

    /// Something is in the log.
    pub(crate) fn learn(&self, learned: Learned) {
        for (series, start, month) in learned.starts {
            series.started.store(start_of(start, month), Ordering::Relaxed);
        }
        for (series, hash, month) in learned.kinds {
            series.kind.store(kind_of(hash, month), Ordering::Relaxed);
        }
        if !learned.metadata.is_empty() {
            let mut known = self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() + learned.metadata.len() > MAX_METADATA {
                known.clear();
            }
            known.extend(learned.metadata);
        }
    }

    /// Forgets what was not named for long.
    pub(crate) fn forget(&self) {
        let oldest = self.now().saturating_sub(u32::try_from(FORGET.as_secs()).unwrap_or(u32::MAX));
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let Map { by_key, by_job } = &mut *series;
        by_key.retain(|_, series| {
            let is_named = series.named.load(Ordering::Relaxed) >= oldest;
            if !is_named && let Some(count) = by_job.get_mut(series.job()) {
                *count -= 1;
            }
            is_named
        });
        by_key.shrink_to_fit();
        by_job.retain(|_, count| *count > 0);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.series.read().unwrap_or_else(PoisonError::into_inner).by_key.len()
    }

    fn now(&self) -> u32 {
        u32::try_from(self.start.elapsed().as_secs()).unwrap_or(u32::MAX)
    }
}

impl Lookup<'_> {
    /// A series that is known.
    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<Arc<Series>> {
        let series = self.series.by_key.get(&key)?;
        // Written only when it changes: it is shared between CPUs.
        if series.named.load(Ordering::Relaxed) != self.now {
            series.named.store(self.now, Ordering::Relaxed);
        }
        Some(series.clone())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.series.by_key.len()
    }

    /// How many of a job.
    pub(crate) fn of_job(&self, job: &str) -> usize {
        self.series.by_job.get(job).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_found_by_its_bytes_and_format() {
        let registry = Registry::new();
        let series = Arc::new(Series::new(LabelSet::of_pairs(vec![("__name__", "up")]).unwrap()));
        registry.add(vec![(registry.key(b"up", 1), series.clone())]);
        assert!(Arc::ptr_eq(&registry.lookup().get(registry.key(b"up", 1)).unwrap(), &series));
        assert!(registry.lookup().get(registry.key(b"up", 2)).is_none());
        assert!(registry.lookup().get(registry.key(b"down", 1)).is_none());
    }

    #[test]
    fn the_series_of_a_job_are_counted() {
        let registry = Registry::new();
        let series =
            |name: &str| Arc::new(Series::new(LabelSet::of_pairs(vec![("__name__", name), ("job", "node")]).unwrap()));
        let new = |name: &str| (registry.key(name.as_bytes(), 1), series(name));
        registry.add(vec![new("a"), new("b")]);
        registry.add(vec![new("b")]);
        let lookup = registry.lookup();
        assert_eq!((lookup.len(), lookup.of_job("node"), lookup.of_job("other")), (2, 2, 0));
    }

    #[test]
    fn what_is_named_is_not_forgotten() {
        let registry = Registry::new();
        registry
            .add(vec![(registry.key(b"up", 1), Arc::new(Series::new(LabelSet::of_pairs(vec![("a", "b")]).unwrap())))]);
        registry.forget();
        assert_eq!(registry.len(), 1);
    }
}
