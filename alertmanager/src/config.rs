//! The notifier's config file: what the user writes, and what the program uses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;
use lynceus_service::{Problems, SecretSource};
use serde::Deserialize;

/// A mail goes through four commands and a body; servers that scan the body while they receive it take seconds.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Enough for a notification to all teams, few enough for a mail server that limits connections (Postfix: 50).
const DEFAULT_CONNECTIONS: usize = 4;
/// An alert is about 1 kB: some thousand alerts in one notification.
const DEFAULT_BODY_BYTES: usize = 4 * 1024 * 1024;
/// Alertmanager sends one notification per group at a time.
const DEFAULT_NOTIFICATIONS: usize = 64;
/// Above this a mail is no longer read, and some programs cut it (Gmail at 102 kB).
const DEFAULT_ALERTS_PER_MAIL: usize = 50;

/// What the notifier uses.
#[derive(Debug)]
pub struct Config {
    pub(crate) smtp: Smtp,
    pub(crate) recipients: Recipients,
    pub(crate) limits: Limits,
}

/// How mails leave.
#[derive(Debug)]
pub(crate) struct Smtp {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Security,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) from: Mailbox,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) timeout: Duration,
    pub(crate) connections: usize,
}

#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) username: String,
    pub(crate) password: SecretSource,
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Security {
    /// Not at all.
    None,
    /// By the command of that name, which must succeed.
    Starttls,
    /// From the first byte.
    #[serde(rename = "tls")]
    Implicit,
}

/// Who gets what.
#[derive(Debug)]
pub(crate) struct Recipients {
    pub(crate) default: Vec<Mailbox>,
    pub(crate) teams: BTreeMap<String, Vec<Mailbox>>,
}

#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) body_bytes: usize,
    pub(crate) notifications: usize,
    pub(crate) alerts_per_mail: usize,
}

/// What the user writes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    smtp: RawSmtp,
    recipients: RawRecipients,
    #[serde(default)]
    limits: RawLimits,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSmtp {
    address: String,
    tls: Option<Security>,
    allow_plaintext: Option<bool>,
    ca_file: Option<String>,
    from: String,
    username: Option<String>,
    password_file: Option<String>,
    password_env: Option<String>,
    timeout: Option<String>,
    connections: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRecipients {
    default: Vec<String>,
    #[serde(default)]
    teams: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    body_bytes: Option<usize>,
    notifications: Option<usize>,
    alerts_per_mail: Option<usize>,
}

impl lynceus_service::Config for Config {
    type Raw = RawConfig;

    fn validate(raw: RawConfig, problems: &mut Problems) -> Option<Self> {
        let smtp = Smtp::validate(raw.smtp, problems);
        let default = mailboxes("recipients.default", &raw.recipients.default, problems);
        let mut teams = BTreeMap::new();
        for (team, addresses) in raw.recipients.teams {
            if let Some(list) = mailboxes(&format!("recipients.teams.{team}"), &addresses, problems) {
                teams.insert(team, list);
            }
        }
        let limits = Limits {
            body_bytes: positive("limits.body_bytes", raw.limits.body_bytes, DEFAULT_BODY_BYTES, problems),
            notifications: positive("limits.notifications", raw.limits.notifications, DEFAULT_NOTIFICATIONS, problems),
            alerts_per_mail: positive(
                "limits.alerts_per_mail",
                raw.limits.alerts_per_mail,
                DEFAULT_ALERTS_PER_MAIL,
                problems,
            ),
        };
        Some(Self { smtp: smtp?, recipients: Recipients { default: default?, teams }, limits })
    }
}

impl Smtp {
    fn validate(raw: RawSmtp, problems: &mut Problems) -> Option<Self> {
        let address = host_and_port(&raw.address);
        if address.is_none() {
            problems.push("smtp.address", "host:port, such as `mail.example.net:587`", quoted(&raw.address));
        }
        let tls = raw.tls.unwrap_or(Security::Starttls);
        let plaintext = raw.allow_plaintext.unwrap_or(false);
        if let Some((host, _)) = &address
            && tls == Security::None
            && !plaintext
            && !is_loopback(host)
        {
            problems.push(
                "smtp.tls",
                "`starttls` or `tls` for a mail server on another machine (or `allow_plaintext: true`)",
                "`none`",
            );
        }
        if tls == Security::None && raw.ca_file.is_some() {
            problems.push("smtp.ca_file", "no CA file where `tls` is `none`", "one");
        }
        let ca_file = raw.ca_file.and_then(|path| problems.path("smtp.ca_file", &path));
        let from = mailbox("smtp.from", &raw.from, problems);
        let has_password = raw.password_file.is_some() || raw.password_env.is_some();
        let credentials = match raw.username {
            Some(username) => problems
                .secret("smtp.password", raw.password_file, raw.password_env)
                .map(|password| Credentials { username, password }),
            None if has_password => {
                problems.push("smtp.username", "a user name beside the password", "none");
                None
            }
            None => None,
        };
        let timeout = match raw.timeout {
            Some(text) => problems.duration("smtp.timeout", &text).and_then(|timeout| {
                if timeout.is_zero() {
                    problems.push("smtp.timeout", "a duration above zero", quoted(&text));
                    return None;
                }
                Some(timeout)
            }),
            None => Some(DEFAULT_TIMEOUT),
        };
        let connections = positive("smtp.connections", raw.connections, DEFAULT_CONNECTIONS, problems);
        let (host, port) = address?;
        Some(Self { host, port, tls, ca_file, from: from?, credentials, timeout: timeout?, connections })
    }
}

fn host_and_port(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let host = match host.strip_prefix('[') {
        Some(rest) => {
            let ip = rest.strip_suffix(']')?;
            ip.parse::<std::net::Ipv6Addr>().ok()?;
            ip
        }
        None => host,
    };
    let bare_v6 = host.contains(':') && !address.starts_with('[');
    (!host.is_empty() && !bare_v6 && !host.contains(['/', ' ', '@'])).then(|| (host.to_owned(), port))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn mailboxes(key: &str, addresses: &[String], problems: &mut Problems) -> Option<Vec<Mailbox>> {
    if addresses.is_empty() {
        problems.push(key, "at least one mail address", "an empty list");
        return None;
    }
    let mut seen = BTreeSet::new();
    let mut list = Some(Vec::new());
    for (index, address) in addresses.iter().enumerate() {
        let key = format!("{key}[{index}]");
        match mailbox(&key, address, problems) {
            Some(mailbox) if seen.insert(mailbox.email.to_string()) => {
                if let Some(list) = &mut list {
                    list.push(mailbox);
                }
            }
            Some(_) => {
                problems.push(key, "each address once", quoted(address));
                list = None;
            }
            None => list = None,
        }
    }
    list
}

fn mailbox(key: &str, address: &str, problems: &mut Problems) -> Option<Mailbox> {
    // Other letters need SMTPUTF8, which few servers have; domains have a form in ASCII (`xn--…`).
    let parsed = address.parse().ok().filter(|mailbox: &Mailbox| mailbox.email.to_string().is_ascii());
    if parsed.is_none() {
        problems.push(
            key,
            "a mail address in ASCII, such as `ops@example.net` or `Ops <ops@example.net>`",
            quoted(address),
        );
    }
    parsed
}

fn positive(key: &str, value: Option<usize>, default: usize, problems: &mut Problems) -> usize {
    let value = value.unwrap_or(default);
    if value == 0 {
        problems.push(key, "1 or more", "0");
    }
    value
}

fn quoted(value: &str) -> String {
    format!("`{value}`")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const RECIPIENTS: &str = "recipients: { default: [ops@example.net] }\n";

    fn check(yaml: &str, expected: &str) {
        let found = match lynceus_service::parse_config::<Config>(yaml, Path::new("notifier.yml")) {
            Ok(config) => format!("{}:{} {:?}", config.smtp.host, config.smtp.port, config.smtp.tls),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    fn check_smtp(smtp: &str, expected: &str) {
        check(&format!("smtp: {{ from: l@example.net, {smtp} }}\n{RECIPIENTS}"), expected);
    }

    #[test]
    fn starttls_is_the_default() {
        check_smtp("address: 'mail.example.net:587'", "mail.example.net:587 Starttls");
    }

    #[test]
    fn plaintext_is_for_loopback_only() {
        check_smtp("address: '127.0.0.1:25', tls: none", "127.0.0.1:25 None");
        check_smtp("address: '[::1]:25', tls: none", "::1:25 None");
        check_smtp("address: 'localhost:25', tls: none", "localhost:25 None");
        check_smtp(
            "address: 'mail.example.net:25', tls: none",
            "notifier.yml:1: smtp.tls: expected `starttls` or `tls` for a mail server on another machine \
             (or `allow_plaintext: true`), found `none`",
        );
        check_smtp("address: 'mail.example.net:25', tls: none, allow_plaintext: true", "mail.example.net:25 None");
    }

    #[test]
    fn an_address_without_port_is_refused() {
        for address in ["mail.example.net", "mail.example.net:0", "::1:25", ":25", "smtp://mail:25", "[mail]:25"] {
            check_smtp(
                &format!("address: '{address}'"),
                &format!(
                    "notifier.yml:1: smtp.address: expected host:port, such as `mail.example.net:587`, found `{address}`"
                ),
            );
        }
    }

    #[test]
    fn a_password_needs_a_user_name_and_the_reverse() {
        check_smtp(
            "address: 'm:25', password_file: secret",
            "notifier.yml:1: smtp.username: expected a user name beside the password, found none",
        );
        check_smtp(
            "address: 'm:25', username: me",
            "notifier.yml:1: smtp.password: expected exactly one of `password_file` and `password_env`, found neither",
        );
    }

    #[test]
    fn recipients_are_addresses_and_each_stands_once() {
        check(
            "smtp: { address: 'm:25', from: nobody }\nrecipients:\n  default: []\n  teams:\n    \
             red: [a@example.net, a@example.net]\n    blue: [ü@example.net]\n",
            "notifier.yml:1: smtp.from: expected a mail address in ASCII, such as `ops@example.net` or \
             `Ops <ops@example.net>`, found `nobody`\n\
             notifier.yml:3: recipients.default: expected at least one mail address, found an empty list\n\
             notifier.yml:5: recipients.teams.red[1]: expected each address once, found `a@example.net`\n\
             notifier.yml:6: recipients.teams.blue[0]: expected a mail address in ASCII, such as `ops@example.net` or \
             `Ops <ops@example.net>`, found `ü@example.net`",
        );
    }

    #[test]
    fn limits_are_above_zero() {
        check(
            &format!("smtp: {{ address: 'm:25', from: l@example.net, timeout: 0s, connections: 0 }}\n{RECIPIENTS}"),
            "notifier.yml:1: smtp.timeout: expected a duration above zero, found `0s`\n\
             notifier.yml:1: smtp.connections: expected 1 or more, found 0",
        );
    }

    #[test]
    fn the_example_loads() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("notifier.example.yml");
        let config = lynceus_service::load::<Config>(&example).unwrap();
        assert_eq!(config.recipients.teams.len(), 2);
    }
}
