//! Network interfaces: what went through them, and how they are set.

use super::{Collection, Malformed, hexadecimal, malformed, number};
use crate::catalogue::Kind;

const INTERFACES: &str = "/sys/class/net/";

/// The columns of `/proc/net/dev`.
const COLUMNS: [&str; 16] = [
    "receive_bytes",
    "receive_packets",
    "receive_errs",
    "receive_drop",
    "receive_fifo",
    "receive_frame",
    "receive_compressed",
    "receive_multicast",
    "transmit_bytes",
    "transmit_packets",
    "transmit_errs",
    "transmit_drop",
    "transmit_fifo",
    "transmit_colls",
    "transmit_carrier",
    "transmit_compressed",
];

pub(super) fn traffic(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    const SOURCE: &str = "/proc/net/dev";
    for line in collection.reading.lines(SOURCE) {
        // The head has no colon.
        let Some((device, values)) = line.rsplit_once(':') else { continue };
        for (key, value) in COLUMNS.iter().zip(values.split_ascii_whitespace()) {
            count(collection, key, device.trim(), number(SOURCE, value)?);
        }
    }
    for (device, files) in collection.reading.folders(INTERFACES) {
        if let Some(value) = files.get("statistics/rx_nohandler") {
            count(collection, "receive_nohandler", device, number("rx_nohandler", value)?);
        }
    }
    Ok(())
}

fn count(collection: &mut Collection<'_>, key: &str, device: &str, value: f64) {
    let (name, help) = (format!("node_network_{key}_total"), format!("Network device statistic {key}."));
    collection.out.counter(name, help, &[("device", device)], value);
}

/// File, family without its prefix, type.
const PROPERTIES: [(&str, &str, Kind); 15] = [
    ("addr_assign_type", "address_assign_type", Kind::Gauge),
    ("carrier", "carrier", Kind::Gauge),
    ("carrier_changes", "carrier_changes_total", Kind::Counter),
    ("carrier_up_count", "carrier_up_changes_total", Kind::Counter),
    ("carrier_down_count", "carrier_down_changes_total", Kind::Counter),
    ("dev_id", "device_id", Kind::Gauge),
    ("dormant", "dormant", Kind::Gauge),
    ("flags", "flags", Kind::Gauge),
    ("ifindex", "iface_id", Kind::Gauge),
    ("iflink", "iface_link", Kind::Gauge),
    ("link_mode", "iface_link_mode", Kind::Gauge),
    ("mtu", "mtu_bytes", Kind::Gauge),
    ("name_assign_type", "name_assign_type", Kind::Gauge),
    ("netdev_group", "net_dev_group", Kind::Gauge),
    ("tx_queue_len", "transmit_queue_length", Kind::Gauge),
];

pub(super) fn properties(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    /// `speed` is in megabits.
    const BYTES: f64 = 1e6 / 8.0;
    for (device, files) in collection.reading.folders(INTERFACES) {
        let text = |file| files.get(file).map(|text| text.trim()).unwrap_or_default();
        let up = if text("operstate") == "up" { 1.0 } else { 0.0 };
        let labels = [("device", device)];
        collection.out.gauge("node_network_up", "Value is 1 if operstate is 'up', 0 otherwise.", &labels, up);
        let help = "Non-numeric data from /sys/class/net/<iface>, value is always 1.";
        let described = [
            ("device", device),
            ("address", text("address")),
            ("broadcast", text("broadcast")),
            ("duplex", text("duplex")),
            ("operstate", text("operstate")),
            ("ifalias", text("ifalias")),
        ];
        collection.out.gauge("node_network_info", help, &described, 1.0);
        let mut add = |file: &str, key: &str, kind, unit: f64| -> Result<(), Malformed> {
            let Some(value) = files.get(file) else { return Ok(()) };
            let (name, help) = (format!("node_network_{key}"), format!("Network device property: {key}"));
            collection.out.add(kind, name, help, &labels, integer(file, value)? * unit);
            Ok(())
        };
        for (file, key, kind) in PROPERTIES {
            add(file, key, kind, 1.0)?;
        }
        add("type", "protocol_type", Kind::Gauge, 1.0)?;
        add("speed", "speed_bytes", Kind::Gauge, BYTES)?;
    }
    Ok(())
}

/// Some are written as `0x1003`.
fn integer(source: &str, text: &str) -> Result<f64, Malformed> {
    if text.trim().starts_with("0x") { hexadecimal(source, text) } else { whole(source, text) }
}

fn whole(source: &str, text: &str) -> Result<f64, Malformed> {
    text.trim().parse::<i64>().map(|value| value as f64).map_err(|_| malformed(source, "an integer", text))
}
