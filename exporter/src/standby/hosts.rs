//! All hosts of a vCenter that does not answer: the same loops for each as the vCenter has, and what they tell together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::COLLECTOR;
use super::known::{Known, StandsIn};
use super::merge::{Told, merge};
use crate::catalogue::Class;
use crate::collect::{Estate, details, follow, performance};
use crate::state::Health;
use crate::vsphere::{Client, Transport};

/// News of a host that come together are one.
const SETTLE: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Hosts {
    vcenter: Arc<Estate>,
    known: Arc<Known>,
    members: Vec<Member>,
    tasks: JoinSet<()>,
    /// Whether a host has told something new.
    news: Arc<AtomicBool>,
    began: Instant,
    last_round: Option<Instant>,
    /// Whether anything was shown yet.
    shown: bool,
    answering: Vec<bool>,
}

/// A host that is asked.
#[derive(Debug)]
struct Member {
    /// Its place in the inventory.
    place: usize,
    estate: Arc<Estate>,
    following: Arc<Client>,
    asking: Arc<Client>,
    /// Since when it does not answer any more.
    lost: Option<Instant>,
}

impl Hosts {
    /// Asks nobody yet.
    pub(super) fn new(vcenter: Arc<Estate>, known: Arc<Known>, now: Instant) -> Self {
        let (news, answering) = (Arc::default(), Vec::new());
        let (members, tasks) = (Vec::new(), JoinSet::new());
        Self { vcenter, known, members, tasks, news, began: now, last_round: None, shown: false, answering }
    }

    /// Asks each host that has an address.
    pub(super) fn start(&mut self, transports: Vec<(usize, Arc<Transport>)>) {
        for (place, transport) in transports {
            let stands_in = StandsIn { vcenter: self.vcenter.clone(), known: self.known.clone(), host: place };
            let (following, asking) = (Client::new(transport.clone()), Client::new(transport.clone()));
            let estate = Estate::of_host(transport, stands_in);
            self.tasks.spawn(keep(estate.clone(), following.clone(), asking.clone(), self.news.clone()));
            self.members.push(Member { place, estate, following, asking, lost: None });
        }
    }

    /// Shows what the hosts tell now, where that is something new.
    pub(super) fn look(&mut self, now: Instant) {
        let interval = self.vcenter.collection.interval;
        let (told, first_error) = self.told(now, interval);
        let answering: Vec<bool> = told.iter().map(|told| matches!(told, Told::All(_) | Told::Before(_))).collect();
        let reached = told.iter().filter(|told| matches!(told, Told::All(_))).count();
        // As long as hosts are being asked for the first time, they have not failed, and their VMs are not gone.
        let complete = !told.iter().any(|told| matches!(told, Told::NotYet));
        self.shown |= answering.contains(&true) && (complete || now - self.began >= interval);
        let round = self.last_round.is_none_or(|last| now - last >= interval);
        let news = self.news.swap(false, Ordering::Relaxed) || answering != self.answering;
        self.answering = answering;
        if self.shown && self.answering.contains(&true) {
            if news || round {
                let merged = Arc::new(merge(&self.known, &told));
                self.vcenter.state().take_hosts(merged, now);
                self.vcenter.state_changed.notify_one();
            } else {
                self.vcenter.state().hosts_answer(now);
            }
        }
        if round && (complete || self.last_round.is_some() || now - self.began >= interval) {
            let between = self.last_round.replace(now).map(|last| now - last);
            // Samples of hosts are in the books of the vCenter, which are stored as often as with it.
            self.vcenter.samples_came.notify_one();
            let hosts = Some((told.len(), reached));
            let error = self.error(reached, told.len(), first_error);
            self.vcenter.note(Health { collector: COLLECTOR, error, interval: between, hosts, ..Health::default() });
        }
    }

    /// What each host tells, and the first error of one that tells nothing.
    fn told(&mut self, now: Instant, interval: Duration) -> (Vec<Told>, Option<String>) {
        let mut all = vec![Told::Nothing; self.known.inventory.hosts.len()];
        let mut first_error = None;
        for member in &mut self.members {
            let followed = member.estate.is_followed();
            let state = member.estate.state();
            let inventory = state.inventory(now).cloned();
            let error = state.health().iter().find(|health| health.collector == follow::COLLECTOR);
            let error = error.and_then(|health| health.error.clone());
            drop(state);
            member.lost = if followed { None } else { Some(member.lost.unwrap_or(now)) };
            let recently = member.lost.is_none_or(|lost| now - lost < interval);
            all[member.place] = match inventory {
                Some(inventory) if inventory.hosts.is_empty() => {
                    let name = &self.known.inventory.hosts[member.place].place.host;
                    first_error.get_or_insert_with(|| format!("another host answers at the address of `{name}`"));
                    Told::Nothing
                }
                Some(inventory) if followed => Told::All(inventory),
                Some(inventory) if recently => Told::Before(inventory),
                None if error.is_none() && !followed => Told::NotYet,
                _ => {
                    first_error = first_error.or(error);
                    Told::Nothing
                }
            };
        }
        (all, first_error)
    }

    fn error(&self, reached: usize, all: usize, first: Option<String>) -> Option<String> {
        if all == 0 {
            return Some("no hosts are known: neither the vCenter nor the storage path has told of any".to_owned());
        }
        let without = all - self.members.len();
        let mut error = format!("{} of {all} hosts do not answer", all - reached);
        if without > 0 {
            error.push_str(&format!(
                ", {without} of them have no address in the config (`standby.hosts` or `standby.url`)"
            ));
        }
        if let Some(first) = first {
            error.push_str(&format!(", the first: {first}"));
        }
        (reached < all).then_some(error)
    }

    /// Stops asking, and signs out everywhere.
    pub(super) async fn close(&mut self) {
        self.tasks.shutdown().await;
        let clients = self.members.iter().flat_map(|member| [&member.following, &member.asking]);
        join_all(clients.map(|client| client.sign_out())).await;
        self.members.clear();
    }
}

/// Keeps what is known of a host true, for as long as it is polled.
async fn keep(estate: Arc<Estate>, following: Arc<Client>, asking: Arc<Client>, news: Arc<AtomicBool>) {
    let rebuild = async {
        loop {
            tokio::select! {
                () = estate.mirror_changed.notified() => estate.build_inventory(),
                () = estate.state_changed.notified() => {}
            }
            news.store(true, Ordering::Relaxed);
            sleep(SETTLE).await;
        }
    };
    tokio::join!(
        follow::run(&estate, &following),
        details::run(&estate, &asking),
        performance::run(&estate, &asking, Class::Vm),
        performance::run(&estate, &asking, Class::Host),
        rebuild,
    );
}
