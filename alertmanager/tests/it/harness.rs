//! Starts the notifier and the mail server, and reads what arrived.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use lynceus_demo::{Process, eventually, free_port, tool};
use tempfile::TempDir;

pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A running notifier and the port on which its mail server is expected.
pub(crate) struct Setup {
    pub(crate) dir: TempDir,
    pub(crate) smtp_port: u16,
    pub(crate) notifier: Process,
    pub(crate) url: String,
}

/// The recipients are red@, blue@, ops@ at example.net unless `recipients` says otherwise.
pub(crate) async fn start(smtp: &str, recipients: &str) -> anyhow::Result<Setup> {
    lynceus_service::tls::install_provider();
    let dir = tempfile::tempdir()?;
    let smtp_port = free_port();
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let config = dir.path().join("notifier.yml");
    std::fs::write(&config, config_of(smtp_port, smtp, recipients))?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_lynceus-notifier"));
    command.arg("--config.file").arg(&config).arg("--web.listen-address").arg(format!("127.0.0.1:{port}"));
    command.env("TEST_SMTP_PASSWORD", "mail-password");
    let mut notifier = Process::start("notifier", command, dir.path())?;
    notifier.wait_for_http(&format!("{url}/-/ready"), LIMIT).await?;
    Ok(Setup { dir, smtp_port, notifier, url })
}

pub(crate) fn config_of(smtp_port: u16, smtp: &str, recipients: &str) -> String {
    let recipients = match recipients {
        "" => "{ default: [ops@example.net], teams: { red: [red@example.net], blue: [blue@example.net] } }",
        other => other,
    };
    format!(
        "smtp: {{ address: '127.0.0.1:{smtp_port}', from: lynceus@example.net, {smtp} }}\nrecipients: {recipients}\n"
    )
}

impl Setup {
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// aiosmtpd as in `mail_server.py`. `None` where it is not installed.
    pub(crate) async fn mail_server(&self, arguments: &[&str]) -> anyhow::Result<Option<Process>> {
        let Some(python) = tool("python") else { return Ok(None) };
        let mut command = Command::new(python);
        command.arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/mail_server.py"));
        command.arg("--port").arg(self.smtp_port.to_string()).arg("--dir").arg(self.path()).args(arguments);
        let process = Process::start("mail-server", command, self.path())?;
        let port = self.smtp_port;
        eventually(LIMIT, "the mail server", || async {
            Ok(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.map(drop)?)
        })
        .await?;
        Ok(Some(process))
    }

    pub(crate) async fn post(&self, body: impl Into<reqwest::Body>) -> anyhow::Result<(u16, String)> {
        let request = reqwest::Client::new()
            .post(format!("{}/alertmanager/webhook", self.url))
            .header("content-type", "application/json")
            .body(body);
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    pub(crate) fn mails(&self) -> anyhow::Result<Vec<String>> {
        lynceus_demo::parts::mails(self.path())
    }

    /// The recipients of the mails, sorted.
    pub(crate) fn recipients(&self) -> anyhow::Result<Vec<String>> {
        let mut recipients: Vec<_> = self.mails()?.iter().map(|mail| header(mail, "To")).collect();
        recipients.sort();
        Ok(recipients)
    }

    /// Value of a series of the notifier's own metrics, as `name{labels}` prints it.
    pub(crate) async fn metric(&self, series: &str) -> anyhow::Result<f64> {
        let page = reqwest::get(format!("{}/metrics", self.url)).await?.text().await?;
        let line = page.lines().find_map(|line| line.strip_prefix("lynceus_notifier_")?.strip_prefix(series));
        line.with_context(|| format!("no series `{series}` in:\n{page}"))?.trim().parse().context("not a number")
    }

    pub(crate) async fn wait_for_metric(&self, series: &str, value: f64) -> anyhow::Result<()> {
        eventually(LIMIT, &format!("{series} = {value}"), || async {
            let found = self.metric(series).await?;
            anyhow::ensure!(found >= value, "found {found}");
            Ok(())
        })
        .await
    }

    pub(crate) async fn wait_for_mails(&self, count: usize) -> anyhow::Result<Vec<String>> {
        eventually(LIMIT, &format!("{count} mails"), || async {
            let mails = self.mails()?;
            anyhow::ensure!(mails.len() >= count, "found {} in {}", mails.len(), self.notifier.log());
            Ok(mails)
        })
        .await
    }
}

/// A header's value, unfolded.
pub(crate) fn header(mail: &str, name: &str) -> String {
    let mail = mail.replace("\r\n", "\n");
    let start = mail.find(&format!("\n{name}: ")).map(|start| start + name.len() + 3);
    let Some(start) = start.or_else(|| mail.starts_with(&format!("{name}: ")).then_some(name.len() + 2)) else {
        panic!("no header `{name}` in:\n{mail}");
    };
    let mut value = String::new();
    for (index, line) in mail[start..].lines().enumerate() {
        if index > 0 && !line.starts_with([' ', '\t']) {
            break;
        }
        value.push_str(line);
    }
    value
}

/// A notification of one firing alert for each team.
pub(crate) fn notification(teams: &[&str]) -> String {
    let alerts: Vec<_> = teams
        .iter()
        .map(|team| {
            format!(
                r#"{{"status":"firing","labels":{{"alertname":"A","team":"{team}"}},"annotations":{{}},"fingerprint":"{team}",
                "startsAt":"2026-11-23T13:06:19Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://p/graph"}}"#
            )
        })
        .collect();
    format!(
        r#"{{"version":"4","groupKey":"{{}}:{{}}","status":"firing","receiver":"r","externalURL":"http://am","alerts":[{}]}}"#,
        alerts.join(",")
    )
}
