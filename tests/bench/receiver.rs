//! What is written to: the bridge, and its peers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use lynceus_demo::{Process, eventually, free_port, parts, repository, tool};
use tempfile::TempDir;

pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// The CPU that receivers are on; what sends is on the other.
const CPU: &str = "1";

/// What receives.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Bridge {
        /// Whether there is an engine behind it.
        engine: bool,
        /// Whether its log is on a disk; in memory there is nothing to sync.
        disk: bool,
    },
    /// Debian's.
    Prometheus,
    Prometheus3,
    VictoriaMetrics,
}

/// A receiver that is ready. It ends with this.
pub(crate) struct Receiver {
    pub(crate) process: Process,
    pub(crate) base: String,
    pub(crate) engine: Option<Process>,
    engine_port: u16,
    dir: TempDir,
    _in_memory: TempDir,
}

impl Receiver {
    /// Where its data are.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where the engine takes SQL.
    pub(crate) fn engine_url(&self, database: &str) -> String {
        format!("http://127.0.0.1:{}/?database={database}", self.engine_port)
    }
}

impl Kind {
    /// Its program; `None` where it is not here.
    pub(crate) fn program(self, peers: Option<&Path>) -> Option<PathBuf> {
        let peer = |name: &str| peers.map(|peers| peers.join("bin").join(name)).filter(|path| path.exists());
        match self {
            Self::Bridge { .. } => Some(repository().join("target/release/lynceus-bridge")),
            Self::Prometheus => tool("prometheus"),
            Self::Prometheus3 => peer("prometheus3"),
            Self::VictoriaMetrics => peer("victoria-metrics"),
        }
    }

    pub(crate) async fn start(self, program: &Path) -> anyhow::Result<Receiver> {
        let dir = tempfile::tempdir()?;
        let in_memory = tempfile::tempdir_in("/dev/shm")?;
        let port = free_port();
        let base = format!("http://127.0.0.1:{port}");
        let (mut engine, engine_port) = (None, free_port());
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", CPU]).arg(program);
        let listen = format!("127.0.0.1:{port}");
        let ready = match self {
            Self::Bridge { engine: has_engine, disk } => {
                if has_engine {
                    engine = Some(parts::clickhouse(&dir.path().join("engine"), engine_port).await?);
                }
                let config = format!("clickhouse: {{ url: http://127.0.0.1:{engine_port} }}\n");
                std::fs::write(dir.path().join("bridge.yml"), config)?;
                let storage = if disk { dir.path().join("data") } else { in_memory.path().to_owned() };
                command.arg("--config.file=bridge.yml").arg("--storage.path").arg(storage);
                command.arg(format!("--web.listen-address={listen}"));
                "-/ready"
            }
            Self::Prometheus | Self::Prometheus3 => {
                std::fs::write(dir.path().join("prometheus.yml"), "global: {}\n")?;
                command.arg("--config.file=prometheus.yml").arg(format!("--web.listen-address={listen}"));
                command.args(["--web.enable-remote-write-receiver", "--storage.tsdb.path=data"]);
                "-/ready"
            }
            Self::VictoriaMetrics => {
                command.arg(format!("-httpListenAddr={listen}"));
                command.args(["-storageDataPath=data", "-retentionPeriod=2y"]);
                "health"
            }
        };
        let mut process = Process::start("receiver", command, dir.path())?;
        process.wait_for_http(&format!("{base}/{ready}"), LIMIT).await?;
        if engine.is_some() {
            eventually(LIMIT, "the engine", || async {
                let page = reqwest::get(format!("{base}/metrics")).await?.text().await?;
                ensure!(page.contains("\nlynceus_bridge_clickhouse_up 1\n"));
                Ok(())
            })
            .await?;
        }
        Ok(Receiver { process, base, engine, engine_port, dir, _in_memory: in_memory })
    }
}

/// What sends, and all that it starts, is on the other CPU.
pub(crate) fn step_aside() -> anyhow::Result<()> {
    let own = std::process::id().to_string();
    let set = Command::new("taskset").args(["--all-tasks", "--pid", "--cpu-list", "0", &own]).output();
    let set = set.context("`taskset` of util-linux cannot be run")?;
    ensure!(set.status.success(), "taskset: {}", String::from_utf8_lossy(&set.stderr));
    Ok(())
}
