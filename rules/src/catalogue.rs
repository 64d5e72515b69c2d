//! The metrics that exist, as an exporter's catalogue lists them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Deserialize;

/// Names of metrics. It speaks for the names that begin as its own do: `vsphere_`, `lynceus_exporter_`.
#[derive(Debug, Default)]
pub struct Catalogue {
    names: BTreeSet<String>,
    prefixes: BTreeSet<String>,
}

/// A catalogue that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The system says no.
    #[error("failed to read the catalogue `{path}`")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not a catalogue.
    #[error("`{path}`: expected a catalogue, JSON with `metrics`, each with `name` and `type`")]
    Json {
        /// The file.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
}

#[derive(Deserialize)]
struct File {
    metrics: Vec<Metric>,
}

#[derive(Deserialize)]
struct Metric {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Catalogue {
    /// Reads one or more catalogues as one.
    pub fn read(paths: &[PathBuf]) -> Result<Self, CatalogueError> {
        let mut catalogue = Self::default();
        for path in paths {
            let name = || path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|source| CatalogueError::Read { path: name(), source })?;
            let file: File =
                serde_json::from_str(&text).map_err(|source| CatalogueError::Json { path: name(), source })?;
            file.metrics.iter().for_each(|metric| catalogue.add(&metric.name, &metric.kind));
        }
        Ok(catalogue)
    }

    fn add(&mut self, name: &str, kind: &str) {
        self.prefixes.insert(prefix(name).to_owned());
        // Its series have other names than the metric.
        match kind {
            "histogram" => self.names.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}"))),
            _ => {
                self.names.insert(name.to_owned());
            }
        }
    }

    pub(crate) fn speaks_for(&self, name: &str) -> bool {
        self.prefixes.contains(prefix(name))
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The name that was probably meant.
    pub(crate) fn similar(&self, name: &str) -> Option<&str> {
        let nearest = self.names.iter().map(|known| (distance(name, known), known)).min()?;
        // All names begin alike; with a third of the rest wrong, it is another name.
        let own = name.len() - prefix(name).len();
        (nearest.0 <= own / 3).then_some(nearest.1.as_str())
    }
}

/// `vsphere_` of `vsphere_vm_info`; of ours the daemon's name as well: `lynceus_exporter_`.
fn prefix(name: &str) -> &str {
    let words = if name.starts_with("lynceus_") { 2 } else { 1 };
    name.match_indices('_').nth(words - 1).map_or(name, |(end, _)| &name[..=end])
}

/// Characters to insert, remove or replace to make one name of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Catalogue {
        let mut catalogue = Catalogue::default();
        catalogue.add("vsphere_vm_power_state", "gauge");
        catalogue.add("vsphere_vm_cpu_ready_ratio", "gauge");
        catalogue.add("lynceus_exporter_request_duration_seconds", "histogram");
        catalogue
    }

    #[test]
    fn it_speaks_for_names_that_begin_as_its_own() {
        for (name, expected) in [
            ("vsphere_x", true),
            ("lynceus_exporter_x", true),
            ("lynceus_bridge_x", false),
            ("node_cpu", false),
            ("up", false),
        ] {
            assert_eq!(catalogue().speaks_for(name), expected, "{name}");
        }
    }

    #[test]
    fn series_of_a_histogram_have_suffixes() {
        assert!(catalogue().contains("lynceus_exporter_request_duration_seconds_bucket"));
        assert!(!catalogue().contains("lynceus_exporter_request_duration_seconds"));
    }

    #[test]
    fn a_misspelt_name_is_recognised_and_another_is_not() {
        assert_eq!(catalogue().similar("vsphere_vm_powerstate"), Some("vsphere_vm_power_state"));
        assert_eq!(catalogue().similar("vsphere_host_fan_speed"), None);
    }

    #[test]
    fn distances_are_those_of_levenshtein() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
