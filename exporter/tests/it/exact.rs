//! Between any two pages a counter grows by exactly the samples between their marks, whatever happened meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use lynceus_exporter::catalogue::Class;
use tokio::time::sleep;

use crate::books::{Books, exact_page, lines};
use crate::fleet::FleetEstate;
use crate::front::Reaction;
use crate::support::{LIMIT, all_succeeded, value};

/// Simulated seconds in one. Collections are a second apart, the shortest interval that the config takes.
const FACTOR: f64 = 40.0;

const EVERY_SECOND: &str = "{ interval: 1s, host_interval: 1s, max_back_off: 1s }";

const VMS: u32 = 30;

const MISSING: &str = "vsphere_collector_samples_missing_total{collector=\"vm_performance\"}";

async fn check_interval(simulated_seconds: f64) {
    let estate = FleetEstate::start(VMS, simulated_seconds).await;
    let exporter = estate.exporter(EVERY_SECOND, "").await;
    let (mut vms, mut hosts) = (Books::default(), Books::default());
    let (page, checked) = exact_page(&estate, &exporter, &mut vms, 0).await;
    let running = page.lines().filter(|line| line.starts_with("vsphere_vm_cpu_run_seconds_total{")).count();
    assert_eq!(checked, running);
    assert!(running >= 20, "{running}");
    for _ in 0..4 {
        let until = vms.end() + 3;
        let (page, _) = exact_page(&estate, &exporter, &mut vms, until).await;
        assert!(hosts.check(&estate, &page, Class::Host, usize::MAX) > 0);
        assert_eq!(value(&page, MISSING), Some(0.0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_are_exact_with_an_interval_shorter_than_a_sample() {
    check_interval(15.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_are_exact_with_an_interval_of_30_seconds() {
    check_interval(30.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_are_exact_with_an_interval_of_60_seconds() {
    check_interval(60.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_go_on_after_the_exporter_was_away_for_ten_minutes() {
    let estate = FleetEstate::start(VMS, FACTOR).await;
    let mut exporter = estate.exporter(EVERY_SECOND, "").await;
    let mut books = Books::default();
    exact_page(&estate, &exporter, &mut books, estate.tick() + 3).await;
    exporter.process.terminate(LIMIT).await.unwrap();
    assert_eq!(estate.fleet.sessions(), 0);
    sleep(Duration::from_secs(15)).await;
    assert!(estate.tick() >= books.end() + 30, "ten minutes");
    let exporter = estate.exporter(EVERY_SECOND, "").await;
    let (page, checked) = exact_page(&estate, &exporter, &mut books, estate.tick()).await;
    assert!(checked >= 20);
    assert_eq!(value(&page, MISSING), Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exporter_that_is_killed_counts_nothing_twice_and_loses_nothing() {
    let estate = FleetEstate::start(VMS, FACTOR).await;
    let mut books = Books::default();
    for _ in 0..4 {
        let mut exporter = estate.exporter(EVERY_SECOND, "").await;
        let (_, checked) = exact_page(&estate, &exporter, &mut books, estate.tick() + 2).await;
        assert!(checked >= 20);
        exporter.process.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_cycles_lose_nothing() {
    let estate = FleetEstate::start(VMS, FACTOR).await;
    let exporter = estate.exporter(EVERY_SECOND, "").await;
    let mut books = Books::default();
    exact_page(&estate, &exporter, &mut books, 0).await;
    estate.front.react(|method, _| match method {
        "QueryPerf" => Reaction::Answer(500, "<html>busy</html>".to_owned()),
        _ => Reaction::Forward,
    });
    exporter.page_where("failures", |page| page.contains("success{collector=\"vm_performance\"} 0")).await;
    sleep(Duration::from_secs(4)).await;
    estate.front.react(|_, _| Reaction::Forward);
    let (page, _) = exact_page(&estate, &exporter, &mut books, estate.tick()).await;
    assert_eq!(value(&page, MISSING), Some(0.0));
    exporter.page_where("recovery", |page| page.contains("success{collector=\"vm_performance\"} 1")).await;
}

/// All series, without those that say where a VM is.
fn series(page: &str) -> BTreeSet<String> {
    let of_vms = lines(page).filter(|line| line.name.starts_with("vsphere_vm_") && line.name != "vsphere_vm_info");
    of_vms.map(|line| format!("{} {:?}", line.name, line.labels)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_vmotions_makes_no_new_series_and_no_reset() {
    let estate = FleetEstate::start(VMS, FACTOR).await;
    let exporter = estate.exporter(EVERY_SECOND, "").await;
    let mut books = Books::default();
    exporter.page_where("a whole collection", all_succeeded).await;
    let (page, _) = exact_page(&estate, &exporter, &mut books, estate.tick() + 2).await;
    let before = series(&page);
    estate.happen("- { at: 0s, kind: vmotion_storm, target: all, every: 20s, for: 10m }");
    let host_of = |page: &str| -> Vec<_> {
        let infos = lines(page).filter(|line| line.name == "vsphere_vm_info").collect::<Vec<_>>();
        infos
            .iter()
            .map(|line| (line.label("vm").unwrap().to_owned(), line.label("host").unwrap().to_owned()))
            .collect()
    };
    let mut seen = BTreeSet::from_iter(host_of(&page));
    for _ in 0..5 {
        let until = books.end() + 3;
        let (page, _) = exact_page(&estate, &exporter, &mut books, until).await;
        seen.extend(host_of(&page));
        let new: Vec<_> = series(&page).difference(&before).cloned().collect();
        assert!(new.is_empty(), "{new:#?}");
    }
    let vms: BTreeSet<_> = seen.iter().map(|(vm, _)| vm).collect();
    assert!(seen.len() > vms.len() + 20, "{seen:?}");
}
