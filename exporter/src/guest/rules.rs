//! Which guests are collected, and how: the first rule that a VM meets says it. Nobody lists guests by hand.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use russh::keys::ssh_key::Fingerprint;

use super::linux::Wanted;
use super::scripts::Script;
use super::ssh::{Limits, Login};
use crate::ownership::Condition;

/// How guests are collected.
#[derive(Debug, Clone, PartialEq)]
pub struct Guests {
    /// Rules in the order they are tried.
    pub rules: Vec<Rule>,
    /// What one collection may take.
    pub limits: Limits,
    /// Handshakes and collections at the same time.
    pub max_in_flight: usize,
    /// Connections that are kept open.
    pub max_connections: usize,
    /// How hosts are known.
    pub host_keys: HostKeySettings,
}

/// How hosts are known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HostKeySettings {
    /// A file in the format of sshd(8).
    pub known_hosts: Option<PathBuf>,
    /// Keys that are trusted wherever they are found.
    pub pinned: Vec<Fingerprint>,
    /// Whether a key that is seen for the first time is trusted from then on.
    pub learn: bool,
}

/// What is done with the guests that meet all of its conditions.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// What they have to be.
    pub conditions: Vec<Condition>,
    /// How they are collected; `None` where they are not.
    pub how: Option<How>,
}

/// How a guest is collected.
#[derive(Debug, Clone, PartialEq)]
pub struct How {
    /// Who signs in.
    pub login: Login,
    /// Where SSH listens.
    pub port: u16,
    /// From the start of one collection to the start of the next.
    pub interval: Duration,
    /// Where a guest's address must lie: it is the guest itself that says where it is.
    pub networks: Vec<IpNet>,
    /// What is collected beside the usual.
    pub wanted: Wanted,
    /// Scripts that are run in the guest as well.
    pub scripts: Vec<Script>,
}

impl How {
    /// The first of a guest's addresses that may be connected to.
    pub fn address(&self, addresses: &[String]) -> Option<IpAddr> {
        let parsed = addresses.iter().filter_map(|text| text.parse::<IpAddr>().ok());
        parsed
            .map(|address| address.to_canonical())
            .find(|address| self.networks.iter().any(|network| network.contains(address)))
    }
}
