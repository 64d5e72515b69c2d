//! Series as buckets, from roll-ups and, where these are not made yet, from samples.

use std::collections::HashMap;

use clickhouse::Row;
use lynceus_promql::{Buckets, Labels};
use serde::Deserialize;
use tracing::debug;

use super::{Budget, labels};
use crate::archive::{ArchiveError, Connection, SeriesRow};
use crate::metrics::Metrics;
use crate::rollup::Plan;
use crate::select::{Selection, Wanted};

/// A series with its buckets.
#[derive(Debug)]
pub(crate) struct FetchedBuckets {
    pub(crate) buckets: Buckets,
    /// Where the newest is asked for: whether it is a stale marker.
    pub(crate) stale: Vec<bool>,
}

/// Buckets of a series, in any order; columns that were not asked for are empty.
#[derive(Debug, Default, Row, Deserialize)]
struct BucketsRow {
    series_id: u128,
    /// Seconds since 1970.
    ends: Vec<u32>,
    counts: Vec<u32>,
    sums: Vec<f64>,
    mins: Vec<f64>,
    maxs: Vec<f64>,
    firsts: Vec<f64>,
    first_times: Vec<i64>,
    lasts: Vec<f64>,
    last_times: Vec<i64>,
    all_resets: Vec<f64>,
    stales: Vec<bool>,
}

impl Budget {
    /// Fetches all of a selection as buckets, ordered by labels; None where it has histograms, which are in none.
    pub(crate) async fn buckets(
        &mut self,
        connection: &Connection,
        selection: &Selection,
        plan: &Plan,
        wanted: Wanted,
        metrics: &Metrics,
    ) -> Result<Option<Vec<FetchedBuckets>>, ArchiveError> {
        let found: Vec<u8> = connection.fetch(|client| selection.has_histograms(client), "rows", 1).await?;
        if !found.is_empty() {
            return Ok(None);
        }
        let series = self.series(connection, selection).await?;
        if series.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let (limit, mut total) = (self.samples, 0);
        let mut of_series: HashMap<u128, BucketsRow> = HashMap::with_capacity(series.len());
        for (source, pieces) in plan.by_source() {
            let each = |row: BucketsRow| {
                total += row.ends.len();
                match of_series.entry(row.series_id) {
                    std::collections::hash_map::Entry::Vacant(place) => drop(place.insert(row)),
                    std::collections::hash_map::Entry::Occupied(mut known) => known.get_mut().append(row),
                }
                total <= limit
            };
            let sql = |client: &clickhouse::Client| selection.buckets(client, source, &pieces, plan.thin, wanted);
            if !connection.fetch_while(sql, each).await? {
                return Err(self.named(ArchiveError::TooMany { what: "samples", limit }));
            }
        }
        self.series -= series.len();
        self.samples -= total;
        metrics.read_samples.inc_by(total as u64);
        metrics.read_series.inc_by(series.len() as u64);
        debug!(series = series.len(), buckets = total, hours = plan.hours, "fetched buckets");
        let with_rows = series.iter().filter_map(|row| Some(of_series.remove(&row.series_id)?.sorted(row)));
        let mut all: Vec<_> = with_rows.collect();
        all.sort_unstable_by(|a, b| a.buckets.labels.cmp(&b.buckets.labels));
        Ok(Some(all))
    }
}

impl BucketsRow {
    fn append(&mut self, mut other: Self) {
        self.ends.append(&mut other.ends);
        self.counts.append(&mut other.counts);
        for (column, more) in [
            (&mut self.sums, &mut other.sums),
            (&mut self.mins, &mut other.mins),
            (&mut self.maxs, &mut other.maxs),
            (&mut self.firsts, &mut other.firsts),
            (&mut self.lasts, &mut other.lasts),
            (&mut self.all_resets, &mut other.all_resets),
        ] {
            column.append(more);
        }
        self.first_times.append(&mut other.first_times);
        self.last_times.append(&mut other.last_times);
        self.stales.append(&mut other.stales);
    }

    /// ClickHouse reads partitions side by side.
    fn sorted(mut self, series: &SeriesRow) -> FetchedBuckets {
        if !self.ends.is_sorted() {
            let mut order: Vec<usize> = (0..self.ends.len()).collect();
            // Stable, since it finds what is in order already.
            order.sort_by_key(|place| self.ends[*place]);
            fn reorder<T: Copy>(column: &mut Vec<T>, order: &[usize]) {
                *column = order.iter().filter_map(|place| column.get(*place).copied()).collect();
            }
            reorder(&mut self.ends, &order);
            reorder(&mut self.counts, &order);
            for column in [
                &mut self.sums,
                &mut self.mins,
                &mut self.maxs,
                &mut self.firsts,
                &mut self.lasts,
                &mut self.all_resets,
            ] {
                reorder(column, &order);
            }
            reorder(&mut self.first_times, &order);
            reorder(&mut self.last_times, &order);
            reorder(&mut self.stales, &order);
        }
        let buckets = Buckets {
            labels: Labels::new(labels(series)),
            ends: self.ends.iter().map(|seconds| i64::from(*seconds) * 1000).collect(),
            counts: self.counts,
            sums: self.sums,
            mins: self.mins,
            maxs: self.maxs,
            firsts: self.firsts,
            first_times: self.first_times,
            lasts: self.lasts,
            last_times: self.last_times,
            resets: self.all_resets,
        };
        FetchedBuckets { buckets, stale: self.stales }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_of_several_sources_are_put_in_order() {
        let row = |ends: &[u32]| BucketsRow {
            ends: ends.to_vec(),
            counts: ends.to_vec(),
            lasts: ends.iter().map(|end| f64::from(*end)).collect(),
            ..BucketsRow::default()
        };
        let mut all = row(&[30, 40, 10]);
        all.append(row(&[20]));
        let series = SeriesRow {
            month: 0,
            series_id: 0,
            vm_key: 0,
            metric_name: "x".into(),
            labels: vec![("vm".into(), "a".into())],
        };
        let found = all.sorted(&series);
        let expected = Buckets {
            labels: Labels::new([("__name__", "x"), ("vm", "a")]),
            ends: vec![10_000, 20_000, 30_000, 40_000],
            counts: vec![10, 20, 30, 40],
            lasts: vec![10., 20., 30., 40.],
            ..Buckets::default()
        };
        assert_eq!(found.buckets, expected);
    }
}
