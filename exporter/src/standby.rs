//! The standby source: while a vCenter does not answer, its hosts are asked directly.
//!
//! [`decide`] says when. Then each host that the vCenter last told of gets the loops that the vCenter has (`hosts`). ESXi
//! has references of its own and knows no folders, clusters or tags, so what a host tells is put into the words of its
//! vCenter ([`known`]): same identities, same teams, same places. So its samples go on in the books of the vCenter, each
//! after the last one there. What all hosts tell becomes one inventory ([`merge`](merge())), which is shown in place of the
//! vCenter's. Once that answers again, the hosts are left alone.
//!
//! It signs in only where the config's template or list leads from the name of a host that the vCenter told of.

pub mod decide;
mod hosts;
pub mod known;
pub mod merge;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};
use url::Url;

pub use decide::{Decision, Source};
use hosts::Hosts;
pub use known::{Known, StandsIn};
pub use merge::{Told, merge};

use crate::collect::Estate;
use crate::config::{StandbyConfig, VcenterConfig};
use crate::state::Health;
use crate::vsphere::{BackOff, Error, Transport, http_client};

/// The value of the label `collector`.
pub const COLLECTOR: &str = "standby";

/// How often is looked whether the vCenter answers and what is new of the hosts.
const TICK: Duration = Duration::from_secs(1);

/// A host is near and has little to do: what takes longer is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One for the wait for updates, and one for all else.
const CONNECTIONS: usize = 2;

/// ESXi locks a user out for a quarter of an hour after five refused sign-ins, counted from the last: trying again sooner
/// would keep one locked out whose password has been put right.
const LOCK_OUT: Duration = Duration::from_secs(20 * 60);

/// Says why the parts that ask the vCenter have failed.
const REASON: &str = "the vCenter does not answer: its hosts are asked";

/// The standby source of one vCenter.
#[derive(Debug)]
pub struct Standby {
    estate: Arc<Estate>,
    config: Option<StandbyConfig>,
    /// They stay, so that a password that a host has refused is not tried faster each time that the vCenter goes.
    transports: HashMap<Url, Arc<Transport>>,
    hosts: Option<Hosts>,
}

impl Standby {
    /// As configured for the estate's vCenter, which may be not at all.
    pub fn new(estate: Arc<Estate>) -> Self {
        let config = estate.transport.config().standby.clone();
        Self { estate, config, transports: HashMap::new(), hosts: None }
    }

    /// Stands by for as long as it is polled.
    pub async fn run(&mut self) {
        let Some(config) = self.config.clone() else { return };
        let mut decision = Decision::new(config.after, Instant::now());
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = Instant::now();
            let (followed, last_answer) = (self.estate.is_followed(), self.estate.state().last_answer());
            match (decision.decide(now, followed, last_answer), &mut self.hosts) {
                (Source::Esxi, None) => self.begin(&config, now),
                (Source::Esxi, Some(hosts)) => hosts.look(now),
                (Source::Vcenter, Some(_)) => self.end().await,
                (Source::Vcenter, None) => {}
            }
        }
    }

    fn begin(&mut self, config: &StandbyConfig, now: Instant) {
        let estate = &self.estate;
        let known = {
            let state = estate.state();
            state.last_inventory().or(state.stored_inventory.as_ref()).cloned()
        };
        // Without any, there are no hosts, which is then said.
        let known = Arc::new(Known::new(known.unwrap_or_default(), estate.terms.clone()));
        warn!(vcenter = estate.name, hosts = known.inventory.hosts.len(), after = ?config.after, "{REASON}");
        estate.state().switch(Source::Esxi, REASON);
        let transports = self.transports(config, &known);
        let mut hosts = Hosts::new(self.estate.clone(), known.clone(), now);
        match transports {
            Ok(transports) => hosts.start(transports),
            Err(error) => {
                let health = Health { collector: COLLECTOR, error: Some(error.chain()), ..Health::default() };
                self.estate.note(Health { hosts: Some((known.inventory.hosts.len(), 0)), ..health });
            }
        }
        self.hosts = Some(hosts);
    }

    /// The way to each host that has one, by its place in the inventory.
    fn transports(&mut self, config: &StandbyConfig, known: &Known) -> Result<Vec<(usize, Arc<Transport>)>, Error> {
        let settings = self.settings(config);
        let http = http_client(&format!("hosts of `{}`", self.estate.name), &settings)?;
        let collection = &self.estate.collection;
        let back_off = BackOff { first: collection.interval, most: collection.max_back_off.max(LOCK_OUT) };
        let budget = Arc::new(Semaphore::new(config.max_hosts_at_once));
        let mut found = Vec::new();
        for (place, host) in known.inventory.hosts.iter().enumerate() {
            let name = &host.place.host;
            let Some(url) = config.addresses.of(name) else { continue };
            let transport = self.transports.entry(url.clone()).or_insert_with(|| {
                let (settings, metrics) = (VcenterConfig { url, ..settings.clone() }, self.estate.metrics.clone());
                Arc::new(Transport::to_host(http.clone(), name, settings, back_off, metrics, budget.clone()))
            });
            found.push((place, transport.clone()));
        }
        Ok(found)
    }

    /// How hosts are talked to: as their vCenter is, where nothing else is said.
    fn settings(&self, config: &StandbyConfig) -> VcenterConfig {
        let vcenter = self.estate.transport.config();
        VcenterConfig {
            username: config.username.clone(),
            password: config.password.clone(),
            tls: config.tls.clone(),
            connect_timeout: vcenter.connect_timeout.min(CONNECT_TIMEOUT),
            max_connections: CONNECTIONS,
            // The loops try again by themselves; but a connection that a host has just closed is no reason to leave a session
            // there.
            max_retries: vcenter.max_retries.min(1),
            standby: None,
            ..vcenter.clone()
        }
    }

    /// The vCenter answers again.
    async fn end(&mut self) {
        info!(vcenter = self.estate.name, "the vCenter answers again: its hosts are left alone");
        {
            let mut state = self.estate.state();
            state.switch(Source::Vcenter, "");
            state.withdraw(COLLECTOR);
        }
        self.estate.state_changed.notify_one();
        self.close().await;
    }

    /// Stops asking hosts, and signs out of them.
    pub async fn close(&mut self) {
        if let Some(hosts) = &mut self.hosts {
            hosts.close().await;
        }
        self.hosts = None;
    }
}
