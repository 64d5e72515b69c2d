//! Rows as they travel to and from ClickHouse; names and order are those of the tables.

use std::cmp::Ordering;

use clickhouse::{Row, RowOwned, RowWrite};
use serde::{Deserialize, Serialize};

use crate::time::{self, Day};

/// A row that is inserted.
pub(crate) trait TableRow: Row + RowOwned + RowWrite + Send + Sync + 'static {
    /// The table that it belongs to.
    const TABLE: &'static str;

    /// A day of the partition that it belongs to: no two partitions have the same.
    fn partition(&self) -> Day;

    /// The order of the table; of equal rows one is kept.
    fn order(&self, other: &Self) -> Ordering;

    /// Adds it in ClickHouse's format RowBinary.
    fn row_binary(&self, into: &mut Vec<u8>);
}

/// A row of `samples`.
#[derive(Debug, Clone, Copy, PartialEq, Row, Serialize, Deserialize)]
pub(crate) struct SampleRow {
    pub(crate) vm_key: u64,
    pub(crate) series_id: u128,
    /// Milliseconds since 1970.
    pub(crate) timestamp: i64,
    pub(crate) value: f64,
}

impl TableRow for SampleRow {
    const TABLE: &'static str = "samples";

    fn partition(&self) -> Day {
        time::day(self.timestamp)
    }

    fn order(&self, other: &Self) -> Ordering {
        let key = |row: &Self| (row.vm_key, row.series_id, row.timestamp);
        key(self).cmp(&key(other))
    }

    fn row_binary(&self, into: &mut Vec<u8>) {
        push_key(self.vm_key, self.series_id, self.timestamp, into);
        into.extend_from_slice(&self.value.to_bits().to_le_bytes());
    }
}

/// A row of `histograms`.
#[derive(Debug, Clone, PartialEq, Row, Serialize, Deserialize)]
pub(crate) struct HistogramRow {
    pub(crate) vm_key: u64,
    pub(crate) series_id: u128,
    /// Milliseconds since 1970.
    pub(crate) timestamp: i64,
    pub(crate) count: f64,
    pub(crate) sum: f64,
    /// The message of remote write 2.0, without its time.
    #[serde(with = "serde_bytes")]
    pub(crate) histogram: Vec<u8>,
}

impl TableRow for HistogramRow {
    const TABLE: &'static str = "histograms";

    fn partition(&self) -> Day {
        time::day(self.timestamp)
    }

    fn order(&self, other: &Self) -> Ordering {
        let key = |row: &Self| (row.vm_key, row.series_id, row.timestamp);
        key(self).cmp(&key(other))
    }

    fn row_binary(&self, into: &mut Vec<u8>) {
        push_key(self.vm_key, self.series_id, self.timestamp, into);
        into.extend_from_slice(&self.count.to_bits().to_le_bytes());
        into.extend_from_slice(&self.sum.to_bits().to_le_bytes());
        push_bytes(&self.histogram, into);
    }
}

/// A row of `exemplars`.
#[derive(Debug, Clone, PartialEq, Row, Serialize, Deserialize)]
pub(crate) struct ExemplarRow {
    pub(crate) vm_key: u64,
    pub(crate) series_id: u128,
    /// Milliseconds since 1970.
    pub(crate) timestamp: i64,
    pub(crate) value: f64,
    pub(crate) labels_id: u64,
    /// Sorted.
    pub(crate) labels: Vec<(String, String)>,
}

impl TableRow for ExemplarRow {
    const TABLE: &'static str = "exemplars";

    fn partition(&self) -> Day {
        time::day(self.timestamp)
    }

    fn order(&self, other: &Self) -> Ordering {
        let key = |row: &Self| (row.vm_key, row.series_id, row.timestamp, row.labels_id);
        key(self).cmp(&key(other)).then_with(|| self.value.total_cmp(&other.value))
    }

    fn row_binary(&self, into: &mut Vec<u8>) {
        push_key(self.vm_key, self.series_id, self.timestamp, into);
        into.extend_from_slice(&self.value.to_bits().to_le_bytes());
        into.extend_from_slice(&self.labels_id.to_le_bytes());
        push_map(&self.labels, into);
    }
}

/// A row of `starts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Row, Serialize, Deserialize)]
pub(crate) struct StartRow {
    pub(crate) month: Day,
    pub(crate) vm_key: u64,
    pub(crate) series_id: u128,
    /// Milliseconds since 1970.
    pub(crate) start: i64,
}

impl TableRow for StartRow {
    const TABLE: &'static str = "starts";

    fn partition(&self) -> Day {
        self.month
    }

    fn order(&self, other: &Self) -> Ordering {
        let key = |row: &Self| (row.vm_key, row.series_id, row.start);
        key(self).cmp(&key(other))
    }

    fn row_binary(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.month.to_le_bytes());
        into.extend_from_slice(&self.vm_key.to_le_bytes());
        into.extend_from_slice(&self.series_id.to_le_bytes());
        into.extend_from_slice(&self.start.to_le_bytes());
    }
}

/// A row of `metadata`.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub(crate) struct MetadataRow {
    pub(crate) month: Day,
    pub(crate) metric_name: String,
    pub(crate) r#type: String,
    pub(crate) unit: String,
    pub(crate) help: String,
}

impl TableRow for MetadataRow {
    const TABLE: &'static str = "metadata";

    fn partition(&self) -> Day {
        self.month
    }

    fn order(&self, other: &Self) -> Ordering {
        fn key(row: &MetadataRow) -> [&str; 4] {
            [&row.metric_name, &row.r#type, &row.unit, &row.help]
        }
        key(self).cmp(&key(other))
    }

    fn row_binary(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.month.to_le_bytes());
        for text in [&self.metric_name, &self.r#type, &self.unit, &self.help] {
            push_bytes(text.as_bytes(), into);
        }
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

impl TableRow for SeriesRow {
    const TABLE: &'static str = "series";

    fn partition(&self) -> Day {
        self.month
    }

    fn order(&self, other: &Self) -> Ordering {
        (&self.metric_name, self.series_id).cmp(&(&other.metric_name, other.series_id))
    }

    fn row_binary(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.month.to_le_bytes());
        into.extend_from_slice(&self.series_id.to_le_bytes());
        into.extend_from_slice(&self.vm_key.to_le_bytes());
        push_bytes(self.metric_name.as_bytes(), into);
        push_map(&self.labels, into);
    }
}

/// The first day of the oldest partition of a table.
#[derive(Debug, Clone, PartialEq, Eq, Row, Deserialize)]
pub(crate) struct OldestRow {
    pub(crate) table: String,
    /// Unix seconds.
    pub(crate) oldest: u32,
}

fn push_key(vm_key: u64, series_id: u128, timestamp: i64, into: &mut Vec<u8>) {
    into.extend_from_slice(&vm_key.to_le_bytes());
    into.extend_from_slice(&series_id.to_le_bytes());
    into.extend_from_slice(&timestamp.to_le_bytes());
}

fn push_map(pairs: &[(String, String)], into: &mut Vec<u8>) {
    push_number(pairs.len(), into);
    for (name, value) in pairs {
        push_bytes(name.as_bytes(), into);
        push_bytes(value.as_bytes(), into);
    }
}

fn push_bytes(bytes: &[u8], into: &mut Vec<u8>) {
    push_number(bytes.len(), into);
    into.extend_from_slice(bytes);
}

fn push_number(mut number: usize, into: &mut Vec<u8>) {
    while number >= 0x80 {
        // The lowest seven bits.
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}
