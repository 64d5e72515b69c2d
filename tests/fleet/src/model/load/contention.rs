//! What VMs get of what they ask for.
//!
//! CPU: when all VMs of a host together want more than it has, each gets the same part of its demand, and the rest of
//! the time is ready time; near the limit it begins to rise. Memory: what is missing is taken from idle memory, by the
//! balloon where there are tools, then by compression and swapping. Disk: latency rises with the load of a datastore.

use super::{Field, Load, Numbers, SharedLoad, VmLoad};
use crate::model::World;
use crate::model::effect::Effects;
use crate::model::noise::What;
use crate::model::time::Time;

/// Milliseconds of one virtual CPU in a sample.
const SAMPLE: f64 = 20_000.0;
/// Milliseconds that an operation takes on an idle datastore.
const READ_LATENCY: f64 = 0.7;
const WRITE_LATENCY: f64 = 0.5;
/// Queues end somewhere: latency does not rise above that of this load, and no more is done than that.
const SATURATED: f64 = 0.985;
/// What a host keeps free of its memory.
const MEMORY_IN_USE: f64 = 0.95;
/// Two links of 10 Gbit/s, kilobytes a second.
const LINKS: f64 = 2_500_000.0;

pub(super) fn share(world: &World, effects: &Effects, mut vms: Vec<Option<VmLoad>>, end: Time) -> Load {
    let datastores = datastores(world, &mut vms);
    let mut on: Vec<Vec<usize>> = vec![Vec::new(); world.built.estate.hosts.len()];
    for (seat, vm) in vms.iter().enumerate() {
        if let Some(vm) = vm {
            on[vm.host].push(seat);
        }
    }
    let host = |(host, seats): (usize, &Vec<usize>)| {
        (!world.down(effects, host, end)).then(|| {
            let numbers = one_host(world, effects, host, seats, &mut vms, end);
            SharedLoad { numbers, samples: 1.0 }
        })
    };
    let hosts = on.iter().enumerate().map(host).collect();
    Load { vms, hosts, datastores, end }
}

fn one_host(
    world: &World,
    effects: &Effects,
    host: usize,
    seats: &[usize],
    vms: &mut [Option<VmLoad>],
    end: Time,
) -> Numbers {
    let config = &world.built.estate.hosts[host];
    let cluster =
        world.built.estate.clusters.iter().position(|cluster| cluster.id == config.cluster).unwrap_or_default();
    let moving = effects.storms.iter().any(|storm| storm.clusters[cluster] && storm.span.holds(end));
    let capacity = config.capacity_mhz();
    let system = capacity * if moving { 0.06 } else { 0.012 } + 8.0 * seats.len() as f64;
    cpu(world, seats, vms, capacity - system);
    let system_memory = 4.0 * 1024.0 * 1024.0 + config.memory as f64 / 1024.0 * 0.01;
    memory(world, seats, vms, config.memory as f64 / 1024.0 * MEMORY_IN_USE - system_memory);
    network(world, seats, vms);

    let mut sum = Numbers::NONE;
    for vm in seats.iter().filter_map(|seat| vms[*seat].as_ref()) {
        sum.add(&vm.numbers);
    }
    sum[Field::Usage] += system;
    sum[Field::Demand] += system;
    sum[Field::Consumed] += sum[Field::Overhead] + system_memory;
    sum[Field::Active] += system_memory * 0.3;
    sum[Field::SystemCpu] = system;
    sum[Field::SystemMemory] = system_memory;
    if moving {
        // What vMotion itself sends and receives.
        sum[Field::Received] += 180_000.0;
        sum[Field::Sent] += 180_000.0;
    }
    let boot = world.host_at(effects, host, end).boot_time;
    sum[Field::Uptime] = end.since(boot) as f64 / 1000.0;
    let (idle, most) = (f64::from(config.power_cap) * 0.3, f64::from(config.power_cap) * 0.85);
    sum[Field::Watts] = idle + (most - idle) * (sum[Field::Usage] / capacity).min(1.0);
    let running = sum[Field::Watts] - idle;
    for seat in seats {
        if let Some(vm) = &mut vms[*seat] {
            vm.numbers[Field::Watts] = running * vm.numbers[Field::Usage] / sum[Field::Usage].max(1.0);
        }
    }
    sum
}

fn cpu(world: &World, seats: &[usize], vms: &mut [Option<VmLoad>], available: f64) {
    let demand: f64 = seats.iter().filter_map(|seat| vms[*seat].as_ref()).map(|vm| vm.numbers[Field::Demand]).sum();
    let load = demand / available;
    let part = (1.0 / load).min(1.0);
    // The queue for a core grows long before the cores are used up.
    let crowd = 0.003 + 0.09 * load.min(1.0).powi(8);
    for seat in seats {
        let Some(vm) = &mut vms[*seat] else { continue };
        let vcpus = f64::from(world.built.seats[*seat].vcpus);
        let (all, capacity) = (vcpus * SAMPLE, vcpus * world.core_mhz(*seat));
        let numbers = &mut vm.numbers;
        let busy = numbers[Field::Demand] / capacity;
        numbers[Field::Usage] = numbers[Field::Demand] * part;
        numbers[Field::Used] = numbers[Field::Usage] / capacity * all;
        let missing = busy * all - numbers[Field::Used];
        let left = all - numbers[Field::Used];
        numbers[Field::Ready] = (missing + all * busy * crowd).min(left);
        let siblings = 0.25 * (vcpus - 1.0) / vcpus;
        numbers[Field::Costop] = (numbers[Field::Ready] * siblings).min(left - numbers[Field::Ready]);
    }
}

fn memory(world: &World, seats: &[usize], vms: &mut [Option<VmLoad>], available: f64) {
    let wanted: f64 = seats
        .iter()
        .filter_map(|seat| vms[*seat].as_ref())
        .map(|vm| vm.numbers[Field::Consumed] + vm.numbers[Field::Overhead])
        .sum();
    let missing = wanted - available;
    if missing <= 0.0 {
        return;
    }
    let idle = |seat: usize, vm: &VmLoad| {
        let mine = &world.built.seats[seat];
        let most = if mine.tools { f64::from(mine.memory_mb) * 1024.0 * 0.65 } else { 0.0 };
        (vm.numbers[Field::Consumed] - vm.numbers[Field::Active]).max(0.0).min(most)
    };
    let all_idle: f64 = seats.iter().filter_map(|seat| Some(idle(*seat, vms[*seat].as_ref()?))).sum();
    let inflate = (missing / all_idle.max(1.0)).min(1.0);
    let consumed: f64 = seats.iter().filter_map(|seat| vms[*seat].as_ref()).map(|vm| vm.numbers[Field::Consumed]).sum();
    let beyond = (missing - all_idle * inflate).max(0.0);
    let left = (consumed - all_idle * inflate).max(1.0);
    let taken = (beyond / left).min(0.9);
    for seat in seats {
        let Some(vm) = &mut vms[*seat] else { continue };
        let balloon = idle(*seat, vm) * inflate;
        let numbers = &mut vm.numbers;
        let evicted = (numbers[Field::Consumed] - balloon).max(0.0) * taken;
        numbers[Field::Balloon] = balloon;
        numbers[Field::Compressed] = evicted * 0.2;
        numbers[Field::Swapped] = evicted * 0.8;
        numbers[Field::Consumed] -= balloon + evicted;
        // A part of what was taken is needed again, and comes from disk.
        numbers[Field::SwapIn] = numbers[Field::Swapped] * taken * 0.01;
        numbers[Field::SwapOut] = numbers[Field::SwapIn] * 1.2;
        let idle_time =
            f64::from(world.built.seats[*seat].vcpus) * SAMPLE - numbers[Field::Used] - numbers[Field::Ready];
        let waits = numbers[Field::SwapIn] / 4.0 * SAMPLE / 1000.0 * 0.5;
        numbers[Field::Swapwait] = waits.min((idle_time - numbers[Field::Costop]).max(0.0));
    }
}

/// The UDP packets that nobody could take.
fn network(world: &World, seats: &[usize], vms: &mut [Option<VmLoad>]) {
    let traffic = |field: Field, vms: &[Option<VmLoad>]| -> f64 {
        seats.iter().filter_map(|seat| vms[*seat].as_ref()).map(|vm| vm.numbers[field]).sum()
    };
    let (received, sent) = (traffic(Field::Received, vms), traffic(Field::Sent, vms));
    for seat in seats {
        let Some(vm) = &mut vms[*seat] else { continue };
        let all = f64::from(world.built.seats[*seat].vcpus) * SAMPLE;
        let numbers = &mut vm.numbers;
        let waiting = (numbers[Field::Ready] / all - 0.05).max(0.0);
        let full = |sum: f64| (sum / LINKS - 0.9).max(0.0);
        numbers[Field::DroppedRx] = packets(numbers[Field::Received], SAMPLE) * (waiting * 0.02 + full(received));
        numbers[Field::DroppedTx] = packets(numbers[Field::Sent], SAMPLE) * full(sent);
    }
}

/// Packets of kilobytes a second in so many milliseconds, at the usual size.
pub(crate) fn packets(kilobytes: f64, millis: f64) -> f64 {
    kilobytes * 1024.0 / 850.0 * millis / 1000.0
}

/// Loads of the datastores. VMs get less done where a datastore is saturated, and see its latency.
fn datastores(world: &World, vms: &mut [Option<VmLoad>]) -> Vec<SharedLoad> {
    let mut sums = vec![Numbers::NONE; world.built.estate.datastores.len()];
    const FLOWS: [Field; 4] = [Field::Reads, Field::Writes, Field::Read, Field::Written];
    for (seat, vm) in vms.iter().enumerate() {
        let Some(vm) = vm else { continue };
        for (disk, datastore) in world.built.seats[seat].datastores.iter().enumerate() {
            let part = world.disk_part(seat, disk);
            for flow in FLOWS {
                sums[*datastore][flow] += vm.numbers[flow] * part;
            }
        }
    }
    let loads: Vec<f64> = sums
        .iter()
        .zip(&world.built.estate.datastores)
        .map(|(sum, datastore)| (sum[Field::Reads] + sum[Field::Writes]) / (2.0 * datastore.comfortable_iops))
        .collect();
    let slower = |load: f64| 1.0 / (1.0 - load.min(SATURATED));
    for (seat, vm) in vms.iter_mut().enumerate() {
        let Some(vm) = vm else { continue };
        let (mut done, mut worst) = (0.0, 0.0_f64);
        for (disk, datastore) in world.built.seats[seat].datastores.iter().enumerate() {
            let load = loads[*datastore];
            done += world.disk_part(seat, disk) * (SATURATED / load).min(1.0);
            worst = worst.max(slower(load));
        }
        for flow in FLOWS {
            vm.numbers[flow] *= done;
        }
        let own = 0.9 + 0.2 * world.noise.unit(What::DiskFast, seat as u64, -7);
        vm.numbers[Field::ReadLatency] = READ_LATENCY * worst * own;
        vm.numbers[Field::WriteLatency] = WRITE_LATENCY * worst * own;
    }
    let shared = |(mut numbers, load): (Numbers, &f64)| {
        let done = (SATURATED / load).min(1.0);
        for flow in FLOWS {
            numbers[flow] *= done;
        }
        numbers[Field::ReadLatency] = READ_LATENCY * slower(*load);
        numbers[Field::WriteLatency] = WRITE_LATENCY * slower(*load);
        SharedLoad { numbers, samples: 1.0 }
    };
    sums.into_iter().zip(&loads).map(shared).collect()
}

impl World {
    /// MHz of a core of the hosts of a seat's cluster.
    pub(crate) fn core_mhz(&self, seat: usize) -> f64 {
        f64::from(self.built.estate.hosts[self.built.seats[seat].home].core_mhz)
    }

    /// Part of a VM's operations that go to a disk: most go to the data disk where there is one.
    pub(crate) fn disk_part(&self, seat: usize, disk: usize) -> f64 {
        match (self.built.seats[seat].datastores.len(), disk) {
            (1, _) => 1.0,
            (_, 0) => 0.25,
            (n, _) => 0.75 / (n - 1) as f64,
        }
    }
}
