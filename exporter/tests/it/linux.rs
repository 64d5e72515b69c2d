//! The collector of Linux guests beside a real node_exporter, on the same machine at the same moment.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lynceus_demo::{Process, free_port, tool};
use lynceus_exporter::exposition::End;
use lynceus_exporter::guest::linux::{self, Memory, Wanted};
use lynceus_exporter::guest::reading::{self, Reading};
use lynceus_exporter::guest::scripts::{self, ScriptError};
use tempfile::TempDir;

use crate::support::LIMIT;

/// What node_exporter shows and we do not, with the reason.
const WITHOUT: [(&str, &str); 6] = [
    ("go_", "of the agent itself"),
    ("process_", "of the agent itself"),
    ("promhttp_", "of the agent itself"),
    ("node_exporter_build_info", "of the agent itself"),
    ("node_scrape_collector_duration_seconds", "the script is one, and nothing in it is timed"),
    ("node_textfile_", "files that agents of others leave for the agent"),
];

/// Of the system call adjtimex(2), which no shell can make.
const TIMEX: &str = "node_timex_";

/// Gauges that move between two reads.
const MOVING: [&str; 12] = [
    "node_memory_",
    "node_procs_",
    "node_load",
    "node_entropy_",
    "node_filefd_",
    "node_sockstat_",
    "node_disk_io_now",
    "node_filesystem_",
    "node_arp_entries",
    "node_nf_conntrack_",
    "node_time_seconds",
    "node_udp_queues",
];

/// A family as a page shows it.
#[derive(Debug, Default, PartialEq)]
struct Family {
    kind: String,
    help: String,
    samples: BTreeMap<String, f64>,
}

fn parse(page: &str) -> BTreeMap<String, Family> {
    let mut families = BTreeMap::<String, Family>::new();
    for line in page.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            help.clone_into(&mut families.entry(name.to_owned()).or_default().help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            kind.clone_into(&mut families.entry(name.to_owned()).or_default().kind);
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let family = families.entry(name.to_owned()).or_default();
            family.samples.insert(sorted(labels.trim_end_matches('}')), value.parse().unwrap());
        }
    }
    families
}

/// Labels in the order of their names, without those that have no value: to Prometheus it is the same.
fn sorted(labels: &str) -> String {
    let pairs = labels.trim_end_matches('"').split("\",");
    let pairs: BTreeSet<_> = pairs.filter(|pair| !pair.ends_with(['=', '"'])).collect();
    pairs.into_iter().collect::<Vec<_>>().join(",")
}

/// One run of the script by a shell of this machine.
fn collected(shell: &[&str], path: Option<&Path>, wanted: Wanted) -> String {
    let text = printed(shell, path, &linux::script(MARK, wanted));
    let reading = Reading::of(&text, MARK).unwrap();
    let (families, malformed) = linux::families(&reading, &mut Memory::default());
    assert_eq!(malformed, []);
    families.page().finish(&End::default()).text()
}

const MARK: &str = "lynceus5f0c";

/// What a shell prints that is given this.
fn printed(shell: &[&str], path: Option<&Path>, script: &str) -> String {
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let mut shell_process = command.spawn().unwrap();
    let mut input = shell_process.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, script.as_bytes()).unwrap();
    drop(input);
    let output = shell_process.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout).unwrap()
}

struct NodeExporter {
    url: String,
    _process: Process,
    _dir: TempDir,
}

async fn node_exporter() -> Option<NodeExporter> {
    let program = tool("node_exporter")?;
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let url = format!("http://127.0.0.1:{port}/metrics");
    let mut command = Command::new(program);
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    // Debian's has other defaults than its authors'.
    command.args(["--collector.netdev.device-exclude=", "--no-collector.systemd"]);
    command.arg(concat!(
        "--collector.filesystem.mount-points-exclude=",
        "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)"
    ));
    let mut process = Process::start("node_exporter", command, dir.path()).unwrap();
    process.wait_for_http(&url, LIMIT).await.unwrap();
    Some(NodeExporter { url, _process: process, _dir: dir })
}

impl NodeExporter {
    async fn page(&self) -> BTreeMap<String, Family> {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        parse(&client.get(&self.url).send().await.unwrap().text().await.unwrap())
    }
}

fn differences(
    before: &BTreeMap<String, Family>,
    ours: &BTreeMap<String, Family>,
    after: &BTreeMap<String, Family>,
) -> String {
    let mut found = String::new();
    for (name, theirs) in before {
        let is_without = WITHOUT.iter().any(|(prefix, _)| name.starts_with(prefix));
        if is_without || (name.starts_with(TIMEX) && !ours.contains_key(name)) {
            continue;
        }
        let (Some(our), Some(later)) = (ours.get(name), after.get(name)) else {
            writeln!(found, "{name}: missing").unwrap();
            continue;
        };
        if (&our.kind, &our.help) != (&theirs.kind, &theirs.help) {
            writeln!(found, "{name}: {} `{}`, not {} `{}`", our.kind, our.help, theirs.kind, theirs.help).unwrap();
        }
        for (labels, &first) in &theirs.samples {
            // It went away meanwhile.
            let Some(&last) = later.samples.get(labels) else { continue };
            let Some(&value) = our.samples.get(labels) else {
                // Collectors that we have no match for say themselves whether they had data.
                if name != "node_scrape_collector_success" {
                    writeln!(found, "{name}{{{labels}}}: missing; there are {:?}", our.samples.keys()).unwrap();
                }
                continue;
            };
            let is_moving = MOVING.iter().any(|prefix| name.starts_with(prefix));
            let least = if name.ends_with("_bytes") { f64::from(32 << 20) } else { 64.0 };
            let slack = if is_moving { least + first.abs() / 4.0 } else { 0.0 };
            let (low, high) = (first.min(last) - slack, first.max(last) + slack);
            if !(low..=high).contains(&value) {
                writeln!(found, "{name}{{{labels}}}: {value}, not from {first} to {last}").unwrap();
            }
        }
        for labels in our.samples.keys().filter(|labels| !theirs.samples.contains_key(*labels)) {
            if name != "node_scrape_collector_success" && !later.samples.contains_key(labels) {
                writeln!(found, "{name}{{{labels}}}: node_exporter has none").unwrap();
            }
        }
    }
    let more = ours.keys().filter(|name| name.starts_with("node_") && !before.contains_key(*name));
    for name in more.filter(|name| !name.starts_with(TIMEX)) {
        writeln!(found, "{name}: node_exporter has none").unwrap();
    }
    found
}

#[test]
fn what_is_missing_is_in_the_docs() {
    let docs = std::fs::read_to_string(lynceus_demo::repository().join("docs/guests.md")).unwrap();
    for (name, _) in WITHOUT {
        assert!(docs.contains(&format!("`{}", name)), "{name}");
    }
}

#[tokio::test]
async fn a_guest_shows_what_node_exporter_shows() {
    let Some(node_exporter) = node_exporter().await else { return };
    // Its programs are busybox', as on Alpine.
    let busybox = tempfile::tempdir().unwrap();
    let program = tool("busybox").unwrap().canonicalize().unwrap();
    for name in ["sh", "cat", "date", "getconf", "grep", "head", "sed", "stat", "timeout", "tr", "uname"] {
        std::os::unix::fs::symlink(&program, busybox.path().join(name)).unwrap();
    }
    let small = busybox.path().join("sh").display().to_string();
    let shells: [(&[&str], Option<&Path>); 4] = [
        (&["dash", "-s"], None),
        (&["bash", "-s"], None),
        (&["bash", "--posix", "-s"], None),
        (&[&small, "-s"], Some(busybox.path())),
    ];
    for (shell, path) in shells {
        let before = node_exporter.page().await;
        let ours = parse(&collected(shell, path, Wanted::default()));
        let after = node_exporter.page().await;
        let found = differences(&before, &ours, &after);
        println!(
            "{}: {} families, {} series",
            shell[0],
            ours.len(),
            ours.values().map(|f| f.samples.len()).sum::<usize>()
        );
        assert!(found.is_empty(), "{shell:?}:\n{found}");
    }
}

#[test]
fn processes_are_shown_by_group() {
    let wanted = Wanted { processes: true, ..Wanted::default() };
    let page = parse(&collected(&["sh", "-s"], None, wanted));
    let groups = &page["namedprocess_namegroup_num_procs"].samples;
    assert!(groups.len() > 1 && groups.len() <= 20, "{groups:?}");
    assert!(page["namedprocess_namegroup_memory_bytes"].samples.values().any(|bytes| *bytes > 1e6));
    let start = page["namedprocess_namegroup_oldest_start_time_seconds"].samples.values();
    assert!(start.clone().all(|start| *start > 1.7e9), "{start:?}");
}

#[test]
fn a_script_is_run_and_ended() {
    let run = |shell: &str, script: &str| {
        let start = Instant::now();
        let text = printed(&[shell, "-s"], None, &scripts::command(MARK, script, Duration::from_secs(1)));
        assert!(start.elapsed() < Duration::from_secs(10));
        scripts::output(reading::between(&text, MARK).unwrap()).map(str::to_owned)
    };
    for shell in ["dash", "bash"] {
        assert_eq!(run(shell, "read -r line; echo \"'$line' \\$x\"; echo secret >&2").unwrap(), "'' $x\n");
        assert_eq!(run(shell, "exit 3"), Err(ScriptError::Status(3)));
        assert_eq!(run(shell, "sleep 20 & sleep 20"), Err(ScriptError::TimeLimit));
        assert!(run(shell, "if then").is_err());
    }
    let python = "python3 - <<'E'\nprint('{\"metrics\": []}')\nE";
    assert_eq!(scripts::read(&run("sh", python).unwrap()), Ok(vec![]));
}
