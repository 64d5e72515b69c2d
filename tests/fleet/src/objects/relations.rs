//! What refers to what, the other way round: computed once for an inventory, when it is first asked for.

use std::collections::HashMap;

use crate::model::{
    DatastoreId, FolderId, FolderParent, HostId, Inventory, NetworkId, NicNetwork, PoolId, PortgroupId, SnapshotId,
    VappId, VmId,
};
use crate::soap::MoRef;

use super::Cx;

#[derive(Default)]
pub(crate) struct Relations {
    by_host: HashMap<HostId, Vec<VmId>>,
    by_pool: HashMap<PoolId, Vec<VmId>>,
    by_vapp: HashMap<VappId, Vec<VmId>>,
    by_datastore: HashMap<DatastoreId, Vec<VmId>>,
    by_network: HashMap<NetworkId, Vec<VmId>>,
    by_portgroup: HashMap<PortgroupId, Vec<VmId>>,
    ports: HashMap<PortgroupId, Vec<u32>>,
    folders: HashMap<FolderId, Vec<Child>>,
    pub(crate) snapshots: HashMap<SnapshotId, VmId>,
}

#[derive(Clone, Copy)]
enum Child {
    Vm(VmId),
    Vapp(VappId),
    Folder(FolderId),
    Datacenter(crate::model::DatacenterId),
    Cluster(crate::model::ClusterId),
    Datastore(DatastoreId),
    Network(NetworkId),
    Switch(crate::model::SwitchId),
    Portgroup(PortgroupId),
}

impl Relations {
    pub(crate) fn of(inventory: &Inventory) -> Self {
        let mut all = Self::default();
        let estate = &inventory.estate;
        let mut child = |folder: FolderId, child: Child| all.folders.entry(folder).or_default().push(child);
        for folder in &estate.folders {
            if let FolderParent::Folder(parent) = folder.parent {
                child(parent, Child::Folder(folder.id));
            }
        }
        estate.datacenters.iter().for_each(|it| child(estate.root_folder, Child::Datacenter(it.id)));
        estate.clusters.iter().for_each(|it| child(it.folder, Child::Cluster(it.id)));
        estate.datastores.iter().for_each(|it| child(it.folder, Child::Datastore(it.id)));
        estate.networks.iter().for_each(|it| child(it.folder, Child::Network(it.id)));
        estate.switches.iter().for_each(|it| child(it.folder, Child::Switch(it.id)));
        estate.portgroups.iter().for_each(|it| child(it.folder, Child::Portgroup(it.id)));
        estate.vapps.iter().for_each(|it| child(it.folder, Child::Vapp(it.id)));
        for vm in &inventory.vms {
            all.by_host.entry(vm.host).or_default().push(vm.id);
            match (vm.config.vapp, vm.config.pool) {
                (Some(vapp), _) => all.by_vapp.entry(vapp).or_default().push(vm.id),
                (None, pool) => {
                    all.folders.entry(vm.config.folder).or_default().push(Child::Vm(vm.id));
                    if let Some(pool) = pool {
                        all.by_pool.entry(pool).or_default().push(vm.id);
                    }
                }
            }
            for disk in &vm.config.disks {
                push_once(all.by_datastore.entry(disk.datastore).or_default(), vm.id);
            }
            for nic in &vm.config.nics {
                match nic.network {
                    NicNetwork::Standard(id) => push_once(all.by_network.entry(id).or_default(), vm.id),
                    NicNetwork::Distributed { portgroup, port, .. } => {
                        push_once(all.by_portgroup.entry(portgroup).or_default(), vm.id);
                        all.ports.entry(portgroup).or_default().push(port);
                    }
                }
            }
            all.snapshots.extend(vm.snapshots.iter().map(|snapshot| (snapshot.id, vm.id)));
        }
        all
    }

    pub(crate) fn children(&self, folder: FolderId, cx: &Cx<'_>) -> Vec<MoRef> {
        let children = self.folders.get(&folder).map_or(&[][..], Vec::as_slice);
        children
            .iter()
            .map(|child| match *child {
                Child::Vm(id) => cx.vm(id),
                Child::Vapp(id) => cx.vapp(id),
                Child::Folder(id) => cx.folder(id),
                Child::Datacenter(id) => cx.datacenter(id),
                Child::Cluster(id) => cx.cluster(id),
                Child::Datastore(id) => cx.datastore(id),
                Child::Network(id) => cx.network(id),
                Child::Switch(id) => cx.switch(id),
                Child::Portgroup(id) => cx.portgroup(id),
            })
            .collect()
    }

    pub(crate) fn vms_on(&self, host: HostId) -> &[VmId] {
        of(&self.by_host, host)
    }

    pub(crate) fn vms_in_pool(&self, pool: PoolId) -> &[VmId] {
        of(&self.by_pool, pool)
    }

    pub(crate) fn vms_in_vapp(&self, vapp: VappId) -> &[VmId] {
        of(&self.by_vapp, vapp)
    }

    pub(crate) fn vms_in_datastore(&self, datastore: DatastoreId) -> &[VmId] {
        of(&self.by_datastore, datastore)
    }

    pub(crate) fn vms_on_network(&self, network: NetworkId) -> &[VmId] {
        of(&self.by_network, network)
    }

    pub(crate) fn vms_on_portgroup(&self, portgroup: PortgroupId) -> &[VmId] {
        of(&self.by_portgroup, portgroup)
    }

    pub(crate) fn ports_of(&self, portgroup: PortgroupId) -> &[u32] {
        self.ports.get(&portgroup).map_or(&[], Vec::as_slice)
    }
}

fn of<K: std::hash::Hash + Eq>(map: &HashMap<K, Vec<VmId>>, key: K) -> &[VmId] {
    map.get(&key).map_or(&[], Vec::as_slice)
}

/// VMs come in the order of their ids, so a doubled one is the last.
fn push_once(list: &mut Vec<VmId>, id: VmId) {
    if list.last() != Some(&id) {
        list.push(id);
    }
}
