//! Tags and custom attributes, on the fleet simulator.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lynceus_demo::eventually;
use lynceus_exporter::config::VcenterConfig;
use lynceus_exporter::metrics::Metrics;
use lynceus_exporter::vsphere::{BackOff, Client, TagService, Transport};
use lynceus_service::SecretSource;
use lynceus_service::tls::ClientTls;

use crate::fleet::FleetEstate;
use crate::front::Reaction;
use crate::support::{Exporter, LIMIT, count, value};

/// Teams are tags, and what else the fleet attaches to VMs is on the info metric.
const SETTINGS: &str = "ownership: [{ team: \"${team}\", tags: { team: \"(?<team>.+)\" } }, \
    { tier: first, attributes: { cost-centre: \"CC-4000\" } }]\n\
    info_labels: { tags: [environment, backup, absent], attributes: [owner, cost-centre] }\n";

fn config(estate: &FleetEstate) -> String {
    estate.front.config("", SETTINGS).replace("interval: 1s,", "interval: 1s, tags_interval: 1h,")
}

/// All labels of the series of a metric.
fn series(page: &str, metric: &str) -> Vec<BTreeMap<String, String>> {
    let lines = page.lines().filter_map(|line| line.strip_prefix(metric)?.strip_prefix('{')?.rsplit_once("} "));
    let label = |label: &str| {
        let (name, value) = label.split_once("=\"")?;
        Some((name.to_owned(), value.to_owned()))
    };
    lines.map(|(labels, _)| labels.trim_end_matches('"').split("\",").filter_map(label).collect()).collect()
}

/// What the fleet says that the labels of a VM are, by its name.
fn expected(estate: &FleetEstate) -> BTreeMap<String, BTreeMap<String, String>> {
    let moment = estate.fleet.lab.moment();
    let structure = &moment.inventory.estate;
    let vms = moment.inventory.vms.iter().filter(|vm| !vm.config.template);
    vms.map(|vm| {
        let mut labels: BTreeMap<String, String> = BTreeMap::new();
        labels.insert("team".to_owned(), "unowned".to_owned());
        for tag in structure.tags.iter().filter(|tag| vm.config.tags.contains(&tag.place)) {
            match structure.tag_categories[tag.category].name {
                "team" => drop(labels.insert("team".to_owned(), tag.name.to_owned())),
                "environment" => drop(labels.insert("tag_environment".to_owned(), tag.name.to_owned())),
                "backup" => {
                    let names = labels.entry("tag_backup".to_owned()).or_default();
                    let mut all: Vec<_> = names.split(',').filter(|name| !name.is_empty()).chain([tag.name]).collect();
                    all.sort_unstable();
                    *names = all.join(",");
                }
                _ => {}
            }
        }
        for attribute in &vm.config.attributes {
            let definition = structure.attributes.iter().find(|known| known.key == attribute.key).unwrap();
            let label = match definition.name {
                "owner" => "attribute_owner",
                "cost-centre" => "attribute_cost_centre",
                _ => continue,
            };
            labels.insert(label.to_owned(), attribute.value.clone());
            if attribute.value == "CC-4000" {
                labels.insert("tier".to_owned(), "first".to_owned());
            }
        }
        (vm.config.name.clone(), labels)
    })
    .collect()
}

fn found(page: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let asked =
        |name: &str| name == "team" || name == "tier" || name.starts_with("tag_") || name.starts_with("attribute_");
    let vms = series(page, "vsphere_vm_info").into_iter();
    vms.map(|labels| (labels["vm"].clone(), labels.into_iter().filter(|(name, _)| asked(name)).collect())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_is_hidden_until_its_tags_say_whose_it_is() {
    let estate = FleetEstate::start(60, 1.0).await;
    estate.front.react(|method, _| match method.contains(" /api/cis/tagging") {
        true => Reaction::Answer(503, "busy".to_owned()),
        false => Reaction::Forward,
    });
    let exporter = Exporter::start(estate.dir.path(), &config(&estate)).await;
    let all = expected(&estate);
    let hidden = format!("\nvsphere_vcenter_undecided_vms {}\n", all.len());
    let failed = "vsphere_collector_success{collector=\"tags\"} 0";
    let page = exporter.page_where("hidden VMs", |page| page.contains(&hidden) && page.contains(failed)).await;
    assert!(!page.contains("\nvsphere_vm_") && page.contains("\nvsphere_host_info{"), "{page}");
    let log = exporter.process.log();
    assert!(log.contains("vCenter `vc01`: Tags failed: HTTP status 503 from the REST API"), "{log}");

    estate.front.react(|_, _| Reaction::Forward);
    let page = exporter.page_where("shown VMs", |page| page.contains("\nvsphere_vcenter_undecided_vms 0\n")).await;
    assert_eq!(found(&page), all);
    assert!(all.values().any(|labels| labels.len() >= 5), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_vcenter_is_asked_in_its_own_dialect() {
    let estate = FleetEstate::start(30, 1.0).await;
    estate.front.react(|method, _| match method.contains(" /api/") {
        true => Reaction::Answer(404, String::new()),
        false => Reaction::Forward,
    });
    let exporter = Exporter::start(estate.dir.path(), &config(&estate)).await;
    let page = exporter.page_where("shown VMs", |page| page.contains("\nvsphere_vcenter_undecided_vms 0\n")).await;
    assert_eq!(found(&page), expected(&estate));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_vm_is_shown_before_the_next_reading_of_all_tags() {
    let estate = FleetEstate::start(30, 1.0).await;
    let exporter = Exporter::start(estate.dir.path(), &config(&estate)).await;
    let page = exporter.page_where("shown VMs", |page| page.contains("\nvsphere_vcenter_undecided_vms 0\n")).await;
    let ids = |page: &str| -> Vec<_> {
        series(page, "vsphere_vm_info").into_iter().map(|labels| labels["vm_id"].clone()).collect()
    };
    let before = ids(&page);
    estate.happen("- { at: 0s, kind: vm_churn, target: all, rate: 50%/m }");
    let new = |page: &str| ids(page).iter().any(|id| !before.contains(id));
    let page =
        exporter.page_where("a new VM", |page| new(page) && page.contains("\nvsphere_vcenter_undecided_vms 0\n")).await;
    let all = expected(&estate);
    // VMs still come and go: one of the page may have gone by now.
    let there: Vec<_> = found(&page).into_iter().filter(|(vm, _)| all.contains_key(vm)).collect();
    assert!(there.len() >= 20, "{there:?}");
    for (vm, labels) in there {
        assert_eq!(labels, all[&vm], "{vm}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_is_made_again_and_none_is_left() {
    let estate = FleetEstate::start(10, 1.0).await;
    let (seen, calls) = (Arc::new(Mutex::new(Vec::new())), AtomicUsize::new(0));
    let noted = seen.clone();
    estate.front.react(move |method, _| {
        if method.contains("/api/session") {
            noted.lock().unwrap().push(method.to_owned());
        }
        if method.contains("tag-association") && calls.fetch_add(1, Ordering::Relaxed) == 0 {
            return Reaction::Answer(401, String::new());
        }
        Reaction::Forward
    });
    let mut exporter = Exporter::start(estate.dir.path(), &config(&estate)).await;
    exporter.page_where("shown VMs", |page| page.contains("\nvsphere_vcenter_undecided_vms 0\n")).await;
    assert_eq!(exporter.own("lynceus_exporter_sign_ins_total{").await, 4.0);
    assert!(exporter.process.terminate(LIMIT).await.unwrap().success());
    // The first one has ended by itself.
    assert_eq!(*seen.lock().unwrap(), ["POST /api/session", "POST /api/session", "DELETE /api/session"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_stay_as_they_were_while_they_cannot_be_read() {
    let estate = FleetEstate::start(20, 1.0).await;
    let config = config(&estate).replace("tags_interval: 1h", "tags_interval: 1s");
    let exporter = Exporter::start(estate.dir.path(), &config).await;
    exporter.page_where("shown VMs", |page| page.contains("\nvsphere_vcenter_undecided_vms 0\n")).await;
    estate.front.react(|method, _| match method.contains("tag-association") {
        true => Reaction::Answer(200, "<html>".to_owned()),
        false => Reaction::Forward,
    });
    let failed = "vsphere_collector_success{collector=\"tags\"} 0";
    exporter.page_where("a failure", |page| page.contains(failed)).await;
    // Whatever the first failure did to the page, it is there after the second.
    let failures = eventually(LIMIT, "a second failure", || async {
        anyhow::ensure!(exporter.own("lynceus_exporter_collections_failed_total{").await >= 2.0);
        Ok(())
    });
    failures.await.unwrap();
    assert_eq!(found(&exporter.page().await.unwrap()), expected(&estate));
    assert!(exporter.process.log().contains("the answer is not the JSON that it should be, at line 1, column 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_asks_for_tags_that_nobody_wants() {
    let estate = FleetEstate::start(10, 1.0).await;
    let config = estate.front.config("", "info_labels: { attributes: [owner] }\n");
    let exporter = Exporter::start(estate.dir.path(), &config).await;
    let page = exporter.page_where("a whole collection", crate::support::all_succeeded).await;
    assert!(count(&page, "vsphere_vm_info{", "attribute_owner=") > 0);
    let tags =
        |method: &str| format!("lynceus_exporter_vsphere_requests_total{{vcenter=\"vc01\",method=\"{method}\"}}");
    let own = exporter.get("/metrics").await.unwrap().1;
    assert_eq!((value(&own, &tags("TagsLogin")), value(&own, &tags("Tags"))), (Some(0.0), Some(0.0)));
}

/// A way to the fleet on which a refused sign-in bars others for an hour.
fn transport(estate: &FleetEstate) -> Arc<Transport> {
    let pin: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&estate.front.sha256[2 * at..][..2], 16).unwrap()).collect();
    let config = VcenterConfig {
        standby: None,
        name: "vc01".to_owned(),
        url: estate.front.url.parse().unwrap(),
        username: "lynceus".to_owned(),
        password: SecretSource::File(estate.dir.path().join("password")),
        tls: ClientTls::Pinned(vec![pin.try_into().unwrap()]),
        connect_timeout: LIMIT,
        request_timeout: LIMIT,
        max_connections: 4,
        max_retries: 3,
        retry_back_off: Duration::from_millis(1),
        max_response_bytes: 1 << 20,
    };
    let hour = Duration::from_secs(3600);
    Arc::new(Transport::new(config, BackOff { first: hour, most: hour }, Metrics::default()).unwrap())
}

/// How often somebody tries to sign in, for SOAP or for tags.
fn counted_sign_ins(estate: &FleetEstate) -> Arc<AtomicUsize> {
    let sign_ins = Arc::new(AtomicUsize::new(0));
    let counted = sign_ins.clone();
    estate.front.react(move |method, _| {
        if method == "Login" || method == "POST /api/session" {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        Reaction::Forward
    });
    sign_ins
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_sign_in_for_tags_bars_all_others_and_the_other_way_round() {
    for soap_first in [true, false] {
        let estate = FleetEstate::start(4, 1.0).await;
        std::fs::write(estate.dir.path().join("password"), "wrong").unwrap();
        let sign_ins = counted_sign_ins(&estate);
        let transport = transport(&estate);
        let (client, tags) = (Client::new(transport.clone()), TagService::new(transport));
        let vms = ["vm-1".to_owned()];
        for soap in [soap_first, !soap_first, soap_first] {
            let refused = match soap {
                true => client.session().await.err().unwrap(),
                false => tags.attached(&vms).await.err().unwrap(),
            };
            let expected = format!("{} failed: user `lynceus` was refused", if soap { "Login" } else { "TagsLogin" });
            assert!(refused.chain().contains(&expected), "{}", refused.chain());
        }
        assert_eq!(sign_ins.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_ins_at_the_same_time_are_refused_once() {
    let estate = FleetEstate::start(4, 1.0).await;
    std::fs::write(estate.dir.path().join("password"), "wrong").unwrap();
    let sign_ins = counted_sign_ins(&estate);
    let transport = transport(&estate);
    let (one, other) = (Client::new(transport.clone()), Client::new(transport.clone()));
    let (tags, vms) = (TagService::new(transport), ["vm-1".to_owned()]);
    let (a, b, c) = tokio::join!(one.session(), other.session(), tags.attached(&vms));
    assert!(a.is_err() && b.is_err() && c.is_err());
    assert_eq!(sign_ins.load(Ordering::Relaxed), 1);
}
