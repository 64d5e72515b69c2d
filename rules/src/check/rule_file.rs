//! The file has the shape that Prometheus loads. Unknown keys and wrong types are found while it is read.

use std::collections::{BTreeMap, BTreeSet};

use super::Context;
use crate::finding::Finding;
use crate::rule_file::{Group, Rule, Text};

pub(crate) const NAME: &str = "rule_file";

pub(super) fn run(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let mut names = BTreeSet::new();
    for group in &context.file.groups {
        let mut report = Reporter { context, findings };
        if group.name.value.is_empty() {
            report.at(&group.name, "the group has no name");
        } else if !names.insert(group.name.value.as_str()) {
            report.at(&group.name, format!("there are two groups `{}` in this file", group.name.value));
        }
        check_group(group, &mut report);
    }
}

struct Reporter<'a, 'b> {
    context: &'a Context<'b>,
    findings: &'a mut Vec<Finding>,
}

impl Reporter<'_, '_> {
    fn at<T>(&mut self, value: &serde_saphyr::Spanned<T>, message: impl Into<String>) -> &mut Finding {
        let place = self.context.source.place_of(value);
        self.findings.push(Finding::new(place, message));
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }
}

fn check_group(group: &Group, report: &mut Reporter<'_, '_>) {
    for (key, value) in [("interval", &group.interval), ("query_offset", &group.query_offset)] {
        check_duration(key, value.as_ref(), report);
    }
    check_labels(&group.labels, report);
    let mut seen = BTreeSet::new();
    for rule in &group.rules {
        check_rule(rule, report);
        if !seen.insert(identity(&rule.value)) {
            report.at(rule, "there is the same rule in this group before").help =
                Some("two rules of one name, expression and labels give the same series twice".to_owned());
        }
    }
}

fn check_rule(rule: &serde_saphyr::Spanned<Rule>, report: &mut Reporter<'_, '_>) {
    let Rule { record, alert, pending, keep_firing_for, labels, annotations, .. } = &rule.value;
    match (record, alert) {
        (None, None) => {
            report.at(rule, "expected `record` or `alert`, found neither");
        }
        (Some(_), Some(alert)) => {
            report.at(alert, "expected either `record` or `alert`, found both");
        }
        (Some(name), None) => {
            if !is_metric_name(&name.value) {
                report.at(name, format!("expected the name of a metric, found `{}`", name.value));
            }
            let only_alerts = [("for", pending), ("keep_firing_for", keep_firing_for)];
            for (key, value) in only_alerts {
                if let Some(value) = value {
                    report.at(value, format!("a recording rule has no `{key}`"));
                }
            }
            if let Some(annotation) = annotations.values().next() {
                report.at(annotation, "a recording rule has no annotations");
            }
        }
        (None, Some(name)) => {
            if name.value.is_empty() {
                report.at(name, "the alert has no name");
            }
            check_duration("for", pending.as_ref(), report);
            check_duration("keep_firing_for", keep_firing_for.as_ref(), report);
        }
    }
    check_labels(labels, report);
    for (name, value) in annotations {
        if !is_label_name(name) {
            report.at(value, format!("expected a name of letters, digits and underscores, found `{name}`"));
        }
    }
}

fn check_labels(labels: &BTreeMap<String, Text>, report: &mut Reporter<'_, '_>) {
    for (name, value) in labels {
        if name == "__name__" {
            report.at(value, "the label `__name__` cannot be set: it is the name of the metric");
        } else if !is_label_name(name) {
            report.at(value, format!("expected a label of letters, digits and underscores, found `{name}`"));
        }
    }
}

fn check_duration(key: &str, value: Option<&Text>, report: &mut Reporter<'_, '_>) {
    if let Some(value) = value
        && !is_duration(&value.value)
    {
        report.at(value, format!("expected a duration such as `5m` in `{key}`, found `{}`", value.value));
    }
}

/// Two rules that are the same in all of these give the same series. Prometheus loads them, to nobody's use.
fn identity(rule: &Rule) -> Vec<&str> {
    let names = [&rule.record, &rule.alert].map(|name| name.as_ref().map_or("", |name| name.value.as_str()));
    let labels = rule.labels.iter().flat_map(|(name, value)| [name.as_str(), value.value.as_str()]);
    names.into_iter().chain([rule.expr.value.as_str()]).chain(labels).collect()
}

fn is_metric_name(name: &str) -> bool {
    is_name(name, |c| c == ':')
}

fn is_label_name(name: &str) -> bool {
    is_name(name, |_| false)
}

fn is_name(name: &str, also: fn(char) -> bool) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || also(c))
}

/// Prometheus' notation: numbers with units, the longest unit first, each once.
fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 7] = ["y", "w", "d", "h", "m", "s", "ms"];
    let mut rest = text;
    let mut units = UNITS.as_slice();
    while !rest.is_empty() {
        let Some(digits) = rest.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0) else { break };
        let unit = &rest[digits..];
        let unit = &unit[..unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len())];
        let Some(index) = units.iter().position(|known| *known == unit) else { return false };
        units = &units[index + 1..];
        rest = &rest[digits + unit.len()..];
    }
    text == "0" || (rest.is_empty() && !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_prometheus() {
        for valid in ["0", "0s", "5m", "1h30m", "500ms", "1d12h", "1y2w"] {
            assert!(is_duration(valid), "{valid}");
        }
        for invalid in ["", "5", "m", "5 m", "1m1h", "5m5m", "1.5h", "-5m", "5min"] {
            assert!(!is_duration(invalid), "{invalid}");
        }
    }
}
