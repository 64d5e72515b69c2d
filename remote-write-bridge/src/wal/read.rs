//! Reads the log in order, as rows for ClickHouse.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tracing::error;
use xxhash_rust::xxh3::xxh3_64;

use super::record::{self, Defined, Definitions, Item};
use super::segment::{self, FRAME, Found, HEAD, Segment};
use super::{Folder, Position, WalError};
use crate::archive::{ExemplarRow, HistogramRow, MetadataRow, SampleRow, StartRow};
use crate::batch::Rows;
use crate::ingest::{Metadata, Other};
use crate::labels::LabelSet;
use crate::pairs::{self, Row, Source};
use crate::time::{self, Day};
use crate::wire;

/// A part of the log that becomes one batch.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Where the next one begins.
    pub(crate) end: Position,
    pub(crate) rows: Rows,
    /// Rows of which there may be others, of another replica.
    pub(crate) of_replicas: Vec<(Source, Row)>,
    /// Its series, by number within the segment, and the months of what they have.
    pub(crate) series: Vec<(u32, u128, Day)>,
}

/// Where the log is read.
pub(crate) struct Reader {
    folder: Arc<Folder>,
    replica_label: String,
    at: Position,
    open: Option<Open>,
}

struct Open {
    segment: Segment,
    definitions: Definitions,
}

impl Reader {
    pub(super) fn new(folder: Arc<Folder>, at: Position, replica_label: String) -> Self {
        Self { folder, replica_label, at, open: None }
    }

    /// The next rows: at least one record, and no more of them once there are `most` rows. All of one segment and
    /// before `until`, which is a place that was synced, or where a chunk ended. `None` where there are none.
    pub(crate) fn next(&mut self, until: Position, most: usize) -> Result<Option<Chunk>, WalError> {
        let start = self.at;
        self.read(until, most).inspect_err(|_| {
            // What was read before the error is read again.
            (self.at, self.open) = (start, None);
        })
    }

    fn read(&mut self, until: Position, most: usize) -> Result<Option<Chunk>, WalError> {
        while self.at < until {
            if self.open.is_none() && !self.begin()? {
                self.leave();
                continue;
            }
            let Some(Open { segment, .. }) = &self.open else { continue };
            let end = if self.at.segment == until.segment { until.offset } else { segment.length()? };
            if self.at.offset >= end {
                self.leave();
                continue;
            }
            let chunk = self.chunk(end, most)?;
            if chunk.len() > 0 {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }

    /// Goes to the next segment.
    fn leave(&mut self) {
        self.open = None;
        self.at = Position { segment: self.at.segment + 1, offset: 0 };
    }

    /// The labels of a series of the last chunk, without the one that names its replica.
    pub(crate) fn labels(&self, number: u32) -> Result<Option<LabelSet>, WalError> {
        let Some(Open { segment, definitions }) = &self.open else { return Ok(None) };
        let Some(Defined { at, length, .. }) = definitions.get(number) else { return Ok(None) };
        let labels = LabelSet::from_bytes(&segment.bytes(at.get(), *length)?);
        Ok(labels.map(|labels| pairs::of_replica(labels, &self.replica_label).0))
    }

    /// Opens the segment of now, and reads again what it defines before the place of now. Says whether there is one.
    fn begin(&mut self) -> Result<bool, WalError> {
        let Position { segment: number, offset } = self.at;
        let path = &self.folder.path;
        if !path.join(segment::name(number)).exists() {
            return Ok(false);
        }
        if segment::log_of(path, number) != Some(self.folder.id) {
            if segment::size(path, number) > HEAD {
                error!(folder = %path.display(), segment = number, "a segment is not of this log, or its head is damaged: it is left out");
                self.folder.metrics.wal_damaged.inc();
            }
            return Ok(false);
        }
        let segment = Segment::open(path, number)?;
        self.at.offset = HEAD;
        self.open = Some(Open { segment, definitions: Definitions::new(self.replica_label.clone()) });
        while self.at.offset < offset {
            self.record(offset, |_| {})?;
        }
        Ok(true)
    }

    fn chunk(&mut self, end: u64, most: usize) -> Result<Chunk, WalError> {
        let mut chunk = Chunk { end: self.at, rows: Rows::default(), of_replicas: Vec::new(), series: Vec::new() };
        while self.at.offset < end && chunk.len() < most {
            self.record(end, |item| chunk.add(item))?;
        }
        let mut seen = HashSet::with_capacity(chunk.series.len());
        for (_, _, day) in &mut chunk.series {
            *day = time::month(*day);
        }
        chunk.series.retain(|(number, _, month)| seen.insert((*number, *month)));
        chunk.end = self.at;
        Ok(chunk)
    }

    /// Reads the record of now, and goes on behind it.
    fn record(&mut self, end: u64, each: impl FnMut(Item<'_>)) -> Result<(), WalError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let at = self.at.offset;
        let (next, reason) = match open.segment.record(at, end)? {
            Found::Record(bytes) => {
                let outcome = record::read(&bytes, at + FRAME, &mut open.definitions, each);
                (at + FRAME + bytes.len() as u64, outcome.err().map(|error| error.to_string()))
            }
            Found::Damaged { next } => (next.unwrap_or(end), Some("its checksum does not fit".to_owned())),
        };
        if let Some(reason) = reason {
            self.folder.metrics.wal_damaged.inc();
            // It may have defined series: what is written from now on defines them again, in another segment.
            self.folder.damaged.store(self.at.segment, Relaxed);
            let aside = self.folder.path.join(format!("{:016}-{at}.damaged", self.at.segment));
            let end = next.min(open.segment.length()?).max(at);
            let kept = std::fs::write(&aside, open.segment.bytes(at, end - at)?).is_ok();
            error!(segment = %open.segment.path.display(), offset = at, bytes = next - at, reason, kept, aside = %aside.display(), "a record of the log is damaged: it is set aside, and the rest goes on");
        }
        self.at.offset = next;
        Ok(())
    }
}

impl Chunk {
    fn len(&self) -> usize {
        self.rows.len() + self.of_replicas.len()
    }

    #[inline]
    fn add(&mut self, item: Item<'_>) {
        match item {
            Item::Sample(number, Defined { identity, source, .. }, sample) => {
                let (vm_key, series_id) = (identity.vm_key, identity.series_id);
                self.name(number, series_id, sample.timestamp);
                let row = SampleRow { vm_key, series_id, timestamp: sample.timestamp, value: sample.value };
                match source {
                    None => self.rows.samples.push(row),
                    Some(source) => self.of_replicas.push((*source, Row::Sample(row))),
                }
            }
            Item::Other(number, defined, timestamp, other) => {
                self.name(number, defined.identity.series_id, timestamp);
                self.other(defined, timestamp, other);
            }
            Item::Metadata(now, Metadata { metric_name, kind, unit, help }) => {
                let month = time::month(time::day(now));
                let r#type = kind.as_str().to_owned();
                self.rows.metadata.push(MetadataRow { month, metric_name, r#type, unit, help });
            }
        }
    }

    #[inline]
    fn name(&mut self, number: u32, series_id: u128, timestamp: i64) {
        let named = (number, series_id, time::day(timestamp));
        if self.series.last() != Some(&named) {
            self.series.push(named);
        }
    }

    fn other(&mut self, defined: &Defined, timestamp: i64, other: Other) {
        let (vm_key, series_id) = (defined.identity.vm_key, defined.identity.series_id);
        match other {
            Other::Histogram(histogram) => {
                let (count, sum) = wire::count_and_sum(&histogram);
                let row = HistogramRow { vm_key, series_id, timestamp, count, sum, histogram };
                match defined.source {
                    None => self.rows.histograms.push(row),
                    Some(source) => self.of_replicas.push((source, Row::Histogram(row))),
                }
            }
            // Of either replica: they are observations, not readings of the same number.
            Other::Exemplar { value, labels: bytes } => {
                let labels_id = xxh3_64(&bytes);
                let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
                let labels = LabelSet::from_bytes(&bytes).map(|labels| labels.iter().map(owned).collect());
                let labels = labels.unwrap_or_default();
                self.rows.exemplars.push(ExemplarRow { vm_key, series_id, timestamp, value, labels_id, labels });
            }
            Other::Start(start) => {
                let month = time::month(time::day(timestamp));
                self.rows.starts.push(StartRow { month, vm_key, series_id, start });
            }
        }
    }
}
