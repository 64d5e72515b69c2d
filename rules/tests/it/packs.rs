//! Our packs, judged by our tool and by Prometheus' own.

use std::path::{Path, PathBuf};
use std::process::Command;

use lynceus_demo::{repository, tool};
use lynceus_rules::{Catalogue, check_paths};

const PACK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packs/vsphere");

fn promtool(arguments: &[&str], files: &[PathBuf]) {
    let Some(promtool) = tool("promtool") else { return };
    let output = Command::new(promtool).args(arguments).args(files).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

fn files(folder: &str) -> Vec<PathBuf> {
    ["alerts.yml", "recording.yml"].map(|file| Path::new(PACK).join(folder).join(file)).to_vec()
}

#[test]
fn promtool_finds_nothing_in_the_rules() {
    promtool(&["check", "rules", "--lint=all", "--lint-fatal"], &files(""));
}

#[test]
fn the_rules_pass_their_tests() {
    promtool(&["test", "rules"], &files("tests"));
}

#[test]
fn the_rules_name_only_metrics_that_the_exporter_has() {
    let catalogue = Catalogue::read(&[repository().join("exporter/metrics.json")]).unwrap();
    let report = check_paths(&[PACK.into()], Some(&catalogue)).unwrap();
    assert!(report.is_clean(), "{}", report.render(false));
}

#[test]
fn every_alert_has_a_severity_a_test_and_a_runbook_that_its_link_names() {
    let text = std::fs::read_to_string(Path::new(PACK).join("alerts.yml")).unwrap();
    let tests = std::fs::read_to_string(Path::new(PACK).join("tests/alerts.yml")).unwrap();
    let alerts: Vec<_> = text.split("- alert: ").skip(1).collect();
    assert_eq!(alerts.len(), 11);
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        assert!(alert.contains("severity: "), "{name}");
        assert!(alert.contains(&format!("/docs/runbooks/{name}.md\n")), "{name}");
        assert!(repository().join("docs/runbooks").join(format!("{name}.md")).exists(), "{name}");
        assert!(tests.contains(&format!("alertname: {name}")), "{name}");
    }
}
