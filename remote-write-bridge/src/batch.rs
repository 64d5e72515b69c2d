//! Rows of many requests become few inserts: sorted, each once, one partition each.

use crate::archive::{ExemplarRow, HistogramRow, Insert, MetadataRow, SampleRow, StartRow, TableRow};

/// Rows of all tables but `series`, which hold what series are there in ClickHouse already.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Rows {
    pub(crate) samples: Vec<SampleRow>,
    pub(crate) histograms: Vec<HistogramRow>,
    pub(crate) exemplars: Vec<ExemplarRow>,
    pub(crate) starts: Vec<StartRow>,
    pub(crate) metadata: Vec<MetadataRow>,
}

impl Rows {
    pub(crate) fn len(&self) -> usize {
        self.samples.len() + self.histograms.len() + self.exemplars.len() + self.starts.len() + self.metadata.len()
    }

    pub(crate) fn into_inserts(self, max_rows: usize) -> Vec<Box<dyn Insert>> {
        let mut inserts = Vec::new();
        add(self.samples, max_rows, &mut inserts);
        add(self.histograms, max_rows, &mut inserts);
        add(self.exemplars, max_rows, &mut inserts);
        add(self.starts, max_rows, &mut inserts);
        add(self.metadata, max_rows, &mut inserts);
        inserts
    }
}

fn add<R: TableRow>(rows: Vec<R>, max_rows: usize, inserts: &mut Vec<Box<dyn Insert>>) {
    inserts.extend(of_partitions(rows, max_rows).into_iter().map(|rows| Box::new(rows) as Box<dyn Insert>));
}

/// Rows as inserts: of one partition each, and in the order of the table; a partition may be cut into several. Of equal
/// rows the one that came later is kept, as in the table.
///
/// The same rows give the same inserts, so that one can be sent again.
pub(crate) fn of_partitions<R: TableRow>(mut rows: Vec<R>, max_rows: usize) -> Vec<Vec<R>> {
    // Stable: equal rows stay in the order of their arrival.
    rows.sort_by(|a, b| a.partition().cmp(&b.partition()).then_with(|| a.order(b)));
    rows.dedup_by(|later, kept| {
        let same = later.partition() == kept.partition() && later.order(kept).is_eq();
        if same {
            std::mem::swap(later, kept);
        }
        same
    });
    let (mut inserts, max_rows) = (Vec::new(), max_rows.max(1));
    while let Some(last) = rows.last() {
        let partition = last.partition();
        let first = rows.partition_point(|row| row.partition() < partition);
        inserts.push(rows.split_off(first + (rows.len() - first - 1) / max_rows * max_rows));
    }
    inserts.reverse();
    inserts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::SeriesRow;
    use crate::time::Day;

    const DAY: i64 = 86_400_000;

    fn sample(series_id: u128, timestamp: i64, value: f64) -> SampleRow {
        SampleRow { vm_key: 0, series_id, timestamp, value }
    }

    fn series(series_id: u128, month: Day) -> SeriesRow {
        SeriesRow { month, series_id, vm_key: 0, metric_name: "up".into(), labels: vec![] }
    }

    fn inserts(samples: Vec<SampleRow>, max_rows: usize) -> Vec<Vec<(u128, i64, f64)>> {
        let plain = |rows: Vec<SampleRow>| rows.iter().map(|row| (row.series_id, row.timestamp, row.value)).collect();
        of_partitions(samples, max_rows).into_iter().map(plain).collect()
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
        assert_eq!(of_partitions(vec![series(2, 0), series(1, 31), series(1, 0)], 10), expected);
    }

    #[test]
    fn a_long_month_is_cut() {
        let found = of_partitions((0..5).map(|id| series(id, 0)).collect(), 2);
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    }

    #[test]
    fn nothing_is_no_insert() {
        assert_eq!(Rows::default().into_inserts(10).len(), 0);
    }
}
