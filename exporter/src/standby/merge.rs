//! What all hosts of a vCenter tell, as one inventory. Pure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::known::Known;
use crate::inventory::{Datastore, Host, HostConnection, Inventory, Vm, VmPower};

/// What a host tells.
#[derive(Debug, Clone)]
pub enum Told {
    /// Nothing yet: it is being asked for the first time.
    NotYet,
    /// Nothing.
    Nothing,
    /// What is on it, as [`Known::adopt`] has it.
    All(Arc<Inventory>),
    /// The same, but it has stopped answering a moment ago.
    Before(Arc<Inventory>),
}

impl Told {
    fn inventory(&self) -> Option<&Inventory> {
        match self {
            Self::All(inventory) | Self::Before(inventory) => Some(inventory),
            Self::NotYet | Self::Nothing => None,
        }
    }
}

/// One inventory of what each host tells, in the order of the hosts that the vCenter last told of. VMs of a host that does
/// not answer are left out: nobody knows how they are. So is what only the vCenter knows: alarms, clusters, networks, pools.
pub fn merge(known: &Known, told: &[Told]) -> Inventory {
    let hosts = known.inventory.hosts.iter().zip(told).map(|(host, told)| self::host(host, told)).collect();
    let mut merged = Inventory { hosts, doubled: known.inventory.doubled, ..Inventory::default() };
    let mut vms: HashMap<&str, (&Vm, (bool, bool, bool))> = HashMap::new();
    let mut datastores: HashMap<&str, &Datastore> = HashMap::new();
    for told in told {
        let Some(inventory) = told.inventory() else { continue };
        merged.templates += inventory.templates;
        merged.undecided += inventory.undecided;
        merged.unidentified.iter_mut().zip(inventory.unidentified).for_each(|(all, here)| *all += here);
        for vm in &inventory.vms {
            let rank = (vm.power == Some(VmPower::On) && vm.connected, matches!(told, Told::All(_)), vm.connected);
            match vms.entry(&vm.id) {
                // A host that failed and came back still has what was started elsewhere meanwhile.
                Entry::Occupied(mut other) if other.get().1 < rank => drop(other.insert((vm, rank))),
                Entry::Occupied(_) => {}
                Entry::Vacant(vacant) => drop(vacant.insert((vm, rank))),
            }
        }
        for datastore in &inventory.datastores {
            let other = datastores.entry(&datastore.id).or_insert(datastore);
            if other.accessible != Some(true) {
                *other = datastore;
            }
        }
    }
    merged.vms = vms.into_values().map(|(vm, _)| vm.clone()).collect();
    merged.vms.sort_by(|a, b| a.id.cmp(&b.id));
    merged.datastores = datastores.into_values().cloned().collect();
    merged.datastores.sort_by(|a, b| a.id.cmp(&b.id));
    merged
}

fn host(known: &Host, told: &Told) -> Host {
    if let Some(own) = told.inventory().and_then(|inventory| inventory.hosts.first()) {
        return own.clone();
    }
    // What it is stays, how it is does not.
    Host {
        moref: known.moref.clone(),
        id: known.id.clone(),
        place: known.place.clone(),
        connection: matches!(told, Told::Nothing).then_some(HostConnection::NotResponding),
        vendor: known.vendor.clone(),
        model: known.model.clone(),
        version: known.version.clone(),
        build: known.build.clone(),
        cpu_cores: known.cpu_cores,
        cpu_hertz: known.cpu_hertz,
        memory_bytes: known.memory_bytes,
        certificate_end: known.certificate_end,
        ..Host::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Alarm, Object, Place, Status, Terms};
    use crate::ownership::{Condition, Ownership, Rule, Subject};

    fn place(host: &str) -> Place {
        Place { host: host.to_owned(), cluster: "cl".to_owned(), datacenter: "dc".to_owned() }
    }

    fn vm(id: &str, name: &str, host: &str) -> Vm {
        Vm {
            id: id.to_owned(),
            name: name.to_owned(),
            team: "red".to_owned(),
            tier: "gold".to_owned(),
            folder: "/prod".to_owned(),
            labels: vec![("tag_env".to_owned(), "x".to_owned())],
            place: place(host),
            power: Some(VmPower::On),
            connected: true,
            ..Vm::default()
        }
    }

    fn host_of(name: &str) -> Host {
        let connection = Some(HostConnection::Connected);
        Host { id: format!("uuid-{name}"), place: place(name), connection, model: "m".to_owned(), ..Host::default() }
    }

    /// Hosts a and b; `vms` as the vCenter told of them.
    fn known(vms: Vec<Vm>) -> Known {
        let datastore = |moref: &str, id: &str, name: &str| Datastore {
            moref: moref.to_owned(),
            id: id.to_owned(),
            name: name.to_owned(),
            ..Datastore::default()
        };
        let inventory = Inventory {
            vms,
            hosts: vec![host_of("a"), host_of("b")],
            datastores: vec![datastore("datastore-1", "vol-1", "datastore1 (1)")],
            ..Inventory::default()
        };
        let red = Rule {
            team: Some("red".to_owned()),
            tier: None,
            conditions: vec![Condition::new(Subject::Name, "red.*").unwrap()],
        };
        let by_tag = Rule {
            team: Some("green".to_owned()),
            tier: None,
            conditions: vec![Condition::new(Subject::Tag("t".to_owned()), ".*").unwrap()],
        };
        let terms = Terms { ownership: Ownership::new(vec![red, by_tag]), ..Terms::default() };
        Known::new(Arc::new(inventory), terms)
    }

    /// As ESXi tells of it: no folder, no team, an alarm that is none.
    fn on_host(id: &str, name: &str) -> Vm {
        let bare = Vm { id: id.to_owned(), name: name.to_owned(), moref: "7".to_owned(), ..Vm::default() };
        Vm { power: Some(VmPower::On), connected: true, team: "unowned".to_owned(), ..bare }
    }

    fn told(known: &Known, host: usize, vms: Vec<Vm>) -> Told {
        let own =
            Host { place: Place { host: "localhost".to_owned(), ..Place::default() }, ..host_of(["a", "b"][host]) };
        let datastore = Datastore {
            moref: "5c9e".to_owned(),
            id: "vol-1".to_owned(),
            name: "datastore1".to_owned(),
            accessible: Some(host == 1),
            ..Datastore::default()
        };
        let found = Inventory { vms, hosts: vec![own], datastores: vec![datastore], ..Inventory::default() };
        Told::All(Arc::new(known.adopt(host, found)))
    }

    fn vms(merged: &Inventory) -> Vec<String> {
        let shown = |vm: &Vm| format!("{} {} {} {}{}", vm.id, vm.name, vm.team, vm.place.host, vm.folder);
        merged.vms.iter().map(shown).collect()
    }

    #[test]
    fn a_vm_keeps_what_the_vcenter_said_of_it_wherever_it_is() {
        let known = known(vec![vm("u1", "x", "a"), vm("u2", "y", "a")]);
        let merged =
            merge(&known, &[told(&known, 0, vec![on_host("u1", "x")]), told(&known, 1, vec![on_host("u2", "y")])]);
        assert_eq!(vms(&merged), ["u1 x red a/prod", "u2 y red b/prod"]);
        let found = &merged.vms[0];
        assert_eq!((found.tier.as_str(), found.place.cluster.as_str(), found.labels.len()), ("gold", "cl", 1));
        assert_eq!(found.moref, "7", "samples are asked of the host by its own reference");
    }

    #[test]
    fn the_vms_of_a_host_that_does_not_answer_are_absent() {
        let known = known(vec![vm("u1", "x", "a"), vm("u2", "y", "b")]);
        let merged = merge(&known, &[told(&known, 0, vec![on_host("u1", "x")]), Told::Nothing]);
        assert_eq!(vms(&merged), ["u1 x red a/prod"]);
        let b = &merged.hosts[1];
        assert_eq!((b.connection, b.model.as_str()), (Some(HostConnection::NotResponding), "m"));
        assert_eq!(merge(&known, &[Told::NotYet, Told::NotYet]).hosts[1].connection, None);
    }

    #[test]
    fn a_vm_that_a_failed_host_still_has_is_where_it_runs() {
        let known = known(vec![vm("u1", "x", "a")]);
        let stale = |power, connected| Vm { power: Some(power), connected, ..on_host("u1", "x") };
        for old in [stale(VmPower::Off, true), stale(VmPower::On, false)] {
            let all = [told(&known, 0, vec![old]), told(&known, 1, vec![on_host("u1", "x")])];
            assert_eq!(vms(&merge(&known, &all)), ["u1 x red b/prod"]);
        }
        let Told::All(before) = told(&known, 0, vec![on_host("u1", "x")]) else { panic!() };
        let all = [Told::Before(before), told(&known, 1, vec![on_host("u1", "x")])];
        assert_eq!(vms(&merge(&known, &all)), ["u1 x red b/prod"]);
    }

    #[test]
    fn two_vms_of_one_uuid_are_told_apart_by_name_and_host() {
        let known = known(vec![vm("u:vm-1", "x", "a"), vm("u:vm-2", "y", "a"), vm("u:vm-3", "y", "b")]);
        let a = told(&known, 0, vec![on_host("u:1", "y"), on_host("u:2", "x")]);
        let merged = merge(&known, &[a, told(&known, 1, vec![on_host("u", "y")])]);
        assert_eq!(vms(&merged), ["u:vm-1 x red a/prod", "u:vm-2 y red a/prod", "u:vm-3 y red b/prod"]);
    }

    #[test]
    fn a_renamed_vm_is_the_same_and_a_copy_of_it_is_not() {
        let known = known(vec![vm("u1", "x", "a")]);
        let renamed = merge(&known, &[told(&known, 0, vec![on_host("u1", "red-x")]), Told::Nothing]);
        assert_eq!(vms(&renamed), ["u1 x red a/prod"]);
        let both = vec![on_host("u1:1", "red-copy"), on_host("u1:2", "x")];
        let merged = merge(&known, &[told(&known, 0, both), told(&known, 1, vec![on_host("u1", "red-copy")])]);
        assert_eq!((vms(&merged), merged.undecided), (vec!["u1 x red a/prod".to_owned()], 2));
    }

    #[test]
    fn a_new_vm_is_shown_only_if_its_name_says_whose_it_is() {
        let known = known(Vec::new());
        let a = told(&known, 0, vec![on_host("u1", "red-1"), on_host("u2", "other")]);
        let merged = merge(&known, &[a, Told::Nothing]);
        assert_eq!((vms(&merged), merged.undecided), (vec!["u1 red-1 red a".to_owned()], 1));
    }

    #[test]
    fn another_host_at_the_address_is_not_believed() {
        let known = known(vec![vm("u1", "x", "a")]);
        let other = Inventory { hosts: vec![host_of("c")], vms: vec![on_host("u1", "x")], ..Inventory::default() };
        let adopted = known.adopt(0, other);
        assert!(adopted.hosts.is_empty() && adopted.vms.is_empty());
    }

    #[test]
    fn a_datastore_has_the_name_of_the_vcenter_and_the_numbers_of_a_host_that_reaches_it() {
        let known = known(Vec::new());
        let merged = merge(&known, &[told(&known, 0, Vec::new()), told(&known, 1, Vec::new())]);
        let found: Vec<_> = merged.datastores.iter().map(|d| (d.name.as_str(), d.accessible)).collect();
        assert_eq!(found, [("datastore1 (1)", Some(true))]);
    }

    #[test]
    fn what_only_the_vcenter_knows_is_left_out() {
        let alarm = Alarm { name: "a".to_owned(), status: Status::Red, acknowledged: false };
        let mut loud = vm("u1", "x", "a");
        loud.alarms.push(alarm);
        let known = known(vec![loud]);
        let merged = merge(&known, &[told(&known, 0, vec![on_host("u1", "x")]), Told::Nothing]);
        assert!(merged.vms[0].alarms.is_empty() && merged.clusters.is_empty() && merged.networks.is_empty());
        assert_eq!(merged.doubled(Object::Vm), known.inventory.doubled(Object::Vm));
    }
}
