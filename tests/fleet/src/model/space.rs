//! Space: what disks, snapshots and other files take. Everything grows by formula, so any moment can be asked for.

use super::effect::ramp;
use super::inventory::{Datastore, Disk, Inventory, Power, Snapshot, Vm};
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
        let Some(seat) = self.world.seat_of(vm.id) else {
            return VmSpace { datastores: Vec::new(), disks: Vec::new(), snapshots: Vec::new() };
        };
        let of_disk = |(nth, disk): (usize, &Disk)| used(self.world.noise, seat as u64, nth, disk.capacity, at);
        let disks: Vec<u64> = vm.config.disks.iter().enumerate().map(of_disk).collect();
        let capacity: u64 = vm.config.disks.iter().map(|disk| disk.capacity).sum();
        let written = written_per_second(&self.world, seat);
        // A snapshot that came with its VM was small when it came.
        let of_snapshot = |taken: &Snapshot| snapshot(capacity, written, at.since(taken.created));
        let snapshots: Vec<u64> = vm.snapshots.iter().map(of_snapshot).collect();
        let mut datastores: Vec<(DatastoreId, u64, u64)> = Vec::new();
        for (disk, used) in vm.config.disks.iter().zip(&disks) {
            let place = datastores.iter().position(|(id, _, _)| *id == disk.datastore).unwrap_or_else(|| {
                datastores.push((disk.datastore, 0, 0));
                datastores.len() - 1
            });
            datastores[place].1 += used;
            datastores[place].2 += disk.capacity.saturating_sub(*used);
        }
        if let Some(first) = datastores.first_mut() {
            first.1 += snapshots.iter().sum::<u64>();
            if vm.power == Power::On {
                first.1 += (u64::from(vm.config.memory_mb) - u64::from(vm.config.memory_reservation_mb)) << 20;
            }
        }
        VmSpace { datastores, disks, snapshots }
    }

    /// Bytes in use of each datastore, by the order in the estate.
    pub fn space_used(&self, inventory: &Inventory) -> Vec<u64> {
        let estate = self.estate();
        let mut used: Vec<u64> = estate.datastores.iter().map(other_files).collect();
        for vm in &inventory.vms {
            for (id, committed, _) in self.vm_space(vm, inventory.at).datastores {
                if let Some(place) = estate.datastore_place(id) {
                    used[place] += committed;
                }
            }
        }
        for (place, used) in used.iter_mut().enumerate() {
            *used = self.filled(place, *used, inventory.at);
        }
        used
    }

    /// Bytes in use of a datastore at a moment.
    pub fn datastore_used(&self, id: DatastoreId, at: Time) -> u64 {
        let Some(place) = self.estate().datastore_place(id) else { return 0 };
        let vms = self.vms_on(place, at);
        let of_vm = |vm: &Vm| self.committed(vm, id, at).0;
        let used = other_files(&self.estate().datastores[place]) + vms.iter().map(of_vm).sum::<u64>();
        self.filled(place, used, at)
    }

    /// Bytes that a datastore would take if all thin disks were full.
    pub fn datastore_provisioned(&self, id: DatastoreId, at: Time) -> u64 {
        let Some(place) = self.estate().datastore_place(id) else { return 0 };
        let more: u64 = self.vms_on(place, at).iter().map(|vm| self.committed(vm, id, at).1).sum();
        self.datastore_used(id, at) + more
    }

    fn vms_on(&self, datastore: usize, at: Time) -> Vec<Vm> {
        let seats = self.world.built.seats.iter().enumerate();
        let here = seats.filter(|(_, seat)| seat.datastores.contains(&datastore));
        here.filter_map(|(seat, _)| self.world.vm_at(&self.effects, seat, at)).collect()
    }

    fn committed(&self, vm: &Vm, id: DatastoreId, at: Time) -> (u64, u64) {
        let found = self.vm_space(vm, at).datastores.into_iter().find(|(datastore, _, _)| *datastore == id);
        found.map_or((0, 0), |(_, committed, uncommitted)| (committed, uncommitted))
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
