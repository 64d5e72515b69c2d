//! Queries over the archive: two years of a counter and a gauge of 1,500 machines from roll-ups, and a week of them with
//! roll-ups, without, and through Debian's Prometheus on remote read.
//!
//! The week has a sample every 30 s, and its roll-ups are made by the bridge; the two years before are roll-ups that SQL
//! makes, as 1,500 machines would have them. What a counter grows by is known, so each rate is checked.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use lynceus_demo::{Process, eventually, free_port, parts, repository};
use serde::Serialize;
use serde_json::Value;

use crate::text::median;
use crate::usage::peak_memory;

const LIMIT: Duration = Duration::from_secs(1200);
const MACHINES: i64 = 1500;
const DAY: i64 = 86_400;
const ROUNDS: usize = 5;
/// What the counter of a machine grows by in a second.
const SLOPE: f64 = 1000.;

/// What is asked for two years with a step of 12 h.
const TWO_YEARS: [&str; 4] = [
    "avg by (team) (rate(machine_bytes_total[12h]))",
    "max_over_time(machine_load[12h])",
    "topk(5, avg_over_time(machine_load[12h]))",
    "sum by (team) (machine_load)",
];
/// For a week with a step of an hour.
const WEEK: [&str; 3] = [
    "avg by (team) (rate(machine_bytes_total[1h]))",
    "max_over_time(machine_load[1h])",
    "sum by (team) (machine_load)",
];
/// Which no roll-up answers, for six hours with a step of a minute.
const HOURS: [&str; 2] =
    ["topk(10, quantile_over_time(0.9, machine_load[5m]))", "sum by (team) (rate(machine_bytes_total[5m]))"];

#[derive(Clone, Copy, PartialEq, Serialize)]
pub(crate) enum Way {
    TwoYears,
    Week,
    WeekOfSamples,
    WeekByRemoteRead,
    SixHours,
    SixHoursByRemoteRead,
}

impl Way {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TwoYears => "two years",
            Self::Week => "a week",
            Self::WeekOfSamples => "a week without roll-ups",
            Self::WeekByRemoteRead => "a week by remote read",
            Self::SixHours => "6 h",
            Self::SixHoursByRemoteRead => "6 h by remote read",
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Archived {
    pub(crate) query: String,
    pub(crate) way: Way,
    pub(crate) seconds: f64,
    /// With nothing of the disk in memory, and a new engine.
    pub(crate) cold: Option<f64>,
    /// The most that bridge (or Prometheus) and engine have had together, in MB.
    pub(crate) memory: f64,
    pub(crate) numbers: usize,
}

struct Stack {
    dir: tempfile::TempDir,
    http: reqwest::Client,
    engine: Option<Process>,
    engine_port: u16,
    bridge: Option<Process>,
    bridge_port: u16,
}

#[expect(clippy::print_stderr, reason = "shows progress")]
pub(crate) async fn all() -> anyhow::Result<Vec<Archived>> {
    let mut stack = Stack::start().await?;
    let end = jiff::Timestamp::now().as_second() / (DAY / 2) * (DAY / 2);
    stack.fill(end).await?;
    let mut all = Vec::new();
    let years = (end - 728 * DAY, end, DAY / 2);
    for query in TWO_YEARS {
        stack.restart(true).await?;
        let (cold, numbers) = stack.ask(stack.bridge_port, query, years, "").await?;
        let mut warm = Vec::new();
        for _ in 0..ROUNDS {
            warm.push(stack.ask(stack.bridge_port, query, years, "").await?.0);
        }
        let seconds = median(warm).context("no round")?;
        let (memory, way) = (stack.memory()?, Way::TwoYears);
        eprintln!("{}: {query}: {seconds:.2} s, cold {cold:.2} s, {memory:.0} MB", way.name());
        all.push(Archived { query: query.into(), way, seconds, cold: Some(cold), memory, numbers });
    }
    let week = (end - 6 * DAY, end, 3600);
    let hours = (end - DAY / 4, end, 60);
    let prometheus_port = free_port();
    let config = format!("remote_read: [{{ url: 'http://127.0.0.1:{}/api/v1/read' }}]\n", stack.bridge_port);
    for (way, queries, range, more) in [
        (Way::Week, &WEEK[..], week, ""),
        (Way::WeekOfSamples, &WEEK[..], week, "&rollups=false"),
        (Way::WeekByRemoteRead, &WEEK[..], week, ""),
        (Way::SixHours, &HOURS[..], hours, ""),
        (Way::SixHoursByRemoteRead, &HOURS[..], hours, ""),
    ] {
        let is_remote = matches!(way, Way::WeekByRemoteRead | Way::SixHoursByRemoteRead);
        for query in queries {
            stack.restart(false).await?;
            let dir = stack.dir.path().join(format!("prometheus-{}", all.len()));
            let prometheus = match is_remote {
                true => Some(
                    parts::prometheus(&dir, &config, prometheus_port, &["--storage.remote.read-sample-limit=0"])
                        .await?,
                ),
                false => None,
            };
            let port = if is_remote { prometheus_port } else { stack.bridge_port };
            let (mut warm, mut numbers) = (Vec::new(), 0);
            for _ in 0..3 {
                let (seconds, found) = stack.ask(port, query, range, more).await?;
                warm.push(seconds);
                numbers = found;
            }
            let of_prometheus = prometheus.as_ref().map_or(Ok(0.), |process| peak_memory(process.pid()))?;
            let seconds = median(warm).context("no round")?;
            let memory = stack.memory()? + of_prometheus;
            eprintln!("{}: {query}: {seconds:.2} s, {memory:.0} MB", way.name());
            all.push(Archived { query: (*query).into(), way, seconds, cold: None, memory, numbers });
        }
    }
    Ok(all)
}

impl Stack {
    async fn start() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let (engine_port, bridge_port) = (free_port(), free_port());
        let config =
            format!("clickhouse: {{ url: http://127.0.0.1:{engine_port} }}\nread: {{ max_samples: 100000000 }}\n");
        std::fs::write(dir.path().join("bridge.yml"), config)?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        let mut stack = Self { dir, http, engine: None, engine_port, bridge: None, bridge_port };
        stack.start_engine().await?;
        let made = stack.command().args(["schema", "apply", "--config.file=bridge.yml"]).output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Ok(stack)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(repository().join("target/release/lynceus-bridge"));
        command.current_dir(self.dir.path());
        command
    }

    async fn start_engine(&mut self) -> anyhow::Result<()> {
        self.engine = Some(parts::clickhouse(&self.dir.path().join("engine"), self.engine_port).await?);
        Ok(())
    }

    async fn start_bridge(&mut self) -> anyhow::Result<()> {
        let mut command = self.command();
        command.args(["--config.file=bridge.yml", "--storage.path=data"]);
        command.arg(format!("--web.listen-address=127.0.0.1:{}", self.bridge_port));
        let mut bridge = Process::start("bridge", command, self.dir.path())?;
        bridge.wait_for_http(&format!("http://127.0.0.1:{}/-/ready", self.bridge_port), LIMIT).await?;
        self.bridge = Some(bridge);
        eventually(LIMIT, "the engine", || async { self.metric("clickhouse_up", |up| up == 1.).await }).await
    }

    /// New processes, so that the most memory is that of what follows.
    async fn restart(&mut self, cold: bool) -> anyhow::Result<()> {
        for mut process in self.bridge.take().into_iter().chain(self.engine.take()) {
            process.terminate(LIMIT).await?;
        }
        if cold {
            // Needs root; where it fails the disk's pages stay, and cold means a new engine only.
            drop(std::fs::write("/proc/sys/vm/drop_caches", "3"));
        }
        self.start_engine().await?;
        self.start_bridge().await
    }

    fn memory(&self) -> anyhow::Result<f64> {
        let ids = self.bridge.iter().chain(&self.engine).map(Process::pid);
        ids.map(peak_memory).sum()
    }

    async fn metric(&self, name: &str, is: impl Fn(f64) -> bool) -> anyhow::Result<()> {
        let url = format!("http://127.0.0.1:{}/metrics", self.bridge_port);
        let page = self.http.get(url).send().await?.text().await?;
        let found = crate::text::sum(&page, &format!("lynceus_bridge_{name}")).context("no such metric")?;
        ensure!(is(found), "{name} is {found}");
        Ok(())
    }

    async fn sql(&self, sql: &str) -> anyhow::Result<String> {
        let url = format!("http://127.0.0.1:{}/?database=lynceus", self.engine_port);
        let answer = self.http.post(url).body(sql.to_owned()).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{sql}: {text}");
        Ok(text.trim_end().to_owned())
    }

    /// Series, samples of the last week, roll-ups of the time before.
    #[expect(clippy::print_stderr, reason = "shows progress")]
    async fn fill(&mut self, end: i64) -> anyhow::Result<()> {
        let week = end - 7 * DAY;
        let ids = "cityHash64(vm) AS vm_key, toUInt128(cityHash64(vm, metric)) AS series_id";
        let series = format!(
            "SELECT number AS vm, arrayJoin(['machine_bytes_total', 'machine_load']) AS metric, {ids} FROM numbers({MACHINES})"
        );
        eprintln!("two years of roll-ups");
        self.sql(&format!(
            "INSERT INTO series SELECT toStartOfMonth(today() - toIntervalMonth(arrayJoin(range(26)))), series_id, vm_key, \
             metric, map('team', concat('team-', toString(vm % 20)), 'vm', concat('vm-', toString(vm))) FROM ({series})"
        ))
        .await?;
        for month in 0..25 {
            let (from, until) = (week - (month + 1) * 30 * DAY, week - month * 30 * DAY);
            let length = 6 * 3600;
            self.sql(&format!(
                "INSERT INTO rollup_6h SELECT metric, toDateTime(end, 'UTC'), vm_key, series_id, {count}, \
                 {count} * (low + high) / 2, low, high, low, fromUnixTimestamp64Milli((end - {length}) * 1000 + 15000, 'UTC'), \
                 high, fromUnixTimestamp64Milli(end * 1000 - 15000, 'UTC'), 0, false, now64(3, 'UTC') FROM \
                 (SELECT metric, vm_key, series_id, end, \
                 if(metric = 'machine_load', vm % 50 + rand(end + vm) % 1000 / 100, (end - {length} + 15) * {SLOPE}) AS low, \
                 if(metric = 'machine_load', low + rand(vm) % 3000 / 100, (end - 15) * {SLOPE}) AS high \
                 FROM (SELECT *, toInt64({from} + {length} * (1 + arrayJoin(range({buckets})))) AS end FROM ({series})))",
                count = length / 30,
                buckets = (until - from) / length,
            ))
            .await?;
        }
        eprintln!("a week of samples");
        for day in 0..7 {
            let from = week + day * DAY;
            self.sql(&format!(
                "INSERT INTO samples SELECT vm_key, series_id, fromUnixTimestamp64Milli(time * 1000, 'UTC'), \
                 if(metric = 'machine_load', vm % 50 + sin(time / 4000 + vm) * 20, time * {SLOPE}) FROM \
                 (SELECT *, toInt64({from} + 15 + 30 * arrayJoin(range({ticks}))) AS time FROM ({series}))",
                ticks = DAY / 30
            ))
            .await?;
        }
        for table in ["series", "samples", "rollup_6h"] {
            self.sql(&format!("OPTIMIZE TABLE {table} FINAL")).await?;
        }
        eprintln!("roll-ups of the week");
        self.start_bridge().await?;
        eventually(LIMIT, "roll-ups", || async {
            let found = self
                .sql(&format!("SELECT uniq(bucket) FROM rollup_6h WHERE bucket > toDateTime({week}, 'UTC')"))
                .await?;
            ensure!(found == "28", "{found} of 28");
            self.metric("rollups_pending", |pending| pending <= 1.).await
        })
        .await
    }

    /// Seconds until all of the answer is there, and how many numbers it has.
    async fn ask(
        &self,
        port: u16,
        query: &str,
        (start, end, step): (i64, i64, i64),
        more: &str,
    ) -> anyhow::Result<(f64, usize)> {
        let url = format!("http://127.0.0.1:{port}/api/v1/query_range?start={start}&end={end}&step={step}{more}");
        let began = Instant::now();
        let bytes = self.http.post(url).form(&[("query", query)]).send().await?.bytes().await?;
        let seconds = began.elapsed().as_secs_f64();
        let body: Value = serde_json::from_slice(&bytes)?;
        ensure!(body["status"] == "success", "{query}: {body}");
        let mut numbers = 0;
        for one in body["data"]["result"].as_array().context("no result")? {
            for pair in one["values"].as_array().context("no values")? {
                numbers += 1;
                let value: f64 = pair[1].as_str().context("no number")?.parse()?;
                ensure!(
                    !query.starts_with("avg by (team) (rate(") || (value / SLOPE - 1.).abs() < 1e-9,
                    "{query}: {value} at {}",
                    pair[0]
                );
            }
        }
        Ok((seconds, numbers))
    }
}
