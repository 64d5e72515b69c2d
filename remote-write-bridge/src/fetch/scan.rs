//! All of a selection in the order of labels, a part at a time: as much as has room in memory, however much it is.

use std::collections::HashMap;
use std::sync::Arc;

use clickhouse::Row;
use serde::Deserialize;
use tracing::debug;

use super::{Budget, Fetched, Samples, labels};
use crate::archive::{ArchiveError, Connection, HistogramRow, SeriesRow};
use crate::labels::LabelSet;
use crate::metrics::Metrics;
use crate::select::Selection;

/// Rows of a part. A sample takes 16 bytes, and as much again where it is put into another shape.
const ROWS: usize = 200_000;
/// A histogram takes as much memory as so many samples.
const HISTOGRAM_WEIGHT: usize = 10;
/// Series of a part.
const SERIES: usize = 20_000;

/// What is still to come.
pub(crate) struct Scan {
    connection: Arc<Connection>,
    selection: Selection,
    metrics: Metrics,
    /// All of it, where that is little.
    all: Option<Fetched>,
    /// Series that have rows; the next one is the last.
    waiting: Vec<Waiting>,
    /// Of the next series, what is before this was fetched.
    from: Option<i64>,
}

/// A series that was not fetched yet: all of them are in memory.
struct Waiting {
    vm_key: u64,
    series_id: u128,
    labels: LabelSet,
    weight: usize,
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
        let metrics = metrics.clone();
        let mut scan = Scan { connection, selection, metrics, all: None, waiting: Vec::new(), from: None };
        // A small answer needs to be asked for once only.
        let mut little =
            Self { limits: self.limits.clone(), series: self.series.min(SERIES), samples: self.samples.min(ROWS) };
        match little.fetch(&scan.connection, &scan.selection, &scan.metrics).await {
            Ok(fetched) => {
                self.series -= fetched.series.len();
                self.samples -= fetched.samples.len() + fetched.histograms.len();
                scan.all = Some(fetched);
                return Ok(scan);
            }
            Err(ArchiveError::TooMany { .. }) if self.series > SERIES || self.samples > ROWS => {}
            Err(error) => return Err(error),
        }
        scan.count(self).await?;
        Ok(scan)
    }
}

impl Scan {
    async fn count(&mut self, budget: &mut Budget) -> Result<(), ArchiveError> {
        let (connection, selection) = (&self.connection, &self.selection);
        let (mut total, mut weights) = (0, HashMap::<u128, usize>::new());
        for (table, weight) in [("samples", 1), ("histograms", HISTOGRAM_WEIGHT)] {
            let add = |CountRow { series_id, rows }| {
                let rows = usize::try_from(rows).unwrap_or(usize::MAX);
                total += rows;
                *weights.entry(series_id).or_default() += rows * weight;
            };
            connection.fetch_each(|client| selection.counts_of(client, table), "series", usize::MAX - 1, add).await?;
        }
        let too_many = ArchiveError::TooMany { what: "samples", limit: 0 };
        budget.samples = budget.samples.checked_sub(total).ok_or_else(|| budget.named(too_many))?;
        let (most, mut series) = (budget.series, 0);
        let waiting = &mut self.waiting;
        let add = |row: SeriesRow| {
            series += 1;
            let weight = weights.remove(&row.series_id);
            // What is stored was checked when it came.
            let labels = LabelSet::of_pairs(labels(&row)).ok();
            if let (Some(weight), Some(labels)) = (weight, labels) {
                waiting.push(Waiting { vm_key: row.vm_key, series_id: row.series_id, labels, weight });
            }
        };
        let outcome = connection.fetch_each(|client| selection.series(client, most + 1), "series", most, add).await;
        outcome.map_err(|error| budget.named(error))?;
        budget.series -= series;
        self.metrics.read_samples.inc_by(total as u64);
        self.metrics.read_series.inc_by(series as u64);
        debug!(series, samples = total, "to be fetched in parts");
        self.waiting.sort_unstable_by(|a, b| b.labels.iter().cmp(a.labels.iter()));
        Ok(())
    }

    /// Labels of all series that are still to come, one after the other.
    pub(crate) fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.all.iter().flat_map(|fetched| &fetched.series);
        all.flat_map(labels).chain(self.waiting.iter().flat_map(|series| series.labels.iter()))
    }

    /// The next part; a series that is too large for one is in several, one after the other.
    pub(crate) async fn next(&mut self) -> Result<Option<Fetched>, ArchiveError> {
        if let Some(all) = self.all.take() {
            return Ok(Some(all));
        }
        match self.waiting.last() {
            None => Ok(None),
            Some(series) if series.weight > ROWS => self.page().await.map(Some),
            Some(_) => self.group().await.map(Some),
        }
    }

    /// Some series as a whole.
    async fn group(&mut self) -> Result<Fetched, ArchiveError> {
        let mut room = ROWS;
        let fits = |series: &&Waiting| {
            let left = room.checked_sub(series.weight);
            room = left.unwrap_or(0);
            left.is_some()
        };
        let number = self.waiting.iter().rev().take(SERIES).take_while(fits).count();
        let series: Vec<_> = self.waiting.drain(self.waiting.len() - number..).map(|series| series.row()).collect();
        let (rows, most) = (self.selection.of(&series), usize::MAX - 1);
        let samples = Samples::fetch(&self.connection, |client| rows.samples(client, most), most).await?;
        let histograms = self.connection.fetch(|client| rows.histograms(client, most), "samples", most).await?;
        Ok(Fetched { series, samples, histograms })
    }

    /// A piece of the next series.
    async fn page(&mut self) -> Result<Fetched, ArchiveError> {
        let Some(series) = self.waiting.last().map(Waiting::row) else { return Ok(Fetched::default()) };
        let mut rows = self.selection.of(std::slice::from_ref(&series));
        rows.start = self.from.unwrap_or(rows.start);
        let end = rows.end;
        let mut samples = Samples::fetch(&self.connection, |client| rows.samples(client, ROWS), ROWS).await?;
        if let Some(last) = samples.last().filter(|_| samples.len() == ROWS) {
            rows.end = last.timestamp;
        }
        let most = ROWS / HISTOGRAM_WEIGHT;
        let histograms: Vec<HistogramRow> =
            self.connection.fetch(|client| rows.histograms(client, most), "samples", most).await?;
        if let Some(last) = histograms.get(most - 1) {
            rows.end = last.timestamp;
            samples.keep_until(rows.end);
        }
        self.from = (rows.end < end).then_some(rows.end + 1);
        if self.from.is_none() {
            self.waiting.pop();
        }
        Ok(Fetched { series: vec![series], samples, histograms })
    }
}

impl Waiting {
    /// With the name among the labels.
    fn row(&self) -> SeriesRow {
        let labels = self.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let (vm_key, series_id) = (self.vm_key, self.series_id);
        SeriesRow { month: 0, series_id, vm_key, metric_name: String::new(), labels }
    }
}
