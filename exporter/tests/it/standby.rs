//! A vCenter that does not answer: its hosts are asked, and nobody who reads the page has to know.
//!
//! On the fleet, whose time runs ten times as fast: a sample comes every two seconds, and what each series has to add up to
//! is asked of the model.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use lynceus_demo::eventually;
use lynceus_fleet::lab::Plan;
use lynceus_fleet::model::{Counter, Entity, Power, Size, Tick, Time, VmId};
use lynceus_fleet::{Fleet, Options};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fleet::{happen, options};
use crate::support::{Exporter, LIMIT, count, value};

const VCENTER: &str = "vsphere_source{source=\"vcenter\"} 1";
const ESXI: &str = "vsphere_source{source=\"esxi\"} 1";
const RUN: &str = "vsphere_vm_cpu_run_seconds_total";

/// The fleet, its files, and the exporter's config.
struct Bench {
    dir: TempDir,
    fleet: Fleet,
    config: String,
}

impl Bench {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // The last noon: at night backups take snapshots, which are series.
        const DAY: i64 = 86_400_000;
        let plan = Plan::starting_now(Size::of(90), 10.0);
        let noon = (plan.origin.0 - DAY / 2).div_euclid(DAY) * DAY + DAY / 2;
        let options = options(dir.path(), Plan { origin: Time(noon), ..plan });
        let fleet = Fleet::start(Options { hosts: true, ..options }).await.unwrap();
        let inventory = fleet.lab.moment().inventory.clone();
        let host = |host: &lynceus_fleet::model::Host| {
            format!("        {}: {}\n", host.config.name, fleet.addresses.hosts[&host.id].url)
        };
        let hosts: String = inventory.hosts.iter().map(host).collect();
        // ESXi knows no folders, so a team that stays is one that is remembered.
        let config = format!(
            "vcenters:\n  - name: vc01\n    url: {}\n    username: lynceus\n    password_file: password\n    \
             tls: {{ ca_file: ca.pem }}\n    max_retries: 1\n    standby:\n      after: 3s\n      username: lynceus\n      \
             password_file: password\n      tls: {{ ca_file: ca.pem }}\n      hosts:\n{hosts}\
             collection: {{ interval: 1s, max_back_off: 1s }}\n\
             ownership:\n  - {{ team: '${{team}}', tier: '1', folder: '/(?<team>[^/]+)/.*' }}\n\
             info_labels: {{ attributes: [Owner] }}\n",
            fleet.addresses.vcenter.url
        );
        Self { dir, fleet, config }
    }

    async fn exporter(&self) -> Exporter {
        Exporter::start(self.dir.path(), &self.config).await
    }

    /// A page of an exporter that has all of the vCenter, and has had it for a while.
    async fn whole_page(&self, exporter: &Exporter) -> String {
        let running = self.running().len();
        let whole = |page: &str| {
            page.contains(VCENTER)
                && series(page, RUN) == running
                && series(page, "vsphere_vm_storage_used_bytes") >= running
                && value(page, "vsphere_collector_samples_total{collector=\"vm_performance\"}").unwrap_or(0.0)
                    > 30_000.0
        };
        exporter.page_where("a page with everything on it", whole).await
    }

    /// Returns once the vCenter takes no connections: an exporter that starts earlier could still read all of it.
    async fn until_closed(&self) {
        let url: url::Url = self.fleet.addresses.vcenter.url.parse().unwrap();
        let address = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        eventually(LIMIT, "the vCenter takes no connections", || async {
            let Ok(mut connection) = TcpStream::connect(&address).await else { return Ok(()) };
            // One that is up waits for what the client says.
            let read = timeout(Duration::from_millis(200), connection.read(&mut [0])).await;
            anyhow::ensure!(read.is_ok(), "it does");
            Ok(())
        })
        .await
        .unwrap();
    }

    fn running(&self) -> Vec<VmId> {
        let inventory = self.fleet.lab.moment().inventory.clone();
        inventory.vms.iter().filter(|vm| vm.power == Power::On && !vm.config.template).map(|vm| vm.id).collect()
    }

    fn tick(&self) -> Tick {
        self.fleet.lab.moment().at.tick()
    }

    /// What each VM's label `vm_id` is.
    fn ids(&self) -> BTreeMap<VmId, String> {
        let inventory = self.fleet.lab.moment().inventory.clone();
        let vms = || inventory.vms.iter().filter(|vm| !vm.config.template);
        let mut uses: HashMap<&str, usize> = HashMap::new();
        vms().for_each(|vm| *uses.entry(&vm.config.instance_uuid).or_default() += 1);
        let id = |vm: &lynceus_fleet::model::Vm| {
            let uuid = &vm.config.instance_uuid;
            (vm.id, if uses[uuid.as_str()] > 1 { format!("{uuid}:{}", vm.id) } else { uuid.clone() })
        };
        vms().map(id).collect()
    }

    /// Milliseconds that a VM's CPUs ran, for each of these samples.
    fn samples(&self, vm: VmId, first: Tick, last: Tick) -> Vec<u64> {
        let moment = self.fleet.lab.moment();
        let samples =
            moment.model.realtime_of(&moment.inventory, Entity::Vm(vm), first..last + 1, Some(&[Counter::CpuRun]));
        let whole = samples.series.into_iter().find(|series| series.instance.is_empty()).unwrap();
        whole.values.into_iter().map(|value| u64::try_from(value).unwrap_or_default()).collect()
    }

    /// Fails unless each VM's counter has grown from one page to the other by a run of the model's samples: from the one
    /// after a sample that is the same for all to one of the newest.
    fn check_exact(&self, before: &(String, Tick), after: &(String, Tick)) {
        const LAG: Tick = 10;
        let (from, to) = (before.1 - LAG, after.1 + LAG);
        let mut starts: Option<BTreeSet<Tick>> = None;
        for (vm, id) in self.ids() {
            let (Some(old), Some(new)) = (run_of(&before.0, &id), run_of(&after.0, &id)) else { continue };
            let grown = new - old;
            let samples = self.samples(vm, from + 1, to);
            let sum = |start: Tick, end: Tick| -> u64 {
                let at = |tick: Tick| usize::try_from(tick - from).unwrap();
                samples[at(start)..at(end)].iter().sum()
            };
            let fits: BTreeSet<Tick> = (from..=before.1)
                .filter(|start| (after.1 - LAG..=after.1).any(|end| end > *start && sum(*start, end) == grown))
                .collect();
            assert!(!fits.is_empty(), "{id} grew by {grown} ms, which no run of samples adds up to: {samples:?}");
            let common = starts.map_or(fits.clone(), |starts| starts.intersection(&fits).copied().collect());
            assert!(!common.is_empty(), "{id} goes on from another sample than the others: {fits:?}");
            starts = Some(common);
        }
        assert!(starts.is_some(), "no VM has a counter on both pages");
    }
}

/// Milliseconds on the page.
fn run_of(page: &str, id: &str) -> Option<u64> {
    value(page, &format!("{RUN}{{vm_id=\"{id}\",")).map(|seconds| (seconds * 1000.0).round() as u64)
}

fn series(page: &str, name: &str) -> usize {
    page.lines().filter(|line| line.starts_with(&format!("{name}{{"))).count()
}

/// Names and labels of all series of these objects.
fn labels(page: &str, objects: &[&str]) -> BTreeSet<String> {
    let of = |line: &&str| objects.iter().any(|object| line.starts_with(object));
    page.lines().filter(of).map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

/// The series of VMs that come from their samples or say how they are.
fn of_vms(page: &str) -> BTreeSet<String> {
    labels(page, &["vsphere_vm_"]).into_iter().filter(|series| !series.starts_with("vsphere_vm_alarm")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vcenter_that_is_down_and_comes_back_leaves_no_trace_in_the_series() {
    let bench = Bench::start().await;
    let hosts = bench.fleet.addresses.hosts.len();
    let exporter = bench.exporter().await;
    let before = (bench.whole_page(&exporter).await, bench.tick());
    assert!(before.0.contains("vsphere_source{source=\"esxi\"} 0"));

    happen(&bench.fleet, "  - { at: 0s, for: 400s, kind: vcenter_down }\n");
    let expected = of_vms(&before.0);
    let answer = |page: &str| {
        page.contains(ESXI)
            && value(page, "vsphere_collector_objects_returned{collector=\"standby\"}") == Some(hosts as f64)
            && expected.is_subset(&of_vms(page))
            && bench
                .ids()
                .values()
                .filter_map(|id| Some((run_of(&before.0, id)?, run_of(page, id)?)))
                .all(|(a, b)| a < b)
    };
    let during = (exporter.page_where("the hosts' page", answer).await, bench.tick());
    assert_eq!(of_vms(&during.0).difference(&expected).collect::<Vec<_>>(), Vec::<&String>::new());
    let others = ["vsphere_host_", "vsphere_datastore_"];
    let (old, new) = (labels(&before.0, &others), labels(&during.0, &others));
    assert_eq!(new.difference(&old).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(new.len() > old.len() / 2, "{} of {} series of hosts and datastores go on", new.len(), old.len());
    bench.check_exact(&before, &during);
    assert_eq!(series(&during.0, "vsphere_cluster_info") + series(&during.0, "vsphere_network_info"), 0);
    assert!(!during.0.contains("vsphere_vcenter_objects{object=\"cluster\"}"), "hosts know no clusters");
    for collector in ["inventory", "vm_performance", "host_performance"] {
        let success = value(&during.0, &format!("vsphere_collector_success{{collector=\"{collector}\"}}"));
        assert_eq!(success, Some(0.0), "{collector}");
    }
    assert_eq!(value(&during.0, "vsphere_collector_success{collector=\"standby\"}"), Some(1.0));
    assert_eq!(value(&during.0, "vsphere_collector_objects_expected{collector=\"standby\"}"), Some(hosts as f64));
    assert_eq!(bench.fleet.sessions(), 2 * hosts);

    let back = |page: &str| {
        page.contains(VCENTER)
            && bench
                .ids()
                .values()
                .filter_map(|id| Some((run_of(&during.0, id)?, run_of(page, id)?)))
                .all(|(a, b)| a < b)
            && count(page, "vsphere_collector_success{collector=\"vm_performance\"}", "") == 1
    };
    let after = (exporter.page_where("the vCenter's page", back).await, bench.tick());
    assert!(!after.0.contains("collector=\"standby\""), "its part of the collection is over");
    assert_eq!(of_vms(&after.0).symmetric_difference(&expected).collect::<Vec<_>>(), Vec::<&String>::new());
    bench.check_exact(&before, &after);
    bench.check_exact(&during, &after);
    let closed = eventually(LIMIT, "sessions on hosts are closed", || async {
        anyhow::ensure!(bench.fleet.sessions() == 2, "{} sessions", bench.fleet.sessions());
        Ok(())
    });
    closed.await.unwrap_or_else(|error| panic!("{error:#}\nlog:\n{}", exporter.process.log()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_fails_meanwhile_loses_its_vms_until_they_run_elsewhere() {
    let bench = Bench::start().await;
    let hosts = bench.fleet.addresses.hosts.len();
    let exporter = bench.exporter().await;
    let before = (bench.whole_page(&exporter).await, bench.tick());
    let expected = of_vms(&before.0);
    let failing = bench.fleet.lab.moment().inventory.hosts[0].config.name.clone();
    let on_it = format!("host=\"{failing}\"");
    assert!(count(&before.0, "vsphere_vm_info{", &on_it) > 0);

    happen(&bench.fleet, "  - { at: 0s, for: 30m, kind: vcenter_down }\n");
    exporter.page_where("the hosts' page", |page| page.contains(ESXI) && series(page, RUN) > 0).await;
    happen(&bench.fleet, &format!("  - {{ at: 0s, for: 30m, kind: host_fails, target: '{failing}' }}\n"));
    let gone = |page: &str| {
        count(page, "vsphere_vm_power_state{", "state=\"on\"") < bench.running().len()
            && count(page, "vsphere_host_connection_state{", &format!("{on_it},state=\"not_responding\"")) == 1
    };
    let page = exporter.page_where("the host is gone", gone).await;
    assert_eq!(count(&page, "vsphere_vm_info{", &on_it), 0, "nothing is known of its VMs");
    assert_eq!(count(&page, "vsphere_host_info{", &on_it), 1, "what it is stays");
    let all = |page: &str| {
        expected.iter().filter(|series| series.starts_with(RUN)).all(|series| page.contains(series.as_str()))
            && value(page, "vsphere_collector_objects_returned{collector=\"standby\"}") == Some((hosts - 1) as f64)
    };
    let page = exporter.page_where("all VMs run on other hosts", all).await;
    assert_eq!(count(&page, "vsphere_vm_info{", &on_it), 0);
    let vms: BTreeSet<_> = of_vms(&page).into_iter().filter(|series| !series.starts_with("vsphere_vm_info{")).collect();
    assert_eq!(vms.difference(&expected).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(value(&page, "vsphere_collector_success{collector=\"standby\"}"), Some(0.0));
    assert!(exporter.process.log().contains("1 of"), "{}", exporter.process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exporter_that_is_started_while_the_vcenter_is_down_goes_on_with_what_is_stored() {
    let bench = Bench::start().await;
    let mut exporter = bench.exporter().await;
    let before = (bench.whole_page(&exporter).await, bench.tick());
    assert!(exporter.process.terminate(LIMIT).await.unwrap().success());
    assert_eq!(bench.fleet.sessions(), 0);

    happen(&bench.fleet, "  - { at: 0s, for: 60m, kind: vcenter_down }\n");
    bench.until_closed().await;
    let mut exporter = bench.exporter().await;
    let expected = of_vms(&before.0);
    let whole = |page: &str| page.contains(ESXI) && expected.is_subset(&of_vms(page));
    let after = (exporter.page_where("all VMs, by their hosts", whole).await, bench.tick());
    assert_eq!(of_vms(&after.0).difference(&expected).collect::<Vec<_>>(), Vec::<&String>::new());
    bench.check_exact(&before, &after);
    let hosts = bench.fleet.addresses.hosts.len();
    assert_eq!(bench.fleet.sessions(), 2 * hosts);
    assert_eq!(exporter.own("lynceus_exporter_sign_ins_total{").await, 2.0 * hosts as f64, "and none on the vCenter");
    assert!(exporter.process.terminate(LIMIT).await.unwrap().success());
    assert_eq!(bench.fleet.sessions(), 0, "it signs out of the hosts, too");
}
