//! Series with their samples and histograms, out of ClickHouse and within limits.

mod buckets;
mod samples;
mod scan;

use std::collections::HashMap;

use clickhouse::Client;
use tracing::debug;

use crate::archive::{ArchiveError, Connection, HistogramRow, SeriesRow};
use crate::config::ReadLimits;
use crate::labels::METRIC_NAME;
use crate::metrics::Metrics;
use crate::select::Selection;
use crate::wire::Sample;
pub(crate) use buckets::FetchedBuckets;
use samples::Samples;
pub(crate) use scan::Scan;

/// What one request may still fetch.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    limits: ReadLimits,
    series: usize,
    samples: usize,
}

/// What was fetched.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    series: Vec<SeriesRow>,
    samples: Samples,
    histograms: Vec<HistogramRow>,
}

/// A series with what it has in the range.
pub(crate) struct FetchedSeries<'a> {
    /// Sorted, the metric's name among them.
    pub(crate) labels: Vec<(&'a str, &'a str)>,
    /// By time.
    pub(crate) samples: &'a [Sample],
    pub(crate) histograms: &'a [HistogramRow],
}

impl Budget {
    pub(crate) fn new(limits: ReadLimits) -> Self {
        Self { series: limits.max_series, samples: limits.max_samples, limits }
    }

    /// Samples.
    pub(crate) fn left(&self) -> usize {
        self.samples
    }

    /// Fetches all of a selection, or nothing.
    pub(crate) async fn fetch(
        &mut self,
        connection: &Connection,
        selection: &Selection,
        metrics: &Metrics,
    ) -> Result<Fetched, ArchiveError> {
        let named = |error| self.named(error);
        let series = self.series(connection, selection).await?;
        if series.is_empty() {
            return Ok(Fetched::default());
        }
        let most = self.samples;
        let sql = |client: &Client| selection.samples(client, most + 1);
        let samples = Samples::fetch(connection, sql, most).await.map_err(named)?;
        let most = most - samples.len();
        let histograms: Vec<HistogramRow> =
            connection.fetch(|client| selection.histograms(client, most + 1), "samples", most).await.map_err(named)?;
        self.series -= series.len();
        self.samples = most - histograms.len();
        metrics.read_samples.inc_by((samples.len() + histograms.len()) as u64);
        metrics.read_series.inc_by(series.len() as u64);
        debug!(series = series.len(), samples = samples.len(), histograms = histograms.len(), "fetched");
        Ok(Fetched { series, samples, histograms })
    }

    async fn series(&self, connection: &Connection, selection: &Selection) -> Result<Vec<SeriesRow>, ArchiveError> {
        let most = self.series;
        let found = connection.fetch(|client| selection.series(client, most + 1), "series", most).await;
        found.map_err(|error| self.named(error))
    }

    /// With the limit that the user knows, not what is left of it.
    fn named(&self, error: ArchiveError) -> ArchiveError {
        let ArchiveError::TooMany { what, .. } = error else { return error };
        let limit = if what == "series" { self.limits.max_series } else { self.limits.max_samples };
        ArchiveError::TooMany { what, limit }
    }
}

impl Fetched {
    /// Sorted by labels; series that have nothing in the range are left out.
    pub(crate) fn series(&self) -> Vec<FetchedSeries<'_>> {
        let mut samples_of = self.samples.by_series();
        let mut histograms_of = by_series(&self.histograms, |row| row.series_id);
        let with_rows = self.series.iter().filter_map(|row| {
            let samples = samples_of.remove(&row.series_id).unwrap_or_default();
            let histograms = histograms_of.remove(&row.series_id).unwrap_or_default();
            let labels = (!samples.is_empty() || !histograms.is_empty()).then(|| labels(row))?;
            Some(FetchedSeries { labels, samples, histograms })
        });
        let mut all: Vec<_> = with_rows.collect();
        all.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        all
    }
}

/// Rows of each series, which stand together.
pub(crate) fn by_series<R>(rows: &[R], id: impl Fn(&R) -> u128) -> HashMap<u128, &[R]> {
    rows.chunk_by(|a, b| id(a) == id(b)).map(|rows| (id(&rows[0]), rows)).collect()
}

/// Sorted, the metric's name among them.
pub(crate) fn labels(row: &SeriesRow) -> Vec<(&str, &str)> {
    let mut labels: Vec<_> = row.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    if !row.metric_name.is_empty() {
        labels.push((METRIC_NAME, &row.metric_name));
    }
    labels.sort_unstable();
    labels
}
