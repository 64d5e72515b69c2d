//! What a vCenter last told, and what a host tells in the words of it. Pure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::collect::Estate;
use crate::inventory::{Datastore, Host, Inventory, Terms, Vm};

/// A host that is asked in the place of its vCenter.
#[derive(Debug)]
pub struct StandsIn {
    /// The vCenter, which has the books.
    pub vcenter: Arc<Estate>,
    /// What it last told.
    pub known: Arc<Known>,
    /// The host's place there.
    pub host: usize,
}

impl StandsIn {
    /// The host's name in the vCenter.
    pub fn name(&self) -> &str {
        &self.known.inventory.hosts[self.host].place.host
    }
}

/// What a vCenter last told.
#[derive(Debug)]
pub struct Known {
    /// All of it.
    pub inventory: Arc<Inventory>,
    terms: Terms,
    /// Places of VMs by their instance UUID, which two may share.
    vms: HashMap<String, Vec<usize>>,
    datastores: HashMap<String, usize>,
}

impl Known {
    /// `terms` say whose a VM is that the vCenter did not tell of.
    pub fn new(inventory: Arc<Inventory>, terms: Terms) -> Self {
        let mut vms: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, vm) in inventory.vms.iter().enumerate() {
            vms.entry(uuid(&vm.id).to_owned()).or_default().push(place);
        }
        let datastores = inventory.datastores.iter().enumerate();
        let datastores = datastores.map(|(place, datastore)| (datastore.id.clone(), place)).collect();
        Self { inventory, terms, vms, datastores }
    }

    /// What is on this host, by what it tells: with the identities, owners and places that the vCenter would give. Nothing
    /// where another host answers in its place.
    pub fn adopt(&self, host: usize, found: Inventory) -> Inventory {
        let known = &self.inventory.hosts[host];
        let mut adopted = Inventory {
            templates: found.templates,
            unidentified: found.unidentified,
            undecided: found.undecided,
            ..Inventory::default()
        };
        let Some(own) = found.hosts.into_iter().next().filter(|own| is_same(own, known)) else { return adopted };
        // VMs that the vCenter knows by this name first: so a copy never takes the place of its original.
        let mut claimed = HashSet::new();
        let mut of_vms: Vec<Option<usize>> =
            found.vms.iter().map(|vm| self.vm(vm, known, true, &mut claimed)).collect();
        for (vm, of) in found.vms.iter().zip(&mut of_vms) {
            *of = of.or_else(|| self.vm(vm, known, false, &mut claimed));
        }
        for (vm, of) in found.vms.into_iter().zip(of_vms) {
            match of.map(|place| &self.inventory.vms[place]) {
                Some(of) => adopted.vms.push(as_known(vm, of, known)),
                None => match self.new_vm(vm, known) {
                    Some(vm) => adopted.vms.push(vm),
                    None => adopted.undecided += 1,
                },
            }
        }
        let datastores = found.datastores.into_iter().filter_map(|found| {
            let known = &self.inventory.datastores[*self.datastores.get(&found.id)?];
            Some(Datastore {
                id: known.id.clone(),
                name: known.name.clone(),
                datacenter: known.datacenter.clone(),
                file_system: known.file_system.clone(),
                // What vCenter makes of it, and what this host alone cannot say of a shared one.
                status: None,
                maintenance: None,
                uncommitted_bytes: None,
                ..found
            })
        });
        adopted.datastores = datastores.collect();
        adopted.hosts.push(Host {
            id: known.id.clone(),
            place: known.place.clone(),
            status: None,
            certificate_end: own.certificate_end.or(known.certificate_end),
            ..own
        });
        adopted
    }

    /// Which VM of the vCenter this is: the only one with its UUID that has its name, or else that was on this host.
    fn vm(&self, vm: &Vm, host: &Host, by_name: bool, claimed: &mut HashSet<usize>) -> Option<usize> {
        let candidates = self.vms.get(uuid(&vm.id))?;
        let here = |place: &usize| self.inventory.vms[*place].place.host == host.place.host;
        let of_name = |place: &usize| self.inventory.vms[*place].name == vm.name;
        let free = candidates.iter().copied().filter(|place| !claimed.contains(place));
        let mut free: Vec<usize> = free.filter(|place| if by_name { of_name(place) } else { here(place) }).collect();
        if free.len() > 1 {
            free.retain(here);
        }
        let [only] = free[..] else { return None };
        claimed.insert(only);
        Some(only)
    }

    /// A VM that the vCenter did not tell of. `None` where nobody can say whose it is, or which.
    fn new_vm(&self, vm: Vm, host: &Host) -> Option<Vm> {
        let id = uuid(&vm.id).to_owned();
        if self.vms.contains_key(&id) {
            return None;
        }
        let owner = self.terms.ownership.by_name(&vm.name)?;
        let (folder, resource_pool) = (String::new(), String::new());
        Some(Vm { id, team: owner.team, tier: owner.tier, folder, resource_pool, place: host.place.clone(), ..vm })
    }
}

fn as_known(vm: Vm, known: &Vm, host: &Host) -> Vm {
    Vm {
        id: known.id.clone(),
        name: known.name.clone(),
        team: known.team.clone(),
        tier: known.tier.clone(),
        folder: known.folder.clone(),
        resource_pool: known.resource_pool.clone(),
        labels: known.labels.clone(),
        place: host.place.clone(),
        ..vm
    }
}

/// A host is known by its hardware UUID, or by its name where it has none of its own.
fn is_same(found: &Host, known: &Host) -> bool {
    found.id == known.id || known.id.starts_with(&known.place.host)
}

/// The instance UUID in an id of a VM, which has a reference behind it where another one has the same.
fn uuid(id: &str) -> &str {
    id.split_once(':').map_or(id, |(uuid, _)| uuid)
}
