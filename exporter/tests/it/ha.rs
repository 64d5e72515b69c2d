//! Two exporters on the fleet's vCenter: one collects, and nothing is lost when it changes which.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lynceus_demo::{Process, eventually, free_port, tool};
use lynceus_fleet::lab::Plan;
use lynceus_fleet::model::{Counter, Entity, Power, Size, Tick};
use lynceus_fleet::{Fleet, Options};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::front::{Front, Reaction};
use crate::support::{Exporter, LIMIT, value};

const INTERVAL: Duration = Duration::from_secs(10);
const READY: &str = "vsphere_vm_cpu_ready_seconds_total";
const LEADER: &str = "lynceus_exporter_ha_leader";
const PEER_UP: &str = "lynceus_exporter_ha_peer_up";

/// A fleet whose samples come every 5 s, behind a front that notes who signs in.
struct Estate {
    fleet: Fleet,
    front: Front,
    users: Arc<Mutex<Vec<String>>>,
}

impl Estate {
    async fn start() -> Self {
        let plan = Plan::starting_now(Size::of(20), 4.0);
        let fleet = Fleet::start(Options::on_free_ports(plan)).await.unwrap();
        let front = Front::start(&fleet.addresses.vcenter.url).await;
        let users: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = users.clone();
        front.react(move |method, body| {
            if method == "Login" {
                let user = body.split_once("<userName>").and_then(|(_, rest)| rest.split('<').next()).unwrap();
                noted.lock().unwrap().push(user.to_owned());
            }
            Reaction::Forward
        });
        Self { fleet, front, users }
    }

    /// How often this exporter signed in.
    fn sign_ins(&self, name: &str) -> usize {
        self.users.lock().unwrap().iter().filter(|user| *user == name).count()
    }

    /// What the VMs have waited in these samples, in milliseconds.
    fn ready(&self, ticks: std::ops::Range<Tick>) -> BTreeMap<String, Vec<i64>> {
        let moment = self.fleet.lab.moment();
        let machines = moment.inventory.vms.iter().filter(|vm| vm.power == Power::On && !vm.config.template);
        let of = |vm: &lynceus_fleet::model::Vm| {
            let entity = Entity::Vm(vm.id);
            let found = moment.model.realtime_of(&moment.inventory, entity, ticks.clone(), Some(&[Counter::CpuReady]));
            let whole = found.series.into_iter().find(|series| series.instance.is_empty()).unwrap();
            (vm.config.instance_uuid.clone(), whole.values)
        };
        machines.map(of).collect()
    }

    /// Whether what the counters have grown by is the samples between two moments, the same for all VMs.
    fn is_exact(&self, before: &Page, after: &Page) -> bool {
        let ticks = before.tick - 12..after.tick + 1;
        let model = self.ready(ticks.clone());
        let grown: Vec<(&Vec<i64>, i64)> =
            model.iter().map(|(vm, samples)| (samples, after.ready[vm] - before.ready[vm])).collect();
        assert!(grown.len() >= 10, "{} VMs are on", grown.len());
        let length = usize::try_from(ticks.end - ticks.start).unwrap();
        (0..length).any(|from| {
            let is_sum =
                |until: usize| grown.iter().all(|(samples, grown)| samples[from..until].iter().sum::<i64>() == *grown);
            (from..=length).any(is_sum)
        })
    }

    /// The page of an exporter, once all counters are on it.
    async fn page(&self, exporter: &Exporter) -> Page {
        self.page_after(exporter, i64::MIN).await
    }

    /// The same, of so many samples later or more.
    async fn later(&self, exporter: &Exporter, samples: i64, before: &Page) -> Page {
        let sum = |page: &Page| page.ready.values().sum::<i64>();
        let mut last = self.page(exporter).await;
        while last.tick < before.tick + samples || sum(&last) == sum(before) {
            last = self.page_after(exporter, sum(&last)).await;
        }
        last
    }

    /// The same, once the VMs together have waited longer.
    async fn page_after(&self, exporter: &Exporter, before: i64) -> Page {
        let all = self.ready(0..1).len();
        let text = exporter
            .page_where("all counters, and newer ones", |page| {
                let ready = series(page, READY);
                let sum: f64 = ready.iter().map(|(_, value)| (value * 1000.0).round()).sum();
                ready.len() == all && sum as i64 > before
            })
            .await;
        let ready = series(&text, READY).into_iter().map(|(vm, value)| (vm, (value * 1000.0).round() as i64));
        Page { ready: ready.collect(), tick: self.fleet.lab.now().tick() }
    }
}

/// What VMs had waited, and the newest sample that could be in it.
struct Page {
    ready: BTreeMap<String, i64>,
    tick: Tick,
}

/// Values of a metric by VM.
fn series(page: &str, name: &str) -> Vec<(String, f64)> {
    let lines = page.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix("{vm_id=\""));
    lines
        .map(|line| (line.split('"').next().unwrap().to_owned(), line.rsplit(' ').next().unwrap().parse().unwrap()))
        .collect()
}

/// One of two.
struct Member {
    name: &'static str,
    dir: TempDir,
    port: u16,
    peer: u16,
}

impl Member {
    fn new(name: &'static str, port: u16, peer: u16) -> Self {
        Self { name, dir: tempfile::tempdir().unwrap(), port, peer }
    }

    fn pair() -> (Self, Self) {
        let (a, b) = (free_port(), free_port());
        (Self::new("a", a, b), Self::new("b", b, a))
    }

    async fn start(&self, estate: &Estate) -> Exporter {
        self.start_with(estate, "the secret").await
    }

    async fn start_with(&self, estate: &Estate, secret: &str) -> Exporter {
        let mut exporter = self.launch(estate, secret, None);
        exporter.process.wait_for_http(&format!("{}/-/ready", exporter.url), LIMIT).await.unwrap();
        exporter
    }

    /// Starts it and does not wait.
    fn launch(&self, estate: &Estate, secret: &str, web: Option<&str>) -> Exporter {
        let Self { name, dir, port, peer } = self;
        let (front, dir) = (&estate.front, dir.path());
        std::fs::write(dir.join("password"), "any").unwrap();
        std::fs::write(dir.join("secret"), secret).unwrap();
        let config = format!(
            "vcenters:\n- {{ name: vc01, url: '{}', username: {name}, password_file: password, tls: {{ pinned_sha256: [{}] }} }}\n\
             collection: {{ interval: 10s }}\n\
             ha: {{ peer: 'http://127.0.0.1:{peer}', name: {name}, secret_file: secret, lease: 3s }}\n",
            front.url, front.sha256
        );
        std::fs::write(dir.join("exporter.yml"), config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_lynceus-exporter"));
        command.arg("--config.file").arg(dir.join("exporter.yml"));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command.arg(format!("--web.external-url=http://127.0.0.1:{port}"));
        if let Some(web) = web {
            std::fs::write(dir.join("web.yml"), web).unwrap();
            command.arg("--web.config.file").arg(dir.join("web.yml"));
        }
        let process = Process::start("exporter", command, dir).unwrap();
        Exporter { process, url: format!("http://127.0.0.1:{port}") }
    }
}

async fn until(exporter: &Exporter, metric: &str, expected: f64) {
    let what = format!("{metric} {expected}");
    let is_so = eventually(LIMIT, &what, || async {
        let page = exporter.get("/metrics").await?.1;
        anyhow::ensure!(value(&page, metric) == Some(expected), "{page}");
        Ok(())
    });
    is_so.await.unwrap_or_else(|error| panic!("{error:#}\nlog:\n{}", exporter.process.log()));
}

/// What Prometheus does with both exporters: it asks both for targets, keeps the last answer of each, and scrapes what
/// it was told; four times a second.
struct Prometheus {
    stop: Arc<AtomicBool>,
    work: JoinHandle<Vec<String>>,
    /// When a page with counters last came.
    last: watch::Receiver<Instant>,
}

impl Prometheus {
    fn start(members: [&Member; 2]) -> Self {
        let bases = members.map(|member| format!("http://127.0.0.1:{}", member.port));
        let (stop, (sender, last)) = (Arc::new(AtomicBool::new(false)), watch::channel(Instant::now()));
        let stopped = stop.clone();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
        let work = tokio::spawn(async move {
            let (mut lists, mut seen, mut wrong) = ([Vec::new(), Vec::new()], BTreeMap::new(), Vec::new());
            while !stopped.load(Ordering::SeqCst) {
                for (base, list) in bases.iter().zip(&mut lists) {
                    if let Some(targets) = targets(&http, base).await {
                        *list = targets;
                    }
                }
                let targets: BTreeSet<String> = lists.iter().flatten().cloned().collect();
                for target in targets {
                    if let Some(page) = get(&http, &target).await {
                        if page.contains(READY) {
                            sender.send_replace(Instant::now());
                        }
                        check(&target, &page, &mut seen, &mut wrong);
                    }
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            wrong
        });
        Self { stop, work, last }
    }

    /// How long after this moment the next page with counters comes.
    async fn next_page(&mut self, after: Instant) -> Duration {
        let found = tokio::time::timeout(LIMIT, self.last.wait_for(|last| *last > after)).await;
        *found.unwrap().unwrap() - after
    }

    /// The counters that went back.
    async fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        self.work.await.unwrap()
    }
}

async fn get(http: &reqwest::Client, url: &str) -> Option<String> {
    http.get(url).send().await.ok()?.error_for_status().ok()?.text().await.ok()
}

async fn targets(http: &reqwest::Client, base: &str) -> Option<Vec<String>> {
    let list: serde_json::Value = serde_json::from_str(&get(http, &format!("{base}/sd/vcenters")).await?).ok()?;
    let url = |target: &serde_json::Value| {
        let (address, path) = (target["targets"][0].as_str()?, target["labels"]["__metrics_path__"].as_str()?);
        Some(format!("http://{address}{path}"))
    };
    list.as_array()?.iter().map(url).collect()
}

fn check(target: &str, page: &str, seen: &mut BTreeMap<String, f64>, wrong: &mut Vec<String>) {
    let counters: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        if counters.contains(series.split('{').next().unwrap()) {
            let value: f64 = value.parse().unwrap();
            if let Some(before) = seen.insert(series.to_owned(), value)
                && value < before
            {
                wrong.push(format!("{target}: {series} went from {before} back to {value}"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lead_changes_without_a_lost_sample_or_a_step_back() {
    let estate = Estate::start().await;
    let (of_a, of_b) = Member::pair();
    let mut a = of_a.start(&estate).await;
    until(&a, LEADER, 1.0).await;
    assert_eq!(a.own(PEER_UP).await, 0.0, "it leads alone, and says so");
    let first = estate.page(&a).await;

    let mut b = of_b.start(&estate).await;
    until(&b, PEER_UP, 1.0).await;
    let mut prometheus = Prometheus::start([&of_a, &of_b]);
    assert_eq!((b.own(LEADER).await, b.get("/-/ready").await.unwrap().0), (0.0, 200));
    let targets = a.get("/sd/vcenters").await.unwrap();
    assert!(targets.1.contains(&a.url["http://".len()..]) && targets.1.contains("\"exporter\":\"a\""), "{targets:?}");
    assert_eq!(b.get("/sd/vcenters").await.unwrap(), targets, "both name the leader");
    estate.page(&b).await;
    let http = reqwest::Client::builder().no_gzip().build().unwrap();
    let request = http.get(format!("{}/vcenter/vc01/metrics", b.url)).header("accept-encoding", "gzip");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert_eq!(answer.bytes().await.unwrap()[..2], [0x1f, 0x8b]);
    assert_eq!(b.get("/vcenter/none/metrics").await.unwrap().0, 404);
    let state = of_b.dir.path().join("data/vc01.state");
    eventually(LIMIT, "state at the standby", || async { Ok(std::fs::metadata(&state)?) }).await.unwrap();
    assert_eq!((estate.sign_ins("a"), estate.sign_ins("b")), (2, 0), "only one has sessions");

    let shown = estate.later(&b, 4, &first).await;
    assert!(estate.is_exact(&first, &shown), "samples through the standby");
    let killed = Instant::now();
    a.process.kill().await;
    until(&b, LEADER, 1.0).await;
    let took = prometheus.next_page(killed + Duration::from_millis(500)).await;
    assert!(took < 2 * INTERVAL, "taken over after {took:?}");
    let second = estate.later(&b, 4, &shown).await;
    assert!(estate.is_exact(&first, &second), "samples between the first page and the take-over");
    assert_eq!(b.own("lynceus_exporter_ha_takeovers_total").await, 1.0);

    let a = of_a.start(&estate).await;
    until(&a, PEER_UP, 1.0).await;
    until(&b, PEER_UP, 1.0).await;
    assert_eq!((a.own(LEADER).await, estate.sign_ins("a")), (0.0, 2), "the old leader is standby");
    assert!(a.get("/sd/vcenters").await.unwrap().1.contains(&b.url["http://".len()..]));

    let stopped = Instant::now();
    assert!(b.process.terminate(LIMIT).await.unwrap().success());
    assert!(b.process.log().contains("the lead is handed over"), "{}", b.process.log());
    assert_eq!(a.own(LEADER).await, 1.0, "at once, not after a lease");
    let took = prometheus.next_page(stopped + Duration::from_secs(1)).await;
    assert!(took < 2 * INTERVAL, "handed over after {took:?}");
    let third = estate.later(&a, 4, &second).await;
    assert!(estate.is_exact(&first, &third) && estate.is_exact(&second, &third), "samples over both changes");
    assert_eq!(prometheus.stop().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_refused_and_named() {
    let estate = Estate::start().await;
    let (of_a, of_b) = Member::pair();
    let a = of_a.start(&estate).await;
    let b = of_b.start_with(&estate, "another secret").await;
    until(&a, LEADER, 1.0).await;
    until(&b, LEADER, 1.0).await;
    assert_eq!((a.own(PEER_UP).await, b.own(PEER_UP).await), (0.0, 0.0));
    for exporter in [&a, &b] {
        let log = exporter.process.log();
        assert!(log.contains("refuses the secret: it has to be the same on both"), "{log}");
        assert!(log.contains("it has another secret"), "{log}");
        assert!(!log.contains("the secret\"") && !log.contains("another secret\""), "{log}");
    }
    let status = r#"{"name":"b","epoch":9,"role":"leader","word":[1,1]}"#;
    let request = reqwest::Client::new().post(format!("{}/ha/lease", a.url)).body(status);
    let answer = request.header("content-type", "application/json").send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(a.own(LEADER).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn state_is_taken_from_the_peer_only_and_of_known_vcenters_only() {
    let estate = Estate::start().await;
    let (of_a, _) = Member::pair();
    let a = of_a.start(&estate).await;
    // Only what is read to its end may be large: a refusal before that closes the connection while it is written.
    let post = |vcenter: &str, secret: &str, size: usize| {
        let request = reqwest::Client::new().post(format!("{}/ha/state/{vcenter}", a.url)).body("x".repeat(size));
        let request = request.bearer_auth(secret);
        async move {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        }
    };
    assert_eq!(post("vc01", "no secret", 1).await.0, 401);
    let (status, text) = post("..%2Fvc01", "the secret", 1).await;
    assert!(status == 422 && text.contains("expected a vCenter of the config"), "{status}: {text}");
    let (status, text) = post("vc01", "the secret", 3 << 20).await;
    assert!(status == 422 && text.contains("expected a file of this version"), "{status}: {text}");
}

/// A line between two that can be cut.
struct Line {
    port: u16,
    up: watch::Sender<bool>,
}

impl Line {
    async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let up = watch::Sender::new(true);
        let state = up.subscribe();
        tokio::spawn(async move {
            loop {
                let (mut from, _) = listener.accept().await.unwrap();
                let mut state = state.clone();
                tokio::spawn(async move {
                    if !*state.borrow() {
                        return;
                    }
                    let Ok(mut to) = TcpStream::connect(("127.0.0.1", to)).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut from, &mut to) => {}
                        _ = state.wait_for(|up| !*up) => {}
                    }
                });
            }
        });
        Self { port, up }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_partition_the_newer_leader_stays_and_has_what_the_other_has_shown() {
    let estate = Estate::start().await;
    let (port_a, port_b) = (free_port(), free_port());
    let (to_a, to_b) = (Line::start(port_a).await, Line::start(port_b).await);
    let (of_a, of_b) = (Member::new("a", port_a, to_b.port), Member::new("b", port_b, to_a.port));
    let a = of_a.start(&estate).await;
    until(&a, LEADER, 1.0).await;
    let first = estate.page(&a).await;
    let b = of_b.start(&estate).await;
    until(&b, PEER_UP, 1.0).await;
    let state = of_b.dir.path().join("data/vc01.state");
    eventually(LIMIT, "state at the standby", || async { Ok(std::fs::metadata(&state)?) }).await.unwrap();

    for line in [&to_a, &to_b] {
        line.up.send_replace(false);
    }
    until(&b, LEADER, 1.0).await;
    until(&a, PEER_UP, 0.0).await;
    assert_eq!(a.own(LEADER).await, 1.0, "both lead");
    let (of_one, of_other) = (estate.later(&a, 3, &first).await, estate.later(&b, 3, &first).await);
    assert!(estate.is_exact(&first, &of_one) && estate.is_exact(&first, &of_other), "the same samples");

    // Prometheus is at the old leader only.
    let (mut seen, mut wrong) = (BTreeMap::new(), Vec::new());
    let url = format!("{}/vcenter/vc01/metrics", a.url);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for line in [&to_a, &to_b] {
        line.up.send_replace(true);
    }
    let (start, mut passed) = (Instant::now(), None::<Instant>);
    while passed.is_none_or(|since| since.elapsed() < INTERVAL) {
        assert!(start.elapsed() < LIMIT, "log of a:\n{}\nlog of b:\n{}", a.process.log(), b.process.log());
        if let Some(page) = get(&http, &url).await {
            check(&url, &page, &mut seen, &mut wrong);
        }
        if passed.is_none() && a.own(LEADER).await == 0.0 {
            passed = Some(Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(b.own(LEADER).await, 1.0, "the newer epoch stays");
    let last = estate.later(&a, 3, &of_one).await;
    assert!(estate.is_exact(&first, &last) && estate.is_exact(&of_other, &last), "samples over all of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_has_one_target_at_a_time_and_sees_no_reset() {
    if tool("prometheus").is_none() {
        return;
    }
    let estate = Estate::start().await;
    let (of_a, of_b) = Member::pair();
    let mut a = of_a.start(&estate).await;
    until(&a, LEADER, 1.0).await;
    let first = estate.page(&a).await;
    let b = of_b.start(&estate).await;
    until(&b, PEER_UP, 1.0).await;

    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let config = format!(
        "global: {{ scrape_interval: 1s }}\nscrape_configs:\n- job_name: vsphere\n  http_sd_configs:\n  \
         - {{ url: '{}/sd/vcenters', refresh_interval: 1s }}\n  - {{ url: '{}/sd/vcenters', refresh_interval: 1s }}\n  \
         metric_relabel_configs: [{{ regex: exporter|shard, action: labeldrop }}]\n",
        a.url, b.url
    );
    let _prometheus = lynceus_demo::parts::prometheus(dir.path(), &config, port, &[]).await.unwrap();
    let ask = |query: &'static str| async move {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let request = http.get(format!("http://127.0.0.1:{port}/api/v1/query")).query(&[("query", query)]);
        let answer: serde_json::Value = request.send().await?.json().await?;
        let value = &answer["data"]["result"][0]["value"][1];
        Ok::<f64, anyhow::Error>(value.as_str().unwrap_or("NaN").parse()?)
    };
    let is = |query: &'static str, expected: f64| async move {
        let found = eventually(LIMIT, query, || async {
            let found = ask(query).await?;
            anyhow::ensure!(found == expected, "{query}: {found}");
            Ok(())
        });
        found.await.unwrap();
    };
    is("count(up{job='vsphere'} == 1)", 1.0).await;
    is("up{exporter='a'}", 1.0).await;
    let all = estate.ready(0..1).len() as f64;
    is("count(vsphere_vm_cpu_ready_seconds_total)", all).await;
    let state = of_b.dir.path().join("data/vc01.state");
    eventually(LIMIT, "state at the standby", || async { Ok(std::fs::metadata(&state)?) }).await.unwrap();
    estate.later(&b, 4, &first).await;

    a.process.kill().await;
    is("up{exporter='b'}", 1.0).await;
    is("up{exporter='a'}", 0.0).await;
    let last = estate.later(&b, 4, &first).await;
    assert!(estate.is_exact(&first, &last));
    is("count(vsphere_vm_cpu_ready_seconds_total)", all).await;
    assert_eq!(
        ask("count(count_over_time(vsphere_vm_cpu_ready_seconds_total[1h]))").await.unwrap(),
        all,
        "no new series"
    );
    for resets in [
        "sum(resets(vsphere_vm_cpu_ready_seconds_total[1h]))",
        "sum(resets(vsphere_vm_disk_write_bytes_total[1h]))",
        "sum(resets(vsphere_host_network_receive_bytes_total[1h]))",
        "sum(resets(vsphere_collector_samples_total[1h]))",
    ] {
        assert_eq!(ask(resets).await.unwrap(), 0.0, "{resets}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_of_the_listener_is_not_asked_of_the_other_exporter() {
    let estate = Estate::start().await;
    let (of_a, _) = Member::pair();
    let a = of_a.launch(
        &estate,
        "the secret",
        Some("basic_auth_users: { prometheus: $2b$05$abcdefghijklmnopqrstuuHIrMEWpUCQe2YqFR3sXwQ75u4od..9q }\n"),
    );
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let status = |path: &'static str, secret: &'static str| {
        let request =
            http.post(format!("{}{path}", a.url)).bearer_auth(secret).header("content-type", "application/json");
        let request = request.body(r#"{"name":"b","epoch":0,"role":"looking","word":[1,1]}"#);
        async move { Ok::<u16, anyhow::Error>(request.send().await?.status().as_u16()) }
    };
    let is_open = eventually(LIMIT, "the listener", || async {
        anyhow::ensure!(status("/ha/lease", "the secret").await? == 200);
        Ok(())
    });
    is_open.await.unwrap();
    assert_eq!(status("/ha/lease", "another").await.unwrap(), 401);
    assert_eq!(status("/-/reload", "the secret").await.unwrap(), 401);
    assert_eq!(a.get("/vcenter/vc01/metrics").await.unwrap().0, 401);
}
