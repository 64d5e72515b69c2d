//! Start, reload, stop, and what goes wrong on the way.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use lynceus_demo::{Process, free_port};

const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn greeter() -> PathBuf {
    let deps = std::env::current_exe().unwrap();
    deps.ancestors().nth(2).unwrap().join("examples/greeter")
}

/// Starts a greeter that greets with `hello`; gives it and its base URL.
async fn start(dir: &Path, more: &[&str]) -> (Process, String) {
    let port = free_port();
    std::fs::write(dir.join("greeter.yml"), "greeting: hello\n").unwrap();
    let mut command = Command::new(greeter());
    command.arg(format!("--web.listen-address=127.0.0.1:{port}")).args(more);
    let mut process = Process::start("greeter", command, dir).unwrap();
    let base = format!("http://127.0.0.1:{port}");
    process.wait_for_http(&format!("{base}/-/ready"), LIMIT).await.unwrap();
    (process, base)
}

async fn get(url: String) -> String {
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

/// Runs a greeter that is expected to end by itself.
fn run_to_end(dir: &Path, arguments: &[&str]) -> (i32, String) {
    let Output { status, stderr, .. } = Command::new(greeter()).current_dir(dir).args(arguments).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

#[tokio::test]
async fn a_request_in_flight_is_answered_after_sigterm() {
    let dir = tempfile::tempdir().unwrap();
    let (mut process, base) = start(dir.path(), &[]).await;
    let slow = tokio::spawn(get(format!("{base}/slow")));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let status = process.terminate(LIMIT).await.unwrap();
    assert_eq!(slow.await.unwrap(), "at last");
    assert!(status.success(), "{status}: {}", process.log());
    assert!(reqwest::get(base).await.is_err());
}

#[tokio::test]
async fn the_grace_period_ends_what_takes_too_long() {
    let dir = tempfile::tempdir().unwrap();
    let (mut process, base) = start(dir.path(), &["--shutdown.grace-period=200ms"]).await;
    let slow = tokio::spawn(reqwest::get(format!("{base}/slow")));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let start = Instant::now();
    assert!(process.terminate(LIMIT).await.unwrap().success());
    assert!(start.elapsed() < Duration::from_millis(1_500), "{:?}", start.elapsed());
    assert!(slow.await.unwrap().is_err());
    assert!(process.log().contains("the grace period is over"), "{}", process.log());
}

#[tokio::test]
async fn a_body_that_does_not_come_gives_its_connection_back() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let dir = tempfile::tempdir().unwrap();
    let (_process, base) = start(dir.path(), &[]).await;
    let address = base.strip_prefix("http://").unwrap();
    let mut half_sent = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!("POST /echo HTTP/1.1\r\nhost: {address}\r\ncontent-length: 10\r\n\r\nhalf");
    half_sent.write_all(head.as_bytes()).await.unwrap();
    let start = Instant::now();
    let mut answer = String::new();
    half_sent.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!((25..40).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test]
async fn the_shared_pages_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let (_process, base) = start(dir.path(), &[]).await;
    assert_eq!(get(format!("{base}/-/healthy")).await, "Healthy\n");
    let page = get(format!("{base}/")).await;
    assert!(page.contains("href=\"/greeting\"") && page.contains("href=\"/metrics\""), "{page}");
    let metrics = get(format!("{base}/metrics")).await;
    let version = env!("CARGO_PKG_VERSION");
    assert!(metrics.contains(&format!("greeter_build_info{{version=\"{version}\"}} 1")), "{metrics}");
    assert!(metrics.contains("greeter_config_last_reload_successful 1"), "{metrics}");
}

#[tokio::test]
async fn a_reload_takes_a_good_config_and_refuses_a_bad_one() {
    let dir = tempfile::tempdir().unwrap();
    let (process, base) = start(dir.path(), &[]).await;
    let config = dir.path().join("greeter.yml");
    let reload = || async { reqwest::Client::new().post(format!("{base}/-/reload")).send().await.unwrap() };

    std::fs::write(&config, "greeting: good morning\n").unwrap();
    assert_eq!(reload().await.status(), 200);
    assert_eq!(get(format!("{base}/greeting")).await, "good morning");

    std::fs::write(&config, "# a comment\ngreting: hi\n").unwrap();
    let refused = reload().await;
    assert_eq!(refused.status(), 500);
    let text = refused.text().await.unwrap();
    assert!(text.starts_with("greeter.yml:2: greting: unknown field `greting`"), "{text}");
    assert_eq!(get(format!("{base}/greeting")).await, "good morning");
    assert!(get(format!("{base}/metrics")).await.contains("greeter_config_last_reload_successful 0"));

    std::fs::write(&config, "greeting: good night\n").unwrap();
    process.signal(nix::sys::signal::Signal::SIGHUP).unwrap();
    lynceus_demo::eventually(LIMIT, "the new greeting", || async {
        let greeting = get(format!("{base}/greeting")).await;
        anyhow::ensure!(greeting == "good night", "{greeting}");
        Ok(())
    })
    .await
    .unwrap();
}

#[test]
fn check_config_says_what_is_wrong_and_exits_with_2() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("greeter.yml");
    std::fs::write(&config, "greeting: hello\n").unwrap();
    assert_eq!(run_to_end(dir.path(), &["--check-config"]), (0, "greeter.yml: valid\n".to_owned()));
    std::fs::write(&config, "greeting: ''\n").unwrap();
    let problem = "greeter.yml:1: greeting: expected a text, found nothing\n".to_owned();
    assert_eq!(run_to_end(dir.path(), &["--check-config"]), (2, problem));
    let (code, text) = run_to_end(dir.path(), &["--config.file=absent.yml"]);
    assert_eq!((code, text.contains("absent.yml: No such file")), (2, true), "{text}");
}

#[test]
fn a_taken_port_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("greeter.yml"), "greeting: hello\n").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, log) = run_to_end(dir.path(), &["--web.listen-address", &address]);
    assert_eq!(code, 1);
    assert!(log.contains(&format!("failed to listen on `{address}` (")), "{log}");
    assert!(log.contains("): Address already in use"), "{log}");
}

#[test]
fn logs_are_json_when_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("greeter.yml"), "greeting: hello\n").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (_, log) = run_to_end(dir.path(), &["--log.format=json", "--web.listen-address", &address]);
    assert!(log.starts_with('{') && log.contains("\"level\":\"ERROR\""), "{log}");
}

#[test]
fn the_version_is_printed() {
    let Output { status, stdout, .. } = Command::new(greeter()).arg("--version").output().unwrap();
    let expected = format!("greeter {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((status.code(), String::from_utf8(stdout).unwrap()), (Some(0), expected));
}
