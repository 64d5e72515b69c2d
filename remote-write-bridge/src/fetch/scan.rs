//! All of a selection in the order of labels, a part at a time: as much as has room in memory, however much it is.

use std::collections::HashMap;
use std::sync::Arc;

use clickhouse::Row;
use serde::Deserialize;
use tracing::debug;

use super::{Budget, Fetched, labels};
use crate::archive::{ArchiveError, Connection, HistogramRow, SampleRow, SeriesRow};
use crate::labels::METRIC_NAME;
use crate::metrics::Metrics;
use crate::select::Selection;

/// Rows of a part. A sample takes 48 bytes.
const ROWS: usize = 200_000;
/// A histogram takes as much memory as so many samples.
const HISTOGRAM_WEIGHT: usize = 10;
/// Series of a part: their keys are in the statement, and ClickHouse takes one of at most 256 KiB.
const SERIES: usize = 2000;

/// What is still to come.
pub(crate) struct Scan {
    connection: Arc<Connection>,
    selection: Selection,
    metrics: Metrics,
    /// All of it, where that is little.
    all: Option<Fetched>,
    /// Series that have rows, with how many; the next one is the last.
    waiting: Vec<(SeriesRow, usize)>,
    /// Of the next series, what is before this was fetched.
    from: Option<i64>,
}

#[derive(Debug, Row, Deserialize)]
struct CountRow {
    series_id: u128,
    rows: u64,
}

impl Budget {
    /// Looks what there is, and refuses what is too much before anything is fetched.
    pub(crate) async fn scan(
        &mut self,
        connection: Arc<Connection>,
        selection: Selection,
        metrics: &Metrics,
    ) -> Result<Scan, ArchiveError> {
        let mut scan =
            Scan { connection, selection, metrics: metrics.clone(), all: None, waiting: Vec::new(), from: None };
        // A small answer needs to be asked for once only.
        let mut little = self.clone();
        little.samples = little.samples.min(ROWS);
        match little.fetch(&scan.connection, &scan.selection, metrics).await {
            Ok(fetched) => {
                *self = Self { samples: self.samples - fetched.samples.len() - fetched.histograms.len(), ..little };
                scan.all = Some(fetched);
                return Ok(scan);
            }
            Err(ArchiveError::TooMany { what: "samples", .. }) if self.samples > ROWS => {}
            Err(error) => return Err(error),
        }
        scan.count(self).await?;
        Ok(scan)
    }
}

impl Scan {
    async fn count(&mut self, budget: &mut Budget) -> Result<(), ArchiveError> {
        let (connection, selection) = (&self.connection, &self.selection);
        let most = budget.series;
        let series: Vec<SeriesRow> = connection
            .fetch(|client| selection.series(client, most + 1), "series", most)
            .await
            .map_err(|e| budget.named(e))?;
        let mut samples: HashMap<u128, u64> = HashMap::new();
        let mut weights: HashMap<u128, usize> = HashMap::new();
        for (table, weight) in [("samples", 1), ("histograms", HISTOGRAM_WEIGHT)] {
            let counts: Vec<CountRow> =
                connection.fetch(|client| selection.counts_of(client, table), "series", usize::MAX - 1).await?;
            for CountRow { series_id, rows } in counts {
                *samples.entry(series_id).or_default() += rows;
                *weights.entry(series_id).or_default() += usize::try_from(rows).unwrap_or(usize::MAX) * weight;
            }
        }
        let total = usize::try_from(samples.values().sum::<u64>()).unwrap_or(usize::MAX);
        let too_many = ArchiveError::TooMany { what: "samples", limit: 0 };
        budget.samples = budget.samples.checked_sub(total).ok_or_else(|| budget.named(too_many))?;
        budget.series -= series.len();
        self.metrics.read_samples.inc_by(total as u64);
        self.metrics.read_series.inc_by(series.len() as u64);
        debug!(series = series.len(), samples = total, "to be fetched in parts");
        let with_rows =
            series.into_iter().filter_map(|row| weights.get(&row.series_id).map(|rows| (sorted(row), *rows)));
        self.waiting = with_rows.collect();
        self.waiting.sort_unstable_by(|(a, _), (b, _)| b.labels.cmp(&a.labels));
        Ok(())
    }

    /// Labels of all series that are still to come, one after the other.
    pub(crate) fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.all.iter().flat_map(|fetched| &fetched.series);
        all.chain(self.waiting.iter().map(|(row, _)| row)).flat_map(labels)
    }

    /// The next part; a series that is too large for one is in several, one after the other.
    pub(crate) async fn next(&mut self) -> Result<Option<Fetched>, ArchiveError> {
        if let Some(all) = self.all.take() {
            return Ok(Some(all));
        }
        match self.waiting.last() {
            None => Ok(None),
            Some((_, rows)) if *rows > ROWS => self.page().await.map(Some),
            Some(_) => self.group().await.map(Some),
        }
    }

    /// Some series as a whole.
    async fn group(&mut self) -> Result<Fetched, ArchiveError> {
        let mut room = ROWS;
        let fits = |(_, rows): &&(SeriesRow, usize)| {
            let left = room.checked_sub(*rows);
            room = left.unwrap_or(0);
            left.is_some()
        };
        let number = self.waiting.iter().rev().take(SERIES).take_while(fits).count();
        let series: Vec<_> = self.waiting.drain(self.waiting.len() - number..).map(|(row, _)| row).collect();
        let rows = self.selection.of(&series);
        let samples =
            self.connection.fetch(|client| rows.samples(client, usize::MAX - 1), "samples", usize::MAX - 1).await?;
        let histograms =
            self.connection.fetch(|client| rows.histograms(client, usize::MAX - 1), "samples", usize::MAX - 1).await?;
        Ok(Fetched { series, samples, histograms })
    }

    /// A piece of the next series.
    async fn page(&mut self) -> Result<Fetched, ArchiveError> {
        let Some((series, _)) = self.waiting.last().cloned() else { return Ok(Fetched::default()) };
        let mut rows = self.selection.of(std::slice::from_ref(&series));
        rows.start = self.from.unwrap_or(rows.start);
        let end = rows.end;
        let mut samples: Vec<SampleRow> =
            self.connection.fetch(|client| rows.samples(client, ROWS), "samples", ROWS).await?;
        if let Some(last) = samples.get(ROWS - 1) {
            rows.end = last.timestamp;
        }
        let most = ROWS / HISTOGRAM_WEIGHT;
        let histograms: Vec<HistogramRow> =
            self.connection.fetch(|client| rows.histograms(client, most), "samples", most).await?;
        if let Some(last) = histograms.get(most - 1) {
            rows.end = last.timestamp;
            samples.retain(|row| row.timestamp <= rows.end);
        }
        self.from = (rows.end < end).then_some(rows.end + 1);
        if self.from.is_none() {
            self.waiting.pop();
        }
        Ok(Fetched { series: vec![series], samples, histograms })
    }
}

/// With the name among the labels, so that they can be compared.
fn sorted(mut row: SeriesRow) -> SeriesRow {
    if !row.metric_name.is_empty() {
        row.labels.push((METRIC_NAME.to_owned(), std::mem::take(&mut row.metric_name)));
    }
    row.labels.sort_unstable();
    row
}
