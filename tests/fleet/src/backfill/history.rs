//! Samples of the past, a day at a time.

use std::collections::{BTreeMap, HashMap};

use super::body::{Bodies, Body, labels};
use super::like::Labels;
use super::metric::{Kind, state};
use crate::model::{Counter, Entity, Inventory, Model, TICK_MILLIS, Time, VmId};

/// The past of some series.
pub(super) struct History {
    model: Model,
    inventory: Inventory,
    step: i64,
    machines: Vec<Machine>,
    counters: Vec<Counter>,
}

struct Machine {
    id: VmId,
    series: Vec<Series>,
}

struct Series {
    labels: Vec<u8>,
    kind: Kind,
    /// Of a power state.
    state: String,
    total: i64,
    samples: Vec<(i64, f64)>,
}

impl History {
    /// Of those series that are of machines of the model; says how many are not.
    pub(super) fn new(model: Model, found: Vec<Labels>, step: i64) -> (Self, usize) {
        let inventory = model.inventory(model.origin());
        // Where two machines have one UUID, the exporter adds the reference.
        let mut ids = HashMap::new();
        for vm in &inventory.vms {
            let uuid = &vm.config.instance_uuid;
            ids.extend([(uuid.clone(), vm.id), (format!("{uuid}:{}", vm.id), vm.id)]);
        }
        let text = |labels: &Labels, name: &str| labels.get(name).cloned().unwrap_or_default();
        let (mut machines, mut strange) = (BTreeMap::<VmId, Vec<Series>>::new(), 0);
        for labels in found {
            match (ids.get(&text(&labels, "vm_id")), Kind::of(&text(&labels, "__name__"))) {
                (Some(id), Some(kind)) => machines.entry(*id).or_default().push(Series {
                    state: text(&labels, "state"),
                    labels: self::labels(&labels),
                    kind,
                    total: 0,
                    samples: Vec::new(),
                }),
                _ => strange += 1,
            }
        }
        let machines: Vec<_> = machines.into_iter().map(|(id, series)| Machine { id, series }).collect();
        let mut counters: Vec<_> =
            machines.iter().flat_map(|machine| &machine.series).filter_map(|series| series.kind.counter()).collect();
        counters.sort_unstable();
        counters.dedup();
        (Self { model, inventory, step, machines, counters }, strange)
    }

    pub(super) fn series(&self) -> usize {
        self.machines.iter().map(|machine| machine.series.len()).sum()
    }

    /// Requests for the time from `start` on, until before `end`. Each series is in one of them.
    pub(super) fn bodies(&mut self, start: i64, end: i64) -> Vec<Body> {
        let Self { model, inventory, step, machines, counters } = self;
        let first = start.div_euclid(*step) + i64::from(start.rem_euclid(*step) > 0);
        for time in (first..).map(|number| number * *step).take_while(|time| *time < end) {
            let tick = Time(time).tick();
            for machine in &mut *machines {
                let Some(vm) = inventory.vm(machine.id) else { continue };
                let samples = model.realtime_of(inventory, Entity::Vm(machine.id), tick..tick + 1, Some(counters));
                let of = |counter: Counter| {
                    let whole = samples.series.iter().find(|one| one.counter == counter && one.instance.is_empty());
                    whole.and_then(|one| one.values.first()).copied().filter(|value| *value >= 0)
                };
                for series in &mut machine.series {
                    let value = match series.kind {
                        Kind::Info => Some(1.0),
                        Kind::Power => Some(f64::from(u8::from(series.state == state(vm.power)))),
                        Kind::Cpus => Some(f64::from(vm.config.vcpus)),
                        Kind::MemorySize => Some(f64::from(vm.config.memory_mb) * f64::from(1 << 20)),
                        Kind::Gauge(counter, factor) => of(counter).map(|value| value as f64 * factor),
                        Kind::Total(counter, factor) => of(counter).map(|value| {
                            series.total += value * in_step(counter, *step);
                            series.total as f64 * factor
                        }),
                    };
                    series.samples.extend(value.map(|value| (time, value)));
                }
            }
        }
        let mut bodies = Bodies::default();
        for series in machines.iter_mut().flat_map(|machine| &mut machine.series) {
            if !series.samples.is_empty() {
                bodies.add(&series.labels, &series.samples);
                series.samples.clear();
            }
        }
        bodies.finish()
    }
}

/// How often a step has what a sample says: seconds for rates by the second, samples for what is summed in one.
fn in_step(counter: Counter, step: i64) -> i64 {
    match counter.info().unit {
        "kiloBytesPerSecond" => step / 1_000,
        _ => step / TICK_MILLIS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Power, Size};

    const NOON: Time = Time(1_782_302_400_000);
    const STEP: i64 = 300_000;

    fn history() -> (History, usize) {
        let model = Model::new(1, Size::of(20), NOON);
        let inventory = model.inventory(NOON);
        let vm = inventory.vms.iter().find(|vm| vm.power == Power::On).unwrap();
        let of = |name: &str, vm_id: &str| {
            Labels::from([("__name__".to_owned(), name.to_owned()), ("vm_id".to_owned(), vm_id.to_owned())])
        };
        let own = &vm.config.instance_uuid;
        let found = vec![
            of("vsphere_vm_network_receive_bytes_total", own),
            of("vsphere_vm_cpu_usage_ratio", &format!("{own}:{}", vm.id)),
            of("vsphere_vm_cpu_usage_ratio", "other"),
        ];
        History::new(model, found, STEP)
    }

    #[test]
    fn totals_rise_over_days_and_what_is_no_machine_is_left_out() {
        let (mut history, strange) = history();
        assert_eq!((history.series(), strange), (2, 1));
        let day = NOON.0 - 86_400_000;
        let count = |bodies: Vec<Body>| bodies.iter().map(|body| body.samples).sum::<usize>();
        assert_eq!(count(history.bodies(day, NOON.0)), 2 * 288);
        let total = history.machines[0].series[0].total;
        assert!(total > 0);
        assert_eq!(count(history.bodies(NOON.0, NOON.0 + 1)), 2);
        assert!(history.machines[0].series[0].total >= total);
    }

    #[test]
    fn the_same_is_made_again_of_the_same() {
        let make = || history().0.bodies(NOON.0 - 3_600_000, NOON.0).into_iter().map(|body| body.packed);
        assert!(make().eq(make()));
    }
}
