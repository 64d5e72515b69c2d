//! Answers that are not what they should be: no panic, no wrong number, and what cannot be known is absent and counted.

use std::collections::HashSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use lynceus_demo::{eventually, tool};
use lynceus_exporter::catalogue::Class;
use lynceus_exporter::inventory::{Mirror, Terms, build};
use lynceus_exporter::page;
use lynceus_exporter::state::State;
use lynceus_exporter::vsphere::{Answer, decode_performance, decode_updates, open};

use crate::books::{Books, exact_page};
use crate::faults::fault;
use crate::fleet::FleetEstate;
use crate::front::Reaction;
use crate::support::{Exporter, LIMIT, PASSWORD, count, value};

fn envelope(method: &str, content: &str) -> String {
    format!("<Envelope><Body><{method}Response>{content}</{method}Response></Body></Envelope>")
}

/// An object that comes, with properties as `path=XML`.
fn enter(kind: &str, id: &str, properties: &[&str]) -> String {
    let change = |property: &&str| {
        let (path, value) = property.split_once('=').unwrap();
        format!("<changeSet><name>{path}</name><op>assign</op><val>{value}</val></changeSet>")
    };
    let changes: String = properties.iter().map(change).collect();
    format!(r#"<objectSet><kind>enter</kind><obj type="{kind}">{id}</obj>{changes}</objectSet>"#)
}

/// The page of what an inventory says.
fn page_of(objects: &[String]) -> String {
    let content = format!("<returnval><version>1</version><filterSet>{}</filterSet></returnval>", objects.concat());
    let text = envelope("WaitForUpdatesEx", &content);
    let Ok(Answer::Response(xml)) = open(&text, "WaitForUpdatesExResponse") else { panic!("no response") };
    let mut mirror = Mirror::default();
    for update in decode_updates(xml).unwrap().unwrap().updates {
        let _read_again = mirror.apply(update);
    }
    let mut state = State::new(Duration::from_secs(30));
    state.replace_inventory(Arc::new(build(&mirror, &Terms::default())));
    state.kept(Instant::now());
    page::render(&state, Instant::now(), 0, 1).text()
}

/// Prometheus would take this page: no series twice, and promtool can read it.
fn check_page(page: &str) {
    let mut seen = HashSet::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
        assert!(seen.insert(series), "{series} is there twice");
    }
    let Some(promtool) = tool("promtool") else { return };
    let mut child = Command::new(promtool);
    child.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn vm(id: &str, name: &str, uuid: &str, more: &[&str]) -> String {
    let (name, uuid) = (format!("name={name}"), format!("config.instanceUuid={uuid}"));
    let own = ["runtime.powerState=poweredOn", "runtime.connectionState=connected", &name, &uuid];
    enter("VirtualMachine", id, &[&own, more].concat())
}

#[test]
fn an_inventory_of_traps_makes_a_page_that_prometheus_takes() {
    let deep = format!("snapshot={}{}", "<childSnapshotList>".repeat(5_000), "</childSnapshotList>".repeat(5_000));
    let page = page_of(&[
        vm("vm-1", &"n".repeat(10 << 20), "u-1", &["config.hardware.numCPU=2"]),
        vm("vm-2", &format!("{}x", "n".repeat(10 << 20)), "u-2", &[]),
        enter("VirtualMachine", "vm-3", &["name=without a UUID"]),
        vm("vm-4", "twin", "u-4", &[]),
        vm("vm-5", "twin", "u-4", &[]),
        vm("vm-6", "namesake", "u-6", &[]),
        vm("vm-7", "namesake", "u-7", &[]),
        vm("vm-8", "a&#0;b&#x7;c&#10;d&#13;e\\f&quot;g&#x2028;h&#xFFFF;", "u-8", &[]),
        vm("vm-9", "deep", "u-9", &[&deep]),
        vm("vm-10", "numbers", "u-10", &["config.hardware.numCPU=-2", "config.hardware.memoryMB=NaN"]),
        vm(
            "vm-11",
            "huge",
            "u-11",
            &["config.hardware.memoryMB=99999999999999999999999", "summary.storage.committed=1e309"],
        ),
        vm("vm-12", "", "u-12", &[]),
        enter(
            "Datastore",
            "ds-1",
            &["name=ds", "summary.url=ds:///vmfs/volumes/v/", "summary.capacity=-1", "summary.freeSpace=NaN"],
        ),
        enter("HostSystem", "h-1", &["name=esx", "summary.hardware.cpuMhz=18446744073709551615"]),
        enter("SomethingNew", "x-1", &["name=x", "later.property=1"]),
    ]);
    check_page(&page);
    assert!(page.len() < 200_000, "{} bytes", page.len());
    assert_eq!(count(&page, "vsphere_vm_info{", ""), 10);
    let of_vms = |metric: &str| value(&page, &format!("vsphere_vcenter_{metric}{{object=\"vm\"}}"));
    assert_eq!((of_vms("unidentified_objects"), of_vms("duplicate_ids")), (Some(2.0), Some(2.0)));
    assert_eq!(value(&page, "vsphere_vcenter_unreadable_values"), Some(1.0));
    assert_eq!(count(&page, "vsphere_vm_info{", "vm=\"twin\""), 2);
    assert_eq!(count(&page, "vsphere_vm_info{", "vm=\"namesake\""), 2);
    assert_eq!(value(&page, "vsphere_vm_cpus{"), Some(2.0));
    assert_eq!(page.matches("\nvsphere_vm_cpus{").count(), 1);
    assert!(!page.contains("\nvsphere_vm_memory_size_bytes") && !page.contains("\nvsphere_datastore_capacity_bytes"));
    assert!(!page.contains("\nvsphere_vm_storage_used_bytes") && !page.contains("\nvsphere_host_cpu_capacity"));
    assert_eq!(page.matches("\nvsphere_vm_snapshots{").count(), 9, "all but those that cannot be read");
}

#[test]
fn half_an_answer_of_samples_is_none() {
    let whole = envelope(
        "QueryPerf",
        r#"<returnval xmlns:x="y" x:type="PerfEntityMetric"><entity type="VirtualMachine">vm-1</entity><sampleInfo><timestamp>2026-01-01T00:00:00Z</timestamp><interval>20</interval></sampleInfo><value><id><counterId>1</counterId><instance></instance></id><value>1234</value></value></returnval>"#,
    );
    let end = whole.find("</Body>").unwrap();
    for cut in 0..end {
        let found = match open(&whole[..cut], "QueryPerfResponse") {
            Ok(Answer::Response(xml)) => decode_performance(xml).ok(),
            Ok(Answer::Fault(_)) | Err(_) => None,
        };
        assert_eq!(found, None, "cut after {cut} bytes");
    }
}

const EVERY_SECOND: &str = "{ interval: 1s, max_back_off: 1s }";

/// The parts of a text between two marks, changed; all else as it is.
fn each(text: &str, begin: &str, end: &str, change: impl Fn(&str) -> String) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find(begin) {
        let Some(length) = rest[start..].find(end) else { break };
        out.push_str(&rest[..start]);
        out.push_str(&change(&rest[start..start + length]));
        rest = &rest[start + length..];
    }
    out + rest
}

/// Elements of this name, the last of them first.
fn reversed(text: &str, begin: &str, end: &str) -> String {
    let (Some(first), Some(last)) = (text.find(begin), text.rfind(end)) else { return text.to_owned() };
    let elements: Vec<&str> = text[first..last + end.len()].split_inclusive(end).collect();
    let turned: String = elements.into_iter().rev().collect();
    format!("{}{turned}{}", &text[..first], &text[last + end.len()..])
}

/// One answer of each kind of oddity in turn.
fn odd(answer: &str, turn: usize) -> String {
    each(answer, "<returnval xsi:type=\"PerfEntityMetric\">", "</returnval>", |entity| match turn % 4 {
        0 => {
            let turned = reversed(entity, "<sampleInfo>", "</sampleInfo>");
            each(&turned, "</id>", "</value></value>", |values| {
                let values = format!("{values}</value>");
                let turned = reversed(&values, "<value>", "</value>");
                turned.strip_suffix("</value>").unwrap().to_owned()
            })
        }
        1 => entity.replace("<value>0</value>", ""),
        2 => each(entity, "</id>", "</value></value>", |values| {
            let newest = values.rfind("<value>").unwrap();
            format!("{}<value>-1", &values[..newest])
        }),
        _ => entity.to_owned(),
    })
}

#[test]
fn the_oddities_are_what_they_should_be() {
    let entity = |samples: [&str; 2], values: &str| {
        let infos = samples.map(|sample| format!("<sampleInfo><timestamp>{sample}</timestamp></sampleInfo>")).concat();
        format!("<returnval xsi:type=\"PerfEntityMetric\">{infos}<value><id></id>{values}</value></returnval>")
    };
    let answer = entity(["a", "b"], "<value>0</value><value>2</value>");
    assert_eq!(odd(&answer, 0), entity(["b", "a"], "<value>2</value><value>0</value>"));
    assert_eq!(odd(&answer, 1), entity(["a", "b"], "<value>2</value>"));
    assert_eq!(odd(&answer, 2), entity(["a", "b"], "<value>0</value><value>-1</value>"));
    assert_eq!(odd(&answer, 3), answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_that_come_backwards_without_zeros_or_as_minus_one_are_counted_exactly() {
    let estate = FleetEstate::start(30, 30.0).await;
    let exporter = estate.exporter(EVERY_SECOND, "").await;
    let mut books = Books::default();
    exact_page(&estate, &exporter, &mut books, 0).await;
    books.take_apart();
    let turns = Arc::new(AtomicUsize::new(0));
    let (queries, csv) = (turns.clone(), Arc::new(AtomicUsize::new(0)));
    let asked_csv = csv.clone();
    estate.front.react(move |method, body| {
        if method != "QueryPerf" || !body.contains("\"VirtualMachine\"") {
            return Reaction::Forward;
        }
        let turn = queries.fetch_add(1, Ordering::Relaxed);
        if body.contains("<format>csv</format>") {
            asked_csv.fetch_add(1, Ordering::Relaxed);
        }
        Reaction::Edit(Box::new(move |answer| odd(&answer, turn)))
    });
    while turns.load(Ordering::Relaxed) < 9 {
        let until = books.end();
        exact_page(&estate, &exporter, &mut books, until).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(csv.load(Ordering::Relaxed) > 0, "what could not be paired is asked for as CSV");
    assert!(exporter.own("lynceus_exporter_unpaired_series_total{").await > 0.0);
    estate.front.react(|_, _| Reaction::Forward);
    let (page, _) = exact_page(&estate, &exporter, &mut books, estate.tick()).await;
    assert_eq!(value(&page, "vsphere_collector_samples_missing_total{collector=\"vm_performance\"}"), Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_none_cost_nothing_that_the_hosts_still_have() {
    let estate = FleetEstate::start(30, 30.0).await;
    let exporter = estate.exporter(EVERY_SECOND, "").await;
    let mut books = Books::default();
    exact_page(&estate, &exporter, &mut books, 0).await;
    let turns = Arc::new(AtomicUsize::new(0));
    let queries = turns.clone();
    estate.front.react(move |method, _| {
        if method != "QueryPerf" {
            return Reaction::Forward;
        }
        match queries.fetch_add(1, Ordering::Relaxed) % 7 {
            0 => Reaction::Answer(200, "<html><body>It works!</body></html>".to_owned()),
            1 => Reaction::Edit(Box::new(|answer| answer.chars().take(answer.len() / 2).collect())),
            2 => fault("FaultOfTomorrow", "<what>?</what>"),
            3 => Reaction::Answer(200, String::new()),
            4 => Reaction::Edit(Box::new(|answer| answer.replace("PerfEntityMetric", "PerfEntityHologram"))),
            5 => fault("NotAuthenticated", ""),
            _ => Reaction::Edit(Box::new(|answer| answer.replace("<counterId>", "<counterId>9999"))),
        }
    });
    eventually(LIMIT, "all kinds of answers", || async {
        anyhow::ensure!(turns.load(Ordering::Relaxed) > 14, "{turns:?}");
        Ok(())
    })
    .await
    .unwrap();
    if let Ok(page) = exporter.page().await {
        books.check(&estate, &page, Class::Vm, usize::MAX);
    }
    estate.front.react(|_, _| Reaction::Forward);
    exact_page(&estate, &exporter, &mut books, estate.tick()).await;
    assert!(!exporter.process.log().contains("panicked"), "{}", exporter.process.log());
}

fn unix_millis() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_ten_minutes_off_or_jumps_costs_no_sample() {
    let estate = FleetEstate::start(30, 30.0).await;
    estate.happen("- { at: 0s, kind: clock_skew, by: -10m, for: 2m }");
    let exporter = estate.exporter(EVERY_SECOND, "").await;
    let mut books = Books::default();
    let (_, checked) = exact_page(&estate, &exporter, &mut books, estate.tick() + 3).await;
    assert!(checked >= 20);
    for by in ["10m", "-10m"] {
        // It is right for some samples before it jumps.
        let until = estate.tick() + 7;
        exact_page(&estate, &exporter, &mut books, until).await;
        estate.happen(&format!("- {{ at: 0s, kind: clock_skew, by: {by}, for: 2m }}"));
        let until = estate.tick() + 5;
        let (page, _) = exact_page(&estate, &exporter, &mut books, until).await;
        let fleet_is_ahead = (estate.fleet.lab.now().0 - unix_millis()) as f64 / 1000.0;
        let skew = value(&page, "vsphere_vcenter_clock_skew_seconds").unwrap() - fleet_is_ahead;
        assert!((500.0..700.0).contains(&skew.abs()), "{skew}");
        assert_eq!(value(&page, "vsphere_collector_samples_missing_total{collector=\"vm_performance\"}"), Some(0.0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_changes_is_refused_until_somebody_trusts_it() {
    let estate = FleetEstate::start(30, 20.0).await;
    let config = |pin: &str| {
        let pinned = estate.front.config("", "").replace(&estate.front.url, &estate.fleet.addresses.vcenter.url);
        pinned.replace(&estate.front.sha256, pin)
    };
    std::fs::write(estate.dir.path().join("password"), PASSWORD).unwrap();
    let old = estate.fleet.addresses.fingerprint();
    let exporter = Exporter::start(estate.dir.path(), &config(&old)).await;
    let mut books = Books::default();
    exact_page(&estate, &exporter, &mut books, 0).await;
    estate.happen("- { at: 0s, kind: vcenter_down, for: 20s }\n- { at: 0s, kind: certificate_expiring, left: 30d }");
    let refused = |page: &str| page.contains("vsphere_collector_success{collector=\"inventory\"} 0");
    exporter.page_where("a refusal", refused).await;
    eventually(LIMIT, "the reason", || async {
        anyhow::ensure!(exporter.process.log().contains("is not the pinned one"), "{}", exporter.process.log());
        Ok(())
    })
    .await
    .unwrap();
    let new = estate.fleet.addresses.fingerprint();
    assert_ne!(new, old);
    assert!(exporter.process.log().contains(&new), "the log says what to trust");
    assert_eq!(estate.fleet.sessions(), 0);
    std::fs::write(estate.dir.path().join("exporter.yml"), config(&new)).unwrap();
    assert_eq!(exporter.reload().await.0, 200);
    exact_page(&estate, &exporter, &mut books, estate.tick()).await;
}
