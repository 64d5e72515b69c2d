//! Visits to one guest, from beat to beat of its interval, over a connection that stays open.
//!
//! A guest that fails waits, longer each time, and is visited in a lane of its own, as is one that is slow.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep_until;
use tracing::{info, warn};

use super::board::{Guest, Labels};
use super::families::Families;
use super::linux::{self, Memory};
use super::reading::{self, Reading, mark};
use super::rules::How;
use super::scripts::Runs;
use super::ssh::{Connection, Failure, Identity};
use super::watch::Shared;
use crate::metrics::Metrics;

/// The longest wait of a guest that fails.
const MAX_BACK_OFF: Duration = Duration::from_secs(600);

/// A guest that takes so long is dealt with among those that fail.
const SLOW: Duration = Duration::from_secs(5);

/// The visits to one guest.
pub struct Visits {
    guest: Arc<Guest>,
    how: How,
    shared: Arc<Shared>,
    metrics: Metrics,
    connection: Option<Open>,
    memory: Memory,
    failures: u32,
    is_slow: bool,
    scripts: Runs,
}

/// A connection, and the permit to keep it open.
type Open = (Connection, OwnedSemaphorePermit);

/// What went wrong with one collection.
#[derive(Debug, thiserror::Error)]
enum CollectError {
    #[error(transparent)]
    Failure(#[from] Failure),
    #[error(transparent)]
    Incomplete(#[from] reading::Incomplete),
    #[error("{0} connections are open, which is as many as `guests.max_connections` allows")]
    TooManyConnections(usize),
}

impl CollectError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Failure(failure) => failure.reason(),
            Self::Incomplete(_) => "incomplete",
            Self::TooManyConnections(_) => "connections",
        }
    }
}

impl Visits {
    /// None made yet.
    pub fn new(guest: Arc<Guest>, how: How, shared: Arc<Shared>, metrics: Metrics) -> Self {
        Self {
            guest,
            how,
            shared,
            metrics,
            connection: None,
            memory: Memory::default(),
            failures: 0,
            is_slow: false,
            scripts: Runs::default(),
        }
    }

    /// Runs for as long as it is polled. `phase` says when in the interval, from 0 to 1. Without an address there is nobody to
    /// visit.
    pub async fn run(mut self, address: Option<SocketAddr>, phase: f64) {
        let Some(address) = address else { return std::future::pending().await };
        let interval = self.how.interval;
        let mut next = tokio::time::Instant::now() + interval.mul_f64(phase);
        loop {
            sleep_until(next).await;
            let permit = self.shared.lanes.enter(self.failures > 0 || self.is_slow).await;
            let start = Instant::now();
            let result = self.collect(address).await;
            drop(permit);
            let took = start.elapsed();
            self.is_slow = took > SLOW;
            let wait = match result {
                Ok(malformed) => {
                    self.succeed(&malformed);
                    Duration::ZERO
                }
                Err(error) => {
                    self.connection = None;
                    self.fail(&error);
                    self.back_off()
                }
            };
            // From beat to beat: what took longer than one, or has to wait, leaves some out.
            let now = tokio::time::Instant::now();
            let due = (now + wait).saturating_duration_since(next).as_secs_f64();
            let beats = (due / interval.as_secs_f64()).ceil().max(1.0);
            if wait.is_zero() && beats > 1.0 {
                self.metrics.guest_late(&self.guest.labels.vcenter, beats as u64 - 1);
            }
            next += interval.mul_f64(beats);
        }
    }

    /// Collects once; what of it could not be read.
    async fn collect(&mut self, address: SocketAddr) -> Result<String, CollectError> {
        let open = self.connection.take().filter(|(connection, _)| !connection.is_closed());
        let open = match open {
            Some(open) => open,
            None => self.connect(address).await?,
        };
        // It goes down with an error.
        let (connection, _) = self.connection.insert(open);
        let start = Instant::now();
        let mark = mark();
        let output = connection.run(linux::script(&mark, self.how.wanted)).await?;
        let end = Instant::now();
        let text = reading::text(&output);
        let reading = Reading::of(&text, &mark)?;
        let (mut families, malformed) = linux::families(&reading, &mut self.memory);
        let clock = families.take("node_time_seconds");
        describe(&mut families, &reading, end - start);
        self.scripts.show(&self.how, &mut families);
        // The script asks for the time first.
        self.guest.publish(&families, clock, start);
        let broken = self.scripts.run(connection, &self.how, &self.guest.labels).await;
        if broken {
            self.connection = None;
        }
        Ok(malformed.first().map(ToString::to_string).unwrap_or_default())
    }

    async fn connect(&self, address: SocketAddr) -> Result<Open, CollectError> {
        let most = self.shared.settings.max_connections;
        let permit = self.shared.lanes.keep_open().ok_or(CollectError::TooManyConnections(most))?;
        let Labels { vcenter, vm_id, vm, .. } = &self.guest.labels;
        let names = vec![address.ip().to_string(), vm.clone()];
        let who = Identity { id: format!("{vcenter}/{vm_id}"), names, port: address.port() };
        let (keys, limits) = (self.shared.keys.clone(), self.shared.settings.limits);
        let connection = Connection::open(address, who, keys, &self.how.login, limits).await?;
        self.metrics.guest_handshake(vcenter);
        Ok((connection, permit))
    }

    fn succeed(&mut self, malformed: &str) {
        let Labels { vcenter, vm, .. } = &self.guest.labels;
        self.metrics.guest_collection(vcenter, None);
        if std::mem::take(&mut self.failures) > 0 {
            info!(vcenter, vm, "guest is collected again");
        }
        if self.guest.note(malformed) && !malformed.is_empty() {
            warn!(vcenter, vm, malformed, "a part of what a guest says cannot be read");
        }
    }

    fn fail(&mut self, error: &CollectError) {
        let Labels { vcenter, vm, .. } = &self.guest.labels;
        self.failures = self.failures.saturating_add(1);
        self.metrics.guest_collection(vcenter, Some(error.reason()));
        if self.guest.note(&error.to_string()) {
            warn!(vcenter, vm, %error, "guest cannot be collected");
        }
    }

    /// Doubled at each failure, and never the same for two.
    fn back_off(&self) -> Duration {
        let doubled = self.how.interval * 2_u32.saturating_pow(self.failures.saturating_sub(1).min(16));
        let jitter = RandomState::new().hash_one(0) % 1000;
        doubled.min(MAX_BACK_OFF.max(self.how.interval)).mul_f64(0.75 + jitter as f64 / 2000.0)
    }
}

/// What is said of the collection itself.
fn describe(families: &mut Families, reading: &Reading<'_>, took: Duration) {
    let help = "How long the guest took to answer.";
    families.gauge("lynceus_guest_collection_duration_seconds", help, &[], took.as_secs_f64());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let help = "When the guest was last collected.";
    families.gauge("lynceus_guest_last_success_timestamp_seconds", help, &[], now.as_secs_f64());
    let series = families.is_full().then_some("series");
    for what in reading.lines("cut").take(10).chain(series) {
        let help = "Whether the guest has more of these than are read.";
        families.gauge("lynceus_guest_cut", help, &[("what", what)], 1.0);
    }
}
