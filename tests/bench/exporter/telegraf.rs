//! telegraf, the fastest peer, where `LYNCEUS_PEERS` has one: asked for the exporter's counters as often as it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use lynceus_demo::parts::{Vcenter, VcsimOptions};
use lynceus_demo::{Process, eventually};

use crate::front::Front;
use crate::report::Measured;
use crate::text::{between, median};
use crate::usage;

/// For all gathers of one process.
const GATHER_LIMIT: Duration = Duration::from_secs(900);
/// The first one waits for the inventory.
const WARM_UP: usize = 1;

/// What it is asked for.
pub(crate) struct Counters {
    pub(crate) vm: Vec<String>,
    pub(crate) host: Vec<String>,
}

struct Telegraf {
    process: Process,
    statistics: std::path::PathBuf,
}

impl Telegraf {
    fn start(dir: &Path, binary: &Path, url: &str, counters: &Counters, interval: Duration) -> anyhow::Result<Self> {
        let VcsimOptions { user, password, .. } = VcsimOptions::default();
        std::fs::create_dir_all(dir)?;
        let statistics = dir.join("statistics");
        let config = format!(
            "[agent]\n  interval = \"{interval}s\"\n  flush_interval = \"1s\"\n  omit_hostname = true\n\
             [[inputs.vsphere]]\n  vcenters = [\"{url}\"]\n  username = \"{user}\"\n  password = \"{password}\"\n  \
             insecure_skip_verify = true\n  collect_concurrency = 5\n  discover_concurrency = 5\n  \
             vm_metric_include = {vm:?}\n  vm_instances = false\n  \
             host_metric_include = {host:?}\n  host_instances = false\n  \
             cluster_metric_exclude = [\"*\"]\n  resource_pool_metric_exclude = [\"*\"]\n  \
             datastore_metric_exclude = [\"*\"]\n  datacenter_metric_exclude = [\"*\"]\n  vsan_metric_exclude = [\"*\"]\n\
             [[inputs.internal]]\n  interval = \"1s\"\n  collect_memstats = false\n\
             [[outputs.discard]]\n  namepass = [\"vsphere*\"]\n\
             [[outputs.file]]\n  files = [\"{statistics}\"]\n  data_format = \"influx\"\n  namepass = [\"internal_gather\"]\n",
            interval = interval.as_secs(),
            vm = counters.vm,
            host = counters.host,
            statistics = statistics.display(),
        );
        let file = dir.join("telegraf.conf");
        std::fs::write(&file, config)?;
        let mut command = Command::new(binary);
        command.arg("--config").arg(file);
        Ok(Self { process: Process::start("telegraf", command, dir)?, statistics })
    }

    /// How long each of its gathers that brought something took, in seconds, as soon as there are so many. Some bring
    /// nothing: it thinks that the newest sample is not due yet.
    async fn gathers(&self, number: usize) -> anyhow::Result<Vec<f64>> {
        eventually(GATHER_LIMIT, "telegraf", || async {
            let text = std::fs::read_to_string(&self.statistics).unwrap_or_default();
            let seconds = fruitful(&text);
            anyhow::ensure!(seconds.len() >= number, "{} gathers", seconds.len());
            Ok(seconds)
        })
        .await
        .with_context(|| format!("telegraf's log:\n{}", self.process.log()))
    }
}

fn fruitful(statistics: &str) -> Vec<f64> {
    let lines = statistics.lines().filter(|line| line.contains("input=vsphere"));
    let number = |line, field| between(line, field, "i").and_then(|number| number.parse::<u64>().ok());
    let states = lines.filter_map(|line| Some((number(line, "gather_time_ns=")?, number(line, "metrics_gathered=")?)));
    let (mut seconds, mut last) = (Vec::new(), (0, 0));
    // The time changes at the end of a gather, and no two take the same number of nanoseconds.
    for (time, metrics) in states {
        if time != last.0 {
            if metrics > last.1 {
                seconds.push(time as f64 / 1e9);
            }
            last = (time, metrics);
        }
    }
    seconds
}

/// Some gathers at `interval`, and one through a front that counts its calls.
pub(crate) async fn measure(
    dir: &Path,
    binary: &Path,
    vcenter: &Vcenter,
    counters: &Counters,
    interval: Duration,
    rounds: usize,
) -> anyhow::Result<Measured> {
    let front = Front::start(vcenter, (std::net::Ipv4Addr::LOCALHOST, 0)).await?;
    let mut counted = Telegraf::start(&dir.join("counted"), binary, &front.url, counters, interval)?;
    counted.gathers(WARM_UP).await?;
    front.take();
    counted.gathers(WARM_UP + 1).await?;
    let tape = front.take();
    counted.process.kill().await;
    drop(front);

    let mut telegraf = Telegraf::start(dir, binary, &vcenter.url, counters, interval)?;
    telegraf.gathers(WARM_UP).await?;
    let (cpu, vcenter_cpu) = (usage::cpu(telegraf.process.pid())?, usage::cpu(vcenter.process.pid())?);
    let gathers = telegraf.gathers(WARM_UP + rounds).await?;
    let per_round = |sum: f64| Some(sum / rounds as f64);
    let measured = Measured {
        name: "telegraf",
        wall: median(gathers.into_iter().skip(WARM_UP).collect()),
        cpu: per_round(usage::cpu(telegraf.process.pid())? - cpu),
        vcenter_cpu: per_round(usage::cpu(vcenter.process.pid())? - vcenter_cpu),
        memory: Some(usage::peak_memory(telegraf.process.pid())?),
        samples: Some(tape.samples()),
        calls: tape.calls,
        ..Measured::default()
    };
    telegraf.process.kill().await;
    Ok(measured)
}
