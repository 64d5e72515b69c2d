//! Each kind of event does what it says, and each scenario file that we ship can be started.

use std::path::Path;

use lynceus_fleet::model::{
    Change, Connection, Counter, Entity, Inventory, Model, Power, Role, Size, Time, VcenterEvent, Vm, What,
};
use lynceus_fleet::scenario::{Action, KINDS, Scenario};

use crate::model::{MINUTE, NOON, events, minutes, newest};

fn calm() -> Model {
    Model::new(1, Size::of(200), NOON)
}

fn with(yaml: &str) -> Model {
    calm().with(events(yaml)).unwrap()
}

fn running(inventory: &Inventory, role: Role) -> Vec<&Vm> {
    inventory.vms.iter().filter(|vm| vm.power == Power::On && vm.config.role == role).collect()
}

fn changes(model: &Model, from: i64, to: i64) -> Vec<What> {
    model.changes(minutes(from), minutes(to)).into_iter().map(|change: Change| change.what).collect()
}

fn names(events: &[VcenterEvent]) -> Vec<&'static str> {
    events.iter().map(|event| event.kind.name()).collect()
}

#[test]
fn every_scenario_file_can_be_started_and_says_what_is_seen() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut kinds: Vec<&str> = Vec::new();
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let scenario = Scenario::parse(&std::fs::read_to_string(&path).unwrap(), &path).unwrap();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert_eq!(scenario.name, stem);
        assert!(!scenario.description.is_empty() && !scenario.steps.is_empty(), "{stem}");
        for step in &scenario.steps {
            assert!(!step.expect.metrics.is_empty() || !step.expect.alerts.is_empty(), "{}", step.source);
        }
        if stem != "demo" {
            let of_name = |step: &&lynceus_fleet::scenario::Step| step.action.kind() == stem;
            kinds.push(scenario.steps.iter().find(of_name).unwrap().action.kind());
        }
        for vms in [200, 1_500] {
            Model::new(1, Size::of(vms), NOON).with(scenario.starting(NOON)).unwrap();
        }
        files += 1;
    }
    kinds.sort_unstable();
    let mut all = KINDS.to_vec();
    all.sort_unstable();
    assert_eq!(kinds, all);
    assert_eq!(files, KINDS.len() + 1);
}

#[test]
fn a_failed_host_loses_its_vms_to_others_and_gets_them_back() {
    let model = with("- {at: 1m, for: 10m, kind: host_fails, target: busiest}");
    let before = model.inventory(Time(minutes(1).0 - 1));
    let failed =
        model.inventory(minutes(1)).hosts.iter().find(|host| host.connection == Connection::NotResponding).unwrap().id;
    let mine = |inventory: &Inventory| -> Vec<_> {
        inventory.vms.iter().filter(|vm| vm.host == failed && vm.power == Power::On).map(|vm| vm.id).collect()
    };
    let lost = mine(&before);
    assert!(lost.len() > 10);

    let after = model.inventory(minutes(4));
    assert!(mine(&after).is_empty());
    for id in &lost {
        let vm = after.vm(*id).unwrap();
        assert!(vm.connected && vm.boot_time.unwrap() > minutes(1), "{}", vm.config.name);
        assert!(newest(&model, Entity::Vm(*id), Counter::SysUptime, minutes(5)) < 300);
    }
    assert!(
        after.alarms.iter().any(|alarm| alarm.entity == Entity::Host(failed) && alarm.red && alarm.since == minutes(1))
    );

    let back = model.inventory(minutes(25));
    assert_eq!(mine(&back), lost);
    assert!(back.alarms.is_empty());
    assert_eq!(back.host(failed).unwrap().boot_time, minutes(11));

    let events = model.events(minutes(0), minutes(25));
    let names = names(&events);
    let count = |name| names.iter().filter(|found| **found == name).count();
    assert_eq!(count("HostConnectionLostEvent"), 1);
    assert_eq!(count("HostConnectedEvent"), 1);
    assert_eq!(
        count("VmRestartedOnAlternateHostEvent"),
        lost.len() + before.vms.iter().filter(|vm| vm.host == failed && vm.power == Power::On).count() - lost.len()
    );
    assert!(count("DrsVmMigratedEvent") >= lost.len());
    assert_eq!(count("AlarmStatusChangedEvent"), 2);
}

#[test]
fn the_others_pay_for_a_failed_host() {
    let model = with("- {at: 1m, kind: host_fails, target: busiest}");
    let calm = calm();
    let at = minutes(8 * 60);
    let hosts = model.inventory(at).hosts;
    let of = |model: &Model, counter| -> i64 {
        hosts.iter().map(|host| newest(model, Entity::Host(host.id), counter, at)).filter(|value| *value >= 0).sum()
    };
    assert!(of(&model, Counter::CpuReady) > of(&calm, Counter::CpuReady) * 3 / 2);
    let highest = |model: &Model| {
        hosts.iter().map(|host| newest(model, Entity::Host(host.id), Counter::MemUsage, at)).max().unwrap()
    };
    assert!(highest(&model) > highest(&calm));
}

#[test]
fn a_host_is_empty_before_it_is_in_maintenance_mode_and_responds_all_the_while() {
    let model = with("- {at: 1m, for: 10m, kind: host_maintenance, target: busiest}");
    let before = model.inventory(Time(minutes(1).0 - 1));
    let emptied = model.inventory(minutes(3)).hosts.iter().find(|host| host.maintenance).unwrap().id;
    let mine = |inventory: &Inventory| -> Vec<_> {
        inventory.vms.iter().filter(|vm| vm.host == emptied).map(|vm| vm.id).collect()
    };
    let moving = mine(&before);
    assert!(moving.len() > 10);
    for second in 60..660 {
        let inventory = model.inventory(Time(NOON.0 + second * 1_000));
        let host = inventory.host(emptied).unwrap();
        assert_eq!(host.connection, Connection::Connected);
        assert!(!host.maintenance || mine(&inventory).is_empty(), "VMs are on it at {second} s");
        assert_eq!(host.maintenance, second >= 160, "at {second} s");
        assert!(inventory.vms.iter().all(|vm| vm.connected));
    }
    let boots = |inventory: &Inventory| -> Vec<_> { inventory.vms.iter().map(|vm| vm.boot_time).collect() };
    assert_eq!(boots(&model.inventory(minutes(5))), boots(&before), "nobody is restarted");
    let back = model.inventory(minutes(25));
    assert_eq!((mine(&back), back.host(emptied).unwrap().maintenance), (moving.clone(), false));
    assert_eq!(back.host(emptied), before.host(emptied));

    let events = model.events(minutes(0), minutes(25));
    let names = names(&events);
    let count = |name| names.iter().filter(|found| **found == name).count();
    assert_eq!((count("EnteredMaintenanceModeEvent"), count("ExitMaintenanceModeEvent")), (1, 1));
    assert!(count("DrsVmMigratedEvent") >= 2 * moving.len());
    assert_eq!(count("HostConnectedEvent") + count("AlarmStatusChangedEvent"), 0);
}

#[test]
fn a_host_that_fails_in_maintenance_has_no_vms_to_lose() {
    let yaml = "- {at: 1m, for: 20m, kind: host_maintenance, target: esx-0102}\n\
                - {at: 5m, for: 3m, kind: host_fails, target: esx-0102}";
    let model = with(yaml);
    let host = model.estate().host_ids[1];
    for minute in 3..21 {
        let inventory = model.inventory(minutes(minute));
        let found = inventory.host(host).unwrap();
        assert_eq!((found.connection == Connection::Connected, found.maintenance), (!(5..8).contains(&minute), true));
        assert!(inventory.vms.iter().all(|vm| vm.host != host && vm.connected), "minute {minute}");
    }
    assert!(!changes(&model, 3, 21).iter().any(|what| matches!(what, What::VmPower { .. })), "nobody is restarted");
}

#[test]
fn in_a_storm_vms_move_and_stay_on() {
    let model = with("- {at: 1m, for: 10m, kind: vmotion_storm, target: all, every: 1m}");
    let moves =
        changes(&model, 1, 11).iter().filter(|what| matches!(what, What::VmMoved { restarted: false, .. })).count();
    assert!(moves > 1_000, "{moves}");
    assert!(!changes(&model, 1, 11).iter().any(|what| matches!(what, What::VmPower { .. } | What::VmCreated { .. })));
    let host = Entity::Host(model.estate().host_ids[0]);
    assert!(
        newest(&model, host, Counter::NetReceived, minutes(5))
            > newest(&calm(), host, Counter::NetReceived, minutes(5)) + 150_000
    );
    let calm = calm().inventory(minutes(40));
    assert_eq!(model.inventory(minutes(40)).vms, calm.vms, "afterwards everybody is where it was");
}

#[test]
fn a_datastore_fills_up_and_its_alarm_follows() {
    let model = with("- {at: 1m, for: 30m, kind: datastore_fills, target: fullest, to: 98%, within: 4m}");
    let datastores = &model.estate().datastores;
    let part = |place: usize, at: i64| {
        model.datastore_used(datastores[place].id, minutes(at)) as f64 / datastores[place].capacity as f64
    };
    let place = (0..datastores.len()).max_by(|a, b| part(*a, 6).total_cmp(&part(*b, 6))).unwrap();
    assert!(part(place, 0) < 0.75);
    assert!(part(place, 2) > part(place, 1) && part(place, 3) > part(place, 2));
    assert!((0.979..0.9801).contains(&part(place, 6)));
    assert!(part(place, 32) < 0.75);
    let alarms = model.inventory(minutes(6)).alarms;
    assert_eq!(alarms.len(), 1);
    assert!(alarms[0].red && alarms[0].entity == Entity::Datastore(datastores[place].id));
    assert!(minutes(1) < alarms[0].since && alarms[0].since <= minutes(5));
    let interval = minutes(10).0 / 300_000;
    let inventory = model.inventory(minutes(10));
    let samples = model.historical_of(&inventory, alarms[0].entity, interval..interval + 1, Some(&[Counter::DiskUsed]));
    assert_eq!(
        samples.series[0].values[0] as u64,
        (model.datastore_used(datastores[place].id, minutes(10)) + 512) / 1024
    );
    let inventory = model.inventory(minutes(6));
    for (datastore, used) in datastores.iter().zip(model.space_used(&inventory, minutes(6))) {
        assert_eq!(used, model.datastore_used(datastore.id, minutes(6)), "{}", datastore.name);
    }
}

#[test]
fn a_forgotten_snapshot_is_old_and_grows() {
    let model = with("- {at: 1m, kind: snapshot_forgotten, target: role db, age: 9d}");
    let (day, later) = (24 * 60, 3 * 24 * 60);
    let inventory = model.inventory(minutes(day));
    let databases: Vec<&Vm> = inventory.vms.iter().filter(|vm| vm.config.role == Role::Database).collect();
    for vm in databases {
        let place = vm.snapshots.iter().position(|snapshot| snapshot.name == "before the change").unwrap();
        assert_eq!(vm.snapshots[place].created, Time(minutes(1).0 - 9 * 24 * 60 * MINUTE));
        let (first, second) = (model.vm_space(vm, minutes(day)), model.vm_space(vm, minutes(later)));
        assert!(second.snapshots[place] > first.snapshots[place] && first.snapshots[place] > 16 << 20);
    }
}

#[test]
fn a_noisy_neighbour_is_heard() {
    let model = with("- {at: 1m, for: 20m, kind: noisy_neighbour, target: busiest}");
    let (at, calm) = (minutes(5), calm());
    let inventory = model.inventory(at);
    let usage = |vm: &Vm| newest(&model, Entity::Vm(vm.id), Counter::CpuUsage, at);
    let noisy = inventory.vms.iter().max_by_key(|vm| usage(vm)).unwrap();
    assert!(usage(noisy) > 9_000);
    let datastore = noisy.config.disks.last().unwrap().datastore;
    let others = inventory.vms.iter().filter(|vm| vm.power == Power::On && vm.id != noisy.id);
    let hit: Vec<&Vm> = others.filter(|vm| vm.config.disks.iter().any(|disk| disk.datastore == datastore)).collect();
    assert!(hit.len() > 5);
    for vm in hit {
        let of = |model: &Model| newest(model, Entity::Vm(vm.id), Counter::DiskMaxTotalLatency, at);
        assert!(of(&model) >= 20 && of(&calm) < 5, "{}: {}, {}", vm.config.name, of(&model), of(&calm));
    }
    let ready = |model: &Model| newest(model, Entity::Host(noisy.host), Counter::CpuReady, at);
    assert!(ready(&model) > ready(&calm));
}

#[test]
fn a_leak_fills_memory_until_balloons_inflate() {
    let model = with("- {at: 1m, kind: memory_leak, target: all, to: 100%, within: 10m}");
    let inventory = model.inventory(minutes(20));
    for vm in running(&inventory, Role::Web) {
        let values: Vec<i64> =
            [0, 3, 6, 11].map(|at| newest(&model, Entity::Vm(vm.id), Counter::MemUsage, minutes(at))).to_vec();
        assert!(values.is_sorted() && values[3] > 8_500, "{}: {values:?}", vm.config.name);
    }
    let host = |counter, at| -> i64 {
        inventory.hosts.iter().map(|host| newest(&model, Entity::Host(host.id), counter, minutes(at))).sum()
    };
    assert_eq!(host(Counter::MemVmmemctl, 0), 0);
    assert!(host(Counter::MemUsage, 11) > host(Counter::MemUsage, 0));
}

#[test]
fn when_a_leak_meets_a_failed_host_memory_is_taken_back() {
    let leak = "- {at: 1m, kind: memory_leak, target: all, to: 100%, within: 5m}\n";
    let failures = "- {at: 2m, kind: host_fails, target: any}\n- {at: 3m, kind: host_fails, target: busiest}\n";
    let (some, more) = (with(leak), with(&format!("{leak}{failures}")));
    let at = minutes(15);
    let sum = |model: &Model, counter| -> i64 {
        let inventory = model.inventory(at);
        let vms = inventory.vms.iter().map(|vm| newest(model, Entity::Vm(vm.id), counter, at));
        vms.filter(|value| *value >= 0).sum()
    };
    assert!(sum(&more, Counter::MemVmmemctl) > sum(&some, Counter::MemVmmemctl));
    assert!(sum(&more, Counter::MemSwapped) > 0);
    assert!(sum(&more, Counter::MemCompressed) > 0);
    assert!(sum(&more, Counter::CpuSwapwait) > 0);
    let inventory = more.inventory(at);
    for vm in inventory.vms.iter().filter(|vm| vm.config.tools.is_none() && vm.power == Power::On) {
        assert_eq!(newest(&more, Entity::Vm(vm.id), Counter::MemVmmemctl, at).max(0), 0, "no tools, no balloon");
    }
}

#[test]
fn churn_replaces_vms_and_keeps_their_number() {
    let model = with("- {at: 0s, kind: vm_churn, target: all, rate: 10%/m}");
    let (before, after) = (model.inventory(minutes(0)), model.inventory(minutes(5)));
    let kept = before.vms.iter().filter(|vm| after.vm(vm.id).is_some()).count();
    assert!((80..130).contains(&kept), "half of 196: {kept}");
    assert!(after.vms.len() >= 180, "few places are empty: {}", after.vms.len());
    let names = names(&model.events(minutes(0), minutes(5)));
    let count = |name| names.iter().filter(|found| **found == name).count();
    assert!((80..115).contains(&count("VmRemovedEvent")), "{}", count("VmRemovedEvent"));
    assert!(count("VmCreatedEvent") > 75 && count("VmPoweredOnEvent") > 60);
    let month = model.inventory(minutes(30 * 24 * 60));
    assert!(month.vms.len() >= 180);
    let mut ids: Vec<_> = month.vms.iter().map(|vm| vm.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), month.vms.len());
}

#[test]
fn vms_are_switched_off_and_on_again() {
    let model = with("- {at: 1m, for: 5m, kind: vm_power, target: red-web-001, state: \"off\"}");
    let at =
        |minute| model.inventory(minutes(minute)).vms.into_iter().find(|vm| vm.config.name == "red-web-001").unwrap();
    assert_eq!((at(0).power, at(1).power, at(6).power), (Power::On, Power::Off, Power::On));
    assert_eq!((at(1).boot_time, at(6).boot_time), (None, Some(minutes(6))));
    assert_eq!(names(&model.events(minutes(0), minutes(7))), ["VmPoweredOffEvent", "VmPoweredOnEvent"]);
}

#[test]
fn what_happens_to_vcenter_leaves_the_estate_alone() {
    let yaml = "- {at: 1m, for: 1m, kind: vcenter_down}\n- {at: 2m, kind: vcenter_restarted}\n\
                - {at: 2m, kind: vcenter_slow, factor: 3}\n- {at: 2m, kind: clock_skew, by: -30s}\n\
                - {at: 2m, kind: certificate_expiring, left: 5d}";
    let model = with(yaml);
    assert_eq!(model.inventory(minutes(3)), calm().inventory(minutes(3)));
    let lasts = |kind: &str, at: i64| {
        let mut found = model.events_given().iter().filter(|event| event.action.kind() == kind);
        found.any(|event| event.lasts_at(minutes(at)))
    };
    assert!(lasts("vcenter_down", 1) && !lasts("vcenter_down", 2));
    assert!(lasts("vcenter_restarted", 4) && !lasts("vcenter_restarted", 5), "a restart takes three minutes");
    assert!(model.events_given().iter().any(|event| event.action == Action::ClockSkew { by_millis: -30_000 }));
}

fn refused(yaml: &str, expected: &str) {
    let yaml = format!("name: test\nevents:\n{yaml}");
    let found = match Scenario::parse(&yaml, Path::new("s.yml")) {
        Err(error) => error.to_string(),
        Ok(scenario) => match calm().with(scenario.starting(NOON)) {
            Err(error) => error.to_string(),
            Ok(_) => "accepted".to_owned(),
        },
    };
    assert_eq!(found, expected);
}

#[test]
fn a_time_that_runs_backwards_is_refused() {
    refused(
        "- {at: 2m, kind: vcenter_down}\n- {at: 1m, kind: vcenter_down}",
        "s.yml:4: events[1].at: expected a time that is not before the event above it, so `2m` or later, found `1m`",
    );
}

#[test]
fn an_unknown_key_is_refused() {
    refused(
        "- {at: 2m, kind: vcenter_down, fro: 1m}",
        "s.yml:3: events[0].fro: unknown field `fro`, expected one of at, for, kind, target, every, to, within, age, \
         rate, state, factor, left, by, timeout, expect",
    );
}

#[test]
fn a_key_of_another_kind_is_refused() {
    refused(
        "- {at: 2m, kind: vcenter_down, to: 90%}",
        "s.yml:3: events[0].to: expected no `to`, which means nothing for `vcenter_down`, found `90%`",
    );
}

#[test]
fn an_unknown_kind_is_refused() {
    refused(
        "- {at: 2m, kind: host_fail, target: x}",
        "s.yml:3: events[0].kind: expected one of host_fails, host_maintenance, host_sick, vmotion_storm, \
         datastore_fills, snapshot_forgotten, noisy_neighbour, memory_leak, vm_churn, vm_power, vcenter_slow, vcenter_down, \
         vcenter_restarted, certificate_expiring, clock_skew, found `host_fail`",
    );
}

#[test]
fn unknown_targets_are_refused_with_an_example() {
    refused(
        "- {at: 2m, kind: host_fails, target: esx-9999}",
        "s.yml:3: events[0].target: expected a host that there is, such as `esx-0101.fleet.example`, found `esx-9999`",
    );
    refused(
        "- {at: 1m, kind: vcenter_down}\n- {at: 2m, kind: datastore_fills, target: ds-77-77}",
        "s.yml:4: events[1].target: expected a datastore that there is, such as `ds-01-01`, found `ds-77-77`",
    );
    refused(
        "- {at: 2m, kind: host_sick, target: any, timeout: 0s}",
        "s.yml:3: events[0].timeout: expected a duration such as `30s` or `1m30s`, longer than 0, found `0s`",
    );
    refused(
        "- {at: 2m, kind: host_fails}",
        "s.yml:3: events[0].target: expected the name of a host, `busiest`, `quietest` or `any`, found nothing",
    );
    refused(
        "- {at: 2m, kind: vm_power, state: \"off\", target: role printer}",
        "s.yml:3: events[0].target: expected the name of a VM, `busiest`, `quietest`, `any`, `all`, `team <name>` or \
         `role <web, db, batch, desktop, idle, zombie>`, found `role printer`",
    );
}

#[test]
fn a_host_whose_vms_have_nowhere_to_go_is_refused() {
    let yaml =
        "- {at: 1m, kind: host_maintenance, target: esx-0101}\n- {at: 2m, kind: host_maintenance, target: esx-0102}";
    let two_hosts = Model::new(1, Size::of(60), NOON);
    assert_eq!(
        two_hosts.with(events(yaml)).unwrap_err().to_string(),
        "test.yml:4: events[1].target: expected a host of whose cluster another one can take its VMs, found `esx-0102`"
    );
    assert!(calm().with(events(yaml)).is_ok());
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    refused(
        "- {at: soon, kind: datastore_fills, target: any, to: 120%}\n- {at: 1m, for: 0s, kind: vm_churn, rate: 1%}\n\
         - {at: 1m, kind: vcenter_slow, factor: 0.5}\n- {at: 1m, kind: clock_skew, by: much}\n\
         - {at: 1m, kind: vmotion_storm, every: 1s}\n- {at: 1m, kind: vm_power, target: any, state: dead}",
        "s.yml:3: events[0].at: expected a duration such as `30s` or `1m30s`, found `soon`\n\
         s.yml:3: events[0].to: expected a part such as `97%`, at most `100%`, found `120%`\n\
         s.yml:4: events[1].for: expected a duration such as `30s` or `1m30s`, longer than 0, found `0s`\n\
         s.yml:4: events[1].rate: expected a part for each minute, above `0%/m` and up to `50%/m`, found `1%`\n\
         s.yml:5: events[2].factor: expected a number above 1, found `0.5`\n\
         s.yml:6: events[3].by: expected a duration such as `30s`, or `-30s` for a clock that is behind, found `much`\n\
         s.yml:7: events[4].every: expected a duration of `20s` or longer, found `1s`\n\
         s.yml:8: events[5].state: expected `on`, `off` or `suspended`, found `dead`",
    );
}
