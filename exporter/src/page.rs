//! The pages of one vCenter: what is known of it, in the order of the catalogue, cut into shards.

use std::ops::Deref;
use std::time::Instant;

use xxhash_rust::xxh3::xxh3_64;

use crate::catalogue::{Class, CounterUnit, METRICS, Metric, Shown, Source};
use crate::exposition::{Page, Samples, Series, Writer, labels};
use crate::inventory::Inventory;
use crate::ledger::{Book, Cell, Ledger};
use crate::state::{State, is_measured};

/// Series on a page at most: Prometheus reads a page within its scrape timeout, and holds all of it.
pub const MAX_SERIES: usize = 50_000;

/// Shards at most. What does not fit then makes them larger.
pub const MAX_SHARDS: usize = 100;

/// Writes all pages: in so many shards, or more where one of them is too large. What is known is held for one page at a
/// time, so that nobody waits for all of them.
pub fn render_all<S: Deref<Target = State>>(state: impl Fn() -> S, now: Instant, mut shards: usize) -> Vec<Page> {
    loop {
        let pages: Vec<_> = (0..shards).map(|shard| render(&state(), now, shard, shards)).collect();
        let largest = pages.iter().map(|page| page.series).max().unwrap_or_default();
        if largest <= MAX_SERIES || shards >= MAX_SHARDS {
            return pages;
        }
        // Room for a few more VMs: each other number of shards moves them between targets.
        let all: usize = pages.iter().map(|page| page.series).sum();
        shards = (shards + 1).max(all.div_ceil(MAX_SERIES * 4 / 5)).min(MAX_SHARDS);
    }
}

/// Writes one of `shards` pages as it is right at this moment. A VM is on one of them; all that is not a VM is on the
/// first.
pub fn render(state: &State, now: Instant, shard: usize, shards: usize) -> Page {
    let mut page = Writer::default();
    let known = state.inventory(now).map(|inventory| Known::new(state, inventory, now, shard, shards));
    for metric in METRICS.iter().copied().flatten() {
        match (&metric.source, &known) {
            (Source::Own(_), _) => {}
            (Source::Collector(read), _) if shard == 0 => page.metric(metric, |out| {
                for health in state.health() {
                    read(health, &mut out.of(&labels(&[("collector", health.collector)])));
                }
            }),
            (Source::Vcenter(read), _) if shard == 0 => {
                page.metric(metric, |out| read(&state.vcenter(now), &mut out.of("")));
            }
            (_, Some(known)) => page.metric(metric, |out| known.write(metric, out)),
            (_, None) => {}
        }
    }
    page.finish()
}

/// The shard of a VM. It depends on the VM alone, so that it stays where it is when others come and go.
fn shard_of(vm_id: &str, shards: usize) -> usize {
    // Less than `shards`, which is a usize.
    usize::try_from(xxh3_64(vm_id.as_bytes()) % (shards.max(1) as u64)).unwrap_or_default()
}

/// An object with its labels, which are the same on all its series, and its books.
struct Entry<'a, T> {
    object: &'a T,
    labels: String,
    book: Option<&'a Book>,
}

struct Known<'a> {
    state: &'a State,
    now: Instant,
    vms: Vec<Entry<'a, crate::inventory::Vm>>,
    hosts: Vec<Entry<'a, crate::inventory::Host>>,
    datastores: Vec<Entry<'a, crate::inventory::Datastore>>,
    networks: Vec<Entry<'a, crate::inventory::Network>>,
    clusters: Vec<Entry<'a, crate::inventory::Cluster>>,
    pools: Vec<Entry<'a, crate::inventory::Pool>>,
}

impl<'a> Known<'a> {
    fn new(state: &'a State, inventory: &'a Inventory, now: Instant, shard: usize, shards: usize) -> Self {
        let book = |class: Class, id: &str| state.ledger(class).book(id);
        let vms = inventory.vms.iter().filter(|vm| shards == 1 || shard_of(&vm.id, shards) == shard);
        let vms = vms.map(|vm| Entry {
            object: vm,
            labels: labels(&[("vm_id", &vm.id), ("vm", &vm.name), ("team", &vm.team)]),
            // Readings of before must not come back when a VM is switched on again.
            book: book(Class::Vm, &vm.id).filter(|_| is_measured(vm)),
        });
        let first = shard == 0;
        let hosts = inventory.hosts.iter().filter(|_| first).map(|host| Entry {
            object: host,
            labels: labels(&[("host_id", &host.id), ("host", &host.place.host)]),
            book: book(Class::Host, &host.id),
        });
        let datastores = inventory.datastores.iter().filter(|_| first).map(|datastore| Entry {
            object: datastore,
            labels: labels(&[("datastore_id", &datastore.id), ("datastore", &datastore.name)]),
            book: book(Class::Datastore, &datastore.id),
        });
        let networks = inventory.networks.iter().filter(|_| first).map(|network| Entry {
            object: network,
            labels: labels(&[("network_id", &network.id), ("network", &network.name)]),
            book: None,
        });
        let clusters = inventory.clusters.iter().filter(|_| first).map(|cluster| Entry {
            object: cluster,
            labels: labels(&[("cluster_id", &cluster.id), ("cluster", &cluster.name)]),
            book: book(Class::Cluster, &cluster.id),
        });
        let pools = inventory.pools.iter().filter(|_| first).map(|pool| Entry {
            object: pool,
            labels: labels(&[("resource_pool_id", &pool.id), ("resource_pool", &pool.path)]),
            book: None,
        });
        Self {
            state,
            now,
            vms: vms.collect(),
            hosts: hosts.collect(),
            datastores: datastores.collect(),
            networks: networks.collect(),
            clusters: clusters.collect(),
            pools: pools.collect(),
        }
    }

    fn write(&self, metric: &Metric, out: &mut Samples<'_>) {
        match &metric.source {
            Source::Vm(_, read) => each(&self.vms, out, read),
            Source::Host(_, read) => each(&self.hosts, out, read),
            Source::Datastore(_, read) => each(&self.datastores, out, read),
            Source::Network(_, read) => each(&self.networks, out, read),
            Source::Cluster(_, read) => each(&self.clusters, out, read),
            Source::Pool(_, read) => each(&self.pools, out, read),
            Source::Perf(class, counter, shown) => {
                let ledger = self.state.ledger(*class);
                let Some(place) = ledger.counters().iter().position(|other| other == counter) else { return };
                let perf = Perf { known: self, class: *class, ledger, place, shown: *shown, device: metric.labels };
                match class {
                    Class::Vm => self.vms.iter().for_each(|vm| perf.write(vm, vm.object.cpus, out)),
                    Class::Host => self.hosts.iter().for_each(|host| perf.write(host, None, out)),
                    Class::Datastore => self.datastores.iter().for_each(|datastore| perf.write(datastore, None, out)),
                    Class::Cluster => self.clusters.iter().for_each(|cluster| perf.write(cluster, None, out)),
                }
            }
            Source::Collector(_) | Source::Vcenter(_) | Source::Own(_) => {}
        }
    }
}

fn each<T>(objects: &[Entry<'_, T>], out: &mut Samples<'_>, read: &fn(&T, &mut Series<'_>)) {
    objects.iter().for_each(|shown| read(shown.object, &mut out.of(&shown.labels)));
}

/// A metric that is read from a counter.
struct Perf<'a> {
    known: &'a Known<'a>,
    class: Class,
    ledger: &'a Ledger,
    place: usize,
    shown: Shown,
    /// The label of devices; empty for the object as a whole.
    device: &'static [&'static str],
}

impl Perf<'_> {
    fn write<T>(&self, object: &Entry<'_, T>, vcpus: Option<u32>, out: &mut Samples<'_>) {
        let Some(book) = object.book else { return };
        match self.device.first() {
            None => {
                if let Some(value) = book.whole(self.place).and_then(|cell| self.value(cell, vcpus)) {
                    out.of(&object.labels).value(value);
                }
            }
            Some(label) => {
                for (device, cell) in book.of(self.place).filter(|(device, _)| !device.is_empty()) {
                    if let Some(value) = self.value(cell, vcpus) {
                        out.of(&object.labels).labelled(&[(label, device)], value);
                    }
                }
            }
        }
    }

    fn value(&self, cell: &Cell, vcpus: Option<u32>) -> Option<f64> {
        let (state, now) = (self.known.state, self.known.now);
        let fresh = match self.shown {
            Shown::Total => state.shows_counter(self.class, cell, now),
            _ => state.shows_gauge(self.class, cell, now),
        };
        let unit = self.ledger.counters()[self.place].unit;
        if fresh { reading(self.shown, unit, cell, vcpus) } else { None }
    }
}

/// What a metric shows of a series, in base units.
pub(crate) fn reading(shown: Shown, unit: CounterUnit, cell: &Cell, vcpus: Option<u32>) -> Option<f64> {
    let of_vcpus = |milliseconds: f64| {
        let vcpus = vcpus.filter(|vcpus| *vcpus > 0 && cell.interval > 0)?;
        Some(milliseconds / (f64::from(cell.interval) * 1000.0 * f64::from(vcpus)))
    };
    match shown {
        // As whole numbers up to here: sums of fractions would not be exact.
        Shown::Total => Some(unit.base(cell.total as f64)),
        Shown::Mean => Some(unit.base(cell.mean())),
        Shown::Peak => Some(unit.base(cell.peak as f64)),
        Shown::MeanOfVcpus => of_vcpus(cell.mean()),
        Shown::PeakOfVcpus => of_vcpus(cell.peak as f64),
        Shown::Newest => Some(unit.base(cell.newest as f64)),
    }
}
