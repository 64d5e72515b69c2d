//! Starts the engine and the bridge, and talks to them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use lynceus_demo::{Process, eventually, free_port, parts, tool};
use reqwest::{Client, Response, StatusCode};
use tempfile::TempDir;

use crate::wire::{self, Matcher, Series};

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Held by a test that looks at what happens every second, and by one that keeps a processor busy for minutes.
pub(crate) static PROCESSOR: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Whether the tests can run here; prints that they are skipped where not.
pub(crate) fn has_tools(names: &[&str]) -> bool {
    names.iter().all(|name| tool(name).is_some())
}

pub(crate) fn now() -> i64 {
    i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

pub(crate) fn http() -> Client {
    lynceus_service::tls::install_provider();
    Client::builder().no_proxy().build().unwrap()
}

/// An engine and a bridge in a folder of their own. Both end with it.
pub(crate) struct Archive {
    pub(crate) clickhouse: Option<Process>,
    pub(crate) bridge: Process,
    pub(crate) clickhouse_port: u16,
    pub(crate) url: String,
    pub(crate) http: Client,
    pub(crate) dir: TempDir,
}

impl Archive {
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// With more config: further top-level keys.
    pub(crate) async fn start_with(config: &str) -> Self {
        let mut archive = Self::start_without_engine(config).await;
        archive.start_engine().await;
        archive.wait_for_engine().await;
        archive
    }

    pub(crate) async fn start_without_engine(config: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let clickhouse_port = free_port();
        let port = free_port();
        write_config(dir.path(), clickhouse_port, config);
        let bridge = start_bridge(dir.path(), port).await;
        let url = format!("http://127.0.0.1:{port}");
        Self { clickhouse: None, bridge, clickhouse_port, url, http: http(), dir }
    }

    pub(crate) async fn start_engine(&mut self) {
        let dir = self.dir.path().join("clickhouse");
        self.clickhouse = Some(parts::clickhouse(&dir, self.clickhouse_port).await.unwrap());
    }

    pub(crate) async fn kill_engine(&mut self) {
        self.clickhouse.take().unwrap().kill().await;
    }

    /// Stops the bridge and starts it with another config.
    pub(crate) async fn restart_bridge(&mut self, config: &str) {
        // An error means that it has ended already.
        drop(self.bridge.terminate(LIMIT).await);
        write_config(self.dir.path(), self.clickhouse_port, config);
        let port = self.url.rsplit(':').next().unwrap().parse().unwrap();
        self.bridge = start_bridge(self.dir.path(), port).await;
    }

    /// Whether the bridge can use the engine.
    pub(crate) async fn has_engine(&self) -> bool {
        self.metric("lynceus_bridge_clickhouse_up").await == 1.
    }

    pub(crate) async fn wait_for_engine(&self) {
        eventually(LIMIT, "the engine", || async {
            anyhow::ensure!(self.has_engine().await, "its log:\n{}", self.bridge.log());
            Ok(())
        })
        .await
        .unwrap();
    }

    /// Waits until the engine has all that was acknowledged.
    pub(crate) async fn settle(&self) {
        let now = now() as f64 / 1000.;
        eventually(LIMIT, "all in the engine", || async {
            let caught_up = self.metric("lynceus_bridge_caught_up_timestamp_seconds").await;
            anyhow::ensure!(caught_up > now, "{caught_up}, not {now}; the log:\n{}", self.bridge.log());
            Ok(())
        })
        .await
        .unwrap();
    }

    pub(crate) async fn write(&self, series: &[Series]) -> Response {
        self.post("/api/v1/write", wire::packed(&wire::write_request(series))).await
    }

    /// Writes what must be stored, and waits until it can be read.
    pub(crate) async fn store(&self, series: &[Series]) {
        let response = self.write(series).await;
        let status = response.status();
        assert_eq!((status, response.text().await.unwrap().as_str()), (StatusCode::NO_CONTENT, ""));
        self.settle().await;
    }

    pub(crate) async fn post(&self, path: &str, body: Vec<u8>) -> Response {
        post(&self.http, &format!("{}{path}", self.url), body).await
    }

    pub(crate) async fn read(&self, start: i64, end: i64, matchers: &[Matcher<'_>]) -> Vec<Series> {
        read(&self.http, &self.url, start, end, matchers).await
    }

    /// The same as a stream: numbers only.
    pub(crate) async fn stream(&self, start: i64, end: i64, matchers: &[Matcher<'_>]) -> Vec<Series> {
        let body = wire::packed(&wire::streamed_read_request(start, end, matchers));
        let response = self.post("/api/v1/read", body).await;
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        assert_eq!(kind, "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse");
        let frames = wire::read_frames(&response.bytes().await.unwrap());
        let series = |(labels, chunks): (_, Vec<(u8, Vec<u8>)>)| {
            assert!(chunks.iter().all(|(kind, _)| *kind == 1));
            let samples = chunks.iter().flat_map(|(_, data)| wire::xor_samples(data)).collect();
            Series { labels, samples, histograms: vec![] }
        };
        frames.into_iter().map(series).collect()
    }

    /// Asks ClickHouse itself; the answer is tab separated.
    pub(crate) async fn sql(&self, query: &str) -> String {
        let url = format!("http://127.0.0.1:{}/?database=lynceus", self.clickhouse_port);
        let response = self.http.post(url).body(query.to_owned()).send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{query}: {text}");
        text.trim_end().to_owned()
    }

    /// The value of a metric, with its labels as they stand on the page.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let page = self.http.get(format!("{}/metrics", self.url)).send().await.unwrap().text().await.unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no `{name}` in\n{page}")).parse().unwrap()
    }
}

/// Asks any remote-read endpoint.
pub(crate) async fn read(http: &Client, url: &str, start: i64, end: i64, matchers: &[Matcher<'_>]) -> Vec<Series> {
    let body = wire::packed(&wire::read_request(start, end, matchers));
    let response = post(http, &format!("{url}/api/v1/read"), body).await;
    let status = response.status();
    let bytes = response.bytes().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{matchers:?}: {}", String::from_utf8_lossy(&bytes));
    wire::read_response(&bytes)
}

pub(crate) async fn post(http: &Client, url: &str, body: Vec<u8>) -> Response {
    http.post(url)
        .header("content-type", "application/x-protobuf")
        .header("content-encoding", "snappy")
        .header("x-prometheus-remote-write-version", "0.1.0")
        .body(body)
        .send()
        .await
        .unwrap()
}

pub(crate) fn write_config(dir: &Path, clickhouse_port: u16, more: &str) -> PathBuf {
    let config = if more.contains("clickhouse:") {
        more.replace("{port}", &clickhouse_port.to_string())
    } else {
        format!("clickhouse:\n  url: http://127.0.0.1:{clickhouse_port}\n{more}")
    };
    let file = dir.join("bridge.yml");
    std::fs::write(&file, config).unwrap();
    file
}

async fn start_bridge(dir: &Path, port: u16) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lynceus-bridge"));
    command.arg("--config.file").arg(dir.join("bridge.yml"));
    command.arg("--web.listen-address").arg(format!("127.0.0.1:{port}"));
    command.arg("--storage.path").arg(dir.join("bridge-data"));
    command.args(["--log.level", "debug"]);
    let mut process = Process::start("bridge", command, dir).unwrap();
    process.wait_for_http(&format!("http://127.0.0.1:{port}/-/healthy"), LIMIT).await.unwrap();
    process
}
