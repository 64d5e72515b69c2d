//! Numbers that move with the load: quick stats, space, file systems. They come from the newest samples, so that what
//! a client reads as a property agrees with what it reads as performance data.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::model::{Cluster, Counter, Datastore, Entity, Host, Vm, VmId, VmSpace};
use crate::soap::{Value, list, record};

use super::samples::{Window, series};
use super::{Cx, Moment, Path};

/// What was computed for a moment, kept until the next sample.
#[derive(Default)]
pub(crate) struct Cache {
    newest: Mutex<HashMap<Entity, Arc<Newest>>>,
    space: OnceLock<Space>,
}

/// The newest value of each counter of an entity as a whole.
type Newest = HashMap<Counter, i64>;

impl Cx<'_> {
    fn newest(&self, entity: Entity) -> Arc<Newest> {
        let cache = &self.moment.live.newest;
        if let Some(found) = cache.lock().unwrap_or_else(PoisonError::into_inner).get(&entity) {
            return found.clone();
        }
        let at = self.moment.at;
        let window = match entity {
            Entity::Vm(_) | Entity::Host(_) | Entity::Pool(_) => Window::newest(at, 1),
            Entity::Cluster(_) | Entity::Datastore(_) => Window::historical(crate::model::Time(at.0 - 300_000), at),
        };
        let found = series(self, entity, &window, None);
        let whole = found.iter().filter(|series| series.instance.is_empty());
        let newest = whole.filter_map(|series| Some((series.counter, *series.values.last()?)));
        let newest: Arc<Newest> = Arc::new(newest.filter(|(_, value)| *value >= 0).collect());
        cache.lock().unwrap_or_else(PoisonError::into_inner).insert(entity, newest.clone());
        newest
    }

    pub(crate) fn vm_quick_stats(&self, vm: &Vm, heartbeat: &'static str, path: Path<'_>) -> Option<Value> {
        let newest = self.newest(Entity::Vm(vm.id));
        let get = |counter: Counter| newest.get(&counter).copied();
        let megabytes = |counter: Counter| Some(get(counter)? / 1024);
        path.record("VirtualMachineQuickStats", |f| {
            // A VM that is off has zeros here, not nothing.
            f.set("overallCpuUsage", || get(Counter::CpuUsageMhz).unwrap_or(0));
            f.set("overallCpuDemand", || get(Counter::CpuDemand).unwrap_or(0));
            f.maybe("overallCpuReadiness", || get(Counter::CpuReadiness));
            f.set("guestMemoryUsage", || megabytes(Counter::MemActive).unwrap_or(0));
            f.set("hostMemoryUsage", || megabytes(Counter::MemConsumed).unwrap_or(0));
            f.set("guestHeartbeatStatus", || heartbeat);
            f.set("grantedMemory", || megabytes(Counter::MemGranted).unwrap_or(0));
            f.maybe("privateMemory", || Some((get(Counter::MemGranted)? - get(Counter::MemShared)?).max(0) / 1024));
            f.set("sharedMemory", || megabytes(Counter::MemShared).unwrap_or(0));
            f.set("swappedMemory", || megabytes(Counter::MemSwapped).unwrap_or(0));
            f.set("balloonedMemory", || megabytes(Counter::MemVmmemctl).unwrap_or(0));
            f.set("consumedOverheadMemory", || megabytes(Counter::MemOverhead).unwrap_or(0));
            f.set("compressedMemory", || get(Counter::MemCompressed).unwrap_or(0));
            f.maybe("uptimeSeconds", || get(Counter::SysUptime));
            f.maybe("activeMemory", || megabytes(Counter::MemActive));
        })
    }

    pub(crate) fn host_quick_stats(&self, host: &Host, path: Path<'_>) -> Option<Value> {
        let newest = self.newest(Entity::Host(host.id));
        path.record("HostListSummaryQuickStats", |f| {
            f.maybe("overallCpuUsage", || newest.get(&Counter::CpuUsageMhz).copied());
            f.maybe("overallMemoryUsage", || newest.get(&Counter::MemConsumed).map(|kilobytes| kilobytes / 1024));
            f.maybe("uptime", || newest.get(&Counter::SysUptime).copied());
        })
    }

    fn sum(&self, vms: &[VmId], counter: Counter) -> u64 {
        let values = vms.iter().filter_map(|id| self.newest(Entity::Vm(*id)).get(&counter).copied());
        values.map(|value| u64::try_from(value).unwrap_or(0)).sum()
    }

    pub(crate) fn pool_quick_stats(&self, vms: &[VmId], path: Path<'_>) -> Option<Value> {
        let megabytes = |counter| self.sum(vms, counter) / 1024;
        path.record("ResourcePoolQuickStats", |f| {
            f.set("overallCpuUsage", || self.sum(vms, Counter::CpuUsageMhz));
            f.set("overallCpuDemand", || self.sum(vms, Counter::CpuDemand));
            f.set("guestMemoryUsage", || megabytes(Counter::MemActive));
            f.set("hostMemoryUsage", || megabytes(Counter::MemConsumed));
            f.set("sharedMemory", || megabytes(Counter::MemShared));
            f.set("swappedMemory", || megabytes(Counter::MemSwapped));
            f.set("balloonedMemory", || megabytes(Counter::MemVmmemctl));
            f.set("consumedOverheadMemory", || megabytes(Counter::MemOverhead));
            f.set("compressedMemory", || self.sum(vms, Counter::MemCompressed));
        })
    }

    /// CPU in MHz and memory in bytes that VMs take.
    pub(crate) fn pool_use(&self, vms: &[VmId]) -> (u64, u64) {
        (self.sum(vms, Counter::CpuUsageMhz), self.sum(vms, Counter::MemConsumed) * 1024)
    }

    /// CPU in MHz and memory in MB that the VMs of a cluster ask for.
    pub(crate) fn cluster_demand(&self, cluster: &Cluster) -> (u64, u64) {
        let vms: Vec<VmId> = cluster.hosts.iter().flat_map(|id| self.relations().vms_on(*id)).copied().collect();
        (self.sum(&vms, Counter::CpuDemand), self.sum(&vms, Counter::MemActive) / 1024)
    }
}

/// Space of all datastores, by their place in the estate, in bytes.
pub(crate) struct Space {
    used: Vec<u64>,
    uncommitted: Vec<u64>,
}

impl Cx<'_> {
    fn space(&self) -> &Space {
        let Moment { model, inventory, at, .. } = self.moment;
        self.moment.live.space.get_or_init(|| {
            let mut uncommitted = vec![0; inventory.estate.datastores.len()];
            for (id, _, more) in inventory.vms.iter().flat_map(|vm| model.vm_space(vm, *at).datastores) {
                if let Some(place) = inventory.estate.datastore_place(id) {
                    uncommitted[place] += more;
                }
            }
            Space { used: model.space_used(inventory, *at), uncommitted }
        })
    }

    pub(crate) fn free_space(&self, datastore: &Datastore) -> u64 {
        let place = self.moment.inventory.estate.datastore_place(datastore.id);
        let used = place.and_then(|place| self.space().used.get(place));
        datastore.capacity.saturating_sub(used.copied().unwrap_or_default())
    }

    pub(crate) fn uncommitted(&self, datastore: &Datastore) -> u64 {
        let place = self.moment.inventory.estate.datastore_place(datastore.id);
        place.and_then(|place| self.space().uncommitted.get(place)).copied().unwrap_or_default()
    }

    pub(crate) fn vm_space(&self, vm: &Vm) -> VmSpace {
        self.moment.model.vm_space(vm, self.moment.at)
    }

    /// What the tools tell of the guest's file systems.
    pub(crate) fn guest_disks(&self, vm: &Vm) -> Value {
        let guest = self.moment.model.guest(vm, self.moment.at);
        list(guest.into_iter().flat_map(|guest| guest.file_systems).map(|found| {
            record("")
                .with("diskPath", found.mount)
                .with("capacity", found.capacity)
                .with("freeSpace", found.free)
                .with("filesystemType", found.kind)
        }))
    }
}
