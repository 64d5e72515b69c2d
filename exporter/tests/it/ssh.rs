//! A guest behind OpenSSH's server, with the machine's own shell: what is signed in to, what is refused, what is left.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use lynceus_demo::{Process, eventually, tool};
use lynceus_exporter::exposition::End;
use lynceus_exporter::guest::linux::{self, Memory, Wanted};
use lynceus_exporter::guest::reading::Reading;
use lynceus_exporter::guest::ssh::{Connection, HostKeys, Login};

use crate::sshd::{LIMITS, Sshd};

#[tokio::test]
async fn a_guest_is_collected_over_one_connection_and_nothing_is_left_on_it() {
    let Some(sshd) = Sshd::start("/bin/sh", "").await else { return };
    let connection = sshd.open(&sshd.known("", "host"), &sshd.by_key()).await.unwrap();
    let mut memory = Memory::default();
    for round in 0..3 {
        let mark = format!("mark{round}");
        let output = connection.run(linux::script(&mark, Wanted::default())).await.unwrap();
        let text = String::from_utf8(output).unwrap();
        let (families, malformed) = linux::families(&Reading::of(&text, &mark).unwrap(), &mut memory);
        assert_eq!(malformed, []);
        let page = families.page().finish(&End::default()).text();
        assert!(page.contains("\nnode_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} "), "{page}");
    }
    let log = sshd.process.log();
    assert_eq!(log.matches("Accepted publickey").count(), 1, "{log}");
    let listed = Command::new("ps").args(["-u", "1999", "-o", "args="]).output().unwrap();
    let left = String::from_utf8(listed.stdout).unwrap();
    assert!(left.lines().all(|line| line.contains("sshd")), "{left}");
}

#[tokio::test]
async fn every_shell_that_a_user_may_have_runs_it() {
    for shell in ["/bin/sh", "/bin/bash", "/bin/dash"] {
        let Some(sshd) = Sshd::start(shell, "").await else { return };
        let connection = sshd.open(&sshd.known("", "host"), &sshd.by_key()).await.unwrap();
        let output = connection.run(linux::script("mark", Wanted::default())).await.unwrap();
        Reading::of(&String::from_utf8_lossy(&output), "mark").unwrap();
    }
    let Some(sshd) = Sshd::start("/bin/false", "").await else { return };
    let connection = sshd.open(&sshd.known("", "host"), &sshd.by_key()).await.unwrap();
    let output = connection.run(linux::script("mark", Wanted::default())).await.unwrap();
    assert!(Reading::of(&String::from_utf8_lossy(&output), "mark").is_err());
}

#[tokio::test]
async fn each_way_to_sign_in_works() {
    let Some(sshd) = Sshd::start("/bin/sh", "").await else { return };
    let known = sshd.known("", "host");
    sshd.open(&known, &sshd.by_password()).await.unwrap();
    std::fs::write(sshd.path("authorized"), "").unwrap();
    let refused = sshd.open(&known, &sshd.by_key()).await.unwrap_err();
    assert_eq!(refused.reason(), "sign_in");
    assert!(refused.to_string().starts_with("`guest` may not sign in: the guest refuses the key `"), "{refused}");
    let mut login = sshd.by_key();
    login.key.as_mut().unwrap().certificate = Some(sshd.path("user-cert.pub"));
    sshd.open(&known, &login).await.unwrap();
    std::fs::write(sshd.path("password"), "wrong").unwrap();
    login = sshd.by_password();
    std::fs::write(sshd.path("password"), "wrong").unwrap();
    assert_eq!(sshd.open(&known, &login).await.unwrap_err().reason(), "sign_in");
}

#[tokio::test]
async fn an_agent_signs_without_giving_its_key() {
    let Some(sshd) = Sshd::start("/bin/sh", "").await else { return };
    let socket = sshd.path("agent.sock");
    let mut command = Command::new(tool("ssh-agent").unwrap());
    command.arg("-D").arg("-a").arg(&socket);
    let agent = Process::start("ssh-agent", command, sshd.dir.path()).unwrap();
    let is_there = || async {
        anyhow::ensure!(socket.exists(), "{}", agent.log());
        Ok(())
    };
    eventually(Duration::from_secs(10), "the agent", is_there).await.unwrap();
    let login = Login { username: "guest".to_owned(), key: None, agent: Some(socket.clone()), password: None };
    let known = sshd.known("", "host");
    let refused = sshd.open(&known, &login).await.unwrap_err().to_string();
    assert!(refused.contains("the keys of the agent at `"), "{refused}");
    let mut add = Command::new(tool("ssh-add").unwrap());
    add.arg("-q").arg(sshd.path("user")).env("SSH_AUTH_SOCK", &socket);
    assert!(add.status().unwrap().success());
    sshd.open(&known, &login).await.unwrap();
    let nobody = Login { agent: Some(sshd.path("nowhere")), ..login };
    assert_eq!(sshd.open(&known, &nobody).await.unwrap_err().reason(), "credential");
}

#[tokio::test]
async fn a_host_is_known_by_its_key_before_anything_is_sent_to_it() {
    let Some(sshd) = Sshd::start("/bin/sh", "").await else { return };
    let by_key = sshd.by_key();
    let unknown = Arc::new(HostKeys::default());
    let error = sshd.open(&unknown, &by_key).await.unwrap_err();
    assert!(error.to_string().starts_with("its host key `SHA256:"), "{error}");
    let error = sshd.open(&sshd.known("", "other"), &by_key).await.unwrap_err().to_string();
    assert!(error.contains(", and was `SHA256:") && error.contains("ssh-keygen -R"), "{error}");
    let error = sshd.open(&sshd.known("@revoked ", "host"), &by_key).await.unwrap_err().to_string();
    assert!(error.ends_with("is revoked"), "{error}");
    assert!(!sshd.process.log().contains("Accepted"), "{}", sshd.process.log());
}

#[tokio::test]
async fn a_key_is_learned_once_and_kept_by_the_id_of_the_vm() {
    let Some(sshd) = Sshd::start("/bin/sh", "").await else { return };
    sshd.open(&sshd.learning(), &sshd.by_key()).await.unwrap();
    // After a restart of the exporter it is still known; a password is kept back all the same.
    let learned = sshd.learning();
    sshd.open(&learned, &sshd.by_key()).await.unwrap();
    let error = sshd.open(&learned, &sshd.by_password()).await.unwrap_err().to_string();
    assert!(error.contains("pin its key"), "{error}");
    let text = std::fs::read_to_string(sshd.path("learned")).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("vc01/502a-1 ssh-ed25519 "), "{text}");
    // The guest of this id has another key now.
    let other = std::fs::read_to_string(sshd.path("other.pub")).unwrap();
    std::fs::write(sshd.path("learned"), format!("vc01/502a-1 {other}")).unwrap();
    let error = sshd.open(&sshd.learning(), &sshd.by_key()).await.unwrap_err().to_string();
    assert!(error.contains("ssh-keygen -R vc01/502a-1 -f"), "{error}");
    // What the message says helps.
    let mut remove = Command::new(tool("ssh-keygen").unwrap());
    assert!(remove.args(["-q", "-R", "vc01/502a-1", "-f"]).arg(sshd.path("learned")).status().unwrap().success());
    sshd.open(&sshd.learning(), &sshd.by_key()).await.unwrap();
}

#[tokio::test]
async fn a_signed_host_key_is_trusted_where_the_name_is_right() {
    let config = "HostCertificate HOSTCERT";
    let Some(sshd) = Sshd::start("/bin/sh", config).await else { return };
    let authority = sshd.known("@cert-authority ", "authority");
    sshd.open(&authority, &sshd.by_password()).await.unwrap();
    let mut who = sshd.who();
    who.names.retain(|name| name != "web01");
    let error = Connection::open(sshd.address, who, authority, &sshd.by_key(), LIMITS).await.unwrap_err();
    assert!(error.to_string().ends_with("it is for a host of another name"), "{error}");
    let stranger = sshd.known("@cert-authority ", "other");
    let error = sshd.open(&stranger, &sshd.by_key()).await.unwrap_err().to_string();
    assert!(error.contains("the authority that signed it is not in `known_hosts`"), "{error}");
}
