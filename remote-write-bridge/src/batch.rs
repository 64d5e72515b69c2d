//! Samples of many requests become few inserts: sorted, each once, one partition each.

use std::collections::BTreeMap;

use crate::archive::{SampleRow, SeriesRow};
use crate::time::Day;

/// Samples as inserts: of one day each, and in the order of the table; a day may be cut into several. Of two values for
/// one series and time the one that came later is kept, as in the table.
///
/// The same samples give the same inserts, so that one can be sent again.
pub(crate) fn of_days(mut samples: Vec<SampleRow>, max_rows: usize) -> Vec<Vec<SampleRow>> {
    // Stable: equal keys stay in the order of their arrival.
    samples.sort_by_key(key);
    samples.dedup_by(|later, kept| {
        let same = key(later) == key(kept);
        if same {
            kept.value = later.value;
        }
        same
    });
    let days = samples.chunk_by(|a, b| a.day() == b.day());
    days.flat_map(|day| day.chunks(max_rows.max(1))).map(<[SampleRow]>::to_vec).collect()
}

/// Rows of series as inserts: of one month each.
pub(crate) fn of_months(series: Vec<SeriesRow>, max_rows: usize) -> Vec<Vec<SeriesRow>> {
    let mut months: BTreeMap<Day, Vec<SeriesRow>> = BTreeMap::new();
    for row in series {
        months.entry(row.month).or_default().push(row);
    }
    let mut inserts = Vec::new();
    for mut rows in months.into_values() {
        rows.sort_by(|a, b| (&a.metric_name, a.series_id).cmp(&(&b.metric_name, b.series_id)));
        while rows.len() > max_rows.max(1) {
            let rest = rows.split_off(max_rows.max(1));
            inserts.push(std::mem::replace(&mut rows, rest));
        }
        inserts.push(rows);
    }
    inserts
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

    fn inserts(samples: Vec<SampleRow>, max_rows: usize) -> Vec<Vec<(u128, i64, f64)>> {
        let plain = |rows: Vec<SampleRow>| rows.iter().map(|row| (row.series_id, row.timestamp, row.value)).collect();
        of_days(samples, max_rows).into_iter().map(plain).collect()
    }

    #[test]
    fn an_insert_is_one_day_in_the_order_of_the_table() {
        let found = inserts(vec![sample(2, DAY, 1.), sample(1, 5, 2.), sample(2, 3, 3.), sample(1, DAY - 1, 4.)], 10);
        assert_eq!(found, [vec![(1, 5, 2.), (1, DAY - 1, 4.), (2, 3, 3.)], vec![(2, DAY, 1.)]]);
    }

    #[test]
    fn of_equal_times_the_later_arrival_stays() {
        assert_eq!(inserts(vec![sample(1, 5, 1.), sample(1, 5, 3.), sample(1, 5, 2.)], 10), [vec![(1, 5, 2.)]]);
    }

    #[test]
    fn a_long_day_is_cut() {
        let found = inserts((0..5).map(|t| sample(1, t, 0.)).collect(), 2);
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    }

    #[test]
    fn series_are_inserted_by_month() {
        let expected = vec![vec![series(1, 0), series(2, 0)], vec![series(1, 31)]];
        assert_eq!(of_months(vec![series(2, 0), series(1, 31), series(1, 0)], 10), expected);
    }

    #[test]
    fn a_long_month_is_cut() {
        let found = of_months((0..5).map(|id| series(id, 0)).collect(), 2);
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    }

    #[test]
    fn nothing_is_no_insert() {
        assert_eq!((of_days(vec![], 10).len(), of_months(vec![], 10).len()), (0, 0));
    }
}
