//! What a VM asks for.

use super::{Field, Numbers};
use crate::model::World;
use crate::model::effect::{Effects, ramp};
use crate::model::inventory::GuestFamily;
use crate::model::life::Occupant;
use crate::model::noise::What;
use crate::model::role::Profile;
use crate::model::time::{DAY, HOUR, MINUTE, Tick, Time};

/// What a noisy neighbour does to its disk and network: what one VM can.
const NOISY_IOPS: f64 = 20_000.0;
const NOISY_IO_KILOBYTES: f64 = 32.0;
const NOISY_NETWORK: f64 = 350_000.0;

/// How far behind a VM's day may be.
const LATE: i64 = 90 * MINUTE;

pub(super) fn of(world: &World, effects: &Effects, seat: usize, who: &Occupant, tick: Tick, boot: Time) -> Numbers {
    let mine = &world.built.seats[seat];
    let (noise, key, end) = (world.noise, seat as u64, Time::of_tick(tick));
    let profile = Profile::of(mine.role);
    let noisy = effects.noisy.iter().any(|noisy| noisy.span.holds(end) && noisy.vms.contains(&who.id));
    let late = noise.below(What::Config, key, 60, 2 * LATE as u64) as i64 - LATE;
    let rhythm = profile.rhythm(end, late);
    let jump = |slow: What, fast: What| {
        let wave = noise.wave(slow, key, end.0, HOUR);
        let quick = 2.0 * noise.unit(fast, key, tick) - 1.0;
        (1.0 + profile.restless * (0.5 * wave + 0.7 * quick)).max(0.05)
    };
    let mut numbers = Numbers::NONE;

    let core_mhz = world.core_mhz(seat);
    let burst = noise.unit(What::Burst, key, end.0.div_euclid(5 * MINUTE)) < 0.02;
    let busy = profile.floor
        + (profile.peak - profile.floor) * rhythm * mine.scale * jump(What::CpuSlow, What::CpuFast)
        + if burst { 0.25 * profile.restless } else { 0.0 };
    let busy = if noisy { 0.97 + 0.03 * noise.unit(What::CpuFast, key, tick) } else { busy.clamp(0.001, 1.0) };
    numbers[Field::Demand] = busy * f64::from(mine.vcpus) * core_mhz;

    let memory = f64::from(mine.memory_mb) * 1024.0;
    let usual = (profile.memory * (0.9 + 0.2 * noise.unit(What::Config, key, 61))).min(0.95);
    let wave = 0.03 * noise.wave(What::MemorySlow, key, end.0, 3 * HOUR);
    let mut used = (usual + wave).clamp(0.05, 0.97);
    let mut touched = profile.active * (0.35 + 0.65 * rhythm);
    for leak in effects.leaks.iter().filter(|leak| leak.span.holds(end) && leak.vms.contains(&who.id)) {
        let part = ramp(end.since(leak.span.from), leak.within);
        used += (leak.to - used).max(0.0) * part;
        touched += (1.0 - touched) * 0.9 * part;
    }
    numbers[Field::Guest] = memory * used;
    numbers[Field::Active] = memory * used * touched;
    // Windows touches all of its memory when it starts, Linux fills it with its page cache.
    let granted = if mine.family == GuestFamily::Windows { 0.98 } else { (used * 1.15).min(0.99) };
    let granted = granted.max(used);
    numbers[Field::Granted] = memory * granted;
    numbers[Field::Consumed] = memory * (granted - 0.04).max(used * 0.96);
    numbers[Field::Overhead] = 40_000.0 + memory * 0.006 + 6_000.0 * f64::from(mine.vcpus);

    let operations = if noisy {
        NOISY_IOPS
    } else {
        profile.iops * mine.scale * rhythm.max(0.03) * jump(What::DiskSlow, What::DiskFast)
    };
    let kilobytes = if noisy { NOISY_IO_KILOBYTES } else { profile.io_kilobytes };
    numbers[Field::Reads] = operations * profile.reads;
    numbers[Field::Writes] = operations * (1.0 - profile.reads);
    numbers[Field::Read] = numbers[Field::Reads] * kilobytes;
    numbers[Field::Written] = numbers[Field::Writes] * kilobytes;

    let traffic = mine.scale * rhythm.max(0.02) * jump(What::NetSlow, What::NetFast);
    numbers[Field::Received] = if noisy { NOISY_NETWORK } else { profile.received * traffic };
    numbers[Field::Sent] = if noisy { NOISY_NETWORK } else { profile.sent * traffic };

    numbers[Field::Uptime] = end.since(boot) as f64 / 1000.0;
    // Guests are patched, and restarted for it, every other month; the VM stays on meanwhile.
    let patches = 60 * DAY;
    let phase = noise.below(What::Config, key, 62, patches as u64) as i64;
    let patched = Time((end.0 - phase).div_euclid(patches) * patches + phase);
    numbers[Field::OsUptime] = (end.since(boot.max(patched)) as f64 / 1000.0 - 15.0).max(0.0);
    numbers
}

/// Kilobytes a second that a VM writes on average, for what grows with it.
pub(super) fn usually_written(world: &World, seat: usize) -> f64 {
    let mine = &world.built.seats[seat];
    let profile = Profile::of(mine.role);
    profile.iops * mine.scale * (1.0 - profile.reads) * profile.io_kilobytes * 0.4
}
