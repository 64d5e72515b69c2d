//! Config files, good and bad.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use lynceus_exporter::Config;
use lynceus_exporter::ownership::Facts;
use lynceus_service::{load, parse_config};

const VCENTER: &str = "vcenters: [{name: vc01, url: 'https://vc01', username: u, password_env: P}]\n";

fn with_guests(more: &str) -> String {
    format!(
        "{VCENTER}guests:\n  allowed_networks: [10.0.0.0/8]\n  host_keys: {{ learn: true }}\n\
         \x20 credentials: {{ key: {{ username: u, private_key_file: k }} }}\n  rules: [{{ credential: key }}]\n{more}"
    )
}

fn error(yaml: &str) -> String {
    parse_config::<Config>(yaml, Path::new("exporter.yml")).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn the_example_is_valid_and_shows_the_defaults() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("exporter.example.yml");
    let example = load::<Config>(&example).unwrap();
    let plain = parse_config::<Config>(VCENTER, Path::new("exporter.yml")).unwrap();
    assert_eq!(example.collection, plain.collection);
    let limits = |config: &Config, i: usize| {
        let vcenter = config.vcenters[i].clone();
        (
            vcenter.connect_timeout,
            vcenter.request_timeout,
            vcenter.max_connections,
            vcenter.max_retries,
            vcenter.retry_back_off,
            vcenter.max_response_bytes,
        )
    };
    assert_eq!(limits(&example, 0), limits(&plain, 0));
    let (shown, least) =
        (example.guests.clone().unwrap(), parse_config::<Config>(&with_guests(""), Path::new("x")).unwrap());
    let least = least.guests.unwrap();
    assert_eq!((shown.limits, shown.max_in_flight, shown.max_connections), (least.limits, 100, least.max_connections));
    let (shown, least) = (shown.rules[1].how.clone().unwrap(), least.rules[0].how.clone().unwrap());
    assert_eq!((shown.port, shown.interval, shown.wanted), (least.port, least.interval, least.wanted));
    assert_eq!(shown.networks.len(), 2);
    let attributes = BTreeMap::new();
    let facts = Facts {
        os: "",
        team: "",
        tier: "",
        name: "db-1",
        folder: "/",
        resource_pool: "/",
        tags: &[],
        attributes: &attributes,
    };
    assert_eq!(example.terms.ownership.of(&facts).team, "red");
}

#[test]
fn the_limits_that_vcenter_was_promised_are_the_defaults() {
    let config = parse_config::<Config>(VCENTER, Path::new("exporter.yml")).unwrap();
    let vcenter = &config.vcenters[0];
    assert_eq!((vcenter.max_connections, vcenter.max_retries), (50, 3));
    assert_eq!(vcenter.connect_timeout, Duration::from_secs(30));
    assert_eq!((config.collection.batch_size, config.collection.batches_in_flight), (300, 5));
}

#[test]
fn a_url_without_a_path_is_completed() {
    let config = parse_config::<Config>(VCENTER, Path::new("exporter.yml")).unwrap();
    assert_eq!(config.vcenters[0].url.as_str(), "https://vc01/sdk");
}

#[test]
fn all_problems_are_told_at_once() {
    let yaml = r#"vcenters:
  - name: "vc/01"
    url: http://vc01.example.net/sdk
    username: ""
    password_file: secret
    password_env: SECRET
    tls:
      ca_file: ca.pem
      pinned_sha256: [abc]
    connect_timeout: 30
    max_connections: 0
    max_retries: 11
  - name: vc02
    url: https://user:hunter2@vc02/sdk
    username: u
  - name: vc02
    url: vc02
    username: u
    password_env: SECRET
collection:
  interval: 2m
  max_back_off: 1m
  batch_size: 5001
ownership:
  - team: ""
    vm_name: "db-(.*"
  - team: "${squad}"
    tags: { owner: "(?<team>.*)" }
  - vm_name: "x"
info_labels:
  tags: [Env, env]
"#;
    insta::assert_snapshot!(error(yaml));
}

#[test]
fn the_pair_in_the_example_is_valid_and_shows_the_default() {
    let example = include_str!("../../exporter.example.yml");
    let (_, pair) = example.split_once("# ha:\n").unwrap();
    let pair: String = pair.lines().filter_map(|line| Some(format!("{}\n", line.strip_prefix("# ")?))).collect();
    let pair = parse_config::<Config>(&format!("{VCENTER}ha:\n{pair}"), Path::new("exporter.yml")).unwrap().ha.unwrap();
    assert_eq!((pair.name.as_deref(), pair.lease), (Some("a"), Duration::from_secs(15)));
}

#[test]
fn a_pair_has_an_https_peer_and_a_secret() {
    let config = |ha: &str| parse_config::<Config>(&format!("{VCENTER}ha: {{{ha}}}\n"), Path::new("exporter.yml"));
    let good =
        config("peer: 'https://other:19272', name: a, secret_file: s, tls: {ca_file: ca.pem}").unwrap().ha.unwrap();
    assert_eq!((good.lease, good.peer.as_str()), (Duration::from_secs(15), "https://other:19272/"));
    assert!(config("peer: 'http://[::1]:19272', secret_env: S").is_ok(), "loopback needs no TLS");
    for (ha, key) in [
        ("peer: 'http://other:19272', secret_env: S", "ha.peer: expected an https URL"),
        ("peer: 'https://u:p@other:19272', secret_env: S", "ha.peer: expected a URL without a user"),
        ("peer: other, secret_env: S", "ha.peer: expected an http or https URL"),
        ("peer: 'https://other:19272'", "ha.secret: expected exactly one of `secret_file` and `secret_env`"),
        ("peer: 'https://other:19272', secret_env: S, lease: 10m", "ha.lease: expected 1s to 5m"),
        ("peer: 'https://other:19272', secret_env: S, name: ''", "ha.name: expected a name"),
    ] {
        let found = config(ha).map(|_| ()).unwrap_err().to_string();
        assert!(found.contains(key), "{ha}: {found}");
    }
}

#[test]
fn no_vcenter_is_a_problem() {
    insta::assert_snapshot!(error("vcenters: []\n"), @"exporter.yml:1: vcenters: expected at least one vCenter, found none");
}

#[test]
fn an_unknown_key_is_a_problem() {
    let found = error(&VCENTER.replace("username", "user"));
    assert!(found.starts_with("exporter.yml:1: vcenters[0]"), "{found}");
    assert!(found.contains("user"), "{found}");
}

fn standby(lines: &str) -> String {
    format!(
        "vcenters:\n- {{ name: vc01, url: 'https://vc01', username: u, password_env: P, standby: {{ {lines} }} }}\n"
    )
}

#[test]
fn a_standby_source_needs_a_user_and_finds_hosts_by_name() {
    let config = parse_config::<Config>(&standby("username: u, password_env: P"), Path::new("exporter.yml")).unwrap();
    let standby = config.vcenters[0].standby.as_ref().unwrap();
    assert_eq!((standby.after, standby.max_hosts_at_once), (Duration::from_secs(120), 50));
    assert_eq!(standby.addresses.of("esx01").unwrap().as_str(), "https://esx01/sdk");
    let example = load::<Config>(&Path::new(env!("CARGO_MANIFEST_DIR")).join("exporter.example.yml")).unwrap();
    let example = example.vcenters[0].standby.as_ref().unwrap();
    assert_eq!(
        (example.after, &example.addresses, example.max_hosts_at_once),
        (standby.after, &standby.addresses, standby.max_hosts_at_once)
    );
}

#[test]
fn what_is_wrong_with_a_standby_source_is_told() {
    let cases = [
        "username: '', password_env: P",
        "username: u",
        "username: u, password_env: P, url: 'https://{host}/sdk', hosts: {}",
        "username: u, password_env: P, hosts: {}",
        "username: u, password_env: P, hosts: { esx01: 'http://esx01/sdk', esx02: 'https://u:p@esx02' }",
        "username: u, password_env: P, url: 'https://esx/sdk'",
        "username: u, password_env: P, url: 'http://{host}/sdk'",
        "username: u, password_env: P, url: 'https://proxy.example.net/{host}'",
        "username: u, password_env: P, url: 'https://{host}@esx/sdk'",
        "username: u, password_env: P, url: 'https://{host}/{host}'",
        "username: u, password_env: P, after: 59s",
        "username: u, password_env: P, max_hosts_at_once: 0",
    ];
    insta::assert_snapshot!(cases.map(|lines| error(&standby(lines))).join("\n"));
}

#[test]
fn what_is_wrong_with_guests_is_told() {
    let yaml = format!(
        "{VCENTER}guests:\n  allowed_networks: [10.0.0.0/8, ten]\n  interval: 0s\n  max_in_flight: 0\n\
         \x20 host_keys: {{ pinned: [abc] }}\n  credentials:\n    none: {{ username: u }}\n\
         \x20   half: {{ username: '', certificate_file: c, password_file: a, password_env: B }}\n  rules:\n\
         \x20   - {{ os: 'lin(ux', credential: non }}\n    - {{ skip: true, credential: none }}\n\
         \x20   - {{ credential: none, port: 0, networks: [192.168.0.0/16] }}\n    - {{}}\n"
    );
    insta::assert_snapshot!(error(&yaml));
    let nothing = format!("{VCENTER}guests: {{ allowed_networks: [] }}\n");
    insta::assert_snapshot!("guests_without_networks_or_keys", error(&nothing));
}

#[test]
fn a_file_of_host_keys_is_read_with_the_config() {
    let dir = tempfile::tempdir().unwrap();
    let (file, keys) = (dir.path().join("exporter.yml"), dir.path().join("known_hosts"));
    let yaml = with_guests("").replace("learn: true", "known_hosts: known_hosts");
    std::fs::write(&file, yaml).unwrap();
    let found = || load::<Config>(&file).map(drop).unwrap_err().to_string();
    assert!(found().contains("guests.host_keys.known_hosts: expected a file of host keys"), "{}", found());
    std::fs::write(&keys, "# a comment\nweb01 ssh-ed25519 AAAA\n").unwrap();
    assert!(found().contains("line 2 is not a line of known_hosts(5)"), "{}", found());
    let key = "AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    std::fs::write(&keys, format!("web01 ssh-ed25519 {key}\n")).unwrap();
    load::<Config>(&file).unwrap();
}
