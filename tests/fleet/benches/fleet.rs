//! How fast and how small the simulator is: `cargo bench -p lynceus-fleet`.
//!
//! It must never be the bottleneck of what is measured with it. VMware's own simulator runs beside it, asked the same.
//! Prints a table, writes it to target/bench/fleet.json, and ends with 0 only when all goals held.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::Context;
use lynceus_demo::{Process, eventually, parts, repository};
use lynceus_service::tls::ClientTls;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(120);
const ROUNDS: usize = 7;
const COUNTERS: usize = 20;

/// A number, with the goal that it has to reach and that of vcsim, where there is one.
struct Row {
    what: &'static str,
    unit: &'static str,
    ours: f64,
    goal: Option<f64>,
    vcsim: Option<f64>,
}

#[tokio::main]
#[expect(clippy::print_stderr, clippy::print_stdout, reason = "speaks to the person at the terminal")]
async fn main() -> ExitCode {
    match run().await {
        Ok(rows) => {
            println!("{:<52} {:>10} {:>10} {:>10} {:>8}", "", "fleet", "goal", "vcsim", "ratio");
            for row in &rows {
                let number =
                    |number: Option<f64>| number.map_or("-".to_owned(), |number| format!("{number:.1} {}", row.unit));
                let ratio = row.vcsim.map_or("-".to_owned(), |vcsim| format!("{:.2}", row.ours / vcsim));
                println!(
                    "{:<52} {:>10} {:>10} {:>10} {ratio:>8}",
                    row.what,
                    number(Some(row.ours)),
                    number(row.goal),
                    number(row.vcsim)
                );
            }
            let goals = rows.iter().filter(|row| row.goal.is_some()).count();
            let held = rows.iter().filter(|row| row.goal.is_some_and(|goal| row.ours <= goal)).count();
            println!("bench-fleet: {held} of {goals} goals held");
            if held == goals { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("bench-fleet: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "shows progress")]
async fn run() -> anyhow::Result<Vec<Row>> {
    let dir = tempfile::tempdir()?;
    eprintln!("5,000 VMs in one process ...");
    let (ready, mut large) = fleet(dir.path(), "large", 5_000, 1.0).await?;
    let session = Session::open(&large.url, &large.sha256).await?;
    let inventory = median(ROUNDS, || session.inventory()).await?;
    let resident = memory(large.process.pid())?;
    large.process.kill().await;

    eprintln!("an hour of churn at 5,000 VMs, in a minute ...");
    let (_, mut busy) = fleet(dir.path(), "busy", 5_000, 60.0).await?;
    let growth = churn(&busy).await?;
    busy.process.kill().await;

    eprintln!("realtime queries of 1,500 VMs ...");
    let (_, mut fleet) = fleet(dir.path(), "query", 1_500, 1.0).await?;
    let session = Session::open(&fleet.url, &fleet.sha256).await?;
    let request = session.perf_request(1_500).await?;
    let query = median(ROUNDS, || session.send(&request)).await?;
    fleet.process.kill().await;

    eprintln!("the same of vcsim ...");
    let size = parts::VcsimOptions {
        vms: 1_500,
        clusters: 5,
        hosts: 10,
        user: USER.to_owned(),
        password: PASSWORD.to_owned(),
        ..parts::VcsimOptions::default()
    };
    let started = Instant::now();
    let mut vcsim = parts::vcsim(&dir.path().join("vcsim"), &size).await?;
    let vcsim_ready = started.elapsed().as_secs_f64();
    let session = Session::open(&vcsim.url, &vcsim.sha256).await?;
    let request = session.perf_request(1_500).await?;
    let vcsim_query = median(ROUNDS, || session.send(&request)).await?;
    vcsim.process.kill().await;

    let row = |what, unit, ours, goal, vcsim| Row { what, unit, ours, goal, vcsim };
    let rows = vec![
        row("5,000 VMs ready (vcsim: 1,500)", "s", ready, Some(5.0), Some(vcsim_ready)),
        row("5,000 VMs resident", "MB", resident, Some(400.0), None),
        row("growth over an hour, 5,000 VMs, 1 % churn a minute", "MB", growth, Some(40.0), None),
        row("names and hosts of 5,000 VMs", "ms", inventory * 1000.0, None, None),
        row(
            "QueryPerf, 1,500 VMs x 20 counters, one sample",
            "ms",
            query * 1000.0,
            Some(150.0),
            Some(vcsim_query * 1000.0),
        ),
    ];
    let table: Vec<Value> = rows
        .iter()
        .map(|row| json!({ "what": row.what, "unit": row.unit, "fleet": row.ours, "goal": row.goal, "vcsim": row.vcsim }))
        .collect();
    let folder = repository().join("target/bench");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("fleet.json"), serde_json::to_string_pretty(&table)?)?;
    Ok(rows)
}

const USER: &str = "lynceus";
const PASSWORD: &str = "fleet-password";

struct Running {
    process: Process,
    url: String,
    sha256: String,
    control: String,
}

/// Starts the binary; the time until it is ready comes first.
async fn fleet(dir: &Path, name: &str, vms: u32, factor: f64) -> anyhow::Result<(f64, Running)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lynceus-fleet"));
    command.args(["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--user", USER, "--password", PASSWORD]);
    command.args(["--vms", &vms.to_string(), "--time-factor", &factor.to_string()]);
    let started = Instant::now();
    let process = Process::start("lynceus-fleet", command, &dir.join(name))?;
    let ready: Value = eventually(LIMIT, "the fleet's ready line", || async {
        let log = process.log();
        let line = log.lines().find(|line| line.starts_with('{')).context("no ready line")?;
        Ok(serde_json::from_str(line)?)
    })
    .await?;
    let elapsed = started.elapsed().as_secs_f64();
    let text = |key: &str| ready[key].as_str().unwrap_or_default().to_owned();
    Ok((elapsed, Running { url: text("url"), sha256: text("sha256"), control: text("control"), process }))
}

/// Resident memory in MB.
fn memory(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kilobytes: f64 = line.split_whitespace().nth(1).context("no number in VmRSS")?.parse()?;
    Ok(kilobytes / 1024.0)
}

/// MB by which the fleet has grown after an hour of simulated churn, while a client looks at it all the time.
async fn churn(fleet: &Running) -> anyhow::Result<f64> {
    let events = "name: churn\nevents:\n- {at: 0s, kind: vm_churn, target: all, rate: 1%/m, for: 2h}\n";
    let url = format!("{}/scenario", fleet.control);
    reqwest::Client::new().post(url).body(events).send().await?.error_for_status()?;
    let session = Session::open(&fleet.url, &fleet.sha256).await?;
    for _ in 0..5 {
        session.inventory().await?;
    }
    let (before, started) = (memory(fleet.process.pid())?, Instant::now());
    while started.elapsed() < Duration::from_secs(60) {
        session.inventory().await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok((memory(fleet.process.pid())? - before).max(0.0))
}

/// The median of some rounds in seconds, after one to warm up.
async fn median<F: Future<Output = anyhow::Result<String>>>(
    rounds: usize,
    mut call: impl FnMut() -> F,
) -> anyhow::Result<f64> {
    call().await?;
    let mut times = Vec::new();
    for _ in 0..rounds {
        let started = Instant::now();
        call().await?;
        times.push(started.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    times.get(rounds / 2).copied().context("no rounds")
}

struct Session {
    http: reqwest::Client,
    url: String,
    cookie: String,
}

impl Session {
    async fn open(url: &str, sha256: &str) -> anyhow::Result<Self> {
        let byte = |at: usize| u8::from_str_radix(sha256.get(at..at + 2).unwrap_or_default(), 16);
        let pin = (0..64).step_by(2).map(byte).collect::<Result<Vec<_>, _>>()?;
        let pin = pin.try_into().map_err(|_| anyhow::anyhow!("expected 32 bytes in `{sha256}`"))?;
        let tls = ClientTls::Pinned(vec![pin]).rustls()?;
        let http = reqwest::Client::builder().tls_backend_preconfigured(tls).no_gzip().build()?;
        let mut session = Self { http, url: url.to_owned(), cookie: String::new() };
        let login = format!(
            r#"<Login xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this><userName>{USER}</userName><password>{PASSWORD}</password></Login>"#
        );
        let response = session.post(&login).await?;
        let cookie = response.headers().get("set-cookie").context("no cookie")?.to_str()?;
        session.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(session)
    }

    async fn post(&self, method: &str) -> anyhow::Result<reqwest::Response> {
        let body = format!(
            r#"<?xml version="1.0"?><Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><Body>{method}</Body></Envelope>"#
        );
        Ok(self.http.post(&self.url).header("cookie", &self.cookie).body(body).send().await?.error_for_status()?)
    }

    async fn send(&self, method: &str) -> anyhow::Result<String> {
        Ok(self.post(method).await?.text().await?)
    }

    /// Names and hosts of all VMs.
    async fn inventory(&self) -> anyhow::Result<String> {
        let view = self.send(r#"<CreateContainerView xmlns="urn:vim25"><_this type="ViewManager">ViewManager</_this><container type="Folder">group-d1</container><type>VirtualMachine</type><recursive>true</recursive></CreateContainerView>"#).await?;
        let id =
            between(&view, "<returnval", "</returnval>").and_then(|rest| rest.split('>').nth(1)).context("no view")?;
        let answer = self.send(&format!(r#"<RetrievePropertiesEx xmlns="urn:vim25"><_this type="PropertyCollector">propertyCollector</_this><specSet><propSet><type>VirtualMachine</type><pathSet>name</pathSet><pathSet>runtime.host</pathSet></propSet><objectSet><obj type="ContainerView">{id}</obj><skip>true</skip><selectSet xsi:type="TraversalSpec"><type>ContainerView</type><path>view</path></selectSet></objectSet></specSet><options/></RetrievePropertiesEx>"#)).await?;
        self.send(&format!(r#"<DestroyView xmlns="urn:vim25"><_this type="ContainerView">{id}</_this></DestroyView>"#))
            .await?;
        Ok(answer)
    }

    /// Counters that a VM has as a whole.
    async fn counters(&self, id: &str) -> anyhow::Result<Vec<String>> {
        let answer = self
            .send(&format!(
                r#"<QueryAvailablePerfMetric xmlns="urn:vim25"><_this type="PerformanceManager">PerfMgr</_this><entity type="VirtualMachine">{id}</entity><intervalId>20</intervalId></QueryAvailablePerfMetric>"#
            ))
            .await?;
        let metrics = answer.split("<counterId>").skip(1);
        let whole = metrics
            .filter(|rest| rest.split("</instance>").next().is_some_and(|metric| metric.ends_with("<instance>")));
        Ok(whole.filter_map(|rest| rest.split('<').next()).map(str::to_owned).collect())
    }

    /// A query of one realtime sample of the first counters that a VM has, for so many VMs.
    async fn perf_request(&self, vms: usize) -> anyhow::Result<String> {
        let inventory = self.inventory().await?;
        let ids: Vec<&str> = inventory
            .split(r#"<obj type="VirtualMachine">"#)
            .skip(1)
            .filter_map(|rest| rest.split('<').next())
            .take(vms)
            .collect();
        anyhow::ensure!(ids.len() == vms, "expected {vms} VMs, found {}", ids.len());
        let mut counters = Vec::new();
        // Some are templates or switched off, and have none.
        for id in ids.iter().take(50) {
            counters = self.counters(id).await?;
            if counters.len() >= COUNTERS {
                break;
            }
        }
        counters.truncate(COUNTERS);
        anyhow::ensure!(counters.len() == COUNTERS, "expected {COUNTERS} counters, found {}", counters.len());
        let metrics: String = counters
            .iter()
            .map(|key| format!("<metricId><counterId>{key}</counterId><instance></instance></metricId>"))
            .collect();
        let specs: String = ids
            .iter()
            .map(|id| format!(r#"<querySpec><entity type="VirtualMachine">{id}</entity><maxSample>1</maxSample>{metrics}<intervalId>20</intervalId></querySpec>"#))
            .collect();
        Ok(format!(
            r#"<QueryPerf xmlns="urn:vim25"><_this type="PerformanceManager">PerfMgr</_this>{specs}</QueryPerf>"#
        ))
    }
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> Option<&'t str> {
    text.split(start).nth(1)?.split(end).next()
}
