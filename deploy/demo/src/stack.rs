//! All of Lynceus and the real programs around it, as processes on loopback.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::AsyncWriteExt;

use crate::parts::{Vcenter, VcsimOptions};
use crate::ports::Ports;
use crate::progress::step;
use crate::{Process, binary, parts, repository};

const READY_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A user of the demo: name and team, `None` for one of the platform team, who sees everything.
pub const USERS: [(&str, Option<&str>); 3] = [("alice", Some("red")), ("bob", Some("blue")), ("petra", None)];

/// The password of every demo user. It guards simulated data on loopback, and the README prints it.
pub const PASSWORD: &str = "Demo-Password-1";

/// Which vCenter is simulated, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Simulator {
    /// Our own: an estate at work.
    Fleet,
    /// Our own, with things going wrong from the first minute on.
    TroubledFleet,
    /// VMware's: the protocol as they speak it, with samples from a table.
    Vcsim,
}

/// What is started, and where.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// The vCenter.
    pub simulator: Simulator,
    /// Folder for configs, data and logs; emptied at the start.
    pub dir: PathBuf,
    /// Where each part listens.
    pub ports: Ports,
    /// Virtual machines of the simulated vCenter.
    pub vms: u32,
}

/// Everything, running. Processes are killed when this is dropped; [`Stack::stop`] ends them in order.
#[derive(Debug)]
pub struct Stack {
    /// What it was started with.
    pub options: StackOptions,
    /// The vCenter simulator.
    pub vcenter: Vcenter,
    /// ClickHouse engine.
    pub clickhouse: Process,
    /// Mail server.
    pub smtp: Process,
    /// `lynceus-exporter`.
    pub exporter: Process,
    /// `lynceus-bridge`.
    pub bridge: Process,
    /// `lynceus-notifier`.
    pub notifier: Process,
    /// Alertmanager.
    pub alertmanager: Process,
    /// Prometheus.
    pub prometheus: Process,
    /// Prometheus that reads the archive.
    pub archive: Process,
    /// `lynceus-auth-proxy`.
    pub proxy: Process,
}

impl Stack {
    /// Starts everything, sources first, and waits until each is ready.
    pub async fn start(options: StackOptions) -> anyhow::Result<Self> {
        let (dir, ports) = (&options.dir, &options.ports);
        ports.check()?;
        empty(dir).with_context(|| format!("failed to empty `{}`", dir.display()))?;
        // Where a daemon of ours keeps its relative paths, and where a log is looked for, is an absolute path.
        let dir = &dir.canonicalize()?;

        let simulated = VcsimOptions { port: ports.vcenter, vms: options.vms, ..VcsimOptions::default() };
        let vcenter = step("vCenter simulator", simulator(options.simulator, &dir.join("vcenter"), &simulated)).await?;
        let clickhouse =
            step("ClickHouse engine", parts::clickhouse(&dir.join("clickhouse"), ports.clickhouse)).await?;
        let smtp = step("mail server", parts::smtp_sink(&dir.join("smtp"), ports.smtp)).await?;

        let config = Configs { dir, ports, vcenter: &vcenter };
        config.write("exporter", include_str!("../config/exporter.yml"))?;
        std::fs::write(dir.join("exporter/vcenter-password"), &simulated.password)?;
        let exporter = step("lynceus-exporter", config.daemon("exporter", ports.exporter, &[])).await?;
        config.write("bridge", include_str!("../config/bridge.yml"))?;
        let bridge = step("lynceus-bridge", config.daemon("bridge", ports.bridge, &[])).await?;
        config.write("notifier", include_str!("../config/notifier.yml"))?;
        let notifier = step("lynceus-notifier", config.daemon("notifier", ports.notifier, &[])).await?;

        let alertmanager = step("Alertmanager", async {
            let filled = config.fill(include_str!("../config/alertmanager.yml"))?;
            parts::alertmanager(&dir.join("alertmanager"), &filled, ports.alertmanager).await
        });
        let alertmanager = alertmanager.await?;
        let prometheus = step("Prometheus", async {
            let filled = config.fill(include_str!("../config/prometheus.yml"))?;
            parts::prometheus(&dir.join("prometheus"), &filled, ports.prometheus, &[]).await
        });
        let prometheus = prometheus.await?;
        let archive = step("Prometheus on the archive", async {
            let filled = config.fill(include_str!("../config/archive.yml"))?;
            parts::prometheus(&dir.join("archive"), &filled, ports.archive, &[]).await
        });
        let archive = archive.await?;

        config.write("auth-proxy", include_str!("../config/auth-proxy.yml"))?;
        step("demo users", add_users(&dir.join("auth-proxy"))).await?;
        let internal = format!("--web.internal-listen-address=127.0.0.1:{}", ports.proxy_internal);
        let proxy = step("lynceus-auth-proxy", config.daemon("auth-proxy", ports.proxy, &[internal])).await?;

        Ok(Self {
            vcenter,
            clickhouse,
            smtp,
            exporter,
            bridge,
            notifier,
            alertmanager,
            prometheus,
            archive,
            proxy,
            options,
        })
    }

    /// Stops everything, in the order in which data flows, so that each still finds the next.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let processes = [
            &mut self.proxy,
            &mut self.archive,
            &mut self.prometheus,
            &mut self.exporter,
            &mut self.bridge,
            &mut self.alertmanager,
            &mut self.notifier,
            &mut self.smtp,
            &mut self.clickhouse,
        ];
        for process in processes {
            let status = process.terminate(STOP_LIMIT).await?;
            let ours = process.name().starts_with("lynceus-");
            ensure!(!ours || status.success(), "{} ended with {status}:\n{}", process.name(), process.log());
        }
        self.vcenter.process.kill().await;
        Ok(())
    }

    /// Starts a daemon of ours again, after the test that holds the stack has ended it.
    pub async fn start_daemon(&self, name: &str) -> anyhow::Result<Process> {
        let dir = self.options.dir.canonicalize()?;
        let ports = &self.options.ports;
        let config = Configs { dir: &dir, ports, vcenter: &self.vcenter };
        let (port, more) = match name {
            "exporter" => (ports.exporter, None),
            "bridge" => (ports.bridge, None),
            "notifier" => (ports.notifier, None),
            "auth-proxy" => {
                (ports.proxy, Some(format!("--web.internal-listen-address=127.0.0.1:{}", ports.proxy_internal)))
            }
            other => anyhow::bail!("`{other}` is no daemon of the stack"),
        };
        config.daemon(name, port, more.as_slice()).await
    }
}

/// Empties the folder, if it is one that this has made.
fn empty(dir: &Path) -> anyhow::Result<()> {
    let marker = dir.join(".lynceus-demo");
    if dir.exists() {
        let strange = std::fs::read_dir(dir)?.next().is_some() && !marker.exists();
        ensure!(!strange, "it holds something that is not of a demo; name another folder, or empty it yourself");
        std::fs::remove_dir_all(dir)?;
    }
    std::fs::create_dir_all(dir)?;
    Ok(std::fs::write(marker, "The next demo may delete this folder.\n")?)
}

async fn simulator(which: Simulator, dir: &Path, options: &VcsimOptions) -> anyhow::Result<Vcenter> {
    match which {
        Simulator::Vcsim => parts::vcsim(dir, options).await,
        Simulator::Fleet => parts::fleet(dir, options, &[]).await,
        Simulator::TroubledFleet => {
            let scenario = repository().join("tests/fleet/scenarios/demo.yml");
            parts::fleet(dir, options, &["--scenario", &scenario.display().to_string()]).await
        }
    }
}

/// Config templates, filled with the addresses of this run.
struct Configs<'a> {
    dir: &'a Path,
    ports: &'a Ports,
    vcenter: &'a Vcenter,
}

impl Configs<'_> {
    fn fill(&self, template: &str) -> anyhow::Result<String> {
        let ports = self.ports;
        let mut text = template.to_owned();
        let addresses = [
            ("@EXPORTER@", ports.exporter),
            ("@PROMETHEUS@", ports.prometheus),
            ("@BRIDGE@", ports.bridge),
            ("@CLICKHOUSE@", ports.clickhouse),
            ("@ALERTMANAGER@", ports.alertmanager),
            ("@NOTIFIER@", ports.notifier),
            ("@SMTP@", ports.smtp),
            ("@PROXY@", ports.proxy),
            ("@PROXY_INTERNAL@", ports.proxy_internal),
        ];
        for (key, port) in addresses {
            text = text.replace(key, &format!("127.0.0.1:{port}"));
        }
        text = text.replace("@VCENTER_URL@", &self.vcenter.url).replace("@VCENTER_SHA256@", &self.vcenter.sha256);
        let rules = repository().join("rules/packs/vsphere/*.yml");
        text = text.replace("@RULES@", &rules.display().to_string());
        let left = text.split_whitespace().find(|word| word.starts_with('@') && word.ends_with('@'));
        ensure!(left.is_none(), "a config template has an unknown placeholder: {left:?}");
        Ok(text)
    }

    fn write(&self, name: &str, template: &str) -> anyhow::Result<()> {
        std::fs::create_dir_all(self.dir.join(name))?;
        Ok(std::fs::write(self.dir.join(name).join(format!("{name}.yml")), self.fill(template)?)?)
    }

    async fn daemon(&self, name: &str, port: u16, more: &[String]) -> anyhow::Result<Process> {
        let mut command = Command::new(binary(&format!("lynceus-{name}"))?);
        command.arg(format!("--config.file={name}.yml")).arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command.args(more);
        let mut process = Process::start(&format!("lynceus-{name}"), command, &self.dir.join(name))?;
        process.wait_for_http(&format!("http://127.0.0.1:{port}/-/ready"), READY_LIMIT).await?;
        Ok(process)
    }
}

/// Adds the demo's users by the command that an administrator would use.
async fn add_users(dir: &Path) -> anyhow::Result<()> {
    for (name, team) in USERS {
        let mut command = tokio::process::Command::new(binary("lynceus-auth-proxy")?);
        command.current_dir(dir).args(["user", "add", name, "--config.file=auth-proxy.yml"]);
        match team {
            Some(team) => command.args(["--team", team]),
            None => command.arg("--platform"),
        };
        let mut child = command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn()?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        stdin.write_all(format!("{PASSWORD}\n").as_bytes()).await?;
        drop(stdin);
        let status = child.wait().await?;
        ensure!(status.success(), "`lynceus-auth-proxy user add {name}` ended with {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_something_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (mine, demo) = (dir.path().join("thesis.tex"), dir.path().join("demo"));
        std::fs::write(&mine, "years of work").unwrap();
        assert!(empty(dir.path()).is_err());
        assert!(mine.exists());
        empty(&demo).unwrap();
        std::fs::write(demo.join("data"), "old").unwrap();
        empty(&demo).unwrap();
        assert!(!demo.join("data").exists());
    }
}
