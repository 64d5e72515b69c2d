//! Blocks of Prometheus out of the archive and into it, with Prometheus and promtool as judges.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use lynceus_demo::{Process, eventually, free_port, parts, tool};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

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
    assert!(
        code == 0
            && text.contains(&format!(
                "\n{total} samples in 3 blocks\na Prometheus keeps them with --storage.tsdb.retention.time=5d"
            )),
        "{text}"
    );
    // Again, in blocks of two hours.
    let small = archive.dir.path().join("small");
    let (code, text) = export(&archive, start, start + 4 * day, &small, &["--block-duration", "2h"]);
    assert!(code == 0 && text.contains(&format!("\n{total} samples in 25 blocks\n")), "{text}");

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
    let flags = ["--storage.tsdb.retention.time=10y", "--web.enable-admin-api"];
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

    // What is deleted there is not imported.
    let (first, last) = (time(start + 600_000), time(start + day));
    let deleted = [("match[]", "one{at=~\"1.\"}"), ("start", first.as_str()), ("end", last.as_str())];
    let delete = archive.http.post(format!("{url}/api/v1/admin/tsdb/delete_series")).query(&deleted);
    assert_eq!(delete.send().await.unwrap().status(), 204);
    let expected = samples_of(&archive, &url, start, start + 4 * day).await;
    assert_ne!(expected, found);
    let other = Archive::start().await;
    let (code, text) = import(&other, &data, &[]);
    assert!(code == 0 && text.ends_with(" samples of 3 blocks sent\n"), "{text}");
    other.settle().await;
    let found = other.read(start, start + 4 * day, &[(2, "__name__", ".+")]).await;
    assert!(found == expected, "{} series, not {}", found.len(), expected.len());

    // And back, from the blocks that a Prometheus has, into an empty archive.
    let other = Archive::start().await;
    let (code, text) = import(
        &other,
        &small,
        &["--match", "{__name__=~\".+\", at!=\"3\"}", "--label", "prometheus=main", "--label", "at=none"],
    );
    let is_sent = |series: &&Series| !series.labels.contains(&("at".into(), "3".into()));
    let left: usize = written.iter().filter(is_sent).map(|series| series.samples.len()).sum();
    assert!(code == 0 && text.contains(&format!("{left} samples of 25 blocks sent\n")), "{text}");
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

/// A Prometheus that scrapes itself. The older one has no native histograms of its own.
async fn scraped(dir: &Path, port: u16, is_3: bool) -> Process {
    let job = format!("- job_name: self\n  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n");
    let gone = "- job_name: gone\n  static_configs: [{targets: ['127.0.0.1:1']}]\n";
    let native = "  scrape_native_histograms: true\n  scrape_protocols: [PrometheusProto, OpenMetricsText1.0.0]\n";
    let native = if is_3 { native } else { "" };
    let config = format!("global:\n  scrape_interval: 1s\n{native}scrape_configs:\n{job}{gone}");
    let flags = ["--web.enable-admin-api"];
    match is_3 {
        true => start_prometheus_3(dir, &config, port, &flags).await,
        false => parts::prometheus(dir, &config, port, &flags).await.unwrap(),
    }
}

/// What one Prometheus is asked, and another one that has its samples by way of the archive.
const QUERIES: [&str; 4] = [
    "{__name__=~\".+\"}",
    "up",
    "absent(up{job=\"self\"})",
    "sum by (handler) (rate(prometheus_http_requests_total[5s]))",
];
const OF_HISTOGRAMS: [&str; 4] = [
    "prometheus_http_request_duration_seconds",
    "rate(prometheus_http_request_duration_seconds[6s])",
    "histogram_count(prometheus_http_request_duration_seconds)",
    "histogram_quantile(0.9, rate(prometheus_http_request_duration_seconds[6s]))",
];

/// Values and histograms by labels.
fn by_labels(data: &Value) -> BTreeMap<String, &Value> {
    data["result"].as_array().unwrap().iter().map(|series| (series["metric"].to_string(), series)).collect()
}

async fn comes_back_from_the_archive(is_3: bool) {
    let archive = Archive::start().await;
    let (port, dir) = (free_port(), archive.dir.path().join("scraped"));
    let scraping = scraped(&dir, port, is_3).await;
    let url = format!("http://127.0.0.1:{port}");
    let start = now() / 1000;
    eventually(LIMIT, "a dozen scrapes", || async {
        let found = ask(&archive.http, &url, "query", &[("query", "count_over_time(up{job=\"self\"}[1m])")]).await?;
        let count: u32 = found["result"][0]["value"][1].as_str().unwrap_or("0").parse()?;
        anyhow::ensure!(count >= 14, "{count} scrapes");
        Ok(())
    })
    .await
    .unwrap();
    let end = now() / 1000 - 2;
    let snapshot: Value =
        archive.http.post(format!("{url}/api/v1/admin/tsdb/snapshot")).send().await.unwrap().json().await.unwrap();
    let snapshot = dir.join("data/snapshots").join(snapshot["data"]["name"].as_str().unwrap());

    let (code, text) = import(&archive, &snapshot, &[]);
    assert!(code == 0, "{text}");
    archive.settle().await;
    let (restored, again) = (archive.dir.path().join("restored"), free_port());
    let (code, text) = export(&archive, start * 1000 - 1000, end * 1000 + 2000, &restored.join("data"), &[]);
    assert!(code == 0 && text.contains(" in 1 blocks\n"), "{text}");
    let _restored = match is_3 {
        true => start_prometheus_3(&restored, "global: {}\n", again, &[]).await,
        false => parts::prometheus(&restored, "global: {}\n", again, &[]).await.unwrap(),
    };
    let (start, end) = ((start + 1).to_string(), end.to_string());
    for query in QUERIES.iter().chain(OF_HISTOGRAMS.iter().filter(|_| is_3)).copied() {
        let parameters = [("query", query), ("start", start.as_str()), ("end", end.as_str()), ("step", "1")];
        let expected = ask(&archive.http, &url, "query_range", &parameters).await.unwrap();
        assert!(query.starts_with("absent") || expected["result"][0].is_object(), "{query}");
        if query == OF_HISTOGRAMS[0] {
            assert!(expected["result"][0]["histograms"].is_array(), "{expected}");
        }
        let found = ask(&archive.http, &format!("http://127.0.0.1:{again}"), "query_range", &parameters).await.unwrap();
        assert!(by_labels(&found) == by_labels(&expected), "{query}:\n{found}\n{expected}");
    }
    drop(scraping);
}

#[tokio::test]
async fn what_prometheus_scraped_comes_back_from_the_archive_bit_for_bit() {
    if has_tools(&["python", "prometheus"]) {
        comes_back_from_the_archive(false).await;
    }
}

#[tokio::test]
async fn what_prometheus_3_scraped_comes_back_as_well() {
    if has_tools(&["python"]) && prometheus_3().is_some() {
        comes_back_from_the_archive(true).await;
    }
}

#[tokio::test]
async fn promtool_takes_the_text_for_its_own() {
    if !has_tools(&["python", "promtool"]) {
        return;
    }
    let archive = Archive::start().await;
    let day = 86_400_000;
    let start = now() / day * day - 5 * day;
    let nameless = series(&[("a", "b")], &[(start, 1.)]);
    let (written, histograms) = (days(start), with_histograms("whole", vec![whole(start), whole(start + 1)]));
    for one in written.iter().chain([&histograms, &nameless]) {
        archive.write(std::slice::from_ref(one)).await;
    }
    archive.settle().await;
    let file = archive.dir.path().join("export.txt");
    let (code, text) = export(&archive, start, start + 3 * day, &file, &["--format", "openmetrics"]);
    let is_stale = |(_, value): &(i64, u64)| *value == STALE;
    let samples = written.iter().flat_map(|series| &series.samples);
    let (stale, others) = (samples.clone().filter(|s| is_stale(s)).count(), samples.filter(|s| !is_stale(s)).count());
    let left_out = "left out, since OpenMetrics cannot carry them";
    let expected = format!("{others} samples\n{left_out}: {stale} stale markers, 2 native histograms\n");
    assert!(code == 0 && text.ends_with(&expected), "{text}");
    let (code, text) =
        export(&archive, start, start + day, Path::new("-"), &["--format", "openmetrics", "--match", "{a=\"b\"}"]);
    let expected = format!("# EOF\n0 samples\n{left_out}: 1 samples of series without a name\n");
    assert_eq!((code, text), (0, expected));
    let (code, on_terminal) = export(&archive, start, start + 3 * day, Path::new("-"), &["--format", "openmetrics"]);
    assert!(code == 0 && on_terminal.starts_with(&std::fs::read_to_string(&file).unwrap()));
    // Who reads has gone, as `head` goes.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let config = archive.dir.path().join("bridge.yml");
    let arguments = ["--from", &time(start), "--to", &time(start + day), "--format", "openmetrics", "--output", "-"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_lynceus-bridge"));
    command.arg("export").arg("--config.file").arg(config).args(arguments);
    let output = command.stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));

    let blocks = archive.dir.path().join("blocks");
    let (file, folder) = (file.to_str().unwrap(), blocks.to_str().unwrap());
    promtool(&tool("promtool").unwrap(), &["tsdb", "create-blocks-from", "openmetrics", file, folder]);
    let other = Archive::start().await;
    let (code, text) = import(&other, &blocks, &[]);
    assert!(code == 0, "{text}");
    other.settle().await;
    let mut expected = written;
    for series in &mut expected {
        series.samples.retain(|sample| !is_stale(sample));
        // Text has one NaN.
        let one_nan = |value: u64| if f64::from_bits(value).is_nan() { 0x7ff8_0000_0000_0001 } else { value };
        series.samples.iter_mut().for_each(|(_, value)| *value = one_nan(*value));
    }
    expected.sort_by(|a, b| a.labels.cmp(&b.labels));
    let found = other.read(start, start + 3 * day, &[(2, "__name__", ".+")]).await;
    assert!(found == expected, "{} series, not {}", found.len(), expected.len());
}

// The command is waited for on a thread.
#[tokio::test(flavor = "multi_thread")]
async fn another_receiver_gets_all_by_remote_write() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start().await;
    let start = now() - 7_200_000;
    let mut both = series(&[("__name__", "both")], &[(start + 60_000, 3.)]);
    both.histograms = vec![whole(start)];
    let written = [bits(start), both, with_histograms("floats", vec![floats(start)])];
    archive.store(&written).await;
    let of = async |archive: &Archive| archive.read(start, start + 100_000, &[(2, "__name__", ".+")]).await;
    let expected = of(&archive).await;
    assert_eq!(expected.len(), 3);
    for version in ["1.0", "2.0"] {
        let other = Archive::start().await;
        let url = format!("{}/api/v1/write", other.url);
        let more = ["--format", "remote-write", "--remote-write-version", version];
        let (code, text) = export(&archive, start, start + 100_000, Path::new(&url), &more);
        assert!(code == 0 && text.ends_with("12 samples sent\n"), "{text}");
        other.settle().await;
        assert_eq!(of(&other).await, expected, "{version}");
    }

    // One that is busy, and then does not want it; one that is none.
    let url =
        serve(&["503 Service Unavailable\r\nretry-after: 0", "429 Too Many Requests\r\nretry-after: 0", "400 Bad"])
            .await;
    let (code, text) = export(&archive, start, start + 100_000, Path::new(&url), &["--format", "remote-write"]);
    let expected = "12 samples sent\n1 requests were not taken as a whole; of the first one it was said: so it is\n";
    assert!(code == 1 && text.ends_with(expected), "{code}: {text}");
    let url = serve(&["404 Not Found"]).await;
    let (code, text) = export(&archive, start, start + 100_000, Path::new(&url), &["--format", "remote-write"]);
    assert!(code == 1 && text.ends_with(&format!("{url} answered 404 Not Found: so it is\n")), "{code}: {text}");
}

/// Answers requests with these heads, one after the other.
async fn serve(heads: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/write", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for head in heads {
            let (mut stream, _) = listener.accept().await.unwrap();
            // A request is one packet on loopback.
            drop(stream.read(&mut [0; 65_536]).await);
            let answer = format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: 8\r\n\r\nso it is");
            drop(stream.write_all(answer.as_bytes()).await);
        }
    });
    url
}

#[tokio::test]
async fn what_cannot_be_imported_is_said_with_its_place() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start_with("retention:\n  samples: 10d\n").await;
    let day = 86_400_000;
    let start = now() / day * day - 5 * day;
    archive.store(&[series(&[("__name__", "up")], &[(start, 1.), (start + day, 2.), (start + day + 1, 3.)])]).await;
    let dir = archive.dir.path().join("blocks");
    // As a Prometheus asks for its own replica.
    let selector = "{__name__=\"up\", prometheus_replica=\"a\"}";
    let (code, text) = export(&archive, start, start + 3 * day, &dir, &["--match", selector]);
    assert!(code == 0 && text.contains("\n3 samples in 2 blocks\n"), "{text}");
    let block_of = |first: i64| {
        let line = text.lines().find(|line| line.contains(&format!("  {} to ", time(first)))).unwrap();
        dir.join(&line[..26])
    };
    let segment = block_of(start + day).join("chunks/000001");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[12] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let (code, text) = import(&archive, &dir, &[]);
    let place = format!("{}: at byte ", segment.display());
    assert!(code == 1 && text.contains(&place) && text.contains(": expected the checksum "), "{code}: {text}");
    let advice = format!("1 samples were sent; to go on: the same command with --from {}\n", time(start + day));
    assert!(text.ends_with(&advice), "{text}");
    // What comes before it, and another block alone.
    let before = time(start + day);
    let (code, text) = import(&archive, &dir, &["--to", &before]);
    assert!(code == 0 && text.ends_with("1 samples of 1 blocks sent\n"), "{code}: {text}");
    let (code, text) = import(&archive, &block_of(start), &[]);
    assert!(code == 0 && text.ends_with("1 samples of 1 blocks sent\n"), "{code}: {text}");

    let other = Archive::start_with("retention:\n  samples: 2d\n").await;
    let (code, text) = import(&other, &block_of(start), &[]);
    assert!(
        code == 1
            && text.contains(
                "1 requests were not taken as a whole; of the first one the bridge says: stored 0 of 1 samples"
            ),
        "{text}"
    );
    let (code, text) = import(&archive, archive.dir.path(), &[]);
    assert!(code == 2 && text.ends_with(": expected a block or a folder with blocks, found none\n"), "{code}: {text}");
    let (code, text) = import(&archive, &dir, &["--match", "rate(up[5m])"]);
    assert!(code == 2 && text.contains("'--match <SELECTOR>': expected a selector, like {job=\"node\"}"), "{text}");
    let (code, text) = export(&archive, start, start, &dir, &[]);
    assert!(code == 2 && text.starts_with("--from: expected a time before --to, "), "{code}: {text}");
}
