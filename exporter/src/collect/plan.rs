//! Which objects are asked for samples together. Pure.

use std::collections::HashSet;

use crate::catalogue::Class;
use crate::inventory::{HostConnection, Inventory, Terms};
use crate::state::is_measured;

/// An object to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its reference in this vCenter.
    pub moref: String,
    /// Its identity, which the books know it by.
    pub id: String,
    /// The host that has its samples; empty where vCenter itself has them.
    pub host: String,
}

/// Objects that are asked in one query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The objects.
    pub targets: Vec<Target>,
    /// Whether they are all of a host that a query failed on.
    pub of_sick_host: bool,
}

/// The objects of a class that have samples, and the identities of those that have none now. Important VMs come first;
/// within their tier those of one host are together, so that a query touches few hosts.
pub fn targets(class: Class, inventory: &Inventory, terms: &Terms) -> (Vec<Target>, Vec<String>) {
    let (mut targets, mut paused) = (Vec::new(), Vec::new());
    match class {
        Class::Vm => {
            let mut ranked = Vec::new();
            for vm in &inventory.vms {
                if is_measured(vm) {
                    ranked.push((terms.ownership.tier_rank(&vm.tier), vm));
                } else {
                    paused.push(vm.id.clone());
                }
            }
            ranked.sort_by(|(a, x), (b, y)| (a, &x.host_moref, &x.moref).cmp(&(b, &y.host_moref, &y.moref)));
            targets.extend(ranked.into_iter().map(|(_, vm)| Target {
                moref: vm.moref.clone(),
                id: vm.id.clone(),
                host: vm.host_moref.clone(),
            }));
        }
        Class::Host => {
            for host in &inventory.hosts {
                if host.connection == Some(HostConnection::Connected) {
                    let (moref, id) = (host.moref.clone(), host.id.clone());
                    targets.push(Target { host: moref.clone(), moref, id });
                } else {
                    paused.push(host.id.clone());
                }
            }
        }
        Class::Datastore => {
            let accessible = inventory.datastores.iter().filter(|datastore| datastore.accessible == Some(true));
            targets.extend(accessible.map(|datastore| Target {
                moref: datastore.moref.clone(),
                id: datastore.id.clone(),
                host: String::new(),
            }));
        }
        Class::Cluster => {
            targets.extend(inventory.clusters.iter().map(|cluster| Target {
                moref: cluster.id.clone(),
                id: cluster.id.clone(),
                host: String::new(),
            }));
        }
    }
    (targets, paused)
}

/// Cuts targets into batches. Each host that a query failed on is a batch of its own, after the others.
pub fn batches(targets: Vec<Target>, size: usize, sick: &HashSet<String>) -> Vec<Batch> {
    let (of_sick, well): (Vec<_>, Vec<_>) = targets.into_iter().partition(|target| sick.contains(&target.host));
    let cut = |targets: &[Target]| targets.chunks(size.max(1)).map(<[Target]>::to_vec).collect::<Vec<_>>();
    let mut batches: Vec<Batch> =
        cut(&well).into_iter().map(|targets| Batch { targets, of_sick_host: false }).collect();
    let mut of_sick = of_sick;
    of_sick.sort_by(|a, b| (&a.host, &a.moref).cmp(&(&b.host, &b.moref)));
    for of_host in of_sick.chunk_by(|a, b| a.host == b.host) {
        batches.extend(cut(of_host).into_iter().map(|targets| Batch { targets, of_sick_host: true }));
    }
    batches
}

impl Batch {
    /// The identities of its objects.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.targets.iter().map(|target| target.id.as_str())
    }

    /// The hosts that it touches.
    pub fn hosts(&self) -> HashSet<String> {
        self.targets.iter().map(|target| target.host.clone()).filter(|host| !host.is_empty()).collect()
    }

    /// Two halves, or `None` where there is nothing to halve.
    pub fn halves(mut self) -> Option<[Self; 2]> {
        if self.targets.len() < 2 {
            return None;
        }
        let rest = self.targets.split_off(self.targets.len() / 2);
        let of_sick_host = self.of_sick_host;
        Some([self, Self { targets: rest, of_sick_host }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Vm, VmPower};
    use crate::ownership::{Ownership, Rule};

    fn vm(moref: &str, host: &str, tier: &str, power: VmPower) -> Vm {
        Vm {
            moref: moref.to_owned(),
            id: format!("u-{moref}"),
            host_moref: host.to_owned(),
            tier: tier.to_owned(),
            power: Some(power),
            connected: true,
            ..Vm::default()
        }
    }

    fn terms() -> Terms {
        let rule = |tier: &str| Rule { team: None, tier: Some(tier.to_owned()), conditions: Vec::new() };
        Terms { ownership: Ownership::new(vec![rule("gold"), rule("silver")]), ..Terms::default() }
    }

    fn planned(vms: Vec<Vm>) -> (Vec<String>, Vec<String>) {
        let (targets, paused) = targets(Class::Vm, &Inventory { vms, ..Inventory::default() }, &terms());
        (targets.into_iter().map(|target| target.moref).collect(), paused)
    }

    #[test]
    fn important_vms_come_first_and_those_of_a_host_together() {
        let (order, _) = planned(vec![
            vm("1", "b", "", VmPower::On),
            vm("2", "a", "silver", VmPower::On),
            vm("3", "b", "gold", VmPower::On),
            vm("4", "a", "", VmPower::On),
            vm("5", "b", "", VmPower::On),
        ]);
        assert_eq!(order, ["3", "2", "4", "1", "5"]);
    }

    #[test]
    fn a_vm_that_is_off_is_not_asked() {
        let (order, paused) = planned(vec![vm("1", "a", "", VmPower::Off), vm("2", "a", "", VmPower::On)]);
        assert_eq!((order, paused), (vec!["2".to_owned()], vec!["u-1".to_owned()]));
    }

    fn target(moref: &str, host: &str) -> Target {
        Target { moref: moref.to_owned(), id: moref.to_owned(), host: host.to_owned() }
    }

    #[test]
    fn a_sick_host_is_asked_by_itself_and_last() {
        let all = vec![target("1", "a"), target("2", "b"), target("3", "a"), target("4", "c"), target("5", "c")];
        let sick = HashSet::from(["a".to_owned()]);
        let found: Vec<_> = batches(all, 2, &sick)
            .into_iter()
            .map(|batch| {
                let morefs: Vec<_> = batch.targets.iter().map(|target| target.moref.clone()).collect();
                (morefs.join(" "), batch.of_sick_host)
            })
            .collect();
        let expected = [("2 4", false), ("5", false), ("1 3", true)];
        assert_eq!(found, expected.map(|(morefs, sick)| (morefs.to_owned(), sick)));
    }

    #[test]
    fn a_batch_of_one_has_no_halves() {
        let [a, b] = Batch { targets: vec![target("1", "a"), target("2", "a"), target("3", "a")], of_sick_host: false }
            .halves()
            .unwrap();
        assert_eq!((a.targets.len(), b.targets.len()), (1, 2));
        assert!(a.halves().is_none());
    }
}
