//! What the user writes in `exporter.yml`, and what the exporter makes of it.

mod guests;
mod standby;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use lynceus_service::tls::{ClientTls, RawClientTls};
use lynceus_service::{Problems, SecretSource, format_duration};
use serde::Deserialize;
use url::Url;

pub use standby::{Addresses, StandbyConfig};

use crate::guest::rules::Guests;
use crate::ha::{HaConfig, RawHa};
use crate::inventory::Terms;
use crate::ownership::{Condition, Ownership, Rule, Subject, placeholder};

/// As long as REQUIREMENTS gives a vCenter to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// A page of 500 objects or a batch of 300 takes seconds on a busy vCenter.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// What one vCenter may have open for us; it serves people too.
const MAX_CONNECTIONS: usize = 50;
const MAX_RETRIES: u32 = 3;
/// Doubled at each retry.
const RETRY_BACK_OFF: Duration = Duration::from_secs(1);
/// A page of 500 VMs is about 1 MB.
const MAX_RESPONSE_BYTES: usize = 64 << 20;
const INTERVAL: Duration = Duration::from_secs(30);
/// vCenter's default lock-out is five wrong passwords in three minutes; doubling from 30 s stays below it.
const MAX_BACK_OFF: Duration = Duration::from_secs(300);
const BATCH_SIZE: usize = 300;
const MAX_BATCH_SIZE: usize = 1000;
const BATCHES_IN_FLIGHT: usize = 5;
/// vCenter makes its roll-ups of five minutes that often.
const HISTORY_INTERVAL: Duration = Duration::from_secs(300);
/// Sensors, file systems and the like: large, and never urgent.
const DETAILS_INTERVAL: Duration = Duration::from_secs(300);
const TAGS_INTERVAL: Duration = Duration::from_secs(300);

/// The whole config.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// At least one, with names of their own.
    pub vcenters: Vec<VcenterConfig>,
    /// How to collect.
    pub collection: Collection,
    /// Whose VM is whose, and which labels VMs get.
    pub terms: Terms,
    /// How guests are collected, where any are.
    pub guests: Option<Guests>,
    /// The other exporter on the same vCenters, where there is one.
    pub ha: Option<HaConfig>,
}

/// One vCenter.
#[derive(Debug, Clone, PartialEq)]
pub struct VcenterConfig {
    /// The label `vcenter`, and part of the page's path.
    pub name: String,
    /// The SOAP endpoint.
    pub url: Url,
    /// Who signs in.
    pub username: String,
    /// With which password.
    pub password: SecretSource,
    /// How the certificate is verified.
    pub tls: ClientTls,
    /// Limit for a connection, TLS included.
    pub connect_timeout: Duration,
    /// Limit for a request, up to the last byte of the answer.
    pub request_timeout: Duration,
    /// Requests at the same time, and so connections.
    pub max_connections: usize,
    /// Attempts after the first.
    pub max_retries: u32,
    /// Wait before the first retry.
    pub retry_back_off: Duration,
    /// The largest answer that is read, decompressed.
    pub max_response_bytes: usize,
    /// Where collection goes on when this vCenter does not answer.
    pub standby: Option<StandbyConfig>,
}

/// How all vCenters are collected.
#[derive(Debug, Clone, PartialEq)]
pub struct Collection {
    /// From the start of one collection of VMs to the start of the next.
    pub interval: Duration,
    /// The same for hosts.
    pub host_interval: Duration,
    /// The same for the roll-ups of datastores and clusters.
    pub history_interval: Duration,
    /// The same for what is large and changes all the time.
    pub details_interval: Duration,
    /// The same for tags.
    pub tags_interval: Duration,
    /// The longest wait after refused sign-ins.
    pub max_back_off: Duration,
    /// Objects in one performance query, to begin with.
    pub batch_size: usize,
    /// Objects in one performance query at most.
    pub max_batch_size: usize,
    /// Performance queries at the same time, for each vCenter and type of object.
    pub batches_in_flight: usize,
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    vcenters: Vec<RawVcenter>,
    #[serde(default)]
    collection: RawCollection,
    #[serde(default)]
    ownership: Vec<RawRule>,
    #[serde(default)]
    info_labels: RawLabels,
    guests: Option<guests::RawGuests>,
    ha: Option<RawHa>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVcenter {
    name: String,
    url: String,
    username: String,
    password_file: Option<String>,
    password_env: Option<String>,
    #[serde(default)]
    tls: RawClientTls,
    connect_timeout: Option<String>,
    request_timeout: Option<String>,
    max_connections: Option<usize>,
    max_retries: Option<u32>,
    retry_back_off: Option<String>,
    max_response_bytes: Option<usize>,
    standby: Option<standby::RawStandby>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawCollection {
    interval: Option<String>,
    host_interval: Option<String>,
    history_interval: Option<String>,
    details_interval: Option<String>,
    tags_interval: Option<String>,
    max_back_off: Option<String>,
    batch_size: Option<usize>,
    max_batch_size: Option<usize>,
    batches_in_flight: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    team: Option<String>,
    tier: Option<String>,
    vm_name: Option<String>,
    folder: Option<String>,
    resource_pool: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLabels {
    tags: Vec<String>,
    attributes: Vec<String>,
}

impl lynceus_service::Config for Config {
    type Raw = RawConfig;

    fn validate(raw: RawConfig, problems: &mut Problems) -> Option<Self> {
        if raw.vcenters.is_empty() {
            problems.push("vcenters", "at least one vCenter", "none");
        }
        let mut names = HashSet::new();
        for (i, vcenter) in raw.vcenters.iter().enumerate() {
            if !names.insert(vcenter.name.as_str()) {
                problems.push(format!("vcenters[{i}].name"), "a name of its own", format!("`{}` twice", vcenter.name));
            }
        }
        let vcenters: Vec<_> = raw.vcenters.into_iter().enumerate().map(|(i, raw)| vcenter(raw, i, problems)).collect();
        let collection = collection(raw.collection, problems);
        let ownership = ownership(raw.ownership, problems);
        let RawLabels { tags, attributes } = raw.info_labels;
        info_labels("tags", "tag", &tags, problems);
        info_labels("attributes", "attribute", &attributes, problems);
        // Options of options: none at all, or one that is wrong.
        let guests = raw.guests.map(|raw| guests::guests(raw, problems));
        let ha = raw.ha.map(|raw| HaConfig::from_raw(raw, problems));
        let (vcenters, collection) = (vcenters.into_iter().collect::<Option<Vec<_>>>()?, collection?);
        standby::check_after(&vcenters, &collection, problems);
        Some(Self {
            vcenters,
            collection,
            terms: Terms {
                ownership,
                tags,
                attributes,
                guests: match &guests {
                    Some(Some(guests)) => guests.rules.iter().map(|rule| rule.conditions.clone()).collect(),
                    _ => Vec::new(),
                },
            },
            guests: match guests {
                Some(guests) => Some(guests?),
                None => None,
            },
            ha: match ha {
                Some(ha) => Some(ha?),
                None => None,
            },
        })
    }
}

fn vcenter(raw: RawVcenter, i: usize, problems: &mut Problems) -> Option<VcenterConfig> {
    let key = |name: &str| format!("vcenters[{i}].{name}");
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if raw.name.is_empty() || !raw.name.chars().all(plain) || raw.name.starts_with('.') {
        let expected = "letters, digits, `-`, `_` or `.`, not beginning with `.`: it becomes part of a path";
        problems.push(key("name"), expected, format!("`{}`", raw.name));
    }
    if raw.username.is_empty() {
        problems.push(key("username"), "a user name such as `lynceus@vsphere.local`", "nothing");
    }
    let url = endpoint(&key("url"), &raw.url, problems);
    let password = problems.secret(&key("password"), raw.password_file, raw.password_env);
    let tls = ClientTls::from_raw(raw.tls, &key("tls"), problems);
    let connect_timeout = duration(raw.connect_timeout, key("connect_timeout"), CONNECT_TIMEOUT, problems);
    let request_timeout = duration(raw.request_timeout, key("request_timeout"), REQUEST_TIMEOUT, problems);
    let retry_back_off = duration(raw.retry_back_off, key("retry_back_off"), RETRY_BACK_OFF, problems);
    let max_connections = within(raw.max_connections, key("max_connections"), MAX_CONNECTIONS, 2, 1000, problems);
    let max_retries = raw.max_retries.unwrap_or(MAX_RETRIES);
    if max_retries > 10 {
        problems.push(key("max_retries"), "0 to 10", max_retries);
    }
    let max_response_bytes =
        within(raw.max_response_bytes, key("max_response_bytes"), MAX_RESPONSE_BYTES, 64 << 10, 1 << 30, problems);
    // An option of an option: none at all, or one that is wrong.
    let standby = raw.standby.map(|raw| standby::standby(raw, i, problems));
    Some(VcenterConfig {
        name: raw.name,
        url: url?,
        username: raw.username,
        password: password?,
        tls: tls?,
        connect_timeout: connect_timeout?,
        request_timeout: request_timeout?,
        max_connections: max_connections?,
        max_retries,
        retry_back_off: retry_back_off?,
        max_response_bytes: max_response_bytes?,
        standby: match standby {
            None => None,
            Some(standby) => Some(standby?),
        },
    })
}

/// The password travels in the request, so nothing but https will do.
fn endpoint(key: &str, value: &str, problems: &mut Problems) -> Option<Url> {
    let mut url = problems.url(key, value)?;
    if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
        let expected = "an https URL without a user, such as `https://vc01.example.net/sdk`";
        let found = if url.scheme() == "https" { "a URL with a user in it".to_owned() } else { format!("`{value}`") };
        problems.push(key, expected, found);
        return None;
    }
    if url.path() == "/" {
        url.set_path("/sdk");
    }
    Some(url)
}

fn collection(raw: RawCollection, problems: &mut Problems) -> Option<Collection> {
    let key = |name: &str| format!("collection.{name}");
    let interval = duration(raw.interval, key("interval"), INTERVAL, problems);
    let default_back_off = MAX_BACK_OFF.max(interval.unwrap_or_default());
    let max_back_off = duration(raw.max_back_off, key("max_back_off"), default_back_off, problems);
    if let Some((interval, back_off)) = interval.zip(max_back_off)
        && back_off < interval
    {
        let expected = format!("at least `collection.interval` ({})", format_duration(interval));
        problems.push(key("max_back_off"), expected, format_duration(back_off));
    }
    let host_interval = duration(raw.host_interval, key("host_interval"), interval.unwrap_or(INTERVAL), problems);
    let history_interval = duration(raw.history_interval, key("history_interval"), HISTORY_INTERVAL, problems);
    let details_interval = duration(raw.details_interval, key("details_interval"), DETAILS_INTERVAL, problems);
    let tags_interval = duration(raw.tags_interval, key("tags_interval"), TAGS_INTERVAL, problems);
    let batch_size = within(raw.batch_size, key("batch_size"), BATCH_SIZE, 1, 5000, problems);
    let default_most = MAX_BATCH_SIZE.max(batch_size.unwrap_or_default());
    let max_batch_size = within(raw.max_batch_size, key("max_batch_size"), default_most, 1, 5000, problems);
    if let Some((size, most)) = batch_size.zip(max_batch_size)
        && most < size
    {
        problems.push(key("max_batch_size"), format!("at least `collection.batch_size` ({size})"), most);
    }
    let batches_in_flight =
        within(raw.batches_in_flight, key("batches_in_flight"), BATCHES_IN_FLIGHT, 1, 100, problems);
    Some(Collection {
        interval: interval?,
        host_interval: host_interval?,
        history_interval: history_interval?,
        details_interval: details_interval?,
        tags_interval: tags_interval?,
        max_back_off: max_back_off?,
        batch_size: batch_size?,
        max_batch_size: max_batch_size?,
        batches_in_flight: batches_in_flight?,
    })
}

fn ownership(raw: Vec<RawRule>, problems: &mut Problems) -> Ownership {
    Ownership::new(raw.into_iter().enumerate().map(|(i, raw)| rule(raw, i, problems)).collect())
}

fn rule(raw: RawRule, i: usize, problems: &mut Problems) -> Rule {
    let key = |name: &str| format!("ownership[{i}].{name}");
    for (name, value) in [("team", &raw.team), ("tier", &raw.tier)] {
        if value.as_ref().is_some_and(String::is_empty) {
            problems.push(key(name), format!("the name of a {name}"), "nothing");
        }
    }
    if raw.team.is_none() && raw.tier.is_none() {
        problems.push(format!("ownership[{i}]"), "a `team`, a `tier` or both", "neither");
    }
    let patterns = [
        ("vm_name", raw.vm_name, Subject::Name),
        ("folder", raw.folder, Subject::Folder),
        ("resource_pool", raw.resource_pool, Subject::ResourcePool),
    ];
    let conditions = conditions(&format!("ownership[{i}]"), patterns, raw.tags, raw.attributes, problems);
    let mut rest = raw.team.as_deref().unwrap_or_default();
    while let Some((_, name, after)) = placeholder(rest) {
        if !conditions.iter().any(|condition| condition.groups().any(|group| group == name)) {
            let expected = format!("a pattern of this rule with the group `(?<{name}>...)`");
            problems.push(key("team"), expected, "none");
        }
        rest = after;
    }
    Rule { team: raw.team, tier: raw.tier, conditions }
}

/// What a rule asks of a VM: patterns by the key that they are written under, and those of tags and attributes.
fn conditions(
    rule: &str,
    patterns: impl IntoIterator<Item = (&'static str, Option<String>, Subject)>,
    tags: BTreeMap<String, String>,
    attributes: BTreeMap<String, String>,
    problems: &mut Problems,
) -> Vec<Condition> {
    let key = |name: &str| format!("{rule}.{name}");
    let simple = patterns.into_iter().filter_map(|(name, pattern, of)| Some((key(name), pattern?, of)));
    let tags = tags.into_iter().map(|(c, pattern)| (key(&format!("tags.{c}")), pattern, Subject::Tag(c)));
    let attributes = attributes.into_iter();
    let attributes = attributes.map(|(a, pattern)| (key(&format!("attributes.{a}")), pattern, Subject::Attribute(a)));
    let mut conditions = Vec::new();
    for (key, pattern, subject) in simple.chain(tags).chain(attributes) {
        match Condition::new(subject, &pattern) {
            Ok(condition) => conditions.push(condition),
            Err(error) => {
                // The last line of a regex error is the reason, those above it draw the place.
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
                problems.push(key, "a regular expression", format!("`{pattern}` ({reason})"));
            }
        }
    }
    conditions
}

/// Two names that become the same label would make two labels of one name, which Prometheus refuses.
fn info_labels(key: &str, kind: &str, names: &[String], problems: &mut Problems) {
    let mut seen = HashSet::new();
    for (i, name) in names.iter().enumerate() {
        let label = crate::inventory::label_name(name);
        if name.is_empty() || !seen.insert(label.clone()) {
            let expected = "a name that makes a label of its own";
            problems.push(format!("info_labels.{key}[{i}]"), expected, format!("`{name}`, label `{kind}_{label}`"));
        }
    }
}

fn duration(value: Option<String>, key: String, default: Duration, problems: &mut Problems) -> Option<Duration> {
    let Some(value) = value else { return Some(default) };
    let duration = problems.duration(&key, &value)?;
    if duration < Duration::from_secs(1) || duration > Duration::from_secs(3600) {
        problems.push(key, "1s to 1h", format!("`{value}`"));
        return None;
    }
    Some(duration)
}

fn within(
    value: Option<usize>,
    key: String,
    default: usize,
    least: usize,
    most: usize,
    problems: &mut Problems,
) -> Option<usize> {
    let value = value.unwrap_or(default);
    if (least..=most).contains(&value) {
        return Some(value);
    }
    problems.push(key, format!("{least} to {most}"), value);
    None
}
