//! From events as they are written to what they do: finds their targets.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use super::effect::{Churn, Effects, Fill, Forgotten, Leak, Noisy, Outage, Sick, Span, Storm, Switched};
use super::inventory::{Power, Vm};
use super::load::{Field, Kept};
use super::noise::What;
use super::time::{MINUTE, Time};
use super::{Model, VmId};
use crate::scenario::{Action, Event, Pick, Target};

/// An event that cannot happen in this estate.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// There is no such thing.
    #[error("{source_of}.target: expected {expected}, found `{found}`")]
    UnknownTarget {
        /// Where the event is written.
        source_of: String,
        /// What there is.
        expected: String,
        /// What was asked for.
        found: String,
    },
}

pub(super) fn with(model: &Model, mut events: Vec<Event>) -> Result<Model, ModelError> {
    events.sort_by_key(|event| event.at);
    let mut model = model.clone();
    for event in events {
        let mut effects = (*model.effects).clone();
        add(&model, &mut effects, &event)?;
        let mut given = (*model.events).clone();
        given.push(event);
        model = Model {
            world: model.world.clone(),
            effects: Arc::new(effects),
            events: Arc::new(given),
            kept: Arc::new(Mutex::new(Kept::default())),
        };
    }
    Ok(model)
}

fn add(model: &Model, effects: &mut Effects, event: &Event) -> Result<(), ModelError> {
    let span = Span { from: event.at, until: event.until.unwrap_or(Time::DISTANT_FUTURE) };
    let finder = Finder { model, event };
    match &event.action {
        Action::HostFails { host } => {
            let host = finder.host(host)?;
            effects.outages.push(finder.outage(host, span, false));
        }
        Action::HostMaintenance { host: target } => {
            let host = finder.host(target)?;
            let outage = finder.outage(host, span, true);
            let mut hosts = model.world.built.hosts_of[outage.cluster].iter();
            if !hosts.any(|other| *other != host && model.world.takes_vms(effects, *other, event.at)) {
                let expected = "a host of whose cluster another one can take its VMs".to_owned();
                return Err(finder.unknown(expected, target));
            }
            effects.outages.push(outage);
        }
        Action::HostSick { host, timeout } => {
            effects.sick.push(Sick { span, host: finder.host(host)?, timeout: *timeout });
        }
        Action::VmotionStorm { cluster, every } => {
            let clusters = finder.clusters(cluster)?;
            effects.storms.push(Storm { span, clusters, every: every.as_millis() as i64 });
        }
        Action::DatastoreFills { datastore, to, within } => {
            let datastore = finder.datastore(datastore)?;
            effects.fills.push(Fill { span, datastore, to: *to, within: within.as_millis() as i64 });
        }
        Action::SnapshotForgotten { vms, age } => {
            let vms = finder.vms(vms, |vm| !vm.config.template)?;
            effects.snapshots.push(Forgotten { span, vms, age: age.as_millis() as i64 });
        }
        Action::NoisyNeighbour { vms } => {
            effects.noisy.push(Noisy { span, vms: finder.vms(vms, running)? });
        }
        Action::MemoryLeak { vms, to, within } => {
            let vms = finder.vms(vms, running)?;
            effects.leaks.push(Leak { span, vms, to: *to, within: within.as_millis() as i64 });
        }
        Action::VmPower { vms, state } => {
            // A template cannot be switched on.
            effects.switches.push(Switched { span, vms: finder.vms(vms, |vm| !vm.config.template)?, power: *state });
        }
        Action::VmChurn { vms, rate } => {
            let mut seats = vec![false; model.world.built.seats.len()];
            for id in finder.vms(vms, |vm| !vm.config.template)? {
                if let Some(seat) = model.world.seat_of(id) {
                    seats[seat] = true;
                }
            }
            effects.churns.push(Churn { span, seats, period: (MINUTE as f64 / rate) as i64 });
        }
        // What happens to vCenter itself is up to who plays vCenter.
        Action::VcenterSlow { .. }
        | Action::VcenterDown
        | Action::VcenterRestarted
        | Action::CertificateExpiring { .. }
        | Action::ClockSkew { .. } => {}
    }
    Ok(())
}

fn running(vm: &Vm) -> bool {
    vm.power == Power::On && vm.connected
}

struct Finder<'a> {
    model: &'a Model,
    event: &'a Event,
}

impl Finder<'_> {
    fn unknown(&self, expected: String, target: &Target) -> ModelError {
        ModelError::UnknownTarget { source_of: self.event.source.clone(), expected, found: target.text.clone() }
    }

    /// One of several by its load or by the seed's choice.
    fn pick(&self, target: &Target, loads: &[(usize, f64)]) -> Option<usize> {
        let by_load = |a: &&(usize, f64), b: &&(usize, f64)| a.1.total_cmp(&b.1);
        let found = match target.pick {
            Pick::Busiest | Pick::Fullest => loads.iter().max_by(by_load),
            Pick::Quietest => loads.iter().min_by(by_load),
            _ => {
                let noise = self.model.world.noise;
                let nth = noise.below(What::Choice, self.event.at.0.cast_unsigned(), 0, loads.len() as u64);
                loads.get(nth as usize)
            }
        };
        found.map(|(place, _)| *place)
    }

    fn outage(&self, host: usize, span: Span, planned: bool) -> Outage {
        let vms = self.model.world.vms_at(&self.model.effects, Time(span.from.0 - 1));
        let id = self.model.estate().host_ids[host];
        let vms = vms.iter().filter(|vm| vm.host == id && vm.connected).map(|vm| vm.id).collect();
        Outage { span, host, cluster: self.cluster_of(host), vms, planned }
    }

    fn cluster_of(&self, host: usize) -> usize {
        let built = &self.model.world.built;
        built.hosts_of.iter().position(|hosts| hosts.contains(&host)).unwrap_or_default()
    }

    fn host_loads(&self) -> Vec<(usize, f64)> {
        let load = self.model.load(self.event.at.tick());
        let loads = load.hosts.iter().enumerate();
        loads.filter_map(|(place, host)| Some((place, host.as_ref()?.numbers[Field::Usage]))).collect()
    }

    fn host(&self, target: &Target) -> Result<usize, ModelError> {
        let hosts = &self.model.estate().hosts;
        let found = match &target.pick {
            // The name up to the first dot is enough.
            Pick::Named(name) => hosts.iter().position(|host| {
                host.name == *name || host.name.split_once('.').is_some_and(|(short, _)| short == name)
            }),
            _ => self.pick(target, &self.host_loads()),
        };
        let example = hosts.first().map_or("", |host| host.name.as_str());
        found.ok_or_else(|| self.unknown(format!("a host that there is, such as `{example}`"), target))
    }

    fn clusters(&self, target: &Target) -> Result<Vec<bool>, ModelError> {
        let clusters = &self.model.estate().clusters;
        let found = match &target.pick {
            Pick::All => return Ok(vec![true; clusters.len()]),
            Pick::Named(name) => clusters.iter().position(|cluster| cluster.name == *name),
            _ => {
                let hosts = self.host_loads();
                let of = |cluster: usize| {
                    hosts.iter().filter(|(host, _)| self.cluster_of(*host) == cluster).map(|(_, load)| load).sum()
                };
                let loads: Vec<(usize, f64)> = (0..clusters.len()).map(|cluster| (cluster, of(cluster))).collect();
                self.pick(target, &loads)
            }
        };
        let example = clusters.first().map_or("", |cluster| cluster.name.as_str());
        let found =
            found.ok_or_else(|| self.unknown(format!("a cluster that there is, such as `{example}`"), target))?;
        Ok((0..clusters.len()).map(|cluster| cluster == found).collect())
    }

    fn datastore(&self, target: &Target) -> Result<usize, ModelError> {
        let datastores = &self.model.estate().datastores;
        let shared =
            || datastores.iter().enumerate().filter(|(_, datastore)| datastore.kind == "VMFS" && datastore.shared);
        let found = match &target.pick {
            Pick::Named(name) => datastores.iter().position(|datastore| datastore.name == *name),
            Pick::Fullest => {
                let used = |id| self.model.datastore_used(id, self.event.at) as f64;
                let loads: Vec<_> = shared().map(|(place, ds)| (place, used(ds.id) / ds.capacity as f64)).collect();
                self.pick(target, &loads)
            }
            _ => {
                let load = self.model.load(self.event.at.tick());
                let operations = |place: usize| {
                    let numbers = &load.datastores[place].numbers;
                    numbers[Field::Reads] + numbers[Field::Writes]
                };
                let loads: Vec<_> = shared().map(|(place, _)| (place, operations(place))).collect();
                self.pick(target, &loads)
            }
        };
        let example = shared().next().map_or("", |(_, datastore)| datastore.name.as_str());
        found.ok_or_else(|| self.unknown(format!("a datastore that there is, such as `{example}`"), target))
    }

    fn vms(&self, target: &Target, fits: impl Fn(&Vm) -> bool) -> Result<HashSet<VmId>, ModelError> {
        let all = self.model.world.vms_at(&self.model.effects, self.event.at);
        let chosen = |wanted: &dyn Fn(&Vm) -> bool| -> HashSet<VmId> {
            all.iter().filter(|vm| fits(vm) && wanted(vm)).map(|vm| vm.id).collect()
        };
        let found = match &target.pick {
            Pick::All => chosen(&|_| true),
            Pick::Named(name) => chosen(&|vm| vm.config.name == *name),
            Pick::Team(team) => chosen(&|vm| vm.config.team == *team),
            Pick::Role(role) => chosen(&|vm| vm.config.role == *role),
            _ => {
                let load = self.model.load(self.event.at.tick());
                let usage = |vm: &Vm| {
                    let seat = self.model.world.seat_of(vm.id)?;
                    let found = load.vms[seat].as_ref().filter(|found| found.id == vm.id)?;
                    Some(found.numbers[Field::Usage])
                };
                let fitting = all.iter().enumerate().filter(|(_, vm)| fits(vm));
                let loads: Vec<(usize, f64)> = fitting.filter_map(|(place, vm)| Some((place, usage(vm)?))).collect();
                self.pick(target, &loads).map(|place| all[place].id).into_iter().collect()
            }
        };
        if found.is_empty() {
            let example = all.iter().find(|vm| fits(vm)).map(|vm| format!(", such as `{}`", vm.config.name));
            let expected = format!("VMs that this can happen to at that time{}", example.unwrap_or_default());
            return Err(self.unknown(expected, target));
        }
        Ok(found)
    }
}
