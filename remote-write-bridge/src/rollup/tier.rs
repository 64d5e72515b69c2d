//! A tier: its buckets, and the statement that makes an hour of them.

use crate::archive::{ArchiveError, Connection};

use super::end_of;

/// So many samples are rolled up by one statement, about: it holds them in memory.
const SAMPLES_AT_ONCE: u64 = 10_000_000;

/// The bits of a stale marker.
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// Roll-ups of one length.
pub(super) struct Tier {
    table: &'static str,
    seconds: i64,
    /// Whether it has only the metrics that the config names.
    is_chosen: bool,
}

pub(super) const TIERS: [Tier; 2] = [
    Tier { table: "rollup_1h", seconds: 3600, is_chosen: false },
    Tier { table: "rollup_5m", seconds: 300, is_chosen: true },
];

impl Tier {
    /// Makes the buckets of an hour anew. `chosen` are regular expressions of whole names.
    pub(super) async fn make(&self, connection: &Connection, hour: i64, chosen: &[String]) -> Result<(), ArchiveError> {
        if self.is_chosen && chosen.is_empty() {
            return Ok(());
        }
        let count = "SELECT count() FROM samples WHERE timestamp > fromUnixTimestamp64Milli(?, 'UTC') \
                     AND timestamp <= fromUnixTimestamp64Milli(?, 'UTC')";
        let (start, end) = (end_of(hour - 1), end_of(hour));
        let found: Vec<u64> = connection.fetch(|client| client.query(count).bind(start).bind(end), "counts", 1).await?;
        let samples = found.first().copied().unwrap_or_default();
        if samples == 0 {
            return Ok(());
        }
        // Machines are spread evenly over their keys; series of none have key 0.
        let slices = samples.div_ceil(SAMPLES_AT_ONCE);
        let width = u64::MAX / slices;
        for slice in 0..slices {
            let (first, last) = (width * slice, if slice + 1 == slices { u64::MAX } else { width * (slice + 1) - 1 });
            let sql = self.sql(if self.is_chosen { chosen } else { &[] });
            let bind = |client: &clickhouse::Client| {
                let query = client.query(&sql).bind(start).bind(end).bind(first).bind(last);
                let query = query.bind(start).bind(end);
                if self.is_chosen { query.bind(alternatives(chosen)) } else { query }
            };
            connection.execute(bind).await?;
        }
        Ok(())
    }

    /// Samples are sorted by time, each once; a stale marker says that a series has ended, and is no value.
    fn sql(&self, chosen: &[String]) -> String {
        let Self { table, seconds, .. } = self;
        let millis = seconds * 1000;
        let metrics = if chosen.is_empty() { "" } else { " AND match(metric_name, ?)" };
        format!(
            "INSERT INTO {table} \
             SELECT metric_name, bucket, vm_key, series_id, length(values), arraySum(values), \
             if(empty(numbers), nan, arrayMin(numbers)), if(empty(numbers), nan, arrayMax(numbers)), \
             values[1], fromUnixTimestamp64Milli(kept[1].1, 'UTC'), \
             values[-1], fromUnixTimestamp64Milli(kept[-1].1, 'UTC'), \
             arraySum((value, next) -> if(next < value, value, 0), arrayPopBack(values), arrayPopFront(values)), \
             reinterpretAsUInt64(sorted[-1].2) = {STALE}, now64(3, 'UTC') \
             FROM (SELECT vm_key, series_id, \
             toDateTime(intDiv(toUnixTimestamp64Milli(timestamp) + {millis} - 1, {millis}) * {seconds}, 'UTC') AS bucket, \
             arraySort(groupArray((toUnixTimestamp64Milli(timestamp), value))) AS sorted, \
             arrayFilter(sample -> reinterpretAsUInt64(sample.2) != {STALE}, sorted) AS kept, \
             arrayMap(sample -> sample.2, kept) AS values, \
             arrayFilter(value -> NOT isNaN(value), values) AS numbers \
             FROM samples FINAL \
             WHERE timestamp > fromUnixTimestamp64Milli(?, 'UTC') AND timestamp <= fromUnixTimestamp64Milli(?, 'UTC') \
             AND vm_key BETWEEN ? AND ? GROUP BY vm_key, series_id, bucket) AS buckets \
             INNER JOIN (SELECT DISTINCT series_id, metric_name FROM series \
             WHERE month IN (toStartOfMonth(fromUnixTimestamp64Milli(?, 'UTC') + INTERVAL 1 MILLISECOND), \
             toStartOfMonth(fromUnixTimestamp64Milli(?, 'UTC'))){metrics}) AS names USING series_id"
        )
    }
}

/// One expression for all.
fn alternatives(chosen: &[String]) -> String {
    format!("^(?s:{})$", chosen.join("|"))
}

/// All hours that have samples.
pub(super) async fn hours(connection: &Connection) -> Result<Vec<i64>, ArchiveError> {
    let sql = "SELECT DISTINCT intDiv(toUnixTimestamp64Milli(timestamp) + 3599999, 3600000) AS hour FROM samples";
    connection.fetch(|client| client.query(sql), "hours", 1_000_000).await
}
