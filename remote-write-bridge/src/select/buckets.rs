//! Buckets as SQL.

use clickhouse::Client;
use clickhouse::query::Query as Sql;
use lynceus_promql::Columns;

use super::{MERGE_WITHIN_PARTITIONS, Selection, between};
use crate::rollup::{Plan, Source, bucket_end, of_samples};

/// The key of roll-ups, but for the time.
const KEY: [&str; 3] = ["metric_name", "vm_key", "series_id"];

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
    fn sql(self) -> String {
        let (columns, newest) = match self {
            Self::Values(columns) => (columns, false),
            Self::Newest => (Columns { last: true, ..Columns::default() }, true),
        };
        // Milliseconds before the bucket's end: half as long as a time.
        let age = |time| format!("toUInt32(toUnixTimestamp(bucket) * 1000 - toUnixTimestamp64Milli({time}))");
        let (first, last) =
            (format!("first, {} AS first_age", age("first_time")), format!("last, {} AS last_age", age("last_time")));
        let all = [
            (true, "toUInt64(series_id) AS id, toUnixTimestamp(bucket) AS end"),
            (columns.count, "count"),
            (columns.sum, "sum"),
            (columns.min, "min"),
            (columns.max, "max"),
            (columns.first, &first),
            (columns.last, &last),
            (columns.resets, "resets"),
            (newest, "stale"),
        ];
        all.iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, sql)| *sql).collect::<Vec<_>>().join(", ")
    }

    fn condition(self) -> &'static str {
        match self {
            Self::Values(_) => "count > 0",
            Self::Newest => "true",
        }
    }
}

impl Selection {
    /// What those series come to, those of one series one after the other where they are read so.
    pub(crate) fn buckets(&self, client: &Client, part: &Part, plan: &Plan, wanted: Wanted) -> Sql {
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
        if let Some(thin) = plan.thin {
            condition.push_str(&format!(" AND {}", thin.sql(&millis)));
        }
        let keys = self.keys();
        let rolled_up = |table| format!("{table} FINAL WHERE {} AND {condition} AND", self.keys_of_rollups());
        let from = match source {
            Source::Samples => {
                let condition = format!("(vm_key, series_id) IN ({keys}) AND {condition}");
                format!("({}) WHERE", of_samples(3600, &condition))
            }
            Source::Hours => rolled_up("rollup_1h"),
            Source::Blocks => format!("{} {} AND", rolled_up("rollup_6h"), plan.blocks.sql()),
        };
        let sql = client.query(&format!("SELECT {} FROM {from} {}", wanted.sql(), wanted.condition()));
        let sql = if *source == Source::Samples { self.bind(sql) } else { self.bind_keys(sql) };
        sql.with_setting(MERGE_WITHIN_PARTITIONS, "1")
    }

    /// How many samples the roll-ups of those series have, and how many series: some may count twice.
    pub(crate) fn rolled_up(&self, client: &Client) -> Sql {
        let sql = format!(
            "SELECT sum(count), uniq(series_id) FROM rollup_6h WHERE {} AND {}",
            self.keys_of_rollups(),
            between("bucket")
        );
        self.bind_keys(client.query(&sql)).bind(self.start).bind(self.end)
    }

    /// Roll-ups have names themselves. Else one condition for each column of the key, which takes half the time of one for
    /// all of them.
    fn keys_of_rollups(&self) -> String {
        let one = |column: &&str| format!("{column} IN (SELECT {column} FROM series WHERE {})", self.condition);
        self.of_names.clone().unwrap_or_else(|| KEY.iter().map(one).collect::<Vec<_>>().join(" AND "))
    }

    fn bind_keys(&self, sql: Sql) -> Sql {
        match self.of_names {
            Some(_) => self.values.iter().fold(sql, |sql, value| sql.bind(value)),
            None => KEY.iter().fold(sql, |sql, _| self.bind(sql)),
        }
    }
}
