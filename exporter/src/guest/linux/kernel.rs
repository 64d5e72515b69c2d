//! What the kernel counts of itself.

use super::{Collection, Malformed, number};
use crate::catalogue::Kind;

const STAT: [(&str, Kind, &str, &str); 6] = [
    ("intr", Kind::Counter, "node_intr_total", "Total number of interrupts serviced."),
    ("ctxt", Kind::Counter, "node_context_switches_total", "Total number of context switches."),
    ("processes", Kind::Counter, "node_forks_total", "Total number of forks."),
    ("btime", Kind::Gauge, "node_boot_time_seconds", "Node boot time, in unixtime."),
    ("procs_running", Kind::Gauge, "node_procs_running", "Number of processes in runnable state."),
    ("procs_blocked", Kind::Gauge, "node_procs_blocked", "Number of processes blocked waiting for I/O to complete."),
];

pub(super) fn stat(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    const SOURCE: &str = "/proc/stat";
    for line in collection.reading.lines(SOURCE) {
        let Some((key, rest)) = line.split_once(' ') else { continue };
        if let Some((_, kind, name, help)) = STAT.iter().find(|(known, ..)| *known == key) {
            collection.out.add(*kind, *name, *help, &[], number(SOURCE, rest)?);
        }
    }
    Ok(())
}

pub(super) fn vmstat(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    const SOURCE: &str = "/proc/vmstat";
    for line in collection.reading.lines(SOURCE) {
        let Some((key, value)) = line.split_once(' ') else { continue };
        let is_wanted = ["oom_kill", "pgpg", "pswp"].iter().any(|start| key.starts_with(start))
            || (key.starts_with("pg") && key.contains("fault"));
        // It becomes a name.
        if is_wanted && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            let (name, help) = (format!("node_vmstat_{key}"), format!("/proc/vmstat information field {key}."));
            collection.out.add(Kind::Untyped, name, help, &[], number(SOURCE, value)?);
        }
    }
    Ok(())
}

const LOADS: [(&str, &str); 3] =
    [("node_load1", "1m load average."), ("node_load5", "5m load average."), ("node_load15", "15m load average.")];

pub(super) fn load(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    const SOURCE: &str = "/proc/loadavg";
    let line = collection.reading.line(SOURCE).unwrap_or_default();
    for ((name, help), value) in LOADS.iter().zip(line.split_ascii_whitespace()) {
        collection.out.gauge(*name, *help, &[], number(SOURCE, value)?);
    }
    Ok(())
}

pub(super) fn file_descriptors(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    const SOURCE: &str = "/proc/sys/fs/file-nr";
    let mut fields = collection.reading.line(SOURCE).unwrap_or_default().split_ascii_whitespace();
    if let (Some(allocated), Some(maximum)) = (fields.next(), fields.nth(1)) {
        for (key, value) in [("allocated", allocated), ("maximum", maximum)] {
            let (name, help) = (format!("node_filefd_{key}"), format!("File descriptor statistics: {key}."));
            collection.out.gauge(name, help, &[], number(SOURCE, value)?);
        }
    }
    Ok(())
}

const ENTROPY: [(&str, &str, &str); 2] = [
    ("/proc/sys/kernel/random/entropy_avail", "node_entropy_available_bits", "Bits of available entropy."),
    ("/proc/sys/kernel/random/poolsize", "node_entropy_pool_size_bits", "Bits of entropy pool."),
];

pub(super) fn entropy(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    for (source, name, help) in ENTROPY {
        if let Some(line) = collection.reading.line(source) {
            collection.out.gauge(name, help, &[], number(source, line)?);
        }
    }
    Ok(())
}

/// File, its line, family, help.
const PRESSURE: [(&str, &str, &str, &str); 5] = [
    (
        "/proc/pressure/cpu",
        "some",
        "node_pressure_cpu_waiting_seconds_total",
        "Total time in seconds that processes have waited for CPU time",
    ),
    (
        "/proc/pressure/io",
        "some",
        "node_pressure_io_waiting_seconds_total",
        "Total time in seconds that processes have waited due to IO congestion",
    ),
    (
        "/proc/pressure/io",
        "full",
        "node_pressure_io_stalled_seconds_total",
        "Total time in seconds no process could make progress due to IO congestion",
    ),
    (
        "/proc/pressure/memory",
        "some",
        "node_pressure_memory_waiting_seconds_total",
        "Total time in seconds that processes have waited for memory",
    ),
    (
        "/proc/pressure/memory",
        "full",
        "node_pressure_memory_stalled_seconds_total",
        "Total time in seconds no process could make progress due to memory congestion",
    ),
];

pub(super) fn pressure(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    for (source, wanted, name, help) in PRESSURE {
        for line in collection.reading.lines(source) {
            let microseconds = line.split_once("total=").filter(|_| line.starts_with(wanted));
            if let Some((_, microseconds)) = microseconds {
                collection.out.counter(name, help, &[], number(source, microseconds)? / 1000.0 / 1000.0);
            }
        }
    }
    Ok(())
}
