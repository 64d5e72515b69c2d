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
use lynceus_exporter::catalogue::{Counter, host_counters, vm_counters};
use lynceus_exporter::collect::readings;
use lynceus_exporter::inventory::build;
use lynceus_exporter::ownership::Ownership;
use lynceus_exporter::page;
use lynceus_exporter::state::{Findings, Part, Reading, State};
use lynceus_exporter::vsphere::{
    Answer, CounterIds, MoRef, PerfRequest, Xml, decode_counters, decode_objects, decode_performance, open,
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

fn part<T>(found: T, milliseconds: u64) -> Part<T> {
    Part { found: Some(found), error: None, duration: Duration::from_millis(milliseconds) }
}

fn performance(kind: &str, counters: &[Counter], ids: &CounterIds, answer: &str) -> Vec<Reading> {
    let manager = MoRef { kind: "PerformanceManager".to_owned(), id: "PerfMgr".to_owned() };
    let request = PerfRequest::new(&manager, kind, counters, ids);
    readings(&request, decode_performance(response(answer, "QueryPerfResponse")).unwrap())
}

fn render() -> String {
    let mut ownership = Ownership::default();
    ownership.push("red".to_owned(), "DC0_C0_.*").unwrap();
    let objects = decode_objects(response(INVENTORY, "RetrievePropertiesExResponse")).unwrap().objects;
    let ids = decode_counters(response(COUNTERS, "RetrievePropertiesExResponse")).unwrap();
    let mut host_performance = part(performance("HostSystem", &host_counters(), &ids, HOST_PERFORMANCE), 40);
    host_performance.error = Some("1 of 2 batches failed".to_owned());
    let findings = Findings {
        inventory: part(Arc::new(build(objects, &ownership)), 120),
        vm_performance: part(performance("VirtualMachine", &vm_counters(), &ids, VM_PERFORMANCE), 250),
        host_performance,
    };
    let (now, mut state) = (Instant::now(), State::new(Duration::from_secs(30)));
    state.apply(findings, now, 1_780_000_000.0);
    page::render(&state, now).0
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
