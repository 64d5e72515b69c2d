//! Buckets as SQL.

use clickhouse::Client;
use clickhouse::query::Query as Sql;
use lynceus_promql::Columns;

use super::{MERGE_WITHIN_PARTITIONS, Selection, between, unchecked};
use crate::rollup::{Source, Thin, bucket_end, of_samples};

/// What is read of buckets.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    /// Those that have values, with some columns.
    Values(Columns),
    /// The newest sample, be it a stale marker.
    Newest,
}

/// Some of the buckets.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) source: Source,
    /// (start, end] in milliseconds.
    pub(crate) times: Vec<(i64, i64)>,
    /// First and last vm key.
    pub(crate) keys: (u64, u64),
}

impl Wanted {
    /// The columns, each with all buckets of a series.
    fn sql(self) -> String {
        let (columns, newest) = match self {
            Self::Values(columns) => (columns, false),
            Self::Newest => (Columns { last: true, ..Columns::default() }, true),
        };
        let column = |kind: &str, is_wanted: bool, value: &str| match is_wanted {
            true => format!("groupArray({value})"),
            false => format!("emptyArray{kind}()"),
        };
        // Milliseconds before the bucket's end: half as long as a time.
        let age = |time: &str| format!("toUInt32(toUnixTimestamp(bucket) * 1000 - toUnixTimestamp64Milli({time}))");
        let resets = match columns.resets {
            // Most counters are never reset.
            true => "if(max(resets != 0), groupArray(resets), emptyArrayFloat64())",
            false => "emptyArrayFloat64()",
        };
        [
            column("UInt32", columns.count, "count") + " AS counts",
            column("Float64", columns.sum, "sum") + " AS sums",
            column("Float64", columns.min, "min") + " AS mins",
            column("Float64", columns.max, "max") + " AS maxs",
            column("Float64", columns.first, "first") + " AS firsts",
            column("UInt32", columns.first, &age("first_time")) + " AS first_ages",
            column("Float64", columns.last, "last") + " AS lasts",
            column("UInt32", columns.last, &age("last_time")) + " AS last_ages",
            format!("{resets} AS all_resets"),
            format!("groupArrayIf(stale, {newest}) AS stales"),
        ]
        .join(", ")
    }

    fn condition(self) -> &'static str {
        match self {
            Self::Values(_) => "count > 0",
            Self::Newest => "true",
        }
    }
}

impl Selection {
    /// What those series come to, one row for each.
    pub(crate) fn buckets(&self, client: &Client, part: &Part, thin: Option<Thin>, wanted: Wanted) -> Sql {
        let Part { source, times, keys: (first, last) } = part;
        let (time, millis) = match source {
            Source::Samples => ("timestamp", bucket_end(3600)),
            Source::Hours | Source::Blocks => ("bucket", "toInt64(toUnixTimestamp(bucket)) * 1000".to_owned()),
        };
        let within = |(start, end): &(i64, i64)| {
            format!(
                "{time} > fromUnixTimestamp64Milli({start}, 'UTC') AND {time} <= fromUnixTimestamp64Milli({end}, 'UTC')"
            )
        };
        let mut condition = format!(
            "vm_key BETWEEN {first} AND {last} AND ({})",
            times.iter().map(within).collect::<Vec<_>>().join(" OR ")
        );
        if let Some(thin) = thin {
            condition.push_str(&format!(" AND {}", thin.sql(&millis)));
        }
        let keys = self.keys();
        let with_name = self.with_name();
        let from = match source {
            Source::Samples => {
                format!("({}) WHERE", of_samples(3600, &format!("(vm_key, series_id) IN ({keys}) AND {condition}")))
            }
            Source::Hours => format!("rollup_1h FINAL WHERE {with_name} AND {condition} AND"),
            Source::Blocks => format!("rollup_6h FINAL WHERE {with_name} AND {condition} AND"),
        };
        let sql = format!(
            "SELECT series_id, groupArray(toUnixTimestamp(bucket)) AS ends, {} \
             FROM {from} {} GROUP BY vm_key, series_id",
            wanted.sql(),
            wanted.condition()
        );
        self.bind(unchecked(client).query(&sql)).with_setting(MERGE_WITHIN_PARTITIONS, "1")
    }

    /// How many samples the roll-ups of those series have, and how many series: some may count twice.
    pub(crate) fn rolled_up(&self, client: &Client) -> Sql {
        let sql = format!(
            "SELECT sum(count), uniq(series_id) FROM rollup_6h WHERE {} AND {}",
            self.with_name(),
            between("bucket")
        );
        self.bind(client.query(&sql)).bind(self.start).bind(self.end)
    }

    fn with_name(&self) -> String {
        format!(
            "(metric_name, vm_key, series_id) IN (SELECT metric_name, vm_key, series_id FROM series WHERE {})",
            self.condition
        )
    }
}
