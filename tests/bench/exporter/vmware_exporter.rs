//! vmware_exporter, the peer in Python, in a virtual environment of its own.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use lynceus_demo::parts::{Vcenter, VcsimOptions};
use lynceus_demo::{Process, free_port, repository};

use crate::front::Front;
use crate::report::Measured;
use crate::text::{count, median};
use crate::usage;

/// It reaches a vCenter on this port only.
pub(crate) const PORT: u16 = 443;
const COUNTED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 10);
const START_LIMIT: Duration = Duration::from_secs(60);
/// It does not say that it needs requests, and newer Twisted breaks each of its scrapes.
const PINS: [&str; 3] = ["vmware_exporter==0.18.4", "requests", "twisted==22.10.0"];

/// The folder of its programs. The first time it is brought from PyPI.
pub(crate) async fn install() -> anyhow::Result<PathBuf> {
    let venv = repository().join("target/bench/venv");
    let (stamp, pins) = (venv.join("pins"), PINS.join("\n"));
    if std::fs::read_to_string(&stamp).is_ok_and(|found| found == pins) {
        return Ok(venv.join("bin"));
    }
    let run = async |program: &Path, arguments: &[&str]| {
        let output = tokio::process::Command::new(program).args(arguments).output().await?;
        let errors = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "{} ended with {}: {errors}", program.display(), output.status);
        anyhow::Ok(())
    };
    let folder = venv.to_str().context("the checkout's path is not UTF-8")?;
    run(Path::new("python3"), &["-m", "venv", "--clear", folder]).await?;
    let mut arguments = vec!["install", "--quiet", "--disable-pip-version-check"];
    arguments.extend(PINS);
    run(&venv.join("bin/pip"), &arguments).await?;
    std::fs::write(stamp, pins)?;
    Ok(venv.join("bin"))
}

/// Scrapes it some times, after one to warm up, and once through a front that counts its calls.
pub(crate) async fn measure(dir: &Path, programs: &Path, vcenter: &Vcenter, rounds: usize) -> anyhow::Result<Measured> {
    let VcsimOptions { user, password, .. } = VcsimOptions::default();
    std::fs::create_dir_all(dir)?;
    let host = vcenter.url.trim_start_matches("https://").split(['/', ':']).next().unwrap_or_default();
    // All that it collects by default. The vCenter is named in each scrape: a configured one would go before that.
    let config = format!(
        "default:\n  vsphere_user: {user}\n  vsphere_password: {password}\n  ignore_ssl: True\n  \
         specs_size: 5000\n  fetch_custom_attributes: False\n  fetch_tags: False\n  fetch_alarms: False\n  \
         collect_only: {{ vms: True, vmguests: True, datastores: True, hosts: True, snapshots: True }}\n"
    );
    let file = dir.join("config.yml");
    std::fs::write(&file, config)?;
    let port = free_port();
    let mut command = Command::new(programs.join("vmware_exporter"));
    command.arg("-c").arg(file).args(["-a", "127.0.0.1", "-p", &port.to_string()]);
    let mut process = Process::start("vmware_exporter", command, dir)?;
    process.wait_for_http(&format!("http://127.0.0.1:{port}/healthz"), START_LIMIT).await?;
    let http = reqwest::Client::builder().no_proxy().no_gzip().build()?;
    let scrape = async |host: &str| {
        let answer = http.get(format!("http://127.0.0.1:{port}/metrics?target={host}")).send().await?;
        let page = answer.error_for_status()?.text().await?;
        anyhow::ensure!(page.contains("\nvmware_vm_cpu_usage_average{"), "no samples on its page:\n{}", process.log());
        anyhow::Ok(page)
    };
    scrape(host).await?;
    let (cpu, vcenter_cpu) = (usage::cpu(process.pid())?, usage::cpu(vcenter.process.pid())?);
    let (mut walls, mut series) = (Vec::new(), 0);
    for _ in 0..rounds {
        let started = Instant::now();
        series = count(&scrape(host).await?);
        walls.push(started.elapsed().as_secs_f64());
    }
    let per_round = |sum: f64| Some(sum / rounds as f64);
    let mut measured = Measured {
        name: "vmware_exporter",
        wall: median(walls),
        cpu: per_round(usage::cpu(process.pid())? - cpu),
        vcenter_cpu: per_round(usage::cpu(vcenter.process.pid())? - vcenter_cpu),
        memory: Some(usage::peak_memory(process.pid())?),
        series: Some(series as f64),
        ..Measured::default()
    };
    let front = Front::start(vcenter, (COUNTED, PORT)).await?;
    scrape(&COUNTED.to_string()).await?;
    let tape = front.take();
    anyhow::ensure!(!tape.queries.is_empty(), "vmware_exporter did not ask the front");
    measured.samples = Some(tape.samples());
    measured.calls = tape.calls;
    process.kill().await;
    Ok(measured)
}
