//! The estate as a function of seed, size, time and events.
//!
//! Nothing here has a clock, does I/O, or remembers: whoever asks says which moment is meant, and the same question
//! has the same answer whatever was asked before. So a past moment can be asked for as well as the present one, and
//! an hour of samples asked in one go equals the same hour asked minute by minute. (Loads that were just computed are
//! kept for the next question; that changes how long an answer takes, not the answer.)
//!
//! [`Model::inventory`] is the structure, [`Model::changes`] what happened to it, [`Model::realtime`] and
//! [`Model::historical`] are samples. Below that: `build` makes what never changes, `life` and `place` say who is
//! where, `load` what they ask for and what they get of it, `space` what they take on disk.

mod alarm;
mod build;
mod change;
mod counter;
mod effect;
mod event;
mod guest;
mod id;
mod inventory;
mod life;
mod load;
mod noise;
mod place;
mod resolve;
mod role;
mod sample;
mod size;
mod space;
mod structure;
mod time;

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use change::{Change, What};
pub use counter::{COUNTERS, Counter, CounterInfo, Instances, Rollup, Stats};
pub use event::{EventKind, VcenterEvent};
pub use guest::{FileSystem, GuestDisk, GuestNic, GuestProcess, GuestView};
pub use id::{
    AlarmId, ClusterId, DatacenterId, DatastoreId, Entity, FolderId, FolderKind, HostId, NetworkId, PoolId,
    PortgroupId, SnapshotId, SwitchId, VappId, VmId,
};
pub use inventory::*;
pub use resolve::ModelError;
pub use sample::{Samples, Series};
pub use size::Size;
pub use space::VmSpace;
pub use time::{TICK_MILLIS, Tick, Time};

use crate::scenario::Event;
use build::Built;
use effect::Effects;
use load::{Kept, Load};
use noise::Noise;

/// Length of a historical sample of the past day in 20 s samples: 300 s.
pub const TICKS_PER_INTERVAL: i64 = 15;

/// An estate for all times. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Model {
    world: Arc<World>,
    effects: Arc<Effects>,
    events: Arc<Vec<Event>>,
    kept: Arc<Mutex<Kept>>,
}

/// What no event changes.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) noise: Noise,
    pub(crate) origin: Time,
    pub(crate) built: Built,
    /// The fixed parts of the VMs that are there from the start, by seat.
    pub(crate) configs: Vec<Arc<VmConfig>>,
}

impl Model {
    /// An estate in which nothing goes wrong. `origin` is when the simulation starts: ages count from there.
    pub fn new(seed: u64, size: Size, origin: Time) -> Model {
        let noise = Noise::new(seed);
        let built = build::build(noise, size, origin);
        let mut world = World { noise, origin, built, configs: Vec::new() };
        let none = Effects::default();
        let first = (0..world.built.seats.len()).filter_map(|seat| {
            let who = world.occupant(&none, seat, origin)?;
            Some(Arc::new(world.new_config(seat, &who)))
        });
        world.configs = first.collect();
        Model {
            world: Arc::new(world),
            effects: Arc::new(none),
            events: Arc::new(Vec::new()),
            kept: Arc::new(Mutex::new(Kept::default())),
        }
    }

    /// The same with more events. Each finds its targets in the estate as it is when the event begins. What was before
    /// the first of them stays as it was, so a caller who does not want to change the past gives none that begin there.
    pub fn with(&self, events: Vec<Event>) -> Result<Model, ModelError> {
        resolve::with(self, events)
    }

    /// When the simulation starts.
    pub fn origin(&self) -> Time {
        self.world.origin
    }

    /// All events so far, those that are over and those that are still to come included.
    pub fn events_given(&self) -> &[Event] {
        &self.events
    }

    /// What never changes.
    pub fn estate(&self) -> &Arc<Estate> {
        &self.world.built.estate
    }

    /// The structure at a moment.
    pub fn inventory(&self, at: Time) -> Inventory {
        let hosts = (0..self.estate().hosts.len()).map(|host| self.world.host_at(&self.effects, host, at)).collect();
        let vms = self.world.vms_at(&self.effects, at);
        Inventory { at, estate: self.estate().clone(), hosts, vms, alarms: self.alarms(at) }
    }

    /// What happened after one moment, until and including another, in order: applied to the inventory of the first it
    /// gives that of the second.
    pub fn changes(&self, after: Time, until: Time) -> Vec<Change> {
        change::between(self, after, until)
    }

    /// vCenter's events after one moment, until and including another, in order. They have no keys: whoever keeps them
    /// numbers them.
    pub fn events(&self, after: Time, until: Time) -> Vec<VcenterEvent> {
        event::between(self, after, until)
    }

    /// How long vCenter waits for a host that it asks for samples, and in vain; none where the host answers.
    pub fn sick(&self, host: HostId, at: Time) -> Option<Duration> {
        let place = self.estate().host_place(host)?;
        let lasting = self.effects.sick.iter().filter(|sick| sick.host == place && sick.span.holds(at));
        lasting.map(|sick| sick.timeout).max()
    }

    /// Samples of 20 s of all counters, with all instances, that an entity of the inventory has at all; none for
    /// clusters and datastores. -1 where there was no sample: the VM was not there or not on, the host did not respond.
    pub fn realtime(&self, inventory: &Inventory, entity: Entity, ticks: Range<Tick>) -> Samples {
        self.realtime_of(inventory, entity, ticks, None)
    }

    /// The same for these counters only, which is faster.
    pub fn realtime_of(
        &self,
        inventory: &Inventory,
        entity: Entity,
        ticks: Range<Tick>,
        counters: Option<&[Counter]>,
    ) -> Samples {
        match entity {
            Entity::Cluster(_) | Entity::Datastore(_) => Samples::default(),
            _ => sample::of(self, inventory, entity, ticks, counters, |tick| self.load(tick)),
        }
    }

    /// Samples of 300 s: the average, or for summations the sum, of the 20 s samples. An interval is numbered as a tick
    /// is: it ends at its number times 300 s.
    pub fn historical(&self, inventory: &Inventory, entity: Entity, intervals: Range<i64>) -> Samples {
        self.historical_of(inventory, entity, intervals, None)
    }

    /// The same for these counters only, which is faster.
    pub fn historical_of(
        &self,
        inventory: &Inventory,
        entity: Entity,
        intervals: Range<i64>,
        counters: Option<&[Counter]>,
    ) -> Samples {
        sample::of(self, inventory, entity, intervals, counters, |interval| self.interval(interval))
    }

    /// Everybody's load in a sample.
    fn load(&self, tick: Tick) -> Arc<Load> {
        self.keep((tick, 1), || load::at(&self.world, &self.effects, tick))
    }

    fn interval(&self, interval: i64) -> Arc<Load> {
        self.keep((interval, TICKS_PER_INTERVAL), || {
            let first = (interval - 1) * TICKS_PER_INTERVAL + 1;
            let loads = (first..first + TICKS_PER_INTERVAL).map(|tick| load::at(&self.world, &self.effects, tick));
            load::mean(loads)
        })
    }

    fn keep(&self, key: (i64, i64), compute: impl FnOnce() -> Load) -> Arc<Load> {
        if let Some(found) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
            return found;
        }
        // Not under the lock: two who ask for the same at once compute the same.
        let load = Arc::new(compute());
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).put(key, load.clone());
        load
    }
}
