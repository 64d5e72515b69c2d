//! Space: what disks, snapshots and other files take. Everything grows by formula, so any moment can be asked for.

use super::effect::ramp;
use super::inventory::{Datastore, Inventory, Power, Snapshot, Vm};
use super::load::written_per_second;
use super::noise::{Noise, What};
use super::time::{DAY, Time};
use super::{DatastoreId, Model};

/// Part of a disk that fills up in the course of a month, before somebody cleans up.
const MONTHLY: f64 = 0.08;
const MONTH: i64 = 30 * DAY;

/// Part of a disk that is in use right after a clean-up.
fn base(noise: Noise, seat: u64, disk: usize) -> f64 {
    noise.between(What::Growth, seat, disk as i64 * 2, 0.3, 0.65)
}

/// Bytes that the guest's files take on a disk, which is what a thin disk takes in its datastore.
pub(crate) fn used(noise: Noise, seat: u64, disk: usize, capacity: u64, at: Time) -> u64 {
    let phase = noise.below(What::Growth, seat, disk as i64 * 2 + 1, MONTH as u64) as i64;
    let month = (at.0 + phase).rem_euclid(MONTH) as f64 / MONTH as f64;
    (capacity as f64 * (base(noise, seat, disk) + MONTHLY * month)) as u64
}

/// The most that [`used`] ever is.
pub(crate) fn most_used(noise: Noise, seat: u64, disk: usize, capacity: u64) -> u64 {
    (capacity as f64 * (base(noise, seat, disk) + MONTHLY)) as u64
}

/// Bytes that a snapshot's delta disks take: what was written since, until all that is ever written is in it.
pub(crate) fn snapshot(disks: u64, written_per_second: f64, age: i64) -> u64 {
    let most = disks as f64 * 0.6;
    let written = written_per_second * (age.max(0) as f64 / 1000.0) * 0.1;
    // A delta disk starts with its metadata.
    (most * written / (most + written)) as u64 + (16 << 20)
}

/// What a VM takes in its datastores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmSpace {
    /// `storage.perDatastoreUsage`: datastore, `committed` and `uncommitted`, bytes.
    pub datastores: Vec<(DatastoreId, u64, u64)>,
    /// Bytes of each disk's own files, by the order of the disks; snapshots are not in it.
    pub disks: Vec<u64>,
    /// Bytes of each snapshot's delta disks, by the order of the snapshots.
    pub snapshots: Vec<u64>,
}

impl Model {
    /// What a VM takes in its datastores. Committed is what is written (disks, snapshots, and the swap file of a VM that
    /// runs), uncommitted what thin disks may still grow by.
    pub fn vm_space(&self, vm: &Vm, at: Time) -> VmSpace {
        match self.world.seat_of(vm.id) {
            Some(seat) => self.seat_space(seat, vm.power, &vm.snapshots, at),
            None => VmSpace { datastores: Vec::new(), disks: Vec::new(), snapshots: Vec::new() },
        }
    }

    fn seat_space(&self, seat: usize, power: Power, snapshots: &[Snapshot], at: Time) -> VmSpace {
        let mine = &self.world.built.seats[seat];
        let capacities: Vec<u64> = mine.disks_gib.iter().map(|gib| gib << 30).collect();
        let of_disk = |(nth, capacity): (usize, &u64)| used(self.world.noise, seat as u64, nth, *capacity, at);
        let disks: Vec<u64> = capacities.iter().enumerate().map(of_disk).collect();
        let written = written_per_second(&self.world, seat);
        let of_snapshot = |taken: &Snapshot| snapshot(capacities.iter().sum(), written, at.since(taken.created));
        let snapshots: Vec<u64> = snapshots.iter().map(of_snapshot).collect();
        let mut datastores: Vec<(DatastoreId, u64, u64)> = Vec::new();
        for ((place, used), capacity) in mine.datastores.iter().zip(&disks).zip(&capacities) {
            let id = self.estate().datastores[*place].id;
            let found = datastores.iter().position(|(known, _, _)| *known == id).unwrap_or_else(|| {
                datastores.push((id, 0, 0));
                datastores.len() - 1
            });
            datastores[found].1 += used;
            datastores[found].2 += capacity.saturating_sub(*used);
        }
        if let Some(first) = datastores.first_mut() {
            first.1 += snapshots.iter().sum::<u64>();
            if power == Power::On {
                let reserved = self.world.configs[seat].memory_reservation_mb;
                first.1 += u64::from(mine.memory_mb - reserved) << 20;
            }
        }
        VmSpace { datastores, disks, snapshots }
    }

    /// Bytes in use of each datastore, by the order in the estate, at a moment until which nothing changed in the
    /// inventory: files grow all the same.
    pub fn space_used(&self, inventory: &Inventory, at: Time) -> Vec<u64> {
        let estate = self.estate();
        let mut used: Vec<u64> = estate.datastores.iter().map(other_files).collect();
        for vm in &inventory.vms {
            for (id, committed, _) in self.vm_space(vm, at).datastores {
                if let Some(place) = estate.datastore_place(id) {
                    used[place] += committed;
                }
            }
        }
        for (place, used) in used.iter_mut().enumerate() {
            *used = self.filled(place, *used, at);
        }
        used
    }

    /// Bytes in use of a datastore at a moment.
    pub fn datastore_used(&self, id: DatastoreId, at: Time) -> u64 {
        self.datastore_space(id, at).0
    }

    /// Bytes that a datastore would take if all thin disks were full.
    pub fn datastore_provisioned(&self, id: DatastoreId, at: Time) -> u64 {
        let (used, uncommitted) = self.datastore_space(id, at);
        used + uncommitted
    }

    fn datastore_space(&self, id: DatastoreId, at: Time) -> (u64, u64) {
        let Some(place) = self.estate().datastore_place(id) else { return (0, 0) };
        let (mut used, mut uncommitted) = (other_files(&self.estate().datastores[place]), 0);
        for seat in self.world.built.seats_on[place].iter().copied() {
            let Some(who) = self.world.occupant(&self.effects, seat, at) else { continue };
            let (power, _) = self.world.power(&self.effects, seat, &who, at, &[]);
            let snapshots = self.world.snapshots(&self.effects, seat, &who, at);
            let space = self.seat_space(seat, power, &snapshots, at);
            for (_, committed, more) in space.datastores.iter().filter(|(datastore, _, _)| *datastore == id) {
                used += committed;
                uncommitted += more;
            }
        }
        (self.filled(place, used, at), uncommitted)
    }

    /// What events make of the space in use. Something always stays free: VMFS keeps it for itself.
    fn filled(&self, place: usize, used: u64, at: Time) -> u64 {
        let capacity = self.estate().datastores[place].capacity;
        let fills = self.effects.fills.iter().filter(|fill| fill.datastore == place && fill.span.holds(at));
        let filled = fills.fold(used, |used, fill| {
            let most = (capacity as f64 * fill.to) as u64;
            let part = ramp(at.since(fill.span.from), fill.within);
            used + (most.saturating_sub(used) as f64 * part) as u64
        });
        filled.min(capacity - capacity / 500)
    }
}

/// What is not of VMs: images and templates on a share, logs and scratch space on a local datastore.
fn other_files(datastore: &Datastore) -> u64 {
    match (datastore.kind, datastore.local_to) {
        ("NFS", _) => datastore.capacity * 55 / 100,
        (_, Some(_)) => datastore.capacity / 10,
        _ => 2 << 30,
    }
}
