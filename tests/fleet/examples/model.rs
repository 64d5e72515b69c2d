//! How fast the model answers, and whether its numbers are those of an estate that lives:
//! `cargo run --release -p lynceus-fleet --example model -- 5000`.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use lynceus_fleet::model::{Counter, Entity, Model, Power, Size, Time};
use lynceus_fleet::scenario::Scenario;

/// A Wednesday, 12:00 UTC.
const NOON: Time = Time(1_782_302_400_000);

fn main() -> std::io::Result<()> {
    let vms = std::env::args().nth(1).and_then(|number| number.parse().ok()).unwrap_or(5_000);
    let mut out = std::io::stdout().lock();
    let start = Instant::now();
    let model = Model::new(1, Size::of(vms), NOON);
    writeln!(out, "{vms} VMs built in {:?}", start.elapsed())?;
    let start = Instant::now();
    let inventory = model.inventory(NOON);
    writeln!(out, "inventory in {:?}", start.elapsed())?;
    let start = Instant::now();
    let changes = model.changes(NOON, Time(NOON.0 + 1_000));
    writeln!(out, "{} changes of a second in {:?}", changes.len(), start.elapsed())?;
    let start = Instant::now();
    let changes = model.changes(NOON, Time(NOON.0 + 3_600_000));
    writeln!(out, "{} changes of an hour in {:?}", changes.len(), start.elapsed())?;

    let counters = [
        Counter::CpuUsage,
        Counter::CpuUsageMhz,
        Counter::CpuReady,
        Counter::CpuCostop,
        Counter::CpuDemand,
        Counter::MemUsage,
        Counter::MemActive,
        Counter::MemConsumed,
        Counter::MemGranted,
        Counter::MemVmmemctl,
        Counter::MemSwapped,
        Counter::DiskRead,
        Counter::DiskWrite,
        Counter::DiskMaxTotalLatency,
        Counter::NetReceived,
        Counter::NetTransmitted,
        Counter::NetDroppedRx,
        Counter::SysUptime,
        Counter::Power,
        Counter::CpuReadiness,
    ];
    let tick = NOON.tick();
    let start = Instant::now();
    let running = inventory.vms.iter().filter(|vm| vm.power == Power::On).take(1_500);
    let mut values = 0;
    for vm in running {
        let samples = model.realtime_of(&inventory, Entity::Vm(vm.id), tick..tick + 1, Some(&counters));
        values += samples.series.len();
    }
    writeln!(out, "{values} series of up to 1,500 VMs, 1 sample each, in {:?}", start.elapsed())?;
    let start = Instant::now();
    let interval = NOON.0 / 300_000;
    for datastore in &inventory.estate.datastores {
        model.historical(&inventory, Entity::Datastore(datastore.id), interval..interval + 1);
    }
    writeln!(out, "an interval of all datastores in {:?}", start.elapsed())?;

    for hours in [0, 2, 8, 14] {
        let at = Time(NOON.0 + hours * 3_600_000).tick();
        let mean = |entities: &mut dyn Iterator<Item = Entity>, counter| {
            let values: Vec<i64> = entities
                .filter_map(|entity| {
                    model
                        .realtime_of(&inventory, entity, at..at + 1, Some(&[counter]))
                        .series
                        .first()?
                        .values
                        .first()
                        .copied()
                })
                .filter(|value| *value >= 0)
                .collect();
            let worst = values.iter().max().copied().unwrap_or(0);
            (values.iter().sum::<i64>() / values.len().max(1) as i64, worst)
        };
        writeln!(out, "{:02}:00 mean and highest", (12 + hours) % 24)?;
        for counter in [
            Counter::CpuUsage,
            Counter::MemUsage,
            Counter::CpuReady,
            Counter::MemVmmemctl,
            Counter::DiskMaxTotalLatency,
            Counter::Power,
        ] {
            let hosts = mean(&mut inventory.hosts.iter().map(|host| Entity::Host(host.id)), counter);
            let vms = mean(&mut inventory.vms.iter().map(|vm| Entity::Vm(vm.id)), counter);
            writeln!(out, "  {counter}: hosts {hosts:?}, VMs {vms:?}")?;
        }
    }
    let churn = "name: churn\nevents:\n- {at: 0s, kind: vm_churn, rate: 1%/m}\n";
    let churn = Scenario::parse(churn, Path::new("churn")).map_err(std::io::Error::other)?;
    let churned = model.with(churn.starting(NOON)).map_err(std::io::Error::other)?;
    let month = Time(NOON.0 + 30 * 86_400_000);
    let start = Instant::now();
    let later = churned.inventory(month);
    writeln!(out, "after 30 days of churn: {} VMs, inventory in {:?}", later.vms.len(), start.elapsed())?;
    let start = Instant::now();
    let changes = churned.changes(month, Time(month.0 + 60_000));
    writeln!(out, "{} changes of a minute of it in {:?}", changes.len(), start.elapsed())?;
    let used =
        inventory.estate.datastores.iter().map(|datastore| {
            (model.datastore_used(datastore.id, NOON) as f64 / datastore.capacity as f64 * 100.0) as u32
        });
    let used: Vec<u32> = used.collect();
    writeln!(
        out,
        "datastores full to (percent): {} to {}",
        used.iter().min().unwrap_or(&0),
        used.iter().max().unwrap_or(&0)
    )?;
    let host = &inventory.estate.hosts[0];
    writeln!(out, "hosts: {} cores, {} GiB", host.cores, host.memory >> 30)
}
