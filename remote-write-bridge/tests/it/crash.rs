//! Bridge and engine are killed at random moments under load, answers are lost on their way, the engine stands still:
//! then every acknowledged sample is there exactly once. `make crash-archive ROUNDS=1000`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lynceus_demo::eventually;
use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::durability::{Load, check, past};
use crate::support::{Archive, LIMIT, has_tools};

/// In `make test`; half a minute.
const ROUNDS: usize = 50;

/// Samples that are acknowledged between two blows, at least.
const BETWEEN: i64 = 400;

const CONFIG: &str =
    "ingest:\n  flush_interval: 50ms\nclickhouse:\n  url: http://127.0.0.1:{port}\n  request_timeout: 5s\n";

/// Between senders and bridge. Loses answers while it is told to.
struct Front {
    url: String,
    loses: Arc<AtomicBool>,
    lost: Arc<AtomicUsize>,
}

impl Front {
    async fn start(bridge: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let bridge = bridge.trim_start_matches("http://").to_owned();
        let (loses, lost) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let front = Self { url, loses: loses.clone(), lost: lost.clone() };
        tokio::spawn(async move {
            while let Ok((sender, _)) = listener.accept().await {
                let (bridge, loses, lost) = (bridge.clone(), loses.clone(), lost.clone());
                tokio::spawn(async move {
                    let Ok(bridge) = TcpStream::connect(bridge).await else { return };
                    let ((mut from, mut to), (mut answers, mut requests)) = (sender.into_split(), bridge.into_split());
                    let forward = tokio::spawn(async move { drop(tokio::io::copy(&mut from, &mut requests).await) });
                    let mut buffer = vec![0; 4096];
                    while let Ok(length @ 1..) = answers.read(&mut buffer).await {
                        if loses.load(Ordering::Relaxed) {
                            lost.fetch_add(1, Ordering::Relaxed);
                            break;
                        }
                        if to.write_all(&buffer[..length]).await.is_err() {
                            break;
                        }
                    }
                    forward.abort();
                });
            }
        });
        front
    }
}

/// What happened how often.
#[derive(Debug, Default)]
struct Blows {
    bridge_killed: usize,
    engine_killed: usize,
    both_killed: usize,
    engine_stopped: usize,
    answers_lost: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_every_acknowledged_sample_is_there_once() {
    if !has_tools(&["python"]) {
        return;
    }
    let rounds = std::env::var("LYNCEUS_CRASH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    let seed = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    println!("{rounds} rounds, seed {seed}");
    let mut archive = Archive::start_with(CONFIG).await;
    let front = Front::start(&archive.url).await;
    let (t, start, mut blows) = (past(), Instant::now(), Blows::default());
    let load = Load::start(&front.url, t);
    for round in 0..rounds {
        load.wait_for(BETWEEN).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..80))).await;
        let away = Duration::from_millis(random.random_range(0..200));
        match random.random_range(0..10) {
            0..4 => {
                archive.bridge.kill().await;
                tokio::time::sleep(away).await;
                archive.restart_bridge(CONFIG).await;
                blows.bridge_killed += 1;
            }
            4..6 => {
                archive.kill_engine().await;
                tokio::time::sleep(away).await;
                archive.start_engine().await;
                blows.engine_killed += 1;
            }
            6 => {
                archive.kill_engine().await;
                archive.bridge.kill().await;
                archive.restart_bridge(CONFIG).await;
                tokio::time::sleep(away).await;
                archive.start_engine().await;
                blows.both_killed += 1;
            }
            7 => {
                // Amid an insert whose answer the bridge does not live to hear.
                archive.clickhouse.as_ref().unwrap().signal(Signal::SIGSTOP).unwrap();
                tokio::time::sleep(away).await;
                archive.bridge.kill().await;
                archive.clickhouse.as_ref().unwrap().signal(Signal::SIGCONT).unwrap();
                archive.restart_bridge(CONFIG).await;
                blows.engine_stopped += 1;
            }
            _ => {
                front.loses.store(true, Ordering::Relaxed);
                tokio::time::sleep(away).await;
                front.loses.store(false, Ordering::Relaxed);
                blows.answers_lost += 1;
            }
        }
        if (round + 1) % 50 == 0 {
            println!("round {}: {} samples acknowledged, {:?}", round + 1, load.count(), start.elapsed());
        }
    }
    let (acknowledged, repeated) = load.finish().await;
    let stored = check(&archive, t, &acknowledged).await;
    // Roll-ups hold each of them once, too.
    let of_samples = archive.sql("SELECT count(), sum(value) FROM samples FINAL").await;
    eventually(LIMIT * 2, "roll-ups of all samples", || async {
        let rolled_up = archive.sql("SELECT sum(count), sum(sum) FROM rollup_1h FINAL").await;
        anyhow::ensure!(rolled_up == of_samples, "{rolled_up}, not {of_samples}; the log:\n{}", archive.bridge.log());
        Ok(())
    })
    .await
    .unwrap();
    println!(
        "{} samples acknowledged, {repeated} requests repeated, {} answers lost, {stored} samples stored once, 0 missing, \
         0 doubled; {blows:?}",
        acknowledged.iter().sum::<i64>(),
        front.lost.load(Ordering::Relaxed),
    );
    assert!(repeated > 0 && front.lost.load(Ordering::Relaxed) > 0);
}
