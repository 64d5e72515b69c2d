//! From the properties of all objects to an inventory.

use std::collections::HashMap;

use super::identity::shown_name;
use super::mirror::{Known, Mirror};
use super::{Alarm, Allocation, Inventory, Place, Status, hardware, storage, vm};
use crate::ownership::{Condition, Ownership};
use crate::vsphere::{MoRef, Value};

/// What the config says about VMs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Terms {
    /// Whose VM is whose.
    pub ownership: Ownership,
    /// Categories of tags that become labels of `vsphere_vm_info`.
    pub tags: Vec<String>,
    /// Custom attributes that do.
    pub attributes: Vec<String>,
    /// What the rules about guests ask of a VM, in the order they are tried.
    pub guests: Vec<Vec<Condition>>,
}

impl Terms {
    /// Whether tags have to be read.
    pub fn needs_tags(&self) -> bool {
        !self.tags.is_empty() || self.ownership.needs_tags() || self.guests_need_tags()
    }

    /// Whether tags have to be known before a guest can be collected.
    pub fn guests_need_tags(&self) -> bool {
        self.guests.iter().flatten().any(Condition::is_of_tags)
    }

    /// Whether custom attributes have to be read.
    pub fn needs_attributes(&self) -> bool {
        let of_guests = self.guests.iter().flatten().any(Condition::is_of_attributes);
        !self.attributes.is_empty() || self.ownership.needs_attributes() || of_guests
    }
}

/// Makes an inventory of what is known.
pub fn build(mirror: &Mirror, terms: &Terms) -> Inventory {
    let cx = Cx { mirror, terms, alarms: alarms(mirror), places: places(mirror) };
    let mut inventory = Inventory {
        datacenters: mirror.of("Datacenter").len(),
        licences: mirror.licences.clone(),
        unreadable: mirror.unreadable(),
        ..Inventory::default()
    };
    vm::vms(&cx, &mut inventory);
    hardware::hosts(&cx, &mut inventory);
    storage::datastores(&cx, &mut inventory);
    storage::networks(&cx, &mut inventory);
    hardware::clusters(&cx, &mut inventory);
    hardware::pools(&cx, &mut inventory);
    inventory
}

/// What the parts of the build share.
pub(super) struct Cx<'a> {
    pub(super) mirror: &'a Mirror,
    pub(super) terms: &'a Terms,
    alarms: HashMap<&'a MoRef, Vec<Alarm>>,
    /// Of hosts: thousands of VMs share them.
    places: HashMap<&'a MoRef, Place>,
}

impl Cx<'_> {
    pub(super) fn alarms(&self, object: &MoRef) -> Vec<Alarm> {
        self.alarms.get(object).cloned().unwrap_or_default()
    }

    pub(super) fn place(&self, host: &MoRef) -> Place {
        self.places.get(host).cloned().unwrap_or_default()
    }

    /// The name of the first object of this type above this one.
    pub(super) fn above(&self, object: &MoRef, kind: &str) -> String {
        above(self.mirror, object, kind)
    }

    /// Names from the second object of these types down to this one: the first is the same everywhere (`vm`,
    /// `Resources`). Empty where there is no such object.
    pub(super) fn path(&self, innermost: Option<&MoRef>, kinds: &[&str]) -> String {
        let Some(innermost) = innermost.filter(|reference| self.mirror.get(reference).is_some()) else {
            return String::new();
        };
        let holders = self.mirror.upwards(innermost).take_while(|(reference, _)| kinds.contains(&&*reference.kind));
        let mut names: Vec<_> = holders.map(|(_, known)| name(known).unwrap_or_default()).collect();
        names.pop();
        names.reverse();
        format!("/{}", names.join("/"))
    }
}

pub(super) fn name(known: &Known) -> Option<String> {
    known.text("name").map(shown_name)
}

fn above(mirror: &Mirror, object: &MoRef, kind: &str) -> String {
    let holder = mirror.upwards(object).find(|(reference, _)| reference.kind == kind);
    holder.and_then(|(_, known)| name(known)).unwrap_or_default()
}

fn places(mirror: &Mirror) -> HashMap<&MoRef, Place> {
    let place = |(reference, known): (_, &Known)| {
        let place = Place {
            host: name(known).unwrap_or_default(),
            cluster: above(mirror, reference, "ClusterComputeResource"),
            datacenter: above(mirror, reference, "Datacenter"),
        };
        (reference, place)
    };
    mirror.of("HostSystem").into_iter().map(place).collect()
}

/// Alarms that are yellow or red, by object. An alarm without a known name is shown once it has one.
fn alarms(mirror: &Mirror) -> HashMap<&MoRef, Vec<Alarm>> {
    let mut found: HashMap<&MoRef, Vec<Alarm>> = HashMap::new();
    for state in mirror.triggered() {
        let Some(entity) = state.at("entity").and_then(Value::reference) else { continue };
        let definition = state.at("alarm").and_then(Value::reference);
        let Some(name) = definition.and_then(|alarm| mirror.alarm_names.get(&alarm.id)) else { continue };
        let Some(status) = state.text_at("overallStatus").and_then(Status::from_vsphere) else { continue };
        if !matches!(status, Status::Yellow | Status::Red) {
            continue;
        }
        let acknowledged = state.text_at("acknowledged") == Some("true");
        let alarms = found.entry(entity).or_default();
        // Two alarms of one name would be one series: the worse of them is shown.
        match alarms.iter_mut().find(|alarm| alarm.name == *name) {
            Some(alarm) if alarm.status < status => (alarm.status, alarm.acknowledged) = (status, acknowledged),
            Some(_) => {}
            None => alarms.push(Alarm { name: name.clone(), status, acknowledged }),
        }
    }
    found.values_mut().for_each(|alarms| alarms.sort_by(|a, b| a.name.cmp(&b.name)));
    found
}

pub(super) fn megahertz(known: &Known, path: &str) -> Option<u64> {
    known.parse::<u64>(path).and_then(|megahertz| megahertz.checked_mul(1_000_000))
}

pub(super) fn mebibytes(known: &Known, path: &str) -> Option<u64> {
    known.parse::<u64>(path).and_then(|mebibytes| mebibytes.checked_mul(1 << 20))
}

pub(super) fn time(known: &Known, path: &str) -> Option<i64> {
    known.parse::<jiff::Timestamp>(path).map(|time| time.as_millisecond())
}

/// A limit of -1 does not parse as what it would be in the other direction, so it is absent.
pub(super) fn allocation(known: &Known) -> Allocation {
    Allocation {
        cpu_reservation_hertz: megahertz(known, "config.cpuAllocation.reservation"),
        cpu_limit_hertz: megahertz(known, "config.cpuAllocation.limit"),
        memory_reservation_bytes: mebibytes(known, "config.memoryAllocation.reservation"),
        memory_limit_bytes: mebibytes(known, "config.memoryAllocation.limit"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Object;
    use super::super::testing::{built, host, mirror, object, vm};
    use super::*;

    #[test]
    fn a_vm_knows_where_it_runs() {
        let inventory = built(vec![
            vm("vm-1", &["runtime.host>HostSystem:h", "parent>Folder:web", "resourcePool>ResourcePool:gold"]),
            host("h", &["parent>ClusterComputeResource:c"]),
            object("ClusterComputeResource", "c", &["name=cl1", "parent>Folder:hosts"]),
            object("Folder", "hosts", &["name=host", "parent>Datacenter:dc"]),
            object("Datacenter", "dc", &["name=DC%2f1", "parent>Folder:root"]),
            object("Folder", "root", &["name=Datacenters"]),
            object("Folder", "vm", &["name=vm", "parent>Datacenter:dc"]),
            object("Folder", "prod", &["name=prod", "parent>Folder:vm"]),
            object("Folder", "web", &["name=web", "parent>Folder:prod"]),
            object("ResourcePool", "r", &["name=Resources", "parent>ClusterComputeResource:c"]),
            object("ResourcePool", "gold", &["name=gold", "parent>ResourcePool:r"]),
        ]);
        let vm = &inventory.vms[0];
        let place = Place { host: "esx1".to_owned(), cluster: "cl1".to_owned(), datacenter: "DC/1".to_owned() };
        assert_eq!((&vm.place, vm.folder.as_str(), vm.resource_pool.as_str()), (&place, "/prod/web", "/gold"));
        assert_eq!((vm.id.as_str(), vm.host_moref.as_str()), ("u-1", "h"));
        let pool = &inventory.pools[0];
        assert_eq!(
            (inventory.pools.len(), pool.path.as_str(), pool.cluster.as_str(), pool.vms),
            (1, "/gold", "cl1", 1)
        );
    }

    #[test]
    fn a_vm_whose_surroundings_may_not_be_read_is_still_there() {
        let inventory = built(vec![vm("vm-1", &["runtime.host>HostSystem:h", "parent>Folder:f"])]);
        assert_eq!((&inventory.vms[0].place, inventory.vms[0].folder.as_str()), (&Place::default(), ""));
    }

    #[test]
    fn references_in_a_circle_end() {
        let inventory = built(vec![
            vm("vm-1", &["parent>Folder:a"]),
            object("Folder", "a", &["name=a", "parent>Folder:b"]),
            object("Folder", "b", &["name=b", "parent>Folder:a"]),
        ]);
        assert_eq!(inventory.vms.len(), 1);
    }

    #[test]
    fn objects_without_an_id_are_counted_and_not_shown() {
        let inventory = built(vec![
            object("VirtualMachine", "vm-1", &["name=lost"]),
            object("HostSystem", "host-1", &[]),
            object("Datastore", "ds-1", &["name=nfs"]),
        ]);
        assert_eq!(Object::ALL.map(|object| inventory.unidentified(object)), [1, 1, 1]);
        assert!(inventory.vms.is_empty() && inventory.hosts.is_empty() && inventory.datastores.is_empty());
    }

    #[test]
    fn an_object_that_comes_twice_counts_once() {
        assert_eq!(built(vec![vm("vm-1", &[]), vm("vm-1", &[])]).vms.len(), 1);
    }

    #[test]
    fn numbers_that_are_none_or_too_large_are_absent() {
        for number in ["NaN", "-1", "1e9", "99999999999999999999", "18446744073709551615", ""] {
            let memory = format!("config.hardware.memoryMB={number}");
            let limit = format!("config.cpuAllocation.limit={number}");
            let limits = ["config.memoryAllocation.limit=-1", &limit, &memory];
            let vm = built(vec![vm("vm-1", &limits)]).vms.remove(0);
            assert_eq!((vm.memory_bytes, vm.allocation), (None, Allocation::default()), "{number}");
            let speed = format!("summary.hardware.cpuMhz={number}");
            assert_eq!(built(vec![host("h", &[&speed])]).hosts[0].cpu_hertz, None, "{number}");
        }
    }

    #[test]
    fn allocations_are_in_base_units_and_no_limit_is_none() {
        let allocation = built(vec![vm(
            "vm-1",
            &[
                "config.cpuAllocation.reservation=500",
                "config.cpuAllocation.limit=-1",
                "config.memoryAllocation.reservation=0",
                "config.memoryAllocation.limit=2048",
            ],
        )]);
        let expected = Allocation {
            cpu_reservation_hertz: Some(500_000_000),
            cpu_limit_hertz: None,
            memory_reservation_bytes: Some(0),
            memory_limit_bytes: Some(2 << 30),
        };
        assert_eq!(allocation.vms[0].allocation, expected);
    }

    #[test]
    fn alarms_are_shown_once_they_have_a_name_and_the_worse_of_two() {
        let state = |alarm: &str, status: &str, acknowledged: &str| {
            format!(
                r#"<AlarmState><entity type="VirtualMachine">vm-1</entity><alarm type="Alarm">{alarm}</alarm><overallStatus>{status}</overallStatus><acknowledged>{acknowledged}</acknowledged></AlarmState>"#
            )
        };
        let states = [
            state("a-1", "yellow", "true"),
            state("a-2", "red", "false"),
            state("a-3", "green", "false"),
            state("a-4", "red", "false"),
        ];
        let root = object("Folder", "root", &[&format!("triggeredAlarmState={}", states.concat())]);
        let mut mirror = mirror(vec![vm("vm-1", &[]), root]);
        assert_eq!(mirror.nameless_alarms().len(), 4);
        assert!(build(&mirror, &Terms::default()).vms[0].alarms.is_empty());
        for (id, name) in [("a-1", "CPU"), ("a-2", "CPU"), ("a-3", "Disk")] {
            mirror.alarm_names.insert(id.to_owned(), name.to_owned());
        }
        let inventory = build(&mirror, &Terms::default());
        let expected = Alarm { name: "CPU".to_owned(), status: Status::Red, acknowledged: false };
        assert_eq!(inventory.vms[0].alarms, [expected]);
    }

    #[test]
    fn what_cannot_be_read_is_counted() {
        let deep = format!("snapshot={}{}", "<childSnapshotList>".repeat(5_000), "</childSnapshotList>".repeat(5_000));
        let inventory = built(vec![vm("vm-1", &[&deep]), vm("vm-2", &["config.instanceUuid=U-2"])]);
        assert_eq!((inventory.vms.len(), inventory.unreadable), (2, 1));
        assert_eq!(inventory.vms[0].snapshots, None);
        assert_eq!(inventory.vms[1].snapshots, Some(Default::default()));
    }
}
