//! Series as buckets, from roll-ups and, where these are not made yet, from samples.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use clickhouse::Row;
use futures_util::{StreamExt as _, stream};
use lynceus_promql::{Buckets, Labels};
use serde::Deserialize;
use tracing::debug;

use super::{Budget, labels};
use crate::archive::{ArchiveError, Connection, SeriesRow};
use crate::metrics::Metrics;
use crate::rollup::{HOURS_OF_BLOCK, Plan, Source, slices};
use crate::select::{Part, Selection, Wanted};

/// While one part is read here, the next is read in ClickHouse.
const AT_A_TIME: usize = 2;
const BLOCKS_AT_ONCE: u64 = 1_000_000;
const HOURS_AT_ONCE: u64 = 4_000_000;

/// A series with its buckets.
#[derive(Debug)]
pub(crate) struct FetchedBuckets {
    pub(crate) buckets: Buckets,
    /// Where the newest is asked for: whether it is a stale marker.
    pub(crate) stale: Vec<bool>,
}

/// Buckets of a series, in any order; columns that were not asked for are empty. Ages are milliseconds before the ends.
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
    first_ages: Vec<u32>,
    lasts: Vec<f64>,
    last_ages: Vec<u32>,
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
        let mut of_series: HashMap<u128, BucketsRow> = HashMap::with_capacity(series.len());
        let fetch = |part: Part| async move {
            let sql = |client: &clickhouse::Client| selection.buckets(client, &part, plan.thin, wanted);
            connection.fetch::<BucketsRow>(sql, "series", usize::MAX - 1).await
        };
        let (limit, mut total) = (self.samples, 0);
        let mut parts = stream::iter(parts(plan, series.len())).map(fetch).buffered(AT_A_TIME);
        while let Some(rows) = parts.next().await {
            for row in rows? {
                total += row.ends.len();
                match of_series.entry(row.series_id) {
                    Entry::Vacant(place) => drop(place.insert(row)),
                    Entry::Occupied(mut known) => known.get_mut().append(row),
                }
            }
            if total > limit {
                return Err(self.named(ArchiveError::TooMany { what: "samples", limit }));
            }
        }
        drop(parts);
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

/// So many buckets a part that a part takes some ten MB, and reading one does not read another's.
fn parts(plan: &Plan, series: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    for (source, times) in plan.by_source() {
        let hours: i64 = times.iter().map(|(start, end)| (end - start) / 3_600_000).sum();
        let (hours_of_one, at_once) = match source {
            Source::Samples => (1, HOURS_AT_ONCE / 100),
            // Ordered by time before they are by machine.
            Source::Hours => (1, HOURS_AT_ONCE),
            Source::Blocks => (HOURS_OF_BLOCK, BLOCKS_AT_ONCE),
        };
        let buckets = series as u64 * (hours / hours_of_one).max(1).cast_unsigned();
        parts.extend(slices(buckets, at_once).map(|keys| Part { source, times: times.clone(), keys }));
    }
    parts
}

impl BucketsRow {
    fn append(&mut self, mut other: Self) {
        // One of them may have none because all are 0.
        if !self.all_resets.is_empty() || !other.all_resets.is_empty() {
            self.all_resets.resize(self.ends.len(), 0.);
            other.all_resets.resize(other.ends.len(), 0.);
        }
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
        self.first_ages.append(&mut other.first_ages);
        self.last_ages.append(&mut other.last_ages);
        self.stales.append(&mut other.stales);
        self.ends.append(&mut other.ends);
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
            reorder(&mut self.first_ages, &order);
            reorder(&mut self.last_ages, &order);
            reorder(&mut self.stales, &order);
        }
        let ends: Vec<i64> = self.ends.iter().map(|seconds| i64::from(*seconds) * 1000).collect();
        let times = |ages: &[u32]| ages.iter().zip(&ends).map(|(age, end)| end - i64::from(*age)).collect();
        let buckets = Buckets {
            labels: Labels::new(labels(series)),
            counts: self.counts,
            sums: self.sums,
            mins: self.mins,
            maxs: self.maxs,
            firsts: self.firsts,
            first_times: times(&self.first_ages),
            lasts: self.lasts,
            last_times: times(&self.last_ages),
            resets: self.all_resets,
            ends,
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
