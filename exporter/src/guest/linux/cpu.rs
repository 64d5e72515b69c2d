//! Processors: their time, their clock, what the scheduler and the network made them do.

use std::collections::BTreeMap;

use super::{Collection, Malformed, hexadecimal, number};

/// The kernel counts for programs in hundredths of a second, whatever it counts in itself.
const TICKS: f64 = 100.0;

/// Idle time that steps back by so many seconds is that of a processor that was taken out and put in again.
const JUMP_BACK: f64 = 3.0;

const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const GUEST_MODES: [&str; 2] = ["user", "nice"];
const IDLE: usize = 3;

const PROCESSORS: &str = "/sys/devices/system/cpu/";

/// Seconds of each processor: the kernel's own may step back a little (idle and iowait do), which a rate would take for
/// a restart.
#[derive(Debug, Default)]
pub(super) struct Memory {
    seconds: BTreeMap<String, Vec<f64>>,
}

pub(super) fn seconds(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    const SOURCE: &str = "/proc/stat";
    let memory = &mut collection.memory.cpu.seconds;
    let mut before = std::mem::take(memory);
    for line in collection.reading.lines(SOURCE) {
        let mut fields = line.split_ascii_whitespace();
        let Some(cpu) = fields.next().and_then(|name| name.strip_prefix("cpu")).filter(|cpu| !cpu.is_empty()) else {
            continue;
        };
        let found = fields.map(|field| Ok(number(SOURCE, field)? / TICKS)).collect::<Result<Vec<f64>, _>>()?;
        let mut shown = before.remove(cpu).unwrap_or_default();
        let idle = |seconds: &[f64]| seconds.get(IDLE).copied().unwrap_or_default();
        if shown.len() != found.len() || idle(&shown) - idle(&found) >= JUMP_BACK {
            shown = found;
        } else {
            shown.iter_mut().zip(found).for_each(|(shown, found)| *shown = shown.max(found));
        }
        for (mode, value) in MODES.iter().zip(&shown) {
            let help = "Seconds the CPUs spent in each mode.";
            collection.out.counter("node_cpu_seconds_total", help, &[("cpu", cpu), ("mode", mode)], *value);
        }
        for (mode, value) in GUEST_MODES.iter().zip(shown.iter().skip(MODES.len())) {
            let help = "Seconds the CPUs spent in guests (VMs) for each mode.";
            collection.out.counter("node_cpu_guest_seconds_total", help, &[("cpu", cpu), ("mode", mode)], *value);
        }
        memory.insert(cpu.to_owned(), shown);
    }
    isolated(collection)?;
    throttles(collection)
}

/// `0-2,5`
fn isolated(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    const SOURCE: &str = "/sys/devices/system/cpu/isolated";
    let ranges = collection.reading.line(SOURCE).unwrap_or_default();
    for range in ranges.trim().split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (number(SOURCE, first)?, number(SOURCE, last)?);
        // More processors than a kernel has room for are a mistake.
        for cpu in first as u32..=(last as u32).min((first as u32).saturating_add(8192)) {
            let help = "Whether each core is isolated, information from /sys/devices/system/cpu/isolated.";
            collection.out.gauge("node_cpu_isolated", help, &[("cpu", &cpu.to_string())], 1.0);
        }
    }
    Ok(())
}

fn throttles(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    let (mut packages, mut cores) = (BTreeMap::new(), BTreeMap::new());
    for files in collection.reading.folders(PROCESSORS).values() {
        let (Some(package), Some(core)) = (files.get("topology/physical_package_id"), files.get("topology/core_id"))
        else {
            continue;
        };
        if let Some(count) = files.get("thermal_throttle/core_throttle_count") {
            cores.entry((*package, *core)).or_insert(number("core_throttle_count", count)?);
        }
        if let Some(count) = files.get("thermal_throttle/package_throttle_count") {
            packages.entry(*package).or_insert(number("package_throttle_count", count)?);
        }
    }
    for ((package, core), count) in cores {
        let help = "Number of times this CPU core has been throttled.";
        let labels = [("package", package), ("core", core)];
        collection.out.counter("node_cpu_core_throttles_total", help, &labels, count);
    }
    for (package, count) in packages {
        let help = "Number of times this CPU package has been throttled.";
        collection.out.counter("node_cpu_package_throttles_total", help, &[("package", package)], count);
    }
    Ok(())
}

/// File in kilohertz, family, help.
const FREQUENCIES: [(&str, &str, &str); 6] = [
    ("cpuinfo_cur_freq", "node_cpu_frequency_hertz", "Current cpu thread frequency in hertz."),
    ("cpuinfo_min_freq", "node_cpu_frequency_min_hertz", "Minimum cpu thread frequency in hertz."),
    ("cpuinfo_max_freq", "node_cpu_frequency_max_hertz", "Maximum cpu thread frequency in hertz."),
    ("scaling_cur_freq", "node_cpu_scaling_frequency_hertz", "Current scaled CPU thread frequency in hertz."),
    ("scaling_min_freq", "node_cpu_scaling_frequency_min_hertz", "Minimum scaled CPU thread frequency in hertz."),
    ("scaling_max_freq", "node_cpu_scaling_frequency_max_hertz", "Maximum scaled CPU thread frequency in hertz."),
];

pub(super) fn frequency(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    for (path, line) in collection.reading.below(PROCESSORS) {
        let Some((cpu, file)) = path.strip_prefix("cpu").and_then(|path| path.split_once("/cpufreq/")) else {
            continue;
        };
        if let Some((_, name, help)) = FREQUENCIES.iter().find(|(known, ..)| *known == file) {
            collection.out.gauge(*name, *help, &[("cpu", cpu)], number(file, line)? * 1000.0);
        }
    }
    Ok(())
}

pub(super) fn schedule(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    const SOURCE: &str = "/proc/schedstat";
    const NANOSECONDS: f64 = 1e9;
    for line in collection.reading.lines(SOURCE) {
        let Some(rest) = line.strip_prefix("cpu") else { continue };
        let fields: Vec<_> = rest.split_ascii_whitespace().collect();
        let [cpu, .., running, waiting, slices] = fields.as_slice() else { continue };
        if fields.len() < 10 {
            continue;
        }
        let labels = [("cpu", *cpu)];
        let seconds = |text| Ok(number(SOURCE, text)? / NANOSECONDS);
        let help = "Number of seconds CPU spent running a process.";
        collection.out.counter("node_schedstat_running_seconds_total", help, &labels, seconds(running)?);
        let help = "Number of seconds spent by processing waiting for this CPU.";
        collection.out.counter("node_schedstat_waiting_seconds_total", help, &labels, seconds(waiting)?);
        let help = "Number of timeslices executed by CPU.";
        collection.out.counter("node_schedstat_timeslices_total", help, &labels, number(SOURCE, slices)?);
    }
    Ok(())
}

const PACKETS: [(&str, &str); 3] = [
    ("node_softnet_processed_total", "Number of processed packets"),
    ("node_softnet_dropped_total", "Number of dropped packets"),
    ("node_softnet_times_squeezed_total", "Number of times processing packets ran out of quota"),
];

pub(super) fn packets(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    const SOURCE: &str = "/proc/net/softnet_stat";
    for (cpu, line) in collection.reading.lines(SOURCE).enumerate() {
        let cpu = cpu.to_string();
        for ((name, help), value) in PACKETS.iter().zip(line.split_ascii_whitespace()) {
            collection.out.counter(*name, *help, &[("cpu", &cpu)], hexadecimal(SOURCE, value)?);
        }
    }
    Ok(())
}
