//! `/probe?target=`: the page of a vCenter for those who keep their targets in Prometheus.
//!
//! Unlike other exporters with such a path, this one connects to nothing because of it: a target is looked up in the
//! config, and the page is the one that is there. So no credential can be drawn to another address.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use url::Url;

use super::{Shared, no_such_vcenter, page_of, refuse};

/// What can be asked of a target.
const MODULE: &str = "vsphere";

#[derive(Deserialize)]
pub(super) struct Wanted {
    target: Option<String>,
    module: Option<String>,
    shard: Option<usize>,
}

pub(super) async fn probe(State(shared): State<Shared>, Query(wanted): Query<Wanted>, headers: HeaderMap) -> Response {
    if let Some(module) = wanted.module.filter(|module| module != MODULE) {
        return refuse(StatusCode::BAD_REQUEST, format!("there is no module `{module}`; there is `{MODULE}`\n"));
    }
    let Some(target) = wanted.target.filter(|target| !target.is_empty()) else {
        let text = "expected `target`: the name of a vCenter in the config, or the host of its URL\n";
        return refuse(StatusCode::BAD_REQUEST, text.to_owned());
    };
    match find(&shared.targets.addresses(), &target) {
        Some(name) => page_of(&shared.targets, name, wanted.shard, &headers),
        None => no_such_vcenter(&shared.targets, &target),
    }
}

/// The vCenter of this name, or else the only one at this host, port or URL.
fn find<'a>(known: &'a [(String, Url)], target: &str) -> Option<&'a str> {
    if let Some((name, _)) = known.iter().find(|(name, _)| name == target) {
        return Some(name);
    }
    let url =
        if target.contains("://") { Url::parse(target) } else { Url::parse(&format!("https://{target}")) }.ok()?;
    let at = |known: &Url| {
        let port = url.port().is_none_or(|port| known.port_or_known_default() == Some(port));
        known.host_str() == url.host_str() && port
    };
    let mut found = known.iter().filter(|(_, known)| at(known));
    let only = found.next()?;
    found.next().is_none().then_some(only.0.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: &str, expected: Option<&str>) {
        let known = [
            ("vc01", "https://vc01.example.net/sdk"),
            ("vc02", "https://both.example.net/sdk"),
            ("vc03", "https://both.example.net:8443/sdk"),
            // A name that is the host of another one.
            ("vc04.example.net", "https://10.0.0.4/sdk"),
            ("vc05", "https://vc04.example.net/sdk"),
        ];
        let known = known.map(|(name, url)| (name.to_owned(), Url::parse(url).unwrap()));
        assert_eq!(find(&known, target), expected, "{target}");
    }

    #[test]
    fn a_target_is_a_name_or_where_the_vcenter_is() {
        check("vc01", Some("vc01"));
        check("vc01.example.net", Some("vc01"));
        check("VC01.example.net:443", Some("vc01"));
        check("https://vc01.example.net/sdk", Some("vc01"));
        check("vc04.example.net", Some("vc04.example.net"));
        check("both.example.net:8443", Some("vc03"));
    }

    #[test]
    fn nothing_else_is_a_target() {
        for target in
            ["vc09", "example.net", "both.example.net", "vc01.example.net:9", "vc01.example.net@evil.net", "::"]
        {
            check(target, None);
        }
    }
}
