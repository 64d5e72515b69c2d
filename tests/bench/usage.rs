//! What a process has used, as /proc tells.

use anyhow::Context;

/// Seconds of CPU since its start, of all its threads, in steps of 10 ms.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<f64> {
    /// USER_HZ, on every platform of Linux that Rust knows.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name before may hold spaces and brackets.
    let fields: Vec<_> = stat.rsplit_once(')').context("no name in stat")?.1.split_whitespace().collect();
    let ticks = |place: usize| -> anyhow::Result<f64> { Ok(fields.get(place).context("stat is short")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / TICKS)
}

/// The most memory that it has had, in MB.
pub(crate) fn peak_memory(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("no VmHWM")?;
    let kibibytes: f64 = line.split_whitespace().nth(1).context("no number in VmHWM")?.parse()?;
    Ok(kibibytes * 1024.0 / 1e6)
}
