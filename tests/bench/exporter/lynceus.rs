//! The exporter: started, and read at the end of each collection.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::body::Bytes;
use lynceus_demo::parts::VcsimOptions;
use lynceus_demo::{Process, binary, eventually, free_port};
use reqwest::header::ACCEPT_ENCODING;
use serde_json::Value;

use crate::floor::Floor;
use crate::report::{Measured, Times};
use crate::text::{by_label, count, median, sum};
use crate::usage;

/// Collections that are let go by: the first ones sign in and read what is there.
pub(crate) const WARM_UP: usize = 2;
const READY_LIMIT: Duration = Duration::from_secs(60);
/// For a collection, beyond its interval.
const COLLECTION_LIMIT: Duration = Duration::from_secs(300);
const SCRAPES: u32 = 20;

/// The collectors that ask for samples in each collection.
const PERFORMANCE: [&str; 2] = ["vm_performance", "host_performance"];

pub(crate) struct Lynceus {
    pub(crate) process: Process,
    url: String,
    /// As Prometheus asks.
    http: reqwest::Client,
    /// Leaves the answers as they are.
    raw: reqwest::Client,
    interval: Duration,
    vcenter: u32,
}

/// How things stood when a collection of VMs and of hosts had ended.
pub(crate) struct Cycle {
    seen: Instant,
    parts: BTreeMap<String, Part>,
    calls: BTreeMap<String, f64>,
    bytes: f64,
    cpu: f64,
    vcenter_cpu: f64,
}

/// The last time that a collector was at work, as Unix time.
#[derive(Clone, Copy)]
struct Part {
    duration: f64,
    ended: f64,
}

impl Lynceus {
    /// On the vCenter at `url` with this certificate, whose simulator is the process `vcenter`.
    pub(crate) async fn start(
        dir: &Path,
        (url, sha256): (&str, &str),
        vcenter: u32,
        interval: Duration,
    ) -> anyhow::Result<Self> {
        let VcsimOptions { user, password, .. } = VcsimOptions::default();
        std::fs::create_dir_all(dir)?;
        std::fs::write(dir.join("password"), password)?;
        let config = format!(
            "vcenters:\n  - name: vc01\n    url: {url}\n    username: {user}\n    password_file: password\n    \
             tls: {{ pinned_sha256: [{sha256}] }}\ncollection: {{ interval: {}s }}\n",
            interval.as_secs()
        );
        let file = dir.join("exporter.yml");
        std::fs::write(&file, config)?;
        let port = free_port();
        let mut command = Command::new(binary("lynceus-exporter")?);
        command.arg("--config.file").arg(file).arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let mut process = Process::start("exporter", command, dir)?;
        let url = format!("http://127.0.0.1:{port}");
        process.wait_for_http(&format!("{url}/-/ready"), READY_LIMIT).await?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        let raw = reqwest::Client::builder().no_proxy().no_gzip().build()?;
        Ok(Self { process, url, http, raw, interval, vcenter })
    }

    async fn get(&self, path: &str) -> anyhow::Result<String> {
        let url = format!("{}{path}", self.url);
        let answer = self.http.get(&url).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        anyhow::ensure!(status.is_success(), "{url} answered {status}: {text}");
        Ok(text)
    }

    /// Waits for the collections that are let go by.
    pub(crate) async fn warm_up(&self) -> anyhow::Result<Cycle> {
        let mut cycle = self.cycle(None).await?;
        for _ in 1..WARM_UP {
            cycle = self.cycle(Some(&cycle)).await?;
        }
        Ok(cycle)
    }

    /// Waits for the end of the collection after this one, or of the first.
    pub(crate) async fn cycle(&self, after: Option<&Cycle>) -> anyhow::Result<Cycle> {
        if let Some(cycle) = after {
            // Asking costs it CPU, so not before the time.
            self.rest_until(cycle, self.interval.saturating_sub(Duration::from_secs(1))).await;
        }
        let cycle = self.after(after).await;
        cycle.with_context(|| format!("the exporter's log:\n{}", self.process.log()))
    }

    async fn after(&self, before: Option<&Cycle>) -> anyhow::Result<Cycle> {
        let parts = eventually(COLLECTION_LIMIT, "the end of a collection", || async {
            let parts = self.parts().await?;
            for collector in PERFORMANCE {
                let now = parts.get(collector).with_context(|| format!("`{collector}` has not succeeded yet"))?;
                let last = before.and_then(|cycle| cycle.parts.get(collector)).map_or(0.0, |part| part.ended);
                anyhow::ensure!(now.ended > last, "`{collector}` has not succeeded again");
            }
            Ok(parts)
        })
        .await?;
        let own = self.get("/metrics").await?;
        Ok(Cycle {
            seen: Instant::now(),
            parts,
            calls: by_label(&own, "lynceus_exporter_vsphere_requests_total", "method"),
            bytes: sum(&own, "lynceus_exporter_vsphere_response_bytes_total").unwrap_or_default(),
            cpu: usage::cpu(self.process.pid())?,
            vcenter_cpu: usage::cpu(self.vcenter)?,
        })
    }

    /// The collectors that have succeeded, from the first page.
    async fn parts(&self) -> anyhow::Result<BTreeMap<String, Part>> {
        let paths = self.pages().await?;
        let page = self.get(paths.first().context("no page")?).await?;
        let durations = by_label(&page, "vsphere_collector_duration_seconds", "collector");
        let ends = by_label(&page, "vsphere_collector_last_success_timestamp_seconds", "collector");
        let part = |(collector, ended)| {
            let duration = *durations.get(&collector)?;
            Some((collector, Part { duration, ended }))
        };
        Ok(ends.into_iter().filter_map(part).collect())
    }

    /// The paths of all pages: a large vCenter has several.
    async fn pages(&self) -> anyhow::Result<Vec<String>> {
        let targets: Vec<Value> = serde_json::from_str(&self.get("/sd/vcenters").await?)?;
        let path = |target: &Value| {
            let labels = &target["labels"];
            let path = labels["__metrics_path__"].as_str()?;
            let shard = labels["__param_shard"].as_str();
            Some(shard.map_or(path.to_owned(), |shard| format!("{path}?shard={shard}")))
        };
        targets.iter().map(|target| path(target).context("a target without a path")).collect()
    }

    /// Until so long after the end of this collection.
    async fn rest_until(&self, cycle: &Cycle, time: Duration) {
        tokio::time::sleep_until((cycle.seen + time).into()).await;
    }

    /// Measures so many collections, with a round of the floor in the quiet between each two, and then how the page is
    /// served.
    pub(crate) async fn measure(&self, cycles: usize, mut floor: Option<&mut Floor>) -> anyhow::Result<Measured> {
        let mut seen = vec![self.warm_up().await?];
        for _ in 0..cycles {
            if let (Some(floor), Some(cycle)) = (&mut floor, seen.last()) {
                self.rest_until(cycle, self.interval / 4).await;
                floor.round().await?;
            }
            seen.push(self.cycle(seen.last()).await?);
        }
        let (Some(first), Some(last)) = (seen.first(), seen.last()) else { anyhow::bail!("no collection was seen") };
        let per_cycle = |sum: f64| sum / cycles as f64;
        let calls = last.calls.iter().map(|(method, calls)| {
            (method.clone(), per_cycle(calls - first.calls.get(method).copied().unwrap_or_default()))
        });
        let pairs = || seen.windows(2).map(|pair| (&pair[0], &pair[1]));
        let vcenter_cpu = last.vcenter_cpu - first.vcenter_cpu - floor.map_or(0.0, |floor| floor.vcenter_cpu());
        let mut measured = Measured {
            name: "lynceus",
            wall: median(pairs().map(|(before, cycle)| cycle.busy(before, |_| true)).collect()),
            performance: median(pairs().map(|(before, cycle)| cycle.busy(before, is_performance)).collect()),
            period: median(pairs().filter_map(|(before, cycle)| cycle.period(before)).collect()),
            cpu: Some(per_cycle(last.cpu - first.cpu)),
            vcenter_cpu: Some(per_cycle(vcenter_cpu)),
            calls: calls.filter(|(_, calls)| *calls > 0.0).collect(),
            bytes: Some(per_cycle(last.bytes - first.bytes)),
            ..Measured::default()
        };
        self.scrape(&mut measured).await?;
        measured.memory = Some(usage::peak_memory(self.process.pid())?);
        Ok(measured)
    }

    /// Gets all pages many times, spread over an interval so that a collection is under way at some of them.
    async fn scrape(&self, measured: &mut Measured) -> anyhow::Result<()> {
        let pages = self.pages().await?;
        let (mut plain, mut gzip, mut series) = (Vec::new(), Vec::new(), 0);
        for _ in 0..SCRAPES {
            series = 0;
            for page in &pages {
                let (time, body) = self.scrape_once(page, "identity").await?;
                series += count(str::from_utf8(&body)?);
                plain.push((time, body.len()));
                let (time, body) = self.scrape_once(page, "gzip").await?;
                gzip.push((time, body.len()));
            }
            tokio::time::sleep(self.interval / SCRAPES).await;
        }
        measured.series = Some(series as f64);
        measured.pages = Some(pages.len() as f64);
        (measured.plain, measured.gzip) = (Some(Times::of(plain)), Some(Times::of(gzip)));
        Ok(())
    }

    /// How many milliseconds it took, and what came.
    async fn scrape_once(&self, page: &str, encoding: &str) -> anyhow::Result<(f64, Bytes)> {
        let started = Instant::now();
        let request = self.raw.get(format!("{}{page}", self.url)).header(ACCEPT_ENCODING, encoding);
        let body = request.send().await?.error_for_status()?.bytes().await?;
        Ok((started.elapsed().as_secs_f64() * 1000.0, body))
    }
}

fn is_performance(collector: &str) -> bool {
    PERFORMANCE.contains(&collector)
}

impl Cycle {
    /// Seconds in which at least one of these collectors was at work since the cycle before. What was not at work again
    /// shows the same duration to the nanosecond.
    fn busy(&self, before: &Self, wanted: impl Fn(&str) -> bool) -> f64 {
        let again = self.parts.iter().filter(|(collector, part)| {
            wanted(collector) && before.parts.get(*collector).is_none_or(|last| last.duration != part.duration)
        });
        let mut times: Vec<_> = again.map(|(_, part)| (part.ended - part.duration, part.ended)).collect();
        times.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut until = f64::MIN;
        times.into_iter().fold(0.0, |busy, (start, end)| {
            let new = (end - start.max(until)).max(0.0);
            until = until.max(end);
            busy + new
        })
    }

    /// Seconds from the end of the VMs' part to that of the one before.
    fn period(&self, before: &Self) -> Option<f64> {
        Some(self.parts.get(PERFORMANCE[0])?.ended - before.parts.get(PERFORMANCE[0])?.ended)
    }
}
