//! Samples, of which there are the most: as small in memory as they can be.

use std::collections::HashMap;

use clickhouse::Client;
use clickhouse::error::Error;
use clickhouse::native::Block;
use clickhouse::query::Query as Sql;

use crate::archive::{ArchiveError, Connection, column};
use crate::wire::Sample;

/// Samples of several series, those of one together and by time.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    all: Vec<Sample>,
    /// Each series, and behind which place it ends.
    series: Vec<(u128, usize)>,
}

impl Samples {
    /// Rows of a query that `make` writes, ordered; more than the limit are [`ArchiveError::TooMany`].
    pub(super) async fn fetch(
        connection: &Connection,
        make: impl FnOnce(&Client) -> Sql,
        limit: usize,
    ) -> Result<Self, ArchiveError> {
        let mut samples = Self::default();
        connection.fetch_blocks(make, |block| samples.append(block)).await?;
        match samples.all.len() > limit {
            true => Err(ArchiveError::TooMany { what: "samples", limit }),
            false => Ok(samples),
        }
    }

    fn append(&mut self, block: &Block) -> Result<(), Error> {
        let (series_ids, times): (Vec<u128>, Vec<i64>) = (column(block, "series_id")?, column(block, "time")?);
        let values: Vec<f64> = column(block, "value")?;
        for same in series_ids.chunk_by(|a, b| a == b) {
            let end = self.series.last().map_or(0, |(_, end)| *end) + same.len();
            match self.series.last_mut().filter(|(id, _)| *id == same[0]) {
                Some(last) => last.1 = end,
                None => self.series.push((same[0], end)),
            }
        }
        let sample = |(timestamp, value)| Sample { value, timestamp };
        self.all.extend(times.into_iter().zip(values).map(sample));
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn last(&self) -> Option<&Sample> {
        self.all.last()
    }

    /// Of one series: nothing that is newer.
    pub(super) fn keep_until(&mut self, time: i64) {
        self.all.truncate(self.all.partition_point(|sample| sample.timestamp <= time));
        self.series.iter_mut().for_each(|(_, end)| *end = self.all.len());
    }

    pub(super) fn by_series(&self) -> HashMap<u128, &[Sample]> {
        let mut start = 0;
        let slice = |(id, end): &(u128, usize)| (*id, &self.all[std::mem::replace(&mut start, *end)..*end]);
        self.series.iter().map(slice).collect()
    }
}
