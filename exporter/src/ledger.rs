//! The books of performance samples: true counters, and what the newest samples say.
//!
//! ESXi makes a sample every 20 seconds and keeps an hour of them. For each series the ledger keeps the time of the
//! newest sample it has taken in, its *mark*: what is asked for next is everything after it, however long ago it is, and
//! what comes twice is taken once. So a counter is the sum of all samples, whatever was away meanwhile: a scrape, a
//! collection, vCenter, or this program, since totals and marks are stored. Sums are whole numbers in vSphere's units and
//! become base units when they are shown.
//!
//! Objects are known by their identity, not by their reference: a VM goes on in the same books when it moves, and when
//! it is asked of its host in place of its vCenter. Pure: time comes in as a value.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::catalogue::Counter;
use crate::vsphere::EntityPerformance;

/// A series that lags behind its object's others by more than this is given up: each query would fetch all again.
const MAX_LAG_MILLIS: i64 = 300_000;

/// How far back ESXi's samples go.
const KEPT_MILLIS: i64 = 3_600_000;

/// Samples that are so much older than those before are of a clock that went back.
const BACK_MILLIS: i64 = 60_000;

/// How many samples are asked for beyond those that must have come.
const SPARE_SAMPLES: i64 = 3;

/// What is older than this beside the newest sample counts for the counters, but says nothing about now.
const WINDOW_MILLIS: i64 = 300_000;

/// The books of an object that was not seen for so long are closed: it has gone.
const FORGET: Duration = Duration::from_secs(24 * 3600);

/// The books of all objects of one type.
#[derive(Debug)]
pub struct Ledger {
    counters: Vec<Counter>,
    books: HashMap<Box<str>, Book>,
    /// Samples that were taken in, ever.
    samples: u64,
    /// Samples that nobody had any more, ever.
    missing: u64,
}

/// The books of one object.
#[derive(Debug, Default)]
pub struct Book {
    /// Sorted by counter and device.
    cells: Vec<(Key, Cell)>,
    /// Its samples were cut off on purpose: it was switched off, say. What lies between is not missing.
    paused: bool,
    /// Some series came without a time for each value: the other format may have them.
    unpaired: bool,
    /// When it last had news, in Unix seconds.
    seen: i64,
    /// The server's clock when it was last asked, and when it was asked for what last brought news; 0 for not yet.
    asked: i64,
    heard: i64,
}

/// Place of the counter, and the device: empty for the object as a whole.
type Key = (u16, Box<str>);

/// One series.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cell {
    /// Sum of all samples, in vSphere's unit: for rates, times the seconds of each sample.
    pub total: u64,
    /// End of the newest sample, in Unix milliseconds by the host's clock.
    pub mark: i64,
    /// The newest sample.
    pub newest: i64,
    /// The highest of the samples since the previous collection.
    pub peak: i64,
    /// Their sum and their number.
    sum: i64,
    count: u32,
    /// Length of the newest sample, in seconds.
    pub interval: u32,
    /// When it last had a new sample.
    news: Option<Instant>,
}

/// What an answer brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Samples that are new.
    pub samples: usize,
    /// Samples that should lie between those that came and did not.
    pub missing: usize,
    /// End of the newest sample, in Unix milliseconds; 0 without one.
    pub newest: i64,
}

impl Cell {
    /// Whether its newest sample came at most so long ago.
    pub fn is_fresh(&self, now: Instant, max_age: Duration) -> bool {
        self.news.is_some_and(|news| now.saturating_duration_since(news) <= max_age)
    }

    /// Whether there is more than the total and the mark, which are all that is stored.
    pub fn has_readings(&self) -> bool {
        self.news.is_some()
    }

    /// Mean of the samples since the previous collection.
    pub fn mean(&self) -> f64 {
        self.sum as f64 / f64::from(self.count.max(1))
    }

    /// Takes in a sample that ends at `time`, unless it is in the books already; says how many lie between.
    fn take(&mut self, time: i64, interval: u32, value: i64, weight: u64, fresh_window: bool) -> Option<usize> {
        let length = i64::from(interval) * 1000;
        // Hosts of a cluster do not sample in step: after a vMotion a sample may overlap the one before. More than half
        // of it being new decides.
        if value < 0 || (self.mark != 0 && time <= self.mark + length / 2) {
            return None;
        }
        let between = if self.mark == 0 || length == 0 { 0 } else { (time - self.mark + length / 2) / length - 1 };
        self.total = self.total.saturating_add(value.unsigned_abs().saturating_mul(weight));
        (self.mark, self.newest, self.interval) = (time, value, interval);
        if fresh_window {
            (self.sum, self.count, self.peak) = (0, 0, value);
        }
        self.sum = self.sum.saturating_add(value);
        self.count += 1;
        self.peak = self.peak.max(value);
        Some(usize::try_from(between).unwrap_or_default())
    }
}

impl Ledger {
    /// Empty books for these counters.
    pub fn new(counters: Vec<Counter>) -> Self {
        Self { counters, books: HashMap::new(), samples: 0, missing: 0 }
    }

    /// The counters that are kept.
    pub fn counters(&self) -> &[Counter] {
        &self.counters
    }

    /// The books of an object.
    pub fn book(&self, id: &str) -> Option<&Book> {
        self.books.get(id)
    }

    /// All objects that have books.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.books.keys().map(|id| &**id)
    }

    /// What to ask of an object: the samples after this moment; without one, as many of the newest as
    /// [`Ledger::newest`] says. `server_now` is the server's clock, in Unix milliseconds.
    pub fn after(&self, id: &str, server_now: i64) -> Option<i64> {
        let book = self.books.get(id)?;
        let newest = book.newest_mark()?;
        if newest > server_now {
            // The host's clock is ahead. A server that translates times would take the mark for a later moment, and
            // leave out what lies between.
            return None;
        }
        let keeping_up = book.cells.iter().map(|(_, cell)| cell.mark).filter(|mark| newest - mark <= MAX_LAG_MILLIS);
        keeping_up.min().map(|mark| mark.max(server_now - KEPT_MILLIS))
    }

    /// Notes that an object is being asked.
    pub fn asked(&mut self, id: &str, server_now: i64) {
        if let Some(book) = self.books.get_mut(id) {
            book.asked = server_now;
        }
    }

    /// How many of an object's newest samples to ask for where no moment can be named: all that may have come since it
    /// was last heard of, since what comes twice is taken once. One of an object that is new.
    pub fn newest(&self, id: &str, server_now: i64) -> u32 {
        let Some(book) = self.books.get(id).filter(|book| book.newest_mark().is_some()) else { return 1 };
        // A clock that went back, or a start of this program, leaves open how long that was.
        let since = if book.heard > server_now { KEPT_MILLIS } else { (server_now - book.heard).min(KEPT_MILLIS) };
        u32::try_from((since / 20_000 + SPARE_SAMPLES).min(KEPT_MILLIS / 20_000)).unwrap_or(1)
    }

    /// Whether the last answer about an object left something open that another format may have.
    pub fn is_unpaired(&self, id: &str) -> bool {
        self.books.get(id).is_some_and(|book| book.unpaired)
    }

    /// An object that cannot have samples now.
    pub fn pause(&mut self, id: &str) {
        if let Some(book) = self.books.get_mut(id) {
            book.paused = true;
        }
    }

    /// Takes in an answer about an object. `place` finds a counter by its id in this vCenter and whether it is of a device.
    pub fn take(
        &mut self,
        id: &str,
        answer: &EntityPerformance,
        place: impl Fn(i32, bool) -> Option<usize>,
        now: Instant,
    ) -> Taken {
        let mut order: Vec<usize> = (0..answer.times.len()).collect();
        order.sort_unstable_by_key(|sample| answer.times[*sample]);
        let Some(last) = order.last().map(|last| answer.times[*last]) else { return Taken::default() };
        if !self.books.contains_key(id) {
            self.books.insert(id.into(), Book::default());
        }
        let Some(book) = self.books.get_mut(id) else { return Taken::default() };
        if book.newest_mark().is_some_and(|newest| last < newest - BACK_MILLIS) {
            // The clock went back, so the marks of before would hide all samples until it is there again. What of this
            // answer is in the books already cannot be known, but for the newest.
            let length = order.last().map_or(0, |newest| i64::from(answer.intervals[*newest]) * 1000);
            book.cells.iter_mut().for_each(|(_, cell)| cell.mark = last - length);
            book.paused = true;
        }
        let cells = book.cells.len();
        let mut taken = Taken::default();
        for series in &answer.series {
            // A simulator echoes the wildcard in place of devices.
            if series.instance == "*" {
                continue;
            }
            let Some(place) = place(series.counter, !series.instance.is_empty()) else { continue };
            let unit = self.counters[place].unit;
            let place = u16::try_from(place).unwrap_or(u16::MAX);
            let cell = book.cell(place, &series.instance);
            let mut fresh_window = true;
            for sample in &order {
                let (time, interval) = (answer.times[*sample], answer.intervals[*sample]);
                let weight = unit.weight(interval);
                let Some(between) = cell.take(time, interval, series.values[*sample], weight, fresh_window) else {
                    continue;
                };
                // What is long past starts the window again at each sample, until those begin that are of now.
                fresh_window = last - time > WINDOW_MILLIS;
                taken.samples += 1;
                taken.missing += between;
                taken.newest = taken.newest.max(time);
                cell.news = Some(now);
            }
        }
        if book.cells.len() > cells {
            // Which series an object has hardly ever changes: room for more of them would stay empty.
            book.cells.shrink_to_fit();
        }
        book.unpaired = answer.unpaired > 0;
        if taken.samples > 0 {
            book.seen = taken.newest / 1000;
            book.heard = book.asked;
            if std::mem::take(&mut book.paused) {
                taken.missing = 0;
            }
        }
        self.samples += taken.samples as u64;
        self.missing += taken.missing as u64;
        taken
    }

    /// Closes the books of objects that are long gone.
    pub fn forget(&mut self, server_now: i64) {
        let oldest = server_now / 1000 - i64::try_from(FORGET.as_secs()).unwrap_or(i64::MAX);
        self.books.retain(|_, book| book.seen >= oldest);
    }

    /// How many samples were taken in, and how many are missing, ever.
    pub fn totals(&self) -> (u64, u64) {
        (self.samples, self.missing)
    }

    /// How many objects are in the books.
    pub fn len(&self) -> usize {
        self.books.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.books.is_empty()
    }

    /// What has to be kept.
    pub fn store(&self) -> StoredLedger {
        let mut books = Vec::with_capacity(self.books.len());
        for (id, book) in &self.books {
            let cells = book.cells.iter().map(|((place, device), c)| (*place, device.clone(), c.total, c.mark));
            books.push(StoredBook { id: id.clone(), seen: book.seen, cells: cells.collect() });
        }
        let counters = self.counters.iter().map(|counter| counter.name.to_owned()).collect();
        StoredLedger { counters, books, samples: self.samples, missing: self.missing }
    }

    /// Goes on where a stored ledger ended. Counters that are not kept any more are left out.
    ///
    /// Joins the two where there is something already: of each series the larger total stays, with its own mark. Where
    /// both counted from the same sample on that is the one with more samples in it; where they did not, the samples
    /// after its mark are asked for again. So nothing is lost, nothing counts twice, and no total goes back, in whatever
    /// order and however often ledgers are joined.
    pub fn restore(&mut self, stored: StoredLedger) {
        // Another version of this program may have other counters, in another order.
        let places: Vec<Vec<u16>> = stored.counters.iter().map(|name| self.places_of(name)).collect();
        for old in stored.books {
            let book = self.books.entry(old.id).or_default();
            book.seen = book.seen.max(old.seen);
            for (place, device, total, mark) in old.cells {
                let candidates = places.get(usize::from(place)).map(Vec::as_slice).unwrap_or_default();
                let by_instance = !device.is_empty();
                let place = candidates.iter().find(|p| self.counters[usize::from(**p)].by_instance == by_instance);
                if let Some(place) = place {
                    let cell = book.cell(*place, &device);
                    (cell.total, cell.mark) = (cell.total, cell.mark).max((total, mark));
                }
            }
        }
        self.samples = self.samples.max(stored.samples);
        self.missing = self.missing.max(stored.missing);
    }

    fn places_of(&self, name: &str) -> Vec<u16> {
        let named = self.counters.iter().enumerate().filter(|(_, counter)| counter.name == name);
        named.filter_map(|(place, _)| u16::try_from(place).ok()).collect()
    }
}

impl Book {
    /// The series of a counter for the object as a whole.
    pub fn whole(&self, place: usize) -> Option<&Cell> {
        self.of(place).find(|(device, _)| device.is_empty()).map(|(_, cell)| cell)
    }

    /// All series of a counter, by device.
    pub fn of(&self, place: usize) -> impl Iterator<Item = (&str, &Cell)> {
        let start = self.cells.partition_point(|((other, _), _)| usize::from(*other) < place);
        let of_it = self.cells[start..].iter().take_while(move |((other, _), _)| usize::from(*other) == place);
        of_it.map(|((_, device), cell)| (&**device, cell))
    }

    /// End of its newest sample.
    fn newest_mark(&self) -> Option<i64> {
        self.cells.iter().map(|(_, cell)| cell.mark).max().filter(|mark| *mark > 0)
    }

    fn cell(&mut self, place: u16, device: &str) -> &mut Cell {
        let found = self.cells.binary_search_by(|((p, d), _)| (*p, &**d).cmp(&(place, device)));
        let at = found.unwrap_or_else(|at| {
            self.cells.insert(at, ((place, device.into()), Cell::default()));
            at
        });
        &mut self.cells[at].1
    }
}

/// A ledger as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StoredLedger {
    counters: Vec<String>,
    books: Vec<StoredBook>,
    samples: u64,
    missing: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct StoredBook {
    id: Box<str>,
    seen: i64,
    /// Place in `counters`, device, total, mark.
    cells: Vec<(u16, Box<str>, u64, i64)>,
}

#[cfg(test)]
mod tests;
