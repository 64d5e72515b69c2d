//! From the log to ClickHouse: one batch at a time, in order, until it is there.
//!
//! Meanwhile the next batch gathers, so batches grow by themselves when ClickHouse is slow. A bridge that ends in the
//! middle sends the batch again, perhaps cut otherwise: the table merges what came twice. What ClickHouse refuses because
//! of what is in it, and would refuse for ever, is put aside with the reason; anything else is tried again until it
//! passes.

mod dead;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::app::Lives;
use crate::archive::{Archive, ArchiveError, Connection, Insert, SeriesRow};
use crate::batch;
use crate::labels::METRIC_NAME;
use crate::metrics::Metrics;
use crate::pairs::Pairs;
use crate::rollup::{Dirty, hour_of};
use crate::time::Day;
use crate::wal::{Chunk, Position, Reader, Wal, WalError};

/// Between two tries of a batch, growing.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// After an error of the disk.
const DISK_PAUSE: Duration = Duration::from_secs(2);

/// What is held back is no older than this, but for targets that are scraped more seldom than every five minutes.
const HELD_AT_MOST: Duration = Duration::from_secs(660);

/// What is so far behind is shipped without a pause.
const BEHIND: u64 = 4 << 20;

/// The task that ships.
pub(crate) struct Writer {
    pub(crate) archive: Arc<Archive>,
    pub(crate) lives: Lives,
    pub(crate) wal: Wal,
    /// Is told which hours have new samples.
    pub(crate) dirty: Arc<Dirty>,
    pub(crate) metrics: Metrics,
    /// Cancelled when no request is left.
    pub(crate) closing: CancellationToken,
}

/// The bridge is shutting down.
struct Closing;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What goes on from batch to batch.
struct Shipping {
    reader: Reader,
    pairs: Pairs,
    /// How far it was read at which time.
    ends: VecDeque<(Instant, Position)>,
}

impl Shipping {
    /// From where the log is read again after a start, so that nothing is lost that is held back now.
    fn replay(&mut self, end: Position) -> Option<Position> {
        if self.pairs.is_empty() {
            return None;
        }
        self.ends.push_back((Instant::now(), end));
        // The last one that is old enough.
        while self.ends.get(1).is_some_and(|(at, _)| at.elapsed() >= HELD_AT_MOST) {
            self.ends.pop_front();
        }
        self.ends.front().map(|(_, position)| *position)
    }
}

impl Writer {
    pub(crate) async fn run(self, reader: Reader, pairs: Pairs) {
        let mut shipping = Shipping { reader, pairs, ends: VecDeque::new() };
        let mut synced = self.wal.synced();
        loop {
            let news = synced.wait_for(|synced| *synced > self.wal.shipped());
            let end = tokio::select! {
                biased;
                () = self.closing.cancelled() => return,
                // An error means that nothing comes any more.
                news = news => match news { Ok(end) => *end, Err(_) => return },
            };
            let began = Instant::now();
            match self.ship(shipping, end).await {
                Ok(same) => shipping = same,
                Err(Closing) => return,
            }
            // What comes soon after is one batch; what is behind goes on at once.
            let flush_interval = self.lives.get().config.ingest.flush_interval;
            if self.wal.is_shipped() {
                self.metrics.caught_up();
            }
            let behind = self.wal.unshipped().unwrap_or_default() > BEHIND;
            if !behind {
                let rest = flush_interval.saturating_sub(began.elapsed());
                if timeout(rest, self.closing.cancelled()).await.is_ok() {
                    return;
                }
            }
        }
    }

    /// Ships what is before `until`, or the first part of it.
    async fn ship(&self, mut shipping: Shipping, until: Position) -> Result<Shipping, Closing> {
        let max_rows = self.lives.get().config.ingest.max_batch_rows;
        let chunk;
        (shipping, chunk) = self.read(shipping, until, max_rows).await?;
        let end = match chunk {
            Some(chunk) => {
                let end = chunk.end;
                shipping = self.store(shipping, chunk, max_rows).await?;
                end
            }
            None => until,
        };
        shipping = self.save(shipping, end).await?;
        let (wal, limit) = (self.wal.clone(), self.lives.get().config.wal.max_bytes);
        if let Err(error) = blocking(move || wal.clean(limit)).await {
            warn!(%error, "failed to delete what is shipped");
        }
        Ok(shipping)
    }

    async fn read(
        &self,
        mut shipping: Shipping,
        until: Position,
        most: usize,
    ) -> Result<(Shipping, Option<Chunk>), Closing> {
        loop {
            let outcome;
            (shipping, outcome) = blocking(move || {
                let outcome = shipping.reader.next(until, most);
                (shipping, outcome)
            })
            .await;
            match outcome {
                Ok(chunk) => return Ok((shipping, chunk)),
                Err(error) => self.pause(&error).await?,
            }
        }
    }

    /// ClickHouse has new samples of these hours, and the log does not count them as shipped yet.
    async fn mark_dirty(&self, hours: Vec<i64>) -> Result<(), Closing> {
        loop {
            let (dirty, hours) = (self.dirty.clone(), hours.clone());
            match blocking(move || dirty.mark(hours)).await {
                Ok(()) => return Ok(()),
                Err(error) => self.pause(&error).await?,
            }
        }
    }

    /// Writes down that ClickHouse has what is before `end`.
    async fn save(&self, mut shipping: Shipping, end: Position) -> Result<Shipping, Closing> {
        // What is read again after a start is behind already.
        let shipped = end.max(self.wal.shipped());
        let replay = shipping.replay(end);
        loop {
            let wal = self.wal.clone();
            let outcome: Result<(), BoxError>;
            (shipping, outcome) = blocking(move || {
                let saved = shipping.pairs.save().map_err(BoxError::from);
                let outcome = saved.and_then(|()| Ok(wal.set_shipped(shipped, replay)?));
                (shipping, outcome)
            })
            .await;
            match outcome {
                Ok(()) => return Ok(shipping),
                Err(error) => self.pause(&*error).await?,
            }
        }
    }

    async fn pause(&self, error: &(dyn std::error::Error + Sync)) -> Result<(), Closing> {
        error!(%error, "the log cannot be shipped; trying again");
        self.rest(DISK_PAUSE).await
    }

    async fn rest(&self, pause: Duration) -> Result<(), Closing> {
        tokio::select! {
            () = self.closing.cancelled() => Err(Closing),
            () = sleep(pause) => Ok(()),
        }
    }

    /// Sends a batch until ClickHouse has it.
    async fn store(&self, mut shipping: Shipping, chunk: Chunk, max_rows: usize) -> Result<Shipping, Closing> {
        let Chunk { end, mut rows, of_replicas, series } = chunk;
        let (hours, inserts);
        (shipping, hours, inserts) = blocking(move || {
            for (source, row) in of_replicas {
                shipping.pairs.take(source, row, &mut rows);
            }
            let mut hours: Vec<_> = rows.samples.iter().map(|row| hour_of(row.timestamp)).collect();
            hours.sort_unstable();
            hours.dedup();
            (shipping, hours, rows.into_inserts(max_rows))
        })
        .await;
        let done = vec![false; inserts.len()];
        let mut batch = Batch { shipping, end, series, done, inserts, connection: None, max_rows };
        let mut pause = FIRST_PAUSE;
        let mut said = None;
        loop {
            let outcome = match self.archive.prepared() {
                Ok(connection) => self.try_store(&mut batch, &connection).await,
                Err(error) => Err(error.into()),
            };
            let Err(error) = outcome else {
                if said.is_some() {
                    info!("ClickHouse takes batches again");
                }
                self.mark_dirty(hours).await?;
                return Ok(batch.shipping);
            };
            let text = error.to_string();
            if said.as_ref() != Some(&text) {
                warn!(%error, "a batch waits: it is sent again until ClickHouse has it, and the log keeps it");
                said = Some(text);
            }
            self.rest(pause).await?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn try_store(&self, batch: &mut Batch, connection: &Arc<Connection>) -> Result<(), StoreError> {
        if batch.connection.as_ref().is_none_or(|known| !Arc::ptr_eq(known, connection)) {
            // Another server knows nothing of what this one took.
            batch.connection = Some(connection.clone());
            batch.done.fill(false);
        }
        // They go first: a sample whose series is unknown could not be found.
        for rows in batch::of_partitions(batch.unknown_series(connection)?, batch.max_rows) {
            self.archive.insert(connection, &rows).await?;
            connection.remember(&rows);
        }
        for (place, insert) in batch.inserts.iter().enumerate() {
            if batch.done[place] {
                continue;
            }
            let (table, rows) = (insert.table(), insert.rows());
            match insert.send(&self.archive, connection).await {
                Ok(()) => self.metrics.stored(table, rows),
                Err(error) if error.is_of_the_rows() => {
                    let folder = self.wal.dead_letters();
                    let name = format!("{}-{}-{place}", batch.end.segment, batch.end.offset);
                    if let Err(io) = dead::write(&folder, &name, &**insert, &error) {
                        error!(error = %io, folder = %folder.display(), "failed to put a batch aside; trying again");
                        return Err(error.into());
                    }
                    self.metrics.dead_rows.inc_by(rows as u64);
                    error!(%error, folder = %folder.display(), name, table, rows, "ClickHouse refuses a batch for what is in it: it is put aside");
                }
                Err(error) => return Err(error.into()),
            }
            batch.done[place] = true;
        }
        Ok(())
    }
}

/// A batch that is being sent.
struct Batch {
    shipping: Shipping,
    end: Position,
    series: Vec<(u32, u128, Day)>,
    inserts: Vec<Box<dyn Insert>>,
    /// Which of them are there.
    done: Vec<bool>,
    /// Where.
    connection: Option<Arc<Connection>>,
    max_rows: usize,
}

impl Batch {
    /// Rows of series that are not known to be stored.
    fn unknown_series(&self, connection: &Connection) -> Result<Vec<SeriesRow>, WalError> {
        let mut rows = Vec::new();
        for (number, series_id, month) in connection.unknown(&self.series) {
            // A chunk names only series that its segment defines.
            let Some(labels) = self.shipping.reader.labels(number)? else { continue };
            let (mut metric_name, mut others) = (String::new(), Vec::new());
            for (name, value) in labels.iter() {
                if name == METRIC_NAME {
                    value.clone_into(&mut metric_name);
                } else {
                    others.push((name.to_owned(), value.to_owned()));
                }
            }
            let vm_key = labels.identity().vm_key;
            rows.push(SeriesRow { month, series_id, vm_key, metric_name, labels: others });
        }
        Ok(rows)
    }
}

/// Why a batch is not there yet.
#[derive(Debug, thiserror::Error)]
enum StoreError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Log(#[from] WalError),
}

/// Work of the disk or of a second of CPU.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(stopped) => std::panic::resume_unwind(stopped.into_panic()),
    }
}
