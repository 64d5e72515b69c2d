//! The guests of one vCenter: which there are, and a loop for each.
//!
//! Loops are spread over the interval, guests of the tiers that come first at its beginning. One that fails waits, longer
//! each time, and does so in a lane of its own.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};
use tracing::{info, warn};

use super::board::{Board, Guest, Labels};
use super::families::Families;
use super::lanes::Lanes;
use super::linux::{self, Memory};
use super::reading::{self, Reading};
use super::rules::{Guests, How};
use super::scripts::{self, Sample, Script, ScriptError, Source};
use super::ssh::{Connection, Failure, HostKeys, Identity};
use crate::collect::Estate;
use crate::inventory::{Inventory, Vm, VmPower, os_family};
use crate::metrics::Metrics;
use crate::ownership::Ownership;

/// News of the inventory that come together make one plan.
const SETTLE: Duration = Duration::from_secs(1);

/// The longest wait of a guest that fails.
const MAX_BACK_OFF: Duration = Duration::from_secs(600);

/// A guest that takes so long is dealt with among those that fail.
const SLOW: Duration = Duration::from_secs(5);

/// So long targets wait for a vCenter whose guests nobody knows. Then it has none: others have some.
const PATIENCE: Duration = Duration::from_secs(300);

/// How much longer than a script may run its end is waited for.
const GRACE: Duration = Duration::from_secs(5);

/// What the guests of all vCenters share.
#[derive(Debug)]
pub struct Shared {
    /// How they are collected.
    pub settings: Guests,
    /// How many at a time.
    pub lanes: Lanes,
    /// Whether a host is the one that it says.
    pub keys: Arc<HostKeys>,
    /// Where their pages are.
    pub board: Board,
}

/// A guest that is to be collected.
#[derive(Debug, Clone, PartialEq)]
struct Target {
    labels: Labels,
    rule: usize,
    address: Option<SocketAddr>,
    rank: usize,
}

/// Runs for as long as it is polled.
pub async fn run(estate: &Estate, shared: Option<&Arc<Shared>>) {
    let Some(shared) = shared else { return };
    let mut tasks = JoinSet::new();
    let mut running = HashMap::new();
    let began = Instant::now();
    loop {
        let inventory = {
            let state = estate.state();
            state.last_inventory().or(state.stored_inventory.as_ref()).cloned()
        };
        if let Some(inventory) = inventory {
            let wanted = targets(&estate.name, &inventory, &shared.settings, &estate.terms.ownership);
            reconcile(wanted, shared, &estate.metrics, &mut tasks, &mut running);
            let guests: Vec<_> = running.values().map(|task: &Task| task.guest.clone()).collect();
            estate.metrics.guests(&estate.name, guests.len());
            shared.board.replace(&estate.name, guests);
        } else if began.elapsed() > PATIENCE {
            shared.board.replace(&estate.name, []);
        }
        tokio::select! {
            () = estate.inventory_changed.notified() => {}
            () = sleep(PATIENCE) => {}
            Some(_) = tasks.join_next() => {}
        }
        while tasks.try_join_next().is_some() {}
        // A loop that was not stopped ends only when it panics: it is started anew.
        running.retain(|_, task: &mut Task| !task.abort.is_finished());
        sleep(SETTLE).await;
    }
}

struct Task {
    target: Target,
    guest: Arc<Guest>,
    abort: tokio::task::AbortHandle,
}

/// Whom the rules name, among those that run, the most important first.
fn targets(vcenter: &str, inventory: &Inventory, settings: &Guests, ownership: &Ownership) -> Vec<Target> {
    let target = |vm: &Vm| {
        let rule = vm.guest_rule?;
        let how = settings.rules.get(rule)?.how.as_ref()?;
        if vm.power != Some(VmPower::On) {
            return None;
        }
        let labels = Labels {
            vcenter: vcenter.to_owned(),
            vm_id: vm.id.clone(),
            vm: vm.name.clone(),
            team: vm.team.clone(),
            os: os_family(&vm.guest_os),
        };
        let mut addresses = vec![vm.address.clone()];
        addresses.extend(vm.addresses.iter().cloned());
        let address = how.address(&addresses).map(|ip| SocketAddr::new(ip, how.port));
        Some(Target { labels, rule, address, rank: ownership.tier_rank(&vm.tier) })
    };
    let mut targets: Vec<_> = inventory.vms.iter().filter_map(target).collect();
    targets.sort_by(|a, b| (a.rank, &a.labels.vm_id).cmp(&(b.rank, &b.labels.vm_id)));
    targets
}

/// Starts the loops of guests that are new or others than before, and stops those of guests that are gone.
fn reconcile(
    targets: Vec<Target>,
    shared: &Arc<Shared>,
    metrics: &Metrics,
    tasks: &mut JoinSet<()>,
    running: &mut HashMap<String, Task>,
) {
    let mut before = std::mem::take(running);
    let count = targets.len().max(1);
    for (place, target) in targets.into_iter().enumerate() {
        let id = target.labels.vm_id.clone();
        let mut replaced = None;
        if let Some(task) = before.remove(&id) {
            if task.target == target {
                running.insert(id, task);
                continue;
            }
            task.abort.abort();
            replaced = Some(task.guest);
        }
        let Some(how) = shared.settings.rules.get(target.rule).and_then(|rule| rule.how.clone()) else { continue };
        let reason = match target.address {
            Some(_) => "the first collection is still to come",
            None => "it has no address within the networks that are allowed (VMware Tools tell it)",
        };
        let guest = Guest::new(target.labels.clone(), how.interval, reason, replaced.as_deref());
        let watch = Watch {
            guest: guest.clone(),
            address: target.address,
            how,
            shared: shared.clone(),
            metrics: metrics.clone(),
            connection: None,
            memory: Memory::default(),
            failures: 0,
            is_slow: false,
            runs: BTreeMap::new(),
        };
        #[expect(clippy::cast_precision_loss, reason = "a place in a list of thousands")]
        let abort = tasks.spawn(watch.run(place as f64 / count as f64));
        running.insert(id, Task { target, guest, abort });
    }
    before.into_values().for_each(|task| task.abort.abort());
}

/// The loop of one guest.
struct Watch {
    guest: Arc<Guest>,
    address: Option<SocketAddr>,
    how: How,
    shared: Arc<Shared>,
    metrics: Metrics,
    connection: Option<(Connection, tokio::sync::OwnedSemaphorePermit)>,
    memory: Memory,
    failures: u32,
    is_slow: bool,
    /// By the names of the scripts.
    runs: BTreeMap<String, Run>,
}

/// How a script went the last time.
struct Run {
    at: Instant,
    took: Duration,
    result: Result<Vec<Sample>, String>,
}

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

/// What went wrong with a script.
#[derive(Debug, thiserror::Error)]
enum ScriptFailure {
    #[error(transparent)]
    Failure(#[from] Failure),
    #[error(transparent)]
    Incomplete(#[from] reading::Incomplete),
    #[error(transparent)]
    Output(#[from] ScriptError),
    #[error("failed to read `{}`: {error}", path.display())]
    File { path: PathBuf, error: std::io::Error },
}

async fn run_script(connection: &Connection, script: &Script) -> Result<Vec<Sample>, ScriptFailure> {
    let text = match &script.source {
        Source::Inline(text) => text.clone(),
        Source::File(path) => {
            tokio::fs::read_to_string(path).await.map_err(|error| ScriptFailure::File { path: path.clone(), error })?
        }
    };
    let mark = mark();
    let command = scripts::command(&mark, &text, scripts::TIME_LIMIT);
    // The guest ends it itself; the connection waits a bit longer.
    let limit = scripts::TIME_LIMIT + GRACE;
    let output = connection.run_within(command, limit, scripts::MAX_BYTES).await?;
    Ok(scripts::read(scripts::output(reading::between(&reading::text(&output), &mark)?)?)?)
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

impl Watch {
    /// `phase` says when in the interval, from 0 to 1.
    async fn run(mut self, phase: f64) {
        let Some(address) = self.address else { return std::future::pending().await };
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
                    self.succeed(malformed.as_deref());
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

    async fn collect(&mut self, address: SocketAddr) -> Result<Option<String>, CollectError> {
        if self.connection.as_ref().is_none_or(|(connection, _)| connection.is_closed()) {
            self.connection = None;
            let most = self.shared.settings.max_connections;
            let permit = self.shared.lanes.keep_open().ok_or(CollectError::TooManyConnections(most))?;
            let labels = &self.guest.labels;
            let names = vec![address.ip().to_string(), labels.vm.clone()];
            let who = Identity { id: format!("{}/{}", labels.vcenter, labels.vm_id), names, port: address.port() };
            let limits = self.shared.settings.limits;
            let keys = self.shared.keys.clone();
            let connection = Connection::open(address, who, keys, &self.how.login, limits).await?;
            self.metrics.guest_handshake(&labels.vcenter);
            self.connection = Some((connection, permit));
        }
        let Some((connection, _)) = &self.connection else { return Ok(None) };
        let start = Instant::now();
        let mark = mark();
        let output = connection.run(linux::script(&mark, self.how.wanted)).await?;
        let end = Instant::now();
        let text = reading::text(&output);
        let reading = Reading::of(&text, &mark)?;
        let (mut families, malformed) = linux::families(&reading, &mut self.memory);
        let clock = families.take("node_time_seconds");
        describe(&mut families, &reading, end - start);
        self.show_scripts(&mut families);
        // The script asks for the time first.
        self.guest.publish(&families, clock, start);
        self.run_scripts().await;
        Ok(malformed.first().map(ToString::to_string))
    }

    /// Shows what scripts printed the last time, while it is fresh.
    fn show_scripts(&self, families: &mut Families) {
        for script in &self.how.scripts {
            let Some(run) = self.runs.get(&script.name) else { continue };
            let labels = [("script", script.name.as_str())];
            let success = if run.result.is_ok() { 1.0 } else { 0.0 };
            families.gauge("lynceus_guest_script_success", "Whether a script could be used.", &labels, success);
            let (name, help) = ("lynceus_guest_script_duration_seconds", "How long a script took.");
            families.gauge(name, help, &labels, run.took.as_secs_f64());
            if let Ok(samples) = &run.result
                && run.at.elapsed() <= (script.interval + self.how.interval) * 2
            {
                scripts::add(samples, families);
            }
        }
    }

    /// Runs the scripts whose time it is. What they print is shown with the next collection, which must not wait for them.
    async fn run_scripts(&mut self) {
        let Some((connection, _)) = &self.connection else { return };
        for script in &self.how.scripts {
            // A beat comes a bit early or late.
            let due = script.interval.mul_f64(0.9);
            if self.runs.get(&script.name).is_some_and(|run| run.at.elapsed() < due) {
                continue;
            }
            let (at, result) = (Instant::now(), run_script(connection, script).await);
            // Whoever failed to answer in time has no connection any more.
            let broken = matches!(result, Err(ScriptFailure::Failure(_)));
            let result = result.map_err(|error| error.to_string());
            let Labels { vcenter, vm, .. } = &self.guest.labels;
            let before = self.runs.get(&script.name).map(|run| run.result.as_ref().err());
            if let Err(error) = &result
                && before != Some(Some(error))
            {
                warn!(vcenter, vm, script = script.name, error, "a script cannot be used");
            }
            self.runs.insert(script.name.clone(), Run { at, took: at.elapsed(), result });
            if broken {
                self.connection = None;
                return;
            }
        }
    }

    fn succeed(&mut self, malformed: Option<&str>) {
        let Labels { vcenter, vm, .. } = &self.guest.labels;
        if self.failures > 0 {
            info!(vcenter, vm, "guest is collected again");
        }
        self.failures = 0;
        self.metrics.guest_collection(vcenter, None);
        if let Some(malformed) = malformed
            && self.guest.fail(malformed)
        {
            warn!(vcenter, vm, malformed, "a part of what a guest says cannot be read");
        }
    }

    fn fail(&mut self, error: &CollectError) {
        let Labels { vcenter, vm, .. } = &self.guest.labels;
        self.failures = self.failures.saturating_add(1);
        self.metrics.guest_collection(vcenter, Some(error.reason()));
        if self.guest.fail(&error.to_string()) {
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

/// What nothing in a guest can know, in letters that no shell makes anything of.
fn mark() -> String {
    let random = RandomState::new();
    format!("lynceus{:016x}{:016x}", random.hash_one(1), random.hash_one(2))
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
