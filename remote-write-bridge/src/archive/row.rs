//! Rows as they travel to and from ClickHouse; names and order are those of the tables.

use clickhouse::Row;
use serde::{Deserialize, Serialize};

use crate::time::{self, Day};

/// A row of `samples`.
#[derive(Debug, Clone, Copy, PartialEq, Row, Serialize, Deserialize)]
pub(crate) struct SampleRow {
    pub(crate) vm_key: u64,
    pub(crate) series_id: u128,
    /// Milliseconds since 1970.
    pub(crate) timestamp: i64,
    pub(crate) value: f64,
}

impl SampleRow {
    /// The partition that it belongs to.
    pub(crate) fn day(&self) -> Day {
        time::day(self.timestamp)
    }
}

/// Memory of what waits to be stored: of a new series almost all of it is labels, and a third of those the allocator's.
pub(crate) fn memory(samples: &Vec<SampleRow>, series: &Vec<SeriesRow>) -> usize {
    let strings = |row: &SeriesRow| {
        let labels: usize = row.labels.iter().map(|(name, value)| of_string(name) + of_string(value)).sum();
        of_string(&row.metric_name) + of_vec(&row.labels) + labels
    };
    of_vec(samples) + of_vec(series) + series.iter().map(strings).sum::<usize>()
}

fn of_vec<T>(vec: &Vec<T>) -> usize {
    allocated(vec.capacity() * size_of::<T>())
}

fn of_string(string: &String) -> usize {
    allocated(string.capacity())
}

/// What glibc's malloc takes for so many bytes: 8 more, in steps of 16, at least 32.
fn allocated(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { (bytes + 8).next_multiple_of(16).max(32) }
}

/// A row of `series`.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub(crate) struct SeriesRow {
    pub(crate) month: Day,
    pub(crate) series_id: u128,
    pub(crate) vm_key: u64,
    pub(crate) metric_name: String,
    /// Sorted, without the metric's name.
    pub(crate) labels: Vec<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_count_with_what_the_allocator_adds() {
        let label = |i: usize| (format!("label_{i:02}"), format!("value_{i:02}"));
        let labels: Vec<_> = (0..20).map(label).collect();
        let row = SeriesRow { month: 0, series_id: 0, vm_key: 0, metric_name: "up".into(), labels };
        let sample = SampleRow { vm_key: 0, series_id: 0, timestamp: 0, value: 0. };
        assert_eq!(memory(&vec![sample; 10], &vec![]), 496);
        // The row, the name, the list of labels, and 40 strings.
        assert_eq!(memory(&vec![], &vec![row]), 96 + 32 + 976 + 40 * 32);
    }
}
