//! The collection of one vCenter: loops that each keep one part of what is known true.
//!
//! [`follow`] keeps the mirror of the inventory, [`details`] and [`tags`] add what is read now and then, [`performance`]
//! keeps the books of samples and [`events`] that of events, and [`publish`](crate::publish) makes pages of it. They meet in
//! an [`Estate`] and nowhere else.

pub mod details;
pub mod events;
pub mod follow;
mod licences;
pub mod performance;
pub mod plan;
pub mod pressure;
mod query;
pub mod tags;
pub mod tolerant;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use tokio::sync::{Notify, watch};
use tracing::{info, warn};

use crate::config::Collection;
use crate::inventory::{Mirror, Terms, build};
use crate::metrics::Metrics;
use crate::standby::StandsIn;
use crate::state::{Health, State};
use crate::vsphere::Transport;

/// One vCenter, as far as it is known, and what its loops share.
#[derive(Debug)]
pub struct Estate {
    /// The vCenter's name.
    pub name: String,
    /// The way to it.
    pub transport: Arc<Transport>,
    /// How to ask.
    pub collection: Collection,
    /// Whose VM is whose, and which labels VMs get.
    pub terms: Terms,
    /// Where to count.
    pub metrics: Metrics,
    /// Something new is in the mirror.
    pub mirror_changed: Notify,
    /// VMs may be in the mirror that were not there before.
    pub vms_may_be_new: Notify,
    /// There is another inventory.
    pub inventory_changed: Notify,
    /// Something new is in the state.
    pub state_changed: Notify,
    /// Samples or events are in the books that are not stored yet.
    pub samples_came: Notify,
    /// Where this is a host that is asked in the place of its vCenter.
    pub stands_in: Option<StandsIn>,
    mirror: Mutex<Mirror>,
    state: Mutex<State>,
    /// Whether the inventory is being followed: while it is not, nobody else asks the vCenter anything.
    followed: watch::Sender<bool>,
}

impl Estate {
    /// Nothing known yet.
    pub fn new(
        name: String,
        transport: Arc<Transport>,
        collection: Collection,
        terms: Terms,
        metrics: Metrics,
    ) -> Arc<Self> {
        Arc::new(Self::with(name, transport, collection, terms, metrics, None))
    }

    /// A host of a vCenter. Whose its VMs are is not for it to say, but for what is known of the vCenter.
    pub fn of_host(transport: Arc<Transport>, stands_in: StandsIn) -> Arc<Self> {
        let Self { name, collection, metrics, .. } = &*stands_in.vcenter;
        let (name, collection, metrics) = (name.clone(), collection.clone(), metrics.clone());
        Arc::new(Self::with(name, transport, collection, Terms::default(), metrics, Some(stands_in)))
    }

    fn with(
        name: String,
        transport: Arc<Transport>,
        collection: Collection,
        terms: Terms,
        metrics: Metrics,
        stands_in: Option<StandsIn>,
    ) -> Self {
        let state = Mutex::new(State::new(collection.interval));
        Self {
            name,
            transport,
            collection,
            terms,
            metrics,
            mirror_changed: Notify::new(),
            vms_may_be_new: Notify::new(),
            inventory_changed: Notify::new(),
            state_changed: Notify::new(),
            samples_came: Notify::new(),
            stands_in,
            mirror: Mutex::default(),
            state,
            followed: watch::Sender::new(false),
        }
    }

    /// The mirror. Whoever changes it tells `mirror_changed`.
    pub fn mirror(&self) -> MutexGuard<'_, Mirror> {
        self.mirror.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state. Whoever changes it tells `state_changed`.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state that has the books: those of a host are its vCenter's.
    pub fn books(&self) -> MutexGuard<'_, State> {
        self.stands_in.as_ref().map_or(self, |host| &host.vcenter).state()
    }

    /// Makes an inventory of what is in the mirror.
    pub fn build_inventory(&self) {
        let mut inventory = build(&self.mirror(), &self.terms);
        if let Some(host) = &self.stands_in {
            inventory = host.known.adopt(host.host, inventory);
        }
        self.state().replace_inventory(Arc::new(inventory));
        self.inventory_changed.notify_one();
    }

    /// Says whether the inventory is being followed.
    pub fn set_followed(&self, followed: bool) {
        self.followed.send_replace(followed);
        let now = Instant::now();
        if followed {
            self.state().kept(now);
        } else {
            self.state().unkept(now);
        }
    }

    /// Whether the inventory is being followed.
    pub fn is_followed(&self) -> bool {
        *self.followed.borrow()
    }

    /// Returns once the inventory is being followed.
    pub async fn until_followed(&self) {
        // The sender lives as long as this.
        let _followed = self.followed.subscribe().wait_for(|followed| *followed).await.is_ok();
    }

    /// Notes how a part of the collection went, and says it in the log when that is news.
    pub fn note(&self, health: Health) {
        let (vcenter, collector) = (&self.name, health.collector);
        let host = self.stands_in.as_ref().map(StandsIn::name);
        let mut state = self.state();
        state.certificate_end = self.transport.certificate_end();
        let before = state.health().iter().find(|other| other.collector == collector);
        match (&health.error, before.map(|before| &before.error)) {
            (Some(error), Some(Some(last))) if error == last => {}
            (Some(error), _) => warn!(vcenter, host, collector, error, "collection failed"),
            (None, Some(None)) => {}
            (None, _) => info!(vcenter, host, collector, "collection succeeds"),
        }
        self.metrics.collection(vcenter, health.error.is_none());
        state.note(health, unix_time());
        drop(state);
        self.state_changed.notify_one();
    }
}

fn unix_time() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// This machine's clock, in Unix milliseconds.
pub(crate) fn unix_millis() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
