//! What the user writes about the hosts that are asked while their vCenter does not answer.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use lynceus_service::tls::{ClientTls, RawClientTls};
use lynceus_service::{Problems, SecretSource, format_duration};
use serde::Deserialize;
use url::Url;

use super::{Collection, VcenterConfig, duration, endpoint, within};

/// Longer than a vCenter's services take to restart one by one, shorter than the gap that people notice.
const AFTER: Duration = Duration::from_secs(120);
/// What a vCenter may have open for us, its hosts may together.
const MAX_HOSTS_AT_ONCE: usize = 50;
/// vCenter itself knows its hosts by name, and a certificate is for a name.
const URL: &str = "https://{host}/sdk";
const HOST: &str = "{host}";

/// The standby source of a vCenter.
#[derive(Debug, Clone, PartialEq)]
pub struct StandbyConfig {
    /// How long the vCenter may give no answer before its hosts are asked.
    pub after: Duration,
    /// Who signs in on each host.
    pub username: String,
    /// With which password.
    pub password: SecretSource,
    /// How the certificates of hosts are verified.
    pub tls: ClientTls,
    /// Where the hosts are.
    pub addresses: Addresses,
    /// Hosts that are asked at the same time.
    pub max_hosts_at_once: usize,
}

/// Where hosts are. The password goes to these addresses and to no others.
#[derive(Debug, Clone, PartialEq)]
pub enum Addresses {
    /// A URL with `{host}` in it.
    Template(String),
    /// By the name in vCenter.
    Listed(BTreeMap<String, Url>),
}

impl Addresses {
    /// The SOAP endpoint of a host, by its name in vCenter. `None` for a name that is none of a host, or not listed.
    pub fn of(&self, host: &str) -> Option<Url> {
        match self {
            Self::Template(template) => fill(template, host),
            Self::Listed(urls) => urls.get(host).cloned(),
        }
    }
}

/// A name with anything else in it could lead the password elsewhere.
fn fill(template: &str, host: &str) -> Option<Url> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name = if host.parse::<Ipv6Addr>().is_ok() {
        format!("[{host}]")
    } else if !host.is_empty() && host.chars().all(plain) {
        host.to_owned()
    } else {
        return None;
    };
    Url::parse(&template.replace(HOST, &name)).ok()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStandby {
    after: Option<String>,
    username: String,
    password_file: Option<String>,
    password_env: Option<String>,
    #[serde(default)]
    tls: RawClientTls,
    url: Option<String>,
    hosts: Option<BTreeMap<String, String>>,
    max_hosts_at_once: Option<usize>,
}

pub(super) fn standby(raw: RawStandby, i: usize, problems: &mut Problems) -> Option<StandbyConfig> {
    let key = |name: &str| format!("vcenters[{i}].standby.{name}");
    if raw.username.is_empty() {
        problems.push(key("username"), "a user that all hosts know, such as `lynceus`", "nothing");
    }
    let after = duration(raw.after, key("after"), AFTER, problems);
    let password = problems.secret(&key("password"), raw.password_file, raw.password_env);
    let tls = ClientTls::from_raw(raw.tls, &key("tls"), problems);
    let addresses = match (raw.url, raw.hosts) {
        (Some(_), Some(_)) => {
            problems.push(format!("vcenters[{i}].standby"), "at most one of `url` and `hosts`", "both");
            None
        }
        (None, Some(hosts)) => listed(&key("hosts"), hosts, problems),
        (url, None) => template(&key("url"), url.unwrap_or_else(|| URL.to_owned()), problems),
    };
    let max_hosts_at_once =
        within(raw.max_hosts_at_once, key("max_hosts_at_once"), MAX_HOSTS_AT_ONCE, 1, 1000, problems);
    Some(StandbyConfig {
        after: after?,
        username: raw.username,
        password: password?,
        tls: tls?,
        addresses: addresses?,
        max_hosts_at_once: max_hosts_at_once?,
    })
}

fn template(key: &str, mut template: String, problems: &mut Problems) -> Option<Addresses> {
    const SAMPLE: &str = "a-host";
    let sample = Url::parse(&template.replace(HOST, SAMPLE)).ok();
    let is_good = |url: &Url| {
        url.scheme() == "https"
            && url.host_str().is_some_and(|host| host.contains(SAMPLE))
            && (url.username(), url.password()) == ("", None)
    };
    let Some(sample) = sample.filter(is_good).filter(|_| template.matches(HOST).count() == 1) else {
        let expected = format!("an https URL with `{HOST}` in the place of the host's name, such as `{URL}`");
        problems.push(key, expected, format!("`{template}`"));
        return None;
    };
    if sample.path() == "/" {
        template = format!("{}/sdk", template.trim_end_matches('/'));
    }
    Some(Addresses::Template(template))
}

fn listed(key: &str, hosts: BTreeMap<String, String>, problems: &mut Problems) -> Option<Addresses> {
    if hosts.is_empty() {
        problems.push(key, "at least one host", "none");
    }
    let mut url = |(name, url): (String, String)| {
        let url = endpoint(&format!("{key}.{name}"), &url, problems)?;
        Some((name, url))
    };
    // All of them, so that each that is wrong is told.
    let urls: Vec<_> = hosts.into_iter().map(&mut url).collect();
    Some(Addresses::Listed(urls.into_iter().collect::<Option<_>>()?))
}

/// A vCenter that was asked only once since has not been silent.
pub(super) fn check_after(vcenters: &[VcenterConfig], collection: &Collection, problems: &mut Problems) {
    let least = collection.interval * 2;
    for (i, vcenter) in vcenters.iter().enumerate() {
        if let Some(standby) = vcenter.standby.as_ref().filter(|standby| standby.after < least) {
            let expected = format!("at least twice `collection.interval` ({})", format_duration(least));
            problems.push(format!("vcenters[{i}].standby.after"), expected, format_duration(standby.after));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, host: &str, expected: Option<&str>) {
        let found = Addresses::Template(template.to_owned()).of(host);
        assert_eq!(found.as_ref().map(Url::as_str), expected, "{host}");
    }

    #[test]
    fn a_host_is_where_the_template_says() {
        check(URL, "esx-01.example.net", Some("https://esx-01.example.net/sdk"));
        check("https://{host}.mgmt.example.net:8443/sdk", "esx01", Some("https://esx01.mgmt.example.net:8443/sdk"));
        check(URL, "10.0.0.1", Some("https://10.0.0.1/sdk"));
        check(URL, "fe80::1", Some("https://[fe80::1]/sdk"));
    }

    #[test]
    fn no_name_leads_the_password_elsewhere() {
        for host in ["", "evil.example.com/x", "a@evil", "evil:8443", "evil#", "evil?", "e vil", "[evil]", "evil%2f"] {
            check("https://{host}.example.net/sdk", host, None);
        }
    }

    #[test]
    fn a_host_that_is_not_listed_has_no_address() {
        let url = Url::parse("https://10.0.0.1/sdk").unwrap();
        let listed = Addresses::Listed(BTreeMap::from([("esx01".to_owned(), url.clone())]));
        assert_eq!((listed.of("esx01"), listed.of("esx02")), (Some(url), None));
    }
}
