//! Lynceus' own collector in front of the fleet.

use std::time::Duration;

use anyhow::{Context, ensure};
use lynceus_demo::{Process, binary, eventually, free_port};
use lynceus_fleet::Fleet;
use lynceus_fleet::model::Power;

use crate::support::{PASSWORD, USER, options};

const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn the_exporter_shows_every_vm_and_measures_those_that_run() {
    let Ok(exporter) = binary("lynceus-exporter") else {
        assert!(std::env::var_os("LYNCEUS_REQUIRE_ALL").is_none(), "`lynceus-exporter` is not built");
        eprintln!("skipped: `lynceus-exporter` is not built; `cargo build --workspace` builds it");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(60);
    options.tls_dir = Some(dir.path().to_owned());
    let fleet = Fleet::start(options).await.unwrap();
    let url = &fleet.addresses.vcenter.url;
    let config = format!(
        "vcenters:\n- name: fleet\n  url: {url}\n  username: {USER}\n  password_env: FLEET_PASSWORD\n  tls: {{ca_file: ca.pem}}\n"
    );
    std::fs::write(dir.path().join("exporter.yml"), config).unwrap();
    let port = free_port();
    let mut command = std::process::Command::new(exporter);
    command.arg("--config.file").arg(dir.path().join("exporter.yml"));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}")).env("FLEET_PASSWORD", PASSWORD);
    let mut process = Process::start("exporter", command, dir.path()).unwrap();

    let moment = fleet.lab.moment();
    let machines = moment.inventory.vms.iter().filter(|vm| !vm.config.template);
    let all = machines.clone().count();
    let running = machines.filter(|vm| vm.power == Power::On).count();
    let page = format!("http://127.0.0.1:{port}/vcenter/fleet/metrics");
    let text = eventually(SOON, "the exporter's first page", || async {
        let text = reqwest::get(&page).await?.error_for_status()?.text().await?;
        ensure!(text.contains("vsphere_vm_cpu_usage_hertz{"), "no samples yet");
        Ok(text)
    })
    .await
    .with_context(|| process.log())
    .unwrap();
    let series = |name: &str| text.lines().filter(|line| line.starts_with(&format!("{name}{{"))).count();
    assert_eq!(series("vsphere_vm_info"), all);
    assert_eq!(series("vsphere_vm_cpu_usage_hertz"), running);
    assert_eq!(series("vsphere_host_info"), moment.inventory.hosts.len());
    process.kill().await;
    fleet.stop().await;
}
