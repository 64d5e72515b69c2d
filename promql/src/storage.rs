//! Where samples come from.

mod buckets;
mod memory;

use std::ops::ControlFlow;
use std::sync::Arc;

use regex::Regex;

pub use buckets::{Buckets, Columns, Windows};
pub use memory::Memory;

use crate::ast::{Matcher, MatcherOp};
use crate::histogram::Histogram;
use crate::labels::Labels;
use crate::regexp;

/// What the evaluator reads from.
///
/// Reading is not asynchronous: evaluation is computation. Who has to wait for samples fetches them first, and hands
/// them over in a [`Memory`].
pub trait Storage {
    /// Every series that all matchers match, each once, with at least its samples within the hints' times. The order
    /// decides between equals (`topk`, `limitk`): ordered by labels makes answers repeatable.
    fn select(&self, matchers: &[SeriesMatcher], hints: &Hints) -> Result<Vec<Arc<StoredSeries>>, StorageError>;

    /// Hands over the same series as buckets, from which each window can be put together, one series after the other and
    /// in any order, until no more are wanted. False where there are no such buckets, or where they leave something out:
    /// then the samples are selected.
    fn summarize(
        &self,
        _matchers: &[SeriesMatcher],
        _windows: &Windows,
        _columns: Columns,
        _each: &mut dyn FnMut(Buckets) -> ControlFlow<()>,
    ) -> Result<bool, StorageError> {
        Ok(false)
    }
}

/// Why a storage could not read.
pub type StorageError = Box<dyn std::error::Error + Send + Sync>;

/// What of a series will be read. Times are milliseconds since 1970, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hints {
    pub start: i64,
    pub end: i64,
    /// Between two evaluations, in milliseconds; 0 when there is one only.
    pub step: i64,
    /// How much an evaluation reads, in milliseconds: the first one from `start` on, each next one a step later. What
    /// lies between them need not be there.
    pub window: i64,
    /// Length of the range in milliseconds; 0 for an instant selector.
    pub range: i64,
    /// Of each window only the newest sample is looked at, stale marker or not.
    pub newest: bool,
}

/// A series as stored: stale markers included, times strictly ascending in each list.
#[derive(Clone, Debug, Default)]
pub struct StoredSeries {
    pub labels: Labels,
    pub floats: Points<f64>,
    pub histograms: Points<Arc<Histogram>>,
}

/// Samples of one kind, as columns.
#[derive(Clone, Debug)]
pub struct Points<T> {
    /// Milliseconds since 1970.
    pub times: Vec<i64>,
    pub values: Vec<T>,
    /// When the counter of the sample began, in milliseconds since 1970, 0 where unknown; empty when all are.
    pub starts: Vec<i64>,
}

impl<T> Default for Points<T> {
    fn default() -> Points<T> {
        Points { times: Vec::new(), values: Vec::new(), starts: Vec::new() }
    }
}

impl<T> Points<T> {
    /// Adds a sample that is newer than all others.
    pub fn push(&mut self, time: i64, value: T, start: i64) {
        if start != 0 && self.starts.is_empty() {
            self.starts = vec![0; self.times.len()];
        }
        if start != 0 || !self.starts.is_empty() {
            self.starts.push(start);
        }
        self.times.push(time);
        self.values.push(value);
    }

    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }
}

const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The value that says: this series has ended here.
pub const STALE: f64 = f64::from_bits(STALE_BITS);

/// Whether a value is the marker; other NaNs are values.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_BITS
}

/// A label matcher that is ready to match.
#[derive(Clone, Debug)]
pub struct SeriesMatcher {
    pub matcher: Matcher,
    regex: Option<Regex>,
}

/// A regular expression that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad regular expression `{pattern}`: {reason}")]
pub struct BadMatcher {
    pub pattern: String,
    pub reason: String,
}

impl SeriesMatcher {
    pub fn new(matcher: &Matcher) -> Result<SeriesMatcher, BadMatcher> {
        let regex = match matcher.op {
            MatcherOp::Equal | MatcherOp::NotEqual => None,
            MatcherOp::Regex | MatcherOp::NotRegex => {
                let bad = |bad: regexp::BadRegex| BadMatcher { pattern: matcher.value.clone(), reason: bad.0 };
                Some(regexp::anchored(&matcher.value).map_err(bad)?)
            }
        };
        Ok(SeriesMatcher { matcher: matcher.clone(), regex })
    }

    /// Whether a label with this value matches; a label that is not there has the empty value.
    pub fn matches(&self, value: &str) -> bool {
        let is_match = || self.regex.as_ref().is_some_and(|regex| regex.is_match(value));
        match self.matcher.op {
            MatcherOp::Equal => value == self.matcher.value,
            MatcherOp::NotEqual => value != self.matcher.value,
            MatcherOp::Regex => is_match(),
            MatcherOp::NotRegex => !is_match(),
        }
    }

    pub fn matches_labels(&self, labels: &Labels) -> bool {
        self.matches(labels.get(&self.matcher.name))
    }
}
