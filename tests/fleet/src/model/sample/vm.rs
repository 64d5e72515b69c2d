//! Counters of a VM.

use super::{Instance, memory, per_interval};
use crate::model::load::{Field, Load, Numbers, packets};
use crate::model::noise::What;
use crate::model::{Counter, DatastoreId, Instances, Model, VmId, World};

/// Milliseconds of a virtual CPU in a sample.
const SAMPLE: f64 = 20_000.0;

pub(super) fn value(
    model: &Model,
    load: &Load,
    (id, seat): (VmId, usize),
    numbers: &Numbers,
    samples: f64,
    counter: Counter,
    instance: Instance,
) -> Option<f64> {
    let world = &model.world;
    let part = part(world, (id, seat), instance);
    let mine = &world.built.seats[seat];
    let vcpus = f64::from(mine.vcpus);
    let capacity = vcpus * world.core_mhz(seat);
    let memory_kb = f64::from(mine.memory_mb) * 1024.0;
    let all = vcpus * SAMPLE;
    let waits = || all - numbers[Field::Used] - numbers[Field::Ready] - numbers[Field::Costop];
    // A virtual CPU has its own time; what is not used, ready or stopped in it is waiting.
    let own_time = if instance.kind == Instances::Vcpu { SAMPLE } else { all };
    let own = |field: Field| numbers[field] * part;
    let own_wait = || (own_time - own(Field::Used) - own(Field::Ready) - own(Field::Costop)).max(0.0);
    let latency = |field: Field| {
        let datastore = match instance.kind {
            Instances::VirtualDisk => mine.datastores.get(instance.nth).copied(),
            _ => world.datastore_places(seat).get(instance.nth).copied(),
        };
        datastore.and_then(|place| load.datastores.get(place)).map_or(numbers[field], |load| load.numbers[field])
    };
    let value = match counter {
        Counter::CpuUsage => numbers[Field::Usage] / capacity * 10_000.0,
        Counter::CpuUsageMhz => own(Field::Usage),
        Counter::CpuDemand => numbers[Field::Demand],
        Counter::CpuEntitlement => numbers[Field::Demand].max(capacity * 0.02),
        Counter::CpuReadiness => own(Field::Ready) / own_time * 10_000.0,
        Counter::CpuLatency => (numbers[Field::Ready] + numbers[Field::Costop]) / all * 10_000.0,
        Counter::CpuReady => own(Field::Ready),
        Counter::CpuCostop => own(Field::Costop),
        Counter::CpuSwapwait => own(Field::Swapwait),
        Counter::CpuUsed => own(Field::Used),
        Counter::CpuRun => own(Field::Used) * 0.99,
        Counter::CpuSystem => own(Field::Used) * 0.01,
        Counter::CpuOverlap => own(Field::Used) * 0.004,
        // There are no limits.
        Counter::CpuMaxlimited => 0.0,
        Counter::CpuWait => own_wait(),
        Counter::CpuIdle => (own_wait() - own(Field::Swapwait)).min(waits().max(0.0)).max(0.0),
        Counter::MemUsage => numbers[Field::Active] / memory_kb * 10_000.0,
        Counter::MemSwapped => numbers[Field::Swapped],
        Counter::MemSwapTarget => numbers[Field::Swapped],
        Counter::MemVmmemctlTarget => numbers[Field::Balloon],
        Counter::MemEntitlement => (numbers[Field::Active] * 1.25).min(memory_kb),
        Counter::MemLatency => numbers[Field::Swapwait] / all * 10_000.0,
        Counter::DiskUsage => numbers[Field::Read] + numbers[Field::Written],
        Counter::DiskRead | Counter::VirtualDiskRead | Counter::DatastoreRead => own(Field::Read),
        Counter::DiskWrite | Counter::VirtualDiskWrite | Counter::DatastoreWrite => own(Field::Written),
        Counter::DiskNumberReadAveraged
        | Counter::VirtualDiskNumberReadAveraged
        | Counter::DatastoreNumberReadAveraged => own(Field::Reads),
        Counter::DiskNumberWriteAveraged
        | Counter::VirtualDiskNumberWriteAveraged
        | Counter::DatastoreNumberWriteAveraged => own(Field::Writes),
        Counter::DiskNumberRead => own(Field::Reads) * 20.0,
        Counter::DiskNumberWrite => own(Field::Writes) * 20.0,
        Counter::DiskCommands => (own(Field::Reads) + own(Field::Writes)) * 20.0,
        Counter::DiskCommandsAborted | Counter::DiskBusResets => 0.0,
        Counter::DiskMaxTotalLatency | Counter::DatastoreMaxTotalLatency => {
            // The highest of the operations of a sample, not their mean.
            numbers[Field::ReadLatency].max(numbers[Field::WriteLatency]) * 1.6
        }
        Counter::VirtualDiskTotalReadLatency | Counter::DatastoreTotalReadLatency => latency(Field::ReadLatency),
        Counter::VirtualDiskTotalWriteLatency | Counter::DatastoreTotalWriteLatency => latency(Field::WriteLatency),
        Counter::VirtualDiskReadLatencyUs => latency(Field::ReadLatency) * 1000.0,
        Counter::VirtualDiskWriteLatencyUs => latency(Field::WriteLatency) * 1000.0,
        // Little's law: what is under way is rate times duration.
        Counter::VirtualDiskReadOio => own(Field::Reads) * latency(Field::ReadLatency) / 1000.0,
        Counter::VirtualDiskWriteOio => own(Field::Writes) * latency(Field::WriteLatency) / 1000.0,
        Counter::NetUsage => own(Field::Received) + own(Field::Sent),
        Counter::NetReceived | Counter::NetBytesRx => own(Field::Received),
        Counter::NetTransmitted | Counter::NetBytesTx => own(Field::Sent),
        Counter::NetPacketsRx => packets(own(Field::Received), SAMPLE),
        Counter::NetPacketsTx => packets(own(Field::Sent), SAMPLE),
        Counter::NetDroppedRx => own(Field::DroppedRx),
        Counter::NetDroppedTx => own(Field::DroppedTx),
        Counter::SysUptime => numbers[Field::Uptime],
        Counter::SysOsUptime => numbers[Field::OsUptime],
        // The tools beat once a second.
        Counter::SysHeartbeat => {
            if mine.tools {
                20.0
            } else {
                0.0
            }
        }
        Counter::Power => numbers[Field::Watts],
        Counter::PowerEnergy => numbers[Field::Watts] * 20.0,
        other => memory(numbers, other)?,
    };
    Some(per_interval(counter, value, samples))
}

/// Which part of the whole an instance has.
fn part(world: &World, (id, seat): (VmId, usize), instance: Instance) -> f64 {
    let mine = &world.built.seats[seat];
    let nth = instance.nth;
    match instance.kind {
        Instances::Vcpu => {
            let weight = |vcpu: u32| 0.85 + 0.3 * world.noise.unit(What::Vcpu, u64::from(id.0), i64::from(vcpu));
            let sum: f64 = (0..mine.vcpus).map(weight).sum();
            weight(nth as u32) / sum
        }
        Instances::VirtualDisk => world.disk_part(seat, nth),
        Instances::Datastore | Instances::Lun => {
            let Some(place) = world.datastore_places(seat).get(nth).copied() else { return 0.0 };
            let on = mine.datastores.iter().enumerate().filter(|(_, datastore)| **datastore == place);
            on.map(|(disk, _)| world.disk_part(seat, disk)).sum()
        }
        Instances::Nic => match (world.configs[seat].nics.len(), nth) {
            (1, _) => 1.0,
            (_, 0) => 0.8,
            (n, _) => 0.2 / (n - 1) as f64,
        },
        _ => 1.0,
    }
}

impl World {
    /// Places of the datastores that hold the disks of a seat, each once.
    pub(crate) fn datastore_places(&self, seat: usize) -> Vec<usize> {
        let mut places = self.built.seats[seat].datastores.clone();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// The same for a VM, by id.
    pub(crate) fn datastores_of(&self, id: VmId) -> Vec<DatastoreId> {
        let places = self.seat_of(id).map(|seat| self.datastore_places(seat)).unwrap_or_default();
        places.into_iter().map(|place| self.built.estate.datastores[place].id).collect()
    }
}
