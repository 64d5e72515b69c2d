//! Events, licences and the certificate of the vCenter.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;

use crate::fleet::FleetEstate;
use crate::front::{Front, Reaction};
use crate::support::{Exporter, LIMIT, PASSWORD, all_succeeded, count, estate, value};
use crate::vcsim::pyvmomi;

const ON: &str = "vsphere_events_total{event=\"VmPoweredOnEvent\"}";
const OFF: &str = "vsphere_events_total{event=\"VmPoweredOffEvent\"}";

async fn events(exporter: &Exporter, query: &str) -> Vec<Value> {
    let (status, body) = exporter.get(&format!("/api/v1/events{query}")).await.unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_counts_once_over_faults_and_restarts() {
    let Some(estate) = estate(8).await else { return };
    let switch = |state: &str, vms: &str| pyvmomi(&estate.vcsim.url, &format!("for vm in vms[{vms}]: vm.{state}()"));
    // Every third question gets no answer.
    let calls = AtomicUsize::new(0);
    estate.front.react(move |method, _| match method {
        "QueryEvents" if calls.fetch_add(1, Ordering::Relaxed) % 3 == 1 => Reaction::Answer(503, String::new()),
        _ => Reaction::Forward,
    });
    let config = estate.front.config("", "ownership: [{ team: red, vm_name: '.*' }]\n");
    let mut exporter = Exporter::start(estate.dir.path(), &config).await;
    // The simulator switched all of them on within the hour before.
    let page = exporter.page_where("the events of before", |page| value(page, ON) == Some(8.0)).await;
    assert_eq!(value(&page, OFF), Some(0.0), "what alerts wait for begins at 0");
    if switch("PowerOff", ":3").is_none() {
        return;
    }
    exporter.page_where("three more", |page| value(page, OFF) == Some(3.0)).await;
    assert!(exporter.process.terminate(LIMIT).await.unwrap().success());

    // While nobody looks.
    switch("PowerOn", ":2").unwrap();
    switch("PowerOff", "3:5").unwrap();
    let exporter = Exporter::start(estate.dir.path(), &config).await;
    let both = |page: &str| (value(page, ON), value(page, OFF));
    let page = exporter.page_where("all of them", |page| both(page) == (Some(10.0), Some(5.0))).await;
    let read = |page: &str| value(page, "vsphere_collector_last_success_timestamp_seconds{collector=\"events\"}");
    let page = exporter.page_where("another reading", |later| read(later) > read(&page)).await;
    assert_eq!(both(&page), (Some(10.0), Some(5.0)));

    let off = events(&exporter, "?event=VmPoweredOffEvent&vcenter=vc01&vm_id=&limit=").await;
    assert_eq!(off.len(), 5);
    let keys: Vec<i64> = off.iter().map(|event| event["key"].as_i64().unwrap()).collect();
    assert!(keys.is_sorted_by(|a, b| a > b), "newest first: {keys:?}");
    let newest = &off[0];
    assert_eq!(
        (&newest["vcenter"], &newest["team"], &newest["user"]),
        (&"vc01".into(), &"red".into(), &"lynceus".into())
    );
    let of_vm = events(&exporter, &format!("?vm_id={}", newest["vm_id"].as_str().unwrap())).await;
    assert!(of_vm.iter().all(|event| event["vm_id"] == newest["vm_id"]) && of_vm.len() >= 2, "{of_vm:?}");
    let vm = newest["objects"].as_array().unwrap().iter().find(|object| object["role"] == "vm").unwrap();
    assert_eq!(vm["type"], "VirtualMachine");
    assert!(vm["moref"].as_str().unwrap().starts_with("vm-") && !vm["name"].as_str().unwrap().is_empty());
    assert_eq!(events(&exporter, "?limit=2").await.len(), 2);
    assert_eq!(events(&exporter, "?event=NoSuchEvent").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_about_events_that_makes_no_sense_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let exporter = Exporter::start(dir.path(), &Front::start("").await.config("", "")).await;
    let get = async |query: &str| exporter.get(&format!("/api/v1/events{query}")).await.unwrap();
    assert_eq!(get("").await, (200, "[]".to_owned()));
    assert_eq!(get("?limit=1001").await, (400, "expected `limit` from 0 to 1000, found `1001`\n".to_owned()));
    assert_eq!(get("?limit=x").await.0, 400);
    assert_eq!(get("?vm=x").await.0, 400);
    assert_eq!(get("?vcenter=vc07").await, (404, "there is no vCenter `vc07`; the config has `vc01`\n".to_owned()));
}

/// Answers as a vCenter that has these events, which are numbers and moments, newest first: the newest thousand of those
/// that are asked for.
fn answer(body: &str, events: impl Iterator<Item = (i64, i64)>) -> Reaction {
    let time = |name: &str| {
        let text = body.split_once(&format!("<{name}>"))?.1.split('<').next()?;
        Some(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    };
    let (begin, end) = (time("beginTime").unwrap(), time("endTime").unwrap_or(i64::MAX));
    let event = |(key, at): (i64, i64)| {
        let time = jiff::Timestamp::from_millisecond(at).unwrap();
        format!(
            r#"<returnval xsi:type="VmMigratedEvent"><key>{key}</key><chainId>{key}</chainId><createdTime>{time}</createdTime><userName></userName></returnval>"#
        )
    };
    let events: String = events.filter(|(_, at)| (begin..=end).contains(at)).take(1000).map(event).collect();
    let text = format!(
        r#"<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><QueryEventsResponse xmlns="urn:vim25">{events}</QueryEventsResponse></soapenv:Body></soapenv:Envelope>"#
    );
    Reaction::Answer(200, text)
}

const MIGRATED: &str = "vsphere_events_total{event=\"VmMigratedEvent\"}";

#[tokio::test(flavor = "multi_thread")]
async fn what_vcenter_keeps_no_longer_stays_counted_and_readable_after_a_restart() {
    let Some(estate) = estate(4).await else { return };
    let now = jiff::Timestamp::now().as_millisecond();
    let of = move |kept: &'static [(i64, i64)]| {
        move |method: &str, body: &str| match method {
            "QueryEvents" => answer(body, kept.iter().map(|(key, age)| (*key, now - age * 60_000))),
            _ => Reaction::Forward,
        }
    };
    estate.front.react(of(&[(4, 0), (3, 30), (2, 40), (1, 50)]));
    let config = estate.front.config("", "");
    let mut exporter = Exporter::start(estate.dir.path(), &config).await;
    exporter.page_where("four events", |page| value(page, MIGRATED) == Some(4.0)).await;
    assert!(exporter.process.terminate(LIMIT).await.unwrap().success());
    estate.front.react(of(&[(5, 0), (4, 0)]));
    let exporter = Exporter::start(estate.dir.path(), &config).await;
    exporter.page_where("the fifth", |page| value(page, MIGRATED) == Some(5.0)).await;
    let keys: Vec<_> = events(&exporter, "").await.iter().map(|event| event["key"].as_i64().unwrap()).collect();
    assert_eq!(keys, [5, 4, 3, 2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_events_than_one_answer_holds_all_count() {
    let Some(estate) = estate(4).await else { return };
    let first = jiff::Timestamp::now().as_millisecond() - 60_000;
    estate.front.react(move |method, body| match method {
        // One each 10 ms.
        "QueryEvents" => answer(body, (0..2500).rev().map(|key| (key, first + key * 10))),
        _ => Reaction::Forward,
    });
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config("", "")).await;
    let page = exporter.page_where("all events", |page| value(page, MIGRATED) == Some(2500.0)).await;
    assert_eq!(value(&page, "vsphere_collector_success{collector=\"events\"}"), Some(1.0));
    let kept = events(&exporter, "?limit=1000").await;
    let keys: HashSet<i64> = kept.iter().map(|event| event["key"].as_i64().unwrap()).collect();
    assert_eq!(keys, (1500..2500).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_cannot_be_read_leave_the_page_and_come_back_where_they_were() {
    let Some(estate) = estate(4).await else { return };
    let down = Arc::new(AtomicBool::new(false));
    let is_down = down.clone();
    estate.front.react(move |method, _| match method {
        "QueryEvents" if is_down.load(Ordering::Relaxed) => Reaction::Answer(500, String::new()),
        _ => Reaction::Forward,
    });
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config("", "")).await;
    exporter.page_where("a whole collection", |page| value(page, ON) == Some(4.0)).await;
    down.store(true, Ordering::Relaxed);
    let gone = |page: &str| count(page, "vsphere_events_total{", "") == 0;
    let page = exporter.page_where("no counters", gone).await;
    assert_eq!(value(&page, "vsphere_collector_success{collector=\"events\"}"), Some(0.0));
    assert_eq!(value(&page, "vsphere_collector_success{collector=\"vm_performance\"}"), Some(1.0));
    down.store(false, Ordering::Relaxed);
    exporter.page_where("the counters", |page| value(page, ON) == Some(4.0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_says_who_was_switched_off() {
    let estate = FleetEstate::start(40, 1.0).await;
    let config = estate.front.config("", "ownership: [{ team: \"${t}\", tags: { team: \"(?<t>.+)\" } }]\n");
    let exporter = Exporter::start(estate.dir.path(), &config).await;
    exporter.page_where("shown VMs", |page| page.contains("\nvsphere_vcenter_undecided_vms 0\n")).await;
    estate.happen("- { at: 0s, kind: vm_power, target: team blue, state: \"off\" }");
    exporter.page_where("VMs that went off", |page| value(page, OFF) > Some(0.0)).await;
    let off = events(&exporter, "?event=VmPoweredOffEvent").await;
    let page = exporter.page().await.unwrap();
    for event in off {
        let shown = format!("vm_id=\"{}\"", event["vm_id"].as_str().unwrap());
        let info = page.lines().find(|line| line.starts_with("vsphere_vm_info{") && line.contains(&shown)).unwrap();
        assert!(info.contains(&format!("team=\"{}\"", event["team"].as_str().unwrap())), "{info} {event}");
        let vm = event["objects"].as_array().unwrap().iter().find(|object| object["role"] == "vm").unwrap();
        assert!(info.contains(&format!("vm=\"{}\"", vm["name"].as_str().unwrap())), "{info} {event}");
        assert_eq!(event["user"], "VSPHERE.LOCAL\\operator");
        assert!(event["message"].as_str().unwrap().ends_with(" is powered off"), "{event}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn licences_are_shown_without_their_keys() {
    let estate = FleetEstate::start(10, 1.0).await;
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config("", "")).await;
    let page = exporter.page_where("licences", |page| page.contains("\nvsphere_licence_capacity{")).await;
    let moment = estate.fleet.lab.moment();
    for licence in &moment.inventory.estate.licences {
        let labels = format!("{{licence=\"{}\",edition=\"{}\"}}", licence.name, licence.edition);
        let of = |metric: &str| value(&page, &format!("{metric}{labels}"));
        assert_eq!(of("vsphere_licence_capacity"), Some(f64::from(licence.total)));
        assert_eq!(of("vsphere_licence_used"), Some(f64::from(licence.used)));
        let end = licence.expires.map(|end| end.0 as f64 / 1000.0);
        assert_eq!(of("vsphere_licence_expiration_timestamp_seconds"), end);
    }
    assert!(moment.inventory.estate.licences.iter().any(|licence| licence.expires.is_some()));
    drop(exporter.page_where("something stored", |page| page.contains("\nvsphere_vm_cpu_usage_hertz{")).await);
    let stored = std::fs::read(estate.dir.path().join("data/vc01.state")).unwrap();
    for licence in &moment.inventory.estate.licences {
        let key = licence.key.as_str();
        assert!(!page.contains(key) && !exporter.process.log().contains(key));
        assert!(!stored.windows(key.len()).any(|window| window == key.as_bytes()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_changes_is_seen_though_connections_stay() {
    let estate = FleetEstate::start(10, 1.0).await;
    let url = &estate.fleet.addresses.vcenter.url;
    let config = format!(
        "vcenters: [{{ name: vc01, url: '{url}', username: lynceus, password_file: password, tls: {{ ca_file: ca.pem }} }}]\n\
         collection: {{ interval: 1s, details_interval: 1s }}\n"
    );
    let exporter = Exporter::start(estate.dir.path(), &config).await;
    let metric = "vsphere_vcenter_certificate_not_after_timestamp_seconds ";
    let page = exporter.page_where("a certificate", |page| value(page, metric).is_some()).await;
    let day = 86_400.0;
    let now = jiff::Timestamp::now().as_second() as f64;
    let left = (value(&page, metric).unwrap() - now) / day;
    assert!((728.0..731.0).contains(&left), "{left} days");
    estate.happen("- { at: 0s, kind: certificate_expiring, left: 5d }");
    let soon = |page: &str| value(page, metric).is_some_and(|end| (3.9..5.1).contains(&((end - now) / day)));
    let page = exporter.page_where("the new certificate", soon).await;
    assert_eq!(value(&page, "vsphere_collector_success{collector=\"details\"}"), Some(1.0));
    assert!(!exporter.process.log().contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evaluation_licence_has_no_limit_and_a_far_end_is_told() {
    let Some(estate) = estate(4).await else { return };
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config("", "")).await;
    let page = exporter.page_where("a whole collection", all_succeeded).await;
    // That of rcgen, in the form of time that comes after 2049.
    assert_eq!(value(&page, "vsphere_vcenter_certificate_not_after_timestamp_seconds "), Some(67_090_118_400.0));
    assert!(!page.contains("\nvsphere_licence_capacity{"), "{page}");
}
