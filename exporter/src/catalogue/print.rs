//! The catalogue as a file for programs and as tables for people.

use std::fmt::Write;

use serde::Serialize;

use super::{METRICS, Metric, Source, metrics};

#[derive(Serialize)]
struct Catalogue {
    /// Labels that Prometheus adds to every series of a vCenter's page.
    target_labels: &'static [&'static str],
    metrics: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    unit: &'static str,
    labels: Vec<&'static str>,
    page: &'static str,
    source: &'static str,
    help: &'static str,
}

impl From<&Metric> for Entry {
    fn from(metric: &Metric) -> Self {
        Self {
            name: metric.name,
            kind: metric.kind.as_str(),
            unit: metric.unit.as_str(),
            labels: metric.all_labels(),
            page: metric.page(),
            source: metric.origin(),
            help: metric.help,
        }
    }
}

/// `exporter/metrics.json`.
pub fn json() -> serde_json::Result<String> {
    let catalogue =
        Catalogue { target_labels: &["instance", "job", "vcenter"], metrics: metrics().map(Entry::from).collect() };
    Ok(serde_json::to_string_pretty(&catalogue)? + "\n")
}

/// Headings of the tables in [`METRICS`]; the exporter's own two are one.
const HEADINGS: [&str; 9] = [
    "Virtual machines",
    "Hosts",
    "Datastores",
    "Networks",
    "Clusters",
    "Resource pools and vApps",
    "vCenter",
    "Parts of the collection",
    "The exporter itself",
];

/// The tables in `docs/metrics.md`.
pub fn markdown() -> String {
    let mut text = String::new();
    for (i, group) in METRICS.iter().enumerate() {
        if let Some(heading) = HEADINGS.get(i) {
            let gap = if i == 0 { "" } else { "\n" };
            text.push_str(&format!("{gap}## {heading}\n\n"));
            text.push_str("| Metric | Type | Labels | Read from | Meaning |\n|---|---|---|---|---|\n");
        }
        rows(&mut text, group);
    }
    text
}

fn rows(table: &mut String, metrics: &[Metric]) {
    for metric in metrics {
        let labels = metric.all_labels().join("`, `");
        let labels = if labels.is_empty() { String::new() } else { format!("`{labels}`") };
        let origin = if metric.origin() == "exporter" { String::new() } else { format!("`{}`", metric.origin()) };
        // Writing to a String cannot fail.
        let _infallible = writeln!(
            table,
            "| `{}` | {} | {labels} | {origin} | {} |",
            metric.name,
            metric.kind.as_str(),
            meaning(metric),
        );
    }
}

/// Two metrics of one counter differ in what is made of its samples.
fn meaning(metric: &Metric) -> String {
    match metric.source {
        Source::Perf(_, _, shown) => format!("{}: {}", metric.help, shown.as_str()),
        _ => metric.help.to_owned(),
    }
}
