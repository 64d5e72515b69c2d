//! What can be asked beside the pages: `/probe`, `/api/v1/last`, the landing page.

use serde_json::Value;

use crate::front::{Front, Reaction};
use crate::support::{Exporter, all_succeeded, estate};

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_is_answered_with_the_page_of_a_configured_vcenter() {
    let Some(estate) = estate(4).await else { return };
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config("", "")).await;
    exporter.page_where("a whole collection", all_succeeded).await;
    let port = estate.front.url.rsplit_once(':').unwrap().1.trim_end_matches("/sdk");
    for target in ["vc01", "127.0.0.1", &format!("127.0.0.1:{port}"), &estate.front.url] {
        let (status, page) = exporter.get(&format!("/probe?module=vsphere&target={target}")).await.unwrap();
        assert!(status == 200 && page.contains("vsphere_vm_info{"), "{target}: {status}: {page}");
    }
    let (status, page) = exporter.get("/probe?target=vc01&shard=7").await.unwrap();
    assert_eq!((status, page.as_str()), (404, "`vc01` has 1 pages, from 0 on\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_of_anything_else_is_refused_and_connects_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let other = tokio::net::TcpListener::bind("127.0.0.2:0").await.unwrap();
    let exporter = Exporter::start(dir.path(), &Front::start("").await.config("", "")).await;
    let address = other.local_addr().unwrap();
    for target in [address.to_string(), format!("https://{address}/sdk"), format!("vc01@{address}")] {
        let expected = format!("there is no vCenter `{target}`; the config has `vc01`\n");
        assert_eq!(exporter.get(&format!("/probe?target={target}")).await.unwrap(), (404, expected));
    }
    let expected = "there is no module `esxi`; there is `vsphere`\n";
    assert_eq!(exporter.get("/probe?target=vc01&module=esxi").await.unwrap(), (400, expected.to_owned()));
    assert_eq!(exporter.get("/probe").await.unwrap().0, 400);
    let connected = tokio::time::timeout(std::time::Duration::from_millis(100), other.accept()).await;
    assert!(connected.is_err(), "somebody connected to an address that is not in the config");
}

async fn last(exporter: &Exporter, query: &str) -> Value {
    let (status, body) = exporter.get(&format!("/api/v1/last?{query}")).await.unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn value<'a>(object: &'a Value, metric: &str) -> &'a Value {
    let values = object["values"].as_array().unwrap();
    values.iter().find(|value| value["metric"] == metric).unwrap_or_else(|| panic!("no {metric} in {object}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_values_stay_readable_with_their_age_when_the_source_fails() {
    let Some(estate) = estate(4).await else { return };
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config("", "")).await;
    exporter.page_where("a whole collection", all_succeeded).await;
    let before = last(&exporter, "vcenter=vc01").await;
    let vm = before["objects"].as_array().unwrap().iter().find(|object| object["name"] == "DC0_C0_RP0_VM0").unwrap();
    let usage = value(vm, "vsphere_vm_cpu_usage_hertz");
    assert!(usage["age_seconds"].as_f64() < Some(60.0), "{usage}");
    assert!(before["inventory_age_seconds"].as_f64() < Some(30.0));

    estate.front.react(|_, _| Reaction::Answer(503, "away".to_owned()));
    // The samples stay on the page for a minute at least.
    let gone = lynceus_demo::eventually(std::time::Duration::from_secs(150), "an empty page", || async {
        let (status, page) = exporter.get("/vcenter/vc01/metrics").await?;
        anyhow::ensure!(status == 200 && !page.contains("vsphere_vm_info"), "{status}");
        Ok(())
    });
    gone.await.unwrap();
    let id = vm["id"].as_str().unwrap();
    let after = last(&exporter, &format!("vcenter=vc01&vm_id={id}")).await;
    assert_eq!((after["objects_found"].as_u64(), &after["objects"][0]["name"]), (Some(1), &vm["name"]));
    let old = value(&after["objects"][0], "vsphere_vm_cpu_usage_hertz");
    assert_eq!(old["value"], value(vm, "vsphere_vm_cpu_usage_hertz")["value"], "{old}");
    assert!(old["age_seconds"].as_f64() > Some(60.0), "{old}");
    assert!(after["inventory_age_seconds"].as_f64() > Some(60.0));
    let part = after["collectors"].as_array().unwrap().iter().find(|part| part["collector"] == "vm_performance");
    assert!(part.is_some_and(|part| part["success"] == false && part["error"].is_string()), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_values_survive_a_restart_without_the_source() {
    let Some(estate) = estate(4).await else { return };
    let config = estate.front.config("", "");
    let storage = format!("--storage.path={}", estate.dir.path().join("state").display());
    let exporter = Exporter::start_with(estate.dir.path(), &config, &[&storage]).await;
    exporter.page_where("a whole collection", all_succeeded).await;
    let total = "vsphere_vm_cpu_run_seconds_total";
    let before = last(&exporter, "vcenter=vc01").await;
    let before = before["objects"].as_array().unwrap().iter().find(|object| object["object"] == "vm").unwrap();
    let mut process = exporter.process;
    process.terminate(crate::support::LIMIT).await.unwrap();

    estate.front.react(|_, _| Reaction::Answer(503, "away".to_owned()));
    let exporter = Exporter::start_with(estate.dir.path(), &config, &[&storage]).await;
    let after = last(&exporter, &format!("vcenter=vc01&vm_id={}", before["id"].as_str().unwrap())).await;
    let after = &after["objects"][0];
    assert_eq!((&after["name"], &after["team"]), (&before["name"], &before["team"]));
    let (counter, old) = (value(after, total), value(before, total));
    assert!(
        counter["value"].as_f64() >= old["value"].as_f64() && counter["age_seconds"].is_number(),
        "{counter}, {old}"
    );
    assert!(value(after, "vsphere_vm_power_state")["age_seconds"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_values_are_limited_and_can_be_asked_by_object() {
    let Some(estate) = estate(6).await else { return };
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config("", "")).await;
    let page = exporter.page_where("a whole collection", all_succeeded).await;
    let all = last(&exporter, "vcenter=vc01").await;
    let objects = all["objects"].as_array().unwrap();
    assert_eq!(all["objects_found"], objects.len());
    let few = last(&exporter, "vcenter=vc01&limit=2").await;
    assert_eq!((few["objects"].as_array().unwrap().len(), &few["objects_found"]), (2, &all["objects_found"]));

    let host = objects.iter().find(|object| object["object"] == "host").unwrap()["id"].as_str().unwrap();
    let one = last(&exporter, &format!("vcenter=vc01&host_id={host}")).await;
    assert_eq!((one["objects_found"].as_u64(), one["objects"][0]["id"].as_str()), (Some(1), Some(host)));
    // Every series of that host on the page is there.
    let on_page = page.lines().filter(|line| line.contains(&format!("{{host_id=\"{host}\""))).count();
    let values = one["objects"][0]["values"].as_array().unwrap().len();
    assert!(on_page > 10 && values >= on_page, "{values} of {on_page}");

    let (status, body) = exporter.get("/api/v1/last?vcenter=vc01&vm_id=nobody").await.unwrap();
    assert_eq!((status, body.as_str()), (404, "`vc01` has no such object, and had none lately\n"));
    let (status, body) = exporter.get("/api/v1/last?vcenter=vc01&limit=0").await.unwrap();
    assert_eq!((status, body.as_str()), (400, "limit: expected 1 to 10000, found 0\n"));
    assert_eq!(exporter.get("/api/v1/last").await.unwrap(), (400, "expected `vcenter`: one of `vc01`\n".to_owned()));
    assert_eq!(exporter.get("/api/v1/last?vcenter=vc07").await.unwrap().0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_landing_page_links_every_page() {
    let dir = tempfile::tempdir().unwrap();
    let second = "  - { name: vc02, url: 'https://127.0.0.1:1/sdk', username: u, password_file: password }\n";
    std::fs::write(dir.path().join("password"), "x").unwrap();
    let front = Front::start("").await;
    let exporter = Exporter::start(dir.path(), &front.config(second, "")).await;
    let page = exporter.get("/").await.unwrap().1;
    for path in ["/vcenter/vc01/metrics", "/vcenter/vc02/metrics", "/sd/vcenters", "/metrics"] {
        assert!(page.contains(&format!("<a href=\"{path}\">")), "{page}");
    }
    std::fs::write(dir.path().join("exporter.yml"), front.config("", "")).unwrap();
    assert_eq!(exporter.reload().await.0, 200);
    assert!(!exporter.get("/").await.unwrap().1.contains("vc02"), "as the config is now");
}
