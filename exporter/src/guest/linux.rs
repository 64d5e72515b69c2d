//! A Linux guest: one run of a shell that reads what node_exporter reads, and its numbers under node_exporter's names.
//!
//! Names, labels, types and help texts are those of node_exporter 1.5. What a guest does not have is absent.

mod clock;
mod cpu;
mod disks;
mod file_systems;
mod interfaces;
mod kernel;
mod memory;
mod processes;
mod protocols;
mod raid;
mod system;

use std::fmt::Write as _;

use thiserror::Error;

use super::families::Families;
use super::reading::Reading;

/// The script, without the lines that [`script`] writes before it.
const COLLECT: &str = include_str!("linux/collect.sh");

/// What is collected beside the usual.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// File systems that lie on a network, each with five seconds to answer.
    pub network_file_systems: bool,
    /// Processes, by group.
    pub processes: bool,
    /// States of systemd's units.
    pub units: bool,
}

/// What a shell of the guest is given to run. The mark must be one that nothing in the guest can know.
pub fn script(mark: &str, wanted: Wanted) -> String {
    let mut script = format!("mark={mark}\n");
    let flag = |wanted| if wanted { "1" } else { "" };
    let Wanted { network_file_systems, processes, units } = wanted;
    // Writing to a String cannot fail.
    let _infallible = writeln!(
        script,
        "network_file_systems={} processes={} units={}",
        flag(network_file_systems),
        flag(processes),
        flag(units)
    );
    script + COLLECT
}

/// What must not be forgotten from one collection of a guest to the next.
#[derive(Debug, Default)]
pub struct Memory {
    cpu: cpu::Memory,
    processes: processes::Memory,
}

/// A value that is not what it should be. Other values of the guest are not touched by it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{source_path}`: expected {expected}, found `{found}`")]
pub struct Malformed {
    /// Where it was read.
    pub source_path: String,
    /// What should be there.
    pub expected: &'static str,
    /// What is there.
    pub found: String,
}

/// One collection.
struct Collection<'a> {
    reading: &'a Reading<'a>,
    memory: &'a mut Memory,
    out: Families,
}

impl Collection<'_> {
    /// Where nobody says it, that of all machines that VMware runs.
    fn page_size(&self) -> Result<f64, Malformed> {
        const SOURCE: &str = "page_size";
        let line = self.reading.line(SOURCE).filter(|line| !line.is_empty());
        line.map_or(Ok(4096.0), |line| number(SOURCE, line))
    }
}

/// A collector, by its name in node_exporter.
struct Collector {
    name: &'static str,
    /// Where it reads. A guest without that has no data for it, as node_exporter says of itself.
    source: &'static str,
    collect: fn(&mut Collection<'_>) -> Result<(), Malformed>,
}

const fn collector(
    name: &'static str,
    source: &'static str,
    collect: fn(&mut Collection<'_>) -> Result<(), Malformed>,
) -> Collector {
    Collector { name, source, collect }
}

const COLLECTORS: &[Collector] = &[
    collector("arp", "/proc/net/arp", protocols::arp),
    collector("conntrack", "/proc/sys/net/netfilter/nf_conntrack_count", protocols::conntrack),
    collector("cpu", "/proc/stat", cpu::seconds),
    collector("cpufreq", "/proc/stat", cpu::frequency),
    collector("diskstats", "/proc/diskstats", disks::collect),
    collector("dmi", "/sys/class/dmi/id/", system::dmi),
    collector("entropy", "/proc/sys/kernel/random/entropy_avail", kernel::entropy),
    collector("filefd", "/proc/sys/fs/file-nr", kernel::file_descriptors),
    collector("filesystem", "mount", file_systems::collect),
    collector("loadavg", "/proc/loadavg", kernel::load),
    collector("mdadm", "/proc/mdstat", raid::collect),
    collector("meminfo", "/proc/meminfo", memory::collect),
    collector("netclass", "/sys/class/net/", interfaces::properties),
    collector("netdev", "/proc/net/dev", interfaces::traffic),
    collector("netstat", "/proc/net/snmp", protocols::statistics),
    collector("os", "/", system::os_release),
    collector("pressure", "/proc/pressure/cpu", kernel::pressure),
    collector("schedstat", "/proc/schedstat", cpu::schedule),
    collector("selinux", "/proc/stat", system::selinux),
    collector("sockstat", "/proc/net/sockstat", protocols::sockets),
    collector("softnet", "/proc/net/softnet_stat", cpu::packets),
    collector("stat", "/proc/stat", kernel::stat),
    collector("thermal_zone", "/proc/stat", system::thermal),
    collector("time", "date", clock::time),
    collector("timex", "/", clock::discipline),
    collector("udp_queues", "/proc/net/udp", protocols::udp_queues),
    collector("uname", "/proc/sys/kernel/osrelease", system::uname),
    collector("vmstat", "/proc/vmstat", kernel::vmstat),
    // These two only where they are wanted.
    collector("namedprocess", "/proc/1/stat", processes::collect),
    collector("systemd", "running", system::units),
];

const OPTIONAL: [&str; 2] = ["namedprocess", "systemd"];

/// The families of one reading, and what of it could not be understood.
pub fn families(reading: &Reading<'_>, memory: &mut Memory) -> (Families, Vec<Malformed>) {
    let mut collection = Collection { reading, memory, out: Families::default() };
    let mut malformed = Vec::new();
    for Collector { name, source, collect } in COLLECTORS {
        let has_data = reading.has(source);
        if !has_data && OPTIONAL.contains(name) {
            continue;
        }
        let result = if has_data { collect(&mut collection) } else { Ok(()) };
        collection.out.gauge(
            "node_scrape_collector_success",
            "node_exporter: Whether a collector succeeded.",
            &[("collector", name)],
            if has_data && result.is_ok() { 1.0 } else { 0.0 },
        );
        malformed.extend(result.err());
    }
    (collection.out, malformed)
}

/// A number in a source.
fn number(source: &str, text: &str) -> Result<f64, Malformed> {
    text.trim().parse().map_err(|_| malformed(source, "a number", text))
}

/// A number in digits of sixteen, with or without `0x`.
fn hexadecimal(source: &str, text: &str) -> Result<f64, Malformed> {
    let digits = text.trim().trim_start_matches("0x");
    let value = u64::from_str_radix(digits, 16).map_err(|_| malformed(source, "a hexadecimal number", text))?;
    Ok(value as f64)
}

fn malformed(source: &str, expected: &'static str, found: &str) -> Malformed {
    Malformed { source_path: source.to_owned(), expected, found: found.chars().take(80).collect() }
}
