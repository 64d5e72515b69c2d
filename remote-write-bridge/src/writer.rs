//! The queue between requests and ClickHouse: samples of many requests are gathered, stored as one batch, and the
//! requests answered.
//!
//! One batch is stored at a time; meanwhile the next one gathers, so batches grow by themselves when ClickHouse is
//! slow. A batch goes to one connection; requests that were sorted out for another one are asked to come again, since
//! what that one knew does not hold. At shutdown the queue is closed after the last request was answered, and the rest
//! stored.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::app::Lives;
use crate::archive::{self, Archive, ArchiveError, Connection, SampleRow, SeriesRow};
use crate::batch::{Batch, Inserts};
use crate::metrics::Metrics;
use crate::time::Day;

type Answer = Result<(), Arc<ArchiveError>>;

/// Why samples were not queued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    #[error("more than {limit} bytes would wait for ClickHouse (ingest.max_queued_bytes); send this request again")]
    Full { limit: usize },
    #[error("the bridge is shutting down; send this request again")]
    Closed,
}

/// The part of the queue that requests see.
pub(crate) struct Queue {
    sender: mpsc::UnboundedSender<Submission>,
    metrics: Metrics,
}

/// What of one request is to be stored.
pub(crate) struct Rows {
    pub(crate) samples: Vec<SampleRow>,
    /// Of series that `connection` does not know.
    pub(crate) series: Vec<SeriesRow>,
    pub(crate) connection: Arc<Connection>,
}

struct Submission {
    rows: Rows,
    since: Instant,
    room: Room,
    answer: oneshot::Sender<Answer>,
}

/// Room in the queue; given back when it is dropped. The metric is the count itself, so that both always agree.
struct Room {
    bytes: i64,
    metrics: Metrics,
}

impl Room {
    fn take(bytes: usize, limit: usize, metrics: &Metrics) -> Option<Self> {
        let signed = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        let (bytes, limit) = (signed(bytes), signed(limit));
        // A request larger than the whole queue may pass when the queue is empty; else it never could.
        let add = |queued: i64| (queued == 0 || bytes <= limit - queued).then(|| queued + bytes);
        let taken = metrics.queued_bytes.inner().fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        taken.ok().map(|_| Self { bytes, metrics: metrics.clone() })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.metrics.queued_bytes.dec_by(self.bytes);
    }
}

impl Queue {
    /// The queue and the end that [`Writer`] reads.
    pub(crate) fn new(metrics: Metrics) -> (Self, Receiver) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender, metrics }, Receiver(receiver))
    }

    /// Queues rows, or says at once that there is no room. The answer comes when they are stored or cannot be.
    pub(crate) fn submit(&self, rows: Rows, limit: usize) -> Result<oneshot::Receiver<Answer>, SubmitError> {
        let bytes = archive::memory(&rows.samples, &rows.series);
        let room = Room::take(bytes, limit, &self.metrics).ok_or(SubmitError::Full { limit })?;
        let (answer, answered) = oneshot::channel();
        let submission = Submission { rows, since: Instant::now(), room, answer };
        self.sender.send(submission).map_err(|_| SubmitError::Closed)?;
        Ok(answered)
    }
}

/// What [`Writer`] reads from.
pub(crate) struct Receiver(mpsc::UnboundedReceiver<Submission>);

/// A request that waits for its answer.
struct Waiting {
    days: Vec<Day>,
    _room: Room,
    answer: oneshot::Sender<Answer>,
}

/// The task that stores what is queued.
pub(crate) struct Writer {
    pub(crate) archive: Arc<Archive>,
    pub(crate) lives: Lives,
    /// Cancelled when no request is left.
    pub(crate) closing: CancellationToken,
}

impl Writer {
    pub(crate) async fn run(self, Receiver(mut queue): Receiver) {
        loop {
            let first = tokio::select! {
                biased;
                submission = queue.recv() => submission,
                () = self.closing.cancelled(), if !queue.is_closed() => {
                    queue.close();
                    continue;
                }
            };
            let Some(first) = first else { return };
            let Gathered { connection, batch, waiting } = self.gather(first, &mut queue).await;
            let max_rows = self.lives.get().config.ingest.max_batch_rows;
            let failures = self.store(&connection, batch.into_inserts(max_rows)).await;
            for Waiting { days, answer, _room } in waiting {
                let failure = days.iter().find_map(|day| failures.of(*day));
                // An error means that the sender has gone; its samples are stored all the same.
                drop(answer.send(failure.map_or(Ok(()), Err)));
            }
        }
    }

    async fn gather(&self, first: Submission, queue: &mut mpsc::UnboundedReceiver<Submission>) -> Gathered {
        let ingest = self.lives.get().config.ingest.clone();
        let deadline = first.since + ingest.flush_interval;
        let mut gathered =
            Gathered { connection: self.archive.connection(), batch: Batch::default(), waiting: Vec::new() };
        gathered.add(first);
        while gathered.batch.samples() < ingest.max_batch_rows {
            let next = match queue.try_recv() {
                Ok(submission) => Some(submission),
                Err(_) => tokio::select! {
                    submission = timeout_at(deadline, queue.recv()) => submission.unwrap_or(None),
                    () = self.closing.cancelled() => None,
                },
            };
            match next {
                Some(submission) => gathered.add(submission),
                None => break,
            }
        }
        gathered
    }

    async fn store(&self, connection: &Arc<Connection>, inserts: Inserts) -> Failures {
        let mut failures = Failures::default();
        for rows in &inserts.series {
            if let Err(error) = self.archive.insert_series(connection, rows).await {
                failures.all = Some(Arc::new(error));
                return failures;
            }
        }
        for (day, rows) in &inserts.samples {
            if let Err(error) = self.archive.insert_samples(connection, rows).await {
                let error = Arc::new(error);
                if !matches!(*error, ArchiveError::Refused { .. }) {
                    // Nobody is there: the other days would only wait for the same. Those that are stored and are
                    // reported as failed come again, which is harmless.
                    failures.all = Some(error);
                    return failures;
                }
                failures.days.insert(*day, error);
            }
        }
        failures
    }
}

/// A batch for one connection, and the requests that wait for it.
struct Gathered {
    connection: Arc<Connection>,
    batch: Batch,
    waiting: Vec<Waiting>,
}

impl Gathered {
    fn add(&mut self, Submission { rows, since: _, room, answer }: Submission) {
        if !Arc::ptr_eq(&rows.connection, &self.connection) {
            // An error means that the sender has gone.
            drop(answer.send(Err(Arc::new(ArchiveError::Replaced))));
            return;
        }
        let mut days: Vec<Day> = rows.samples.iter().map(SampleRow::day).collect();
        days.sort_unstable();
        days.dedup();
        self.batch.add(rows.samples, rows.series);
        self.waiting.push(Waiting { days, _room: room, answer });
    }
}

#[derive(Default)]
struct Failures {
    all: Option<Arc<ArchiveError>>,
    days: HashMap<Day, Arc<ArchiveError>>,
}

impl Failures {
    fn of(&self, day: Day) -> Option<Arc<ArchiveError>> {
        self.all.as_ref().or_else(|| self.days.get(&day)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_while_there_is_some_and_to_anything_when_all_is_free() {
        let metrics = Metrics::new();
        let take = |bytes| Room::take(bytes, 100, &metrics);
        let large = take(300).unwrap();
        assert!(take(1).is_none());
        drop(large);
        let (most, rest) = (take(60).unwrap(), take(40).unwrap());
        assert!(take(1).is_none());
        drop(most);
        assert!(take(61).is_none() && take(60).is_some());
        drop(rest);
        assert_eq!(metrics.queued_bytes.get(), 0);
    }
}
