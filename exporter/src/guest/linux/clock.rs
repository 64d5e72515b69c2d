//! The guest's clock: what it shows, and how well it is disciplined.

use std::collections::HashMap;

use super::{Collection, Malformed, malformed, number};

pub(super) fn time(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    const SOURCE: &str = "date";
    if let Some(line) = collection.reading.line(SOURCE) {
        let [time, offset, zone] = *line.split_ascii_whitespace().collect::<Vec<_>>() else {
            return Err(malformed(SOURCE, "a time, an offset and a zone", line));
        };
        // busybox does not know of nanoseconds, and prints what it was asked for.
        let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
        let is_number = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
        let time = if is_number { time } else { seconds };
        let help = "System time in seconds since epoch (1970).";
        collection.out.gauge("node_time_seconds", help, &[], number(SOURCE, time)?);
        let minutes = number(SOURCE, offset)?;
        // `+0530`
        let seconds = ((minutes / 100.0).trunc() * 60.0 + minutes % 100.0) * 60.0;
        let help = "System time zone offset in seconds.";
        collection.out.gauge("node_time_zone_offset_seconds", help, &[("time_zone", zone)], seconds);
    }
    for (device, (_, files)) in collection.reading.folders("/sys/devices/system/clocksource/").iter().enumerate() {
        let device = device.to_string();
        let names = |file| files.get(file).copied().unwrap_or_default().split_ascii_whitespace();
        for (file, family, help) in [
            (
                "available_clocksource",
                "node_time_clocksource_available_info",
                "Available clocksources read from '/sys/devices/system/clocksource'.",
            ),
            (
                "current_clocksource",
                "node_time_clocksource_current_info",
                "Current clocksource read from '/sys/devices/system/clocksource'.",
            ),
        ] {
            for source in names(file) {
                collection.out.gauge(family, help, &[("device", &device), ("clocksource", source)], 1.0);
            }
        }
    }
    Ok(())
}

const OFFSET: (&str, &str) = ("node_timex_offset_seconds", "Time offset in between local system and reference clock.");
const FREQUENCY: (&str, &str) = ("node_timex_frequency_adjustment_ratio", "Local clock frequency adjustment.");
const MAXIMUM_ERROR: (&str, &str) = ("node_timex_maxerror_seconds", "Maximum error in seconds.");
const ESTIMATED_ERROR: (&str, &str) = ("node_timex_estimated_error_seconds", "Estimated error in seconds.");
const STATUS: (&str, &str) = ("node_timex_status", "Value of the status array bits.");
const TICK: (&str, &str) = ("node_timex_tick_seconds", "Seconds between clock ticks.");
const CONSTANT: (&str, &str) = ("node_timex_loop_time_constant", "Phase-locked loop time constant.");
const SYNCHRONISED: (&str, &str) =
    ("node_timex_sync_status", "Is clock synchronized to a reliable server (1 = yes, 0 = no).");

/// Without an agent nobody can make the system call that node_exporter makes; whoever keeps the clock is asked.
pub(super) fn discipline(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    let gauges = match (collection.reading.line("chrony"), collection.reading.line("ntp")) {
        (Some(line), _) if !line.is_empty() => chrony(line)?,
        (_, Some(line)) if !line.is_empty() => ntp(line)?,
        _ => adjtimex(collection)?,
    };
    for ((name, help), value) in gauges {
        collection.out.gauge(name, help, &[], value);
    }
    Ok(())
}

type Gauges = Vec<((&'static str, &'static str), f64)>;

/// Fourteen columns of `chronyc -c tracking`, offsets in seconds (a clock that is slow has a positive one, as in the
/// kernel), frequency in parts of a million.
fn chrony(line: &str) -> Result<Gauges, Malformed> {
    const SOURCE: &str = "chronyc tracking";
    let columns: Vec<_> = line.split(',').collect();
    let [_, _, _, _, offset, _, rms, frequency, _, _, delay, dispersion, _, leap] = *columns else {
        return Err(malformed(SOURCE, "fourteen columns", line));
    };
    let (offset, dispersion, delay) = (number(SOURCE, offset)?, number(SOURCE, dispersion)?, number(SOURCE, delay)?);
    Ok(vec![
        (OFFSET, offset),
        (FREQUENCY, 1.0 + number(SOURCE, frequency)? / 1e6),
        (MAXIMUM_ERROR, offset.abs() + dispersion + delay / 2.0),
        (ESTIMATED_ERROR, number(SOURCE, rms)?),
        (SYNCHRONISED, if leap.trim() == "Not synchronised" { 0.0 } else { 1.0 }),
    ])
}

/// `leap=00, stratum=2, offset=-0.123, …` in milliseconds, as `ntpq` prints its system variables.
fn ntp(line: &str) -> Result<Gauges, Malformed> {
    const SOURCE: &str = "ntpq rv";
    const MILLISECOND: f64 = 1e-3;
    let variables: HashMap<_, _> = line.split(',').filter_map(|part| part.trim().split_once('=')).collect();
    let of = |name| variables.get(name).copied().ok_or_else(|| malformed(SOURCE, "offset, frequency and others", line));
    let number = |name| number(SOURCE, of(name)?);
    let offset = number("offset")? * MILLISECOND;
    Ok(vec![
        (OFFSET, offset),
        (FREQUENCY, 1.0 + number("frequency")? / 1e6),
        (MAXIMUM_ERROR, offset.abs() + (number("rootdisp")? + number("rootdelay")? / 2.0) * MILLISECOND),
        (ESTIMATED_ERROR, number("sys_jitter")? * MILLISECOND),
        (SYNCHRONISED, if of("leap")? == "11" || of("leap")? == "3" { 0.0 } else { 1.0 }),
    ])
}

/// What the programs of that name print, Debian's and busybox': a name, a colon, a number.
fn adjtimex(collection: &Collection<'_>) -> Result<Gauges, Malformed> {
    const SOURCE: &str = "adjtimex";
    /// `STA_UNSYNC` and `STA_NANO` of `<sys/timex.h>`.
    const UNSYNCHRONISED: u32 = 0x40;
    const NANOSECONDS: u32 = 0x2000;
    let value = |name: &str| {
        let mut lines = collection.reading.lines(SOURCE);
        let line = lines.find_map(|line| line.split_once(':').filter(|(key, _)| key.trim_end().ends_with(name)));
        let text = line.and_then(|(_, rest)| rest.split_ascii_whitespace().next());
        text.map(|text| number(SOURCE, text)).transpose()
    };
    let Some(status) = value("status")? else { return Ok(Vec::new()) };
    let bits = status as u32;
    let unit = if bits & NANOSECONDS == 0 { 1e-6 } else { 1e-9 };
    let frequency = [value("frequency")?, value("freq.adjust")?].into_iter().flatten().next();
    let constant = [value("time_constant")?, value("timeconstant")?].into_iter().flatten().next();
    let all = [
        (OFFSET, value("offset")?.map(|offset| offset * unit)),
        (FREQUENCY, frequency.map(|frequency| 1.0 + frequency / (1e6 * 65536.0))),
        (MAXIMUM_ERROR, value("maxerror")?.map(|error| error * 1e-6)),
        (ESTIMATED_ERROR, value("esterror")?.map(|error| error * 1e-6)),
        (STATUS, Some(status)),
        (CONSTANT, constant),
        (TICK, value("tick")?.map(|tick| tick * 1e-6)),
        (SYNCHRONISED, Some(if bits & UNSYNCHRONISED == 0 { 1.0 } else { 0.0 })),
    ];
    Ok(all.into_iter().filter_map(|(family, value)| Some((family, value?))).collect())
}
