//! Processes by group, under the names of process-exporter: never a series for each process.
//!
//! A group is all processes of a name (`comm`, which the kernel cuts at 15 bytes). Kernel threads are left out. Shown are
//! the groups with the most memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Collection, Malformed, malformed, number};

/// So many groups are shown. One that is shown stays until it falls behind twice as many, so that two of a size do not
/// come and go.
const SHOWN: usize = 20;

const TICKS: f64 = 100.0;
const STATES: [&str; 5] = ["Other", "Running", "Sleeping", "Waiting", "Zombie"];

/// `PF_KTHREAD` of `<linux/sched.h>`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// What a group's processes did, those that ended included, since the first collection: what they did before is not
/// counted, or a restart of the exporter would look like work.
#[derive(Debug, Default)]
pub(super) struct Memory {
    began: bool,
    /// By process number and start.
    processes: HashMap<(u64, u64), Counts>,
    totals: BTreeMap<String, Counts>,
    shown: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    user: f64,
    system: f64,
    minor_faults: f64,
    major_faults: f64,
}

impl Counts {
    fn add_since(&mut self, before: Self, now: Self) {
        self.user += (now.user - before.user).max(0.0);
        self.system += (now.system - before.system).max(0.0);
        self.minor_faults += (now.minor_faults - before.minor_faults).max(0.0);
        self.major_faults += (now.major_faults - before.major_faults).max(0.0);
    }
}

/// A group as it is now.
#[derive(Default)]
struct Group {
    processes: f64,
    threads: f64,
    states: [f64; STATES.len()],
    resident_pages: f64,
    virtual_bytes: f64,
    oldest_start: Option<u64>,
}

struct Process {
    name: String,
    state: usize,
    key: (u64, u64),
    counts: Counts,
    threads: f64,
    virtual_bytes: f64,
    resident_pages: f64,
}

pub(super) fn collect(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    const FOLDER: &str = "/proc/";
    let reading = collection.reading;
    let mut processes = Vec::new();
    for (path, _) in reading.below(FOLDER) {
        let Some(id) = path.strip_suffix("/stat").and_then(|id| id.parse().ok()) else { continue };
        // A name may have a line break in it.
        let text = reading.lines(&format!("{FOLDER}{path}")).collect::<Vec<_>>().join("\n");
        processes.extend(process(id, &text)?);
    }
    let boot = reading.lines("/proc/stat").find_map(|line| line.strip_prefix("btime "));
    let boot = boot.map(|text| number("/proc/stat", text)).transpose()?;
    let page_size = collection.page_size()?;
    let memory = &mut collection.memory.processes;
    let groups = memory.follow(processes);
    for (name, group) in groups {
        let Some(total) = memory.totals.get(&name).filter(|_| memory.shown.contains(&name)) else { continue };
        let out = &mut collection.out;
        let label = ("groupname", name.as_str());
        out.gauge("namedprocess_namegroup_num_procs", "number of processes in this group", &[label], group.processes);
        out.gauge("namedprocess_namegroup_num_threads", "Number of threads", &[label], group.threads);
        for (state, count) in STATES.iter().zip(group.states) {
            let help = "Number of processes in states Running, Sleeping, Waiting, Zombie, or Other";
            out.gauge("namedprocess_namegroup_states", help, &[label, ("state", state)], count);
        }
        for (kind, bytes) in [("resident", group.resident_pages * page_size), ("virtual", group.virtual_bytes)] {
            let help = "number of bytes of memory in use";
            out.gauge("namedprocess_namegroup_memory_bytes", help, &[label, ("memtype", kind)], bytes);
        }
        for (mode, seconds) in [("user", total.user), ("system", total.system)] {
            let help = "Cpu user usage in seconds";
            out.counter("namedprocess_namegroup_cpu_seconds_total", help, &[label, ("mode", mode)], seconds);
        }
        let help = "Minor page faults";
        out.counter("namedprocess_namegroup_minor_page_faults_total", help, &[label], total.minor_faults);
        let help = "Major page faults";
        out.counter("namedprocess_namegroup_major_page_faults_total", help, &[label], total.major_faults);
        if let (Some(boot), Some(start)) = (boot, group.oldest_start) {
            let help = "start time in seconds since 1970/01/01 of oldest process in group";
            let seconds = boot + start as f64 / TICKS;
            out.gauge("namedprocess_namegroup_oldest_start_time_seconds", help, &[label], seconds);
        }
    }
    Ok(())
}

impl Memory {
    /// Takes in the processes that are there now; their groups.
    fn follow(&mut self, processes: Vec<Process>) -> BTreeMap<String, Group> {
        if processes.is_empty() {
            return BTreeMap::new();
        }
        let before = std::mem::take(&mut self.processes);
        let mut groups = BTreeMap::<String, Group>::new();
        for process in processes {
            let total = self.totals.entry(process.name.clone()).or_default();
            let known = before.get(&process.key).copied();
            let known = known.unwrap_or(if self.began { Counts::default() } else { process.counts });
            total.add_since(known, process.counts);
            self.processes.insert(process.key, process.counts);
            let group = groups.entry(process.name).or_default();
            group.processes += 1.0;
            group.threads += process.threads;
            group.states[process.state] += 1.0;
            group.resident_pages += process.resident_pages;
            group.virtual_bytes += process.virtual_bytes;
            let start = process.key.1;
            group.oldest_start = Some(group.oldest_start.map_or(start, |oldest| oldest.min(start)));
        }
        self.began = true;
        self.totals.retain(|name, _| groups.contains_key(name));
        self.choose(&groups);
        groups
    }

    /// Which groups are shown.
    fn choose(&mut self, groups: &BTreeMap<String, Group>) {
        let mut ranked: Vec<_> = groups.iter().collect();
        ranked.sort_by(|(_, a), (_, b)| b.resident_pages.total_cmp(&a.resident_pages));
        let near: BTreeSet<_> = ranked.iter().take(2 * SHOWN).map(|(name, _)| name.as_str()).collect();
        self.shown.retain(|name| near.contains(name.as_str()));
        for (name, _) in ranked {
            if self.shown.len() >= SHOWN {
                break;
            }
            self.shown.insert(name.clone());
        }
    }
}

/// `7 (name) S 1 …`, proc(5). Nothing where it is a thread of the kernel.
fn process(id: u64, text: &str) -> Result<Option<Process>, Malformed> {
    const SOURCE: &str = "/proc/[pid]/stat";
    let wrong = || malformed(SOURCE, "a number, a name and 22 fields", text);
    let (_, rest) = text.split_once('(').ok_or_else(wrong)?;
    let (name, rest) = rest.rsplit_once(')').ok_or_else(wrong)?;
    let fields: Vec<_> = rest.split_ascii_whitespace().collect();
    if fields.len() < 22 {
        return Err(wrong());
    }
    let value = |at: usize| number(SOURCE, fields[at]);
    let whole = |at: usize| fields[at].parse::<u64>().map_err(|_| malformed(SOURCE, "a whole number", fields[at]));
    if whole(6)? & KERNEL_THREAD != 0 {
        return Ok(None);
    }
    let state = match fields[0] {
        "R" => 1,
        "S" => 2,
        "D" => 3,
        "Z" => 4,
        _ => 0,
    };
    let counts = Counts {
        minor_faults: value(7)?,
        major_faults: value(9)?,
        user: value(11)? / TICKS,
        system: value(12)? / TICKS,
    };
    let process = Process {
        name: name.to_owned(),
        state,
        key: (id, whole(19)?),
        counts,
        threads: value(17)?,
        virtual_bytes: value(20)?,
        resident_pages: value(21)?,
    };
    Ok(Some(process))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: u64, name: &str, user: u64, pages: u64) -> String {
        format!("{id} ({name}) S 1 1 1 0 -1 0 5 0 6 0 {user} 3 0 0 20 0 2 0 {id}00 4096 {pages} 18446744073709551615")
    }

    fn read(lines: &[String]) -> Vec<Process> {
        lines.iter().enumerate().map(|(id, text)| process(id as u64, text).unwrap().unwrap()).collect()
    }

    #[test]
    fn a_name_may_hold_parentheses_and_line_breaks() {
        let found = process(7, &line(7, "a) S (b\nc", 0, 1)).unwrap().unwrap();
        assert_eq!((found.name.as_str(), found.key), ("a) S (b\nc", (7, 700)));
    }

    #[test]
    fn what_ended_stays_counted_and_what_was_before_is_not() {
        let mut memory = Memory::default();
        memory.follow(read(&[line(0, "web", 1000, 1), line(1, "web", 1000, 1)]));
        assert_eq!(memory.totals["web"].user, 0.0);
        // One goes on, one ended, one is new.
        memory.follow(read(&[line(0, "web", 1100, 1), line(2, "web", 50, 1)]));
        assert_eq!(memory.totals["web"].user, 1.5);
    }

    #[test]
    fn groups_of_a_size_do_not_come_and_go() {
        let named = |pages: &dyn Fn(u64) -> u64| {
            let all: Vec<_> = (0..30).map(|id| line(id, &format!("p{id:02}"), 0, pages(id))).collect();
            read(&all)
        };
        let mut memory = Memory::default();
        memory.follow(named(&|id| 1000 - id));
        let first = memory.shown.clone();
        assert_eq!(first.len(), SHOWN);
        memory.follow(named(&|id| id));
        assert_eq!(memory.shown, first);
    }
}
