//! A tier: its buckets, and the statement that makes them.

use crate::archive::{ArchiveError, Connection};

use super::blocks::{Blocks, HOURS_OF_BLOCK};
use super::{MILLIS_OF_HOUR, end_of, sql};

/// So many samples are rolled up by one statement, about: it holds them in memory.
const SAMPLES_AT_ONCE: u64 = 10_000_000;
/// Or so many buckets.
const BUCKETS_AT_ONCE: u64 = 5_000_000;

/// Roll-ups of an hour from its samples.
pub(super) struct OfSamples {
    table: &'static str,
    seconds: i64,
    /// Whether it has only the metrics that the config names.
    is_chosen: bool,
}

pub(super) const OF_SAMPLES: [OfSamples; 2] = [
    OfSamples { table: "rollup_1h", seconds: 3600, is_chosen: false },
    OfSamples { table: "rollup_5m", seconds: 300, is_chosen: true },
];

impl OfSamples {
    /// Makes the buckets of an hour anew. `chosen` are regular expressions of whole names.
    pub(super) async fn make(&self, connection: &Connection, hour: i64, chosen: &[String]) -> Result<(), ArchiveError> {
        if self.is_chosen && chosen.is_empty() {
            return Ok(());
        }
        let count = "SELECT count() FROM samples WHERE timestamp > fromUnixTimestamp64Milli(?, 'UTC') \
                     AND timestamp <= fromUnixTimestamp64Milli(?, 'UTC')";
        let (start, end) = (end_of(hour - 1), end_of(hour));
        let sql = self.sql(if self.is_chosen { chosen } else { &[] });
        for (first, last) in slices(count_of(connection, count, start, end).await?, SAMPLES_AT_ONCE) {
            let bind = |client: &clickhouse::Client| {
                let query = client.query(&sql).bind(start).bind(end).bind(first).bind(last);
                let query = query.bind(start).bind(end);
                if self.is_chosen { query.bind(alternatives(chosen)) } else { query }
            };
            connection.execute(bind).await?;
        }
        Ok(())
    }

    fn sql(&self, chosen: &[String]) -> String {
        let Self { table, seconds, .. } = self;
        let metrics = if chosen.is_empty() { "" } else { " AND match(metric_name, ?)" };
        let buckets = sql::of_samples(
            *seconds,
            "timestamp > fromUnixTimestamp64Milli(?, 'UTC') AND timestamp <= fromUnixTimestamp64Milli(?, 'UTC') \
             AND vm_key BETWEEN ? AND ?",
        );
        format!(
            "INSERT INTO {table} SELECT metric_name, bucket, vm_key, series_id, {columns}, now64(3, 'UTC') \
             FROM ({buckets}) AS buckets \
             INNER JOIN (SELECT DISTINCT series_id, metric_name FROM series \
             WHERE month IN (toStartOfMonth(fromUnixTimestamp64Milli(?, 'UTC') + INTERVAL 1 MILLISECOND), \
             toStartOfMonth(fromUnixTimestamp64Milli(?, 'UTC'))){metrics}) AS names USING series_id",
            columns = sql::COLUMNS
        )
    }
}

/// Makes a block of six hours anew from the hours, by its last one.
pub(crate) async fn make_block(connection: &Connection, last_hour: i64) -> Result<(), ArchiveError> {
    let count = "SELECT count() FROM rollup_1h WHERE bucket > fromUnixTimestamp64Milli(?, 'UTC') \
                 AND bucket <= fromUnixTimestamp64Milli(?, 'UTC')";
    let (start, end) = (end_of(last_hour - HOURS_OF_BLOCK), end_of(last_hour));
    let sql = sql::insert_block();
    for (first, last) in slices(count_of(connection, count, start, end).await?, BUCKETS_AT_ONCE) {
        let bind = |client: &clickhouse::Client| {
            client.query(&sql).bind(end / 1000).bind(start).bind(end).bind(first).bind(last)
        };
        connection.execute(bind).await?;
    }
    Ok(())
}

/// Deletes the blocks of other zones: they are not read any more.
pub(super) async fn delete_other_blocks(connection: &Connection, blocks: Blocks) -> Result<(), ArchiveError> {
    let sql = format!("ALTER TABLE {} DELETE WHERE NOT ({})", connection.altered("rollup_6h"), blocks.sql());
    connection.execute(|client| client.query(&sql).with_setting("mutations_sync", "2")).await
}

/// Every block that may have an hour, by its last hour.
pub(super) async fn blocks(connection: &Connection, blocks: Blocks) -> Result<Vec<i64>, ArchiveError> {
    let sql = "SELECT toInt64(toUnixTimestamp(min(bucket))), toInt64(toUnixTimestamp(max(bucket))) FROM rollup_1h";
    let found: Vec<(i64, i64)> = connection.fetch(|client| client.query(sql), "rows", 1).await?;
    let all = found.first().filter(|(first, _)| *first > 0).map(|(first, last)| {
        let of = |seconds: &i64| blocks.last_hour(seconds / 3600);
        (of(first)..=of(last)).step_by(HOURS_OF_BLOCK.cast_unsigned() as usize)
    });
    Ok(all.into_iter().flatten().collect())
}

async fn count_of(connection: &Connection, sql: &str, start: i64, end: i64) -> Result<u64, ArchiveError> {
    let found: Vec<u64> = connection.fetch(|client| client.query(sql).bind(start).bind(end), "counts", 1).await?;
    Ok(found.first().copied().unwrap_or_default())
}

/// First and last key of each of as many slices as rows need. Machines are spread evenly over their keys; series of none
/// have key 0.
pub(crate) fn slices(rows: u64, at_once: u64) -> impl Iterator<Item = (u64, u64)> {
    let slices = rows.div_ceil(at_once);
    let width = u64::MAX / slices.max(1);
    (0..slices).map(move |slice| (width * slice, if slice + 1 == slices { u64::MAX } else { width * (slice + 1) - 1 }))
}

/// One expression for all.
fn alternatives(chosen: &[String]) -> String {
    format!("^(?s:{})$", chosen.join("|"))
}

/// All hours that have samples.
pub(super) async fn hours(connection: &Connection) -> Result<Vec<i64>, ArchiveError> {
    let sql = format!(
        "SELECT DISTINCT intDiv(toUnixTimestamp64Milli(timestamp) + {MILLIS_OF_HOUR} - 1, {MILLIS_OF_HOUR}) AS hour FROM samples"
    );
    connection.fetch(|client| client.query(&sql), "hours", 1_000_000).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_cover_all_keys_once() {
        assert_eq!(slices(0, 10).count(), 0);
        let all: Vec<_> = slices(25, 10).collect();
        assert_eq!((all[0].0, all[2].1), (0, u64::MAX));
        assert!(all.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0));
    }
}
