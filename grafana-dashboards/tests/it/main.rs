//! The boards: their queries against the catalogue and Prometheus' parser, their files against what is committed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use lynceus_dashboards::{Options, files, generate, queries};
use lynceus_demo::{repository, tool};
use lynceus_promql::{MatcherOp, parse, selectors};
use serde_json::Value;

const GENERATED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/generated");

/// As Grafana does when everything is chosen.
fn substituted(expr: &str) -> String {
    let expr = expr.replace("$vcenter", ".*").replace("$team", ".*");
    assert!(!expr.contains('$'), "a variable that no board has: {expr}");
    expr
}

/// Labels of every metric that may be named: of the exporter's catalogue, and recorded by the packs.
fn known_metrics() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(repository().join("exporter/metrics.json")).unwrap();
    let catalogue: Value = serde_json::from_str(&text).unwrap();
    let strings = |value: &Value| -> BTreeSet<String> {
        value.as_array().unwrap().iter().map(|label| label.as_str().unwrap().to_owned()).collect()
    };
    let target = strings(&catalogue["target_labels"]);
    let metrics = catalogue["metrics"].as_array().unwrap().iter();
    let mut known: BTreeMap<_, _> = metrics
        .map(|metric| (metric["name"].as_str().unwrap().to_owned(), &strings(&metric["labels"]) | &target))
        .collect();
    let rules = std::fs::read_to_string(repository().join("rules/packs/vsphere/recording.yml")).unwrap();
    for rule in rules.split("- record: ").skip(1) {
        let labels = rule.split_once("by (").unwrap().1.split_once(')').unwrap().0;
        let labels = labels.split(", ").map(str::to_owned).collect();
        known.insert(rule.lines().next().unwrap().to_owned(), labels);
    }
    known
}

#[test]
fn every_query_names_only_metrics_and_labels_that_exist() {
    let known = known_metrics();
    assert!(queries().count() >= 10);
    for query in queries() {
        let expr = parse(&substituted(query.expr)).unwrap_or_else(|error| panic!("{}: {error}", query.panel));
        for selector in selectors(&expr) {
            let name = selector.metric_name().unwrap();
            let Some(labels) = known.get(name) else { panic!("{}: there is no metric `{name}`", query.panel) };
            for matcher in &selector.matchers {
                assert!(labels.contains(&matcher.name), "{}: `{name}` has no label `{}`", query.panel, matcher.name);
            }
            // A panel that forgets the choice at the top shows the wrong vCenter.
            let chosen = |m: &lynceus_promql::Matcher| m.name == "vcenter" && m.op == MatcherOp::Regex;
            assert!(selector.matchers.iter().any(chosen), "{}: `{name}` does not follow `$vcenter`", query.panel);
        }
    }
}

#[test]
fn prometheus_parses_every_query() {
    let Some(promtool) = tool("promtool") else { return };
    let rules: String = queries()
        .enumerate()
        .map(|(index, query)| {
            format!("  - record: query_{index}\n    expr: {}\n", Value::from(substituted(query.expr)))
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("queries.yml");
    std::fs::write(&file, format!("groups:\n- name: queries\n  rules:\n{rules}")).unwrap();
    let output = Command::new(promtool).args(["check", "rules"]).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn boards() -> Vec<Value> {
    let json = files(&Options::default()).into_iter().filter(|file| file.path.ends_with(".json"));
    json.map(|file| serde_json::from_str(&file.text).unwrap()).collect()
}

#[test]
fn panels_lie_beside_each_other_within_the_board() {
    for board in boards() {
        let mut taken = BTreeSet::new();
        for panel in board["panels"].as_array().unwrap() {
            let side = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(side("x") + side("w") <= 24, "{panel}");
            for x in side("x")..side("x") + side("w") {
                for y in side("y")..side("y") + side("h") {
                    assert!(taken.insert((x, y)), "two panels at {x}, {y}: {panel}");
                }
            }
        }
    }
}

#[test]
fn every_panel_has_what_a_reader_and_grafana_need() {
    for board in boards() {
        let mut ids = BTreeSet::new();
        for panel in board["panels"].as_array().unwrap() {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "an id twice: {panel}");
            assert!(!panel["title"].as_str().unwrap().is_empty());
            assert!(panel["description"].as_str().unwrap().ends_with('.'), "{panel}");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{panel}");
            assert_eq!(panel["datasource"]["uid"], "${datasource}");
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{panel}");
            assert!(targets.iter().all(|target| !target["legendFormat"].as_str().unwrap().is_empty()), "{panel}");
        }
        let names: Vec<_> = board["templating"]["list"].as_array().unwrap().iter().map(|v| v["name"].clone()).collect();
        assert_eq!(names, ["datasource", "vcenter", "team"]);
        let annotations = board["annotations"]["list"].as_array().unwrap();
        assert!(annotations.iter().all(|alerts| parse(&substituted(alerts["expr"].as_str().unwrap())).is_ok()));
    }
}

#[test]
fn the_committed_files_are_what_the_source_gives() {
    for file in files(&Options::default()) {
        let committed = std::fs::read_to_string(Path::new(GENERATED).join(file.path)).unwrap_or_default();
        assert_eq!(
            committed, file.text,
            "{} is old: cargo run -p lynceus-dashboards -- generate --out grafana-dashboards/generated",
            file.path
        );
    }
}

#[test]
fn a_data_source_can_be_named_and_is_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { datasource_uid: "a: \"b\"".to_owned(), ..Options::default() };
    assert_eq!(generate(folder.path(), &options).unwrap().len(), 3);
    let read = |path: &str| std::fs::read_to_string(folder.path().join(path)).unwrap();
    assert!(read("provisioning/datasources/lynceus.yml").contains(r#"uid: "a: \"b\"""#));
    let board: Value = serde_json::from_str(&read("dashboards/vsphere-fleet.json")).unwrap();
    assert_eq!(board["templating"]["list"][0]["current"]["value"], "a: \"b\"");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("dashboards"), "").unwrap();
    let command = Command::new(env!("CARGO_BIN_EXE_lynceus-dashboards"))
        .args(["generate", "--out"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert_eq!(command.status.code(), Some(1));
    let error = String::from_utf8(command.stderr).unwrap();
    assert!(error.starts_with("lynceus-dashboards: failed to write `/"), "{error}");
}
