//! What the guest is: kernel, distribution, hardware as it sees it; and the units that systemd runs on it.

use std::collections::HashMap;

use super::{Collection, Malformed, number};

pub(super) fn uname(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    let line = |source| collection.reading.line(source).unwrap_or_default();
    if line("/proc/sys/kernel/osrelease").is_empty() {
        return Ok(());
    }
    let labels = [
        ("sysname", line("/proc/sys/kernel/ostype")),
        ("release", line("/proc/sys/kernel/osrelease")),
        ("version", line("/proc/sys/kernel/version")),
        ("machine", line("machine")),
        ("nodename", line("/proc/sys/kernel/hostname")),
        ("domainname", line("/proc/sys/kernel/domainname")),
    ];
    let help = "Labeled system information as provided by the uname system call.";
    collection.out.gauge("node_uname_info", help, &labels, 1.0);
    Ok(())
}

/// Label, and its name in `os-release`.
const OS: [(&str, &str); 12] = [
    ("build_id", "BUILD_ID"),
    ("id", "ID"),
    ("id_like", "ID_LIKE"),
    ("image_id", "IMAGE_ID"),
    ("image_version", "IMAGE_VERSION"),
    ("name", "NAME"),
    ("pretty_name", "PRETTY_NAME"),
    ("variant", "VARIANT"),
    ("variant_id", "VARIANT_ID"),
    ("version", "VERSION"),
    ("version_codename", "VERSION_CODENAME"),
    ("version_id", "VERSION_ID"),
];

pub(super) fn os_release(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    let lines = collection.reading.lines("/etc/os-release").chain(collection.reading.lines("/usr/lib/os-release"));
    let values: HashMap<_, _> =
        lines.filter_map(|line| line.split_once('=')).map(|(key, text)| (key, unquoted(text))).collect();
    if values.is_empty() {
        return Ok(());
    }
    let value = |key| values.get(key).map(String::as_str).unwrap_or_default();
    let labels = OS.map(|(label, key)| (label, value(key)));
    let help = "A metric with a constant '1' value labeled by build_id, id, id_like, image_id, image_version, name, \
                pretty_name, variant, variant_id, version, version_codename, version_id.";
    collection.out.gauge("node_os_info", help, &labels, 1.0);
    // Of `8.10.3` the first two, as a number, which is how node_exporter has it.
    let version = value("VERSION_ID");
    let major = version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    let minor = version[major.len()..].strip_prefix('.').unwrap_or_default();
    let minor = minor.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    if let Ok(version) = format!("{major}.{minor}").parse::<f64>() {
        let labels = [("id", value("ID")), ("id_like", value("ID_LIKE")), ("name", value("NAME"))];
        let help = "Metric containing the major.minor part of the OS version.";
        collection.out.gauge("node_os_version", help, &labels, version);
    }
    Ok(())
}

/// A value as a shell would read it.
fn unquoted(text: &str) -> String {
    let text = text.trim();
    if let Some(text) = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        return text.to_owned();
    }
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let mut value = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        value.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    value
}

/// Label, and its file where that has another name.
const DMI: [(&str, &str); 20] = [
    ("bios_date", "bios_date"),
    ("bios_release", "bios_release"),
    ("bios_vendor", "bios_vendor"),
    ("bios_version", "bios_version"),
    ("board_asset_tag", "board_asset_tag"),
    ("board_name", "board_name"),
    ("board_serial", "board_serial"),
    ("board_vendor", "board_vendor"),
    ("board_version", "board_version"),
    ("chassis_asset_tag", "chassis_asset_tag"),
    ("chassis_serial", "chassis_serial"),
    ("chassis_vendor", "chassis_vendor"),
    ("chassis_version", "chassis_version"),
    ("product_family", "product_family"),
    ("product_name", "product_name"),
    ("product_serial", "product_serial"),
    ("product_sku", "product_sku"),
    ("product_uuid", "product_uuid"),
    ("product_version", "product_version"),
    ("system_vendor", "sys_vendor"),
];

/// Serial numbers are for root only, there as here.
pub(super) fn dmi(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    let files: HashMap<_, _> = collection.reading.below("/sys/class/dmi/id/").collect();
    if files.is_empty() {
        return Ok(());
    }
    let labels = DMI.map(|(label, file)| (label, files.get(file).map(|text| text.trim()).unwrap_or_default()));
    let help = "A metric with a constant '1' value labeled by bios_date, bios_release, bios_vendor, bios_version, \
                board_asset_tag, board_name, board_serial, board_vendor, board_version, chassis_asset_tag, \
                chassis_serial, chassis_vendor, chassis_version, product_family, product_name, product_serial, \
                product_sku, product_uuid, product_version, system_vendor if provided by DMI.";
    collection.out.gauge("node_dmi_info", help, &labels, 1.0);
    Ok(())
}

pub(super) fn selinux(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    const SOURCE: &str = "/sys/fs/selinux/enforce";
    let Some(current) = collection.reading.line(SOURCE) else {
        collection.out.gauge("node_selinux_enabled", "SELinux is enabled, 1 is true, 0 is false", &[], 0.0);
        return Ok(());
    };
    let current = number(SOURCE, current)?;
    let configured = collection.reading.line("/etc/selinux/config").and_then(|line| line.split_once('='));
    let configured = match configured.map(|(_, mode)| mode.trim()) {
        Some("enforcing") => 1.0,
        Some("permissive") => 0.0,
        _ => -1.0,
    };
    let out = &mut collection.out;
    out.gauge("node_selinux_enabled", "SELinux is enabled, 1 is true, 0 is false", &[], 1.0);
    out.gauge("node_selinux_config_mode", "Configured SELinux enforcement mode", &[], configured);
    out.gauge("node_selinux_current_mode", "Current SELinux enforcement mode", &[], current);
    Ok(())
}

pub(super) fn thermal(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    /// `temp` is in thousandths of a degree.
    const DEGREES: f64 = 1000.0;
    for (folder, files) in collection.reading.folders("/sys/class/thermal/") {
        let kind = files.get("type").map(|text| text.trim()).unwrap_or_default();
        if let (Some(zone), Some(temperature)) = (folder.strip_prefix("thermal_zone"), files.get("temp")) {
            let value = number("temp", temperature)? / DEGREES;
            let labels = [("zone", zone), ("type", kind)];
            collection.out.gauge("node_thermal_zone_temp", "Zone temperature in Celsius", &labels, value);
        }
        let Some(name) = folder.strip_prefix("cooling_device") else { continue };
        for (file, family, help) in [
            ("cur_state", "node_cooling_device_cur_state", "Current throttle state of the cooling device"),
            ("max_state", "node_cooling_device_max_state", "Maximum throttle state of the cooling device"),
        ] {
            if let Some(state) = files.get(file) {
                collection.out.gauge(family, help, &[("name", name), ("type", kind)], number(file, state)?);
            }
        }
    }
    Ok(())
}

const UNIT_STATES: [&str; 5] = ["activating", "active", "deactivating", "failed", "inactive"];

/// Where they are asked for.
pub(super) fn units(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    let mut counts = [0.0; UNIT_STATES.len()];
    let mut unit = HashMap::new();
    let lines: Vec<_> = collection.reading.lines("unit").chain([""]).collect();
    let Some(running) = collection.reading.line("running") else { return Ok(()) };
    for line in lines {
        if let Some((key, value)) = line.split_once('=') {
            unit.insert(key, value);
            continue;
        }
        // An empty line ends a unit.
        let unit = std::mem::take(&mut unit);
        let (Some(name), Some(active)) = (unit.get("Id"), unit.get("ActiveState")) else { continue };
        let kind = unit.get("Type").copied().unwrap_or_default();
        for (state, count) in UNIT_STATES.iter().zip(&mut counts) {
            let value = if active == state { 1.0 } else { 0.0 };
            *count += value;
            let labels = [("name", *name), ("state", state), ("type", kind)];
            collection.out.gauge("node_systemd_unit_state", "Systemd unit", &labels, value);
        }
    }
    for (state, count) in UNIT_STATES.iter().zip(counts) {
        collection.out.gauge("node_systemd_units", "Summary of systemd unit states", &[("state", state)], count);
    }
    let running = if running.trim() == "running" { 1.0 } else { 0.0 };
    let help = "Whether the system is operational (see 'systemctl is-system-running')";
    collection.out.gauge("node_systemd_system_running", help, &[], running);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::unquoted;

    #[test]
    fn values_are_read_as_a_shell_reads_them() {
        assert_eq!(unquoted(r#""Debian \"12\"""#), r#"Debian "12""#);
        assert_eq!(unquoted("'a b'"), "a b");
        assert_eq!(unquoted("12"), "12");
    }
}
