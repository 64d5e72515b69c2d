//! How each real program is started. All of them are ready when the functions return.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::{Process, eventually, repository, tool};

const START_LIMIT: Duration = Duration::from_secs(60);

fn found(name: &str) -> anyhow::Result<PathBuf> {
    tool(name).with_context(|| format!("`{name}` is missing"))
}

/// Size and sign-in of a simulated vCenter.
#[derive(Debug, Clone)]
pub struct VcsimOptions {
    /// Address of loopback.
    pub address: Ipv4Addr,
    /// Port on that; 0 for any.
    pub port: u16,
    /// Virtual machines in all, spread over the clusters.
    pub vms: u32,
    /// Clusters, named DC0_C0, DC0_C1 and so on; the names of their VMs begin with theirs.
    pub clusters: u32,
    /// Hosts in each cluster.
    pub hosts: u32,
    /// Datastores in all.
    pub datastores: u32,
    /// The only user that may sign in.
    pub user: String,
    /// That user's password.
    pub password: String,
}

impl Default for VcsimOptions {
    fn default() -> Self {
        let (user, password) = ("lynceus".to_owned(), "vcsim-password".to_owned());
        let address = Ipv4Addr::LOCALHOST;
        Self { address, port: 0, vms: 200, clusters: 4, hosts: 3, datastores: 2, user, password }
    }
}

/// A running vCenter simulator.
#[derive(Debug)]
pub struct Vcenter {
    /// The process.
    pub process: Process,
    /// URL of its SOAP endpoint.
    pub url: String,
    /// SHA-256 fingerprint of its certificate, which is new at each start.
    pub sha256: String,
    /// How many virtual machines it has, templates included.
    pub vms: u32,
    /// How many hosts it has.
    pub hosts: u32,
    /// URL of the fleet's own interface, where scenarios are started; empty for vcsim.
    pub control: String,
}

impl Vcenter {
    /// Waits for the JSON line that both simulators print when they listen.
    async fn ready(process: Process) -> anyhow::Result<Self> {
        let line = eventually(START_LIMIT, "the simulator's ready line", || async {
            let log = process.log();
            let line = log.lines().find(|line| line.starts_with('{')).context("no ready line")?;
            Ok(serde_json::from_str::<serde_json::Value>(line)?)
        })
        .await
        .with_context(|| format!("its log:\n{}", process.log()))?;
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let number = |key: &str| line[key].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or_default();
        let (url, sha256, control) = (text("url"), text("sha256"), text("control"));
        Ok(Self { url, sha256, control, vms: number("vms"), hosts: number("hosts"), process })
    }
}

/// Starts VMware's vCenter simulator.
pub async fn vcsim(dir: &Path, options: &VcsimOptions) -> anyhow::Result<Vcenter> {
    let mut command = Command::new(found("vcsim")?);
    command.arg("-listen").arg(format!("{}:{}", options.address, options.port));
    command.arg("-vms").arg(options.vms.to_string());
    command.arg("-clusters").arg(options.clusters.to_string());
    command.arg("-hosts").arg(options.hosts.to_string());
    command.arg("-datastores").arg(options.datastores.to_string());
    command.arg("-user").arg(&options.user).arg("-password").arg(&options.password);
    // It keeps a folder for each datastore, and leaves them when it is killed.
    command.env("TMPDIR", std::path::absolute(dir)?);
    Vcenter::ready(Process::start("vcsim", command, dir)?).await
}

/// Starts the fleet simulator, without its ESXi hosts: nothing in the stack asks them.
pub async fn fleet(dir: &Path, options: &VcsimOptions, more: &[&str]) -> anyhow::Result<Vcenter> {
    let mut command = Command::new(crate::binary("lynceus-fleet")?);
    command.arg("--listen").arg(format!("{}:{}", options.address, options.port)).args(["--control", "127.0.0.1:0"]);
    command.arg("--vms").arg(options.vms.to_string()).arg("--no-hosts");
    command.arg("--user").arg(&options.user).arg("--password").arg(&options.password);
    command.args(more);
    Vcenter::ready(Process::start("fleet", command, dir)?).await
}

/// Starts Prometheus on `127.0.0.1:port`, with its config and data in `dir`.
pub async fn prometheus(dir: &Path, config: &str, port: u16, more: &[&str]) -> anyhow::Result<Process> {
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join("prometheus.yml"), config)?;
    let mut command = Command::new(found("prometheus")?);
    command.arg(format!("--config.file={}", dir.join("prometheus.yml").display()));
    command.arg(format!("--storage.tsdb.path={}", dir.join("data").display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let assets = repository().join("target/tools/root/usr/share/prometheus/web");
    command.arg(format!("--web.local-assets={}", assets.display()));
    // What the links in alerts begin with.
    command.arg(format!("--web.external-url=http://127.0.0.1:{port}/"));
    command.arg("--web.enable-lifecycle").args(more);
    let mut process = Process::start("prometheus", command, dir)?;
    process.wait_for_http(&format!("http://127.0.0.1:{port}/-/ready"), START_LIMIT).await?;
    Ok(process)
}

/// Starts Alertmanager on `127.0.0.1:port`, alone, with its config and data in `dir`.
pub async fn alertmanager(dir: &Path, config: &str, port: u16) -> anyhow::Result<Process> {
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join("alertmanager.yml"), config)?;
    let mut command = Command::new(found("alertmanager")?);
    command.arg(format!("--config.file={}", dir.join("alertmanager.yml").display()));
    command.arg(format!("--storage.path={}", dir.join("data").display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    command.arg(format!("--web.external-url=http://127.0.0.1:{port}/"));
    // No cluster: an empty address turns gossip off.
    command.arg("--cluster.listen-address=");
    let mut process = Process::start("alertmanager", command, dir)?;
    process.wait_for_http(&format!("http://127.0.0.1:{port}/-/ready"), START_LIMIT).await?;
    Ok(process)
}

/// Starts the embedded ClickHouse on `127.0.0.1:port`, with its data in `dir`.
pub async fn clickhouse(dir: &Path, port: u16) -> anyhow::Result<Process> {
    let mut command = Command::new(found("python")?);
    command.arg(repository().join("deploy/embedded-clickhouse/server.py"));
    command.arg("--listen").arg(format!("127.0.0.1:{port}"));
    command.arg("--path").arg(dir.join("data"));
    let mut process = Process::start("clickhouse", command, dir)?;
    process.wait_for_http(&format!("http://127.0.0.1:{port}/ping"), START_LIMIT).await?;
    Ok(process)
}

/// Starts an SMTP server on `127.0.0.1:port` that keeps what it gets as a Maildir in `dir/mail`.
pub async fn smtp_sink(dir: &Path, port: u16) -> anyhow::Result<Process> {
    let mut command = Command::new(found("python")?);
    command.args(["-m", "aiosmtpd", "--nosetuid", "--listen"]).arg(format!("127.0.0.1:{port}"));
    command.args(["--class", "aiosmtpd.handlers.Mailbox"]).arg(dir.join("mail"));
    let process = Process::start("smtp-sink", command, dir)?;
    eventually(START_LIMIT, "the SMTP server", || async {
        Ok(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.map(drop)?)
    })
    .await?;
    Ok(process)
}

/// The mails that a [`smtp_sink`] in `dir` has kept, unparsed, in the order in which they came.
pub fn mails(dir: &Path) -> anyhow::Result<Vec<String>> {
    let folder = dir.join("mail/new");
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        found.push((entry.metadata()?.modified()?, std::fs::read_to_string(entry.path())?));
    }
    found.sort();
    Ok(found.into_iter().map(|(_, mail)| mail).collect())
}
