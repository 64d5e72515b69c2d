//! Two teams on a real Prometheus: what one sees does not depend on what the other has.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::Method;
use lynceus_demo::{Process, free_port, parts, tool};
use serde_json::Value;

use crate::world::{ALICE, BOB, BOTH, Browser, NOBODY, PETRA, Proxy};

/// Samples begin this long before the time of the queries.
const HISTORY: u64 = 3600;

/// Lines of OpenMetrics for the given teams; no team is what belongs to everyone and therefore to no team.
fn samples(teams: &[&str], end: u64) -> String {
    let mut text = String::new();
    let families = ["vsphere_vm_info", "secret", "requests_total"];
    for family in families {
        let kind = if family == "requests_total" { "counter" } else { "gauge" };
        writeln!(text, "# TYPE {} {kind}", family.trim_end_matches("_total")).unwrap();
        for (index, team) in teams.iter().enumerate() {
            let label = if team.is_empty() { String::new() } else { format!(",team=\"{team}\"") };
            for vm in 0..3 {
                for (step, time) in (end - HISTORY..=end).step_by(60).enumerate() {
                    let value = match family {
                        "vsphere_vm_info" => 1,
                        // Each team has numbers of its own, so that a leak shows in the value alone.
                        "secret" => (index + 1) * 7 + vm,
                        _ => step * (index + 1) * 10,
                    };
                    let name = if team.is_empty() { "shared" } else { team };
                    writeln!(text, "{family}{{vm=\"{name}-vm{vm}\"{label}}} {value} {time}").unwrap();
                }
            }
        }
    }
    text + "# EOF\n"
}

async fn prometheus(dir: &Path, teams: &[&str], end: u64) -> (Process, String) {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join("samples.txt"), samples(teams, end)).unwrap();
    let mut promtool = Command::new(tool("promtool").unwrap());
    promtool.args(["tsdb", "create-blocks-from", "openmetrics"]).arg(dir.join("samples.txt")).arg(dir.join("data"));
    let output = promtool.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let port = free_port();
    let process = parts::prometheus(dir, "", port, &["--enable-feature=promql-at-modifier"]).await.unwrap();
    (process, format!("http://127.0.0.1:{port}"))
}

/// Queries that reach for what is not theirs. `{T}` is the time of the query.
const REACHING: &[&str] = &[
    r#"secret{team="blue"}"#,
    r#"secret{team=~"blue|"}"#,
    r#"secret{team!="red"}"#,
    r#"secret{team=""}"#,
    r#"{__name__=~".+"}"#,
    r#"{__name__="secret",team="blue"}"#,
    r#"{team="blue"}"#,
    "secret{team=`blue`}",
    r#"secret{team="\x62lue"}"#,
    "secret{team='blue',}",
    "secret # {team=\"red\"}",
    "secret{#}\nteam=\"blue\"}",
    r#"topk(scalar(secret{team="blue",vm="blue-vm0"}), {__name__=~".+"})"#,
    r#"count(topk(scalar(secret{vm="blue-vm0"}), {__name__=~".+"}))"#,
    r#"bottomk(scalar(sum(secret{team="blue"})), secret)"#,
    r#"quantile(scalar(secret{vm="blue-vm0"}) / 100, secret)"#,
    r#"count_values("v", secret)"#,
    r#"count_values by (team) ("team", secret)"#,
    r#"absent(secret{team="blue"})"#,
    r#"absent(secret{vm="blue-vm0"})"#,
    r#"absent_over_time(secret{team="blue"}[5m])"#,
    r#"max_over_time(secret{team="blue"}[30m:1m])"#,
    "max_over_time(sum(secret)[30m:1m])",
    "sum_over_time(max_over_time(count(secret)[5m:1m])[10m:2m] offset 1m)",
    r#"secret{team="red"} or secret{team="blue"}"#,
    r#"secret or on() secret{team="blue"}"#,
    r#"secret{team="red"} unless on() secret{team="blue"}"#,
    r#"secret and on() secret{team="blue"}"#,
    r#"secret * 0 + on() group_left sum(secret{team="blue"})"#,
    r#"vector(1) + on() sum(secret{team="blue"})"#,
    r#"scalar(secret{vm="blue-vm0"}) > bool 0"#,
    r#"vector(scalar(count(secret{team!="red"})))"#,
    r#"secret{team="blue"} @ {T}"#,
    "sum(secret @ end())",
    "sum(secret offset 10m)",
    "sum(rate(requests_total[5m] @ {T} offset 5m))",
    "sum by (team) (rate(requests_total[10m]))",
    "sum without (vm) (secret)",
    "group by (team) ({__name__=~\".+\"})",
    r#"label_replace(secret{team="blue"}, "team", "red", "", "")"#,
    r#"label_replace(secret, "team", "$1", "vm", "(.*)-.*")"#,
    r#"label_join(secret{team="blue"}, "team", "", "vm")"#,
    r#"-(secret{team="blue"}) ^ 2"#,
    r#"histogram_quantile(0.5, label_replace(secret, "le", "1", "", ""))"#,
    "predict_linear(secret[10m], 60)",
    "quantile_over_time(scalar(count(secret)) / 10, secret[5m])",
    "round(secret, scalar(sum(secret)))",
    "clamp_max(vector(100), scalar(sum(secret)))",
    "timestamp(secret)",
    "sort_desc(secret)",
    r#"vsphere_vm_info * on (vm) group_left secret{team=~".+"}"#,
];

/// An answer with its series in a fixed order: Prometheus gives them as its map happens to have them.
fn ordered(mut answer: Value) -> Value {
    if let Some(series) = answer["data"]["result"].as_array_mut() {
        series.sort_by_key(Value::to_string);
    }
    answer
}

async fn range(browser: &Browser, query: &str, end: u64) -> Value {
    let form = [
        ("query", query.to_owned()),
        ("start", (end - 1800).to_string()),
        ("end", end.to_string()),
        ("step", "5m".to_owned()),
    ];
    let request = browser.request(Method::POST, "/prometheus/api/v1/query_range").form(&form);
    request.send().await.unwrap().json().await.unwrap()
}

fn vms(answer: &Value) -> BTreeSet<String> {
    let result = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{answer}"));
    result.iter().map(|series| series["metric"]["vm"].as_str().unwrap().to_owned()).collect()
}

fn team_vms(team: &str) -> BTreeSet<String> {
    (0..3).map(|vm| format!("{team}-vm{vm}")).collect()
}

#[tokio::test]
async fn what_a_team_sees_does_not_depend_on_what_others_have() {
    if tool("prometheus").is_none() || tool("promtool").is_none() {
        return;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let end = now - 600;
    let dir = tempfile::tempdir().unwrap();
    let (_all, all) = prometheus(&dir.path().join("all"), &["red", "blue", ""], end).await;
    let (_red, red) = prometheus(&dir.path().join("red"), &["red"], end).await;
    let with_others = Proxy::start(&all, "", &[ALICE, BOB, BOTH, PETRA, NOBODY]).await;
    let alone = Proxy::start(&red, "", &[ALICE]).await;

    let alice = with_others.signed_in(ALICE).await;
    let alice_alone = alone.signed_in(ALICE).await;
    for query in REACHING {
        let query = query.replace("{T}", &end.to_string());
        let (found, expected) = (alice.query(&query, end).await, alice_alone.query(&query, end).await);
        assert_eq!(ordered(found), ordered(expected), "{query}");
        let (found, expected) = (range(&alice, &query, end).await, range(&alice_alone, &query, end).await);
        assert_eq!(ordered(found), ordered(expected), "{query} as a range");
    }

    // And the queries do reach something: unguarded, nearly all differ.
    let petra = with_others.signed_in(PETRA).await;
    let mut differ = 0;
    for query in REACHING {
        let query = query.replace("{T}", &end.to_string());
        let (all, own) = (petra.query(&query, end).await, alice.query(&query, end).await);
        differ += usize::from(ordered(all) != ordered(own));
    }
    assert!(differ >= REACHING.len() - 3, "only {differ} of {} queries reach for anything", REACHING.len());

    let bob = with_others.signed_in(BOB).await;
    let info = "vsphere_vm_info";
    assert_eq!(vms(&alice.query(info, end).await), team_vms("red"));
    assert_eq!(vms(&bob.query(info, end).await), team_vms("blue"));
    let both = with_others.signed_in(BOTH).await;
    assert_eq!(vms(&both.query(info, end).await), &team_vms("red") | &team_vms("blue"));
    let everything = &(&team_vms("red") | &team_vms("blue")) | &team_vms("shared");
    assert_eq!(vms(&petra.query(info, end).await), everything);

    let nobody = with_others.signed_in(NOBODY).await;
    let refused = nobody.get("/prometheus/api/v1/query?query=vsphere_vm_info").await;
    assert_eq!(refused.status(), 403);
    assert_eq!(refused.json::<Value>().await.unwrap()["errorType"], "forbidden");
    let anonymous = with_others.browser().get("/prometheus/api/v1/query?query=vsphere_vm_info").await;
    assert_eq!(anonymous.status(), 401);
    assert_eq!(anonymous.json::<Value>().await.unwrap()["errorType"], "unauthorized");
}

#[tokio::test]
async fn prometheus_own_complaint_reaches_the_user() {
    if tool("prometheus").is_none() || tool("promtool").is_none() {
        return;
    }
    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - 600;
    let dir = tempfile::tempdir().unwrap();
    let (_prometheus, url) = prometheus(dir.path(), &["red"], end).await;
    let proxy = Proxy::start(&url, "", &[ALICE]).await;
    let alice = proxy.signed_in(ALICE).await;
    let answer = alice.get(&format!("/prometheus/api/v1/query?query=secret%2Bon()secret&time={end}")).await;
    assert_eq!(answer.status(), 422);
    let text = answer.text().await.unwrap();
    assert!(text.contains("found duplicate series"), "{text}");
    let answer = alice.get("/prometheus/api/v1/query_range?query=secret&start=2&end=1&step=1").await;
    assert_eq!(answer.status(), 400);
    assert!(proxy.metrics().await.contains(r#"lynceus_auth_proxy_queries_total{outcome="refused"} 2"#));
}
