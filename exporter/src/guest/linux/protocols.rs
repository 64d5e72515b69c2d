//! The network above its interfaces: protocols, sockets, tracked connections, neighbours.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::{Collection, Malformed, hexadecimal, malformed, number};
use crate::catalogue::Kind;

/// The fields of which node_exporter makes metrics.
static FIELDS: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::unwrap_used, reason = "it is a constant, and a test uses it")]
    Regex::new(concat!(
        "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)|",
        "TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts)|",
        "Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)|",
        "Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$"
    ))
    .unwrap()
});

pub(super) fn statistics(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    for source in ["/proc/net/netstat", "/proc/net/snmp"] {
        let lines: Vec<_> = collection.reading.lines(source).collect();
        for [names, values] in lines.as_chunks().0 {
            let (Some((protocol, names)), Some((_, values))) = (names.split_once(':'), values.split_once(':')) else {
                return Err(malformed(source, "a protocol and a colon", names));
            };
            for (name, value) in names.split_ascii_whitespace().zip(values.split_ascii_whitespace()) {
                count(collection, source, protocol, name, value)?;
            }
        }
    }
    const SOURCE: &str = "/proc/net/snmp6";
    for line in collection.reading.lines(SOURCE) {
        let Some((key, value)) = line.split_once([' ', '\t']) else { continue };
        if let Some(six) = key.find('6') {
            let (protocol, name) = key.split_at(six + 1);
            count(collection, SOURCE, protocol, name, value)?;
        }
    }
    Ok(())
}

fn count(
    collection: &mut Collection<'_>,
    source: &str,
    protocol: &str,
    name: &str,
    value: &str,
) -> Result<(), Malformed> {
    let key = format!("{protocol}_{name}");
    let is_name = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_name && FIELDS.is_match(&key) {
        let help = format!("Statistic {protocol}{name}.");
        collection.out.add(Kind::Untyped, format!("node_netstat_{key}"), help, &[], number(source, value)?);
    }
    Ok(())
}

pub(super) fn sockets(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    for source in ["/proc/net/sockstat", "/proc/net/sockstat6"] {
        for line in collection.reading.lines(source) {
            let Some((protocol, rest)) = line.split_once(':') else { continue };
            let fields: Vec<_> = rest.split_ascii_whitespace().collect();
            for [key, value] in fields.as_chunks().0 {
                let value = number(source, value)?;
                if protocol == "sockets" {
                    let help = "Number of IPv4 sockets in use.";
                    collection.out.gauge("node_sockstat_sockets_used", help, &[], value);
                    continue;
                }
                socket(collection, protocol, key, value);
                if *key == "mem" {
                    let page = collection.page_size()?;
                    socket(collection, protocol, "mem_bytes", value * page);
                }
            }
        }
    }
    Ok(())
}

fn socket(collection: &mut Collection<'_>, protocol: &str, key: &str, value: f64) {
    if [protocol, key].concat().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        let (name, help) =
            (format!("node_sockstat_{protocol}_{key}"), format!("Number of {protocol} sockets in state {key}."));
        collection.out.gauge(name, help, &[], value);
    }
}

/// Column, family, help.
const TRACKED: [(usize, &str, &str); 8] = [
    (2, "node_nf_conntrack_stat_found", "Number of searched entries which were successful."),
    (4, "node_nf_conntrack_stat_invalid", "Number of packets seen which can not be tracked."),
    (5, "node_nf_conntrack_stat_ignore", "Number of packets seen which are already connected to a conntrack entry."),
    (8, "node_nf_conntrack_stat_insert", "Number of entries inserted into the list."),
    (9, "node_nf_conntrack_stat_insert_failed", "Number of entries for which list insertion was attempted but failed."),
    (10, "node_nf_conntrack_stat_drop", "Number of packets dropped due to conntrack failure."),
    (
        11,
        "node_nf_conntrack_stat_early_drop",
        "Number of dropped conntrack entries to make room for new ones, if maximum table size was reached.",
    ),
    (
        16,
        "node_nf_conntrack_stat_search_restart",
        "Number of conntrack table lookups which had to be restarted due to hashtable resizes.",
    ),
];

pub(super) fn conntrack(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    const SOURCE: &str = "/proc/net/stat/nf_conntrack";
    for (source, name, help) in [
        (
            "/proc/sys/net/netfilter/nf_conntrack_count",
            "node_nf_conntrack_entries",
            "Number of currently allocated flow entries for connection tracking.",
        ),
        (
            "/proc/sys/net/netfilter/nf_conntrack_max",
            "node_nf_conntrack_entries_limit",
            "Maximum size of connection tracking table.",
        ),
    ] {
        if let Some(line) = collection.reading.line(source) {
            collection.out.gauge(name, help, &[], number(source, line)?);
        }
    }
    // A line for each processor.
    let lines = collection.reading.lines(SOURCE).skip(1);
    let rows: Vec<Vec<_>> = lines.map(|line| line.split_ascii_whitespace().collect()).collect();
    if rows.is_empty() {
        return Ok(());
    }
    for (column, name, help) in TRACKED {
        let values = rows.iter().filter_map(|row| row.get(column));
        let sum = values.map(|value| hexadecimal(SOURCE, value)).sum::<Result<f64, _>>()?;
        collection.out.gauge(name, help, &[], sum);
    }
    Ok(())
}

pub(super) fn arp(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    let mut entries = BTreeMap::<_, f64>::new();
    for line in collection.reading.lines("/proc/net/arp").skip(1) {
        if let Some(device) = line.split_ascii_whitespace().next_back() {
            *entries.entry(device).or_default() += 1.0;
        }
    }
    for (device, count) in entries {
        collection.out.gauge("node_arp_entries", "ARP entries by device", &[("device", device)], count);
    }
    Ok(())
}

/// Of the sockets that have something in a queue, which are all that the script prints.
pub(super) fn udp_queues(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    for (source, version) in [("/proc/net/udp", "v4"), ("/proc/net/udp6", "v6")] {
        if !collection.reading.has(source) {
            continue;
        }
        let (mut transmit, mut receive) = (0.0, 0.0);
        for line in collection.reading.lines(source) {
            let queues = line.split_ascii_whitespace().nth(4).and_then(|queues| queues.split_once(':'));
            let Some((sent, received)) = queues.filter(|_| !line.trim_start().starts_with("sl")) else { continue };
            transmit += hexadecimal(source, sent)?;
            receive += hexadecimal(source, received)?;
        }
        let help = "Number of allocated memory in the kernel for UDP datagrams in bytes.";
        for (queue, value) in [("tx", transmit), ("rx", receive)] {
            collection.out.gauge("node_udp_queues", help, &[("queue", queue), ("ip", version)], value);
        }
    }
    Ok(())
}
