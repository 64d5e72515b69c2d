use crate::labels::Labels;

/// The ranges of a range selector: (end - range, end] for the first end and each one a step later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Of the first one, in milliseconds since 1970.
    pub end: i64,
    /// From one end to the next, in milliseconds; above 0.
    pub step: i64,
    pub steps: usize,
    /// Length of each, in milliseconds.
    pub range: i64,
}

impl Windows {
    /// The end of the last one.
    pub fn last(&self) -> i64 {
        self.end.saturating_add(self.step.saturating_mul(self.steps.saturating_sub(1) as i64))
    }

    /// Behind which the first one begins.
    pub fn start(&self) -> i64 {
        self.end.saturating_sub(self.range)
    }
}

/// What is read of buckets, beside that they are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    pub count: bool,
    pub sum: bool,
    pub min: bool,
    pub max: bool,
    pub first: bool,
    pub last: bool,
    pub resets: bool,
}

/// What the samples of a series come to, bucket by bucket. A bucket begins behind its start and ends with its end; none
/// reaches beyond a border of a window, and none is empty: stale markers are no samples. Columns that were not asked for
/// may be empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets {
    pub labels: Labels,
    /// Milliseconds since 1970, ascending.
    pub ends: Vec<i64>,
    pub counts: Vec<u32>,
    pub sums: Vec<f64>,
    /// NaN only where all samples are; the same for `maxs`.
    pub mins: Vec<f64>,
    pub maxs: Vec<f64>,
    pub firsts: Vec<f64>,
    /// Milliseconds since 1970.
    pub first_times: Vec<i64>,
    pub lasts: Vec<f64>,
    pub last_times: Vec<i64>,
    /// Sums of the values before each drop within a bucket; empty where all are 0.
    pub resets: Vec<f64>,
}
