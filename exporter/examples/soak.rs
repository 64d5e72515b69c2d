//! Runs an exporter on a fleet whose VMs come and go, and prints what it takes over time: `soak EXPORTER VMS MINUTES`.
//!
//! Memory that grows and sessions that pile up are what this shows; it judges nothing, and no test runs it.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use lynceus_demo::{Process, eventually, free_port};
use lynceus_fleet::lab::Plan;
use lynceus_fleet::model::Size;
use lynceus_fleet::scenario::Scenario;
use lynceus_fleet::{Fleet, Options};

const CHURN: &str = "name: churn\nevents:\n- { at: 0s, kind: vm_churn, target: all, rate: 1%/m }\n";

const EVERY: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let mut arg = |name: &str| args.next().with_context(|| format!("expected {name}: soak EXPORTER VMS MINUTES"));
    let (binary, vms, minutes) = (arg("EXPORTER")?, arg("VMS")?.parse()?, arg("MINUTES")?.parse::<u64>()?);
    let dir = tempfile::tempdir()?;
    let plan = Plan::starting_now(Size::of(vms), 1.0);
    let options = Options { tls_dir: Some(dir.path().to_owned()), ..Options::on_free_ports(plan) };
    let fleet = Fleet::start(options).await?;
    let port = free_port();
    let config = format!(
        "vcenters:\n- name: fleet\n  url: {}\n  username: u\n  password_file: password\n  tls: {{ ca_file: ca.pem }}\n",
        fleet.addresses.vcenter.url
    );
    std::fs::write(dir.path().join("password"), "p")?;
    std::fs::write(dir.path().join("exporter.yml"), config)?;
    let mut command = std::process::Command::new(std::fs::canonicalize(binary)?);
    command.arg("--config.file=exporter.yml").arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let mut process = Process::start("exporter", command, dir.path())?;
    let url = format!("http://127.0.0.1:{port}");
    process.wait_for_http(&format!("{url}/-/ready"), Duration::from_secs(30)).await?;
    fleet.lab.start(Scenario::parse(CHURN, Path::new("churn"))?)?;

    println!("{:>7} {:>8} {:>8} {:>7} {:>9} {:>8}", "seconds", "RSS MB", "peak MB", "series", "sessions", "books MB");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(minutes * 60) {
        tokio::time::sleep(EVERY).await;
        let own = eventually(EVERY, "its metrics", || async {
            Ok(reqwest::get(format!("{url}/metrics")).await?.text().await?)
        });
        let own = own.await?;
        let series = own.lines().find(|line| line.starts_with("lynceus_exporter_page_series{"));
        let series = series.and_then(|line| line.rsplit_once(' ')).map_or("-", |(_, series)| series);
        let (now, peak) = memory(process.pid())?;
        let books = std::fs::metadata(dir.path().join("data/fleet.state")).map_or(0, |file| file.len());
        let (seconds, sessions, books) = (start.elapsed().as_secs(), fleet.sessions(), books >> 20);
        println!("{seconds:>7} {now:>8} {peak:>8} {series:>7} {sessions:>9} {books:>8}");
    }
    let status = process.terminate(Duration::from_secs(30)).await?;
    println!("{status}, {} sessions left", fleet.sessions());
    fleet.stop().await;
    Ok(())
}

/// Memory that a process has now and had at most, in MB.
fn memory(pid: u32) -> anyhow::Result<(u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let of = |key: &str| -> anyhow::Result<u64> {
        let line = status.lines().find(|line| line.starts_with(key)).with_context(|| format!("no `{key}`"))?;
        Ok(line.split_whitespace().nth(1).context("no number")?.parse::<u64>()? >> 10)
    };
    Ok((of("VmRSS:")?, of("VmHWM:")?))
}
