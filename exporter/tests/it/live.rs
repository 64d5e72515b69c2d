//! The inventory is followed: what comes, goes and changes is on the page within seconds, whatever breaks meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lynceus_demo::eventually;
use tokio::time::sleep;

use crate::books::{Books, exact_page, vm_ids};
use crate::faults::fault;
use crate::fleet::FleetEstate;
use crate::front::Reaction;
use crate::support::{Exporter, LIMIT, all_succeeded, count, estate, start_vcsim};

/// Collections are so rare that nothing on the page can be from them.
const RARE: &str = "{ interval: 30s, max_back_off: 30s }";

/// Half of that: on a loaded machine a page takes longer, and pages have a twentieth of the time at most.
const SOON: Duration = Duration::from_secs(15);

/// What vCenter keeps open for one exporter: one session to follow, one to ask.
const SESSIONS: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn new_vms_appear_and_deleted_ones_leave_within_seconds() {
    // More than one page of updates. A place is empty for 20 simulated seconds before the next VM is there.
    let estate = FleetEstate::start(700, 5.0).await;
    let exporter = estate.exporter(RARE, "").await;
    let all = estate.vms_at(estate.fleet.lab.now());
    assert!(all.len() > 500);
    exporter.page_where("all VMs", |page| vm_ids(page) == all).await;
    estate.happen("- { at: 0s, kind: vm_churn, target: all, rate: 50%/m, for: 30s }");
    let start = Instant::now();
    exporter.page_where("others", |page| vm_ids(page) != all).await;
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    sleep(Duration::from_secs(11).saturating_sub(start.elapsed())).await;
    let (after, start) = (estate.vms_at(estate.fleet.lab.now()), Instant::now());
    let (new, gone) = (after.difference(&all).count(), all.difference(&after).count());
    assert!(new > 1 && gone > 1, "{new} are new, {gone} are gone");
    exporter.page_where("those that are there now", |page| vm_ids(page) == after).await;
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn power_changes_are_seen_within_seconds() {
    let estate = FleetEstate::start(60, 1.0).await;
    let exporter = estate.exporter(RARE, "").await;
    let on = |page: &str| count(page, "vsphere_vm_power_state{", "state=\"on\"");
    let page = exporter.page_where("samples", |page| page.contains("\nvsphere_vm_cpu_usage_ratio{")).await;
    assert!(on(&page) > 40);
    estate.happen("- { at: 0s, kind: vm_power, target: all, state: suspended }");
    let start = Instant::now();
    let page = exporter.page_where("all are suspended", |page| on(page) == 0).await;
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert_eq!(count(&page, "vsphere_vm_cpu_usage_ratio{", ""), 0);
}

/// An exporter survives this, and goes on with all VMs, exact counters and no session more than it needs.
async fn check(what: &str, breakage: impl AsyncFnOnce(&FleetEstate)) {
    let estate = FleetEstate::start(30, 30.0).await;
    let exporter = estate.exporter("{ interval: 1s, max_back_off: 1s }", "").await;
    let mut books = Books::default();
    exact_page(&estate, &exporter, &mut books, 0).await;
    assert_eq!(estate.fleet.sessions(), SESSIONS);
    breakage(&estate).await;
    let all = estate.vms_at(estate.fleet.lab.now());
    exporter.page_where(what, |page| all_succeeded(page) && vm_ids(page) == all).await;
    exact_page(&estate, &exporter, &mut books, estate.tick()).await;
    eventually(LIMIT, "no session too many", || async {
        let sessions = estate.fleet.sessions();
        anyhow::ensure!(sessions == SESSIONS, "{sessions} sessions");
        Ok(())
    })
    .await
    .unwrap();
    assert!(!exporter.process.log().contains("panicked"), "{}", exporter.process.log());
}

/// Each of the next waits for updates fails once in this way.
async fn check_wait(kind: &'static str, detail: &'static str) {
    check(kind, async |estate| {
        let failed = std::sync::Arc::new(AtomicUsize::new(0));
        let counted = failed.clone();
        estate.front.react(move |method, body| {
            // Not the first wait of a session: half of the inventory would be known.
            let first = body.contains("<version></version>");
            if method == "WaitForUpdatesEx" && !first && counted.fetch_add(1, Ordering::Relaxed) < 2 {
                return fault(kind, detail);
            }
            Reaction::Forward
        });
        // The wait that is open now is forwarded already: it has to end first, and so has each after it.
        estate.happen("- { at: 0s, kind: vmotion_storm, target: all, every: 20s, for: 1m }");
        eventually(LIMIT, "two faults", || async {
            anyhow::ensure!(failed.load(Ordering::Relaxed) >= 2, "{failed:?}");
            Ok(())
        })
        .await
        .unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_vcenter_does_not_know_any_more_begins_anew() {
    check_wait("InvalidCollectorVersion", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_following_session_that_has_ended_begins_anew() {
    check_wait("NotAuthenticated", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_followed_view_that_is_gone_begins_anew() {
    check_wait("ManagedObjectNotFound", "<obj type=\"ContainerView\">session[1]2</obj>").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inventory_that_breaks_off_between_two_pages_begins_anew() {
    let estate = FleetEstate::start(700, 1.0).await;
    let waits = AtomicUsize::new(0);
    estate.front.react(move |method, body| {
        let later = method == "WaitForUpdatesEx" && !body.contains("<version></version>");
        if later && waits.fetch_add(1, Ordering::Relaxed) < 2 {
            return Reaction::Answer(200, "<Envelope><Body><WaitForUpdatesExResponse><returnval><version>".to_owned());
        }
        Reaction::Forward
    });
    let exporter = estate.exporter(RARE, "").await;
    let all = estate.vms_at(estate.fleet.lab.now());
    let page = exporter.page_where("all VMs", |page| count(page, "vsphere_vm_info{", "") > 0).await;
    assert_eq!(vm_ids(&page), all, "half of an inventory is never shown");
    assert_eq!(estate.fleet.sessions(), SESSIONS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vcenter_that_restarts_in_mid_cycle_costs_nothing() {
    check("a whole collection", async |estate| {
        let queries = std::sync::Arc::new(AtomicUsize::new(0));
        let counted = queries.clone();
        estate.front.react(move |method, _| {
            if method == "QueryPerf" {
                counted.fetch_add(1, Ordering::Relaxed);
            }
            Reaction::Forward
        });
        eventually(LIMIT, "a query", || async {
            anyhow::ensure!(queries.load(Ordering::Relaxed) > 0, "none");
            Ok(())
        })
        .await
        .unwrap();
        estate.happen("- { at: 0s, kind: vcenter_restarted, for: 1m }");
        sleep(Duration::from_secs(3)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulator_that_is_killed_while_it_answers_and_started_again_is_followed_again() {
    let Some(mut estate) = estate(8).await else { return };
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config("    request_timeout: 3s\n", "")).await;
    exporter.page_where("a whole collection", all_succeeded).await;
    let port: u16 = estate.vcsim.url.trim_end_matches("/sdk").rsplit(':').next().unwrap().parse().unwrap();
    for round in 0..2 {
        let (sender, mut asked) = tokio::sync::mpsc::unbounded_channel();
        estate.front.react(move |method, _| {
            if method != "QueryPerf" {
                return Reaction::Forward;
            }
            // The test may have gone on.
            let _gone = sender.send(()).is_err();
            Reaction::Stall
        });
        tokio::time::timeout(LIMIT, asked.recv()).await.unwrap().unwrap();
        estate.vcsim.process.kill().await;
        estate.front.react(|_, _| Reaction::Forward);
        estate.vcsim = start_vcsim(estate.dir.path(), 8 + 4 * round, port).await;
        let vms = 8 + 4 * round as usize;
        exporter.page_where("all VMs", |page| all_succeeded(page) && count(page, "vsphere_vm_info{", "") == vms).await;
    }
}
