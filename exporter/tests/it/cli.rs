//! The commands beside the daemon.

use std::path::Path;
use std::process::Output;

use tokio::process::Command;

use crate::support::estate;

async fn run(dir: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lynceus-exporter"));
    command.args(arguments).current_dir(dir).kill_on_drop(true);
    let output = tokio::time::timeout(crate::support::LIMIT, command.output()).await.unwrap();
    let Output { status, stdout, stderr } = output.unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[tokio::test]
async fn help_shows_the_daemon_and_the_commands() {
    let dir = tempfile::tempdir().unwrap();
    let (code, help, _) = run(dir.path(), &["--help"]).await;
    assert_eq!(code, Some(0));
    insta::assert_snapshot!("help", help);
    let (code, help, _) = run(dir.path(), &["inventory", "--help"]).await;
    assert_eq!(code, Some(0));
    insta::assert_snapshot!("help_inventory", help);
}

#[tokio::test]
async fn a_shell_gets_completions_of_all_flags() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = run(dir.path(), &["completion", shell]).await;
        assert_eq!(code, Some(0));
        for word in ["storage.path", "inventory", "team"] {
            assert!(script.contains(word), "{shell}: no `{word}`");
        }
    }
}

#[tokio::test]
async fn a_flag_of_the_daemon_before_a_command_is_refused_not_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let (code, _, error) = run(dir.path(), &["--config.file=exporter.yml", "inventory"]).await;
    assert!(code == Some(2) && error.contains("'inventory' cannot be used with '--config.file <FILE>'"), "{error}");
}

#[tokio::test]
async fn a_wrong_config_or_name_is_told_before_anything_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (code, _, error) = run(dir.path(), &["inventory"]).await;
    assert_eq!((code, error.contains("exporter.yml: No such file")), (Some(2), true), "{error}");
    let config = "vcenters: [{ name: vc01, url: 'https://127.0.0.1:1/sdk', username: u, password_env: P }]\n";
    std::fs::write(dir.path().join("exporter.yml"), config).unwrap();
    let (code, _, error) = run(dir.path(), &["inventory", "--vcenter=vc07"]).await;
    assert_eq!((code, error.as_str()), (Some(2), "there is no vCenter `vc07`; the config has `vc01`\n"));
}

const RULES: &str = "ownership:\n  - { tier: gold, vm_name: '.*VM0' }\n  - { team: red, vm_name: 'DC0_C0_.*' }\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_inventory_says_whose_each_vm_is_and_which_rule_did_it() {
    let Some(estate) = estate(8).await else { return };
    // The other one is not there.
    let down =
        "  - { name: vc02, url: 'https://127.0.0.1:1/sdk', username: u, password_file: password, max_retries: 0 }\n";
    std::fs::write(estate.dir.path().join("exporter.yml"), estate.front.config(down, RULES)).unwrap();

    let (code, json, error) = run(estate.dir.path(), &["inventory", "--output=json"]).await;
    assert_eq!(code, Some(1), "{error}");
    assert!(error.starts_with("vc02: ") && error.lines().count() == 1, "{error}");
    let found: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(found["errors"][0]["vcenter"], "vc02");
    let vms = found["vcenters"][0]["vms"].as_array().unwrap();
    assert_eq!(vms.len(), 8);
    let vm = vms.iter().find(|vm| vm["vm"] == "DC0_C0_RP0_VM0").unwrap();
    assert_eq!((&vm["team"], &vm["team_rule"]), (&"red".into(), &1.into()));
    assert_eq!((&vm["tier"], &vm["tier_rule"]), (&"gold".into(), &0.into()));
    assert_eq!(vm["power"], "on");
    assert!(vm["host"].as_str().unwrap().starts_with("DC0_C0_H"), "{vm}");
    let of_vms: u64 = vms.iter().map(|vm| vm["series"].as_u64().unwrap()).sum();
    let series = &found["vcenters"][0]["series"];
    assert_eq!(series["of_vms"], of_vms);
    assert!(of_vms > 8 * 20 && series["total"].as_u64() > Some(of_vms), "{series}");

    let flags = ["inventory", "--output=csv", "--vcenter=vc01", "--team=red"];
    let (code, csv, error) = run(estate.dir.path(), &flags).await;
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("vcenter,vm_id,vm,team,team_rule,tier,tier_rule,power,host,folder,series"));
    let rows: Vec<_> = lines.collect();
    assert!(!rows.is_empty() && rows.iter().all(|row| row.contains(",red,1,")), "{csv}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_series_of_the_inventory_are_those_of_the_page() {
    let Some(estate) = estate(4).await else { return };
    let config = estate.front.config("", "");
    let exporter = crate::support::Exporter::start(estate.dir.path(), &config).await;
    let page = exporter.page_where("a whole collection", crate::support::all_succeeded).await;
    let (code, json, error) = run(estate.dir.path(), &["inventory", "--output=json"]).await;
    assert_eq!(code, Some(0), "{error}");
    let found: serde_json::Value = serde_json::from_str(&json).unwrap();
    for vm in found["vcenters"][0]["vms"].as_array().unwrap() {
        let id = format!("{{vm_id=\"{}\"", vm["vm_id"].as_str().unwrap());
        // The simulator leaves zeros out, so that a series may come or go between two readings.
        let on_page = page.lines().filter(|line| line.contains(&id)).count() as i64;
        let counted = vm["series"].as_i64().unwrap();
        assert!((on_page - counted).abs() <= 4, "{on_page} on the page, {counted} counted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_leaves_no_session_behind() {
    let Some(estate) = estate(2).await else { return };
    let calls = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = calls.clone();
    estate.front.react(move |method, _| {
        if method == "Login" || method == "Logout" {
            seen.lock().unwrap().push(method.to_owned());
        }
        crate::front::Reaction::Forward
    });
    std::fs::write(estate.dir.path().join("exporter.yml"), estate.front.config("", "")).unwrap();
    let (code, _, error) = run(estate.dir.path(), &["inventory"]).await;
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(*calls.lock().unwrap(), ["Login", "Login", "Logout", "Logout"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inventory_knows_tags_where_the_rules_ask_for_them() {
    let estate = crate::fleet::FleetEstate::start(30, 1.0).await;
    let rules = "ownership: [{ team: \"${team}\", tags: { team: \"(?<team>.+)\" } }]\n";
    std::fs::write(estate.dir.path().join("exporter.yml"), estate.front.config("", rules)).unwrap();
    let (code, json, error) = run(estate.dir.path(), &["inventory", "--output=json"]).await;
    assert_eq!(code, Some(0), "{error}");
    let found: serde_json::Value = serde_json::from_str(&json).unwrap();
    let vms = found["vcenters"][0]["vms"].as_array().unwrap();
    assert_eq!(found["vcenters"][0]["left_out"]["undecided"], 0);
    let owned = vms.iter().filter(|vm| vm["team_rule"] == 0 && vm["team"] != "unowned");
    assert!(owned.count() > vms.len() / 2, "{json}");
    // With samples: these are asked for once it is known whose the VMs are.
    let on = vms.iter().filter(|vm| vm["power"] == "on");
    assert!(on.map(|vm| vm["series"].as_u64().unwrap()).all(|series| series > 50), "{json}");
}
