//! From the objects that the property collector answers to an inventory.

use std::collections::BTreeMap;

use super::identity::{Candidate, identify, shown_name, volume};
use super::{Datastore, Host, HostConnection, HostPower, Inventory, Object, Place, Vm, VmPower};
use crate::ownership::Ownership;
use crate::vsphere::{MoRef, Object as Found};

/// Deeper than any inventory; ends a walk through references that lead in a circle.
const MAX_DEPTH: usize = 100;

/// Sorts objects into an inventory. An object that comes twice counts once.
pub fn build(found: Vec<Found>, ownership: &Ownership) -> Inventory {
    let tree = Tree(found.into_iter().map(|object| (object.reference.clone(), object)).collect());
    let mut inventory = Inventory::default();
    vms(&tree, ownership, &mut inventory);
    hosts(&tree, &mut inventory);
    datastores(&tree, &mut inventory);
    inventory
}

fn vms(tree: &Tree, ownership: &Ownership, inventory: &mut Inventory) {
    let (mut vms, mut candidates) = (Vec::new(), Vec::new());
    for object in tree.of("VirtualMachine") {
        if object.text("config.template") == Some("true") {
            continue;
        }
        // A VM whose files cannot be reached has no config, so no UUID: showing it under another id would make it
        // another VM to every rule and every archive.
        let Some((name, uuid)) = tree.name(object).zip(object.text("config.instanceUuid")) else {
            inventory.unidentified[Object::Vm as usize] += 1;
            continue;
        };
        let (moref, id) = (object.reference.id.clone(), uuid.to_ascii_lowercase());
        candidates.push(Candidate { otherwise: format!("{id}:{moref}"), id, moref: moref.clone() });
        let text = |path: &str| object.text(path).unwrap_or_default().to_owned();
        let host = object.reference("runtime.host");
        vms.push(Vm {
            moref,
            id: String::new(),
            team: ownership.team(&name).to_owned(),
            name,
            power: object.text("runtime.powerState").and_then(VmPower::from_vsphere),
            connected: object.text("runtime.connectionState") == Some("connected"),
            place: host.and_then(|host| tree.0.get(&host)).map(|host| tree.place(host)).unwrap_or_default(),
            folder: tree.path(object.reference("parent"), &["Folder"]),
            resource_pool: tree.path(object.reference("resourcePool"), &["ResourcePool", "VirtualApp"]),
            // What the guest says of itself is truer than what was chosen when the VM was made.
            guest_os: object
                .text("guest.guestFullName")
                .or_else(|| object.text("config.guestFullName"))
                .unwrap_or_default()
                .to_owned(),
            hardware_version: text("config.version"),
            tools_version: text("guest.toolsVersion"),
            address: text("guest.ipAddress"),
            cpus: object.parse("config.hardware.numCPU"),
            memory_bytes: object.parse("config.hardware.memoryMB").map(|mebibytes: u32| u64::from(mebibytes) << 20),
        });
    }
    let (ids, doubled) = identify(candidates);
    vms.iter_mut().zip(ids).for_each(|(vm, id)| vm.id = id);
    inventory.vms = vms;
    inventory.doubled[Object::Vm as usize] = doubled;
}

fn hosts(tree: &Tree, inventory: &mut Inventory) {
    let (mut hosts, mut candidates) = (Vec::new(), Vec::new());
    for object in tree.of("HostSystem") {
        if tree.name(object).is_none() {
            inventory.unidentified[Object::Host as usize] += 1;
            continue;
        }
        let (moref, place) = (object.reference.id.clone(), tree.place(object));
        let id = object.text("summary.hardware.uuid").map_or(place.host.clone(), str::to_ascii_lowercase);
        candidates.push(Candidate { id, otherwise: place.host.clone(), moref: moref.clone() });
        let text = |path: &str| object.text(path).unwrap_or_default().to_owned();
        hosts.push(Host {
            moref,
            id: String::new(),
            place,
            connection: object.text("runtime.connectionState").and_then(HostConnection::from_vsphere),
            power: object.text("runtime.powerState").and_then(HostPower::from_vsphere),
            vendor: text("summary.hardware.vendor"),
            model: text("summary.hardware.model"),
            version: text("summary.config.product.version"),
            build: text("summary.config.product.build"),
            cpu_cores: object.parse("summary.hardware.numCpuCores"),
            cpu_hertz: object.parse("summary.hardware.cpuMhz").map(|megahertz: u32| u64::from(megahertz) * 1_000_000),
            memory_bytes: object.parse("summary.hardware.memorySize"),
        });
    }
    let (ids, doubled) = identify(candidates);
    hosts.iter_mut().zip(ids).for_each(|(host, id)| host.id = id);
    inventory.hosts = hosts;
    inventory.doubled[Object::Host as usize] = doubled;
}

fn datastores(tree: &Tree, inventory: &mut Inventory) {
    let (mut datastores, mut candidates) = (Vec::new(), Vec::new());
    for object in tree.of("Datastore") {
        let Some((name, volume)) = tree.name(object).zip(object.text("summary.url").and_then(volume)) else {
            inventory.unidentified[Object::Datastore as usize] += 1;
            continue;
        };
        let moref = object.reference.id.clone();
        candidates.push(Candidate { id: volume.to_owned(), otherwise: format!("{volume}:{moref}"), moref });
        datastores.push(Datastore {
            id: String::new(),
            name,
            datacenter: tree.above(object, "Datacenter"),
            file_system: object.text("summary.type").unwrap_or_default().to_owned(),
            accessible: object.parse("summary.accessible"),
            capacity_bytes: object.parse("summary.capacity"),
            free_bytes: object.parse("summary.freeSpace"),
        });
    }
    let (ids, doubled) = identify(candidates);
    datastores.iter_mut().zip(ids).for_each(|(datastore, id)| datastore.id = id);
    inventory.datastores = datastores;
    inventory.doubled[Object::Datastore as usize] = doubled;
}

struct Tree(BTreeMap<MoRef, Found>);

impl Tree {
    fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Found> {
        self.0.values().filter(move |object| object.reference.kind == kind)
    }

    fn name(&self, object: &Found) -> Option<String> {
        object.text("name").map(shown_name)
    }

    /// The object itself and all that hold it, from the inside out.
    fn upwards<'a>(&'a self, object: &'a Found) -> impl Iterator<Item = &'a Found> {
        let parent = |object: &&Found| self.0.get(&object.reference("parent")?);
        std::iter::successors(Some(object), parent).take(MAX_DEPTH)
    }

    /// The name of the first object of this type above this one.
    fn above(&self, object: &Found, kind: &str) -> String {
        let holder = self.upwards(object).find(|holder| holder.reference.kind == kind);
        holder.and_then(|holder| self.name(holder)).unwrap_or_default()
    }

    fn place(&self, host: &Found) -> Place {
        Place {
            host: self.name(host).unwrap_or_default(),
            cluster: self.above(host, "ClusterComputeResource"),
            datacenter: self.above(host, "Datacenter"),
        }
    }

    /// Names from the second object of these types down to this one: the first is the same everywhere (`vm`,
    /// `Resources`). Empty where there is no such object.
    fn path(&self, innermost: Option<MoRef>, kinds: &[&str]) -> String {
        let Some(innermost) = innermost.and_then(|reference| self.0.get(&reference)) else { return String::new() };
        let holders = self.upwards(innermost).take_while(|holder| kinds.contains(&holder.reference.kind.as_str()));
        let mut names: Vec<_> = holders.map(|holder| self.name(holder).unwrap_or_default()).collect();
        names.pop();
        names.reverse();
        format!("/{}", names.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vsphere::Property;

    /// `name=value`, or `name>Kind:id` for a reference.
    fn object(kind: &str, id: &str, properties: &[&str]) -> Found {
        let properties = properties.iter().map(|property| {
            let (name, text, ref_type) = match property.split_once('>') {
                Some((name, target)) => {
                    let (kind, id) = target.split_once(':').unwrap();
                    (name, id, Some(kind.to_owned()))
                }
                None => {
                    let (name, text) = property.split_once('=').unwrap();
                    (name, text, None)
                }
            };
            (name.to_owned(), Property { text: text.to_owned(), ref_type })
        });
        let reference = MoRef { kind: kind.to_owned(), id: id.to_owned() };
        Found { reference, properties: properties.collect() }
    }

    fn vm(id: &str, more: &[&str]) -> Found {
        let basics = ["name=web", "config.instanceUuid=U-1", "runtime.powerState=poweredOn"];
        object("VirtualMachine", id, &[&basics, more].concat())
    }

    fn built(found: Vec<Found>) -> Inventory {
        build(found, &Ownership::default())
    }

    #[test]
    fn a_vm_knows_where_it_runs() {
        let inventory = built(vec![
            vm("vm-1", &["runtime.host>HostSystem:h", "parent>Folder:web", "resourcePool>ResourcePool:gold"]),
            object("HostSystem", "h", &["name=esx1", "parent>ClusterComputeResource:c"]),
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
        assert_eq!(vm.id, "u-1");
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
    fn templates_are_no_vms() {
        let inventory = built(vec![vm("vm-1", &["config.template=true"])]);
        assert_eq!((inventory.vms.len(), inventory.unidentified(Object::Vm)), (0, 0));
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
    fn two_vms_with_one_uuid_are_two_vms() {
        let inventory = built(vec![vm("vm-1", &[]), vm("vm-2", &[])]);
        let ids: Vec<_> = inventory.vms.iter().map(|vm| vm.id.as_str()).collect();
        assert_eq!((ids, inventory.doubled(Object::Vm)), (vec!["u-1:vm-1", "u-1:vm-2"], 2));
    }

    #[test]
    fn hosts_with_one_uuid_are_told_by_name() {
        let host = |id: &str, name: &str| object("HostSystem", id, &[name, "summary.hardware.uuid=U"]);
        let inventory = built(vec![host("h1", "name=esx1"), host("h2", "name=esx2")]);
        assert_eq!(inventory.hosts.iter().map(|host| host.id.as_str()).collect::<Vec<_>>(), ["esx1", "esx2"]);
        assert_eq!(inventory.doubled(Object::Host), 2);
    }

    #[test]
    fn an_object_that_comes_twice_counts_once() {
        assert_eq!(built(vec![vm("vm-1", &[]), vm("vm-1", &[])]).vms.len(), 1);
    }

    #[test]
    fn a_state_of_a_later_vsphere_is_not_guessed() {
        let inventory = built(vec![vm("vm-1", &["runtime.powerState=hibernated"])]);
        assert_eq!(inventory.vms[0].power, None);
    }
}
