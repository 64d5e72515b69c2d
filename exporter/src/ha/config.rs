//! What the user writes under `ha:`.

use std::time::Duration;

use lynceus_service::tls::{ClientTls, RawClientTls};
use lynceus_service::{Problems, SecretSource};
use serde::Deserialize;
use url::{Host, Url};

/// Half of the default interval: a take-over, the first collection included, fits into two.
const LEASE: Duration = Duration::from_secs(15);

/// Two exporters on the same vCenters, as one of them sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct HaConfig {
    /// Where the other one listens.
    pub peer: Url,
    /// The name of this one; its external URL where there is none.
    pub name: Option<String>,
    /// What both know and nobody else.
    pub secret: SecretSource,
    /// How long a leader may be silent.
    pub lease: Duration,
    /// How the other one's certificate is verified.
    pub tls: ClientTls,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawHa {
    peer: String,
    name: Option<String>,
    secret_file: Option<String>,
    secret_env: Option<String>,
    lease: Option<String>,
    #[serde(default)]
    tls: RawClientTls,
}

impl HaConfig {
    pub(crate) fn from_raw(raw: RawHa, problems: &mut Problems) -> Option<Self> {
        let peer = peer(&raw.peer, problems);
        let secret = problems.secret("ha.secret", raw.secret_file, raw.secret_env);
        let tls = ClientTls::from_raw(raw.tls, "ha.tls", problems);
        if raw.name.as_ref().is_some_and(String::is_empty) {
            problems.push("ha.name", "a name that the other exporter does not have", "nothing");
        }
        let lease = match raw.lease {
            None => Some(LEASE),
            Some(value) => problems.duration("ha.lease", &value).filter(|lease| {
                let allowed = (Duration::from_secs(1)..=Duration::from_secs(300)).contains(lease);
                if !allowed {
                    problems.push("ha.lease", "1s to 5m", format!("`{value}`"));
                }
                allowed
            }),
        };
        Some(Self { peer: peer?, name: raw.name, secret: secret?, lease: lease?, tls: tls? })
    }
}

/// The secret travels in each request, so nothing but https will do between machines.
fn peer(value: &str, problems: &mut Problems) -> Option<Url> {
    let url = problems.url("ha.peer", value)?;
    let loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let plain = url.query().is_none() && url.fragment().is_none();
    if !url.username().is_empty() || url.password().is_some() {
        problems.push("ha.peer", "a URL without a user", "one with a user in it");
    } else if (url.scheme() != "https" && !loopback) || !plain {
        let expected = "an https URL such as `https://other.example.net:19272`; http on loopback only";
        problems.push("ha.peer", expected, format!("`{value}`"));
    } else {
        return Some(url);
    }
    None
}
