//! What a rule file says, each value with its place.
//!
//! The keys are those of Prometheus 3; a key that it does not know is refused, since Prometheus would not load the file.
//! <https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/>

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use crate::finding::Finding;
use crate::source::Source;

pub(crate) type Text = Spanned<String>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleFile {
    #[serde(default, deserialize_with = "or_nothing")]
    pub(crate) groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    pub(crate) name: Text,
    pub(crate) interval: Option<Text>,
    pub(crate) query_offset: Option<Text>,
    #[serde(default, rename = "limit")]
    pub(crate) _limit: Option<u64>,
    #[serde(default, deserialize_with = "or_nothing")]
    pub(crate) labels: BTreeMap<String, Text>,
    #[serde(default, deserialize_with = "or_nothing")]
    pub(crate) rules: Vec<Spanned<Rule>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) record: Option<Text>,
    pub(crate) alert: Option<Text>,
    pub(crate) expr: Text,
    #[serde(rename = "for")]
    pub(crate) pending: Option<Text>,
    pub(crate) keep_firing_for: Option<Text>,
    #[serde(default, deserialize_with = "or_nothing")]
    pub(crate) labels: BTreeMap<String, Text>,
    #[serde(default, deserialize_with = "or_nothing")]
    pub(crate) annotations: BTreeMap<String, Text>,
}

/// A key without a value is an empty list or map, as for Prometheus.
fn or_nothing<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl RuleFile {
    /// Reads the file; a file of another shape is one finding, at its first fault.
    pub(crate) fn parse(source: &Source) -> Result<Self, Finding> {
        let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
        serde_saphyr::from_str_with_options(&source.text, options).map_err(|error| {
            let place = error.location().map_or(0..0, |location| source.place_at(location));
            let message = error.without_snippet().to_string();
            // The position stands beside the message.
            let message = match message.rfind(" at line ").map_or(message.as_str(), |end| &message[..end]) {
                null if null.starts_with("cannot deserialize null") => "expected a text, found nothing",
                message => message,
            };
            Finding::new(place, message)
        })
    }

    pub(crate) fn rules(&self) -> impl Iterator<Item = &Spanned<Rule>> {
        self.groups.iter().flat_map(|group| &group.rules)
    }

    /// Names of the metrics that it records.
    pub(crate) fn recorded(&self) -> impl Iterator<Item = &str> {
        self.rules().filter_map(|rule| rule.value.record.as_ref()).map(|name| name.value.as_str())
    }
}
