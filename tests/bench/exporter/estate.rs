//! One simulated vCenter after the other, and what is measured on each.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::Context;
use lynceus_demo::parts::{self, Vcenter, VcsimOptions};
use lynceus_demo::progress::step;
use tempfile::TempDir;

use crate::floor::{Floor, Recording};
use crate::front::Front;
use crate::lynceus::Lynceus;
use crate::plan::{Plan, Size};
use crate::report::{Estate, Measured};
use crate::soap::Session;
use crate::telegraf::Counters;
use crate::{telegraf, vmware_exporter};

/// Where vmware_exporter can reach a simulator.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// On vcsim the exporter, its floor, and the peers; on the fleet, whose calls cost what those of a vCenter cost, the
/// exporter alone.
pub(crate) async fn both(plan: &Plan, size: &Size) -> anyhow::Result<[Estate; 2]> {
    Ok([on_vcsim(plan, size).await?, on_fleet(plan, size).await?])
}

async fn on_vcsim(plan: &Plan, size: &Size) -> anyhow::Result<Estate> {
    let dir = tempfile::tempdir()?;
    let reachable = TcpListener::bind((ADDRESS, vmware_exporter::PORT)).map(drop);
    let options = VcsimOptions {
        address: ADDRESS,
        port: if reachable.is_ok() { vmware_exporter::PORT } else { 0 },
        vms: size.vms,
        clusters: size.clusters,
        hosts: size.hosts,
        // It lists each datastore once for each host, which no vCenter does.
        datastores: 1,
        ..VcsimOptions::default()
    };
    let vms = size.vms;
    let what = format!("vcsim with {vms} VMs");
    let mut vcsim = step(&what, parts::vcsim(&dir.path().join("vcsim"), &options)).await?;
    let what = format!("lynceus on vcsim, {vms} VMs: recording its queries");
    let recording = step(&what, record(&dir, &vcsim, plan)).await?;
    let (vm, host) = (recording.counters("VirtualMachine"), recording.counters("HostSystem"));
    let (samples, in_flight) = (recording.tape.samples(), recording.in_flight);
    let mut floor = Floor::start(&vcsim, recording).await?;
    let what = format!("lynceus and the floor on vcsim, {vms} VMs");
    let work = lynceus(&dir, &vcsim, plan.interval, plan.cycles, Some(&mut floor));
    let lynceus = step(&what, work).await?;
    let mut measured = vec![Measured { samples: Some(samples), ..lynceus }, floor.measured()];
    let mut notes = vec![format!(
        "lynceus asks for {} counters of a VM and {} of a host, with at most {} queries at once, every {} s",
        vm.len(),
        host.len(),
        in_flight,
        plan.interval.as_secs(),
    )];
    if plan.peer_rounds > 0 {
        let peers = [
            ("vmware_exporter", vmware_exporter(&dir, &vcsim, plan, reachable).await),
            ("telegraf", telegraf(&dir, &vcsim, plan, [vm, host]).await),
        ];
        for (name, outcome) in peers {
            match outcome {
                Ok(peer) => measured.push(peer),
                Err(error) => notes.push(format!("{name} was not measured: {error:#}")),
            }
        }
    }
    vcsim.process.kill().await;
    Ok(Estate { simulator: "vcsim", vms: vcsim.vms, hosts: vcsim.hosts, measured, notes })
}

async fn lynceus(
    dir: &TempDir,
    vcenter: &Vcenter,
    interval: Duration,
    cycles: usize,
    floor: Option<&mut Floor>,
) -> anyhow::Result<Measured> {
    let place = (vcenter.url.as_str(), vcenter.sha256.as_str());
    let mut lynceus = Lynceus::start(&dir.path().join("lynceus"), place, vcenter.process.pid(), interval).await?;
    let measured = lynceus.measure(cycles, floor).await?;
    lynceus.process.kill().await;
    Ok(measured)
}

/// One collection of the exporter through a front.
async fn record(dir: &TempDir, vcsim: &Vcenter, plan: &Plan) -> anyhow::Result<Recording> {
    let front = Front::start(vcsim, (Ipv4Addr::LOCALHOST, 0)).await?;
    let (pid, place) = (vcsim.process.pid(), (front.url.as_str(), front.sha256.as_str()));
    let mut lynceus = Lynceus::start(&dir.path().join("recorded"), place, pid, plan.interval).await?;
    let before = lynceus.warm_up().await?;
    front.take();
    lynceus.cycle(Some(&before)).await?;
    let recording = Recording::new(front.take())?;
    lynceus.process.kill().await;
    Ok(recording)
}

async fn vmware_exporter(
    dir: &TempDir,
    vcsim: &Vcenter,
    plan: &Plan,
    reachable: std::io::Result<()>,
) -> anyhow::Result<Measured> {
    let port = vmware_exporter::PORT;
    reachable.with_context(|| format!("it reaches port {port} only, and {ADDRESS}:{port} cannot be bound"))?;
    let programs = step("vmware_exporter's virtual environment", vmware_exporter::install()).await?;
    let what = format!("vmware_exporter on vcsim, {} VMs", vcsim.vms);
    let dir = dir.path().join("vmware_exporter");
    step(&what, vmware_exporter::measure(&dir, &programs, vcsim, plan.peer_rounds)).await
}

/// With the ids of the counters of VMs and of hosts.
async fn telegraf(dir: &TempDir, vcsim: &Vcenter, plan: &Plan, ids: [Vec<String>; 2]) -> anyhow::Result<Measured> {
    let folder = plan.peers.as_ref().context("the environment has no LYNCEUS_PEERS, the folder of its bin/telegraf")?;
    let binary = folder.join("bin/telegraf");
    anyhow::ensure!(binary.is_file(), "{} is not there", binary.display());
    let names = Session::open(vcsim).await?.counter_names().await?;
    let [vm, host] = ids.map(|ids| ids.iter().filter_map(|id| names.get(id).cloned()).collect::<Vec<_>>());
    anyhow::ensure!(!vm.is_empty() && !host.is_empty(), "vcsim does not name the counters that lynceus asks for");
    let dir = dir.path().join("telegraf");
    let what = format!("telegraf on vcsim, {} VMs", vcsim.vms);
    let counters = Counters { vm, host };
    step(&what, telegraf::measure(&dir, &binary, vcsim, &counters, plan.interval, plan.peer_rounds)).await
}

async fn on_fleet(plan: &Plan, size: &Size) -> anyhow::Result<Estate> {
    let dir = tempfile::tempdir()?;
    let options = VcsimOptions { vms: size.vms, ..VcsimOptions::default() };
    let what = format!("fleet with {} VMs", size.vms);
    let cost = &["--cost", "default"];
    let mut fleet = step(&what, parts::fleet(&dir.path().join("fleet"), &options, cost)).await?;
    let what = format!("lynceus on the fleet, {} VMs", size.vms);
    let measured = step(&what, lynceus(&dir, &fleet, plan.fleet_interval, plan.cycles, None)).await?;
    fleet.process.kill().await;
    let interval = plan.fleet_interval.as_secs_f64();
    let kept = measured.period.is_some_and(|period| period < interval * 1.02);
    let notes = vec![format!("its interval of {interval} s is {}", if kept { "kept" } else { "NOT kept" })];
    Ok(Estate { simulator: "fleet", vms: fleet.vms, hosts: fleet.hosts, measured: vec![measured], notes })
}
