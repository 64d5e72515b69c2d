//! Starts the simulator and the exporter as processes, and asks the exporter.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use lynceus_demo::parts::{self, Vcenter, VcsimOptions};
use lynceus_demo::{Process, eventually, free_port, tool};
use tempfile::TempDir;

use crate::front::Front;

/// Long enough for a loaded machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The simulator's password, and what `password` in the folder holds.
pub(crate) const PASSWORD: &str = "pa<ss&word";

/// A simulator with a front before it.
pub(crate) struct Estate {
    pub(crate) dir: TempDir,
    pub(crate) vcsim: Vcenter,
    pub(crate) front: Front,
}

/// `None`, and a word why, where the simulator is missing.
pub(crate) async fn estate(vms: u32) -> Option<Estate> {
    tool("vcsim")?;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("password"), format!("{PASSWORD}\n")).unwrap();
    let vcsim = start_vcsim(dir.path(), vms, 0).await;
    let front = Front::start(&vcsim.url).await;
    Some(Estate { dir, vcsim, front })
}

pub(crate) async fn start_vcsim(dir: &Path, vms: u32, port: u16) -> Vcenter {
    let (user, password) = ("lynceus".to_owned(), PASSWORD.to_owned());
    let options = VcsimOptions { port, vms, user, password, ..VcsimOptions::default() };
    parts::vcsim(dir, &options).await.unwrap()
}

pub(crate) struct Exporter {
    pub(crate) process: Process,
    pub(crate) url: String,
}

impl Exporter {
    pub(crate) async fn start(dir: &Path, config: &str) -> Self {
        Self::start_with(dir, config, &[]).await
    }

    pub(crate) async fn start_with(dir: &Path, config: &str, flags: &[&str]) -> Self {
        let file = dir.join("exporter.yml");
        std::fs::write(&file, config).unwrap();
        let port = free_port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_lynceus-exporter"));
        command.arg("--config.file").arg(file).arg(format!("--web.listen-address=127.0.0.1:{port}")).args(flags);
        let mut process = Process::start("exporter", command, dir).unwrap();
        let url = format!("http://127.0.0.1:{port}");
        process.wait_for_http(&format!("{url}/-/ready"), LIMIT).await.unwrap();
        Self { process, url }
    }

    /// Status and body.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        lynceus_service::tls::install_provider();
        let url = format!("{}{path}", self.url);
        let answer = reqwest::get(&url).await.with_context(|| format!("failed to get {url}"))?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    pub(crate) async fn page(&self) -> anyhow::Result<String> {
        match self.get("/vcenter/vc01/metrics").await? {
            (200, page) => Ok(page),
            (status, body) => anyhow::bail!("{status}: {body}"),
        }
    }

    /// The page, as soon as `check` has nothing against it.
    pub(crate) async fn page_where(&self, what: &str, check: impl Fn(&str) -> bool) -> String {
        let page = eventually(LIMIT, what, || async {
            let page = self.page().await?;
            anyhow::ensure!(check(&page), "{}", page.lines().rev().take(12).collect::<Vec<_>>().join("\n"));
            Ok(page)
        });
        page.await.unwrap_or_else(|error| panic!("{error:#}\nlog:\n{}", self.process.log()))
    }

    /// What the page's 503 says, as soon as that holds `part`.
    pub(crate) async fn reason_with(&self, part: &str) -> String {
        let reason = eventually(LIMIT, part, || async {
            let (status, body) = self.get("/vcenter/vc01/metrics").await?;
            anyhow::ensure!(status == 503 && body.contains(part), "{status}: {body}");
            Ok(body)
        });
        reason.await.unwrap_or_else(|error| panic!("{error:#}\nlog:\n{}", self.process.log()))
    }

    /// A metric of its own.
    pub(crate) async fn own(&self, series: &str) -> f64 {
        let page = self.get("/metrics").await.unwrap().1;
        value(&page, series).unwrap_or_else(|| panic!("no `{series}` in:\n{page}"))
    }

    pub(crate) async fn reload(&self) -> (u16, String) {
        let answer = reqwest::Client::new().post(format!("{}/-/reload", self.url)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

/// The value of the series whose line begins like this.
pub(crate) fn value(page: &str, series: &str) -> Option<f64> {
    let line = page.lines().find(|line| line.starts_with(series))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

/// How many series begin like this, have this in their labels, and are not 0.
pub(crate) fn count(page: &str, beginning: &str, labels: &str) -> usize {
    let series = page.lines().filter(|line| line.starts_with(beginning) && line.contains(labels));
    series.filter(|line| !line.ends_with(" 0")).count()
}

/// Whether all parts of the last collection succeeded.
pub(crate) fn all_succeeded(page: &str) -> bool {
    page.matches("\nvsphere_collector_success{").count() == 7 && count(page, "vsphere_collector_success{", "") == 7
}
