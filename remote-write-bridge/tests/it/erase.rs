//! What is erased is gone from every table, and what is not stays.

use std::process::Command;

use lynceus_demo::eventually;

use crate::support::{Archive, LIMIT, has_tools, now};
use crate::wire::series;

fn erase(archive: &Archive, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lynceus-bridge"));
    command.arg("erase").arg("--config.file").arg(archive.dir.path().join("bridge.yml"));
    let output = command.args(["--reason", "a test", "--bridge", &archive.url]).args(arguments).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn series_are_deleted_for_good_and_may_come_again() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start().await;
    let hour = 3_600_000;
    let end = now() / hour * hour - hour;
    let of = |vm: &str, times: &[i64]| {
        let samples: Vec<_> = times.iter().map(|time| (*time, 1.)).collect();
        series(&[("__name__", "up"), ("vm_id", vm)], &samples)
    };
    let times = [end - 2 * hour, end - hour, end - hour + 1, end];
    archive.store(&[of("one", &times), of("two", &times)]).await;
    eventually(LIMIT, "roll-ups", || async {
        let found = archive.sql("SELECT sum(count) FROM rollup_6h FINAL").await;
        anyhow::ensure!(found == "8", "{found}");
        Ok(())
    })
    .await
    .unwrap();
    let left = "SELECT (SELECT count() FROM samples), (SELECT count() FROM rollup_1h FINAL), \
                (SELECT sum(count) FROM rollup_6h FINAL), (SELECT count() FROM series)";

    let (code, text) = erase(&archive, &["--match", "{vm_id=\"one\"}"]);
    assert!(
        code == 0 && text.starts_with("1 series, 4 samples with roll-ups") && text.contains("nothing is deleted"),
        "{text}"
    );
    assert_eq!(archive.sql(left).await, "8\t6\t8\t2");

    // One hour: its start belongs to the one before.
    let time = |millis: i64| jiff::Timestamp::from_millisecond(millis).unwrap().to_string();
    let range = ["--from", &time(end - hour), "--to", &time(end), "--yes"];
    let (code, text) = erase(&archive, &[&["--match", "{vm_id=\"one\"}"], &range[..]].concat());
    assert_eq!(code, 0, "{text}");
    assert_eq!(archive.sql(left).await, "6\t5\t6\t2");

    let (code, text) = erase(&archive, &["--match", "up{vm_id=\"one\"}", "--yes"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(archive.sql(left).await, "4\t3\t4\t1");
    let record = "SELECT selector, series, samples, reason FROM erasures ORDER BY erased";
    assert_eq!(archive.sql(record).await, "{vm_id=\"one\"}\t1\t2\ta test\nup{vm_id=\"one\"}\t1\t2\ta test");

    // The bridge was told that it has no labels any more.
    archive.store(&[of("one", &[end])]).await;
    assert_eq!(archive.read(end, end, &[(0, "vm_id", "one")]).await, [of("one", &[end])]);

    let (code, text) = erase(&archive, &["--match", "rate(up[5m])", "--yes"]);
    assert!(code == 2 && text.contains("'--match <SELECTOR>': expected a selector, like {job=\"node\"}"), "{text}");
    let (code, text) = erase(&archive, &["--match", "up", "--from", "2026-11-26T08:30:00Z"]);
    assert!(code == 2 && text.contains("expected a full hour like 2026-11-26T08:00:00Z"), "{text}");
}
