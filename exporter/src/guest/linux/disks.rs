//! Block devices: what they did, and what udev knows of them.

use std::collections::HashMap;

use super::{Collection, Malformed, number};
use crate::catalogue::Kind;

/// Of whatever size the device's own are: Documentation/block/stat.rst.
const SECTOR: f64 = 512.0;
const MILLISECOND: f64 = 1e-3;

/// Family, type, help, what one of it is. In the order of the columns; older kernels have fewer.
const COLUMNS: [(&str, Kind, &str, f64); 17] = [
    ("node_disk_reads_completed_total", Kind::Counter, "The total number of reads completed successfully.", 1.0),
    ("node_disk_reads_merged_total", Kind::Counter, "The total number of reads merged.", 1.0),
    ("node_disk_read_bytes_total", Kind::Counter, "The total number of bytes read successfully.", SECTOR),
    (
        "node_disk_read_time_seconds_total",
        Kind::Counter,
        "The total number of seconds spent by all reads.",
        MILLISECOND,
    ),
    ("node_disk_writes_completed_total", Kind::Counter, "The total number of writes completed successfully.", 1.0),
    ("node_disk_writes_merged_total", Kind::Counter, "The number of writes merged.", 1.0),
    ("node_disk_written_bytes_total", Kind::Counter, "The total number of bytes written successfully.", SECTOR),
    (
        "node_disk_write_time_seconds_total",
        Kind::Counter,
        "This is the total number of seconds spent by all writes.",
        MILLISECOND,
    ),
    ("node_disk_io_now", Kind::Gauge, "The number of I/Os currently in progress.", 1.0),
    ("node_disk_io_time_seconds_total", Kind::Counter, "Total seconds spent doing I/Os.", MILLISECOND),
    (
        "node_disk_io_time_weighted_seconds_total",
        Kind::Counter,
        "The weighted # of seconds spent doing I/Os.",
        MILLISECOND,
    ),
    ("node_disk_discards_completed_total", Kind::Counter, "The total number of discards completed successfully.", 1.0),
    ("node_disk_discards_merged_total", Kind::Counter, "The total number of discards merged.", 1.0),
    ("node_disk_discarded_sectors_total", Kind::Counter, "The total number of sectors discarded successfully.", 1.0),
    (
        "node_disk_discard_time_seconds_total",
        Kind::Counter,
        "This is the total number of seconds spent by all discards.",
        MILLISECOND,
    ),
    ("node_disk_flush_requests_total", Kind::Counter, "The total number of flush requests completed successfully", 1.0),
    (
        "node_disk_flush_requests_time_seconds_total",
        Kind::Counter,
        "This is the total number of seconds spent by all flush requests.",
        MILLISECOND,
    ),
];

/// Property of udev, family, help.
const ATA: [(&str, &str, &str); 3] = [
    ("ID_ATA_WRITE_CACHE", "node_disk_ata_write_cache", "ATA disk has a write cache."),
    ("ID_ATA_WRITE_CACHE_ENABLED", "node_disk_ata_write_cache_enabled", "ATA disk has its write cache enabled."),
    ("ID_ATA_ROTATION_RATE_RPM", "node_disk_ata_rotation_rate_rpm", "ATA disk rotation rate in RPMs (0 for SSDs)."),
];

pub(super) fn collect(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    const SOURCE: &str = "/proc/diskstats";
    for line in collection.reading.lines(SOURCE) {
        let mut fields = line.split_ascii_whitespace();
        let (Some(major), Some(minor), Some(device)) = (fields.next(), fields.next(), fields.next()) else { continue };
        if is_ignored(device) {
            continue;
        }
        for ((name, kind, help, unit), value) in COLUMNS.iter().zip(fields) {
            collection.out.add(*kind, *name, *help, &[("device", device)], number(SOURCE, value)? * unit);
        }
        describe(collection, device, (major, minor))?;
    }
    Ok(())
}

/// Partitions and what is no disk: node_exporter's `^(ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$`.
fn is_ignored(device: &str) -> bool {
    let stem = device.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == device.len() {
        return false;
    }
    let is_letter = |rest: &str| rest.len() == 1 && rest.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_disk = ["hd", "sd", "vd", "xvd"].iter().any(|kind| stem.strip_prefix(kind).is_some_and(is_letter));
    let is_nvme = || {
        let numbers = stem.strip_prefix("nvme")?.strip_suffix('p')?.split_once('n')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        Some(digits(numbers.0) && digits(numbers.1))
    };
    matches!(stem, "ram" | "loop" | "fd") || is_disk || is_nvme().unwrap_or_default()
}

fn describe(collection: &mut Collection<'_>, device: &str, (major, minor): (&str, &str)) -> Result<(), Malformed> {
    let source = format!("/run/udev/data/b{major}:{minor}");
    let lines = collection.reading.lines(&source);
    let properties: HashMap<_, _> = lines.filter_map(|line| line.strip_prefix("E:")?.split_once('=')).collect();
    let of = |name| properties.get(name).copied().unwrap_or_default();
    let out = &mut collection.out;
    let labels = [
        ("device", device),
        ("major", major),
        ("minor", minor),
        ("path", of("ID_PATH")),
        ("wwn", of("ID_WWN")),
        ("model", of("ID_MODEL")),
        ("serial", of("ID_SERIAL_SHORT")),
        ("revision", of("ID_REVISION")),
    ];
    out.gauge("node_disk_info", "Info of /sys/block/<block_device>.", &labels, 1.0);
    if properties.contains_key("ID_FS_TYPE") {
        let labels = [
            ("device", device),
            ("type", of("ID_FS_TYPE")),
            ("usage", of("ID_FS_USAGE")),
            ("uuid", of("ID_FS_UUID")),
            ("version", of("ID_FS_VERSION")),
        ];
        out.gauge("node_disk_filesystem_info", "Info about disk filesystem.", &labels, 1.0);
    }
    if properties.contains_key("DM_NAME") {
        let labels = [
            ("device", device),
            ("name", of("DM_NAME")),
            ("uuid", of("DM_UUID")),
            ("vg_name", of("DM_VG_NAME")),
            ("lv_name", of("DM_LV_NAME")),
            ("lv_layer", of("DM_LV_LAYER")),
        ];
        out.gauge("node_disk_device_mapper_info", "Info about disk device mapper.", &labels, 1.0);
    }
    if properties.contains_key("ID_ATA") {
        for (property, name, help) in ATA {
            if let Some(value) = properties.get(property) {
                out.gauge(name, help, &[("device", device)], number(&source, value)?);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_ignored;

    #[test]
    fn partitions_are_left_out_and_disks_are_not() {
        for device in ["sda1", "vda12", "xvdb3", "nvme0n1p2", "loop7", "ram0", "fd0"] {
            assert!(is_ignored(device), "{device}");
        }
        for device in ["sda", "vda", "nvme0n1", "dm-3", "md0", "sr0", "sdaa1", "mmcblk0p1"] {
            assert!(!is_ignored(device), "{device}");
        }
    }
}
