//! Starts the exporter as a process, and asks it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use lynceus_demo::{Process, eventually, free_port};

/// Long enough for a loaded machine.
pub const LIMIT: Duration = Duration::from_secs(30);

pub struct Exporter {
    pub process: Process,
    pub url: String,
}

/// An answer: status and body.
pub type Answer = (u16, String);

impl Exporter {
    pub async fn start(dir: &Path, config: &str) -> Self {
        Self::start_with(dir, config, &[]).await
    }

    pub async fn start_with(dir: &Path, config: &str, flags: &[&str]) -> Self {
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

    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        get(&format!("{}{path}", self.url)).await
    }

    pub async fn page(&self) -> anyhow::Result<String> {
        match self.get("/vcenter/vc01/metrics").await? {
            (200, page) => Ok(page),
            (status, body) => anyhow::bail!("{status}: {body}"),
        }
    }

    /// The page, as soon as `check` has nothing against it.
    pub async fn page_where(&self, what: &str, check: impl Fn(&str) -> bool) -> String {
        let page = eventually(LIMIT, what, || async {
            let page = self.page().await?;
            anyhow::ensure!(check(&page), "{page}");
            Ok(page)
        });
        page.await.unwrap_or_else(|error| panic!("{error:#}\nlog:\n{}", self.process.log()))
    }

    /// What the page's 503 says, as soon as that holds `part`.
    pub async fn reason_with(&self, part: &str) -> String {
        let reason = eventually(LIMIT, part, || async {
            let (status, body) = self.get("/vcenter/vc01/metrics").await?;
            anyhow::ensure!(status == 503 && body.contains(part), "{status}: {body}");
            Ok(body)
        });
        reason.await.unwrap_or_else(|error| panic!("{error:#}\nlog:\n{}", self.process.log()))
    }
}

pub async fn get(url: &str) -> anyhow::Result<Answer> {
    lynceus_service::tls::install_provider();
    let answer = reqwest::get(url).await.with_context(|| format!("failed to get {url}"))?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

/// The value of the series whose line begins like this.
pub fn value(page: &str, series: &str) -> Option<f64> {
    let line = page.lines().find(|line| line.starts_with(series))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

/// How many series of a metric have this value; all where it is `None`.
pub fn count(page: &str, beginning: &str, value: Option<f64>) -> usize {
    let values = page.lines().filter(|line| line.starts_with(beginning)).filter_map(|line| line.rsplit_once(' '));
    values.filter(|(_, found)| value.is_none_or(|value| found.parse() == Ok(value))).count()
}
