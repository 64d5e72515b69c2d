//! The queue between requests and ClickHouse: samples of many requests are gathered, stored as one batch, and the
//! requests answered.
//!
//! One batch is stored at a time; meanwhile the next one gathers, so batches grow by themselves when ClickHouse is
//! slow. At shutdown the queue is closed after the last request was answered, and the rest stored.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::app::Lives;
use crate::archive::{Archive, ArchiveError, SampleRow, SeriesRow};
use crate::batch::{Batch, Inserts};
use crate::metrics::Metrics;
use crate::time::Day;

type Answer = Result<(), Arc<ArchiveError>>;

/// Why samples were not queued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    #[error(
        "more than {limit} samples wait for ClickHouse already (ingest.max_queued_samples); send this request again"
    )]
    Full { limit: usize },
    #[error("the bridge is shutting down; send this request again")]
    Closed,
}

/// The part of the queue that requests see.
pub(crate) struct Queue {
    sender: mpsc::UnboundedSender<Submission>,
    metrics: Metrics,
}

/// The samples of one request.
struct Submission {
    samples: Vec<SampleRow>,
    series: Vec<SeriesRow>,
    since: Instant,
    /// Room in the queue; given back when the submission is dropped.
    room: Room,
    answer: oneshot::Sender<Answer>,
}

struct Room {
    _slots: OwnedSemaphorePermit,
    samples: i64,
    metrics: Metrics,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.metrics.queued_samples.dec_by(self.samples);
    }
}

/// Slots for `max_queued_samples`, as many as a semaphore can count.
pub(crate) fn slots(max_queued_samples: usize) -> Slots {
    let limit = max_queued_samples.min(u32::MAX as usize);
    Slots { semaphore: Arc::new(Semaphore::new(limit)), limit }
}

/// Room for samples that wait.
pub(crate) struct Slots {
    semaphore: Arc<Semaphore>,
    limit: usize,
}

impl Queue {
    /// The queue and the end that [`Writer`] reads.
    pub(crate) fn new(metrics: Metrics) -> (Self, Receiver) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender, metrics }, Receiver(receiver))
    }

    /// Queues samples, or says at once that there is no room. The answer comes when they are stored or cannot be.
    pub(crate) fn submit(
        &self,
        samples: Vec<SampleRow>,
        series: Vec<SeriesRow>,
        slots: &Slots,
    ) -> Result<oneshot::Receiver<Answer>, SubmitError> {
        // A request larger than the whole queue may pass when the queue is empty; else it never could.
        let wanted = u32::try_from(samples.len().min(slots.limit)).unwrap_or(u32::MAX);
        let permit = slots
            .semaphore
            .clone()
            .try_acquire_many_owned(wanted)
            .map_err(|_| SubmitError::Full { limit: slots.limit })?;
        let count = i64::try_from(samples.len()).unwrap_or(i64::MAX);
        self.metrics.queued_samples.inc_by(count);
        let room = Room { _slots: permit, samples: count, metrics: self.metrics.clone() };
        let (answer, answered) = oneshot::channel();
        let submission = Submission { samples, series, since: Instant::now(), room, answer };
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
            let (batch, waiting) = self.gather(first, &mut queue).await;
            let max_rows = self.lives.get().config.ingest.max_batch_rows;
            let failures = self.store(batch.into_inserts(max_rows)).await;
            for Waiting { days, answer, _room } in waiting {
                let failure = days.iter().find_map(|day| failures.of(*day));
                // An error means that the sender has gone; its samples are stored all the same.
                drop(answer.send(failure.map_or(Ok(()), Err)));
            }
        }
    }

    async fn gather(
        &self,
        first: Submission,
        queue: &mut mpsc::UnboundedReceiver<Submission>,
    ) -> (Batch, Vec<Waiting>) {
        let ingest = self.lives.get().config.ingest.clone();
        let deadline = first.since + ingest.flush_interval;
        let (mut batch, mut waiting) = (Batch::default(), Vec::new());
        add(first, &mut batch, &mut waiting);
        while batch.samples() < ingest.max_batch_rows {
            let next = match queue.try_recv() {
                Ok(submission) => Some(submission),
                Err(_) => tokio::select! {
                    submission = timeout_at(deadline, queue.recv()) => submission.unwrap_or(None),
                    () = self.closing.cancelled() => None,
                },
            };
            match next {
                Some(submission) => add(submission, &mut batch, &mut waiting),
                None => break,
            }
        }
        (batch, waiting)
    }

    async fn store(&self, inserts: Inserts) -> Failures {
        let mut failures = Failures::default();
        for rows in &inserts.series {
            if let Err(error) = self.archive.insert_series(rows).await {
                failures.all = Some(Arc::new(error));
                return failures;
            }
        }
        for (day, rows) in &inserts.samples {
            if let Err(error) = self.archive.insert_samples(rows).await {
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

fn add(submission: Submission, batch: &mut Batch, waiting: &mut Vec<Waiting>) {
    let Submission { samples, series, since: _, room, answer } = submission;
    let mut days: Vec<Day> = samples.iter().map(SampleRow::day).collect();
    days.sort_unstable();
    days.dedup();
    batch.add(samples, series);
    waiting.push(Waiting { days, _room: room, answer });
}
