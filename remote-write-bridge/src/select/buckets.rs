//! Buckets as SQL.

use clickhouse::Client;
use clickhouse::query::Query as Sql;
use lynceus_promql::Columns;

use super::{MERGE_WITHIN_PARTITIONS, Selection, between};
use crate::rollup::{Source, Thin, bucket_end, of_samples};

/// What is read of buckets.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    /// Those that have values, with some columns.
    Values(Columns),
    /// The newest sample, be it a stale marker.
    Newest,
}

impl Wanted {
    /// The columns, each with all buckets of a series.
    fn sql(self) -> String {
        let (columns, newest) = match self {
            Self::Values(columns) => (columns, false),
            Self::Newest => (Columns { last: true, ..Columns::default() }, true),
        };
        let float = |name: &str, is_wanted: bool| match is_wanted {
            true => format!("groupArray({name})"),
            false => "emptyArrayFloat64()".to_owned(),
        };
        let time = |name: &str, is_wanted: bool| match is_wanted {
            true => format!("groupArray(toUnixTimestamp64Milli({name}))"),
            false => "emptyArrayInt64()".to_owned(),
        };
        [
            float("sum", columns.sum) + " AS sums",
            float("min", columns.min) + " AS mins",
            float("max", columns.max) + " AS maxs",
            float("first", columns.first) + " AS firsts",
            time("first_time", columns.first) + " AS first_times",
            float("last", columns.last) + " AS lasts",
            time("last_time", columns.last) + " AS last_times",
            float("resets", columns.resets) + " AS all_resets",
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
    /// What those series come to, one row for each, within some times: (start, end] in milliseconds.
    pub(crate) fn buckets(
        &self,
        client: &Client,
        source: Source,
        times: &[(i64, i64)],
        thin: Option<Thin>,
        wanted: Wanted,
    ) -> Sql {
        let (time, millis) = match source {
            Source::Samples => ("timestamp", bucket_end(3600)),
            Source::Hours | Source::Blocks => ("bucket", "toInt64(toUnixTimestamp(bucket)) * 1000".to_owned()),
        };
        let within = |(start, end): &(i64, i64)| {
            format!(
                "{time} > fromUnixTimestamp64Milli({start}, 'UTC') AND {time} <= fromUnixTimestamp64Milli({end}, 'UTC')"
            )
        };
        let mut condition = format!("({})", times.iter().map(within).collect::<Vec<_>>().join(" OR "));
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
            "SELECT series_id, groupArray(toUnixTimestamp(bucket)) AS ends, groupArray(count) AS counts, {} \
             FROM {from} {} GROUP BY vm_key, series_id",
            wanted.sql(),
            wanted.condition()
        );
        self.bind(client.query(&sql)).with_setting(MERGE_WITHIN_PARTITIONS, "1")
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
