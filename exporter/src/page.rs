//! The page of one vCenter: what is known of it, in the order of the catalogue.

use std::time::Instant;

use crate::catalogue::{Counter, METRICS, Metric, Source, host_counters, vm_counters};
use crate::exposition::{Page, Samples, labels};
use crate::inventory::Inventory;
use crate::state::{State, VcenterView};

/// Writes the page as it is right at this moment, and counts its series.
pub fn render(state: &State, now: Instant) -> (String, usize) {
    let mut page = Page::default();
    let known = state.inventory(now).map(|inventory| Known::new(inventory));
    for metric in METRICS.iter().copied().flatten() {
        match (&metric.source, &known) {
            (Source::Own(_), _) => {}
            (Source::Collector(read), _) => page.metric(metric, |out| {
                for health in state.health() {
                    read(health, &mut out.of(&labels(&[("collector", health.collector)])));
                }
            }),
            (_, Some(known)) => page.metric(metric, |out| known.write(metric, state, now, out)),
            (_, None) => {}
        }
    }
    page.finish()
}

/// The objects with their labels, which are the same on all their series.
struct Known<'a> {
    inventory: &'a Inventory,
    vms: Vec<String>,
    hosts: Vec<String>,
    datastores: Vec<String>,
    vm_counters: Vec<Counter>,
    host_counters: Vec<Counter>,
}

impl<'a> Known<'a> {
    fn new(inventory: &'a Inventory) -> Self {
        let vm = |vm: &crate::inventory::Vm| labels(&[("vm_id", &vm.id), ("vm", &vm.name), ("team", &vm.team)]);
        let host = |host: &crate::inventory::Host| labels(&[("host_id", &host.id), ("host", &host.place.host)]);
        let datastore = |datastore: &crate::inventory::Datastore| {
            labels(&[("datastore_id", &datastore.id), ("datastore", &datastore.name)])
        };
        Self {
            inventory,
            vms: inventory.vms.iter().map(vm).collect(),
            hosts: inventory.hosts.iter().map(host).collect(),
            datastores: inventory.datastores.iter().map(datastore).collect(),
            vm_counters: vm_counters(),
            host_counters: host_counters(),
        }
    }

    fn write(&self, metric: &Metric, state: &State, now: Instant, out: &mut Samples<'_>) {
        let vms = || self.inventory.vms.iter().zip(&self.vms);
        let hosts = || self.inventory.hosts.iter().zip(&self.hosts);
        match &metric.source {
            Source::Vm(_, read) => vms().for_each(|(vm, labels)| read(vm, &mut out.of(labels))),
            Source::Host(_, read) => hosts().for_each(|(host, labels)| read(host, &mut out.of(labels))),
            Source::Datastore(_, read) => {
                let datastores = self.inventory.datastores.iter().zip(&self.datastores);
                datastores.for_each(|(datastore, labels)| read(datastore, &mut out.of(labels)));
            }
            Source::VmCounter(counter) => {
                let Some(place) = self.vm_counters.iter().position(|other| other == counter) else { return };
                for (vm, labels) in vms() {
                    let sample = state.vm_sample(&vm.moref, place, now);
                    let value = sample.and_then(|sample| counter.unit.convert(sample.value, sample.interval, vm.cpus));
                    out.of(labels).maybe(value);
                }
            }
            Source::HostCounter(counter) => {
                let Some(place) = self.host_counters.iter().position(|other| other == counter) else { return };
                for (host, labels) in hosts() {
                    let sample = state.host_sample(&host.moref, place, now);
                    let value = sample.and_then(|sample| counter.unit.convert(sample.value, sample.interval, None));
                    out.of(labels).maybe(value);
                }
            }
            Source::Vcenter(read) => read(&VcenterView { inventory: self.inventory }, &mut out.of("")),
            Source::Collector(_) | Source::Own(_) => {}
        }
    }
}
