//! The whole page, from recorded answers.
//!
//! `tests/golden/*.xml` were recorded from the simulator and then given the traps: a name with `/` and quotes, a
//! template, a VM without a config, two with one UUID, one that is off, a host that does not respond, a datastore that
//! cannot be reached, samples in both orders, -1 for "no sample", and a zero that is missing on the wire.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lynceus_demo::tool;
use lynceus_exporter::catalogue::Class;
use lynceus_exporter::dry_run::{self, Census, Failure};
use lynceus_exporter::inventory::{Mirror, Terms, build};
use lynceus_exporter::ledger::Ledger;
use lynceus_exporter::ownership::{Condition, Ownership, Rule, Subject};
use lynceus_exporter::page;
use lynceus_exporter::state::{Health, Performance, State};
use lynceus_exporter::vsphere::{
    Answer, Change, CounterIds, MoRef, Object, ObjectUpdate, PerfRequest, UpdateKind, Xml, decode_counters,
    decode_objects, decode_performance, open,
};

pub(crate) const INVENTORY: &str = include_str!("../golden/inventory.xml");
pub(crate) const COUNTERS: &str = include_str!("../golden/counters.xml");
pub(crate) const VM_PERFORMANCE: &str = include_str!("../golden/vm_performance.xml");
pub(crate) const HOST_PERFORMANCE: &str = include_str!("../golden/host_performance.xml");

fn response<'a>(text: &'a str, name: &str) -> Xml<'a> {
    match open(text, name) {
        Ok(Answer::Response(xml)) => xml,
        Ok(Answer::Fault(fault)) => panic!("{fault}"),
        Err(error) => panic!("{error}"),
    }
}

/// A mirror of these objects and no others.
pub(crate) fn mirror(objects: Vec<Object>) -> Mirror {
    let mut mirror = Mirror::default();
    for Object { reference, properties } in objects {
        let change = |(path, value): (Box<str>, _)| Change { path: path.into(), value: Some(value), partial: false };
        let changes = properties.into_iter().map(change).collect();
        let update = ObjectUpdate { kind: UpdateKind::Enter, object: reference, changes };
        let _read_again = mirror.apply(update);
    }
    mirror
}

fn take(ledger: &mut Ledger, class: Class, ids: &CounterIds, identity: impl Fn(&str) -> Option<String>, answer: &str) {
    let manager = MoRef { kind: "PerformanceManager".to_owned(), id: "PerfMgr".to_owned() };
    let request = PerfRequest::new(&manager, class.kind(), &class.counters(), ids, 20);
    for found in decode_performance(response(answer, "QueryPerfResponse")).unwrap() {
        let Some(id) = identity(&found.id) else { continue };
        ledger.take(&id, &found, |counter, device| request.place(counter, device), Instant::now());
    }
}

fn state() -> State {
    let rule = Rule {
        team: Some("red".to_owned()),
        tier: Some("gold".to_owned()),
        conditions: vec![Condition::new(Subject::Name, "DC0_C0_.*").unwrap()],
    };
    let terms = Terms { ownership: Ownership::new(vec![rule]), ..Terms::default() };
    let objects = decode_objects(response(INVENTORY, "RetrievePropertiesExResponse")).unwrap().objects;
    let ids = decode_counters(response(COUNTERS, "RetrievePropertiesExResponse")).unwrap();
    let inventory = Arc::new(build(&mirror(objects), &terms));
    let mut state = State::new(Duration::from_secs(30));
    state.replace_inventory(inventory.clone());
    state.kept(Instant::now());
    let vm = |moref: &str| inventory.vms.iter().find(|vm| vm.moref == moref).map(|vm| vm.id.clone());
    take(state.ledger_mut(Class::Vm), Class::Vm, &ids, vm, VM_PERFORMANCE);
    let host = |moref: &str| inventory.hosts.iter().find(|host| host.moref == moref).map(|host| host.id.clone());
    take(state.ledger_mut(Class::Host), Class::Host, &ids, host, HOST_PERFORMANCE);
    let health = |collector, error: Option<&str>, millis| Health {
        collector,
        error: error.map(str::to_owned),
        duration: Duration::from_millis(millis),
        ..Health::default()
    };
    let performance = Performance {
        expected: 9,
        returned: 8,
        late: 1,
        sample_age: Some(12.5),
        batch_size: 300,
        in_flight: 5,
        sick_hosts: 1,
        samples: 1234,
        missing: 3,
    };
    state.note(health("inventory", None, 120), 1_780_000_000.0);
    let vm = Health {
        interval: Some(Duration::from_secs(30)),
        performance: Some(performance),
        ..health("vm_performance", None, 250)
    };
    state.note(vm, 1_780_000_000.0);
    state.note(health("host_performance", Some("1 of 2 batches failed"), 40), 1_780_000_000.0);
    state
}

fn render() -> String {
    page::render(&state(), Instant::now(), 0, 1).text()
}

#[test]
fn the_dry_run_shows_what_the_page_would() {
    let found = [Census::of("vc01", &state(), Instant::now()).of_team(None)];
    let failed = [Failure { vcenter: "vc02".to_owned(), error: "failed to sign in".to_owned() }];
    insta::assert_snapshot!("dry_run_table", dry_run::table(&found));
    insta::assert_snapshot!("dry_run_csv", dry_run::csv(&found));
    insta::assert_snapshot!("dry_run_json", dry_run::json(&found, &failed));
    let on_page = render().lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(found[0].series.total, on_page);
}

#[test]
fn the_page_is_what_the_answers_say() {
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false, snapshot_path => "../golden" }, {
        insta::assert_snapshot!("page", render());
    });
}

#[test]
fn promtool_has_nothing_to_say_about_the_page() {
    let Some(promtool) = tool("promtool") else { return };
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(render().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}
