//! Each scenario of the fleet, seen from the other end: what it promises to be visible is, in Prometheus.
//!
//! One exporter collects from a fleet for each scenario. Their clocks run faster than ours, each as fast as its
//! promises allow. Alerts are not waited for: their `for` is in our time.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::ensure;
use lynceus_demo::parts::{self, Vcenter, VcsimOptions};
use lynceus_demo::{Process, binary, eventually, free_port, repository, smoke, tool};
use lynceus_fleet::scenario::Scenario;
use lynceus_promql::{Matcher, MatcherOp, enforce, parse};

const LIMIT: Duration = Duration::from_secs(240);

struct Running {
    scenario: Scenario,
    vcenter: Vcenter,
}

/// How many simulated seconds a second has. A vCenter that is away or slow is measured in our time.
fn time_factor(scenario: &str) -> &'static str {
    match scenario {
        "vcenter_down" => "4",
        "vcenter_restarted" | "vcenter_slow" => "5",
        _ => "20",
    }
}

async fn start_all(dir: &Path) -> Vec<Running> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(repository().join("tests/fleet/scenarios")).unwrap() {
        let file = entry.unwrap().path();
        let scenario = Scenario::parse(&std::fs::read_to_string(&file).unwrap(), &file).unwrap();
        let mut more = vec!["--time-factor", time_factor(&scenario.name), "--scenario", file.to_str().unwrap()];
        if scenario.name == "vcenter_slow" {
            // Only calls that cost something can cost more of it.
            more.extend(["--cost", "default"]);
        }
        let size = VcsimOptions { vms: 100, ..VcsimOptions::default() };
        let vcenter = parts::fleet(&dir.join(&scenario.name), &size, &more).await.unwrap();
        all.push(Running { scenario, vcenter });
    }
    all
}

fn exporter(dir: &Path, all: &[Running], port: u16) -> Process {
    let mut config = "vcenters:\n".to_owned();
    for Running { scenario, vcenter } in all {
        let (name, url, pin) = (&scenario.name, &vcenter.url, &vcenter.sha256);
        config.push_str(&format!(
            "  - {{name: {name}, url: '{url}', username: lynceus, password_file: password, \
             tls: {{pinned_sha256: [{pin}]}}, max_retries: 0}}\n"
        ));
    }
    config.push_str("collection: {interval: 2s, max_back_off: 4s}\nownership: [{team: blue, vm_name: 'blue-.*'}]\n");
    std::fs::write(dir.join("exporter.yml"), config).unwrap();
    std::fs::write(dir.join("password"), VcsimOptions::default().password).unwrap();
    let mut command = std::process::Command::new(binary("lynceus-exporter").unwrap());
    command.arg("--config.file=exporter.yml").arg(format!("--web.listen-address=127.0.0.1:{port}"));
    Process::start("lynceus-exporter", command, dir).unwrap()
}

/// The expression about one vCenter alone.
fn about(vcenter: &str, expression: &str) -> String {
    let mut tree = parse(expression).unwrap_or_else(|error| panic!("{vcenter}: {error}"));
    enforce(&mut tree, &Matcher::new("vcenter", MatcherOp::Equal, vcenter)).unwrap();
    tree.to_string()
}

#[tokio::test]
async fn what_each_scenario_promises_is_seen_in_prometheus() {
    if tool("prometheus").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let all = start_all(dir.path()).await;
    assert!(all.len() > 12, "only {} scenarios", all.len());
    let (exporter_port, port) = (free_port(), free_port());
    let _exporter = exporter(dir.path(), &all, exporter_port);
    let config = format!(
        "global: {{scrape_interval: 2s}}\nscrape_configs:\n- job_name: vsphere\n  http_sd_configs:\n  \
         - {{url: 'http://127.0.0.1:{exporter_port}/sd/vcenters', refresh_interval: 1s}}\n"
    );
    let _prometheus = parts::prometheus(&dir.path().join("prometheus"), &config, port, &[]).await.unwrap();

    let promises = all.iter().flat_map(|Running { scenario, .. }| {
        let expected = scenario.steps.iter().flat_map(|step| &step.expect.metrics);
        expected.map(|expression| about(&scenario.name, expression)).collect::<Vec<_>>()
    });
    let open: Mutex<Vec<String>> = Mutex::new(promises.collect());
    // Each has to hold at some moment; which comes first differs.
    let all_kept = eventually(LIMIT, "what the scenarios promise", || async {
        let mut missing = Vec::new();
        let asked = open.lock().unwrap().clone();
        for promise in asked {
            if !smoke::query(port, &promise).await.is_ok_and(|found| !found.is_empty()) {
                missing.push(promise);
            }
        }
        open.lock().unwrap().clone_from(&missing);
        ensure!(missing.is_empty(), "not seen: {missing:#?}");
        Ok(())
    });
    all_kept.await.unwrap_or_else(|error| panic!("{error:#}"));
}
