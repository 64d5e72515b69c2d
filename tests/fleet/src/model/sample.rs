//! Samples: loads in vSphere's counters, units and instances.

mod host;
mod vm;

use std::ops::Range;
use std::sync::Arc;

use super::load::{Field, Load, Numbers};
use super::{
    COUNTERS, ClusterId, Counter, DatastoreId, Entity, HostId, Instances, Inventory, Model, PoolId, Rollup, VmId,
};

/// Samples of an entity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Samples {
    /// One for each counter and instance.
    pub series: Vec<Series>,
}

/// Samples of a counter of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// The counter.
    pub counter: Counter,
    /// Empty for the entity as a whole.
    pub instance: String,
    /// In the order of time; -1 where there was no sample.
    pub values: Vec<i64>,
}

/// One of the instances of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Instance {
    kind: Instances,
    /// Its place among those of its kind.
    nth: usize,
}

pub(super) fn of(
    model: &Model,
    inventory: &Inventory,
    entity: Entity,
    samples: Range<i64>,
    counters: Option<&[Counter]>,
    load: impl Fn(i64) -> Arc<Load>,
) -> Samples {
    let mut series = Vec::new();
    let mut instances = Vec::new();
    for info in COUNTERS {
        if counters.is_some_and(|counters| !counters.contains(&info.counter)) {
            continue;
        }
        for kind in info.instances(entity) {
            for (nth, instance) in names(model, inventory, entity, *kind).into_iter().enumerate() {
                series.push(Series { counter: info.counter, instance, values: Vec::new() });
                instances.push(Instance { kind: *kind, nth });
            }
        }
    }
    for sample in samples {
        let load = load(sample);
        let reader = Reader { model, load: &load };
        let Some(source) = reader.source(entity) else {
            series.iter_mut().for_each(|series| series.values.push(-1));
            continue;
        };
        for (series, instance) in series.iter_mut().zip(&instances) {
            let value = reader.value(&source, series.counter, *instance);
            series.values.push(value.map_or(-1, |value| (value.max(0.0) + 0.5) as i64));
        }
    }
    Samples { series }
}

fn names(model: &Model, inventory: &Inventory, entity: Entity, kind: Instances) -> Vec<String> {
    let estate = &inventory.estate;
    let numbered = |count: u32| (0..count).map(|n| n.to_string()).collect();
    let of_datastores = |ids: Vec<DatastoreId>, name: fn(&super::Datastore) -> Option<String>| {
        ids.into_iter().filter_map(|id| name(estate.datastore(id)?)).collect()
    };
    match (kind, entity) {
        (Instances::Whole, _) => vec![String::new()],
        (kind, Entity::Vm(id)) => {
            let Some(vm) = inventory.vm(id) else { return Vec::new() };
            match kind {
                Instances::Vcpu => numbered(vm.config.vcpus),
                Instances::VirtualDisk => vm.config.disks.iter().map(|disk| disk.instance.clone()).collect(),
                Instances::Nic => vm.config.nics.iter().map(|nic| nic.key.to_string()).collect(),
                Instances::Datastore => {
                    of_datastores(model.world.datastores_of(id), |datastore| Some(datastore.uuid.clone()))
                }
                Instances::Lun => of_datastores(model.world.datastores_of(id), |datastore| datastore.lun.clone()),
                _ => Vec::new(),
            }
        }
        (kind, Entity::Host(id)) => {
            let Some(host) = estate.host(id) else { return Vec::new() };
            match kind {
                Instances::Core => numbered(host.cores),
                Instances::Pnic => host.pnics.iter().map(|pnic| pnic.device.clone()).collect(),
                Instances::Datastore => {
                    of_datastores(host.datastores.clone(), |datastore| Some(datastore.uuid.clone()))
                }
                Instances::Lun => host.luns.iter().map(|(_, lun)| lun.clone()).collect(),
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

/// Where an entity's numbers come from in one sample.
enum Source<'a> {
    Vm {
        id: VmId,
        seat: usize,
        numbers: &'a Numbers,
        samples: f64,
    },
    Host {
        place: usize,
        numbers: &'a Numbers,
        samples: f64,
    },
    /// Sums over VMs and, for clusters, hosts.
    Cluster {
        id: ClusterId,
        numbers: Numbers,
    },
    Pool {
        numbers: Numbers,
    },
    Datastore {
        place: usize,
        numbers: &'a Numbers,
    },
}

struct Reader<'a> {
    model: &'a Model,
    load: &'a Load,
}

impl<'a> Reader<'a> {
    fn source(&self, entity: Entity) -> Option<Source<'a>> {
        let world = &self.model.world;
        match entity {
            Entity::Vm(id) => {
                let seat = world.seat_of(id)?;
                let vm = self.load.vms.get(seat)?.as_ref().filter(|vm| vm.id == id)?;
                Some(Source::Vm { id, seat, numbers: &vm.numbers, samples: vm.samples })
            }
            Entity::Host(id) => {
                let place = self.host_place(id)?;
                let host = self.load.hosts.get(place)?.as_ref()?;
                Some(Source::Host { place, numbers: &host.numbers, samples: host.samples })
            }
            Entity::Cluster(id) => {
                let place = self.model.estate().clusters.iter().position(|cluster| cluster.id == id)?;
                let mut numbers = Numbers::NONE;
                for host in &world.built.hosts_of[place] {
                    if let Some(host) = self.load.hosts.get(*host)?.as_ref() {
                        numbers.add(&host.numbers);
                    }
                }
                Some(Source::Cluster { id, numbers })
            }
            Entity::Pool(id) => Some(Source::Pool { numbers: self.pool(id)? }),
            Entity::Datastore(id) => {
                let place = self.model.estate().datastore_place(id)?;
                Some(Source::Datastore { place, numbers: &self.load.datastores.get(place)?.numbers })
            }
        }
    }

    fn host_place(&self, id: HostId) -> Option<usize> {
        self.model.estate().host_place(id)
    }

    /// The VMs of a pool; a root pool has all of its cluster.
    fn pool(&self, id: PoolId) -> Option<Numbers> {
        let (world, estate) = (&self.model.world, self.model.estate());
        let pool = estate.pool(id)?;
        let cluster = estate.clusters.iter().position(|cluster| cluster.id == pool.cluster)?;
        let mut numbers = Numbers::NONE;
        for (seat, vm) in self.load.vms.iter().enumerate() {
            let mine = &world.built.seats[seat];
            if mine.cluster != cluster {
                continue;
            }
            let member = pool.parent.is_none() || world.configs[seat].pool == Some(id);
            if let Some(vm) = vm.as_ref().filter(|_| member) {
                numbers.add(&vm.numbers);
            }
        }
        Some(numbers)
    }

    fn value(&self, source: &Source<'_>, counter: Counter, instance: Instance) -> Option<f64> {
        match source {
            Source::Vm { id, seat, numbers, samples } => {
                vm::value(self.model, self.load, (*id, *seat), numbers, *samples, counter, instance)
            }
            Source::Host { place, numbers, samples } => {
                host::value(self.model, self.load, *place, numbers, *samples, counter, instance)
            }
            Source::Cluster { id, numbers } => self.cluster(*id, numbers, counter),
            Source::Pool { numbers } => pool(numbers, counter),
            Source::Datastore { place, numbers } => self.datastore(*place, numbers, counter),
        }
    }

    fn cluster(&self, id: ClusterId, numbers: &Numbers, counter: Counter) -> Option<f64> {
        let estate = self.model.estate();
        let hosts = || {
            let there = self.load.hosts.iter().enumerate().filter(|(_, host)| host.is_some());
            there.map(|(place, _)| &estate.hosts[place]).filter(|host| host.cluster == id)
        };
        let mhz: f64 = hosts().map(|host| host.capacity_mhz()).sum();
        let kilobytes: f64 = hosts().map(|host| host.memory as f64 / 1024.0).sum();
        Some(match counter {
            Counter::CpuUsage => numbers[Field::Usage] / mhz.max(1.0) * 10_000.0,
            Counter::CpuUsageMhz => numbers[Field::Usage],
            Counter::CpuTotalMhz => mhz,
            Counter::EffectiveCpu => mhz - numbers[Field::SystemCpu],
            Counter::MemUsage => numbers[Field::Consumed] / kilobytes.max(1.0) * 10_000.0,
            Counter::MemTotalMb => kilobytes / 1024.0,
            Counter::MemReservedCapacity => self.reserved_mb(|seat| estate.clusters[seat.cluster].id == id),
            Counter::EffectiveMem => (kilobytes - numbers[Field::SystemMemory]) / 1024.0,
            Counter::MemSwapUsed => numbers[Field::Swapped],
            // Hosts that may fail before VMs would lack memory: one, as long as the rest could hold them.
            Counter::FailoverLevel => {
                let largest = hosts().map(|host| host.memory as f64 / 1024.0).fold(0.0, f64::max);
                f64::from(u8::from(numbers[Field::Consumed] < (kilobytes - largest) * 0.95))
            }
            other => return memory(numbers, other),
        })
    }

    /// Memory that running VMs have reserved, MB.
    fn reserved_mb(&self, wanted: impl Fn(&super::build::Seat) -> bool) -> f64 {
        let world = &self.model.world;
        let seats = world.built.seats.iter().enumerate().filter(|(_, seat)| wanted(seat));
        let running = seats.filter(|(seat, _)| self.load.vms[*seat].is_some());
        running.map(|(seat, _)| f64::from(world.configs[seat].memory_reservation_mb)).sum()
    }

    fn datastore(&self, place: usize, numbers: &Numbers, counter: Counter) -> Option<f64> {
        let datastore = &self.model.estate().datastores[place];
        Some(match counter {
            Counter::DatastoreRead => numbers[Field::Read],
            Counter::DatastoreWrite => numbers[Field::Written],
            Counter::DatastoreNumberReadAveraged => numbers[Field::Reads],
            Counter::DatastoreNumberWriteAveraged => numbers[Field::Writes],
            Counter::DatastoreTotalReadLatency => numbers[Field::ReadLatency],
            Counter::DatastoreTotalWriteLatency => numbers[Field::WriteLatency],
            Counter::DiskCapacity => datastore.capacity as f64 / 1024.0,
            Counter::DiskUsed => self.model.datastore_used(datastore.id, self.load.end) as f64 / 1024.0,
            Counter::DiskProvisioned => self.model.datastore_provisioned(datastore.id, self.load.end) as f64 / 1024.0,
            _ => return None,
        })
    }
}

fn pool(numbers: &Numbers, counter: Counter) -> Option<f64> {
    match counter {
        Counter::CpuUsageMhz => Some(numbers[Field::Usage]),
        Counter::MemSwapped => Some(numbers[Field::Swapped]),
        other => memory(numbers, other),
    }
}

/// Memory counters that are the same for everything, in kilobytes.
fn memory(numbers: &Numbers, counter: Counter) -> Option<f64> {
    Some(match counter {
        Counter::MemGranted => numbers[Field::Granted],
        Counter::MemActive => numbers[Field::Active],
        Counter::MemActiveWrite => numbers[Field::Active] * 0.6,
        // With large pages and salting on, as by default, hardly anything is shared.
        Counter::MemShared => numbers[Field::Granted] * 0.03,
        Counter::MemZero => numbers[Field::Granted] * 0.02,
        Counter::MemVmmemctl => numbers[Field::Balloon],
        Counter::MemConsumed => numbers[Field::Consumed],
        Counter::MemOverhead => numbers[Field::Overhead],
        Counter::MemCompressed => numbers[Field::Compressed],
        Counter::MemSwapInRate => numbers[Field::SwapIn],
        Counter::MemSwapOutRate => numbers[Field::SwapOut],
        Counter::MemSwapIn => numbers[Field::Swapped] * 0.3,
        Counter::MemSwapOut => numbers[Field::Swapped] * 1.3,
        Counter::MemCompressionRate => numbers[Field::SwapOut] * 0.2,
        Counter::MemDecompressionRate => numbers[Field::SwapIn] * 0.2,
        _ => return None,
    })
}

/// A counter has the unit of a summation when it counts within the sample: then an interval's is the sum.
fn per_interval(counter: Counter, value: f64, samples: f64) -> f64 {
    if counter.info().rollup == Rollup::Summation { value * samples } else { value }
}

#[cfg(test)]
mod tests {
    use super::super::{Size, Time};
    use super::*;

    /// A Wednesday.
    const NOON: Time = Time(1_782_302_400_000);

    #[test]
    fn every_counter_of_every_kind_of_entity_has_a_value() {
        let model = Model::new(1, Size::of(60), NOON);
        let inventory = model.inventory(NOON);
        let vm = inventory.vms.iter().find(|vm| vm.power == super::super::Power::On).unwrap();
        let cluster = &inventory.estate.clusters[0];
        let datastore = inventory.estate.datastores.iter().find(|datastore| datastore.shared).unwrap().id;
        let (vm, host, pool) = (Entity::Vm(vm.id), Entity::Host(cluster.hosts[0]), Entity::Pool(cluster.root_pool));
        for entity in [vm, host, pool, Entity::Cluster(cluster.id), Entity::Datastore(datastore)] {
            let interval = NOON.0 / 300_000;
            let samples = model.historical(&inventory, entity, interval..interval + 1);
            let wanted = COUNTERS.iter().filter(|info| !info.instances(entity).is_empty()).count();
            let mut found: Vec<Counter> = samples.series.iter().map(|series| series.counter).collect();
            found.dedup();
            assert_eq!(found.len(), wanted, "{entity:?}");
            for series in &samples.series {
                assert!(series.values[0] >= 0, "{entity:?} {} {:?}", series.counter, series.instance);
            }
        }
    }
}
