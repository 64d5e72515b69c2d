//! Addresses of the demo's parts, and who holds a port that should be free.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use anyhow::bail;

use crate::free_port;

/// Where each part listens, on 127.0.0.1.
#[derive(Debug, Clone)]
pub struct Ports {
    /// vCenter simulator.
    pub vcenter: u16,
    /// Exporter.
    pub exporter: u16,
    /// Prometheus.
    pub prometheus: u16,
    /// Prometheus that reads the archive.
    pub archive: u16,
    /// Bridge.
    pub bridge: u16,
    /// ClickHouse engine.
    pub clickhouse: u16,
    /// Alertmanager.
    pub alertmanager: u16,
    /// Notifier.
    pub notifier: u16,
    /// Mail server.
    pub smtp: u16,
    /// Auth-proxy, for people.
    pub proxy: u16,
    /// Auth-proxy's own metrics.
    pub proxy_internal: u16,
}

impl Ports {
    /// The ports of the documentation.
    pub fn documented() -> Self {
        Self {
            vcenter: 8989,
            exporter: 19272,
            prometheus: 9090,
            archive: 9091,
            bridge: 9201,
            clickhouse: 8123,
            alertmanager: 9093,
            notifier: 9096,
            smtp: 1025,
            proxy: 8080,
            proxy_internal: 8081,
        }
    }

    /// Any free ports.
    pub fn free() -> Self {
        Self {
            vcenter: free_port(),
            exporter: free_port(),
            prometheus: free_port(),
            archive: free_port(),
            bridge: free_port(),
            clickhouse: free_port(),
            alertmanager: free_port(),
            notifier: free_port(),
            smtp: free_port(),
            proxy: free_port(),
            proxy_internal: free_port(),
        }
    }

    /// Names every port that is taken, and by what.
    pub fn check(&self) -> anyhow::Result<()> {
        let parts = [
            ("the vCenter simulator", self.vcenter),
            ("the exporter", self.exporter),
            ("Prometheus", self.prometheus),
            ("the archive's Prometheus", self.archive),
            ("the bridge", self.bridge),
            ("ClickHouse", self.clickhouse),
            ("Alertmanager", self.alertmanager),
            ("the notifier", self.notifier),
            ("the mail server", self.smtp),
            ("the auth-proxy", self.proxy),
            ("the auth-proxy's metrics", self.proxy_internal),
        ];
        let taken: Vec<_> = parts
            .iter()
            .filter(|(_, port)| TcpListener::bind(("127.0.0.1", *port)).is_err())
            .map(|(part, port)| {
                let holder = holder(*port).unwrap_or_else(|| "a process of another user".to_owned());
                format!("port {port}, for {part}, is taken by {holder}")
            })
            .collect();
        if !taken.is_empty() {
            bail!(
                "{}\nhint: stop what holds them, or give `--free-ports` (`make demo FREE_PORTS=1`)",
                taken.join("\n")
            );
        }
        Ok(())
    }
}

/// Name and id of the process that listens on `port`.
fn holder(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| listening_inode(Path::new(table), port))?;
    let socket = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let path = process.path();
        // `/proc/self` and the like are the same processes under other names.
        if !process.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let Ok(files) = fs::read_dir(path.join("fd")) else { continue };
        let holds = files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == &*socket));
        if holds {
            let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
            return Some(format!("`{}` (process {})", name.trim(), process.file_name().display()));
        }
    }
    None
}

fn listening_inode(table: &Path, port: u16) -> Option<String> {
    const LISTEN: &str = "0A";
    let text = fs::read_to_string(table).ok()?;
    text.lines().skip(1).find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let found = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
        (found == port && *state == LISTEN).then(|| (*inode).to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_its_holder() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let ports = Ports { smtp: taken.local_addr().unwrap().port(), ..Ports::free() };
        let error = ports.check().unwrap_err().to_string();
        let me = std::process::id();
        let expected = format!("port {}, for the mail server, is taken by `", ports.smtp);
        assert!(error.starts_with(&expected) && error.contains(&format!("(process {me})")), "{error}");
    }
}
