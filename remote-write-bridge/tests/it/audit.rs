//! An audit finds what is missing, and brings it back.

use std::process::Command;
use std::time::Duration;

use lynceus_demo::{eventually, free_port, parts};

use crate::support::{Archive, LIMIT, has_tools};

/// Runs `lynceus-bridge audit …`: exit code and output.
fn audit(archive: &Archive, source: &str, from: &str, more: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lynceus-bridge"));
    command.arg("audit").arg("--config.file").arg(archive.dir.path().join("bridge.yml"));
    let output = command.args(["--source", source, "--from", from, "--window", "10s"]).args(more).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

#[tokio::test]
async fn rows_that_were_deleted_are_found_and_brought_back() {
    if !has_tools(&["python", "prometheus"]) {
        return;
    }
    let archive = Archive::start().await;
    let port = free_port();
    let config = format!(
        "global:\n  scrape_interval: 1s\n  external_labels: {{prometheus: lab, prometheus_replica: a}}\n\
         scrape_configs:\n- job_name: self\n  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n\
         remote_write:\n- url: {}/api/v1/write\n",
        archive.url
    );
    let _prometheus = parts::prometheus(&archive.dir.path().join("source"), &config, port, &[]).await.unwrap();
    let source = format!("http://127.0.0.1:{port}");
    eventually(LIMIT, "a dozen scrapes", || async {
        let scrapes = archive.sql("SELECT count(DISTINCT timestamp) FROM samples").await;
        anyhow::ensure!(scrapes.parse::<u32>()? >= 12, "{scrapes}");
        Ok(())
    })
    .await
    .unwrap();
    // Until when all that was scraped is surely sent.
    let until = jiff::Timestamp::now() - Duration::from_secs(1);
    eventually(LIMIT, "all of it sent", || async {
        let sent = archive.sql("SELECT toUnixTimestamp64Milli(max(timestamp)) FROM samples").await;
        anyhow::ensure!(sent.parse::<i64>()? > until.as_millisecond() + 1000, "{sent}");
        Ok(())
    })
    .await
    .unwrap();
    let to = until.to_string();
    let (code, text) = audit(&archive, &source, "10m", &["--to", &to]);
    assert!(code == 0 && text.contains(" 0 missing in the archive\n"), "{code}: {text}");

    // Every third scrape of one metric, and another one as a whole.
    let series = |metric: &str| format!("series_id IN (SELECT series_id FROM series WHERE metric_name = '{metric}')");
    let (go, up) = (series("go_goroutines"), series("up"));
    let count = format!(
        "SELECT countIf({go}), countIf({up}) FROM samples FINAL WHERE timestamp < fromUnixTimestamp64Milli({})",
        until.as_millisecond()
    );
    let before = archive.sql(&count).await;
    let deleted = format!("({go} AND toUnixTimestamp(timestamp) % 3 = 0) OR {up}");
    archive.sql(&format!("ALTER TABLE samples DELETE WHERE {deleted} SETTINGS mutations_sync = 2")).await;
    let numbers = |text: &str| text.split('\t').map(|number| number.parse::<u64>().unwrap()).collect::<Vec<_>>();
    let lost: Vec<_> = numbers(&before).iter().zip(numbers(&archive.sql(&count).await)).map(|(a, b)| a - b).collect();
    let (code, text) = audit(&archive, &source, "10m", &["--to", &to]);
    // Of a series that has lost some of its samples no other is taken for missing.
    let missing = |metric: &str| -> u64 {
        let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.filter(|line| line.get(2) == Some(&metric)).map(|line| line[1].parse::<u64>().unwrap()).sum()
    };
    assert!(code == 1 && lost[0] > 0 && lost == [missing("go_goroutines"), missing("up")], "{lost:?}: {text}");
    assert!(text.ends_with("to send them: --repair\n"), "{text}");

    let (code, text) = audit(&archive, &source, "10m", &["--to", &to, "--repair", "--bridge", &archive.url]);
    assert!(code == 0 && text.ends_with("all of them were sent\n"), "{code}: {text}");
    archive.settle().await;
    let (code, text) = audit(&archive, &source, "10m", &["--to", &to]);
    assert!(code == 0 && text.contains(" 0 missing in the archive\n"), "{code}: {text}");
    assert_eq!(archive.sql(&count).await, before);

    // Nothing compared is nothing proven.
    let (code, text) = audit(&archive, &source, "2020-01-01T00:00:00Z", &["--to", "2020-01-01T01:00:00Z"]);
    assert!(code == 2 && text.ends_with(": nothing was compared\n"), "{code}: {text}");
    let (code, text) = audit(&archive, &source, "1h", &["--to", "3h"]);
    assert!(code == 2 && text.starts_with("--from: expected a time before --to, "), "{code}: {text}");
    let (code, text) = audit(&archive, "http://127.0.0.1:1", "10m", &[]);
    assert!(code == 2 && text.starts_with("http://127.0.0.1:1/api/v1/read does not answer: "), "{code}: {text}");
}
