//! Series as buckets, from roll-ups and, where these are not made yet, from samples.

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};

use clickhouse::error::Error;
use clickhouse::native::Block;
use futures_util::{StreamExt as _, stream};
use lynceus_promql::{Buckets, Labels};
use tracing::debug;

use super::{Budget, labels};
use crate::archive::{ArchiveError, Connection, SeriesRow, column};
use crate::metrics::Metrics;
use crate::rollup::{Plan, Source, slices};
use crate::select::{Part, Selection, Wanted};
use crate::time::{self, Day};

/// While one slice is read here, the next is read in ClickHouse.
const AT_A_TIME: usize = 2;
/// 700,000 blocks of six hours, which take some thirty MB.
const WEIGHT_AT_ONCE: u64 = 8_400_000;

/// A series with its buckets.
#[derive(Debug, Default)]
pub(crate) struct FetchedBuckets {
    pub(crate) buckets: Buckets,
    /// Where the newest is asked for: whether it is a stale marker.
    pub(crate) stale: Vec<bool>,
}

impl Budget {
    /// Hands over all of a selection as buckets, series by series; false where it has histograms, which are in none.
    pub(crate) async fn buckets(
        &mut self,
        connection: &Connection,
        selection: &Selection,
        (plan, wanted): (&Plan, Wanted),
        metrics: &Metrics,
        mut each: impl FnMut(FetchedBuckets) -> ControlFlow<()>,
    ) -> Result<bool, ArchiveError> {
        let found: Vec<u8> = connection.fetch(|client| selection.has_histograms(client), "rows", 1).await?;
        if !found.is_empty() {
            return Ok(false);
        }
        let series = self.series(connection, selection).await?;
        let names: HashMap<u64, &SeriesRow> = series.iter().map(|row| (short(row.series_id), row)).collect();
        if names.len() < series.len() {
            return Ok(false);
        }
        let fetch = |parts: Vec<Part>| async move {
            let mut of_series = HashMap::new();
            for part in parts {
                let mut blocks = Vec::new();
                let sql = |client: &clickhouse::Client| selection.buckets(client, &part, plan, wanted);
                let keep = |block: &Block| {
                    blocks.push(Rows::of(block)?);
                    Ok(())
                };
                connection.fetch_blocks(sql, keep).await?;
                // ClickHouse reads partitions side by side.
                blocks.sort_by_key(Rows::month);
                blocks.iter().for_each(|rows| rows.give_to(&mut of_series));
            }
            Ok::<HashMap<u64, FetchedBuckets>, ArchiveError>(of_series)
        };
        let (limit, mut total) = (self.samples, 0);
        let mut slices = stream::iter(slices_of(plan, series.len())).map(fetch).buffered(AT_A_TIME);
        while let Some(of_series) = slices.next().await {
            let of_series = of_series?;
            total += of_series.values().map(|series| series.buckets.ends.len()).sum::<usize>();
            if total > limit {
                return Err(self.named(ArchiveError::TooMany { what: "samples", limit }));
            }
            for (id, mut found) in of_series {
                let Some(row) = names.get(&id) else { continue };
                found.sort();
                found.buckets.labels = Labels::new(labels(row));
                if each(found).is_break() {
                    return Ok(true);
                }
            }
        }
        drop(slices);
        self.series -= series.len();
        self.samples -= total;
        metrics.read_samples.inc_by(total as u64);
        metrics.read_series.inc_by(series.len() as u64);
        debug!(series = series.len(), buckets = total, hours = plan.hours, "fetched buckets");
        Ok(true)
    }
}

/// Half of an id tells series apart, and is a sixth of a bucket less to read. Where it does not, samples are read.
fn short(series_id: u128) -> u64 {
    series_id as u64
}

/// All of the plan for some machines, then for the next ones.
fn slices_of(plan: &Plan, series: usize) -> Vec<Vec<Part>> {
    let sources = plan.by_source();
    let weight = |(source, times): (&Source, &Vec<(i64, i64)>)| {
        let hours: i64 = times.iter().map(|(start, end)| (end - start) / 3_600_000).sum();
        hours.cast_unsigned() * weight(*source)
    };
    let all = series as u64 * sources.iter().map(weight).sum::<u64>();
    let of_slice =
        |keys| sources.iter().map(move |(source, times)| Part { source: *source, times: times.clone(), keys });
    slices(all.max(1), WEIGHT_AT_ONCE).map(|keys| of_slice(keys).collect()).collect()
}

/// What an hour of a series costs, in twelfths of a bucket.
fn weight(source: Source) -> u64 {
    match source {
        // ClickHouse has them all in memory before it makes a bucket of them.
        Source::Samples => 300,
        // As few slices as can be, for each reads all: they are ordered by time before they are by machine.
        Source::Hours => 6,
        Source::Blocks => 2,
    }
}

/// The columns of a block; those that were not asked for are empty. Ages are milliseconds before the ends.
struct Rows {
    ids: Vec<u64>,
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
    resets: Vec<f64>,
    stale: Vec<bool>,
}

impl Rows {
    fn of(block: &Block) -> Result<Self, Error> {
        Ok(Self {
            ids: column(block, "id")?,
            ends: column(block, "end")?,
            counts: column(block, "count")?,
            sums: column(block, "sum")?,
            mins: column(block, "min")?,
            maxs: column(block, "max")?,
            firsts: column(block, "first")?,
            first_ages: column(block, "first_age")?,
            lasts: column(block, "last")?,
            last_ages: column(block, "last_age")?,
            resets: column(block, "resets")?,
            stale: column(block, "stale")?,
        })
    }

    /// Of the partition that they are from.
    fn month(&self) -> Day {
        self.ends.first().map_or(0, |seconds| time::month(time::day(i64::from(*seconds) * 1000)))
    }

    fn give_to(&self, of_series: &mut HashMap<u64, FetchedBuckets>) {
        let mut start = 0;
        for same in self.ids.chunk_by(|a, b| a == b) {
            let rows = start..start + same.len();
            start = rows.end;
            self.append_to(of_series.entry(same[0]).or_default(), rows);
        }
    }

    fn append_to(&self, series: &mut FetchedBuckets, rows: Range<usize>) {
        fn append<T: Copy>(column: &[T], rows: &Range<usize>, to: &mut Vec<T>) {
            to.extend_from_slice(column.get(rows.clone()).unwrap_or_default());
        }
        let end = |seconds: &u32| i64::from(*seconds) * 1000;
        let time = |(seconds, age): (&u32, &u32)| end(seconds) - i64::from(*age);
        let times = |ages: &[u32]| {
            let ages = ages.get(rows.clone()).unwrap_or_default();
            self.ends[rows.clone()].iter().zip(ages).map(time).collect::<Vec<i64>>()
        };
        let buckets = &mut series.buckets;
        buckets.ends.extend(self.ends[rows.clone()].iter().map(end));
        append(&self.counts, &rows, &mut buckets.counts);
        append(&self.sums, &rows, &mut buckets.sums);
        append(&self.mins, &rows, &mut buckets.mins);
        append(&self.maxs, &rows, &mut buckets.maxs);
        append(&self.firsts, &rows, &mut buckets.firsts);
        buckets.first_times.extend(times(&self.first_ages));
        append(&self.lasts, &rows, &mut buckets.lasts);
        buckets.last_times.extend(times(&self.last_ages));
        append(&self.resets, &rows, &mut buckets.resets);
        append(&self.stale, &rows, &mut series.stale);
    }
}

impl FetchedBuckets {
    /// Sources follow each other in time, mostly.
    fn sort(&mut self) {
        let buckets = &mut self.buckets;
        if buckets.ends.is_sorted() {
            return;
        }
        let mut order: Vec<usize> = (0..buckets.ends.len()).collect();
        // Stable, since it finds what is in order already.
        order.sort_by_key(|place| buckets.ends[*place]);
        fn reorder<T: Copy>(column: &mut Vec<T>, order: &[usize]) {
            *column = order.iter().filter_map(|place| column.get(*place).copied()).collect();
        }
        for times in [&mut buckets.ends, &mut buckets.first_times, &mut buckets.last_times] {
            reorder(times, &order);
        }
        reorder(&mut buckets.counts, &order);
        for values in [
            &mut buckets.sums,
            &mut buckets.mins,
            &mut buckets.maxs,
            &mut buckets.firsts,
            &mut buckets.lasts,
            &mut buckets.resets,
        ] {
            reorder(values, &order);
        }
        reorder(&mut self.stale, &order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_of_several_sources_are_put_in_order() {
        let mut of_series = HashMap::new();
        for (ids, ends) in [(vec![1, 1, 2, 1], vec![30, 40, 10, 10]), (vec![1], vec![20])] {
            let rows = Rows {
                ids,
                counts: ends.clone(),
                lasts: ends.iter().map(|end| f64::from(*end)).collect(),
                last_ages: ends.clone(),
                ends,
                sums: Vec::new(),
                mins: Vec::new(),
                maxs: Vec::new(),
                firsts: Vec::new(),
                first_ages: Vec::new(),
                resets: Vec::new(),
                stale: Vec::new(),
            };
            rows.give_to(&mut of_series);
        }
        let mut found = of_series.remove(&1).unwrap();
        found.sort();
        let expected = Buckets {
            ends: vec![10_000, 20_000, 30_000, 40_000],
            counts: vec![10, 20, 30, 40],
            lasts: vec![10., 20., 30., 40.],
            last_times: vec![9990, 19_980, 29_970, 39_960],
            ..Buckets::default()
        };
        assert_eq!(found.buckets, expected);
        assert_eq!(of_series[&2].buckets.ends, [10_000]);
    }
}
