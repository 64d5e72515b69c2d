//! VMware's own client, in Python, in front of the fleet.

use std::path::Path;
use std::time::Duration;

use lynceus_demo::{parts, tool};
use lynceus_fleet::Fleet;

use crate::support::{fleet, options};

const LIMIT: Duration = Duration::from_secs(180);

/// Runs one of the scripts; `false` when there is no Python with pyVmomi.
async fn run(script: &str, arguments: &[&str]) -> bool {
    let Some(python) = tool("python") else { return false };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pyvmomi");
    let mut command = tokio::process::Command::new(python);
    command.arg("-B").arg(folder.join(script)).args(arguments).current_dir(&folder).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await.unwrap().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script} failed:\n{out}{err}");
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn pyvmomi_walks_the_inventory_and_reads_everything() {
    let fleet = fleet(60).await;
    run("walk.py", &[&fleet.addresses.vcenter.url, "60"]).await;
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pyvmomi_queries_performance_data_in_both_formats() {
    let fleet = fleet(60).await;
    run("performance.py", &[&fleet.addresses.vcenter.url]).await;
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pyvmomi_waits_for_updates_while_vms_come_move_and_go() {
    let mut options = options(60);
    options.plan.factor = 5.0;
    let fleet = Fleet::start(options).await.unwrap();
    run("updates.py", &[&fleet.addresses.vcenter.url, &fleet.addresses.control]).await;
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_says_of_itself_what_the_vcenter_says_of_it() {
    let mut options = options(60);
    options.hosts = true;
    let fleet = Fleet::start(options).await.unwrap();
    let host = fleet.lab.moment().inventory.hosts[1].clone();
    let name = host.config.name.clone();
    run("host.py", &[&fleet.addresses.vcenter.url, &fleet.addresses.hosts[&host.id].url, &name]).await;
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_vcsim_does_the_fleet_does_too_or_the_ledger_says_why_not() {
    if tool("vcsim").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let size = parts::VcsimOptions {
        vms: 8,
        clusters: 2,
        hosts: 2,
        user: crate::support::USER.to_owned(),
        password: crate::support::PASSWORD.to_owned(),
        ..parts::VcsimOptions::default()
    };
    let mut vcsim = parts::vcsim(dir.path(), &size).await.unwrap();
    let fleet = fleet(60).await;
    run("compare.py", &[&fleet.addresses.vcenter.url, &vcsim.url, "ledger.txt"]).await;
    fleet.stop().await;
    vcsim.process.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pyvmomi_sees_a_host_emptied_and_in_maintenance_mode() {
    let mut options = options(60);
    options.plan.factor = 20.0;
    let fleet = Fleet::start(options).await.unwrap();
    let name = fleet.lab.moment().inventory.hosts[0].config.name.clone();
    run("maintenance.py", &[&fleet.addresses.vcenter.url, &fleet.addresses.control, &name]).await;
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pyvmomi_sees_a_host_fail_in_states_alarms_and_events() {
    let mut options = options(60);
    (options.hosts, options.plan.factor) = (true, 5.0);
    let fleet = Fleet::start(options).await.unwrap();
    let host = fleet.lab.moment().inventory.hosts[0].clone();
    let (vcenter, control) = (&fleet.addresses.vcenter.url, &fleet.addresses.control);
    run("failures.py", &[vcenter, control, &fleet.addresses.hosts[&host.id].url, &host.config.name]).await;
    fleet.stop().await;
}
