//! Roll-ups: what the samples of an hour, or of five minutes, come to.
//!
//! ```text
//! writer ─▶ dirty: hours that have new samples ─▶ roll-up: once an hour is over and quiet, INSERT … SELECT ─▶ clean
//! query  ─▶ plan: what is clean from roll-ups, what is dirty from samples
//! ```
//!
//! Six hours are made of their hours, with the last one of them that is dirty. Late samples make their hour dirty again, and
//! its rows are made again as a whole. The list of dirty hours is on disk before the log counts their samples as shipped:
//! no crash loses one. Where another zone's blocks are wanted, all of them are made anew, the newest first.

mod blocks;
mod dirty;
mod plan;
mod sql;
mod tier;

use std::sync::Arc;
use std::time::Duration;

use lynceus_service::Host;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use crate::app::Lives;
use crate::archive::{Archive, ArchiveError, Connection};
use crate::config::RollUps;
use crate::metrics::Metrics;
use crate::time;
pub(crate) use blocks::{Blocks, HOURS_OF_BLOCK};
pub(crate) use dirty::Dirty;
pub(crate) use plan::{Plan, Source, Thin};
pub(crate) use sql::{bucket_end, of_samples};
pub(crate) use tier::{make_block, slices};

/// Between two looks at what is dirty.
const EVERY: Duration = Duration::from_secs(5);
/// After an error.
const PAUSE: Duration = Duration::from_secs(30);
/// Samples are still on their way when an hour ends.
const SETTLE: Duration = Duration::from_secs(120);
/// An hour that gets samples all the time is waited for, so that one that is filled from the past is rolled up once.
const QUIET: Duration = Duration::from_secs(10);
/// But not longer than this.
const PATIENCE: Duration = Duration::from_secs(900);

const MILLIS_OF_HOUR: i64 = 3_600_000;

/// The task that makes them.
pub(crate) struct RollUp {
    pub(crate) archive: Arc<Archive>,
    pub(crate) lives: Lives,
    pub(crate) dirty: Arc<Dirty>,
    pub(crate) metrics: Metrics,
}

impl RollUp {
    pub(crate) async fn run(self, host: Host) {
        let stop = host.shutdown();
        let mut said = None;
        loop {
            let outcome = tokio::select! {
                outcome = self.work() => outcome,
                () = stop.cancelled() => return,
            };
            let pause = match outcome {
                Ok(()) => {
                    said = None;
                    EVERY
                }
                Err(error) => {
                    self.metrics.rollup_failures.inc();
                    let text = error.to_string();
                    if said.as_ref() != Some(&text) {
                        warn!(%error, "roll-ups wait; what is dirty is kept");
                        said = Some(text);
                    }
                    PAUSE
                }
            };
            self.metrics.rollups_pending.set(i64::try_from(self.dirty.len()).unwrap_or(i64::MAX));
            tokio::select! {
                () = sleep(pause) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Rolls up all that is dirty and quiet.
    async fn work(&self) -> Result<(), RollUpError> {
        let connection = match self.archive.prepared() {
            Ok(connection) => connection,
            // That is said elsewhere.
            Err(_) => return Ok(()),
        };
        // Each time by the config of then.
        while self.make_next(&connection, self.lives.get().config.rollups.clone()).await? {
            self.metrics.rollups_pending.set(i64::try_from(self.dirty.len()).unwrap_or(i64::MAX));
        }
        Ok(())
    }

    /// An hour, or else a block; false where there is none to do.
    async fn make_next(&self, connection: &Connection, config: RollUps) -> Result<bool, RollUpError> {
        let RollUps { five_minutes, blocks } = config;
        let is_unknown = self.dirty.is_unknown();
        if is_unknown || self.dirty.blocks() != blocks {
            let hours = if is_unknown { tier::hours(connection).await? } else { Vec::new() };
            let all = tier::blocks(connection, blocks).await?;
            let reason = if is_unknown { "there is no list of them" } else { "blocks end at other hours" };
            info!(hours = hours.len(), blocks = all.len(), "to be rolled up anew: {reason}");
            self.dirty.begin(hours, blocks, all)?;
        }
        let start = Instant::now();
        if let Some((hour, generation)) = self.dirty.next(newest_over(), QUIET, PATIENCE) {
            for tier in &tier::OF_SAMPLES {
                tier.make(connection, hour, &five_minutes).await?;
            }
            let block = blocks.last_hour(hour);
            if !self.dirty.has_others(block - HOURS_OF_BLOCK + 1..=block, hour) {
                self.make_block(connection, blocks, block).await?;
            }
            self.dirty.clean(hour, generation)?;
            self.metrics.rollup_seconds.observe(start.elapsed().as_secs_f64());
            debug!(hour = %time::display(end_of(hour)), took = ?start.elapsed(), "rolled up");
            return Ok(true);
        }
        let Some(block) = self.dirty.next_block() else { return Ok(false) };
        self.make_block(connection, blocks, block).await?;
        Ok(true)
    }

    /// With the last one that was missing, those of other zones go.
    async fn make_block(&self, connection: &Connection, blocks: Blocks, block: i64) -> Result<(), RollUpError> {
        make_block(connection, block).await?;
        if self.dirty.is_last_block(block) {
            tier::delete_other_blocks(connection, blocks).await?;
        }
        Ok(self.dirty.made(block)?)
    }
}

/// Why an hour is not rolled up.
#[derive(Debug, thiserror::Error)]
enum RollUpError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Dirty(#[from] dirty::DirtyError),
}

/// The newest hour that is over, its samples being there.
fn newest_over() -> i64 {
    hour_of(time::now_millis() - millis(SETTLE)) - 1
}

/// The hour that a sample belongs to, by the hour's end: it begins a millisecond after full hours, and ends with one.
pub(crate) fn hour_of(millis: i64) -> i64 {
    -(-millis).div_euclid(MILLIS_OF_HOUR)
}

/// Its last millisecond.
fn end_of(hour: i64) -> i64 {
    hour * MILLIS_OF_HOUR
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_ends_with_the_full_hour() {
        assert_eq!([0, 1, 3_600_000, 3_600_001].map(hour_of), [0, 1, 1, 2]);
    }
}
