//! Samples of many requests become few inserts: sorted, each once, one partition each.

use std::collections::{BTreeMap, HashMap};
use std::iter;

use crate::archive::{SampleRow, SeriesRow};
use crate::time::Day;

/// What waits to be stored.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    samples: Vec<SampleRow>,
    series: HashMap<(u128, Day), SeriesRow>,
}

/// A batch as inserts.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Inserts {
    /// By month. They go first: a sample whose series is unknown could not be found.
    pub(crate) series: Vec<Vec<SeriesRow>>,
    /// By day; a day may be cut into several inserts.
    pub(crate) samples: Vec<(Day, Vec<SampleRow>)>,
}

impl Batch {
    pub(crate) fn add(&mut self, samples: Vec<SampleRow>, series: Vec<SeriesRow>) {
        self.samples.extend(samples);
        self.series.extend(series.into_iter().map(|row| ((row.series_id, row.month), row)));
    }

    pub(crate) fn samples(&self) -> usize {
        self.samples.len()
    }

    /// Of two values for one series and time the one that came later is kept, as in the table.
    pub(crate) fn into_inserts(mut self, max_rows: usize) -> Inserts {
        // Stable: equal keys stay in the order of their arrival.
        self.samples.sort_by_key(key);
        self.samples.dedup_by(|later, kept| {
            let same = key(later) == key(kept);
            if same {
                kept.value = later.value;
            }
            same
        });
        let days = self.samples.chunk_by(|a, b| a.day() == b.day());
        let samples = days.flat_map(|day| day.chunks(max_rows.max(1))).map(|rows| (rows[0].day(), rows.to_vec()));

        let mut months: BTreeMap<Day, Vec<SeriesRow>> = BTreeMap::new();
        for row in self.series.into_values() {
            months.entry(row.month).or_default().push(row);
        }
        let series = months.into_values().flat_map(|mut rows| {
            rows.sort_by(|a, b| (&a.metric_name, a.series_id).cmp(&(&b.metric_name, b.series_id)));
            cut(rows, max_rows.max(1))
        });
        Inserts { samples: samples.collect(), series: series.collect() }
    }
}

/// Rows moved, not copied: their labels are most of what waits.
fn cut(rows: Vec<SeriesRow>, max_rows: usize) -> impl Iterator<Item = Vec<SeriesRow>> {
    let mut rows = rows.into_iter();
    iter::from_fn(move || {
        let part: Vec<_> = rows.by_ref().take(max_rows).collect();
        (!part.is_empty()).then_some(part)
    })
}

fn key(row: &SampleRow) -> (Day, u64, u128, i64) {
    (row.day(), row.vm_key, row.series_id, row.timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    fn sample(series_id: u128, timestamp: i64, value: f64) -> SampleRow {
        SampleRow { vm_key: 0, series_id, timestamp, value }
    }

    fn series(series_id: u128, month: Day) -> SeriesRow {
        SeriesRow { month, series_id, vm_key: 0, metric_name: "up".into(), labels: vec![] }
    }

    type Plain = (u128, i64, f64);

    fn inserts(samples: Vec<SampleRow>, max_rows: usize) -> Vec<(Day, Vec<Plain>)> {
        let mut batch = Batch::default();
        batch.add(samples, vec![]);
        let plain = |rows: Vec<SampleRow>| rows.iter().map(|row| (row.series_id, row.timestamp, row.value)).collect();
        batch.into_inserts(max_rows).samples.into_iter().map(|(day, rows)| (day, plain(rows))).collect()
    }

    #[test]
    fn an_insert_is_one_day_in_the_order_of_the_table() {
        let found = inserts(vec![sample(2, DAY, 1.), sample(1, 5, 2.), sample(2, 3, 3.), sample(1, DAY - 1, 4.)], 10);
        let first = vec![(1, 5, 2.), (1, DAY - 1, 4.), (2, 3, 3.)];
        assert_eq!(found, [(0, first), (1, vec![(2, DAY, 1.)])]);
    }

    #[test]
    fn of_equal_times_the_later_arrival_stays() {
        assert_eq!(inserts(vec![sample(1, 5, 1.), sample(1, 5, 3.), sample(1, 5, 2.)], 10), [(0, vec![(1, 5, 2.)])]);
    }

    #[test]
    fn a_long_day_is_cut() {
        let found = inserts((0..5).map(|t| sample(1, t, 0.)).collect(), 2);
        assert_eq!(found.iter().map(|(day, rows)| (*day, rows.len())).collect::<Vec<_>>(), [(0, 2), (0, 2), (0, 1)]);
    }

    #[test]
    fn series_are_written_once_a_month() {
        let mut batch = Batch::default();
        batch.add(vec![], vec![series(2, 0), series(1, 0), series(1, 31)]);
        batch.add(vec![], vec![series(1, 0)]);
        let expected = vec![vec![series(1, 0), series(2, 0)], vec![series(1, 31)]];
        assert_eq!(batch.into_inserts(10).series, expected);
    }

    #[test]
    fn a_long_month_is_cut() {
        let mut batch = Batch::default();
        batch.add(vec![], (0..5).map(|id| series(id, 0)).collect());
        assert_eq!(batch.into_inserts(2).series.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    }

    #[test]
    fn nothing_is_no_insert() {
        assert_eq!(Batch::default().into_inserts(10), Inserts::default());
    }
}
