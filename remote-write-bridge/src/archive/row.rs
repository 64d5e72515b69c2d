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

/// The first day of the oldest partition of a table.
#[derive(Debug, Clone, PartialEq, Eq, Row, Deserialize)]
pub(crate) struct OldestRow {
    pub(crate) table: String,
    /// Unix seconds.
    pub(crate) oldest: u32,
}
