//! What was found, for people and for programs.

use std::fmt::Write;

use serde::Serialize;

use super::Failure;
use super::census::{Census, Total};

const COLUMNS: [&str; 11] =
    ["vcenter", "vm_id", "vm", "team", "team_rule", "tier", "tier_rule", "power", "host", "folder", "series"];

#[derive(Serialize)]
struct All<'a> {
    vcenters: &'a [Census],
    errors: &'a [Failure],
}

/// One object.
pub fn json(found: &[Census], failed: &[Failure]) -> String {
    // Numbers and texts: nothing that could not be written.
    serde_json::to_string_pretty(&All { vcenters: found, errors: failed }).unwrap_or_default() + "\n"
}

/// RFC 4180, but for the ends of lines.
pub fn csv(found: &[Census]) -> String {
    let mut text = COLUMNS.join(",") + "\n";
    for census in found {
        for vm in &census.vms {
            let rule = |rule: Option<usize>| rule.map(|rule| rule.to_string()).unwrap_or_default();
            let (team_rule, tier_rule, series) = (rule(vm.team_rule), rule(vm.tier_rule), vm.series.to_string());
            let row: [&str; 11] = [
                &census.vcenter,
                &vm.vm_id,
                &vm.vm,
                &vm.team,
                &team_rule,
                &vm.tier,
                &tier_rule,
                vm.power.unwrap_or_default(),
                &vm.host,
                &vm.folder,
                &series,
            ];
            text.push_str(&row.map(quoted).join(","));
            text.push('\n');
        }
    }
    text
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", field.replace('"', "\"\""));
    }
    field.to_owned()
}

/// Tables, with totals below.
pub fn table(found: &[Census]) -> String {
    let mut text = String::new();
    let header = ["VCENTER", "VM", "TEAM", "RULE", "TIER", "RULE", "POWER", "HOST", "FOLDER", "SERIES"];
    let mut rows = Vec::new();
    for census in found {
        for vm in &census.vms {
            rows.push([
                census.vcenter.clone(),
                vm.vm.clone(),
                vm.team.clone(),
                rule(vm.team_rule),
                vm.tier.clone(),
                rule(vm.tier_rule),
                vm.power.unwrap_or_default().to_owned(),
                vm.host.clone(),
                vm.folder.clone(),
                vm.series.to_string(),
            ]);
        }
    }
    aligned(&mut text, &header, &rows, 1);
    for (name, of) in [("TEAM", (|census| &census.teams) as fn(&Census) -> &Vec<Total>), ("TIER", |c| &c.tiers)] {
        let rows: Vec<_> = found
            .iter()
            .flat_map(|census| of(census).iter().map(move |total| (census, total)))
            .map(|(census, total)| {
                let [vms, on, series] = [total.vms, total.powered_on, total.series].map(|n| n.to_string());
                [census.vcenter.clone(), or_dash(&total.name), vms, on, series]
            })
            .collect();
        text.push('\n');
        aligned(&mut text, &["VCENTER", name, "VMS", "ON", "SERIES"], &rows, 3);
    }
    for census in found {
        let (series, left_out) = (&census.series, &census.left_out);
        // Writing to a String cannot fail.
        let _infallible = writeln!(
            text,
            "\n{}: {} series, {} of them of VMs, on {} with at most {} (limit {})",
            census.vcenter,
            series.total,
            series.of_vms,
            if series.shards == 1 { "1 page".to_owned() } else { format!("{} pages (shards)", series.shards) },
            series.largest_shard,
            series.shard_limit,
        );
        let left_out = [
            (left_out.templates, "templates"),
            (left_out.unidentified, "without an instance UUID"),
            (left_out.undecided, "undecided: the rules ask for tags, and those were not read"),
        ];
        for (vms, why) in left_out.into_iter().filter(|(vms, _)| *vms > 0) {
            let _infallible = writeln!(text, "{}: {vms} not listed: {why}", census.vcenter);
        }
    }
    text
}

fn rule(rule: Option<usize>) -> String {
    rule.map(|rule| format!("ownership[{rule}]")).unwrap_or_default()
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

/// Columns as wide as their widest cell; the last `numbers` of them end in one line.
fn aligned<const N: usize>(text: &mut String, header: &[&str; N], rows: &[[String; N]], numbers: usize) {
    let header = header.map(str::to_owned);
    let lines: Vec<[String; N]> =
        std::iter::once(&header).chain(rows).map(|row| row.each_ref().map(|c| shown(c))).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..N).map(width).collect();
    for line in &lines {
        let mut written = String::new();
        for (column, cell) in line.iter().enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            let width = widths[column];
            let _infallible = if column + numbers >= N {
                write!(written, "{gap}{cell:>width$}")
            } else {
                write!(written, "{gap}{cell:<width$}")
            };
        }
        text.push_str(written.trim_end());
        text.push('\n');
    }
}

/// A name is somebody else's text: it must not move the cursor.
fn shown(cell: &str) -> String {
    let plain: String = cell.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    or_dash(&plain)
}
