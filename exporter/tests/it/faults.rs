//! What the simulator cannot do: faults, pages, answers that are none.

use std::sync::atomic::{AtomicUsize, Ordering};

use lynceus_demo::eventually;

use crate::front::Reaction;
use crate::support::{Exporter, LIMIT, all_succeeded, count, estate, value};

const LOG_OUTS: &str = "lynceus_exporter_vsphere_requests_total{vcenter=\"vc01\",method=\"Logout\"}";

const REFUSED_LOGINS: &str =
    "lynceus_exporter_vsphere_requests_failed_total{vcenter=\"vc01\",method=\"Login\",reason=\"fault\"}";

pub(crate) fn fault(kind: &str, detail: &str) -> Reaction {
    let text = format!(
        r#"<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>text of {kind}</faultstring><detail><{kind}Fault xmlns="urn:vim25" xsi:type="{kind}">{detail}</{kind}Fault></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>"#
    );
    Reaction::Answer(500, text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_dies_in_mid_cycle_is_replaced() {
    let Some(estate) = estate(8).await else { return };
    let queries = AtomicUsize::new(0);
    estate.front.react(move |method, _| {
        if method == "QueryPerf" && queries.fetch_add(1, Ordering::Relaxed) == 1 {
            return fault("NotAuthenticated", "");
        }
        Reaction::Forward
    });
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config("", "")).await;
    let page = exporter.page_where("a whole collection", all_succeeded).await;
    assert_eq!(count(&page, "vsphere_host_cpu_usage_ratio{", ""), 12);
    assert_eq!(exporter.own("lynceus_exporter_sign_ins_total{").await, 3.0);
    assert_eq!(exporter.own("lynceus_exporter_collections_failed_total{").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_that_vanishes_before_its_query_costs_only_itself() {
    let Some(estate) = estate(8).await else { return };
    // The simulator answers for unknown objects too; vCenter fails the whole call.
    let gone = std::sync::Mutex::new(None);
    estate.front.react(move |method, body| {
        if method != "QueryPerf" || !body.contains("<entity type=\"VirtualMachine\">") {
            return Reaction::Forward;
        }
        let mut gone = gone.lock().unwrap();
        let first =
            || body.split("<entity type=\"VirtualMachine\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
        let gone = gone.get_or_insert_with(first);
        if body.contains(&format!(">{gone}<")) {
            return fault("ManagedObjectNotFound", &format!("<obj type=\"VirtualMachine\">{gone}</obj>"));
        }
        Reaction::Forward
    });
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config("", "")).await;
    let page = exporter.page_where("a whole collection", all_succeeded).await;
    assert_eq!(count(&page, "vsphere_vm_cpu_usage_ratio{", ""), 7);
    assert_eq!(exporter.own("lynceus_exporter_sign_ins_total{").await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_fails_costs_only_itself() {
    let Some(estate) = estate(8).await else { return };
    estate.front.react(|method, body| {
        if method == "QueryPerf" && body.contains("<entity type=\"HostSystem\">") {
            return fault("SystemError", "");
        }
        Reaction::Forward
    });
    let config = estate.front.config("", "").replace("interval: 1s,", "interval: 1s, batch_size: 5,");
    let exporter = Exporter::start(estate.dir.path(), &config).await;
    let page = exporter.page_where("a failure", |page| page.contains("collector=\"host_performance\"} 0")).await;
    assert_eq!(count(&page, "vsphere_vm_cpu_usage_ratio{", ""), 8);
    assert_eq!(value(&page, "vsphere_collector_success{collector=\"vm_performance\"}"), Some(1.0));
    let log = exporter.process.log();
    let expected =
        "batches failed, the first: vCenter `vc01`: QueryPerf failed: fault `SystemError`: text of SystemError";
    assert!(log.contains(expected), "{log}");
}

async fn check(reaction: fn() -> Reaction, vcenter: &str, expected: &str) {
    let Some(estate) = estate(4).await else { return };
    estate.front.react(move |_, _| reaction());
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config(vcenter, "")).await;
    exporter.reason_with(expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_html_is_no_vcenter() {
    let html = || Reaction::Answer(200, "<html><body>It works!</body></html>".to_owned());
    check(html, "", "check that `url` is the vCenter's `/sdk`: expected the element `Envelope`, found `html`").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_page_of_a_proxy_is_told_by_its_status() {
    let busy = || Reaction::Answer(503, "<html>try later</html>".to_owned());
    check(busy, "", "HTTP status 503, and no SOAP answer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_an_answer_is_an_error() {
    let half = || Reaction::Answer(200, "<Envelope><Body><RetrieveServiceContentResponse><returnval>".to_owned());
    check(half, "", "the XML ends inside an element").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let endless = || Reaction::Answer(200, "x".repeat(100_000));
    let expected = "the answer is larger than 65536 bytes (`max_response_bytes`)";
    check(endless, "    max_response_bytes: 65536\n", expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vcenter_that_does_not_answer_is_given_up() {
    let expected = "no complete answer within 1s (`request_timeout`)";
    check(|| Reaction::Stall, "    request_timeout: 1s\n", expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_fails_in_passing_is_tried_again() {
    let Some(estate) = estate(4).await else { return };
    let requests = AtomicUsize::new(0);
    estate.front.react(move |method, _| {
        if method == "RetrievePropertiesEx" && requests.fetch_add(1, Ordering::Relaxed) < 2 {
            return Reaction::Answer(503, String::new());
        }
        Reaction::Forward
    });
    let config = estate.front.config("", "").replace("max_retries: 0", "max_retries: 2").replace(": 1s", ": 5s");
    let exporter = Exporter::start(estate.dir.path(), &config).await;
    exporter.page_where("a whole collection", all_succeeded).await;
    assert_eq!(exporter.own("lynceus_exporter_collections_failed_total{").await, 0.0);
    let failed = "lynceus_exporter_vsphere_requests_failed_total{vcenter=\"vc01\",method=\"RetrievePropertiesEx\",reason=\"answer\"}";
    assert_eq!(exporter.own(failed).await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_privilege_is_told_with_the_role_that_has_it() {
    let Some(estate) = estate(4).await else { return };
    estate.front.react(|method, _| match method {
        "CreateContainerView" => fault("NoPermission", "<object type=\"Folder\">group-d1</object>"),
        _ => Reaction::Forward,
    });
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config("", "")).await;
    exporter
        .reason_with(
            "fault `NoPermission` on Folder `group-d1`: text of NoPermission; give the user the role `Read-only`",
        )
        .await;
    let sign_ins = exporter.own("lynceus_exporter_sign_ins_total{").await;
    let log_outs = exporter.own(LOG_OUTS).await;
    assert!(log_outs >= 1.0 && sign_ins - log_outs <= 1.0, "{sign_ins} sessions opened, {log_outs} closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_changed_is_not_tried_until_the_user_is_locked_out() {
    let Some(estate) = estate(4).await else { return };
    let config = estate.front.config("", "").replace("max_back_off: 1s", "max_back_off: 1h");
    let exporter = Exporter::start(estate.dir.path(), &config).await;
    exporter.page_where("a whole collection", all_succeeded).await;
    estate.front.react(|method, _| match method {
        "RetrieveServiceContent" => Reaction::Forward,
        "Login" => fault("InvalidLogin", ""),
        _ => fault("NotAuthenticated", ""),
    });
    let start = std::time::Instant::now();
    let refused = eventually(LIMIT, "three refused sign-ins", || async {
        let refused = exporter.own(REFUSED_LOGINS).await;
        anyhow::ensure!(refused >= 3.0, "{refused}");
        Ok(refused)
    });
    // After 0, 1 and 3 seconds; the next is due after 7.
    assert_eq!(refused.await.unwrap(), 3.0);
    assert!(start.elapsed() >= std::time::Duration::from_secs(3), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_is_gone_is_made_anew_in_another_session() {
    let Some(estate) = estate(4).await else { return };
    let reads = AtomicUsize::new(0);
    estate.front.react(move |method, body| {
        if method == "RetrievePropertiesEx"
            && body.contains("ContainerView")
            && reads.fetch_add(1, Ordering::Relaxed) == 0
        {
            return fault("ManagedObjectNotFound", "<obj type=\"ContainerView\">session[1]2</obj>");
        }
        Reaction::Forward
    });
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config("", "")).await;
    exporter.page_where("a whole collection", all_succeeded).await;
    assert_eq!(exporter.own("lynceus_exporter_collections_failed_total{").await, 0.0);
    assert_eq!(exporter.own("lynceus_exporter_sign_ins_total{").await, 3.0);
    assert_eq!(exporter.own(LOG_OUTS).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_accepts_and_says_nothing_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let front = crate::front::Front::start("").await;
    let url = format!("https://{}/sdk", silent.local_addr().unwrap());
    let config = front.config("    connect_timeout: 1s\n", "").replace(&front.url, &url);
    let exporter = Exporter::start(dir.path(), &config).await;
    exporter.reason_with("within 1s (`connect_timeout`)").await;
}
