//! Starts OpenSSH's server, of which tests are the guests' users.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use lynceus_demo::{Process, eventually, free_port, tool};
use lynceus_exporter::guest::ssh::{Connection, Failure, HostKeys, Identity, Key, Limits, Login};
use lynceus_service::SecretSource;
use tempfile::TempDir;

pub(crate) const LIMITS: Limits =
    Limits { connect: Duration::from_secs(15), command: Duration::from_secs(20), bytes: 4 << 20 };

const USER: &str = "guest";
const PASSWORD: &str = "guest-password";
/// Of that, as crypt(5) has it.
const HASH: &str = "$6$lynceus$hOb4jRemtx7Q8LvnraNO5dK8N6/2nDeehym/P8e/CLqRuwq.uBWmhrXKHGrJilZvyC5Axjvfn25DI6CohpSXz0";

/// OpenSSH's server for one user, in a mount namespace where that user exists.
pub(crate) struct Sshd {
    pub(crate) dir: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
}

impl Sshd {
    /// `None`, and a word why, where there is none. The shell `SHELL` is one that a test writes after.
    pub(crate) async fn start(shell: &str, more: &str) -> Option<Self> {
        tool("sshd")?;
        let keygen = tool("ssh-keygen")?;
        if !is_root() {
            eprintln!("skipped: only root can run sshd for a user of its own");
            return None;
        }
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let path = |name: &str| dir.path().join(name);
        for name in ["host", "other", "authority", "user", "user_authority"] {
            generate(&keygen, &path(name));
        }
        sign(&keygen, &path("authority"), &path("host.pub"), &["-h", "-n", "web01"]);
        sign(&keygen, &path("user_authority"), &path("user.pub"), &["-n", USER]);
        std::fs::copy(path("user.pub"), path("authorized")).unwrap();
        let folder = dir.path().display();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nPidFile none\nUsePAM no\nStrictModes no\n\
             AuthorizedKeysFile {folder}/authorized\nTrustedUserCAKeys {folder}/user_authority.pub\n\
             PrintMotd no\nMaxStartups 100\nLogLevel VERBOSE\n{more}\n",
            more = more.replace("HOSTCERT", &path("host-cert.pub").display().to_string()),
        );
        std::fs::write(path("sshd_config"), config).unwrap();
        let shell = shell.replace("SHELL", &path("shell").display().to_string());
        let passwd = format!(
            "root:x:0:0::/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/bin/false\n{USER}:{HASH}:1999:1999::{folder}:{shell}\n"
        );
        std::fs::write(path("passwd"), passwd).unwrap();
        std::fs::write(path("group"), "root:x:0:\nnogroup:x:65534:\nguest:x:1999:\n").unwrap();
        Command::new("chmod").args(["755"]).arg(dir.path()).status().unwrap();
        let process = run(dir.path()).await;
        Some(Self { address: (Ipv4Addr::LOCALHOST, port).into(), dir, process })
    }

    /// After it was stopped.
    pub(crate) async fn restart(&mut self) {
        self.process = run(self.dir.path()).await;
    }

    /// Where it was started with the shell `SHELL`: what that does, whatever it is asked.
    pub(crate) fn set_shell(&self, script: &str) {
        let path = self.path("shell");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn who(&self) -> Identity {
        let names = vec!["127.0.0.1".to_owned(), "web01".to_owned()];
        Identity { id: "vc01/502a-1".to_owned(), names, port: self.address.port() }
    }

    /// A file of known hosts with one line, of a key of this folder.
    pub(crate) fn known(&self, marker: &str, key: &str) -> Arc<HostKeys> {
        let key = std::fs::read_to_string(self.path(&format!("{key}.pub"))).unwrap();
        let line = format!("{marker}[127.0.0.1]:{} {key}", self.address.port());
        std::fs::write(self.path("known_hosts"), line).unwrap();
        Arc::new(HostKeys::load(Some(&self.path("known_hosts")), Vec::new(), None).unwrap())
    }

    pub(crate) fn learning(&self) -> Arc<HostKeys> {
        Arc::new(HostKeys::load(None, Vec::new(), Some(self.path("learned"))).unwrap())
    }

    pub(crate) fn by_key(&self) -> Login {
        let key = Key { file: self.path("user"), passphrase: None, certificate: None };
        Login { username: USER.to_owned(), key: Some(key), agent: None, password: None }
    }

    pub(crate) fn by_password(&self) -> Login {
        std::fs::write(self.path("password"), PASSWORD).unwrap();
        let password = Some(SecretSource::File(self.path("password")));
        Login { username: USER.to_owned(), key: None, agent: None, password }
    }

    pub(crate) async fn open(&self, keys: &Arc<HostKeys>, login: &Login) -> Result<Connection, Failure> {
        Connection::open(self.address, self.who(), Arc::clone(keys), login, LIMITS).await
    }
}

/// Starts it, and waits until it listens.
async fn run(dir: &Path) -> Process {
    let (folder, sshd) = (dir.display(), tool("sshd").unwrap().canonicalize().unwrap());
    // Users and the folder of privileges are of this namespace alone, and sessions end with it.
    let script = format!(
        "mount --bind {folder}/passwd /etc/passwd && mount --bind {folder}/group /etc/group && \
         mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec {sshd} -D -e -f {folder}/sshd_config",
        sshd = sshd.display(),
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--mount-proc", "--fork", "--kill-child=KILL", "--", "sh", "-c", &script]);
    let process = Process::start("sshd", command, dir).unwrap();
    let listens = || async {
        anyhow::ensure!(process.log().contains("Server listening"), "{}", process.log());
        Ok(())
    };
    eventually(Duration::from_secs(20), "sshd", listens).await.unwrap();
    process
}

fn is_root() -> bool {
    String::from_utf8_lossy(&Command::new("id").arg("-u").output().unwrap().stdout).trim() == "0"
}

fn generate(keygen: &Path, file: &Path) {
    let status =
        Command::new(keygen).args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(file).status().unwrap();
    assert!(status.success());
}

fn sign(keygen: &Path, authority: &Path, key: &Path, more: &[&str]) {
    let mut command = Command::new(keygen);
    command.args(["-q", "-I", "test", "-s"]).arg(authority).args(more).arg(key);
    assert!(command.status().unwrap().success());
}
