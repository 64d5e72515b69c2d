//! A remote-read query as SQL.
//!
//! A label that a series does not have is the empty string to Prometheus, and to `labels['x']` as well, so `{x=""}`
//! and `{x!="a"}` find series without `x`. Regular expressions are RE2 on both sides, and match the whole value.

use clickhouse::Client;
use clickhouse::query::Query as Sql;

use crate::labels::METRIC_NAME;
use crate::time::{self, Day};
use crate::wire::{LabelMatcher, MatcherType, Query};

/// The latest time that is asked for; ClickHouse's `DateTime64` goes on for some years, dates of partitions do not.
const LATEST: i64 = 4_102_444_800_000; // 2100-01-01

/// The series that a query asks for, and when.
#[derive(Debug, PartialEq)]
pub(crate) struct Selection {
    start: i64,
    end: i64,
    condition: String,
    /// In the order of the placeholders.
    values: Vec<String>,
}

/// A query that cannot be answered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("matcher of label `{label}`: expected one of the types 0 to 3 (=, !=, =~, !~), found {found}")]
pub(crate) struct UnknownMatcher {
    label: String,
    found: i32,
}

impl Selection {
    pub(crate) fn of(query: &Query) -> Result<Self, UnknownMatcher> {
        let mut condition = String::from("month BETWEEN toDate(?) AND toDate(?)");
        let mut values = Vec::new();
        for matcher in &query.matchers {
            condition.push_str(" AND ");
            condition.push_str(&matcher_sql(matcher, &mut values)?);
        }
        let clamp = |millis: i64| millis.clamp(0, LATEST);
        Ok(Self { start: clamp(query.start_timestamp_ms), end: clamp(query.end_timestamp_ms), condition, values })
    }

    /// Rows of `series`, one for each series.
    pub(crate) fn series(&self, client: &Client, limit: usize) -> Sql {
        let sql = format!(
            "SELECT month, series_id, vm_key, metric_name, labels FROM series WHERE {} \
             LIMIT 1 BY series_id LIMIT {limit}",
            self.condition
        );
        self.bind(client.query(&sql))
    }

    /// Rows of `samples` of those series, in the order of time for each of them.
    pub(crate) fn samples(&self, client: &Client, limit: usize) -> Sql {
        let sql = format!(
            "SELECT vm_key, series_id, timestamp, value FROM samples FINAL \
             WHERE (vm_key, series_id) IN (SELECT vm_key, series_id FROM series WHERE {}) \
             AND timestamp BETWEEN fromUnixTimestamp64Milli(?, 'UTC') AND fromUnixTimestamp64Milli(?, 'UTC') \
             ORDER BY vm_key, series_id, timestamp LIMIT {limit}",
            self.condition
        );
        // Equal (series, timestamp) are in one partition, so each can be merged by itself.
        let setting = "do_not_merge_across_partitions_select_final";
        self.bind(client.query(&sql)).bind(self.start).bind(self.end).with_setting(setting, "1")
    }

    fn bind(&self, sql: Sql) -> Sql {
        let month = |millis| -> Day { time::month(time::day(millis)) };
        let sql = sql.bind(month(self.start)).bind(month(self.end));
        self.values.iter().fold(sql, |sql, value| sql.bind(value))
    }
}

fn matcher_sql(matcher: &LabelMatcher, values: &mut Vec<String>) -> Result<String, UnknownMatcher> {
    let column = if matcher.name == METRIC_NAME {
        "metric_name"
    } else {
        values.push(matcher.name.clone());
        "labels[?]"
    };
    let kind = MatcherType::try_from(matcher.r#type)
        .map_err(|_| UnknownMatcher { label: matcher.name.clone(), found: matcher.r#type })?;
    let is_regex = matches!(kind, MatcherType::Regex | MatcherType::NotRegex);
    // As Prometheus 3 compiles it.
    values.push(if is_regex { format!("^(?s:{})$", matcher.value) } else { matcher.value.clone() });
    Ok(match kind {
        MatcherType::Equal => format!("{column} = ?"),
        MatcherType::NotEqual => format!("{column} != ?"),
        MatcherType::Regex => format!("match({column}, ?)"),
        MatcherType::NotRegex => format!("NOT match({column}, ?)"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(kind: i32, name: &str, value: &str) -> LabelMatcher {
        LabelMatcher { r#type: kind, name: name.into(), value: value.into() }
    }

    #[test]
    fn matchers_become_conditions_with_placeholders() {
        let matchers = vec![
            matcher(0, "__name__", "up"),
            matcher(1, "a", "'; DROP TABLE samples; --"),
            matcher(2, "b", "x|y"),
            matcher(3, "c", ""),
        ];
        let query = Query { start_timestamp_ms: i64::MIN, end_timestamp_ms: i64::MAX, matchers };
        let expected = Selection {
            start: 0,
            end: LATEST,
            condition: "month BETWEEN toDate(?) AND toDate(?) AND metric_name = ? AND labels[?] != ? \
                        AND match(labels[?], ?) AND NOT match(labels[?], ?)"
                .into(),
            values: ["up", "a", "'; DROP TABLE samples; --", "b", "^(?s:x|y)$", "c", "^(?s:)$"]
                .map(String::from)
                .into(),
        };
        assert_eq!(Selection::of(&query), Ok(expected));
    }

    #[test]
    fn an_unknown_type_of_matcher_is_an_error() {
        let query = Query { matchers: vec![matcher(4, "a", "b")], ..Query::default() };
        assert_eq!(Selection::of(&query), Err(UnknownMatcher { label: "a".into(), found: 4 }));
    }
}
