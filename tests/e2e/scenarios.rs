//! Each scenario of the fleet, seen from the other end: what it promises to be visible is, in Prometheus.
//!
//! One exporter collects from a fleet for each scenario file. The scenarios begin once all vCenters are collected, so
//! that nothing of them passes unseen. Prometheus is asked whether a promise held at any moment since then, so that
//! nothing passes either while this test waits for a processor. Alerts are not waited for: their `for` is in our time.

mod promise;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use lynceus_demo::parts::{self, Vcenter, VcsimOptions};
use lynceus_demo::{Process, binary, eventually, free_port, repository, smoke, tool};
use lynceus_fleet::scenario::Scenario;
use serde_json::Value;

use promise::Promise;

const START_LIMIT: Duration = Duration::from_secs(120);
/// The slowest, `vcenter_restarted`, is over three minutes after it began.
const LIMIT: Duration = Duration::from_secs(180);
/// How much of our time the shortest event of a scenario takes: many collections, even where processors are scarce, and
/// longer than the minute that `vcenter_down` promises.
const SHORTEST: f64 = 120.0;
/// The highest factor, with which events that never end begin within seconds.
const FASTEST: f64 = 20.0;
/// Of collections and of scrapes.
const INTERVAL: &str = "3s";
/// Enough for each kind of target: two hosts, all roles, all teams.
const VMS: u32 = 60;

/// A scenario, and the fleet that it happens to.
struct Stage {
    scenario: Scenario,
    yaml: String,
    /// Simulated seconds in a second.
    factor: f64,
    vcenter: Vcenter,
}

impl Stage {
    async fn set_up(dir: &Path, file: &Path, yaml: String) -> Self {
        let scenario = Scenario::parse(&yaml, file).unwrap_or_else(|error| panic!("{error}"));
        let shortest = scenario.steps.iter().filter_map(|step| step.lasts).min();
        let factor = shortest.map_or(FASTEST, |lasts| (lasts.as_secs_f64() / SHORTEST).min(FASTEST));
        let dir = dir.join(&scenario.name);
        let (factor_text, tls_dir) = (factor.to_string(), dir.display().to_string());
        // A slow vCenter takes a multiple of what its calls cost.
        let more = ["--time-factor", &factor_text, "--cost", "default", "--tls-dir", &tls_dir];
        let size = VcsimOptions { vms: VMS, ..VcsimOptions::default() };
        let vcenter = parts::fleet(&dir, &size, &more).await.unwrap();
        Self { scenario, yaml, factor, vcenter }
    }

    /// Starts the scenario, where nothing happened until now.
    async fn begin(&self) {
        let url = format!("{}/scenario", self.vcenter.control);
        let answer = smoke::client().unwrap().post(url).body(self.yaml.clone()).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{}: {status}: {text}", self.scenario.name);
    }

    /// What the fleet says of itself: its time, and when which events are.
    async fn state(&self) -> anyhow::Result<String> {
        let answer = smoke::client()?.get(format!("{}/state", self.vcenter.control)).send().await?.text().await?;
        let state: Value = serde_json::from_str(&answer).context(answer)?;
        let (now, up, factor) = (&state["now"], &state["vcenter"]["up"], self.factor);
        let mut lines = vec![format!("the fleet: at {now}, {factor} times as fast as we, vCenter is up: {up}")];
        let scenarios = state["scenarios"].as_array().into_iter().flatten();
        for event in scenarios.filter_map(|scenario| scenario["events"].as_array()).flatten() {
            let (kind, from, until, active) = (&event["kind"], &event["from"], &event["until"], &event["active"]);
            lines.push(format!("the fleet: {kind} from {from} until {until}, active: {active}"));
        }
        Ok(lines.join("\n  "))
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

fn scenario_files() -> Vec<(PathBuf, String)> {
    let folder = std::fs::read_dir(repository().join("tests/fleet/scenarios")).unwrap();
    let read = |file: PathBuf| (file.clone(), std::fs::read_to_string(file).unwrap());
    folder.map(|entry| read(entry.unwrap().path())).collect()
}

fn exporter(dir: &Path, stages: &[Stage], port: u16) -> Process {
    let mut config = format!("collection: {{interval: {INTERVAL}}}\nvcenters:\n");
    for Stage { scenario, vcenter, .. } in stages {
        // Trusted by the authority, not by a fingerprint: one of the scenarios makes a new certificate.
        let (name, url) = (&scenario.name, &vcenter.url);
        let how = format!("username: lynceus, password_file: password, tls: {{ca_file: '{name}/ca.pem'}}");
        config.push_str(&format!("- {{name: {name}, url: '{url}', {how}}}\n"));
    }
    std::fs::write(dir.join("exporter.yml"), config).unwrap();
    std::fs::write(dir.join("password"), VcsimOptions::default().password).unwrap();
    let mut command = Command::new(binary("lynceus-exporter").unwrap());
    command.arg("--config.file=exporter.yml").arg(format!("--web.listen-address=127.0.0.1:{port}"));
    Process::start("lynceus-exporter", command, dir).unwrap()
}

async fn prometheus(dir: &Path, exporter: u16, port: u16) -> Process {
    let config = format!(
        "global: {{scrape_interval: {INTERVAL}, scrape_timeout: {INTERVAL}}}\nscrape_configs:\n- job_name: vsphere\n  \
         http_sd_configs:\n  - {{url: 'http://127.0.0.1:{exporter}/sd/vcenters', refresh_interval: 1s}}\n"
    );
    parts::prometheus(&dir.join("prometheus"), &config, port, &[]).await.unwrap()
}

#[tokio::test]
async fn what_each_scenario_promises_is_seen_in_prometheus() {
    if tool("prometheus").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut stages = Vec::new();
    for (file, yaml) in scenario_files() {
        stages.push(Stage::set_up(dir.path(), &file, yaml).await);
    }
    assert!(stages.len() > 12, "only {} scenarios", stages.len());
    let (exporter_port, port) = (free_port(), free_port());
    let exporter = exporter(dir.path(), &stages, exporter_port);
    let _prometheus = prometheus(dir.path(), exporter_port, port).await;

    let collected = eventually(START_LIMIT, "all vCenters to be collected", || async {
        let found = smoke::query(port, "min by (vcenter) (vsphere_collector_success) == 1").await?;
        ensure!(found.len() == stages.len(), "{} of {} are: {found:?}", found.len(), stages.len());
        Ok(())
    });
    collected.await.unwrap_or_else(|error| panic!("{error:#}\n{}", exporter.log()));
    let promises: Vec<Promise<'_>> = stages.iter().flat_map(Promise::of).collect();
    for promise in &promises {
        promise.is_no_matter_of_course(port).await.unwrap_or_else(|error| panic!("{error:#}"));
    }

    for stage in &stages {
        stage.begin().await;
    }
    let began = now();
    let open = RefCell::new(promises.iter().collect::<Vec<_>>());
    let kept = eventually(LIMIT, "what the scenarios promise", || async {
        let mut left = Vec::new();
        for promise in open.take() {
            if !promise.was_kept(port, began).await {
                left.push(promise);
            }
        }
        let number = left.len();
        open.replace(left);
        ensure!(number == 0, "{number} promises are not kept");
        Ok(())
    });
    if kept.await.is_err() {
        let mut missing = Vec::new();
        for promise in open.take() {
            missing.push(promise.instead(port, began).await);
        }
        panic!("{}", missing.join("\n"));
    }
}

#[test]
fn the_alerts_of_each_scenario_are_in_the_packs() {
    let mut known = BTreeSet::new();
    for pack in std::fs::read_dir(repository().join("rules/packs")).unwrap() {
        for entry in std::fs::read_dir(pack.unwrap().path()).unwrap() {
            let file = entry.unwrap().path();
            let text = if file.is_file() { std::fs::read_to_string(file).unwrap() } else { String::new() };
            let names = text.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
            known.extend(names.map(str::to_owned));
        }
    }
    for (file, yaml) in scenario_files() {
        for step in Scenario::parse(&yaml, &file).unwrap().steps {
            for alert in step.expect.alerts {
                assert!(known.contains(&alert), "{}: `{alert}` is none of the alerts {known:?}", step.source);
            }
        }
    }
}
