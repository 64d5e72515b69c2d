//! From the properties of all objects to an inventory.

use std::collections::HashMap;

use super::identity::shown_name;
use super::mirror::{Known, Mirror};
use super::{Alarm, Allocation, Inventory, Place, Status, hardware, storage, vm};
use crate::ownership::Ownership;
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
}

impl Terms {
    /// Whether tags have to be read.
    pub fn needs_tags(&self) -> bool {
        !self.tags.is_empty() || self.ownership.needs_tags()
    }

    /// Whether custom attributes have to be read.
    pub fn needs_attributes(&self) -> bool {
        !self.attributes.is_empty() || self.ownership.needs_attributes()
    }
}

/// Makes an inventory of what is known.
pub fn build(mirror: &Mirror, terms: &Terms) -> Inventory {
    let cx = Cx { mirror, terms, alarms: alarms(mirror), places: places(mirror) };
    let mut inventory = Inventory {
        datacenters: mirror.of("Datacenter").len(),
        licences: mirror.licences.clone(),
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
    known.parse::<u64>(path).map(|megahertz| megahertz * 1_000_000)
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
