//! Two exporters on the same vCenters, of which one collects.
//!
//! [`lease`] says who leads. The leader watches the vCenters and sends what it stores to the other one, which keeps it on
//! its own disk, has no session on any vCenter, and passes every scrape through. When the lead changes, the new leader
//! goes on from that state and asks the vCenters for all samples since its marks, so its first page has everything that
//! an earlier one had: a counter is shown only with a sample that came since. `docs/decisions/` has the protocol.
//!
//! What one knows is joined with what the other knows, cell by cell; that can be done in any order and twice, so a
//! message that comes late or again does no harm.

mod config;
pub mod lease;
mod metrics;
mod peer;
mod routes;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use lynceus_service::Host;
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{error, info, warn};

use crate::app::App;
use lease::{Lease, Status};
use peer::{Peer, PeerError};

pub use config::HaConfig;
pub(crate) use config::RawHa;
pub(crate) use routes::router;

/// How often a leader that stops tells the other one.
const FAREWELLS: usize = 3;

/// One of a pair.
#[derive(Debug)]
pub struct Ha {
    name: String,
    length: Duration,
    lease: Mutex<Lease>,
    peer: Peer,
    metrics: metrics::Metrics,
    /// Whether this one should collect.
    leads: watch::Sender<bool>,
    /// Whether scrapes are answered here. From the start of the collection until the other one has all that was shown
    /// here: only then may they go there.
    collects: AtomicBool,
    contact: Mutex<Contact>,
    pub(crate) outbox: Arc<Outbox>,
    /// One state after the other is joined with what is stored.
    joining: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Contact {
    /// When the other one last answered or asked.
    heard: Option<Instant>,
    /// When state last came, or was taken.
    state: Instant,
    /// What is wrong with words, and with state.
    problems: [Option<String>; 2],
}

/// What the two talk about.
#[derive(Debug, Clone, Copy)]
enum About {
    Lease,
    State,
}

/// The newest state of each vCenter that the other one does not have yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    states: Mutex<BTreeMap<String, Bytes>>,
    fresh: Notify,
}

impl Outbox {
    /// Puts in what was stored, in place of what is there of this vCenter.
    pub(crate) fn put(&self, vcenter: &str, state: Bytes) {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).insert(vcenter.to_owned(), state);
        self.fresh.notify_one();
    }

    fn all(&self) -> Vec<(String, Bytes)> {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.iter().map(|(vcenter, state)| (vcenter.clone(), state.clone())).collect()
    }

    /// Takes out what was sent, unless there is something newer.
    fn sent(&self, vcenter: &str, state: &Bytes) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if states.get(vcenter).is_some_and(|newest| newest.as_ptr() == state.as_ptr()) {
            states.remove(vcenter);
        }
    }
}

impl Ha {
    /// Begins to look for the other one. `url` is where Prometheus reaches this one.
    pub(crate) fn new(config: &HaConfig, url: &url::Url, host: &Host) -> anyhow::Result<Arc<Self>> {
        let name = config.name.clone().unwrap_or_else(|| url.to_string());
        let now = Instant::now();
        let metrics = metrics::Metrics::default();
        host.register(|registry| metrics.register(registry));
        Ok(Arc::new(Self {
            lease: Mutex::new(Lease::new(name.clone(), config.lease, life(), now)),
            peer: Peer::new(config, name.clone())?,
            length: config.lease,
            name,
            metrics,
            leads: watch::Sender::new(false),
            collects: AtomicBool::new(false),
            contact: Mutex::new(Contact { heard: None, state: now, problems: [None, None] }),
            outbox: Arc::default(),
            joining: tokio::sync::Mutex::default(),
        }))
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn lease(&self) -> MutexGuard<'_, Lease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contact(&self) -> MutexGuard<'_, Contact> {
        self.contact.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a word, and answers it.
    fn hear(&self, peer: &Status, at: Instant) -> Status {
        let status = {
            let mut lease = self.lease();
            lease.hear(peer, at);
            lease.say()
        };
        self.contact().heard = Some(Instant::now());
        self.decide();
        status
    }

    /// Carries what the lease says to where it is acted on.
    fn decide(&self) {
        let now = Instant::now();
        // Under the lock: of two that come at once, the later one must be the last to say it.
        let lease = self.lease();
        let leads = lease.leads(now);
        self.leads.send_if_modified(|before| std::mem::replace(before, leads) != leads);
        let age = now.saturating_duration_since(self.contact().state);
        self.metrics.set(leads, self.peer_up(), lease.takeovers(), age);
    }

    fn peer_up(&self) -> bool {
        self.contact().heard.is_some_and(|heard| heard.elapsed() < self.length)
    }

    /// Notes what keeps the two apart, and says it in the log when that is news.
    fn note(&self, about: About, problem: Option<&PeerError>) {
        let problem = problem.map(ToString::to_string);
        let mut contact = self.contact();
        let before = &mut contact.problems[about as usize];
        if *before != problem {
            match (&problem, about) {
                (Some(error), About::Lease) => warn!(error, "the other exporter cannot be talked to"),
                (Some(error), About::State) => warn!(error, "the other exporter does not take state"),
                (None, About::Lease) => info!("the other exporter answers"),
                (None, About::State) => info!("the other exporter takes state"),
            }
            *before = problem;
        }
    }

    /// Tells the other one how this one is, for as long as it is polled.
    async fn keep_in_touch(&self) {
        let mut ticks = interval(self.length / 3);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.lease().tick(Instant::now());
            self.decide();
            self.exchange().await;
        }
    }

    async fn exchange(&self) {
        let (status, sent) = (self.lease().say(), Instant::now());
        let answer = self.peer.exchange(&status).await;
        self.note(About::Lease, answer.as_ref().err());
        if let Ok(answer) = answer {
            self.hear(&answer, sent);
            self.outbox.fresh.notify_one();
        }
    }

    /// Sends state as it comes, for as long as it is polled.
    async fn hand_on(&self) {
        loop {
            self.outbox.fresh.notified().await;
            self.flush().await;
        }
    }

    /// Sends all that the other one does not have; says whether it has all now.
    async fn flush(&self) -> bool {
        let mut all = true;
        for (vcenter, state) in self.outbox.all() {
            let sent = self.peer.push(&vcenter, state.clone()).await;
            self.note(About::State, sent.as_ref().err());
            match sent {
                Ok(()) => self.contact().state = Instant::now(),
                // It would be refused again; the next one comes with the next collection.
                Err(PeerError::Refused { .. }) => {}
                Err(_) => {
                    all = false;
                    continue;
                }
            }
            self.outbox.sent(&vcenter, &state);
        }
        all
    }

    /// The same for the last time: again while the other one is there, for as long as a lease.
    async fn flush_last(&self) {
        let all = async {
            while !self.flush().await && self.peer_up() {
                sleep(self.length / 10).await;
            }
        };
        if timeout(self.length, all).await.is_err() {
            warn!("the other exporter did not take the last state: it asks the vCenters for what it lacks");
        }
    }

    /// Collects while this one leads, until the exporter stops.
    async fn act(&self, app: &App, host: &Host) {
        let (mut leads, stop) = (self.leads.subscribe(), host.shutdown());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = leads.wait_for(|leads| *leads) => {}
            }
            info!(name = self.name, epoch = self.lease().epoch(), "this exporter leads");
            if let Err(problem) = app.collect().await {
                error!(error = format!("{problem:#}"), "failed to begin to collect");
                sleep(self.length / 3).await;
                continue;
            }
            self.collects.store(true, Ordering::SeqCst);
            tokio::select! {
                () = stop.cancelled() => {}
                _ = leads.wait_for(|leads| !*leads) => info!(name = self.name, "the other exporter leads"),
            }
            // What is known is stored at once; to sign out may take as long as a vCenter that is away lets it.
            if timeout(self.length, app.rest()).await.is_err() {
                warn!("the collection takes long to end");
            }
            self.flush_last().await;
            self.collects.store(false, Ordering::SeqCst);
            if stop.is_cancelled() {
                return self.farewell().await;
            }
        }
    }

    async fn farewell(&self) {
        self.lease().leave();
        for _ in 0..FAREWELLS {
            let status = self.lease().say();
            match self.peer.exchange(&status).await {
                Ok(_) => return info!("the lead is handed over"),
                Err(problem) => self.note(About::Lease, Some(&problem)),
            }
        }
    }
}

/// Larger at each start, unless the clock was set back.
fn life() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or_default()
}

/// Runs until the exporter stops.
pub(crate) async fn run(ha: Arc<Ha>, app: App, host: Host) {
    tokio::select! {
        () = ha.act(&app, &host) => {}
        () = ha.keep_in_touch() => {}
        () = ha.hand_on() => {}
    }
}
