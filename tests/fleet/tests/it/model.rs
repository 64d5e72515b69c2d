//! The model's promises: the same question has the same answer, and things add up.

use lynceus_fleet::model::{Connection, Counter, Entity, Inventory, Model, Power, Samples, Size, Time};
use lynceus_fleet::scenario::{Event, Scenario};
use proptest::prelude::*;

/// A Wednesday, 12:00 UTC.
pub(crate) const NOON: Time = Time(1_782_302_400_000);
pub(crate) const MINUTE: i64 = 60_000;

/// The events of a scenario that starts at noon.
pub(crate) fn events(yaml: &str) -> Vec<Event> {
    let yaml = format!("name: test\nevents:\n{yaml}");
    Scenario::parse(&yaml, std::path::Path::new("test.yml")).unwrap().starting(NOON)
}

pub(crate) fn minutes(minutes: i64) -> Time {
    Time(NOON.0 + minutes * MINUTE)
}

/// The newest value of a counter of an entity as a whole.
pub(crate) fn newest(model: &Model, entity: Entity, counter: Counter, at: Time) -> i64 {
    let inventory = model.inventory(at);
    let samples = model.realtime_of(&inventory, entity, at.tick()..at.tick() + 1, Some(&[counter]));
    samples.series.iter().find(|series| series.instance.is_empty()).unwrap().values[0]
}

/// All that happens at once.
const TURMOIL: &str = "
- {at: 2m, for: 20m, kind: host_fails, target: busiest}
- {at: 3m, for: 10m, kind: vmotion_storm, target: all, every: 1m}
- {at: 4m, for: 9m, kind: host_fails, target: any}
- {at: 5m, for: 12m, kind: datastore_fills, target: fullest, to: 98%, within: 3m}
- {at: 6m, for: 10m, kind: snapshot_forgotten, target: team red}
- {at: 7m, for: 15m, kind: vm_power, target: role web, state: off}
- {at: 8m, for: 15m, kind: vm_power, target: role db, state: suspended}
- {at: 9m, for: 12m, kind: vm_churn, rate: 20%/m}
- {at: 10m, for: 10m, kind: memory_leak, target: role batch, to: 99%, within: 5m}
- {at: 11m, for: 10m, kind: noisy_neighbour, target: busiest}
- {at: 14m, for: 10m, kind: host_maintenance, target: any}
- {at: 16m, for: 2m, kind: host_fails, target: any}
";

fn turmoil(seed: u64, vms: u32) -> Model {
    Model::new(seed, Size::of(vms), NOON).with(events(TURMOIL)).unwrap()
}

fn everything(inventory: &Inventory) -> Vec<Entity> {
    let hosts = inventory.hosts.iter().map(|host| Entity::Host(host.id));
    let pools = inventory.estate.pools.iter().map(|pool| Entity::Pool(pool.id));
    inventory.vms.iter().map(|vm| Entity::Vm(vm.id)).chain(hosts).chain(pools).collect()
}

#[test]
fn two_runs_of_an_hour_are_identical_and_so_is_each_part_alone() {
    let hour = minutes(0).tick() + 1..minutes(60).tick() + 1;
    let first = turmoil(7, 80);
    let inventory = first.inventory(minutes(60));
    let entities = everything(&inventory);
    let whole: Vec<Samples> = entities.iter().map(|entity| first.realtime(&inventory, *entity, hour.clone())).collect();

    let second = turmoil(7, 80);
    let mut by_minute: Vec<Samples> = Vec::new();
    for minute in 0..60 {
        let ticks = hour.start + minute * 3..hour.start + minute * 3 + 3;
        for (place, entity) in entities.iter().enumerate() {
            let part = second.realtime(&inventory, *entity, ticks.clone());
            match by_minute.get_mut(place) {
                None => by_minute.push(part),
                Some(whole) => {
                    for (whole, part) in whole.series.iter_mut().zip(part.series) {
                        whole.values.extend(part.values);
                    }
                }
            }
        }
    }
    assert_eq!(whole, by_minute);

    let third = turmoil(7, 80);
    for (place, entity) in entities.iter().enumerate() {
        let last = third.realtime(&inventory, *entity, hour.end - 3..hour.end);
        for (whole, last) in whole[place].series.iter().zip(last.series) {
            assert_eq!(whole.values[whole.values.len() - 3..], last.values, "{entity} {}", last.counter);
        }
    }
}

#[test]
fn another_seed_is_another_estate() {
    let (one, two) = (Model::new(1, Size::of(60), NOON), Model::new(2, Size::of(60), NOON));
    assert_ne!(one.inventory(NOON).vms, two.inventory(NOON).vms);
}

#[test]
fn a_later_event_does_not_change_the_past() {
    let calm = turmoil(3, 90);
    let more = "- {at: 15m, kind: host_fails, target: quietest}\n- {at: 15m, kind: host_fails, target: busiest}\n- {at: 15m, kind: vmotion_storm}\n\
                - {at: 15m, kind: vm_churn, rate: 50%/m}\n- {at: 15m, kind: datastore_fills, target: any}\n";
    let later = calm.with(events(more)).unwrap();
    let before = Time(minutes(15).0 - 1);
    assert_eq!(calm.inventory(before), later.inventory(before));
    assert_eq!(calm.changes(minutes(0), before), later.changes(minutes(0), before));
    let inventory = calm.inventory(before);
    for entity in everything(&inventory) {
        let ticks = minutes(10).tick()..before.tick() + 1;
        assert_eq!(calm.realtime(&inventory, entity, ticks.clone()), later.realtime(&inventory, entity, ticks));
    }
    assert_ne!(calm.inventory(minutes(25)), later.inventory(minutes(25)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changes_lead_from_one_inventory_to_the_next(seed in 0_u64..1_000, from in 0_i64..2_400_000, length in 1_i64..1_800_000) {
        let model = turmoil(seed, 95);
        let (after, until) = (Time(NOON.0 - 300_000 + from), Time(NOON.0 - 300_000 + from + length));
        let mut inventory = model.inventory(after);
        let changes = model.changes(after, until);
        prop_assert!(changes.iter().all(|change| after < change.at && change.at <= until));
        prop_assert!(changes.is_sorted_by_key(|change| change.at));
        inventory.apply(&changes, until);
        prop_assert_eq!(inventory, model.inventory(until));
    }
}

#[test]
fn changes_over_days_of_daily_life_add_up_too() {
    let model = Model::new(5, Size::of(150), NOON);
    let mut inventory = model.inventory(NOON);
    let end = minutes(3 * 24 * 60);
    let changes = model.changes(NOON, end);
    assert!(changes.len() > 50, "backups and migrations: {}", changes.len());
    inventory.apply(&changes, end);
    assert_eq!(inventory, model.inventory(end));
}

#[test]
fn a_host_is_the_sum_of_its_vms_and_its_own_part() {
    let model = Model::new(1, Size::of(120), NOON);
    let inventory = model.inventory(NOON);
    for host in &inventory.hosts {
        let vms: Vec<Entity> =
            inventory.vms.iter().filter(|vm| vm.host == host.id).map(|vm| Entity::Vm(vm.id)).collect();
        let sum = |counter| -> i64 {
            vms.iter().map(|vm| newest(&model, *vm, counter, NOON)).filter(|value| *value >= 0).sum()
        };
        let of_host = |counter| newest(&model, Entity::Host(host.id), counter, NOON);
        let near = |found: i64, expected: i64, what: &str| {
            assert!((found - expected).abs() <= vms.len() as i64, "{what}: {found}, expected {expected}");
        };
        near(of_host(Counter::CpuUsageMhz), sum(Counter::CpuUsageMhz) + of_host(Counter::CpuReservedCapacity), "cpu");
        near(of_host(Counter::CpuReady), sum(Counter::CpuReady), "ready");
        let memory = sum(Counter::MemConsumed) + sum(Counter::MemOverhead) + of_host(Counter::MemSysUsage);
        near(of_host(Counter::MemConsumed), memory, "memory");
        near(of_host(Counter::DiskRead), sum(Counter::DiskRead), "read");
        near(of_host(Counter::NetReceived), sum(Counter::NetReceived), "received");
    }
}

#[test]
fn instances_add_up_to_the_whole() {
    let model = Model::new(1, Size::of(60), NOON);
    let inventory = model.inventory(NOON);
    let tick = NOON.tick();
    for vm in inventory.vms.iter().filter(|vm| vm.power == Power::On) {
        let samples = model.realtime(&inventory, Entity::Vm(vm.id), tick..tick + 1);
        let value = |counter: Counter, whole: bool| -> i64 {
            let mine =
                samples.series.iter().filter(|series| series.counter == counter && series.instance.is_empty() == whole);
            mine.map(|series| series.values[0]).sum()
        };
        for counter in
            [Counter::CpuUsageMhz, Counter::CpuReady, Counter::CpuUsed, Counter::NetReceived, Counter::DiskWrite]
        {
            let (whole, parts) = (value(counter, true), value(counter, false));
            assert!(
                (whole - parts).abs() <= i64::from(vm.config.vcpus),
                "{} {counter}: {whole}, {parts}",
                vm.config.name
            );
        }
        let time: i64 = [Counter::CpuUsed, Counter::CpuReady, Counter::CpuCostop, Counter::CpuWait]
            .map(|counter| value(counter, true))
            .iter()
            .sum();
        let all = i64::from(vm.config.vcpus) * 20_000;
        assert!((time - all).abs() <= 4, "{}: {time} of {all} ms", vm.config.name);
    }
}

#[test]
fn a_historical_sample_is_the_mean_and_for_summations_the_sum() {
    let model = Model::new(1, Size::of(60), NOON);
    let inventory = model.inventory(NOON);
    let interval = NOON.0 / 300_000;
    let ticks = (interval - 1) * 15 + 1..interval * 15 + 1;
    for vm in inventory.vms.iter().filter(|vm| vm.power == Power::On).take(10) {
        let entity = Entity::Vm(vm.id);
        for (counter, divisor) in [(Counter::CpuUsageMhz, 15), (Counter::MemActive, 15), (Counter::CpuReady, 1)] {
            let realtime = model.realtime_of(&inventory, entity, ticks.clone(), Some(&[counter]));
            let historical = model.historical_of(&inventory, entity, interval..interval + 1, Some(&[counter]));
            let expected = realtime.series[0].values.iter().sum::<i64>() / divisor;
            let found = historical.series[0].values[0];
            assert!((found - expected).abs() <= 16 / divisor + 1, "{counter}: {found}, expected {expected}");
        }
    }
}

#[test]
fn numbers_of_a_working_day_are_those_of_a_healthy_estate() {
    let model = Model::new(1, Size::of(200), NOON);
    let inventory = model.inventory(NOON);
    for host in &inventory.hosts {
        let usage = newest(&model, Entity::Host(host.id), Counter::CpuUsage, NOON);
        assert!((2_000..8_500).contains(&usage), "{}: {usage}", host.config.name);
        assert_eq!(newest(&model, Entity::Host(host.id), Counter::MemSwapUsed, NOON), 0);
        let watts = newest(&model, Entity::Host(host.id), Counter::Power, NOON);
        assert!((100..i64::from(host.config.power_cap)).contains(&watts), "{watts} W");
    }
    for vm in inventory.vms.iter().filter(|vm| vm.power == Power::On) {
        let of = |counter| newest(&model, Entity::Vm(vm.id), counter, NOON);
        assert!((0..=10_000).contains(&of(Counter::CpuUsage)), "{}", vm.config.name);
        let memory = i64::from(vm.config.memory_mb) * 1024;
        assert!(of(Counter::MemActive) <= of(Counter::MemConsumed) + memory / 20 && of(Counter::MemConsumed) <= memory);
        assert!(of(Counter::DiskMaxTotalLatency) < 15);
        assert!(of(Counter::SysUptime) > 0);
    }
}

#[test]
fn what_is_off_or_unreachable_has_no_samples() {
    let model = turmoil(1, 90);
    let at = Time(minutes(2).0 + 40_000);
    let inventory = model.inventory(at);
    let failed = inventory.hosts.iter().find(|host| host.connection == Connection::NotResponding).unwrap();
    assert_eq!(newest(&model, Entity::Host(failed.id), Counter::CpuUsage, at), -1);
    let lost: Vec<_> = inventory.vms.iter().filter(|vm| vm.host == failed.id).collect();
    assert!(lost.iter().any(|vm| vm.power == Power::On));
    assert!(lost.iter().all(|vm| !vm.connected));
    for vm in inventory.vms.iter().filter(|vm| vm.power != Power::On || !vm.connected) {
        assert_eq!(newest(&model, Entity::Vm(vm.id), Counter::CpuUsage, at), -1, "{}", vm.config.name);
    }
}

#[test]
fn every_estate_of_some_size_has_its_oddities() {
    let model = Model::new(1, Size::of(200), NOON);
    let inventory = model.inventory(NOON);
    let vms = &inventory.vms;
    assert_eq!(vms.len(), 200);
    assert!(vms.iter().any(|vm| vm.config.template));
    assert!(vms.iter().any(|vm| vm.power == Power::Off && !vm.config.template));
    assert!(vms.iter().any(|vm| vm.power == Power::Suspended));
    assert!(vms.iter().any(|vm| vm.config.tools.is_none()));
    assert!(vms.iter().any(|vm| vm.config.vapp.is_some()));
    assert!(vms.iter().any(|vm| !vm.snapshots.is_empty()));
    assert!(vms.iter().any(|vm| vm.config.name.contains(['<', '&'])));
    assert!(vms.iter().any(|vm| vm.config.name.ends_with(' ')));
    assert!(vms.iter().any(|vm| !vm.config.name.is_ascii()));
    let mut uuids: Vec<&str> = vms.iter().map(|vm| vm.config.instance_uuid.as_str()).collect();
    uuids.sort_unstable();
    uuids.dedup();
    assert_eq!(uuids.len(), 199, "one is doubled");
    let mut numbers: Vec<&str> = vms.iter().map(|vm| vm.config.bios_uuid.as_str()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 200);
}

#[test]
fn references_of_an_estate_name_one_thing_each_and_lead_somewhere() {
    let model = Model::new(1, Size::of(5_000), NOON);
    let inventory = model.inventory(NOON);
    let estate = &inventory.estate;
    for vm in &inventory.vms {
        assert!(estate.folder(vm.config.folder).is_some() && estate.host(vm.host).is_some());
        assert!(vm.config.pool.is_none_or(|pool| estate.pool(pool).is_some()));
        assert!(vm.config.disks.iter().all(|disk| estate.datastore(disk.datastore).is_some()));
        let host = estate.host(vm.host).unwrap();
        assert!(vm.config.disks.iter().all(|disk| host.datastores.contains(&disk.datastore)), "{}", vm.config.name);
        assert_eq!(inventory.vm(vm.id), Some(vm));
    }
    for host in &inventory.hosts {
        let cluster = estate.cluster(host.config.cluster).unwrap();
        assert!(cluster.hosts.contains(&host.id));
        assert!(host.config.datastores.iter().all(|id| cluster.datastores.contains(id)));
    }
    let mut macs: Vec<&str> =
        inventory.vms.iter().flat_map(|vm| vm.config.nics.iter().map(|nic| nic.mac.as_str())).collect();
    let all = macs.len();
    macs.sort_unstable();
    macs.dedup();
    assert_eq!(macs.len(), all);
    let mut addresses: Vec<&str> = inventory
        .vms
        .iter()
        .flat_map(|vm| vm.config.nics.iter().flat_map(|nic| nic.addresses.iter().map(String::as_str)))
        .collect();
    let all = addresses.len();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), all);
}

#[test]
fn a_guest_sees_what_vsphere_sees_from_outside() {
    let model = turmoil(1, 90);
    let at = minutes(13);
    let inventory = model.inventory(at);
    let mut seen = 0;
    for vm in &inventory.vms {
        let Some(guest) = model.guest(vm, at) else {
            assert!(newest(&model, Entity::Vm(vm.id), Counter::CpuUsage, at) < 0, "{}", vm.config.name);
            continue;
        };
        seen += 1;
        let of = |counter| newest(&model, Entity::Vm(vm.id), counter, at) as f64;
        assert!((guest.cpu_busy * 10_000.0 - of(Counter::CpuUsage)).abs() <= 1.0);
        let written: f64 = guest.disks.iter().map(|disk| disk.written).sum();
        assert!((written / 1024.0 - of(Counter::DiskWrite)).abs() <= 1.0);
        let received: f64 = guest.nics.iter().map(|nic| nic.received).sum();
        assert!((received / 1024.0 - of(Counter::NetReceived)).abs() <= 1.0);
        assert!(guest.memory_used + guest.memory_cached <= guest.memory_total);
        assert!(guest.cpu_busy + guest.cpu_steal + guest.cpu_io_wait <= 1.0001);
        assert_eq!(guest.file_systems.len(), vm.config.disks.len());
        assert!(guest.file_systems.iter().all(|fs| fs.free < fs.capacity));
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn an_estate_without_vms_stands() {
    let model = Model::new(1, Size::of(0), NOON);
    let inventory = model.inventory(NOON);
    assert!(inventory.vms.is_empty());
    assert!(newest(&model, Entity::Host(inventory.hosts[0].id), Counter::CpuUsageMhz, NOON) > 0);
    assert!(model.changes(NOON, minutes(60)).is_empty());
}
