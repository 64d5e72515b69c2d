//! A host whose samples do not come costs its own VMs and no others.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lynceus_exporter::catalogue::Class;
use lynceus_fleet::model::{HostId, Power, Size};
use tokio::time::sleep;

use crate::books::{Books, exact_page, values_of};
use crate::fleet::FleetEstate;
use crate::front::Reaction;
use crate::support::{LIMIT, count, value};

const CYCLE: &str = "{ interval: 1s, max_back_off: 1s, batch_size: 100 }";

/// Names and references of the VMs that run on these hosts.
fn vms_on(estate: &FleetEstate, hosts: &[HostId]) -> (BTreeSet<String>, Vec<String>) {
    let moment = estate.fleet.lab.moment();
    let vms = moment.inventory.vms.iter().filter(|vm| hosts.contains(&vm.host) && vm.power == Power::On);
    let vms = vms.filter(|vm| !vm.config.template);
    vms.map(|vm| (vm.config.name.clone(), format!(">{}<", vm.id))).unzip()
}

/// From now on, queries for any VM on these hosts have no answer.
fn stall(estate: &FleetEstate, hosts: &[HostId]) -> BTreeSet<String> {
    let (names, references) = vms_on(estate, hosts);
    estate.front.react(move |method, body| {
        let sick = method == "QueryPerf" && references.iter().any(|reference| body.contains(reference));
        if sick { Reaction::Stall } else { Reaction::Forward }
    });
    names
}

/// How far the VMs that are not among these have been read.
fn end_of_others(books: &Books, sick: &BTreeSet<String>) -> i64 {
    let others = books.marks.iter().filter(|(name, _)| !sick.contains(*name));
    others.map(|(_, (_, end))| *end).min().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sick_host_costs_its_own_vms_only_and_nothing_when_it_is_well_again() {
    let estate = FleetEstate::start(90, 20.0).await;
    let exporter = estate.exporter(CYCLE, "    request_timeout: 3s\n").await;
    let mut books = Books::default();
    exact_page(&estate, &exporter, &mut books, 0).await;
    let host = estate.fleet.lab.moment().inventory.vms.iter().find(|vm| vm.power == Power::On).unwrap().host;
    let sick = stall(&estate, &[host]);
    assert!(!sick.is_empty() && sick.len() < books.marks.len());
    let of_vms = |metric: &str| format!("vsphere_collector_{metric}{{collector=\"vm_performance\"}}");
    let page = exporter
        .page_where("one sick host and its late VMs", |page| {
            value(page, &of_vms("sick_hosts")) == Some(1.0)
                && value(page, &of_vms("objects_late")) == Some(sick.len() as f64)
        })
        .await;
    assert_eq!(value(&page, &of_vms("success")), Some(0.0));

    // All others go on in each interval: a sample is a second.
    let (start, mut page) = (Instant::now(), page);
    let mut slowest = 0;
    while start.elapsed() < Duration::from_secs(8) {
        books.check(&estate, &page, Class::Vm, usize::MAX);
        slowest = slowest.max(estate.tick() - end_of_others(&books, &sick));
        sleep(Duration::from_millis(300)).await;
        page = exporter.page().await.unwrap();
    }
    assert!(slowest <= 5, "{slowest} samples late");
    let stuck = books.marks.iter().filter(|(name, _)| sick.contains(*name)).map(|(_, (_, end))| *end).max().unwrap();
    assert!(estate.tick() - stuck > 7);

    estate.front.react(|_, _| Reaction::Forward);
    exact_page(&estate, &exporter, &mut books, estate.tick()).await;
    let page = exporter.page_where("no sick host", |page| value(page, &of_vms("sick_hosts")) == Some(0.0)).await;
    assert_eq!(value(&page, "vsphere_collector_samples_missing_total{collector=\"vm_performance\"}"), Some(0.0));
    let well = values_of(&page, "vsphere_vm_cpu_run_seconds_total", "vm");
    assert_eq!(sick.difference(&well).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn more_sick_hosts_than_are_asked_at_a_time_stop_nobody_else() {
    let estate = FleetEstate::of_size(Size { hosts: 18, ..Size::of(90) }, 20.0).await;
    let exporter = estate.exporter(CYCLE, "    request_timeout: 60s\n").await;
    let mut books = Books::default();
    exact_page(&estate, &exporter, &mut books, 0).await;
    let moment = estate.fleet.lab.moment();
    let on = moment.inventory.vms.iter().filter(|vm| vm.power == Power::On && !vm.config.template);
    let hosts: BTreeSet<HostId> = on.map(|vm| vm.host).collect();
    assert!(hosts.len() > 13, "{hosts:?}");
    let hosts: Vec<HostId> = hosts.into_iter().take(13).collect();
    let sick = stall(&estate, &hosts);
    let late = |page: &str| value(page, "vsphere_collector_sick_hosts{collector=\"vm_performance\"}") == Some(13.0);
    let page = exporter.page_where("13 sick hosts", late).await;
    books.check(&estate, &page, Class::Vm, usize::MAX);
    // Nothing of the sick hosts is given up meanwhile, so others have to get past them.
    let (start, from) = (Instant::now(), end_of_others(&books, &sick));
    loop {
        let page = exporter.page().await.unwrap();
        books.check(&estate, &page, Class::Vm, usize::MAX);
        if end_of_others(&books, &sick) > from + 8 {
            break;
        }
        assert!(start.elapsed() < LIMIT / 3, "{} after {from}", end_of_others(&books, &sick));
        sleep(Duration::from_millis(500)).await;
    }
    let page = exporter.page().await.unwrap();
    assert!(count(&page, "vsphere_vm_power_state{", "state=\"on\"") > sick.len());
}
