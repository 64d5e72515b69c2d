//! The last that is known of each object, however old: what to look at when the page has nothing left to show.
//!
//! The values are those of the page, by the same names and in the same units, each with its age. Of objects that are not
//! in the inventory any more only the books are known. After a restart the inventory of before it is shown, without an
//! age, until there is a new one.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use serde::Serialize;

use crate::catalogue::{Class, Shown, Source, metrics};
use crate::collect::{Estate, unix_millis};
use crate::exposition;
use crate::inventory::{Cluster, Datastore, Host, Inventory, Network, Pool, Vm, paths};
use crate::page::reading;
use crate::state::State;

/// Objects that are made at a time: while that is done, the collection waits.
const CHUNK: usize = 200;

/// Which objects, and how many of them at most. Without a filter it is all of them.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the names are those of the labels")]
pub struct Wanted {
    pub vm_id: Option<String>,
    pub host_id: Option<String>,
    pub datastore_id: Option<String>,
    pub limit: usize,
}

/// What is known of a vCenter.
#[derive(Debug, Serialize)]
pub struct Last {
    vcenter: String,
    /// Now, as Unix time.
    time: f64,
    /// How long ago the inventory was last known to be true; absent before the first one since the start.
    inventory_age_seconds: Option<f64>,
    collectors: Vec<Collector>,
    /// How many objects there are that were asked for, `objects` being the first of them.
    objects_found: usize,
    objects: Vec<Object>,
}

#[derive(Debug, Serialize)]
struct Collector {
    collector: &'static str,
    success: bool,
    error: Option<String>,
    last_success_age_seconds: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Object {
    object: &'static str,
    id: String,
    name: Option<String>,
    team: Option<String>,
    /// Whether it is in the last inventory, which may be that of before a restart.
    present: bool,
    values: Vec<Value>,
}

#[derive(Debug, Serialize)]
struct Value {
    metric: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    value: f64,
    age_seconds: Option<f64>,
}

impl Last {
    /// Whether nothing is known of what was asked for.
    pub fn is_empty(&self) -> bool {
        self.objects_found == 0
    }
}

/// An object, in the inventory or in the books alone.
enum Found<'a> {
    Vm(&'a Vm),
    Host(&'a Host),
    Datastore(&'a Datastore),
    Network(&'a Network),
    Cluster(&'a Cluster),
    Pool(&'a Pool),
    Books(Class, String),
}

/// What is known now.
pub fn last(estate: &Estate, wanted: &Wanted) -> Last {
    let now = Instant::now();
    let inventory = {
        let state = estate.state();
        state.last_inventory().or(state.stored_inventory.as_ref()).cloned().unwrap_or_default()
    };
    let mut found = find(&estate.state(), &inventory, wanted);
    let objects_found = found.len();
    found.truncate(wanted.limit);
    let mut objects = Vec::with_capacity(found.len());
    for chunk in found.chunks(CHUNK) {
        let state = estate.state();
        let reader = Reader::new(&state, now);
        objects.extend(chunk.iter().map(|found| reader.read(found)));
    }
    let (state, time) = (estate.state(), unix_millis() as f64 / 1000.0);
    let collectors = state.health().iter().map(|health| Collector {
        collector: health.collector,
        success: health.success,
        error: health.error.clone(),
        last_success_age_seconds: health.last_success.map(|last| (time - last).max(0.0)),
    });
    Last {
        vcenter: estate.name.clone(),
        time,
        inventory_age_seconds: state.inventory_age(now).map(|age| age.as_secs_f64()),
        collectors: collectors.collect(),
        objects_found,
        objects,
    }
}

fn find<'a>(state: &State, inventory: &'a Inventory, wanted: &Wanted) -> Vec<Found<'a>> {
    let filters =
        [(Class::Vm, &wanted.vm_id), (Class::Host, &wanted.host_id), (Class::Datastore, &wanted.datastore_id)];
    let all = filters.iter().all(|(_, filter)| filter.is_none());
    let asked = |class: Class, id: &str| {
        let filter = filters.iter().find(|(of, _)| *of == class).and_then(|(_, filter)| filter.as_deref());
        all || filter == Some(id)
    };
    let mut found = Vec::new();
    found.extend(inventory.vms.iter().filter(|vm| asked(Class::Vm, &vm.id)).map(Found::Vm));
    found.extend(inventory.hosts.iter().filter(|host| asked(Class::Host, &host.id)).map(Found::Host));
    let datastores = inventory.datastores.iter().filter(|datastore| asked(Class::Datastore, &datastore.id));
    found.extend(datastores.map(Found::Datastore));
    if all {
        found.extend(inventory.networks.iter().map(Found::Network));
        found.extend(inventory.clusters.iter().map(Found::Cluster));
        found.extend(inventory.pools.iter().map(Found::Pool));
    }
    for class in Class::ALL {
        let present: HashSet<&str> = match class {
            Class::Vm => inventory.vms.iter().map(|vm| vm.id.as_str()).collect(),
            Class::Host => inventory.hosts.iter().map(|host| host.id.as_str()).collect(),
            Class::Datastore => inventory.datastores.iter().map(|datastore| datastore.id.as_str()).collect(),
            Class::Cluster => inventory.clusters.iter().map(|cluster| cluster.id.as_str()).collect(),
        };
        let gone = state.ledger(class).ids().filter(|id| !present.contains(id) && asked(class, id));
        let mut gone: Vec<_> = gone.map(str::to_owned).collect();
        gone.sort_unstable();
        found.extend(gone.into_iter().map(|id| Found::Books(class, id)));
    }
    found
}

/// What all objects of one chunk share.
struct Reader<'a> {
    state: &'a State,
    inventory_age: Option<f64>,
    /// Of what is read now and then.
    details_age: Option<f64>,
    /// Metrics that are read so.
    slow: HashSet<&'static str>,
    /// The server's clock, in Unix milliseconds: marks are of it.
    server_now: f64,
}

impl<'a> Reader<'a> {
    fn new(state: &'a State, now: Instant) -> Self {
        let unix_now = unix_millis() as f64;
        let details = state.health().iter().find(|health| health.collector == "details");
        Self {
            state,
            inventory_age: state.inventory_age(now).map(|age| age.as_secs_f64()),
            details_age: details.and_then(|health| health.last_success).map(|last| (unix_now / 1000.0 - last).max(0.0)),
            slow: slow(),
            server_now: unix_now + state.clock_skew.unwrap_or_default() * 1000.0,
        }
    }

    fn read(&self, found: &Found<'_>) -> Object {
        let (object, id, name) = match found {
            Found::Vm(vm) => ("vm", &vm.id, Some(&vm.name)),
            Found::Host(host) => ("host", &host.id, Some(&host.place.host)),
            Found::Datastore(datastore) => ("datastore", &datastore.id, Some(&datastore.name)),
            Found::Network(network) => ("network", &network.id, Some(&network.name)),
            Found::Cluster(cluster) => ("cluster", &cluster.id, Some(&cluster.name)),
            Found::Pool(pool) => ("resource_pool", &pool.id, Some(&pool.path)),
            Found::Books(class, id) => (class.object(), id, None),
        };
        let (team, vcpus) = if let Found::Vm(vm) = found { (Some(vm.team.clone()), vm.cpus) } else { (None, None) };
        let mut values = self.properties(found);
        if let Some(class) = Class::ALL.into_iter().find(|class| class.object() == object) {
            values.extend(self.books(class, id, vcpus));
        }
        Object { object, id: id.clone(), name: name.cloned(), team, present: name.is_some(), values }
    }

    /// What is read from the inventory.
    fn properties(&self, found: &Found<'_>) -> Vec<Value> {
        let mut values = Vec::new();
        for metric in metrics() {
            let samples = exposition::Writer::samples(|out| match (&metric.source, found) {
                (Source::Vm(_, read), Found::Vm(vm)) => read(vm, out),
                (Source::Host(_, read), Found::Host(host)) => read(host, out),
                (Source::Datastore(_, read), Found::Datastore(datastore)) => read(datastore, out),
                (Source::Network(_, read), Found::Network(network)) => read(network, out),
                (Source::Cluster(_, read), Found::Cluster(cluster)) => read(cluster, out),
                (Source::Pool(_, read), Found::Pool(pool)) => read(pool, out),
                _ => {}
            });
            let age_seconds = if self.slow.contains(metric.name) { self.details_age } else { self.inventory_age };
            values.extend(samples.into_iter().map(|sample| Value {
                metric: metric.name,
                labels: sample.labels.into_iter().collect(),
                value: sample.value,
                age_seconds,
            }));
        }
        values
    }

    /// What is read from samples.
    fn books(&self, class: Class, id: &str, vcpus: Option<u32>) -> Vec<Value> {
        let ledger = self.state.ledger(class);
        let Some(book) = ledger.book(id) else { return Vec::new() };
        let mut values = Vec::new();
        for metric in metrics() {
            let Source::Perf(of, counter, shown) = metric.source else { continue };
            let place = ledger.counters().iter().position(|other| *other == counter);
            let Some(place) = place.filter(|_| of == class) else { continue };
            for (device, cell) in book.of(place) {
                if shown != Shown::Total && !cell.has_readings() {
                    continue;
                }
                let Some(value) = reading(shown, counter.unit, cell, vcpus) else { continue };
                let label = metric.labels.first().filter(|_| !device.is_empty());
                let labels = label.map(|label| ((*label).to_owned(), device.to_owned())).into_iter().collect();
                // A mark of 0 waits for a clock that went back.
                let age = (cell.mark > 0).then(|| ((self.server_now - cell.mark as f64) / 1000.0).max(0.0));
                values.push(Value { metric: metric.name, labels, value, age_seconds: age });
            }
        }
        values
    }
}

/// Metrics of properties that are read now and then: they are as old as that reading.
fn slow() -> HashSet<&'static str> {
    let slow = metrics().filter(|metric| {
        let kind = match metric.source {
            Source::Vm(..) => "VirtualMachine",
            Source::Host(..) => "HostSystem",
            Source::Datastore(..) => "Datastore",
            Source::Network(..) => "Network",
            Source::Cluster(..) => "ClusterComputeResource",
            Source::Pool(..) => "ResourcePool",
            Source::Perf(..) | Source::Vcenter(_) | Source::Collector(_) | Source::Own(_) => return false,
        };
        paths::is_slow(kind, metric.origin())
    });
    slow.map(|metric| metric.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_now_and_then_is_told_from_what_is_followed() {
        let slow = slow();
        let slow: Vec<_> = metrics().map(|metric| metric.name).filter(|name| slow.contains(name)).collect();
        insta::assert_snapshot!(slow.join("\n"));
    }
}
