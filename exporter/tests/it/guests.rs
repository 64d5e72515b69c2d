//! Guests from the rules to Prometheus: which there are, their pages, what becomes of one that does not answer.

use lynceus_demo::{Process, eventually, free_port, parts};
use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;

use crate::sshd::Sshd;
use crate::support::{Estate, Exporter, LIMIT, estate, value};
use crate::vcsim::pyvmomi;

/// VMs that say that their guests are at loopback, where one server plays them all.
async fn with_guests(vms: u32) -> Option<(Estate, Sshd)> {
    with_shell(vms, "/bin/sh").await
}

async fn with_shell(vms: u32, shell: &str) -> Option<(Estate, Sshd)> {
    let (estate, sshd) = (estate(vms).await?, Sshd::start(shell, "").await?);
    let code = "for vm in vms:\n    address = vim.option.OptionValue(key='SET.guest.ipAddress', value='127.0.0.1')\n\
                \x20   vm.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[address]))\n";
    pyvmomi(&estate.vcsim.url, code)?;
    Some((estate, sshd))
}

fn config(estate: &Estate, sshd: &Sshd, rules: &str) -> String {
    let guests = format!(
        "guests:\n  allowed_networks: [127.0.0.0/8]\n  interval: 1s\n  host_keys: {{ learn: true }}\n\
         \x20 credentials: {{ key: {{ username: guest, private_key_file: {} }} }}\n  rules:\n{rules}\n\
         \x20   - {{ credential: key, port: {} }}\n",
        sshd.path("user").display(),
        sshd.address.port()
    );
    estate.front.config("", &guests)
}

async fn listed(exporter: &Exporter) -> anyhow::Result<Vec<Value>> {
    let (status, text) = exporter.get("/sd/guests").await?;
    anyhow::ensure!(status == 200, "{status}: {text}");
    Ok(serde_json::from_str(&text)?)
}

/// Paths of the pages, as soon as there are so many and each is served.
async fn served(exporter: &Exporter, count: usize) -> Vec<String> {
    let all = eventually(LIMIT, "the pages of all guests", || async {
        let targets = listed(exporter).await?;
        anyhow::ensure!(targets.len() == count, "{} guests", targets.len());
        let mut paths = Vec::new();
        for target in &targets {
            let path = target["labels"]["__metrics_path__"].as_str().unwrap().to_owned();
            let (status, text) = exporter.get(&path).await?;
            anyhow::ensure!(status == 200, "{path}: {status}: {text}");
            paths.push(path);
        }
        Ok(paths)
    });
    all.await.unwrap_or_else(|error| panic!("{error:#}\nlog:\n{}", exporter.process.log()))
}

/// A Prometheus that finds the guests by itself.
struct Prometheus {
    url: String,
    process: Process,
    _dir: TempDir,
}

impl Prometheus {
    async fn start(exporter: &Exporter, more: &str) -> Self {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nscrape_configs:\n  - job_name: node\n\
             \x20   http_sd_configs: [{{ url: '{}/sd/guests', refresh_interval: 1s }}]\n{more}",
            exporter.url
        );
        let process = parts::prometheus(dir.path(), &config, port, &[]).await.unwrap();
        Self { url: format!("http://127.0.0.1:{port}/api/v1"), process, _dir: dir }
    }

    async fn get(&self, path: &str, params: &[(&str, &str)]) -> anyhow::Result<Value> {
        let url = reqwest::Url::parse_with_params(&format!("{}/{path}", self.url), params)?;
        Ok(reqwest::get(url).await?.json().await?)
    }

    /// Labels and values.
    async fn ask(&self, query: &str) -> anyhow::Result<Vec<(Value, f64)>> {
        let body = self.get("query", &[("query", query)]).await?;
        let result = body["data"]["result"].as_array().cloned().unwrap_or_default();
        let one = |series: &Value| (series["metric"].clone(), series["value"][1].as_str().unwrap().parse().unwrap());
        Ok(result.iter().map(one).collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_guest_is_a_target_and_keeps_its_connection() {
    let Some((estate, sshd)) = with_guests(12).await else { return };
    let skipped = "    - { vm_name: 'DC0_C0_RP0_VM0', skip: true }";
    let exporter = Exporter::start(estate.dir.path(), &config(&estate, &sshd, skipped)).await;
    let paths = served(&exporter, 11).await;

    let prometheus = Prometheus::start(&exporter, "").await;
    let ask = async |query: &str| prometheus.ask(query).await;
    let up = eventually(LIMIT, "all guests to be up", || async {
        let up = ask("up{job=\"node\"} == 1").await?;
        anyhow::ensure!(up.len() == 11, "{up:?}");
        anyhow::ensure!(ask("rate(node_cpu_seconds_total{mode=\"idle\"}[10s]) > 0").await?.len() >= 11, "no rates yet");
        Ok(up)
    });
    let up = up.await.unwrap_or_else(|error| panic!("{error:#}\nlog:\n{}", prometheus.process.log()));
    let labels = up[0].0.as_object().unwrap();
    for label in ["instance", "vcenter", "vm_id", "vm", "team", "os"] {
        assert!(labels.contains_key(label), "{label}: {labels:?}");
    }
    assert_eq!(labels["vcenter"], "vc01");
    // The guest's clock is this machine's, and the page is read again and again while it gets older.
    let drift = ask("node_time_seconds - timestamp(node_time_seconds)").await.unwrap();
    assert!(drift.len() == 11 && drift.iter().all(|(_, drift)| drift.abs() < 0.5), "{drift:?}");

    // Each still has the connection that it began with.
    assert_eq!(exporter.own("lynceus_exporter_guest_handshakes_total{").await, 11.0);
    assert!(exporter.own("lynceus_exporter_guest_collections_total{").await > 33.0);
    assert_eq!(sshd.process.log().matches("Accepted publickey").count(), 11);
    let page = exporter.get(&paths[0]).await.unwrap().1;
    assert!(value(&page, "lynceus_guest_age_seconds").unwrap() < 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_is_gone_is_down_with_the_reason_and_comes_back() {
    let Some((estate, mut sshd)) = with_guests(4).await else { return };
    let exporter = Exporter::start(estate.dir.path(), &config(&estate, &sshd, "")).await;
    let paths = served(&exporter, 4).await;

    // One is switched off, which is no failure; one has moved out of the networks that are allowed.
    let code = "vms[0].PowerOffVM_Task()\n\
                address = vim.option.OptionValue(key='SET.guest.ipAddress', value='192.0.2.1')\n\
                vms[1].ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[address]))\nprint(vms[1].config.instanceUuid)";
    let moved = pyvmomi(&estate.vcsim.url, code).unwrap();
    let moved = format!("/guest/vc01/{}/metrics", moved.trim());
    eventually(LIMIT, "three guests", || async {
        anyhow::ensure!(listed(&exporter).await?.len() == 3, "not yet");
        let (status, text) = exporter.get(&moved).await?;
        anyhow::ensure!(status == 503 && text.contains("no address within the networks"), "{status}: {text}");
        Ok(())
    })
    .await
    .unwrap();

    let targets = listed(&exporter).await.unwrap();
    let left = targets.iter().map(|target| target["labels"]["__metrics_path__"].as_str().unwrap());
    let left: Vec<_> = left.filter(|path| *path != moved).collect();
    assert!(left.len() == 2 && left.iter().all(|path| paths.iter().any(|before| before == path)), "{left:?}");

    sshd.process.kill().await;
    let answers = async |expected: u16, part: &str| {
        let all = eventually(LIMIT, part, || async {
            for path in &left {
                let (status, text) = exporter.get(path).await?;
                anyhow::ensure!(status == expected && text.contains(part), "{path}: {status}: {text}");
            }
            Ok(())
        });
        all.await.unwrap_or_else(|error| panic!("{error:#}\nlog:\n{}", exporter.process.log()));
    };
    answers(503, "cannot be reached").await;
    let failed = "lynceus_exporter_guest_collections_failed_total{vcenter=\"vc01\",reason=\"unreachable\"}";
    assert!(exporter.own(failed).await > 0.0);
    sshd.restart().await;
    answers(200, "node_cpu_seconds_total").await;
}

/// Metrics of the rules below that a guest shows only where it has what they are of.
const SELDOM: [&str; 4] = ["node_md_", "node_timex_", "node_textfile_", "node_bonding_"];

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_of_node_exporter_find_their_metrics() {
    let Some((estate, sshd)) = with_guests(4).await else { return };
    let exporter = Exporter::start(estate.dir.path(), &config(&estate, &sshd, "")).await;
    served(&exporter, 4).await;
    let folder = lynceus_demo::repository().join("exporter/tests/golden/node-mixin");
    let rules = format!("rule_files: ['{}/*.yml']\n", folder.display());
    let prometheus = Prometheus::start(&exporter, &rules).await;
    let recorded = "instance:node_cpu_utilisation:rate5m";
    eventually(LIMIT, recorded, || async {
        let found = prometheus.ask(recorded).await?;
        anyhow::ensure!(found.len() == 4, "{found:?}");
        Ok(())
    })
    .await
    .unwrap();
    let body = prometheus.get("rules", &[]).await.unwrap();
    let groups = body["data"]["groups"].as_array().unwrap();
    let rules: Vec<_> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert_eq!(rules.len(), 29);
    let name = Regex::new("[a-zA-Z0-9_:]*node_[a-zA-Z0-9_:]+").unwrap();
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        for metric in name.find_iter(rule["query"].as_str().unwrap()).map(|found| found.as_str()) {
            if metric.contains(':') || SELDOM.iter().any(|prefix| metric.starts_with(prefix)) {
                continue;
            }
            let found = prometheus.ask(&format!("count by (vm_id) ({metric})")).await.unwrap();
            assert_eq!(found.len(), 4, "{metric}, of {}", rule["name"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_are_run_in_guests_and_checked() {
    let Some((estate, sshd)) = with_guests(4).await else { return };
    let config = config(&estate, &sshd, "").replace("credential: key,", "credential: key, scripts: [good, bad],");
    let scripts = "  scripts:\n    good:\n      script: |\n        echo '{\"metrics\": [{\"name\": \"app_users\", \"type\": \"gauge\", \
                   \"labels\": {\"site\": \"a\"}, \"value\": 7}]}'\n    bad: { script: 'echo {]' }\n";
    let exporter =
        Exporter::start(estate.dir.path(), &config.replace("  rules:\n", &format!("{scripts}  rules:\n"))).await;
    let paths = served(&exporter, 4).await;
    let page = eventually(LIMIT, "what the scripts print", || async {
        let (_, page) = exporter.get(&paths[0]).await?;
        anyhow::ensure!(page.contains("app_users"), "{page}");
        Ok(page)
    });
    let page = page.await.unwrap();
    assert_eq!(value(&page, "app_users{site=\"a\"}"), Some(7.0));
    assert_eq!(value(&page, "lynceus_guest_script_success{script=\"good\"}"), Some(1.0));
    assert_eq!(value(&page, "lynceus_guest_script_success{script=\"bad\"}"), Some(0.0));
    let log = exporter.process.log();
    assert!(log.contains("script=\"bad\" error=\"line 1, column 2 of its output:"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_rules_for_guests_there_are_none_and_that_is_said() {
    let Some(estate) = estate(4).await else { return };
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config("", "")).await;
    let (status, text) = exporter.get("/sd/guests").await.unwrap();
    assert_eq!((status, text.as_str()), (404, "no guests are collected: the config has no `guests`\n"));
    let (status, text) = exporter.get("/guest/vc02/x/metrics").await.unwrap();
    assert!(status == 404 && text.contains("no vCenter `vc02`"), "{status}: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_costs_only_itself_and_is_told_once() {
    let Some((estate, sshd)) = with_shell(4, "SHELL").await else { return };
    sshd.set_shell("/bin/sh -s | sed 's|^/proc/loadavg:.*|/proc/loadavg:low|'");
    let exporter = Exporter::start(estate.dir.path(), &config(&estate, &sshd, "")).await;
    let paths = served(&exporter, 4).await;
    eventually(LIMIT, "three collections of each", || async {
        let collections = exporter.own("lynceus_exporter_guest_collections_total{").await;
        anyhow::ensure!(collections >= 12.0, "{collections}");
        Ok(())
    })
    .await
    .unwrap();
    let page = exporter.get(&paths[0]).await.unwrap().1;
    assert_eq!(value(&page, "node_scrape_collector_success{collector=\"loadavg\"}"), Some(0.0));
    assert_eq!(value(&page, "node_scrape_collector_success{collector=\"cpu\"}"), Some(1.0));
    let log = exporter.process.log();
    let told = log.matches("malformed=\"`/proc/loadavg`: expected a number, found `low`\"").count();
    assert_eq!(told, 4, "once for each guest:\n{log}");
}
