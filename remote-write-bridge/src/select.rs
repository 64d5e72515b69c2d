//! Series selectors as SQL.
//!
//! A label that a series does not have is the empty string to Prometheus, and to `labels['x']` as well, so `{x=""}`
//! and `{x!="a"}` find series without `x`. Regular expressions are RE2 on both sides, and match the whole value.

mod buckets;

use clickhouse::Client;
use clickhouse::query::Query as Sql;
use lynceus_promql::{Matcher, MatcherOp, VectorSelector};

use crate::archive::SeriesRow;
use crate::labels::METRIC_NAME;
use crate::rollup::Thin;
use crate::time::{self, Day, LATEST};
pub(crate) use buckets::{Part, Wanted};

const SAMPLES: &str = "SELECT series_id, toUnixTimestamp64Milli(timestamp) AS time, value FROM samples";
const HISTOGRAMS: &str = "SELECT vm_key, series_id, timestamp, count, sum, histogram FROM histograms";

/// Equal (series, timestamp) are in one partition, so each can be merged by itself.
const MERGE_WITHIN_PARTITIONS: &str = "do_not_merge_across_partitions_select_final";

/// The series that are asked for, and when.
#[derive(Debug, PartialEq)]
pub(crate) struct Selection {
    start: i64,
    end: i64,
    condition: String,
    /// The same without the time, where it looks at names only.
    of_names: Option<String>,
    /// In the order of the placeholders.
    values: Vec<String>,
    /// Of samples and histograms, what lies between is not read.
    thin: Option<Thin>,
}

impl Selection {
    /// Series that match all matchers of any selector; all series where there is none. Times are milliseconds since 1970,
    /// both ends included.
    pub(crate) fn new(start: i64, end: i64, selectors: &[Vec<Matcher>]) -> Self {
        let mut values = Vec::new();
        let mut alternatives = Vec::new();
        for selector in selectors {
            let matchers: Vec<_> = selector.iter().map(|matcher| matcher_sql(matcher, &mut values)).collect();
            alternatives.push(if matchers.is_empty() { "true".to_owned() } else { matchers.join(" AND ") });
        }
        let of_names = match (selectors, alternatives.as_slice()) {
            ([matchers], [one]) if matchers.iter().all(|matcher| matcher.name == METRIC_NAME) => Some(one.clone()),
            _ => None,
        };
        let mut condition = String::from("month BETWEEN toDate(?) AND toDate(?)");
        match alternatives.as_slice() {
            [] => {}
            [one] => condition.extend([" AND ", one]),
            many => condition.push_str(&format!(" AND (({}))", many.join(") OR ("))),
        }
        let clamp = |millis: i64| millis.clamp(0, LATEST);
        Self { start: clamp(start), end: clamp(end), condition, of_names, values, thin: None }
    }

    /// Only what is within some windows.
    pub(crate) fn thinned(self, thin: Option<Thin>) -> Self {
        Self { thin, ..self }
    }

    /// `SELECT … FROM series WHERE …`, with `select` before the condition and `rest` behind it, and more values before.
    pub(crate) fn of_series(&self, client: &Client, before: &[&str], select: &str, rest: &str) -> Sql {
        let sql = client.query(&format!("SELECT {select} FROM series WHERE {} {rest}", self.condition));
        self.bind(before.iter().fold(sql, |sql, value| sql.bind(value)))
    }

    /// Rows of `series`, one for each series.
    pub(crate) fn series(&self, client: &Client, limit: usize) -> Sql {
        let select = "month, series_id, vm_key, metric_name, labels";
        self.of_series(client, &[], select, &format!("LIMIT 1 BY series_id LIMIT {limit}"))
    }

    /// Rows of `samples` of those series, in the order of time for each of them.
    pub(crate) fn samples(&self, client: &Client, limit: usize) -> Sql {
        self.values(client, SAMPLES, limit)
    }

    /// Rows of `histograms` in the same way.
    pub(crate) fn histograms(&self, client: &Client, limit: usize) -> Sql {
        self.values(client, HISTOGRAMS, limit)
    }

    /// Rows of `exemplars` in the same way.
    pub(crate) fn exemplars(&self, client: &Client, limit: usize) -> Sql {
        let select = "SELECT vm_key, series_id, timestamp, value, labels_id, labels FROM exemplars";
        self.values(client, select, limit)
    }

    /// How many rows of a table each of those series has.
    pub(crate) fn counts_of(&self, client: &Client, table: &str) -> Sql {
        let sql = format!(
            "SELECT series_id, count() AS rows FROM {table} FINAL WHERE (vm_key, series_id) IN ({}) AND {} GROUP BY series_id",
            self.keys(),
            between("timestamp")
        );
        self.bind(client.query(&sql)).bind(self.start).bind(self.end).with_setting(MERGE_WITHIN_PARTITIONS, "1")
    }

    /// The same time of some series only.
    pub(crate) fn of(&self, series: &[SeriesRow]) -> Rows {
        let keys: Vec<_> = series.iter().map(|row| format!("{} {}", row.vm_key, row.series_id)).collect();
        Rows { start: self.start, end: self.end, keys: keys.join(",") }
    }

    /// A row where any of those series has a histogram.
    pub(crate) fn has_histograms(&self, client: &Client) -> Sql {
        let sql = format!(
            "SELECT 1 FROM histograms WHERE (vm_key, series_id) IN ({}) AND {} LIMIT 1",
            self.keys(),
            between("timestamp")
        );
        self.bind(client.query(&sql)).bind(self.start).bind(self.end)
    }

    /// How many series there are, and samples.
    pub(crate) fn counts(&self, client: &Client) -> Sql {
        let sql = format!(
            "SELECT uniqExact(series_id) AS series, count() AS samples FROM samples \
             WHERE (vm_key, series_id) IN (SELECT vm_key, series_id FROM series WHERE {}) AND {}",
            self.condition,
            between("timestamp")
        );
        self.bind(client.query(&sql)).bind(self.start).bind(self.end)
    }

    /// Deletes the rows of these series and this time; `series` is the table of the same node.
    pub(crate) fn erase(&self, client: &Client, table: &str, series: &str, column: &str) -> Sql {
        let sql = format!("{} AND {}", self.erasure(table, series), between(column));
        mutation(self.bind(client.query(&sql)).bind(self.start).bind(self.end))
    }

    /// Deletes the rows of these series.
    pub(crate) fn erase_always(&self, client: &Client, table: &str, series: &str) -> Sql {
        mutation(self.bind(client.query(&self.erasure(table, series))))
    }

    /// Deletes the series.
    pub(crate) fn erase_series(&self, client: &Client, table: &str) -> Sql {
        mutation(self.bind(client.query(&format!("ALTER TABLE {table} DELETE WHERE {}", self.condition))))
    }

    fn erasure(&self, table: &str, series: &str) -> String {
        format!(
            "ALTER TABLE {table} DELETE WHERE (vm_key, series_id) IN (SELECT vm_key, series_id FROM {series} WHERE {})",
            self.condition
        )
    }

    fn values(&self, client: &Client, select: &str, limit: usize) -> Sql {
        let keys = self.keys();
        let thin = self.thin.map(|thin| thin.sql("toUnixTimestamp64Milli(timestamp)"));
        let sql = unchecked(client).query(&values(select, &keys, limit, thin.as_deref()));
        self.bind(sql).bind(self.start).bind(self.end).with_setting(MERGE_WITHIN_PARTITIONS, "1")
    }

    fn keys(&self) -> String {
        format!("SELECT vm_key, series_id FROM series WHERE {}", self.condition)
    }

    fn bind(&self, sql: Sql) -> Sql {
        let month = |millis| -> Day { time::month(time::day(millis)) };
        let sql = sql.bind(month(self.start)).bind(month(self.end));
        self.values.iter().fold(sql, |sql, value| sql.bind(value))
    }
}

/// Rows of series that are known, both ends of the time included.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Pairs of vm key and id.
    keys: String,
}

impl Rows {
    /// As [`Selection::samples`].
    pub(crate) fn samples(&self, client: &Client, limit: usize) -> Sql {
        self.values(client, SAMPLES, limit)
    }

    pub(crate) fn histograms(&self, client: &Client, limit: usize) -> Sql {
        self.values(client, HISTOGRAMS, limit)
    }

    fn values(&self, client: &Client, select: &str, limit: usize) -> Sql {
        // One string: ClickHouse takes literals of that size for floating-point numbers, and a list of thousands not at all.
        let keys = "SELECT toUInt64(pair[1]), toUInt128(pair[2]) FROM \
                    (SELECT splitByChar(' ', arrayJoin(splitByChar(',', ?))) AS pair)";
        let sql = unchecked(client)
            .query(&values(select, keys, limit, None))
            .bind(&self.keys)
            .bind(self.start)
            .bind(self.end);
        let sql = sql.with_setting(MERGE_WITHIN_PARTITIONS, "1");
        // Beyond the text of the statement.
        sql.with_setting("max_query_size", (self.keys.len() + 4096).to_string())
    }
}

fn values(select: &str, keys: &str, limit: usize, more: Option<&str>) -> String {
    format!(
        "{select} FINAL WHERE (vm_key, series_id) IN ({keys}) AND {} AND {more} \
         ORDER BY vm_key, series_id, timestamp LIMIT {limit}",
        between("timestamp"),
        more = more.unwrap_or("true")
    )
}

/// A client that takes the types of columns for granted: the tables are ours, and to look at each number's costs as much as
/// to read it.
fn unchecked(client: &Client) -> Client {
    client.clone().with_validation(false)
}

fn between(column: &str) -> String {
    format!("{column} BETWEEN fromUnixTimestamp64Milli(?, 'UTC') AND fromUnixTimestamp64Milli(?, 'UTC')")
}

/// Done when it answers, on all replicas.
fn mutation(sql: Sql) -> Sql {
    sql.with_setting("mutations_sync", "2").with_setting("allow_nondeterministic_mutations", "1")
}

/// The matchers of a selector, with its name.
pub(crate) fn matchers(selector: &VectorSelector) -> Vec<Matcher> {
    let name = selector.name.iter().map(|name| Matcher::new(METRIC_NAME, MatcherOp::Equal, name.as_str()));
    name.chain(selector.matchers.iter().cloned()).collect()
}

fn matcher_sql(matcher: &Matcher, values: &mut Vec<String>) -> String {
    let column = if matcher.name == METRIC_NAME {
        "metric_name"
    } else {
        values.push(matcher.name.clone());
        "labels[?]"
    };
    let is_regex = matches!(matcher.op, MatcherOp::Regex | MatcherOp::NotRegex);
    // As Prometheus 3 compiles it.
    values.push(if is_regex { format!("^(?s:{})$", matcher.value) } else { matcher.value.clone() });
    match matcher.op {
        MatcherOp::Equal => format!("{column} = ?"),
        MatcherOp::NotEqual => format!("{column} != ?"),
        MatcherOp::Regex => format!("match({column}, ?)"),
        MatcherOp::NotRegex => format!("NOT match({column}, ?)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_become_conditions_with_placeholders() {
        let first = vec![
            Matcher::new("__name__", MatcherOp::Equal, "up"),
            Matcher::new("a", MatcherOp::NotEqual, "'; DROP TABLE samples; --"),
            Matcher::new("b", MatcherOp::Regex, "x|y"),
        ];
        let second = vec![Matcher::new("c", MatcherOp::NotRegex, "")];
        let found = Selection::new(i64::MIN, i64::MAX, &[first, second, vec![]]);
        let expected = Selection {
            start: 0,
            end: LATEST,
            condition: "month BETWEEN toDate(?) AND toDate(?) AND ((metric_name = ? AND labels[?] != ? \
                        AND match(labels[?], ?)) OR (NOT match(labels[?], ?)) OR (true))"
                .into(),
            of_names: None,
            values: ["up", "a", "'; DROP TABLE samples; --", "b", "^(?s:x|y)$", "c", "^(?s:)$"]
                .map(String::from)
                .into(),
            thin: None,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn one_selector_or_none_needs_no_brackets() {
        let condition = |selectors: &[Vec<Matcher>]| Selection::new(0, 1, selectors).condition;
        assert_eq!(condition(&[]), "month BETWEEN toDate(?) AND toDate(?)");
        let up = vec![Matcher::new("__name__", MatcherOp::Equal, "up")];
        assert_eq!(condition(std::slice::from_ref(&up)), "month BETWEEN toDate(?) AND toDate(?) AND metric_name = ?");
        let of_names = |matchers: Vec<Matcher>| Selection::new(0, 1, &[matchers]).of_names;
        assert_eq!(of_names(up.clone()).as_deref(), Some("metric_name = ?"));
        assert_eq!(of_names([up, vec![Matcher::new("vm", MatcherOp::Equal, "a")]].concat()), None);
    }
}
