//! What the log on disk tells of itself: how large it is, how far behind ClickHouse, and for how long there is room.

use std::sync::Arc;
use std::time::Duration;

use lynceus_service::Host;
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::app::Shared;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);

/// Between two looks at which series are sent no more.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// The rate of writing is that of about so long.
const RATE_OVER: f64 = 3600.0;

/// Keeps the metrics of the log true.
pub(crate) async fn watch(shared: Arc<Shared>, host: Host) {
    let stop = host.shutdown();
    let (mut rate, mut forgot) = (Rate::new(Instant::now()), Instant::now());
    loop {
        look(&shared, &mut rate).await;
        if forgot.elapsed() >= FORGET_EVERY {
            forgot = Instant::now();
            shared.registry.forget();
        }
        tokio::select! {
            () = sleep(EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn look(shared: &Shared, rate: &mut Rate) {
    let metrics = &shared.metrics;
    let wal = shared.wal.clone();
    let unshipped = match tokio::task::spawn_blocking(move || wal.unshipped()).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => return warn!(%error, "failed to look at the log"),
        Err(_) => return,
    };
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    metrics.wal_bytes.set(signed(shared.wal.size()));
    metrics.wal_unshipped.set(signed(unshipped));
    let free = shared.live().config.wal.max_bytes.saturating_sub(unshipped) as f64;
    metrics.wal_head_room.set(free / rate.of(metrics.wal_written.get() as f64, Instant::now()));
    metrics.active_series.set(i64::try_from(shared.registry.len()).unwrap_or(i64::MAX));
    if shared.wal.is_shipped() {
        metrics.caught_up();
    }
}

/// How fast something grows: the mean of about the last hour, or of all the time while that is shorter.
#[derive(Debug)]
struct Rate {
    began: Instant,
    last: Instant,
    bytes: f64,
    per_second: f64,
}

impl Rate {
    fn new(now: Instant) -> Self {
        Self { began: now, last: now, bytes: 0.0, per_second: 0.0 }
    }

    fn of(&mut self, bytes: f64, now: Instant) -> f64 {
        let step = (now - self.last).as_secs_f64();
        if step > 0.0 {
            let weight = (step / (now - self.began).as_secs_f64().min(RATE_OVER)).min(1.0);
            self.per_second += weight * ((bytes - self.bytes) / step - self.per_second);
            (self.last, self.bytes) = (now, bytes);
        }
        self.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_mean_of_what_was() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        assert_eq!(rate.of(0., start), 0.);
        let mut at = |seconds: u64, bytes: f64| rate.of(bytes, start + Duration::from_secs(seconds)).round();
        assert_eq!((at(5, 500.), at(10, 500.)), (100., 50.));
        let mut bytes = 500.;
        for step in 3..20_000 {
            bytes += 5. * 200.;
            at(step * 5, bytes);
        }
        assert_eq!(at(100_000, bytes + 5. * 200.), 200.);
    }
}
