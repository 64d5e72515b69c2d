//! The catalogue as a file for programs and as a table for people.

use std::fmt::Write;

use serde::Serialize;

use super::{Metric, metrics};

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

/// The table in `docs/exporter.md`.
pub fn markdown() -> String {
    let mut table = "| Metric | Type | Labels | Read from | Meaning |\n|---|---|---|---|---|\n".to_owned();
    for metric in metrics() {
        let labels = metric.all_labels().join("`, `");
        let labels = if labels.is_empty() { String::new() } else { format!("`{labels}`") };
        let origin = if metric.origin() == "exporter" { String::new() } else { format!("`{}`", metric.origin()) };
        // Writing to a String cannot fail.
        let _infallible = writeln!(
            table,
            "| `{}` | {} | {labels} | {origin} | {} |",
            metric.name,
            metric.kind.as_str(),
            metric.help,
        );
    }
    table
}
