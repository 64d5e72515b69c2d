//! The archive gives the numbers that Prometheus gives: for the queries of our boards and rules, and for others as people
//! write them over the same metrics. Debian's Prometheus closes ranges on both sides, so no query falls on a sample.

use std::collections::BTreeMap;
use std::time::Duration;

use lynceus_demo::smoke;
use lynceus_demo::stack::{Simulator, Stack};
use serde_json::Value;

use crate::support::start_on;

/// What people ask of a gauge; each is asked of each of [`GAUGES`].
const OF_A_GAUGE: [&str; 18] = [
    "sum by (team) ({})",
    "avg without (vm, vm_id, team) ({})",
    "max({})",
    "topk(3, {})",
    "quantile by (team) (0.5, {})",
    "count({} > 0)",
    "{} > bool 0.1",
    "sort_desc({})",
    "avg_over_time({}[10m])",
    "max_over_time({}[10m])",
    "stddev_over_time({}[15m])",
    "quantile_over_time(0.9, {}[10m])",
    "deriv({}[15m])",
    "predict_linear({}[15m], 3600)",
    "{} - {} offset 5m",
    "avg by (team) (max_over_time({}[10m]))",
    "max_over_time(sum by (team) ({})[10m:1m])",
    "{} / ignoring (vm, vm_id, team) group_left () max({})",
];

const GAUGES: [&str; 9] = [
    "vsphere_vm_cpu_usage_ratio",
    "vsphere_vm_cpu_ready_ratio",
    "vsphere_vm_cpu_demand_hertz",
    "vsphere_vm_memory_usage_ratio",
    "vsphere_vm_memory_active_bytes",
    "vsphere_vm_memory_balloon_bytes",
    "vsphere_vm_memory_consumed_bytes",
    "vsphere_vm_disk_write_bytes_per_second",
    "vsphere_vm_network_receive_bytes_per_second",
];

/// Over what the exporter knows of virtual machines.
const MORE: [&str; 30] = [
    "vsphere_vm_cpu_usage_hertz",
    "vsphere_vm_cpu_usage_hertz offset 7m",
    "sum by (team) (vsphere_vm_cpu_usage_hertz)",
    "avg without (vm, vm_id) (vsphere_vm_memory_active_bytes)",
    "topk(5, vsphere_vm_cpu_usage_hertz)",
    "bottomk by (team) (2, vsphere_vm_memory_active_bytes)",
    "quantile(0.9, vsphere_vm_cpu_ready_ratio)",
    "stddev by (team) (vsphere_vm_cpu_ready_ratio)",
    "count by (team) (vsphere_vm_cpu_ready_ratio > 0.01)",
    "count_values(\"state\", vsphere_vm_power_state)",
    "rate(vsphere_collector_duration_seconds_count[10m])",
    "increase(vsphere_collector_duration_seconds_sum[20m])",
    "histogram_quantile(0.9, sum by (le, collector) (rate(vsphere_collector_duration_seconds_bucket[10m])))",
    "avg_over_time(vsphere_vm_cpu_usage_hertz[10m])",
    "max_over_time(vsphere_vm_memory_active_bytes[15m])",
    "min_over_time(vsphere_vm_memory_active_bytes[15m])",
    "sum_over_time(vsphere_vm_cpu_ready_ratio[10m])",
    "stddev_over_time(vsphere_vm_cpu_usage_hertz[10m])",
    "quantile_over_time(0.95, vsphere_vm_cpu_usage_hertz[10m])",
    "count_over_time(vsphere_vm_power_state[5m])",
    "changes(vsphere_vm_cpu_usage_hertz[10m])",
    "deriv(vsphere_vm_memory_active_bytes[10m])",
    "delta(vsphere_vm_memory_active_bytes[10m])",
    "predict_linear(vsphere_datastore_free_bytes[15m], 3600)",
    "max_over_time(avg by (team) (vsphere_vm_cpu_usage_hertz)[15m:1m])",
    "vsphere_vm_memory_active_bytes / on (vcenter, vm_id) group_left () vsphere_vm_memory_granted_bytes",
    "sum by (cluster) (vsphere_vm_cpu_usage_hertz * on (vcenter, vm_id) group_left (cluster) vsphere_vm_info)",
    "vsphere_host_memory_usage_ratio > 0.2 and vsphere_host_memory_usage_ratio < 0.9",
    "label_replace(vsphere_host_memory_usage_ratio, \"short\", \"$1\", \"host\", \"([^.]*).*\")",
    "absent(vsphere_vm_nothing) or timestamp(vsphere_host_memory_usage_ratio) - time()",
];

async fn rules(stack: &Stack) -> Vec<String> {
    let url = format!("http://127.0.0.1:{}/api/v1/rules", stack.options.ports.prometheus);
    let body: Value = smoke::client().unwrap().get(url).send().await.unwrap().json().await.unwrap();
    let groups = body["data"]["groups"].as_array().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    rules.map(|rule| rule["query"].as_str().unwrap().to_owned()).collect()
}

/// Numbers by series and time; a label that Prometheus adds to what it writes is left out.
async fn ask(port: u16, path: &str, params: &[(&str, &str)]) -> BTreeMap<(String, String), f64> {
    let url = format!("http://127.0.0.1:{port}/api/v1/{path}");
    let body: Value = smoke::client().unwrap().post(url).form(params).send().await.unwrap().json().await.unwrap();
    assert_eq!(body["status"], "success", "{params:?}: {body}");
    let mut values = BTreeMap::new();
    let mut add = |labels: &str, pair: &Value| {
        values.insert((labels.to_owned(), pair[0].to_string()), pair[1].as_str().unwrap().parse().unwrap());
    };
    if body["data"]["resultType"] == "scalar" {
        add("", &body["data"]["result"]);
        return values;
    }
    for one in body["data"]["result"].as_array().unwrap() {
        let mut labels = one["metric"].as_object().unwrap().clone();
        labels.remove("prometheus");
        let labels = Value::Object(labels).to_string();
        let many = one["values"].as_array().into_iter().flatten();
        many.chain(one.get("value")).for_each(|pair| add(&labels, pair));
    }
    values
}

fn is_same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
}

/// Asks Prometheus and the archive for the same; how many numbers the answer has.
async fn compare((prometheus, archive): (u16, u16), path: &str, params: &[(&str, &str)]) -> usize {
    let expected = ask(prometheus, path, params).await;
    let found = ask(archive, path, params).await;
    assert!(
        found.keys().eq(expected.keys()),
        "{params:?}: {} numbers, not {}: {:?}, not {:?}",
        found.len(),
        expected.len(),
        found.keys().find(|key| !expected.contains_key(key)),
        expected.keys().find(|key| !found.contains_key(key))
    );
    for ((key, found), expected) in found.iter().zip(expected.values()) {
        assert!(is_same(*found, *expected), "{params:?}: {key:?}: expected {expected}, found {found}");
    }
    expected.len()
}

#[tokio::test]
async fn the_archive_gives_the_numbers_of_prometheus() {
    let Some((_dir, stack)) = start_on(Simulator::Fleet, 30).await else { return };
    smoke::every_vm_is_in_prometheus(&stack).await.unwrap();
    smoke::every_vm_is_in_the_archive(&stack).await.unwrap();
    let boards = lynceus_dashboards::queries().map(|query| query.expr.replace("$vcenter", ".*").replace("$team", ".+"));
    let gauges = GAUGES.into_iter().flat_map(|gauge| OF_A_GAUGE.map(|query| query.replace("{}", gauge)));
    let all: Vec<String> = boards.chain(rules(&stack).await).chain(MORE.map(str::to_owned)).chain(gauges).collect();
    let ports = &stack.options.ports;
    let (mut asked, mut answered, mut numbers) = (0, 0, 0);
    let mut count = |found: usize| {
        asked += 1;
        answered += usize::from(found > 0);
        numbers += found;
    };

    // The last minute, of which Prometheus has samples of its own, and the archive no others; those of the last seconds
    // are on their way.
    tokio::time::sleep(Duration::from_secs(30)).await;
    let end = jiff::Timestamp::now().as_second() - 15;
    for query in &all {
        let (start, end) = (format!("{}.457", end - 45), format!("{end}.457"));
        let params = [("query", query.as_str()), ("start", &start), ("end", &end), ("step", "5")];
        count(compare((ports.prometheus, ports.bridge), "query_range", &params).await);
    }

    // An hour of the past, of which only the archive has samples: Prometheus evaluates on what it reads remotely.
    smoke::the_archive_goes_on_from_a_past(&stack).await.unwrap();
    let now = jiff::Timestamp::now().as_second();
    let start = now - 7 * 3600;
    for query in &all {
        for step in ["15", "60", "300"] {
            let (start, end) = (format!("{start}.457"), format!("{}.457", start + 3600));
            let params = [("query", query.as_str()), ("start", &start), ("end", &end), ("step", step)];
            count(compare((ports.archive, ports.bridge), "query_range", &params).await);
        }
        let time = format!("{}.789", start + 1800);
        count(compare((ports.archive, ports.bridge), "query", &[("query", query), ("time", &time)]).await);
    }
    println!("{} queries, {asked} requests, {answered} with an answer, {numbers} numbers compared", all.len());
    assert!(all.len() >= 200 && answered * 2 > asked);
    stack.stop().await.unwrap();
}
