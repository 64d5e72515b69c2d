//! What happened to the structure between two moments.

use std::collections::BTreeMap;

use super::inventory::{Connection, Inventory, Power, Snapshot, TriggeredAlarm, Vm};
use super::{AlarmId, Entity, HostId, Model, Time, VmId};

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// When.
    pub at: Time,
    /// What.
    pub what: What,
}

/// What happened. Each kind says all of the new state that it touches.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A host began or ceased to respond.
    HostState {
        /// The host.
        host: HostId,
        /// Its new state.
        connection: Connection,
        /// Its new time of start.
        boot_time: Time,
    },
    /// A host entered or left maintenance mode.
    HostMaintenance {
        /// The host.
        host: HostId,
        /// Whether it is in it now.
        on: bool,
    },
    /// A VM is gone.
    VmDestroyed {
        /// As it was.
        vm: Box<Vm>,
    },
    /// A VM is new.
    VmCreated {
        /// As it is.
        vm: Box<Vm>,
    },
    /// A VM runs elsewhere.
    VmMoved {
        /// The VM.
        vm: VmId,
        /// Where it was.
        from: HostId,
        /// Where it is.
        to: HostId,
        /// Whether HA restarted it there; else it moved as it ran, by DRS.
        restarted: bool,
    },
    /// A VM's power state, or the time at which it was switched on.
    VmPower {
        /// The VM.
        vm: VmId,
        /// Before.
        from: Power,
        /// Now.
        to: Power,
        /// When it was switched on, if it is.
        boot_time: Option<Time>,
    },
    /// Whether a VM's host responds.
    VmConnection {
        /// The VM.
        vm: VmId,
        /// Whether it does.
        connected: bool,
    },
    /// A VM's snapshots.
    VmSnapshots {
        /// The VM.
        vm: VmId,
        /// Before.
        from: Vec<Snapshot>,
        /// Now.
        to: Vec<Snapshot>,
    },
    /// An alarm's state.
    AlarmState {
        /// What it is about.
        entity: Entity,
        /// The alarm.
        alarm: AlarmId,
        /// Before; none when it was green.
        from: Option<TriggeredAlarm>,
        /// Now; none when it is green.
        to: Option<TriggeredAlarm>,
    },
}

pub(super) fn between(model: &Model, after: Time, until: Time) -> Vec<Change> {
    let mut changes = Vec::new();
    hosts(model, after, until, &mut changes);
    let (world, effects) = (&model.world, &model.effects);
    let mut moments = Vec::new();
    for seat in 0..world.built.seats.len() {
        moments.clear();
        world.life_moments(effects, seat, after, until, &mut moments);
        world.place_moments(effects, seat, after, until, &mut moments);
        if moments.is_empty() {
            continue;
        }
        moments.sort_unstable();
        moments.dedup();
        let mut before = world.vm_at(effects, seat, after);
        for at in &moments {
            let now = world.vm_at(effects, seat, *at);
            vm(before.as_ref(), now.as_ref(), |what| changes.push(Change { at: *at, what }));
            before = now;
        }
    }
    alarms(model, after, until, &mut changes);
    // Stable: at the same moment hosts come first, then VMs in the order of their seats, then alarms.
    changes.sort_by_key(|change| change.at);
    changes
}

fn hosts(model: &Model, after: Time, until: Time, changes: &mut Vec<Change>) {
    let (world, effects) = (&model.world, &model.effects);
    for place in 0..world.built.estate.hosts.len() {
        let mine = effects.outages.iter().filter(|outage| outage.host == place);
        let edges = mine.flat_map(|outage| [outage.span.from, outage.entered(), outage.span.until]);
        let mut moments: Vec<Time> = edges.collect();
        moments.retain(|moment| after < *moment && *moment <= until);
        if moments.is_empty() {
            continue;
        }
        moments.sort_unstable();
        let mut before = world.host_at(effects, place, after);
        for at in moments {
            let now = world.host_at(effects, place, at);
            if (now.connection, now.boot_time) != (before.connection, before.boot_time) {
                let what = What::HostState { host: now.id, connection: now.connection, boot_time: now.boot_time };
                changes.push(Change { at, what });
            }
            if now.maintenance != before.maintenance {
                changes.push(Change { at, what: What::HostMaintenance { host: now.id, on: now.maintenance } });
            }
            before = now;
        }
    }
}

fn vm(before: Option<&Vm>, now: Option<&Vm>, mut push: impl FnMut(What)) {
    let (before, now) = match (before, now) {
        (Some(before), Some(now)) if before.id == now.id => (before, now),
        (before, now) => {
            if let Some(vm) = before {
                push(What::VmDestroyed { vm: Box::new(vm.clone()) });
            }
            if let Some(vm) = now {
                push(What::VmCreated { vm: Box::new(vm.clone()) });
            }
            return;
        }
    };
    let vm = now.id;
    if before.connected != now.connected {
        push(What::VmConnection { vm, connected: now.connected });
    }
    let booted = before.power != now.power || before.boot_time != now.boot_time;
    if before.host != now.host {
        let restarted = before.power == now.power && booted;
        push(What::VmMoved { vm, from: before.host, to: now.host, restarted });
    }
    if booted {
        push(What::VmPower { vm, from: before.power, to: now.power, boot_time: now.boot_time });
    }
    if before.snapshots != now.snapshots {
        push(What::VmSnapshots { vm, from: before.snapshots.clone(), to: now.snapshots.clone() });
    }
}

fn alarms(model: &Model, after: Time, until: Time, changes: &mut Vec<Change>) {
    let moments = model.alarm_moments(after, until);
    if moments.is_empty() {
        return;
    }
    let states = |at: Time| -> BTreeMap<(Entity, AlarmId), TriggeredAlarm> {
        model.alarms(at).into_iter().map(|state| ((state.entity, state.alarm), state)).collect()
    };
    let mut before = states(after);
    for at in moments {
        let now = states(at);
        let mut keys: Vec<&(Entity, AlarmId)> = before.keys().chain(now.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let (from, to) = (before.get(key).copied(), now.get(key).copied());
            if from != to {
                changes.push(Change { at, what: What::AlarmState { entity: key.0, alarm: key.1, from, to } });
            }
        }
        before = now;
    }
}

impl Inventory {
    /// Takes in what happened until a moment.
    pub fn apply(&mut self, changes: &[Change], until: Time) {
        for change in changes {
            match &change.what {
                What::HostState { host, connection, boot_time } => {
                    if let Some(host) = self.hosts.iter_mut().find(|found| found.id == *host) {
                        (host.connection, host.boot_time) = (*connection, *boot_time);
                    }
                }
                What::HostMaintenance { host, on } => {
                    if let Some(host) = self.hosts.iter_mut().find(|found| found.id == *host) {
                        host.maintenance = *on;
                    }
                }
                What::VmDestroyed { vm } => self.vms.retain(|found| found.id != vm.id),
                What::VmCreated { vm } => {
                    let place = self.vms.partition_point(|found| found.id < vm.id);
                    self.vms.insert(place, (**vm).clone());
                }
                What::VmMoved { vm, to, .. } => self.of(*vm, |vm| vm.host = *to),
                What::VmPower { vm, to, boot_time, .. } => {
                    self.of(*vm, |vm| (vm.power, vm.boot_time) = (*to, *boot_time));
                }
                What::VmConnection { vm, connected } => self.of(*vm, |vm| vm.connected = *connected),
                What::VmSnapshots { vm, to, .. } => self.of(*vm, |vm| vm.snapshots.clone_from(to)),
                What::AlarmState { entity, alarm, to, .. } => {
                    self.alarms.retain(|state| (state.entity, state.alarm) != (*entity, *alarm));
                    self.alarms.extend(to);
                    self.alarms.sort_by_key(|state| (state.entity, state.alarm));
                }
            }
        }
        self.at = until;
    }

    fn of(&mut self, id: VmId, change: impl FnOnce(&mut Vm)) {
        if let Ok(place) = self.vms.binary_search_by_key(&id, |vm| vm.id) {
            change(&mut self.vms[place]);
        }
    }
}
