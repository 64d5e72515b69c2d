//! The guests of one vCenter: which there are, and visits to each.
//!
//! Visits are spread over the interval, those to guests of the tiers that come first at its beginning.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use super::board::{Board, Guest, Labels};
use super::lanes::Lanes;
use super::rules::{Guests, HostKeySettings};
use super::ssh::{FileError, HostKeys};
use super::visits::Visits;
use crate::collect::Estate;
use crate::inventory::{Inventory, Vm, VmPower, os_family};
use crate::metrics::Metrics;
use crate::ownership::Ownership;

/// News of the inventory that come together make one plan.
const SETTLE: Duration = Duration::from_secs(1);

/// So long targets wait for a vCenter whose guests nobody knows. Then it has none: others have some.
const PATIENCE: Duration = Duration::from_secs(300);

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

impl Shared {
    /// Reads the host keys that are known; those that are learned are kept in `folder`.
    pub fn open(settings: Guests, folder: &Path, board: Board) -> Result<Self, FileError> {
        let HostKeySettings { known_hosts, pinned, learn } = &settings.host_keys;
        let learned = learn.then(|| folder.join("guest_host_keys"));
        let keys = Arc::new(HostKeys::load(known_hosts.as_deref(), pinned.clone(), learned)?);
        let lanes = Lanes::new(settings.max_in_flight, settings.max_connections);
        Ok(Self { settings, lanes, keys, board })
    }
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
    abort: AbortHandle,
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
        let visits = Visits::new(guest.clone(), how, shared.clone(), metrics.clone());
        #[expect(clippy::cast_precision_loss, reason = "a place in a list of thousands")]
        let abort = tasks.spawn(visits.run(target.address, place as f64 / count as f64));
        running.insert(id, Task { target, guest, abort });
    }
    before.into_values().for_each(|task| task.abort.abort());
}
