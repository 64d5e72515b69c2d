//! Scripts of your own, run in guests: what one prints, checked before any of it is shown.
//!
//! ```json
//! {"metrics": [{"name": "app_queue_bytes", "type": "gauge", "unit": "bytes", "help": "Waiting mails.",
//!               "labels": {"queue": "out"}, "value": 512}]}
//! ```

mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

pub use run::Runs;

use super::families::Families;
use crate::catalogue::Kind;

/// As long as REQUIREMENTS lets one run.
pub const TIME_LIMIT: Duration = Duration::from_secs(30);

/// What one may print: a thousand series of names and labels of some length.
pub const MAX_BYTES: usize = 1 << 20;

/// Series of one script in one guest.
const MAX_SERIES: usize = 1000;

/// Labels of one series.
const MAX_LABELS: usize = 10;

/// What Prometheus takes from the target, so that no script can speak for another guest or team.
const IDENTITY: [&str; 9] = ["vcenter", "vm_id", "vm", "team", "os", "instance", "job", "exporter", "shard"];

/// Names of others begin like this.
const TAKEN: [&str; 6] = ["node_", "windows_", "namedprocess_", "vsphere_", "lynceus_", "guest_"];

/// A script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The label `script`.
    pub name: String,
    /// Where it is.
    pub source: Source,
    /// From one run to the next, at least.
    pub interval: Duration,
}

/// Where a script is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In the config.
    Inline(String),
    /// In a file, which is read at each run.
    File(PathBuf),
}

/// A sample that a script printed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    name: String,
    #[serde(rename = "type")]
    kind: SampleKind,
    #[serde(default)]
    help: String,
    #[serde(default)]
    unit: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    value: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SampleKind {
    Gauge,
    Counter,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Output {
    metrics: Vec<Sample>,
}

/// What is wrong with what a script printed. Nothing of it is shown then.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScriptError {
    /// It is not JSON, or other JSON than it should be.
    #[error("line {line}, column {column} of its output: {reason}")]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What was expected and what is there.
        reason: String,
    },
    /// A metric that cannot be shown.
    #[error("metrics[{at}].{key}: expected {expected}, found `{found}`")]
    Metric {
        /// Which, counted from 0.
        at: usize,
        /// What of it.
        key: String,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// It ended with an error of its own.
    #[error("it ended with status {0}; what it prints to stderr is not read")]
    Status(u32),
    /// It did not end.
    #[error("it did not end within {TIME_LIMIT:?}")]
    TimeLimit,
    /// There are too many.
    #[error("expected at most {MAX_SERIES} metrics, found {0}")]
    TooMany(usize),
}

/// What a script printed, checked.
pub fn read(text: &str) -> Result<Vec<Sample>, ScriptError> {
    let output: Output = serde_json::from_str(text).map_err(|error| {
        let reason = error.to_string();
        // The place is told already.
        let reason = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(reason, _)| reason).to_owned();
        ScriptError::Json { line: error.line(), column: error.column(), reason }
    })?;
    if output.metrics.len() > MAX_SERIES {
        return Err(ScriptError::TooMany(output.metrics.len()));
    }
    let mut kinds = BTreeMap::new();
    let mut series = BTreeSet::new();
    for (at, sample) in output.metrics.iter().enumerate() {
        let wrong = |key: &str, expected, found: &str| {
            let found = found.chars().take(80).collect();
            Err(ScriptError::Metric { at, key: key.to_owned(), expected, found })
        };
        let Sample { name, kind, unit, labels, .. } = sample;
        if !is_name(name, ":") {
            return wrong("name", "a name of letters, digits, `_` and `:`", name);
        }
        if TAKEN.iter().any(|prefix| name.starts_with(prefix)) {
            return wrong("name", "a name that does not begin as those of other exporters do", name);
        }
        let is_total = name.ends_with("_total");
        if is_total != (*kind == SampleKind::Counter) {
            return wrong("name", "a name that ends in `_total` if it is a counter, and only then", name);
        }
        let stem = name.strip_suffix("_total").unwrap_or(name);
        if !unit.is_empty() && !stem.ends_with(&format!("_{unit}")) {
            return wrong("unit", "the unit that the name ends with", unit);
        }
        if labels.len() > MAX_LABELS {
            return wrong("labels", "at most ten", &labels.len().to_string());
        }
        for label in labels.keys() {
            if !is_name(label, "") || label.starts_with("__") {
                return wrong("labels", "names of letters, digits and `_`", label);
            }
            if IDENTITY.contains(&label.as_str()) {
                return wrong("labels", "no label that says which guest it is", label);
            }
        }
        if *kinds.entry(name).or_insert(*kind) != *kind {
            return wrong("type", "the type that it has above", if is_total { "counter" } else { "gauge" });
        }
        if !series.insert((name, labels)) {
            return wrong("labels", "others than those of another metric of this name", &format!("{labels:?}"));
        }
    }
    Ok(output.metrics)
}

fn is_name(name: &str, more: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_' || more.contains(c);
    name.starts_with(is_letter) && name.len() <= 200 && name.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}

/// What a shell of the guest is given to run: the script in a shell of its own, which the guest itself ends with all that it
/// has started, and between two lines with the mark what that prints and how it ended.
pub fn command(mark: &str, script: &str, limit: Duration) -> String {
    let limit = limit.as_secs().max(1);
    format!(
        "exec 2>/dev/null\nprintf '%s begin\\n' {mark}\n\
         limit=''; if command -v timeout >/dev/null; then limit='timeout -s KILL {limit}'; fi\n\
         $limit /bin/sh -s <<'{mark}'\nscript() {{\n:\n{script}\n}}\n(script) </dev/null\n{mark}\n\
         printf '\\n%s\\n%s end\\n' $? {mark}\n"
    )
}

/// What is between those lines, once the script ended well.
pub fn output(body: &str) -> Result<&str, ScriptError> {
    let (output, status) = body.trim_end().rsplit_once('\n').unwrap_or_default();
    match status.parse() {
        Ok(0) => Ok(output),
        // As timeout(1) says it, and as a shell does of what was killed.
        Ok(124 | 137) => Err(ScriptError::TimeLimit),
        Ok(status) => Err(ScriptError::Status(status)),
        Err(_) => Err(ScriptError::Status(u32::MAX)),
    }
}

/// Adds them to a guest's page.
pub fn add(samples: &[Sample], out: &mut Families) {
    for Sample { name, kind, help, labels, value, .. } in samples {
        let kind = match kind {
            SampleKind::Gauge => Kind::Gauge,
            SampleKind::Counter => Kind::Counter,
        };
        let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        out.add(kind, name.clone(), help.clone(), &labels, *value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::End;

    fn check(metrics: &str, expected: &str) {
        let found = match read(&format!("{{\"metrics\":[{metrics}]}}")) {
            Ok(samples) => {
                let mut out = Families::default();
                add(&samples, &mut out);
                out.page().finish(&End::default()).text()
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn what_a_script_prints_is_shown() {
        check(
            r#"{"name":"app_queue_bytes","type":"gauge","unit":"bytes","help":"Mails.","labels":{"q":"a\"b"},"value":5},
               {"name":"app_sent_total","type":"counter","value":7}"#,
            "# HELP app_queue_bytes Mails.\n# TYPE app_queue_bytes gauge\napp_queue_bytes{q=\"a\\\"b\"} 5\n\
             # HELP app_sent_total \n# TYPE app_sent_total counter\napp_sent_total 7\n",
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        check(
            r#"{"name":"a","type":"histogram","value":1}"#,
            "line 1, column 42 of its output: unknown variant `histogram`, expected `gauge` or `counter`",
        );
        check(
            r#"{"name":"a b","type":"gauge","value":1}"#,
            "metrics[0].name: expected a name of letters, digits, `_` and `:`, found `a b`",
        );
        check(
            r#"{"name":"node_load1","type":"gauge","value":1}"#,
            "metrics[0].name: expected a name that does not begin as those of other exporters do, found `node_load1`",
        );
        check(
            r#"{"name":"a","type":"counter","value":1}"#,
            "metrics[0].name: expected a name that ends in `_total` if it is a counter, and only then, found `a`",
        );
        check(
            r#"{"name":"a_seconds","type":"gauge","unit":"bytes","value":1}"#,
            "metrics[0].unit: expected the unit that the name ends with, found `bytes`",
        );
        check(
            r#"{"name":"a","type":"gauge","labels":{"team":"red"},"value":1}"#,
            "metrics[0].labels: expected no label that says which guest it is, found `team`",
        );
        check(
            r#"{"name":"a","type":"gauge","value":1},{"name":"a","type":"gauge","value":2}"#,
            "metrics[1].labels: expected others than those of another metric of this name, found `{}`",
        );
    }

    #[test]
    fn a_script_has_to_end_well() {
        assert_eq!(output("{}\n0\n"), Ok("{}"));
        assert_eq!(output("{}\n\n0\n"), Ok("{}\n"));
        assert_eq!(output("\n3\n"), Err(ScriptError::Status(3)));
        assert_eq!(output("{}\n137\n"), Err(ScriptError::TimeLimit));
    }

    #[test]
    fn too_many_are_none() {
        let one = |i: usize| format!(r#"{{"name":"a","type":"gauge","labels":{{"i":"{i}"}},"value":1}}"#);
        let all: Vec<_> = (0..=MAX_SERIES).map(one).collect();
        check(&all.join(","), "expected at most 1000 metrics, found 1001");
    }
}
