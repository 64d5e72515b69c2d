//! One program as a process: its output in a file, killed when dropped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;

use crate::eventually;

/// A running program.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    pid: u32,
    log: PathBuf,
    /// Where in the log this run begins: a program that is started again in the same folder appends.
    log_start: usize,
}

impl Process {
    /// Starts `command`; its output goes to `dir/NAME.log`, after what is there.
    ///
    /// Through setpriv the kernel kills it when the thread that called this ends, so that not even a killed caller
    /// leaves it behind: call this from a thread that lives as long as the process should.
    pub fn start(name: &str, command: Command, dir: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let log = dir.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log)?;
        let log_start = usize::try_from(output.metadata()?.len())?;
        let mut wrapped = Command::new("setpriv");
        wrapped.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(key, value),
                None => wrapped.env_remove(key),
            };
        }
        wrapped.current_dir(command.get_current_dir().unwrap_or(dir));
        wrapped.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // A Ctrl-C in the terminal is for the launcher, which then stops its processes in order.
        std::os::unix::process::CommandExt::process_group(&mut wrapped, 0);
        let mut wrapped = tokio::process::Command::from(wrapped);
        let child = wrapped.kill_on_drop(true).spawn().with_context(|| format!("failed to start {name}"))?;
        let pid = child.id().with_context(|| format!("{name} ended at once"))?;
        Ok(Self { name: name.to_owned(), child, pid, log, log_start })
    }

    /// Waits until `url` answers 2xx.
    pub async fn wait_for_http(&mut self, url: &str, limit: Duration) -> anyhow::Result<()> {
        lynceus_service::tls::install_provider();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        let what = format!("`{url}`");
        let answers =
            eventually(limit, &what, || async { Ok(client.get(url).send().await?.error_for_status().map(drop)?) });
        let ready = tokio::select! {
            status = self.child.wait() => Err(anyhow!("{} ended: {}", self.name, status?)),
            ready = answers => ready,
        };
        ready.with_context(|| format!("{} is not ready; the end of its log:\n{}", self.name, self.tail()))
    }

    /// Sends SIGTERM and waits for the end.
    pub async fn terminate(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("{} still runs {limit:?} after SIGTERM; the end of its log:\n{}", self.name, self.tail()),
        }
    }

    /// Sends SIGKILL and waits for the end.
    pub async fn kill(&mut self) {
        // An error means that it has ended already.
        drop(self.child.kill().await);
    }

    /// Waits until it ends by itself.
    pub async fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.pid)?);
        kill(pid, signal).with_context(|| format!("failed to signal {}", self.name))
    }

    /// Name, as given at the start.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// All that it has written so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(self.log_start..).unwrap_or_default()).into_owned()
    }

    fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}
