//! Guests that hang, flood, lie or break off: each costs its own collection, within its limits, and is named.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lynceus_exporter::exposition::End;
use lynceus_exporter::guest::linux::{self, Memory, Wanted};
use lynceus_exporter::guest::reading::{self, Incomplete, Reading};
use lynceus_exporter::guest::ssh::{Connection, Failure, HostKeys, Identity, Limits, Login};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::sshd::Sshd;

const SHORT: Limits = Limits { connect: Duration::from_secs(3), command: Duration::from_secs(2), bytes: 1 << 20 };

/// What comes of a guest whose user has this script as shell.
async fn answer(script: &str) -> Option<Result<String, Failure>> {
    let sshd = Sshd::start("SHELL", "").await?;
    sshd.set_shell(script);
    let keys = sshd.known("", "host");
    let connection = Connection::open(sshd.address, sshd.who(), keys, &sshd.by_key(), SHORT).await.unwrap();
    let start = Instant::now();
    let output = connection.run(linux::script("mark", Wanted::default())).await;
    assert!(start.elapsed() < SHORT.command + Duration::from_secs(2));
    Some(output.map(|bytes| reading::text(&bytes).into_owned()))
}

#[tokio::test]
async fn a_guest_that_hangs_is_given_up() {
    let Some(answer) = answer("exec sleep 60").await else { return };
    assert_eq!(answer.unwrap_err().reason(), "timeout");
}

#[tokio::test]
async fn a_guest_that_floods_is_cut_off() {
    let Some(output) = answer("exec yes").await else { return };
    assert_eq!(output.unwrap_err().reason(), "too_long");
    let to_stderr = answer("exec yes >&2").await.unwrap();
    assert_eq!(to_stderr.unwrap_err().reason(), "too_long");
}

#[tokio::test]
async fn what_is_no_collection_is_named() {
    let Some(binary) = answer("exec head -c 100000 /dev/urandom").await else { return };
    assert!(matches!(Reading::of(&binary.unwrap(), "mark").unwrap_err(), Incomplete::NotBegun { .. }));
    let half = answer("/bin/sh -s | head -c 3000").await.unwrap().unwrap();
    assert_eq!(Reading::of(&half, "mark").unwrap_err(), Incomplete::NotEnded(3000));
    let nobody = answer("echo This account is currently not available.; exit 1").await.unwrap().unwrap();
    let error = Reading::of(&nobody, "mark").unwrap_err().to_string();
    assert!(error.ends_with("`This account is currently not available.\n`"), "{error}");
}

#[tokio::test]
async fn greetings_secrets_and_another_language_change_nothing() {
    let script = "echo 'Welcome to web01'; echo hunter2 >&2; LC_ALL=de_DE.UTF-8 LANG=ja_JP.UTF-8; export LC_ALL LANG\n\
                  date() { echo 0.000000000 +0000 UTC; }\n/bin/sh -s; echo Bye";
    let Some(output) = answer(script).await else { return };
    let output = output.unwrap();
    assert!(output.starts_with("Welcome") && !output.contains("hunter2"));
    let (families, malformed) = linux::families(&Reading::of(&output, "mark").unwrap(), &mut Memory::default());
    assert_eq!(malformed, []);
    assert!(families.page().finish(&End::default()).series > 200);
}

#[tokio::test]
async fn a_clock_in_1970_is_shown_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let date = folder.path().join("date");
    std::fs::write(&date, "#!/bin/sh\necho 'date:12.5 +0530 IST'\n").unwrap();
    std::fs::set_permissions(&date, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let script = format!("PATH={}:$PATH; export PATH; exec /bin/sh -s", folder.path().display());
    let Some(output) = answer(&script).await else { return };
    let output = output.unwrap();
    let (mut families, _) = linux::families(&Reading::of(&output, "mark").unwrap(), &mut Memory::default());
    assert_eq!(families.take("node_time_seconds"), Some(12.5));
    assert_eq!(families.take("node_time_zone_offset_seconds"), Some(19800.0));
}

async fn open(address: SocketAddr) -> Failure {
    let who = Identity { id: "vc01/1".to_owned(), names: vec!["127.0.0.1".to_owned()], port: address.port() };
    let login = Login { username: "u".to_owned(), key: None, agent: Some("/nowhere".into()), password: None };
    Connection::open(address, who, Arc::new(HostKeys::default()), &login, SHORT).await.unwrap_err()
}

/// A listener, and the first connection to it.
async fn listener() -> (SocketAddr, tokio::task::JoinHandle<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(async move { listener.accept().await.unwrap().0 }))
}

#[tokio::test]
async fn what_does_not_speak_ssh_is_named_and_leaves_no_connection() {
    let (address, connection) = listener().await;
    assert_eq!(open(address).await.reason(), "connect_timeout");
    let mut silent = connection.await.unwrap();
    let mut hello = Vec::new();
    timeout(Duration::from_secs(2), silent.read_to_end(&mut hello)).await.expect("it is closed").unwrap();
    assert!(hello.starts_with(b"SSH-2.0-"), "{hello:?}");

    // It says hello, and nothing more: the key exchange never ends.
    let (address, connection) = listener().await;
    let half = tokio::spawn(async move {
        let mut connection = connection.await.unwrap();
        connection.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await.unwrap();
        let mut all = Vec::new();
        timeout(Duration::from_secs(8), connection.read_to_end(&mut all)).await.expect("it is closed").unwrap();
    });
    assert_eq!(open(address).await.reason(), "connect_timeout");
    half.await.unwrap();

    let (address, connection) = listener().await;
    tokio::spawn(async move {
        let mut connection = connection.await.unwrap();
        let _gone = connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    let error = open(address).await;
    assert!(matches!(error.reason(), "protocol" | "unreachable" | "connect_timeout"), "{error}");

    let free = lynceus_demo::free_port();
    assert_eq!(open(([127, 0, 0, 1], free).into()).await.reason(), "unreachable");
}
