//! The exporter: started, and read at the end of each collection.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use lynceus_demo::parts::VcsimOptions;
use lynceus_demo::{Process, binary, eventually, free_port};
use reqwest::header::ACCEPT_ENCODING;

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

pub(crate) const VM_PERFORMANCE: &str = "vm_performance";
pub(crate) const HOST_PERFORMANCE: &str = "host_performance";

pub(crate) struct Lynceus {
    pub(crate) process: Process,
    url: String,
    http: reqwest::Client,
    interval: Duration,
    vcenter: u32,
}

/// How things stood when a collection had ended.
pub(crate) struct Cycle {
    seen: Instant,
    collections: f64,
    /// Unix time of the end of the VMs' part.
    ended: f64,
    /// Seconds by collector.
    durations: BTreeMap<String, f64>,
    calls: BTreeMap<String, f64>,
    bytes: f64,
    series: usize,
    cpu: f64,
    vcenter_cpu: f64,
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
        let http = reqwest::Client::builder().no_proxy().no_gzip().build()?;
        Ok(Self { process, url, http, interval, vcenter })
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
        let (before, ended) = after.map_or((0.0, 0.0), |cycle| (cycle.collections, cycle.ended));
        self.next(before, ended).await.with_context(|| format!("the exporter's log:\n{}", self.process.log()))
    }

    async fn next(&self, collections_before: f64, ended_before: f64) -> anyhow::Result<Cycle> {
        let (own, collections) = eventually(COLLECTION_LIMIT, "the end of a collection", || async {
            let own = self.get("/metrics").await?;
            let name = "lynceus_exporter_collections_total";
            let collections = sum(&own, name).with_context(|| format!("no `{name}` on /metrics"))?;
            anyhow::ensure!(collections > collections_before, "{collections} collections");
            Ok((own, collections))
        })
        .await?;
        let (page, ended) = eventually(COLLECTION_LIMIT, "the page of a collection", || async {
            let page = self.get("/vcenter/vc01/metrics").await?;
            let successes = by_label(&page, "vsphere_collector_last_success_timestamp_seconds", "collector");
            let ended = *successes.get(VM_PERFORMANCE).context("the VMs' performance was not collected")?;
            anyhow::ensure!(ended > ended_before, "the page is that of the collection before");
            Ok((page, ended))
        })
        .await?;
        Ok(Cycle {
            seen: Instant::now(),
            collections,
            ended,
            durations: by_label(&page, "vsphere_collector_duration_seconds", "collector"),
            calls: by_label(&own, "lynceus_exporter_vsphere_requests_total", "method"),
            bytes: sum(&own, "lynceus_exporter_vsphere_response_bytes_total").unwrap_or_default(),
            series: count(&page),
            cpu: usage::cpu(self.process.pid())?,
            vcenter_cpu: usage::cpu(self.vcenter)?,
        })
    }

    /// Until so long after the end of this collection.
    async fn rest_until(&self, cycle: &Cycle, time: Duration) {
        tokio::time::sleep_until((cycle.seen + time).into()).await;
    }

    /// Measures so many collections, with a round of the floor in the quiet between each two, and then how the page is
    /// served.
    pub(crate) async fn measure(
        &self,
        cycles: usize,
        together: bool,
        mut floor: Option<&mut Floor>,
    ) -> anyhow::Result<Measured> {
        let mut seen = vec![self.warm_up().await?];
        for _ in 0..cycles {
            if let (Some(floor), Some(cycle)) = (&mut floor, seen.last()) {
                self.rest_until(cycle, self.interval / 4).await;
                floor.round().await?;
            }
            seen.push(self.cycle(seen.last()).await?);
        }
        let (plain, gzip) = self.scrape().await?;
        let (Some(first), Some(last)) = (seen.first(), seen.last()) else { anyhow::bail!("no collection was seen") };
        let per_cycle = |sum: f64| sum / (last.collections - first.collections);
        let calls = last.calls.iter().map(|(method, calls)| {
            (method.clone(), per_cycle(calls - first.calls.get(method).copied().unwrap_or_default()))
        });
        let of = |seconds: fn(&Cycle, bool) -> f64| median(seen.iter().skip(1).map(|c| seconds(c, together)).collect());
        let periods = seen.windows(2).map(|pair| pair[1].ended - pair[0].ended).collect();
        let vcenter_cpu = last.vcenter_cpu - first.vcenter_cpu - floor.map_or(0.0, |floor| floor.vcenter_cpu());
        Ok(Measured {
            name: "lynceus",
            wall: of(Cycle::whole),
            performance: of(Cycle::performance),
            period: median(periods),
            cpu: Some(per_cycle(last.cpu - first.cpu)),
            vcenter_cpu: Some(per_cycle(vcenter_cpu)),
            memory: Some(usage::peak_memory(self.process.pid())?),
            calls: calls.filter(|(_, calls)| *calls > 0.0).collect(),
            bytes: Some(per_cycle(last.bytes - first.bytes)),
            series: Some(last.series as f64),
            plain: Some(plain),
            gzip: Some(gzip),
            ..Measured::default()
        })
    }

    /// Gets the page many times, spread over an interval so that a collection is under way at some of them.
    async fn scrape(&self) -> anyhow::Result<(Times, Times)> {
        let (mut plain, mut gzip) = (Vec::new(), Vec::new());
        for _ in 0..SCRAPES {
            plain.push(self.scrape_once("identity").await?);
            gzip.push(self.scrape_once("gzip").await?);
            tokio::time::sleep(self.interval / SCRAPES).await;
        }
        Ok((Times::of(plain), Times::of(gzip)))
    }

    /// Milliseconds and bytes.
    async fn scrape_once(&self, encoding: &str) -> anyhow::Result<(f64, usize)> {
        let started = Instant::now();
        let request = self.http.get(format!("{}/vcenter/vc01/metrics", self.url)).header(ACCEPT_ENCODING, encoding);
        let body = request.send().await?.error_for_status()?.bytes().await?;
        Ok((started.elapsed().as_secs_f64() * 1000.0, body.len()))
    }
}

impl Cycle {
    /// All collectors.
    fn whole(&self, together: bool) -> f64 {
        let others =
            self.durations.iter().filter(|(name, _)| ![VM_PERFORMANCE, HOST_PERFORMANCE].contains(&name.as_str()));
        others.map(|(_, seconds)| seconds).sum::<f64>() + self.performance(together)
    }

    /// The two that ask for samples: one after the other, unless both are under way at the same time.
    fn performance(&self, together: bool) -> f64 {
        let seconds = |name: &str| self.durations.get(name).copied().unwrap_or_default();
        let (vms, hosts) = (seconds(VM_PERFORMANCE), seconds(HOST_PERFORMANCE));
        if together { vms.max(hosts) } else { vms + hosts }
    }
}
