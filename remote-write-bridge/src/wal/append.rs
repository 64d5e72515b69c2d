//! The thread that writes the log: what waits is written together and synced once, then all of it is answered.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tracing::error;

use super::record;
use super::segment::{self, HEAD};
use super::{Folder, Position, WalError};
use crate::ingest::Accepted;
use crate::series::Series;

/// So many bytes are written before they are synced, at most; what waits longer is in the next group.
const GROUP_BYTES: usize = 8 << 20;

/// A segment ends after so many bytes of samples, after so many bytes in all, and after half an hour. Definitions do not
/// count at first: those of a large estate are as long as what it sends in minutes.
const SEGMENT_SAMPLE_BYTES: u64 = 256 << 20;
const SEGMENT_BYTES: u64 = 1 << 30;
const SEGMENT_TIME: Duration = Duration::from_secs(1800);

/// And after this part of the log's limit: only whole segments can make room.
const SEGMENTS_IN_LIMIT: u64 = 8;

/// After an error nothing is tried for so long: a full disk is not filled with heads of segments.
const PAUSE: Duration = Duration::from_secs(1);

/// A request to be added.
pub(super) struct Append {
    pub(super) accepted: Accepted,
    /// What the log may take.
    pub(super) limit: u64,
    pub(super) answer: oneshot::Sender<Result<(), WalError>>,
}

/// The end of the log.
pub(super) struct Appender {
    folder: Arc<Folder>,
    /// Number of the next segment.
    next: u64,
    open: Option<Open>,
    synced: watch::Sender<Position>,
    /// When an error came, and which.
    failed: Option<(Instant, WalError)>,
}

/// The segment that is written.
struct Open {
    file: File,
    number: u64,
    length: u64,
    sample_bytes: u64,
    /// How many series it defines.
    defined: u32,
    since: Instant,
    /// Whether its name is synced.
    named: bool,
}

impl Open {
    fn is_full(&self, limit: u64) -> bool {
        self.sample_bytes > SEGMENT_SAMPLE_BYTES
            || self.length > SEGMENT_BYTES.min(limit / SEGMENTS_IN_LIMIT)
            || self.since.elapsed() > SEGMENT_TIME
    }
}

impl Appender {
    pub(super) fn new(folder: Arc<Folder>, next: u64, synced: watch::Sender<Position>) -> Self {
        Self { folder, next, open: None, synced, failed: None }
    }

    /// Ends when nobody can add any more.
    pub(super) fn run(mut self, mut queue: mpsc::UnboundedReceiver<Append>) {
        let mut bytes = Vec::new();
        while let Some(first) = queue.blocking_recv() {
            if let Some((since, error)) = &self.failed
                && since.elapsed() < PAUSE
            {
                drop(first.answer.send(Err(error.clone())));
                continue;
            }
            self.failed = None;
            let mut answers = Vec::new();
            bytes.clear();
            let outcome = self.write(first, &mut queue, &mut bytes, &mut answers);
            if let Err(error) = &outcome {
                error!(%error, "failed to write the log; senders are asked to send again");
                // What is on disk of it is not known: the next group begins another segment.
                self.open = None;
                self.folder.metrics.wal_failures.inc();
                self.failed = Some((Instant::now(), error.clone()));
            }
            for answer in answers {
                // An error means that the sender has gone; what it sent is logged all the same.
                drop(answer.send(outcome.as_ref().map(|_| ()).map_err(WalError::clone)));
            }
        }
    }

    fn write(
        &mut self,
        first: Append,
        queue: &mut mpsc::UnboundedReceiver<Append>,
        bytes: &mut Vec<u8>,
        answers: &mut Vec<oneshot::Sender<Result<(), WalError>>>,
    ) -> Result<(), WalError> {
        let limit = first.limit;
        let damaged = self.folder.damaged.load(Relaxed);
        if self.open.as_ref().is_some_and(|open| open.number == damaged) {
            self.open = None;
        }
        let mut next = Some(first);
        while let Some(Append { accepted, answer, .. }) = next {
            answers.push(answer);
            if self.open.is_none() {
                self.open = Some(self.begin()?);
            }
            if let Some(open) = &mut self.open {
                open.encode(&accepted, bytes);
            }
            next = if bytes.len() < GROUP_BYTES { queue.try_recv().ok() } else { None };
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        let path = &self.folder.path;
        open.file.write_all(bytes).map_err(WalError::io("write to a segment in", path))?;
        let start = Instant::now();
        open.file.sync_data().map_err(WalError::io("sync a segment in", path))?;
        if !open.named {
            segment::sync_folder(path)?;
            open.named = true;
        }
        self.folder.metrics.wal_sync_seconds.observe(start.elapsed().as_secs_f64());
        open.length += bytes.len() as u64;
        self.folder.size.fetch_add(bytes.len() as u64, Relaxed);
        self.folder.metrics.wal_written.inc_by(bytes.len() as u64);
        self.synced.send_replace(Position { segment: open.number, offset: open.length });
        if open.is_full(limit) {
            self.open = None;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<Open, WalError> {
        let number = self.next;
        self.next += 1;
        let file = segment::create(&self.folder.path, self.folder.id, number)?;
        self.folder.size.fetch_add(HEAD, Relaxed);
        let since = Instant::now();
        Ok(Open { file, number, length: HEAD, sample_bytes: 0, defined: 0, since, named: false })
    }
}

impl Open {
    fn encode(&mut self, accepted: &Accepted, into: &mut Vec<u8>) {
        // Segments are numbered from 1 and never reach 2^32: that would take 200,000 years.
        let own = self.number << 32;
        let (first, mut definitions) = (self.defined, Vec::new());
        for (series, _) in &accepted.series {
            if series.place.load(Relaxed) & !0xffff_ffff != own {
                series.place.store(own | u64::from(self.defined), Relaxed);
                self.defined += 1;
                definitions.push(&series.labels);
            }
        }
        // The lower half is the number within the segment.
        let number = |series: &Series| series.place.load(Relaxed) as u32;
        let before = into.len();
        if !accepted.series.is_empty() {
            let mut writer = record::Writer::samples(first, &definitions);
            let mut samples = accepted.samples.as_slice();
            for (series, count) in accepted.series.iter().filter(|(_, count)| *count > 0) {
                let (own, others) = samples.split_at(*count);
                samples = others;
                writer.series(number(series), own);
            }
            segment::frame(&writer.finish(), into);
        }
        if !accepted.others.is_empty() {
            let mut writer = record::Writer::others();
            for (place, timestamp, other) in &accepted.others {
                writer.other(number(&accepted.series[*place].0), *timestamp, other);
            }
            segment::frame(&writer.finish(), into);
        }
        if !accepted.metadata.is_empty() {
            segment::frame(&record::metadata(accepted.now, &accepted.metadata), into);
        }
        let defined: usize = definitions.iter().map(|labels| labels.as_bytes().len()).sum();
        self.sample_bytes += (into.len() - before).saturating_sub(defined) as u64;
    }
}
