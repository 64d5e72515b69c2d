//! Software RAID, from `/proc/mdstat`.

use super::{Collection, Malformed, malformed, number};

const SOURCE: &str = "/proc/mdstat";

/// One array.
struct Array<'a> {
    name: &'a str,
    state: &'static str,
    required: f64,
    active: f64,
    failed: f64,
    spare: f64,
    blocks: f64,
    synced: f64,
}

const STATES: [&str; 5] = ["active", "inactive", "recovering", "resync", "check"];

pub(super) fn collect(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    let lines: Vec<_> = collection.reading.lines(SOURCE).collect();
    for (at, line) in lines.iter().enumerate() {
        if !line.starts_with("md") {
            continue;
        }
        let rest = lines[at + 1..].iter().take_while(|line| line.starts_with(' ')).copied();
        let array = array(line, &rest.collect::<Vec<_>>())?;
        let out = &mut collection.out;
        let device = ("device", array.name);
        for state in STATES {
            let value = if state == array.state { 1.0 } else { 0.0 };
            out.gauge("node_md_state", "Indicates the state of md-device.", &[device, ("state", state)], value);
        }
        for (state, disks) in [("active", array.active), ("failed", array.failed), ("spare", array.spare)] {
            let help = "Number of active/failed/spare disks of device.";
            out.gauge("node_md_disks", help, &[device, ("state", state)], disks);
        }
        out.gauge("node_md_disks_required", "Total number of disks of device.", &[device], array.required);
        out.gauge("node_md_blocks", "Total number of blocks on device.", &[device], array.blocks);
        out.gauge("node_md_blocks_synced", "Number of blocks synced on device.", &[device], array.synced);
    }
    Ok(())
}

/// `md3 : active raid6 sda1[8] sdh1[7](F)`, and below `585 blocks super 1.2 [8/7] [UUUUUUU_]`, perhaps a bitmap, and
/// `[==>..] recovery = 12.6% (74/585) finish=…`.
fn array<'a>(head: &'a str, rest: &[&str]) -> Result<Array<'a>, Malformed> {
    let wrong = |expected| malformed(SOURCE, expected, head);
    let fields: Vec<_> = head.split_ascii_whitespace().collect();
    let [name, ":", activity, ..] = *fields else { return Err(wrong("a name, a colon and a state")) };
    let sizes = rest.first().copied().unwrap_or_default();
    let blocks = sizes.split_ascii_whitespace().next().ok_or_else(|| wrong("a line with the number of blocks"))?;
    let blocks = number(SOURCE, blocks)?;
    let disks = fields.iter().filter(|field| field.contains('[')).count() as f64;
    let (failed, spare) = (head.matches("(F)").count() as f64, head.matches("(S)").count() as f64);
    // RAID 0 has no count, since it cannot lose one.
    let count = sizes.split(['[', ']']).find_map(|part| part.split_once('/'));
    let (required, active) = match count {
        Some((required, active)) => (number(SOURCE, required)?, number(SOURCE, active)?),
        None if activity == "inactive" => (0.0, 0.0),
        None => (disks - spare, disks - spare - failed),
    };
    let mut array = Array { name, state: "active", required, active, failed, spare, blocks, synced: blocks };
    if activity == "inactive" {
        array.state = "inactive";
    }
    for (word, state) in [("recovery", "recovering"), ("resync", "resync"), ("check", "check")] {
        let Some(line) = rest.iter().skip(1).find(|line| line.contains(word) && !line.contains("bitmap")) else {
            continue;
        };
        array.state = state;
        let done = line.split(['(', ')']).find_map(|part| part.split_once('/'));
        array.synced = match done {
            Some((done, _)) => number(SOURCE, done)?,
            // It is pending or delayed.
            None => 0.0,
        };
    }
    Ok(array)
}
