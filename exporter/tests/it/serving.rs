//! What the exporter serves beside the numbers.

use lynceus_exporter::catalogue::{Kind, Unit, metrics};

use crate::front::Front;
use crate::support::{Exporter, all_succeeded, count, estate, value};

#[tokio::test(flavor = "multi_thread")]
async fn targets_are_where_prometheus_asked() {
    let Some(estate) = estate(4).await else { return };
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config("", "")).await;
    exporter.page_where("a whole collection", all_succeeded).await;
    let address = exporter.url.trim_start_matches("http://");
    let expected = format!(
        r#"[{{"targets":["{address}"],"labels":{{"__metrics_path__":"/vcenter/vc01/metrics","instance":"vc01","vcenter":"vc01"}}}}]"#
    );
    assert_eq!(exporter.get("/sd/vcenters").await.unwrap(), (200, expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_are_at_the_external_url() {
    let Some(estate) = estate(4).await else { return };
    let flags = ["--web.external-url=https://exporter.example.net/vsphere/"];
    let exporter = Exporter::start_with(estate.dir.path(), &estate.front.config("", ""), &flags).await;
    exporter.page_where("a whole collection", all_succeeded).await;
    let expected = r#"[{"targets":["exporter.example.net:443"],"labels":{"__metrics_path__":"/vsphere/vcenter/vc01/metrics","__scheme__":"https","instance":"vc01","vcenter":"vc01"}}]"#;
    assert_eq!(exporter.get("/sd/vcenters").await.unwrap(), (200, expected.to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vcenter_that_was_never_reached_is_a_target_beside_one_that_was() {
    let Some(estate) = estate(4).await else { return };
    let down = "  - { name: vc02, url: 'https://127.0.0.1:1/sdk', username: u, password_file: password }\n";
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config(down, "")).await;
    exporter.page_where("a whole collection", all_succeeded).await;
    let targets = exporter.get("/sd/vcenters").await.unwrap().1;
    assert!(targets.contains("\"vcenter\":\"vc01\"") && targets.contains("\"vcenter\":\"vc02\""), "{targets}");
    assert_eq!(exporter.get("/vcenter/vc02/metrics").await.unwrap().0, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_vcenter_is_answered_with_the_known_ones() {
    let dir = tempfile::tempdir().unwrap();
    let exporter = Exporter::start(dir.path(), &Front::start("").await.config("", "")).await;
    let expected = "there is no vCenter `vc07`; the config has `vc01`\n";
    assert_eq!(exporter.get("/vcenter/vc07/metrics").await.unwrap(), (404, expected.to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_compressed_when_that_is_asked_for() {
    let Some(estate) = estate(40).await else { return };
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config("", "")).await;
    let page = exporter.page_where("a whole collection", all_succeeded).await;
    let plain = reqwest::Client::builder().gzip(false).build().unwrap();
    let request = plain.get(format!("{}/vcenter/vc01/metrics", exporter.url));
    let answer = request.header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let size = answer.bytes().await.unwrap().len();
    assert!(size * 5 < page.len(), "{size} of {} bytes", page.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_what_changed_in_the_config() {
    let Some(estate) = estate(8).await else { return };
    let config = estate.front.config("", "");
    let exporter = Exporter::start(estate.dir.path(), &config).await;
    exporter.page_where("a whole collection", all_succeeded).await;
    let file = estate.dir.path().join("exporter.yml");

    let success = "vsphere_collector_last_success_timestamp_seconds{collector=\"inventory\"}";
    let before = value(&exporter.page().await.unwrap(), success);
    assert_eq!(exporter.reload().await.0, 200);
    let later = |page: &str| value(page, success) > before.map(|before| before + 2.0);
    exporter.page_where("two more collections", later).await;
    assert_eq!(exporter.own("lynceus_exporter_sign_ins_total{").await, 2.0, "nothing changed, nothing starts anew");

    std::fs::write(&file, format!("{config}ownership: [{{ team: blue, vm_name: '.*' }}]\n")).unwrap();
    assert_eq!(exporter.reload().await.0, 200);
    assert_eq!(exporter.get("/vcenter/vc01/metrics").await.unwrap().0, 200, "the page stays until there is a new one");
    exporter.page_where("the new team", |page| count(page, "vsphere_vm_info{", "team=\"blue\"") == 8).await;

    std::fs::write(&file, format!("{config}ownership: [{{ team: blue, vm_name: '(' }}]\n")).unwrap();
    let (status, body) = exporter.reload().await;
    assert!(status == 500 && body.contains("ownership[0].vm_name: expected a regular expression"), "{status}: {body}");
    exporter.page_where("the old team", |page| count(page, "vsphere_vm_info{", "team=\"blue\"") == 8).await;

    std::fs::write(&file, config.replace("tls: { pinned_sha256", "tls: { ca_file: missing.pem } #")).unwrap();
    let (status, body) = exporter.reload().await;
    assert!(status == 500 && body.contains("failed to read certificates from"), "{status}: {body}");

    std::fs::write(&file, config.replace("name: vc01", "name: other")).unwrap();
    assert_eq!(exporter.reload().await.0, 200);
    assert_eq!(exporter.get("/vcenter/vc01/metrics").await.unwrap().0, 404);
    let withdrawn = lynceus_demo::eventually(crate::support::LIMIT, "no metrics of vc01", || async {
        let page = exporter.get("/metrics").await?.1;
        anyhow::ensure!(!page.contains("vcenter=\"vc01\""), "{page}");
        Ok(())
    });
    withdrawn.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_about_itself_are_those_of_the_catalogue() {
    let Some(estate) = estate(4).await else { return };
    let pair = "ha: { peer: 'http://127.0.0.1:1', secret_file: password, lease: 1s }\n";
    let flags = ["--web.external-url=http://127.0.0.1:1"];
    let exporter = Exporter::start_with(estate.dir.path(), &estate.front.config("", pair), &flags).await;
    exporter.page_where("a whole collection", all_succeeded).await;
    let page = exporter.get("/metrics").await.unwrap().1;
    let mut found: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            let help = page.lines().find_map(|line| line.strip_prefix(&format!("# HELP {name} "))).unwrap();
            (name.to_owned(), kind.to_owned(), help.trim_end_matches('.').to_owned())
        })
        .collect();
    found.sort();
    let mut expected: Vec<_> = metrics()
        .filter(|metric| metric.page() == "/metrics")
        .map(|metric| {
            // OpenMetrics names the family, to whose name each type has its own ending.
            let (ending, kind) = match (metric.kind, metric.unit) {
                (_, Unit::Info) => ("_info", "info"),
                (Kind::Counter, _) => ("_total", "counter"),
                (kind, _) => ("", kind.as_str()),
            };
            (metric.name.strip_suffix(ending).unwrap().to_owned(), kind.to_owned(), metric.help.to_owned())
        })
        .collect();
    expected.sort();
    assert_eq!(found, expected);
    for metric in metrics().filter(|metric| metric.page() == "/metrics" && metric.kind != Kind::Histogram) {
        let line = page.lines().find(|line| line.starts_with(&format!("{}{{", metric.name)));
        for label in metric.labels {
            assert!(line.is_some_and(|line| line.contains(&format!("{label}=\""))), "{}: no `{label}`", metric.name);
        }
    }
}
