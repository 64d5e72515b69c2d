//! Counters of a host.

use super::{Instance, memory, per_interval};
use crate::model::load::{Field, Load, Numbers, packets};
use crate::model::{Counter, Instances, Model};

/// Milliseconds of a core in a sample.
const SAMPLE: f64 = 20_000.0;

pub(super) fn value(
    model: &Model,
    load: &Load,
    place: usize,
    numbers: &Numbers,
    samples: f64,
    counter: Counter,
    instance: Instance,
) -> Option<f64> {
    let (world, host) = (&model.world, &model.estate().hosts[place]);
    let capacity = host.capacity_mhz();
    let memory_kb = host.memory as f64 / 1024.0;
    let cores = f64::from(host.cores);
    let busy = numbers[Field::Usage] / capacity;
    let part = match instance.kind {
        Instances::Core => 1.0 / cores,
        // Two links are up, one of them takes most.
        Instances::Pnic => [0.6, 0.4].get(instance.nth).copied().unwrap_or(0.0),
        _ => 1.0,
    };
    // What the VMs of this host do on one of its datastores.
    let datastore = match instance.kind {
        Instances::Datastore => Some(host.datastores.get(instance.nth)?),
        Instances::Lun => Some(&host.luns.get(instance.nth)?.0),
        _ => None,
    };
    let datastore = datastore.and_then(|id| model.estate().datastore_place(*id));
    let flow = |field: Field| match datastore {
        None => numbers[field],
        Some(datastore) => {
            let vms = load.vms.iter().enumerate().filter_map(|(seat, vm)| Some((seat, vm.as_ref()?)));
            let here = vms.filter(|(_, vm)| vm.host == place);
            let part = |seat: usize| -> f64 {
                let disks = world.built.seats[seat].datastores.iter().enumerate();
                disks.filter(|(_, on)| **on == datastore).map(|(disk, _)| world.disk_part(seat, disk)).sum()
            };
            here.map(|(seat, vm)| vm.numbers[field] * part(seat)).sum()
        }
    };
    let latency =
        |field: Field| datastore.and_then(|place| load.datastores.get(place)).map_or(0.0, |load| load.numbers[field]);
    let worst = || {
        let mine = host.datastores.iter().filter_map(|id| model.estate().datastore_place(*id));
        let of = |place: usize| {
            let numbers = &load.datastores[place].numbers;
            numbers[Field::ReadLatency].max(numbers[Field::WriteLatency])
        };
        mine.map(of).fold(0.0, f64::max)
    };
    let value = match counter {
        Counter::CpuUsage | Counter::CpuUtilization => busy * 10_000.0,
        // Hyper-threads share a core, so cores are used more than their threads.
        Counter::CpuCoreUtilization => (busy * 1.15).min(1.0) * 10_000.0,
        Counter::CpuUsageMhz => numbers[Field::Usage],
        Counter::CpuDemand => numbers[Field::Demand],
        Counter::CpuReservedCapacity => numbers[Field::SystemCpu],
        Counter::CpuTotalCapacity => capacity - numbers[Field::SystemCpu],
        Counter::CpuUsed => busy * cores * SAMPLE * part,
        Counter::CpuIdle => (1.0 - busy) * cores * SAMPLE * part,
        Counter::CpuReady => numbers[Field::Ready],
        Counter::CpuCostop => numbers[Field::Costop],
        Counter::CpuSwapwait => numbers[Field::Swapwait],
        Counter::CpuWait => (1.0 - busy) * cores * SAMPLE,
        Counter::CpuReadiness => {
            numbers[Field::Ready] / (numbers[Field::Ready] + numbers[Field::Used]).max(1.0) * 10_000.0
        }
        Counter::CpuLatency => {
            let waited = numbers[Field::Ready] + numbers[Field::Costop];
            waited / (waited + numbers[Field::Used]).max(1.0) * 10_000.0
        }
        Counter::MemUsage => numbers[Field::Consumed] / memory_kb * 10_000.0,
        Counter::MemSwapUsed => numbers[Field::Swapped],
        Counter::MemSharedCommon => numbers[Field::Granted] * 0.01,
        Counter::MemUnreserved => (memory_kb - numbers[Field::SystemMemory] - numbers[Field::Overhead]).max(0.0),
        Counter::MemReservedCapacity => numbers[Field::Overhead] / 1024.0,
        Counter::MemTotalCapacity => (memory_kb - numbers[Field::SystemMemory]) / 1024.0,
        Counter::MemSysUsage => numbers[Field::SystemMemory],
        // 0 high, 1 soft, 2 hard, 3 low: which way of taking memory back is in use.
        Counter::MemState => {
            let evicting = numbers[Field::Swapped] > 0.0;
            f64::from(if evicting { 2_u8 } else { u8::from(numbers[Field::Balloon] > 0.0) })
        }
        Counter::MemLatency => numbers[Field::Swapwait] / (cores * SAMPLE) * 10_000.0,
        Counter::DiskUsage => numbers[Field::Read] + numbers[Field::Written],
        Counter::DiskRead | Counter::DatastoreRead => flow(Field::Read),
        Counter::DiskWrite | Counter::DatastoreWrite => flow(Field::Written),
        Counter::DiskNumberReadAveraged | Counter::DatastoreNumberReadAveraged => flow(Field::Reads),
        Counter::DiskNumberWriteAveraged | Counter::DatastoreNumberWriteAveraged => flow(Field::Writes),
        Counter::DatastoreIops => flow(Field::Reads) + flow(Field::Writes),
        Counter::DiskNumberRead => flow(Field::Reads) * 20.0,
        Counter::DiskNumberWrite => flow(Field::Writes) * 20.0,
        Counter::DiskCommands => (flow(Field::Reads) + flow(Field::Writes)) * 20.0,
        Counter::DiskCommandsAborted | Counter::DiskBusResets => 0.0,
        Counter::DiskMaxTotalLatency | Counter::DatastoreMaxTotalLatency => worst() * 1.6,
        Counter::DatastoreTotalReadLatency | Counter::DiskTotalReadLatency => latency(Field::ReadLatency),
        Counter::DatastoreTotalWriteLatency | Counter::DiskTotalWriteLatency => latency(Field::WriteLatency),
        Counter::DiskTotalLatency | Counter::DiskDeviceLatency => {
            (latency(Field::ReadLatency) + latency(Field::WriteLatency)) / 2.0
        }
        // What is slow is the array, not the hypervisor's own queue, as long as a LUN is not saturated.
        Counter::DiskKernelLatency | Counter::DiskQueueLatency => (latency(Field::ReadLatency) - 20.0).max(0.0) * 0.3,
        Counter::DatastoreNormalizedLatency => latency(Field::ReadLatency) * 1000.0,
        Counter::NetUsage => (numbers[Field::Received] + numbers[Field::Sent]) * part,
        Counter::NetReceived | Counter::NetBytesRx => numbers[Field::Received] * part,
        Counter::NetTransmitted | Counter::NetBytesTx => numbers[Field::Sent] * part,
        Counter::NetPacketsRx => packets(numbers[Field::Received], SAMPLE) * part,
        Counter::NetPacketsTx => packets(numbers[Field::Sent], SAMPLE) * part,
        Counter::NetDroppedRx => numbers[Field::DroppedRx] * part,
        Counter::NetDroppedTx => numbers[Field::DroppedTx] * part,
        Counter::NetErrorsRx | Counter::NetErrorsTx => 0.0,
        Counter::SysUptime => numbers[Field::Uptime],
        Counter::Power => numbers[Field::Watts],
        Counter::PowerCap => f64::from(host.power_cap),
        Counter::PowerEnergy => numbers[Field::Watts] * 20.0,
        other => memory(numbers, other)?,
    };
    Some(per_interval(counter, value, samples))
}
