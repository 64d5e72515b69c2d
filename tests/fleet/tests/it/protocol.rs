//! Bad input, limits, the ends of sessions, and what scenarios do to the vCenter.

use std::time::Duration;

use lynceus_demo::eventually;
use lynceus_fleet::Fleet;
use lynceus_fleet::model::{Connection, Power};
use serde_json::Value;

use crate::support::{PASSWORD, Soap, USER, envelope, fleet, http, options, scenario};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn what_is_not_a_request_is_answered_with_a_fault_and_the_fleet_goes_on() {
    let fleet = fleet(30).await;
    let soap = Soap::login(&fleet).await;
    for body in ["", "GET / HTTP/1.1", "<a", "{}", "<Envelope/>", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>"] {
        let (status, answer, _) = soap.send(body).await;
        assert_eq!(status, 500, "{body}");
        assert!(answer.contains(r#"<InvalidRequestFault xmlns="urn:vim25" xsi:type="InvalidRequest">"#), "{answer}");
    }
    let (status, answer) = soap.call("ServiceInstance", "ServiceInstance", "NoSuchMethod", "").await;
    assert_eq!(status, 500);
    assert!(
        answer.contains(r#"xsi:type="MethodNotFound""#) && answer.contains("<method>NoSuchMethod</method>"),
        "{answer}"
    );
    let invalid =
        http(&fleet).post(&soap.url).header("cookie", &soap.cookie).body(vec![0xff, 0xfe, b'<']).send().await.unwrap();
    assert_eq!(invalid.status().as_u16(), 500);
    assert_eq!(soap.current_time().await.0, 200);
    fleet.stop().await;
}

#[tokio::test]
async fn a_request_over_the_element_limit_is_refused_by_name() {
    let mut options = options(30);
    options.plan.cost.limits.max_elements = 1_000;
    let fleet = Fleet::start(options).await.unwrap();
    let soap = Soap::login(&fleet).await;
    let (status, answer) = soap.call("PerformanceManager", "PerfMgr", "QueryPerf", &"<querySpec/>".repeat(1_000)).await;
    assert_eq!(status, 500);
    assert!(answer.contains("XML document element count exceeds configured maximum 1000"), "{answer}");
    fleet.stop().await;
}

#[tokio::test]
async fn sessions_end_when_they_are_idle_logged_out_or_too_many() {
    let mut options = options(30);
    options.plan.cost.limits.session_timeout = Duration::from_millis(600);
    options.plan.cost.limits.max_sessions = 2;
    let fleet = Fleet::start(options).await.unwrap();
    let (idle, busy) = (Soap::login(&fleet).await, Soap::login(&fleet).await);
    let credentials = format!("<userName>{USER}</userName><password>{PASSWORD}</password>");
    let third = envelope("SessionManager", "SessionManager", "Login", &credentials);
    let (status, answer, _) = idle.send(&third).await;
    assert_eq!(status, 500);
    assert!(answer.contains("maximum number of sessions (2)"), "{answer}");
    for _ in 0..8 {
        assert_eq!(busy.current_time().await.0, 200);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (status, answer) = idle.current_time().await;
    assert_eq!(status, 500);
    assert!(answer.contains(r#"xsi:type="NotAuthenticated""#), "{answer}");
    assert_eq!(busy.call("SessionManager", "SessionManager", "Logout", "").await.0, 200);
    assert_eq!(busy.current_time().await.0, 500);
    fleet.stop().await;
}

#[tokio::test]
async fn a_vcenter_that_restarts_refuses_connections_and_forgets_its_sessions() {
    let fleet = fleet(30).await;
    let soap = Soap::login(&fleet).await;
    let wait = {
        let (http, url, cookie) = (soap.http.clone(), soap.url.clone(), soap.cookie.clone());
        let options = "<version></version><options><maxWaitSeconds>60</maxWaitSeconds></options>";
        let body = envelope("PropertyCollector", "propertyCollector", "WaitForUpdatesEx", options);
        tokio::spawn(async move {
            http.post(url).header("cookie", cookie).body(body).send().await.and_then(|answer| answer.error_for_status())
        })
    };
    assert_eq!(scenario(&fleet, "- {at: 1s, kind: vcenter_restarted, for: 2s}").await.0, 201);
    assert!(tokio::time::timeout(SOON, wait).await.unwrap().unwrap().is_err(), "a wait under way is cut");
    let fresh = http(&fleet);
    assert!(fresh.post(&soap.url).body("x").send().await.is_err(), "no connections meanwhile");
    eventually(SOON, "the vCenter is back", || async { Ok(fresh.post(&soap.url).body("x").send().await.map(drop)?) })
        .await
        .unwrap();
    let (status, answer) = soap.current_time().await;
    assert_eq!(status, 500);
    assert!(answer.contains("NotAuthenticated"), "{answer}");
    assert_eq!(Soap::login(&fleet).await.current_time().await.0, 200);
    fleet.stop().await;
}

#[tokio::test]
async fn a_slow_vcenter_takes_longer_and_a_skewed_one_shows_another_time() {
    let fleet = fleet(30).await;
    let soap = Soap::login(&fleet).await;
    assert_eq!(
        scenario(&fleet, "- {at: 0s, kind: vcenter_slow, factor: 100}\n- {at: 0s, kind: clock_skew, by: -2h}").await.0,
        201
    );
    let started = std::time::Instant::now();
    let (_, answer) = soap.current_time().await;
    // A call is 3 ms by default, a hundred times that is 300 ms.
    assert!(started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());
    let shown = answer.split("<returnval").nth(1).unwrap().split(['>', '<']).nth(1).unwrap();
    let shown: jiff::Timestamp = shown.parse().unwrap();
    let behind = jiff::Timestamp::now().as_second() - shown.as_second();
    assert!((7_190..7_210).contains(&behind), "{behind}");
    fleet.stop().await;
}

#[tokio::test]
async fn a_query_that_touches_a_sick_host_hangs_and_others_do_not() {
    let mut options = options(60);
    // One worker: a query that hangs must not keep it.
    (options.plan.cost.workers, options.hosts) = (1, true);
    let fleet = Fleet::start(options).await.unwrap();
    let soap = Soap::login(&fleet).await;
    let moment = fleet.lab.moment();
    let (sick, well) = (&moment.inventory.hosts[0], &moment.inventory.hosts[1]);
    let runs_on = |id| {
        let mut vms = moment.inventory.vms.iter().filter(|vm| vm.host == id && vm.power == Power::On);
        ("VirtualMachine", vms.next().unwrap().id.to_string())
    };
    let query = |entities: Vec<(&str, String)>, interval: &str, samples: &str| -> String {
        let spec = |(kind, id): &(&str, String)| {
            format!(
                "<querySpec><entity type=\"{kind}\">{id}</entity>{samples}<intervalId>{interval}</intervalId></querySpec>"
            )
        };
        entities.iter().map(spec).collect()
    };
    let answered = |answer: &str| answer.matches("<returnval").count();
    let started = std::time::Instant::now();
    let soon = "<maxSample>1</maxSample>";
    let both = query(vec![runs_on(sick.id), runs_on(well.id)], "20", soon);
    let events = format!("- {{at: 0s, kind: host_sick, target: {}, timeout: 3s}}", sick.config.name);
    assert_eq!(scenario(&fleet, &events).await.0, 201);

    let hangs = soap.call("PerformanceManager", "PerfMgr", "QueryPerf", &both);
    let others = async {
        let mut all = 0;
        let healthy = query(vec![runs_on(well.id), ("HostSystem", well.id.to_string())], "20", soon);
        let historical = query(vec![runs_on(sick.id)], "300", "");
        for body in [healthy, historical] {
            let (status, answer) = soap.call("PerformanceManager", "PerfMgr", "QueryPerf", &body).await;
            assert_eq!(status, 200, "{answer}");
            all += answered(&answer);
        }
        assert_eq!(soap.current_time().await.0, 200);
        (all, started.elapsed())
    };
    let ((status, answer), (all, quick)) = tokio::join!(hangs, others);
    assert!(quick < Duration::from_secs(3) && all == 3, "{all} answers after {quick:?}");
    assert!(started.elapsed() >= Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!((status, answered(&answer)), (200, 1), "only the other VM has samples: {answer}");
    assert!(fleet.lab.moment().inventory.hosts.iter().all(|host| host.connection == Connection::Connected));
    fleet.stop().await;
}

#[tokio::test]
async fn a_certificate_near_its_end_is_what_the_listener_shows() {
    let fleet = fleet(30).await;
    let (before, old) = (fleet.addresses.fingerprint(), http(&fleet));
    assert_eq!(scenario(&fleet, "- {at: 0s, kind: certificate_expiring, left: 6d}").await.0, 201);
    eventually(SOON, "another certificate", || async {
        anyhow::ensure!(fleet.addresses.fingerprint() != before, "the same");
        Ok(())
    })
    .await
    .unwrap();
    assert!(old.post(&fleet.addresses.vcenter.url).send().await.is_err(), "the old pin no longer fits");
    assert_eq!(http(&fleet).post(&fleet.addresses.vcenter.url).send().await.unwrap().status().as_u16(), 500);
    fleet.stop().await;
}

#[tokio::test]
async fn the_cost_model_takes_its_time_and_its_workers() {
    let mut options = options(30);
    options.plan.cost.call = Duration::from_millis(200);
    options.plan.cost.workers = 1;
    let fleet = Fleet::start(options).await.unwrap();
    // The semaphore is made with the fleet, so that is where the limit of one comes from.
    let soap = Soap::login(&fleet).await;
    let started = std::time::Instant::now();
    let (first, second, third) = tokio::join!(soap.current_time(), soap.current_time(), soap.current_time());
    assert_eq!([first.0, second.0, third.0], [200; 3]);
    assert!(started.elapsed() >= Duration::from_millis(600), "{:?}", started.elapsed());
    fleet.stop().await;
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_ask() {
    let fleet = fleet(30).await;
    let body = envelope("ServiceInstance", "ServiceInstance", "RetrieveServiceContent", "");
    let request = http(&fleet).post(&fleet.addresses.vcenter.url).header("accept-encoding", "gzip").body(body);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert_eq!(response.bytes().await.unwrap()[..2], [0x1f, 0x8b]);
    fleet.stop().await;
}

#[tokio::test]
async fn tags_are_told_in_both_dialects() {
    let fleet = fleet(60).await;
    let http = http(&fleet);
    let base = fleet.addresses.vcenter.url.strip_suffix("/sdk").unwrap().to_owned();
    let refused = http.get(format!("{base}/api/cis/tagging/tag")).send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 401);
    let wrong = http.post(format!("{base}/api/session")).basic_auth(USER, Some("wrong")).send().await.unwrap();
    assert_eq!(wrong.status().as_u16(), 401);

    let login = |path: &str| http.post(format!("{base}{path}")).basic_auth(USER, Some(PASSWORD)).send();
    let new: String = login("/api/session").await.unwrap().json().await.unwrap();
    let old: Value = login("/rest/com/vmware/cis/session").await.unwrap().json().await.unwrap();
    let old = old["value"].as_str().unwrap();
    let get = async |path: &str, session: &str| -> Value {
        let request = http.get(format!("{base}{path}")).header("vmware-api-session-id", session);
        request.send().await.unwrap().json().await.unwrap()
    };
    let post = async |path: &str, session: &str, body: Value| -> Value {
        let request = http.post(format!("{base}{path}")).header("vmware-api-session-id", session).json(&body);
        request.send().await.unwrap().json().await.unwrap()
    };
    let tags = get("/api/cis/tagging/tag", &new).await;
    assert_eq!(get("/rest/com/vmware/cis/tagging/tag", old).await["value"], tags);
    let first = tags[0].as_str().unwrap();
    let tag = get(&format!("/api/cis/tagging/tag/{first}"), &new).await;
    assert_eq!(tag["id"], tags[0]);
    assert_eq!(get(&format!("/rest/com/vmware/cis/tagging/tag/id:{first}"), old).await["value"], tag);
    let category = get(&format!("/api/cis/tagging/category/{}", tag["category_id"].as_str().unwrap()), &new).await;
    assert!(!category["name"].as_str().unwrap().is_empty());

    let wanted = serde_json::json!({ "tag_ids": tags });
    let attached =
        post("/api/cis/tagging/tag-association?action=list-attached-objects-on-tags", &new, wanted.clone()).await;
    let same =
        post("/rest/com/vmware/cis/tagging/tag-association?~action=list-attached-objects-on-tags", old, wanted).await;
    assert_eq!(same["value"], attached);
    let all = attached.as_array().unwrap();
    let (tag, object) =
        all.iter().find_map(|entry| Some((entry["tag_id"].clone(), entry["object_ids"].get(0)?.clone()))).unwrap();
    let back = serde_json::json!({ "object_ids": [object] });
    let back = post("/api/cis/tagging/tag-association?action=list-attached-tags-on-objects", &new, back).await;
    assert!(back[0]["tag_ids"].as_array().unwrap().contains(&tag), "{back}");
    fleet.stop().await;
}

#[tokio::test]
async fn a_scenario_that_cannot_be_is_refused_with_its_line_and_changes_nothing() {
    let fleet = fleet(30).await;
    for (events, expected) in [
        ("- {at: 0s, kind: no_such_kind}", "request:3"),
        ("- {at: 5m, kind: vcenter_down, for: 1m}\n- {at: 1m, kind: vcenter_down, for: 1m}", "request:4"),
        ("- {at: 0s, kind: host_fails, target: esx-no-such-host}", "esx-no-such-host"),
        ("- {at: 0s, kindly: vcenter_down}", "kindly"),
    ] {
        let (status, answer) = scenario(&fleet, events).await;
        assert_eq!(status, 400, "{events}");
        assert!(answer.contains(expected), "{answer}");
    }
    let url = format!("{}/scenario", fleet.addresses.control);
    let running: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    assert_eq!(running, serde_json::json!([]));
    fleet.stop().await;
}
