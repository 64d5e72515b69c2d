//! Blocks of Prometheus out of the archive and into it, with Prometheus and promtool as judges.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use lynceus_demo::{Process, eventually, free_port, parts, tool};
use serde_json::Value;

use crate::kinds::{floats, whole, with_histograms};
use crate::path::ask;
use crate::streamed::{bits, prometheus_3, start_prometheus_3};
use crate::support::{Archive, LIMIT, has_tools, now, read};
use crate::wire::{STALE, Series, series};

/// Runs a command of the bridge: exit code and what it says.
fn bridge(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_lynceus-bridge")).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

fn export(archive: &Archive, from: i64, to: i64, output: &Path, more: &[&str]) -> (i32, String) {
    let config = archive.dir.path().join("bridge.yml");
    let (from, to) = (time(from), time(to));
    let arguments = ["export", "--config.file", config.to_str().unwrap(), "--from", &from, "--to", &to, "--output"];
    bridge(&[&arguments[..], &[output.to_str().unwrap()], more].concat())
}

fn import(archive: &Archive, dir: &Path, more: &[&str]) -> (i32, String) {
    bridge(&[&["import", "--dir", dir.to_str().unwrap(), "--url", &archive.url], more].concat())
}

fn time(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).unwrap().to_string()
}

fn promtool(name: &Path, arguments: &[&str]) -> String {
    let output = Command::new(name).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Two days with a hole, each a minute.
fn days(start: i64) -> Vec<Series> {
    let minutes = |at: i64| {
        (0..2880)
            .filter(move |minute| (minute + at) % 700 > 60)
            .map(move |minute| (start + minute * 60_000 + at, minute))
    };
    let one = |at: i64| {
        let samples: Vec<_> = minutes(at).map(|(time, minute)| (time, (minute * at) as f64 / 7.)).collect();
        let mut one = series(&[("__name__", "one"), ("at", &at.to_string()), ("job", "ä \"quoted\"\n")], &samples);
        // The end before each hole.
        for place in (1..samples.len()).filter(|place| samples[*place].0 - samples[*place - 1].0 > 60_000) {
            one.samples[place - 1].1 = STALE;
        }
        one
    };
    let mut bits = bits(start);
    // Prometheus gives -0.0 to remote read as 0.
    bits.samples.remove(4);
    (0..30).map(one).chain([bits, series(&[("Upper", "x"), ("__name__", "b:c")], &[(start + 5, f64::NAN)])]).collect()
}

/// Of remote read, which hides no bit.
async fn samples_of(archive: &Archive, url: &str, start: i64, end: i64) -> Vec<Series> {
    read(&archive.http, url, start, end, &[(2, "__name__", ".+")]).await
}

#[tokio::test]
async fn prometheus_takes_exported_blocks_for_its_own() {
    if !has_tools(&["python", "prometheus", "promtool"]) {
        return;
    }
    let archive = Archive::start().await;
    let day = 86_400_000;
    let start = now() / day * day - 5 * day + 3_600_000;
    let written = days(start);
    let total: usize = written.iter().map(|series| series.samples.len()).sum();
    for one in &written {
        archive.write(std::slice::from_ref(one)).await;
    }
    archive.settle().await;
    let dir = archive.dir.path().join("restored");
    let data = dir.join("data");
    let (code, text) = export(&archive, start, start + 4 * day, &data, &[]);
    assert!(code == 0 && text.ends_with(&format!("{total} samples in 3 blocks\n")), "{text}");
    // Again, in blocks of two hours.
    let small = archive.dir.path().join("small");
    let (code, text) = export(&archive, start, start + 4 * day, &small, &["--block-duration", "2h"]);
    assert!(code == 0 && text.ends_with(&format!("{total} samples in 25 blocks\n")), "{text}");

    // promtool dumps what has a log beside it.
    for folder in [&data, &small] {
        std::fs::create_dir(folder.join("wal")).unwrap();
    }
    let promtools = [tool("promtool"), prometheus_3().map(|file| file.with_file_name("promtool3"))];
    for promtool_file in promtools.into_iter().flatten() {
        let list = promtool(&promtool_file, &["tsdb", "list", data.to_str().unwrap()]);
        assert_eq!(list.lines().count(), 4, "{list}");
        let analysis = promtool(&promtool_file, &["tsdb", "analyze", data.to_str().unwrap()]);
        assert!(analysis.contains("30 one"), "{analysis}");
        let dump = promtool(&promtool_file, &["tsdb", "dump", data.to_str().unwrap()]);
        assert_eq!(dump.lines().count(), total);
        let dump_of_small = promtool(&promtool_file, &["tsdb", "dump", small.to_str().unwrap()]);
        assert_eq!(dump.lines().collect::<BTreeSet<_>>(), dump_of_small.lines().collect::<BTreeSet<_>>());
    }

    let port = free_port();
    let flags = ["--storage.tsdb.retention.time=10y"];
    let prometheus = parts::prometheus(&dir, "global: {}\n", port, &flags).await.unwrap();
    let url = format!("http://127.0.0.1:{port}");
    let found = samples_of(&archive, &url, start, start + 4 * day).await;
    let expected = archive.read(start, start + 4 * day, &[(2, "__name__", ".+")]).await;
    assert_eq!(expected.len(), written.len());
    assert!(found == expected, "{} series, not {}", found.len(), expected.len());
    assert!(
        !prometheus.log().contains("level=error") && !prometheus.log().contains("level=warn"),
        "{}",
        prometheus.log()
    );

    // And back, from the blocks that a Prometheus has, into an empty archive.
    let other = Archive::start().await;
    let (code, text) = import(
        &other,
        &small,
        &["--match", "{__name__=~\".+\", at!=\"3\"}", "--label", "prometheus=main", "--label", "at=none"],
    );
    let is_sent = |series: &&Series| !series.labels.contains(&("at".into(), "3".into()));
    let left: usize = written.iter().filter(is_sent).map(|series| series.samples.len()).sum();
    assert!(code == 0 && text.starts_with(&format!("{left} samples of ")), "{text}");
    other.settle().await;
    let found = other.read(start, start + 4 * day, &[(2, "__name__", ".+")]).await;
    let mut expected: Vec<_> = written.iter().filter(is_sent).cloned().collect();
    for one in &mut expected {
        one.labels.push(("prometheus".into(), "main".into()));
        if one.labels.iter().all(|(name, _)| name != "at") {
            one.labels.push(("at".into(), "none".into()));
        }
        one.labels.sort_unstable();
    }
    expected.sort_by(|a, b| a.labels.cmp(&b.labels));
    assert!(found == expected, "{} series, not {}", found.len(), expected.len());
}
