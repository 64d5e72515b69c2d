//! Datastores and networks.

use std::collections::HashMap;

use super::build::{Cx, name};
use super::identity::{Candidate, identify, volume};
use super::{Datastore, DatastoreMaintenance, Inventory, Network, Object, Status};
use crate::vsphere::Value;

pub(super) fn datastores(cx: &Cx<'_>, inventory: &mut Inventory) {
    let (mut datastores, mut candidates) = (Vec::new(), Vec::new());
    for (reference, known) in cx.mirror.of("Datastore") {
        let Some((name, volume)) = name(known).zip(known.text("summary.url").and_then(volume)) else {
            inventory.unidentified[Object::Datastore as usize] += 1;
            continue;
        };
        let moref = reference.id.clone();
        candidates.push(Candidate {
            id: volume.to_owned(),
            otherwise: format!("{volume}:{moref}"),
            moref: moref.clone(),
        });
        datastores.push(Datastore {
            moref,
            id: String::new(),
            name,
            datacenter: cx.above(reference, "Datacenter"),
            file_system: known.owned("summary.type"),
            accessible: known.parse("summary.accessible"),
            status: known.text("overallStatus").and_then(Status::from_vsphere),
            maintenance: known.text("summary.maintenanceMode").and_then(DatastoreMaintenance::from_vsphere),
            capacity_bytes: known.parse("summary.capacity"),
            free_bytes: known.parse("summary.freeSpace"),
            uncommitted_bytes: known.parse("summary.uncommitted"),
            alarms: cx.alarms(reference),
        });
    }
    let (ids, doubled) = identify(candidates);
    datastores.iter_mut().zip(ids).for_each(|(datastore, id)| datastore.id = id);
    inventory.datastores = datastores;
    inventory.doubled[Object::Datastore as usize] = doubled;
}

pub(super) fn networks(cx: &Cx<'_>, inventory: &mut Inventory) {
    let (vms, hosts) = (members(cx, "VirtualMachine"), members(cx, "HostSystem"));
    let kinds = [
        ("Network", "standard"),
        ("DistributedVirtualPortgroup", "portgroup"),
        ("DistributedVirtualSwitch", "switch"),
        ("VmwareDistributedVirtualSwitch", "switch"),
    ];
    for (of, kind) in kinds {
        for (reference, known) in cx.mirror.of(of) {
            let Some(name) = name(known) else { continue };
            let count = |of: &HashMap<&str, usize>| {
                (kind != "switch").then(|| of.get(reference.id.as_str()).copied().unwrap_or_default())
            };
            let switch = known.reference("config.distributedVirtualSwitch").and_then(|switch| cx.mirror.get(switch));
            inventory.networks.push(Network {
                id: reference.id.clone(),
                name,
                datacenter: cx.above(reference, "Datacenter"),
                kind: kind.into(),
                switch: switch.and_then(super::build::name).unwrap_or_default(),
                version: known.owned("summary.productInfo.version"),
                accessible: known.parse("summary.accessible"),
                status: known.text("overallStatus").and_then(Status::from_vsphere),
                ports: known.parse("config.numPorts").or_else(|| known.parse("summary.numPorts")),
                vms: count(&vms),
                hosts: count(&hosts),
                alarms: cx.alarms(reference),
            });
        }
    }
}

/// How many objects of this type are connected to each network.
fn members<'a>(cx: &Cx<'a>, kind: &str) -> HashMap<&'a str, usize> {
    let mut members = HashMap::new();
    for (_, known) in cx.mirror.of(kind) {
        let networks = known.get("network").into_iter().flat_map(Value::fields);
        for network in networks.filter_map(|field| field.value.reference()) {
            *members.entry(network.id.as_str()).or_default() += 1;
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use super::super::testing::{built, host, object, vm};
    use super::*;

    #[test]
    fn a_datastore_is_known_by_its_volume() {
        let of = |id: &str, name: &str| {
            let properties =
                [name, "summary.url=ds:///vmfs/volumes/5c9e-1/", "summary.capacity=100", "summary.freeSpace=-3"];
            object("Datastore", id, &properties)
        };
        let datastores = built(vec![of("ds-1", "name=a")]).datastores;
        assert_eq!((datastores[0].id.as_str(), datastores[0].capacity_bytes), ("5c9e-1", Some(100)));
        assert_eq!(datastores[0].free_bytes, None);
        let inventory = built(vec![of("ds-1", "name=a"), of("ds-2", "name=b")]);
        let ids: Vec<_> = inventory.datastores.iter().map(|datastore| datastore.id.as_str()).collect();
        assert_eq!((ids, inventory.doubled(Object::Datastore)), (vec!["5c9e-1:ds-1", "5c9e-1:ds-2"], 2));
    }

    #[test]
    fn networks_count_what_is_connected_to_them() {
        let on = |id: &str| {
            format!(
                r#"network=<ManagedObjectReference type="Network">{id}</ManagedObjectReference><ManagedObjectReference type="DistributedVirtualPortgroup">pg</ManagedObjectReference>"#
            )
        };
        let networks = built(vec![
            vm("vm-1", &[&on("n-1")]),
            vm("vm-2", &[&on("n-2")]),
            host("h", &[&on("n-1")]),
            object("Network", "n-1", &["name=VM Network"]),
            object("Network", "n-2", &["name=VM Network"]),
            object(
                "DistributedVirtualPortgroup",
                "pg",
                &["name=web", "config.distributedVirtualSwitch>VmwareDistributedVirtualSwitch:s"],
            ),
            object("VmwareDistributedVirtualSwitch", "s", &["name=dvs", "summary.numPorts=64"]),
        ])
        .networks;
        let found: Vec<_> =
            networks.iter().map(|n| (n.id.as_str(), &*n.kind, n.vms, n.hosts, n.switch.as_str())).collect();
        let expected = [
            ("n-1", "standard", Some(1), Some(1), ""),
            ("n-2", "standard", Some(1), Some(0), ""),
            ("pg", "portgroup", Some(2), Some(1), "dvs"),
            ("s", "switch", None, None, ""),
        ];
        assert_eq!(found, expected);
        assert_eq!(networks[3].ports, Some(64));
    }
}
