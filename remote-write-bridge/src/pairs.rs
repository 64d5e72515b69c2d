//! Pairs of Prometheus that scrape the same targets: of each target one replica is stored.
//!
//! Replicas scrape at different moments, so their samples are not the same, and a union would double everything. The
//! replica of a target that is seen first is stored. What comes from the other is held back for as long as the first one
//! may only be late, and dropped when it was not. When the first one has a hole, what was held fills it, and the other
//! one is stored from then on. Stale markers of a replica that is not stored say nothing: they never fill.
//!
//! Which replica is stored is on disk. What was held is not: after a start the log is read again from before it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::archive::{HistogramRow, SampleRow};
use crate::batch::Rows;
use crate::file::replace;
use crate::labels::{LabelSet, concatenated};
use crate::metrics::Metrics;

const FILE: &str = "pairs.json";

/// A replica that says nothing for two intervals has a hole; so long is the shortest that counts as one.
const SHORTEST_HOLE: i64 = 30_000;
/// Of a target whose interval is not known.
const USUAL_INTERVAL: i64 = 60_000;
/// The interval is the longest pause of about so long: a target may be several, each scraped at a moment of its own.
const REMEMBER: i64 = 600_000;
/// A longer pause is no interval.
const LONGEST_INTERVAL: i64 = 300_000;
/// Holes of a target that late samples may fill.
const MAX_HOLES: usize = 100;
/// Rows of all targets that are held, some 60 bytes each.
const MAX_HELD: usize = 4_000_000;

const STALE: u64 = 0x7ff0_0000_0000_0002;

/// Where a series comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    /// A hash of what names the target.
    pub(crate) target: u64,
    /// A hash of the replica's name.
    pub(crate) replica: u64,
}

/// What a replica says of a target.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Row {
    Sample(SampleRow),
    Histogram(HistogramRow),
}

/// What is known of all targets.
#[derive(Debug)]
pub(crate) struct Pairs {
    folder: PathBuf,
    targets: HashMap<u64, Target>,
    held: usize,
    /// Whether other replicas are stored than the file says.
    is_changed: bool,
    metrics: Metrics,
}

#[derive(Debug)]
struct Target {
    stored: u64,
    /// Time of its newest sample; none since the start of the bridge.
    last: Option<i64>,
    pauses: Pauses,
    /// Without samples of the replica that is stored, from and to.
    holes: VecDeque<(i64, i64)>,
    /// Of other replicas, newer than `last`.
    held: VecDeque<(u64, Row)>,
}

/// The longest pause between samples, lately.
#[derive(Debug, Default)]
struct Pauses {
    since: Option<i64>,
    now: i64,
    before: i64,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to {what} `{}`: {reason}", path.display())]
pub(crate) struct PairsError {
    what: &'static str,
    path: PathBuf,
    reason: String,
}

/// The labels of a series without the one that names its replica, and where it comes from, if it has that one.
pub(crate) fn of_replica(labels: LabelSet, replica_label: &str) -> (LabelSet, Option<Source>) {
    let Some(replica) = labels.get(replica_label).map(|name| xxh3_64(name.as_bytes())) else { return (labels, None) };
    let names = ["prometheus", "job", "instance"].map(|name| labels.get(name).unwrap_or_default());
    let target = xxh3_64(&concatenated(names.into_iter()));
    let others = labels.iter().filter(|(name, _)| *name != replica_label).collect();
    match LabelSet::of_pairs(others) {
        Ok(others) => (others, Some(Source { target, replica })),
        // It has no other label.
        Err(_) => (labels, None),
    }
}

impl Row {
    fn time(&self) -> i64 {
        match self {
            Self::Sample(row) => row.timestamp,
            Self::Histogram(row) => row.timestamp,
        }
    }

    fn is_stale(&self) -> bool {
        let value = match self {
            Self::Sample(row) => row.value,
            Self::Histogram(row) => row.sum,
        };
        value.to_bits() == STALE
    }

    fn store(self, rows: &mut Rows) {
        match self {
            Self::Sample(row) => rows.samples.push(row),
            Self::Histogram(row) => rows.histograms.push(row),
        }
    }
}

impl Pairs {
    /// With the replicas that were stored last.
    pub(crate) fn load(folder: &Path, metrics: Metrics) -> Result<Self, PairsError> {
        let path = folder.join(FILE);
        let stored: BTreeMap<u64, u64> = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| PairsError {
                what: "read",
                path,
                reason: format!("{error}; delete it to have the replicas chosen anew"),
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(PairsError { what: "read", path, reason: error.to_string() }),
        };
        let targets = stored.into_iter().map(|(target, replica)| (target, Target::new(replica))).collect();
        Ok(Self { folder: folder.to_owned(), targets, held: 0, is_changed: false, metrics })
    }

    /// Writes down which replicas are stored, where that has changed.
    pub(crate) fn save(&mut self) -> Result<(), PairsError> {
        self.metrics.replica_samples_held.set(i64::try_from(self.held).unwrap_or(i64::MAX));
        if self.is_changed {
            let stored: BTreeMap<u64, u64> =
                self.targets.iter().map(|(target, known)| (*target, known.stored)).collect();
            let written =
                serde_json::to_vec(&stored).map_err(Into::into).and_then(|json| replace(&self.folder, FILE, &json));
            let path = self.folder.join(FILE);
            written.map_err(|error| PairsError { what: "write", path, reason: error.to_string() })?;
            self.is_changed = false;
        }
        Ok(())
    }

    /// Whether there is any.
    pub(crate) fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Takes what a replica says; what is to be stored is added to `rows`.
    pub(crate) fn take(&mut self, source: Source, row: Row, rows: &mut Rows) {
        let target = self.targets.entry(source.target).or_insert_with(|| {
            self.is_changed = true;
            Target::new(source.replica)
        });
        let (held, before) = (target.held.len(), target.held.len() + rows.len());
        if source.replica == target.stored {
            target.take(row, rows);
        } else if target.take_other(source.replica, row, self.held >= MAX_HELD, rows) == Verdict::Switched {
            self.is_changed = true;
            self.metrics.replica_switches.inc();
        }
        self.held = self.held + target.held.len() - held;
        // What is neither stored nor held is not wanted.
        let dropped = before + 1 - (target.held.len() + rows.len());
        self.metrics.replica_samples_dropped.inc_by(dropped as u64);
    }
}

/// What became of a row of a replica that is not stored.
#[derive(Debug, PartialEq)]
enum Verdict {
    Held,
    Filled,
    Switched,
    Dropped,
}

impl Target {
    fn new(stored: u64) -> Self {
        let pauses = Pauses { before: USUAL_INTERVAL, ..Pauses::default() };
        Self { stored, last: None, pauses, holes: VecDeque::new(), held: VecDeque::new() }
    }

    /// A pause that is longer is a hole.
    fn longest_pause(&self) -> i64 {
        (2 * self.pauses.longest()).max(SHORTEST_HOLE)
    }

    /// Of the replica that is stored.
    fn take(&mut self, row: Row, rows: &mut Rows) {
        let time = row.time();
        if let Some(last) = self.last
            && time > last
        {
            if time - last > self.longest_pause() {
                // What was held of another one fills it; the rest may come late.
                let filler = self.held.front().map(|(replica, _)| *replica);
                for (replica, row) in self.held.drain(..) {
                    if Some(replica) == filler && row.time() < time {
                        row.store(rows);
                    }
                }
                self.holes.push_back((last, time));
                if self.holes.len() > MAX_HOLES {
                    self.holes.pop_front();
                }
            }
            // A target that is seldom scraped has no holes, but long pauses.
            self.pauses.add(last, time - last);
        }
        if self.last.is_none_or(|last| time > last) {
            self.last = Some(time);
            self.held.retain(|(_, held)| held.time() > time);
        }
        row.store(rows);
    }

    /// Of another one.
    fn take_other(&mut self, replica: u64, row: Row, is_full: bool, rows: &mut Rows) -> Verdict {
        let time = row.time();
        if row.is_stale() {
            return Verdict::Dropped;
        }
        if self.last.is_some_and(|last| time <= last) {
            if self.holes.iter().any(|(from, to)| *from < time && time < *to) {
                row.store(rows);
                return Verdict::Filled;
            }
            return Verdict::Dropped;
        }
        let first = self.held.iter().find(|(held, _)| *held == replica).map(|(_, row)| row.time());
        // After a start nothing is known of the one that is stored.
        let since = self.last.or(first).unwrap_or(time);
        if time - since <= self.longest_pause() {
            if is_full {
                return Verdict::Dropped;
            }
            self.held.push_back((replica, row));
            return Verdict::Held;
        }
        for (held, row) in self.held.drain(..) {
            if held == replica {
                row.store(rows);
            }
        }
        self.pauses.add(since, time - since);
        (self.stored, self.last) = (replica, Some(time));
        row.store(rows);
        Verdict::Switched
    }
}

impl Pauses {
    fn add(&mut self, at: i64, pause: i64) {
        let since = *self.since.get_or_insert(at);
        if at - since > REMEMBER {
            (self.before, self.now, self.since) = (self.now, 0, Some(at));
        }
        self.now = self.now.max(pause.min(LONGEST_INTERVAL));
    }

    fn longest(&self) -> i64 {
        self.now.max(self.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: u64 = 1;
    const B: u64 = 2;

    struct Test {
        pairs: Pairs,
        rows: Rows,
        _dir: tempfile::TempDir,
    }

    impl Test {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let pairs = Pairs::load(dir.path(), Metrics::new()).unwrap();
            Self { pairs, rows: Rows::default(), _dir: dir }
        }

        fn take(&mut self, replica: u64, seconds: i64, value: f64) {
            let row = SampleRow { vm_key: 0, series_id: 7, timestamp: seconds * 1000, value };
            self.pairs.take(Source { target: 9, replica }, Row::Sample(row), &mut self.rows);
        }

        /// Each replica's samples have its number as value.
        fn scrape(&mut self, replica: u64, seconds: impl Iterator<Item = i64>) {
            seconds.for_each(|seconds| self.take(replica, seconds, replica as f64));
        }

        fn stored(&mut self) -> Vec<(i64, u64)> {
            let rows = std::mem::take(&mut self.rows.samples);
            rows.into_iter().map(|row| (row.timestamp / 1000, row.value as u64)).collect()
        }
    }

    /// Both, in the order of time.
    fn both(test: &mut Test, from: i64, to: i64) {
        for seconds in from..to {
            match seconds % 15 {
                0 => test.take(A, seconds, 1.),
                7 => test.take(B, seconds, 2.),
                _ => {}
            }
        }
    }

    #[test]
    fn of_two_one_is_stored() {
        let mut test = Test::new();
        both(&mut test, 0, 1500);
        let expected: Vec<_> = (0..100).map(|i| (i * 15, A)).collect();
        assert_eq!(test.stored(), expected);
        assert!(test.pairs.held <= 1);
    }

    #[test]
    fn a_hole_is_filled_by_the_other_which_is_stored_from_then_on() {
        let mut test = Test::new();
        both(&mut test, 0, 1500);
        test.stored();
        // The first pauses of a target count for twenty minutes.
        test.scrape(B, (1507..1700).step_by(15));
        let expected: Vec<_> = (0..14).map(|i| (1492 + i * 15, B)).collect();
        assert_eq!(test.stored(), expected);
        // It comes back, and with what it had not sent.
        test.scrape(A, (1500..1700).step_by(15));
        test.scrape(B, [1702].into_iter());
        assert_eq!(test.stored(), [(1702, B)]);
        // Of 101 samples of the other one before the hole, and 14 late ones of the first.
        assert_eq!(test.pairs.metrics.replica_samples_dropped.get(), 99 + 14);
        assert_eq!(test.pairs.metrics.replica_switches.get(), 1);
    }

    #[test]
    fn what_comes_late_fills_a_hole_of_before() {
        let mut test = Test::new();
        both(&mut test, 0, 1500);
        test.scrape(A, (1800..1900).step_by(15));
        test.stored();
        test.scrape(B, (1477..1900).step_by(15));
        let filled: Vec<_> = (0..21).map(|i| (1492 + i * 15, B)).collect();
        assert_eq!(test.stored(), filled);
    }

    #[test]
    fn a_stale_marker_of_the_other_never_fills() {
        let mut test = Test::new();
        both(&mut test, 0, 1500);
        test.stored();
        test.take(B, 2000, f64::from_bits(STALE));
        assert_eq!(test.stored(), []);
        test.take(A, 1515, f64::from_bits(STALE));
        assert_eq!(test.rows.samples[0].value.to_bits(), STALE);
    }

    #[test]
    fn rules_that_are_evaluated_at_many_moments_of_a_minute_do_not_switch() {
        let mut test = Test::new();
        for minute in 0..60 {
            test.scrape(A, (0..20).map(|group| minute * 60 + group / 10));
            test.scrape(B, (0..20).map(|group| minute * 60 + 58 + group / 10));
        }
        assert!(test.stored().iter().all(|(_, replica)| *replica == A));
    }

    #[test]
    fn a_target_that_is_seldom_scraped_is_soon_known() {
        let mut test = Test::new();
        for i in 0..20 {
            test.take(A, i * 300, 1.);
            test.take(B, i * 300 + 150, 2.);
        }
        let stored = test.stored();
        assert_eq!(stored[..2], [(0, A), (150, B)]);
        assert!(stored[2..].iter().all(|(_, replica)| *replica == B), "{stored:?}");
    }

    #[test]
    fn the_choice_survives_a_start_and_is_given_up_when_the_chosen_one_does_not_come() {
        let mut test = Test::new();
        both(&mut test, 0, 100);
        test.pairs.save().unwrap();
        test.pairs = Pairs::load(test._dir.path(), Metrics::new()).unwrap();
        test.stored();
        test.scrape(B, [107, 122].into_iter());
        assert_eq!(test.stored(), []);
        test.scrape(A, [120].into_iter());
        assert_eq!(test.stored(), [(120, A)]);
        test.pairs = Pairs::load(test._dir.path(), Metrics::new()).unwrap();
        test.scrape(B, (137..400).step_by(15));
        let expected: Vec<_> = (0..18).map(|i| (137 + i * 15, B)).collect();
        assert_eq!(test.stored(), expected);
    }
}
