//! What docs/bridge.md shows works.

use std::process::Command;

use lynceus_demo::tool;

use crate::support::{Archive, has_tools, now};
use crate::wire::series;

/// The code blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let docs = include_str!("../../../docs/bridge.md");
    let begin = format!("```{language}\n");
    docs.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_sql_of_the_docs_finds_what_it_says() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start().await;
    let t = now();
    let vm = |vm_id, vm, state| {
        let labels = [
            ("__name__", "vsphere_vm_power_state"),
            ("vcenter", "vc01"),
            ("vm_id", vm_id),
            ("vm", vm),
            ("team", "payments"),
            ("state", state),
        ];
        series(&labels, &[(t - 1000, 0.), (t, 1.)])
    };
    let written = [vm("502a-42", "shop-1", "on"), vm("502a-43", "shop-2", "on"), vm("502a-43", "shop-2", "off")];
    archive.store(&written).await;
    let mut answers = Vec::new();
    for sql in blocks("sql") {
        answers.push(archive.sql(&sql).await);
    }
    assert_eq!(answers[0], "shop-1\t1\nshop-2\t1");
    assert!(answers[1].starts_with("vsphere_vm_power_state\t2\t20"), "{}", answers[1]);
    assert_eq!(answers[2], "vsphere_vm_power_state\t3");
    let tables: Vec<_> = answers[3].lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(tables, ["samples", "schema_migrations", "series"]);
    assert_eq!(answers.len(), 4);
}

#[test]
fn prometheus_takes_the_snippets_of_the_docs() {
    if !has_tools(&["promtool"]) {
        return;
    }
    let config = blocks("yaml").join("\n");
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("prometheus.yml");
    std::fs::write(&file, &config).unwrap();
    let output = Command::new(tool("promtool").unwrap()).args(["check", "config"]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{config}{}", String::from_utf8_lossy(&output.stderr));
    assert!(config.contains("remote_write:") && config.contains("remote_read:"), "{config}");
}
