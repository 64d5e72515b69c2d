//! Load: what every VM asks for in a sample, what it gets of it, and what that makes of hosts and datastores.
//!
//! Demand comes from role, rhythm, noise and events ([`demand`]). Hosts and datastores add up what is asked of them;
//! where that is more than they have, VMs wait, are taken memory away, and see latency ([`contention`]).

mod contention;
mod demand;

pub(crate) use contention::packets;

use std::sync::Arc;

use super::effect::Effects;
use super::inventory::Power;
use super::time::{Tick, Time};
use super::{VmId, World};

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(usize)]
        pub(crate) enum Field { $($(#[$doc])* $name),* }
        const FIELDS: usize = [$(Field::$name),*].len();
    };
}

fields! {
    /// MHz
    Demand, Usage,
    /// Milliseconds of all virtual CPUs in a sample of 20 s.
    Used, Ready, Costop, Swapwait,
    /// Kilobytes
    Active, Consumed, Granted, Overhead, Balloon, Swapped, Compressed, Guest,
    /// Kilobytes a second
    SwapIn, SwapOut, Read, Written,
    /// A second
    Reads, Writes,
    /// Milliseconds an operation
    ReadLatency, WriteLatency,
    /// Kilobytes a second
    Received, Sent,
    /// Packets in a sample of 20 s
    DroppedRx, DroppedTx,
    /// Seconds; the newest, not the mean
    Uptime, OsUptime,
    /// Watts
    Watts,
    /// MHz or kilobytes that the hypervisor takes for itself: hosts only.
    SystemCpu, SystemMemory,
}

/// The load of one thing. A host's is the sum of its VMs and its own; a datastore's the sum of what is on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Numbers([f64; FIELDS]);

impl Numbers {
    pub(crate) const NONE: Numbers = Numbers([0.0; FIELDS]);

    pub(crate) fn add(&mut self, other: &Numbers) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    fn divide(&mut self, by: f64) {
        for mine in &mut self.0 {
            *mine /= by;
        }
    }
}

impl std::ops::Index<Field> for Numbers {
    type Output = f64;
    fn index(&self, field: Field) -> &f64 {
        &self.0[field as usize]
    }
}

impl std::ops::IndexMut<Field> for Numbers {
    fn index_mut(&mut self, field: Field) -> &mut f64 {
        &mut self.0[field as usize]
    }
}

/// The load of a VM that was running.
#[derive(Debug, Clone)]
pub(crate) struct VmLoad {
    pub(crate) id: VmId,
    pub(crate) host: usize,
    pub(crate) numbers: Numbers,
    /// How many samples of 20 s this is the mean of.
    pub(crate) samples: f64,
}

/// The load of a host that responded, or of a datastore.
#[derive(Debug, Clone)]
pub(crate) struct SharedLoad {
    pub(crate) numbers: Numbers,
    pub(crate) samples: f64,
}

/// Everybody's load in a sample.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// By seat.
    pub(crate) vms: Vec<Option<VmLoad>>,
    pub(crate) hosts: Vec<Option<SharedLoad>>,
    pub(crate) datastores: Vec<SharedLoad>,
    /// The moment at which it ends.
    pub(crate) end: Time,
}

/// The load in a sample of 20 s.
pub(crate) fn at(world: &World, effects: &Effects, tick: Tick) -> Load {
    let end = Time::of_tick(tick);
    let mut vms = Vec::with_capacity(world.built.seats.len());
    for seat in 0..world.built.seats.len() {
        vms.push(running(world, effects, seat, tick));
    }
    contention::share(world, effects, vms, end)
}

fn running(world: &World, effects: &Effects, seat: usize, tick: Tick) -> Option<VmLoad> {
    let end = Time::of_tick(tick);
    let who = world.occupant(effects, seat, end)?;
    let (place, restarts) = world.place(effects, seat, &who, end);
    let (power, boot) = world.power(effects, seat, &who, end, &restarts);
    // What has just been switched on has no complete sample yet.
    let boot = boot.filter(|boot| *boot <= Time::of_tick(tick - 1))?;
    if power != Power::On || !place.connected {
        return None;
    }
    let numbers = demand::of(world, effects, seat, &who, tick, boot);
    Some(VmLoad { id: who.id, host: place.host, numbers, samples: 1.0 })
}

/// What a guest asks for, whoever else there is.
pub(crate) fn written_per_second(world: &World, seat: usize) -> f64 {
    demand::usually_written(world, seat) * 1024.0
}

/// The mean of consecutive samples. Who was not there the whole time counts with the samples that there are.
pub(crate) fn mean(loads: impl Iterator<Item = Load>) -> Load {
    let mut loads: Vec<Load> = loads.collect();
    let Some(mut sum) = loads.pop() else {
        return Load { vms: Vec::new(), hosts: Vec::new(), datastores: Vec::new(), end: Time(0) };
    };
    for load in &loads {
        for (mine, theirs) in sum.vms.iter_mut().zip(&load.vms) {
            if let (Some(mine), Some(theirs)) = (mine, theirs)
                && mine.id == theirs.id
            {
                let (up, os) = (mine.numbers[Field::Uptime], mine.numbers[Field::OsUptime]);
                mine.numbers.add(&theirs.numbers);
                (mine.numbers[Field::Uptime], mine.numbers[Field::OsUptime]) = (up, os);
                mine.samples += theirs.samples;
            }
        }
        for (mine, theirs) in sum.hosts.iter_mut().zip(&load.hosts) {
            if let (Some(mine), Some(theirs)) = (mine, theirs) {
                let up = mine.numbers[Field::Uptime];
                mine.numbers.add(&theirs.numbers);
                mine.numbers[Field::Uptime] = up;
                mine.samples += theirs.samples;
            }
        }
        for (mine, theirs) in sum.datastores.iter_mut().zip(&load.datastores) {
            mine.numbers.add(&theirs.numbers);
            mine.samples += theirs.samples;
        }
    }
    let divide = |numbers: &mut Numbers, by: f64| {
        let (up, os) = (numbers[Field::Uptime], numbers[Field::OsUptime]);
        numbers.divide(by);
        (numbers[Field::Uptime], numbers[Field::OsUptime]) = (up, os);
    };
    for vm in sum.vms.iter_mut().flatten() {
        divide(&mut vm.numbers, vm.samples);
    }
    for shared in sum.hosts.iter_mut().flatten().chain(&mut sum.datastores) {
        divide(&mut shared.numbers, shared.samples);
    }
    sum
}

/// How many loads are kept: more than a client asks for in one breath, and few enough to stay small (about 1.5 MB each
/// at 5,000 VMs).
const KEPT: usize = 24;

/// Loads that were just computed: a client asks for the same samples in many calls.
#[derive(Debug, Default)]
pub(crate) struct Kept(Vec<((i64, i64), Arc<Load>)>);

impl Kept {
    pub(crate) fn get(&mut self, key: (i64, i64)) -> Option<Arc<Load>> {
        let place = self.0.iter().position(|(found, _)| *found == key)?;
        let found = self.0.remove(place);
        let load = found.1.clone();
        self.0.push(found);
        Some(load)
    }

    pub(crate) fn put(&mut self, key: (i64, i64), load: Arc<Load>) {
        if self.0.len() >= KEPT {
            self.0.remove(0);
        }
        self.0.push((key, load));
    }
}
