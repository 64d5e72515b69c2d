//! What the user writes about guests.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use lynceus_service::{Problems, SecretSource};
use russh::keys::ssh_key::Fingerprint;
use serde::Deserialize;

use super::{conditions, duration, within};
use crate::guest::linux::Wanted;
use crate::guest::rules::{Guests, HostKeySettings, How, Rule};
use crate::guest::scripts::{Script, Source};
use crate::guest::ssh::{HostKeys, Key, Limits, Login};
use crate::ownership::Subject;

/// As long as REQUIREMENTS gives a guest to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// A guest that is short of everything still answers within it.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(20);
const INTERVAL: Duration = Duration::from_secs(30);
/// As many as REQUIREMENTS allows.
const MAX_IN_FLIGHT: usize = 100;
const MAX_CONNECTIONS: usize = 5000;
/// A guest with 4,096 processes and 256 file systems prints less than 2 MB.
const MAX_RESPONSE_BYTES: usize = 4 << 20;
const PORT: usize = 22;

const KNOWN_HOSTS: &str = "guests.host_keys.known_hosts";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGuests {
    allowed_networks: Vec<String>,
    #[serde(default)]
    credentials: BTreeMap<String, RawCredential>,
    #[serde(default)]
    host_keys: RawHostKeys,
    #[serde(default)]
    scripts: BTreeMap<String, RawScript>,
    #[serde(default)]
    rules: Vec<RawGuestRule>,
    interval: Option<String>,
    connect_timeout: Option<String>,
    command_timeout: Option<String>,
    max_in_flight: Option<usize>,
    max_connections: Option<usize>,
    max_response_bytes: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCredential {
    username: String,
    private_key_file: Option<String>,
    passphrase_file: Option<String>,
    passphrase_env: Option<String>,
    certificate_file: Option<String>,
    agent_socket: Option<String>,
    password_file: Option<String>,
    password_env: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScript {
    file: Option<String>,
    script: Option<String>,
    interval: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawHostKeys {
    known_hosts: Option<String>,
    pinned: Vec<String>,
    learn: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGuestRule {
    os: Option<String>,
    team: Option<String>,
    tier: Option<String>,
    vm_name: Option<String>,
    folder: Option<String>,
    resource_pool: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    skip: bool,
    credential: Option<String>,
    port: Option<usize>,
    interval: Option<String>,
    networks: Option<Vec<String>>,
    #[serde(default)]
    network_file_systems: bool,
    #[serde(default)]
    processes: bool,
    #[serde(default)]
    units: bool,
    #[serde(default)]
    scripts: Vec<String>,
}

pub(super) fn guests(raw: RawGuests, problems: &mut Problems) -> Option<Guests> {
    let key = |name: &str| format!("guests.{name}");
    if raw.allowed_networks.is_empty() {
        let expected = "the networks that guests may be in: where a guest is, it says itself";
        problems.push(key("allowed_networks"), expected, "none");
    }
    let allowed = networks(&key("allowed_networks"), &raw.allowed_networks, problems);
    let interval = duration(raw.interval, key("interval"), INTERVAL, problems);
    let connect = duration(raw.connect_timeout, key("connect_timeout"), CONNECT_TIMEOUT, problems);
    let command = duration(raw.command_timeout, key("command_timeout"), COMMAND_TIMEOUT, problems);
    let bytes =
        within(raw.max_response_bytes, key("max_response_bytes"), MAX_RESPONSE_BYTES, 64 << 10, 64 << 20, problems);
    let max_in_flight = within(raw.max_in_flight, key("max_in_flight"), MAX_IN_FLIGHT, 1, 1000, problems);
    let max_connections = within(raw.max_connections, key("max_connections"), MAX_CONNECTIONS, 1, 50_000, problems);
    let host_keys = host_keys(raw.host_keys, problems);
    let credentials = raw.credentials.into_iter();
    let credentials: BTreeMap<_, _> = credentials
        .map(|(name, raw)| (name.clone(), credential(&key(&format!("credentials.{name}")), raw, problems)))
        .collect();
    // What hangs on it is checked all the same.
    let default_interval = interval.unwrap_or(INTERVAL);
    let scripts = raw.scripts.into_iter().filter_map(|(name, raw)| script(name, raw, default_interval, problems));
    let scripts = scripts.map(|script| (script.name.clone(), script)).collect();
    let defaults = Defaults { allowed, interval: default_interval, credentials, scripts };
    let rules: Vec<_> = raw.rules.into_iter().enumerate().map(|(i, raw)| rule(raw, i, &defaults, problems)).collect();
    interval?;
    Some(Guests {
        rules: rules.into_iter().collect::<Option<_>>()?,
        limits: Limits { connect: connect?, command: command?, bytes: bytes? },
        max_in_flight: max_in_flight?,
        max_connections: max_connections?,
        host_keys,
    })
}

struct Defaults {
    allowed: Vec<IpNet>,
    interval: Duration,
    credentials: BTreeMap<String, Login>,
    scripts: BTreeMap<String, Script>,
}

fn script(name: String, raw: RawScript, interval: Duration, problems: &mut Problems) -> Option<Script> {
    let key = format!("guests.scripts.{name}");
    let interval = duration(raw.interval, format!("{key}.interval"), interval, problems);
    let source = match (raw.file, raw.script) {
        (Some(file), None) => problems.path(&format!("{key}.file"), &file).map(Source::File),
        (None, Some(script)) => Some(Source::Inline(script)),
        (file, _) => {
            let found = if file.is_some() { "both" } else { "neither" };
            problems.push(key, "exactly one of `file` and `script`", found);
            None
        }
    };
    Some(Script { name, source: source?, interval: interval? })
}

/// Those that are networks.
fn networks(key: &str, texts: &[String], problems: &mut Problems) -> Vec<IpNet> {
    let network = |(i, text): (usize, &String)| {
        let network = text.parse().ok();
        if network.is_none() {
            problems.push(format!("{key}[{i}]"), "a network such as `10.20.0.0/16`", format!("`{text}`"));
        }
        network
    };
    texts.iter().enumerate().filter_map(network).collect()
}

fn credential(key: &str, raw: RawCredential, problems: &mut Problems) -> Login {
    if raw.username.is_empty() {
        problems.push(format!("{key}.username"), "the user that signs in on the guest", "nothing");
    }
    let has_passphrase = raw.passphrase_file.is_some() || raw.passphrase_env.is_some();
    let has_password = raw.password_file.is_some() || raw.password_env.is_some();
    let secret = |name: &str, wanted: bool, file, env, problems: &mut Problems| -> Option<SecretSource> {
        wanted.then(|| problems.secret(&format!("{key}.{name}"), file, env)).flatten()
    };
    let passphrase = secret("passphrase", has_passphrase, raw.passphrase_file, raw.passphrase_env, problems);
    let password = secret("password", has_password, raw.password_file, raw.password_env, problems);
    if raw.private_key_file.is_none() && (has_passphrase || raw.certificate_file.is_some()) {
        let expected = "`private_key_file` beside a passphrase or a certificate";
        problems.push(key, expected, "none");
    }
    let mut path =
        |name: &str, value: Option<String>| value.and_then(|value| problems.path(&format!("{key}.{name}"), &value));
    let certificate = path("certificate_file", raw.certificate_file);
    let private_key = path("private_key_file", raw.private_key_file);
    let private_key = private_key.map(|file| Key { file, passphrase, certificate });
    let agent = raw.agent_socket.map(PathBuf::from);
    if private_key.is_none() && agent.is_none() && !has_password {
        let expected = "`private_key_file`, `agent_socket`, `password_file` or `password_env`";
        problems.push(key, expected, "none of them");
    }
    Login { username: raw.username, key: private_key, agent, password }
}

fn host_keys(raw: RawHostKeys, problems: &mut Problems) -> HostKeySettings {
    let mut pinned = Vec::new();
    for (i, text) in raw.pinned.iter().enumerate() {
        match text.parse::<Fingerprint>() {
            Ok(fingerprint) if fingerprint.is_sha256() => pinned.push(fingerprint),
            _ => {
                let expected = "a fingerprint as `ssh-keygen -l` prints it, such as `SHA256:k3Jx…`";
                problems.push(format!("guests.host_keys.pinned[{i}]"), expected, format!("`{text}`"));
            }
        }
    }
    let known_hosts = raw.known_hosts.and_then(|file| problems.path(KNOWN_HOSTS, &file));
    if let Some(path) = known_hosts.clone() {
        let check = move || HostKeys::load(Some(&path), Vec::new(), None).map(drop).map_err(|error| error.to_string());
        problems.when_loaded(KNOWN_HOSTS, "a file of host keys, in the format of sshd(8)", check);
    }
    if known_hosts.is_none() && raw.pinned.is_empty() && !raw.learn {
        let expected = "`known_hosts`, `pinned` or `learn: true`: without any of them no guest can be known";
        problems.push("guests.host_keys", expected, "none of them");
    }
    HostKeySettings { known_hosts, pinned, learn: raw.learn }
}

fn rule(raw: RawGuestRule, i: usize, defaults: &Defaults, problems: &mut Problems) -> Option<Rule> {
    let key = |name: &str| format!("guests.rules[{i}].{name}");
    let patterns = [
        ("os", raw.os, Subject::Os),
        ("team", raw.team, Subject::Team),
        ("tier", raw.tier, Subject::Tier),
        ("vm_name", raw.vm_name, Subject::Name),
        ("folder", raw.folder, Subject::Folder),
        ("resource_pool", raw.resource_pool, Subject::ResourcePool),
    ];
    let conditions = conditions(&format!("guests.rules[{i}]"), patterns, raw.tags, raw.attributes, problems);
    if raw.skip {
        if raw.credential.is_some() {
            problems.push(key("skip"), "`skip` or `credential`", "both");
        }
        return Some(Rule { conditions, how: None });
    }
    let known = || defaults.credentials.keys().map(String::as_str).collect::<Vec<_>>().join("`, `");
    let login = match raw.credential {
        None => {
            problems.push(key("credential"), "the name of one of `guests.credentials`, or `skip: true`", "nothing");
            None
        }
        Some(name) => match defaults.credentials.get(&name) {
            None => {
                problems.push(key("credential"), format!("one of `{}`", known()), format!("`{name}`"));
                None
            }
            Some(login) => Some(login.clone()),
        },
    };
    let port = within(raw.port, key("port"), PORT, 1, 65_535, problems);
    let interval = duration(raw.interval, key("interval"), defaults.interval, problems);
    let networks = match raw.networks {
        None => defaults.allowed.clone(),
        Some(texts) => networks(&key("networks"), &texts, problems),
    };
    if let Some(outside) = networks.iter().find(|one| !defaults.allowed.iter().any(|all| all.contains(*one))) {
        problems.push(key("networks"), "networks within `guests.allowed_networks`", format!("`{outside}`"));
    }
    let mut scripts = Vec::new();
    for (i, name) in raw.scripts.iter().enumerate() {
        match defaults.scripts.get(name) {
            Some(script) => scripts.push(script.clone()),
            None => {
                problems.push(key(&format!("scripts[{i}]")), "the name of one of `guests.scripts`", format!("`{name}`"))
            }
        }
    }
    let wanted = Wanted { network_file_systems: raw.network_file_systems, processes: raw.processes, units: raw.units };
    let port = u16::try_from(port?).ok()?;
    let how = How { login: login?, port, interval: interval?, networks, wanted, scripts };
    Some(Rule { conditions, how: Some(how) })
}
