//! Queries of long ranges read roll-ups, and give what the samples give.

use std::collections::BTreeMap;

use lynceus_demo::eventually;
use serde_json::Value;

use crate::support::{Archive, LIMIT, has_tools, now};
use crate::wire::{STALE, Series, series};

const HOUR: i64 = 3_600_000;
const DAYS: i64 = 4;

/// A counter that is reset, a gauge with gaps, NaN and stale markers, one that is seldom there; every five minutes.
fn data(end: i64) -> Vec<Series> {
    let start = end - DAYS * 24 * HOUR;
    let times = || (start..end).step_by(300_000).enumerate().map(|(at, time)| (at as i64, time + 137));
    let mut all = Vec::new();
    for vm in 0..4 {
        let id = format!("vm-{vm}");
        let label = |name| [("__name__", name), ("team", ["db", "web"][vm % 2]), ("vcenter", "vc"), ("vm_id", &id)];
        let mut value = 0.;
        let counter = times().map(|(at, time)| {
            value = if at % (97 + vm as i64) == 0 { 3.5 } else { value + (at % 13) as f64 * 1.7 };
            (time, value)
        });
        all.push(series(&label("bytes_total"), &counter.collect::<Vec<_>>()));
        let gauge = times().filter(|(at, _)| at % 400 < 300).map(|(at, time)| {
            let value = match at % 29 {
                3 => f64::NAN,
                7 if vm == 1 => f64::from_bits(STALE),
                _ => (at as f64 / 10.).sin() * 50.,
            };
            (time, value)
        });
        all.push(series(&label("load"), &gauge.collect::<Vec<_>>()));
        let seldom = times().filter(|(at, _)| at % 72 == 71 && at % 5 != 0).map(|(at, time)| (time, at as f64));
        all.push(series(&label("seldom"), &seldom.collect::<Vec<_>>()));
    }
    all
}

struct Answer {
    /// By labels and time.
    values: BTreeMap<(String, i64), f64>,
    infos: Vec<String>,
}

async fn ask(archive: &Archive, query: &str, (start, end, step): (i64, i64, i64), more: &str) -> Answer {
    let url = format!("{}/api/v1/query_range?start={start}&end={end}&step={step}{more}", archive.url);
    let response = archive.http.post(url).form(&[("query", query)]).send().await.unwrap();
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["status"], "success", "{query}: {body}");
    let mut values = BTreeMap::new();
    for one in body["data"]["result"].as_array().unwrap() {
        for pair in one["values"].as_array().unwrap() {
            let value = pair[1].as_str().unwrap().parse().unwrap();
            values.insert((one["metric"].to_string(), pair[0].as_i64().unwrap()), value);
        }
    }
    let infos = body["infos"].as_array().into_iter().flatten();
    let infos = infos.map(|info| info.as_str().unwrap().to_owned()).filter(|info| info.starts_with("lynceus"));
    Answer { values, infos: infos.collect() }
}

fn is_same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
}

const QUERIES: [&str; 22] = [
    "rate(bytes_total[6h])",
    "rate(bytes_total[12h])",
    "increase(bytes_total[6h] offset 6h)",
    "delta(load[12h])",
    "avg by (team) (rate(bytes_total[12h]))",
    "max_over_time(load[6h])",
    "min_over_time(load[12h])",
    "avg_over_time(load[6h])",
    "sum_over_time(load[6h])",
    "count_over_time(load[6h])",
    "present_over_time(seldom[6h])",
    "last_over_time(load[6h])",
    "ts_of_first_over_time(load[12h])",
    "max_over_time(rate(bytes_total[6h])[12h:6h])",
    "topk(2, rate(bytes_total[6h]))",
    "load",
    "load offset 6h",
    "timestamp(load)",
    "sum by (team) (bytes_total)",
    "bytes_total / on (vm_id) group_right () load",
    "seldom",
    "rate(bytes_total[6h] @ end())",
];

/// All queries with roll-ups and without; how many read them.
async fn compare(archive: &Archive, range: (i64, i64, i64), part: &str) -> usize {
    let mut by_rollups = 0;
    for query in QUERIES {
        let found = ask(archive, query, range, "").await;
        let expected = ask(archive, query, range, "&rollups=false").await;
        let may_be_empty = query.contains("seldom");
        assert!(expected.infos.is_empty() && (may_be_empty || !expected.values.is_empty()), "{query} {range:?}");
        assert!(found.values.keys().eq(expected.values.keys()), "{query} {range:?}");
        for ((key, found), expected) in found.values.iter().zip(expected.values.values()) {
            assert!(is_same(*found, *expected), "{query} {range:?}: {key:?}: expected {expected}, found {found}");
        }
        by_rollups += usize::from(found.infos.iter().any(|info| info.contains(part)));
    }
    by_rollups
}

#[tokio::test]
async fn roll_ups_give_what_samples_give_whatever_is_rolled_up() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start().await;
    let end = now() / (6 * HOUR) * 6 * HOUR;
    let all = data(end);
    archive.store(&all).await;
    let seconds = end / 1000;
    let (day, long) = (86_400, (seconds - 3 * 86_400, seconds, 6 * 3600));
    // Nothing is rolled up yet, or something: what is dirty comes from samples.
    compare(&archive, long, "roll-ups of 6h").await;
    let hours = DAYS * 24 - 1;
    eventually(LIMIT * 2, "roll-ups", || async {
        let found = archive.sql("SELECT uniq(bucket) FROM rollup_1h").await;
        let blocks = archive.sql("SELECT uniq(bucket) FROM rollup_6h").await;
        anyhow::ensure!(found == (hours + 1).to_string() && blocks == (DAYS * 4).to_string(), "{found} {blocks}");
        Ok(())
    })
    .await
    .unwrap();
    let all_of_them = QUERIES.len();
    assert_eq!(compare(&archive, long, "roll-ups of 6h").await, all_of_them);
    assert_eq!(compare(&archive, (seconds - 3 * day, seconds, 12 * 3600), "roll-ups of 6h").await, all_of_them);
    // On full hours, but not on blocks of them; the subquery is, and what says its own time.
    assert_eq!(compare(&archive, (seconds - 2 * day - 3600, seconds, 7200), "roll-ups of 1h").await, all_of_them - 2);
    // Neither; but for the subquery, and what says its own time.
    assert_eq!(compare(&archive, (seconds - day - 60, seconds, 3600), "roll-ups").await, 2);

    // A late sample: its hour is read from samples until it is rolled up again.
    let late = seconds - 30 * 3600 + 600;
    let labels = [("__name__", "load"), ("team", "db"), ("vcenter", "vc"), ("vm_id", "vm-0")];
    archive.store(&[series(&labels, &[(late * 1000, 1e6)])]).await;
    let found = ask(&archive, "max_over_time(load[6h])", long, "").await;
    assert_eq!(found.values.values().filter(|value| **value == 1e6).count(), 1);
    assert!(found.infos[0].contains("1h of them from samples"), "{:?}", found.infos);
    assert!(found.infos[0].contains("100% of the time asked for"), "{:?}", found.infos);
    compare(&archive, long, "roll-ups of 6h").await;
}

#[tokio::test]
async fn blocks_end_with_midnight_of_the_zone_that_the_config_names() {
    if !has_tools(&["python"]) {
        return;
    }
    let mut archive = Archive::start_with("rollups:\n  utc_offset: '+09:00'\n").await;
    // Midnight in Tokyo, at least a day ago; Grafana starts a panel there.
    let end = (now() / (24 * HOUR) - 1) * 24 * HOUR - 9 * HOUR;
    archive.store(&data(end + 12 * HOUR)).await;
    let blocks = async |archive: &Archive, number: i64, remainder: i64| {
        let sql = "SELECT uniq(bucket), uniqExact(toUnixTimestamp(bucket) % 21600), max(toUnixTimestamp(bucket) % 21600) \
                   FROM rollup_6h";
        let expected = format!("{number}\t1\t{}", remainder * 3600);
        eventually(LIMIT * 2, "blocks", || async {
            let found = archive.sql(sql).await;
            let pending = archive.metric("lynceus_bridge_rollups_pending").await;
            anyhow::ensure!(found == expected && pending == 0., "{found}, {pending}");
            Ok(())
        })
        .await
        .unwrap();
    };
    blocks(&archive, DAYS * 4, 3).await;
    let seconds = end / 1000;
    let tokyo = (seconds - 2 * 86_400, seconds, 12 * 3600);
    // But for the subquery, whose times are UTC's.
    assert_eq!(compare(&archive, tokyo, "roll-ups of 6h").await, QUERIES.len() - 1);

    // Another zone: all blocks are made anew, and what is asked for reads hours until then, or from then on.
    archive.restart_bridge("rollups:\n  utc_offset: '+00:00'\n").await;
    archive.wait_for_engine().await;
    compare(&archive, tokyo, "roll-ups").await;
    let utc = (seconds - 2 * 86_400 + 9 * 3600, seconds + 9 * 3600, 12 * 3600);
    compare(&archive, utc, "roll-ups").await;
    // At both ends a half.
    blocks(&archive, DAYS * 4 + 1, 0).await;
    assert_eq!(compare(&archive, utc, "roll-ups of 6h").await, QUERIES.len());
    assert!(compare(&archive, tokyo, "roll-ups of 1h").await > 15);
}

#[tokio::test]
async fn a_query_that_reads_too_much_is_refused_with_what_it_costs() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start_with("read:\n  max_samples: 4000\n").await;
    let end = now() / (6 * HOUR) * 6 * HOUR;
    archive.store(&data(end)).await;
    eventually(LIMIT * 2, "roll-ups", || async {
        let blocks = archive.sql("SELECT uniq(bucket) FROM rollup_6h").await;
        anyhow::ensure!(blocks == (DAYS * 4).to_string(), "{blocks}");
        Ok(())
    })
    .await
    .unwrap();
    let seconds = end / 1000;
    let times = format!("start={}&end={seconds}&step=6h", seconds - 4 * 86_400);
    let url = |query: &str| format!("{}/api/v1/query_range?{times}&query={query}", archive.url);
    let body: Value =
        archive.http.get(url("stddev_over_time(bytes_total[6h])")).send().await.unwrap().json().await.unwrap();
    assert_eq!((&body["status"], &body["errorType"]), (&Value::from("error"), &Value::from("execution")));
    let text = body["error"].as_str().unwrap();
    assert!(text.starts_with("bytes_total would read about 4608 samples of 4 series from "), "{text}");
    assert!(text.contains("and 4000 may be read (read.max_samples); it fits within 3d"), "{text}");
    // What reads roll-ups fits.
    let body: Value =
        archive.http.get(url("avg_over_time(bytes_total[6h])")).send().await.unwrap().json().await.unwrap();
    assert_eq!(body["status"], "success", "{body}");
    // So does what looks at little of each step.
    let body: Value =
        archive.http.get(url("stddev_over_time(bytes_total[15m])")).send().await.unwrap().json().await.unwrap();
    assert_eq!(body["status"], "success", "{body}");
}
