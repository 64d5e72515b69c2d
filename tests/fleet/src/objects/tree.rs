//! The tree of the inventory: what is above and below an object.

use super::{Cx, Handle, OWN_COMPUTE, OWN_DATACENTER, OWN_FOLDERS, OWN_POOL, Scope};
use crate::model::{FolderKind, FolderParent};
use crate::soap::MoRef;

impl Cx<'_> {
    /// `parent` of an entity.
    pub(crate) fn parent(&self, this: &MoRef) -> Option<MoRef> {
        let estate = &self.moment.inventory.estate;
        match self.find(this)? {
            Handle::Vm(vm) if vm.config.vapp.is_some() && self.is_vcenter() => None,
            Handle::Vm(vm) => Some(self.folder(vm.config.folder)),
            Handle::Host(host) => Some(self.cluster(host.config.cluster)),
            Handle::Cluster(cluster) => Some(self.folder(cluster.folder)),
            Handle::Pool(pool) => {
                Some(pool.parent.map_or_else(|| self.cluster(pool.cluster), |parent| self.pool(parent)))
            }
            Handle::Vapp(vapp) => Some(self.pool(vapp.pool)),
            Handle::Datastore(datastore) => Some(self.folder(datastore.folder)),
            Handle::Network(network) => Some(self.folder(network.folder)),
            Handle::Portgroup(portgroup) => Some(self.folder(portgroup.folder)),
            Handle::Switch(switch) => Some(self.folder(switch.folder)),
            Handle::Folder(folder) => match folder.parent {
                FolderParent::Nothing => None,
                FolderParent::Datacenter(id) => Some(self.datacenter(id)),
                FolderParent::Folder(id) => Some(self.folder(id)),
            },
            Handle::Datacenter(_) => Some(self.folder(estate.root_folder)),
            Handle::OwnFolder(_, FolderKind::Datacenters) => None,
            Handle::OwnFolder(..) => Some(MoRef::of("Datacenter", OWN_DATACENTER)),
            Handle::OwnDatacenter(_) => Some(self.root()),
            Handle::OwnCompute(_) => Some(MoRef::of("Folder", "ha-folder-host")),
            Handle::OwnPool(_) => Some(MoRef::of("ComputeResource", OWN_COMPUTE)),
            Handle::Snapshot(..) | Handle::Certificate(_) | Handle::Alarm(_) => None,
        }
    }

    /// What is directly below an object of the inventory, as a container view walks it.
    pub(crate) fn children(&self, this: &MoRef) -> Vec<MoRef> {
        let inventory = &self.moment.inventory;
        let estate = &inventory.estate;
        match self.find(this) {
            Some(Handle::Folder(folder)) => self.relations().children(folder.id, self),
            Some(Handle::Datacenter(datacenter)) => vec![
                self.folder(datacenter.vm_folder),
                self.folder(datacenter.host_folder),
                self.folder(datacenter.datastore_folder),
                self.folder(datacenter.network_folder),
            ],
            Some(Handle::Cluster(cluster)) => {
                let hosts = cluster.hosts.iter().map(|id| self.host(*id));
                std::iter::once(self.pool(cluster.root_pool)).chain(hosts).collect()
            }
            Some(Handle::Pool(pool)) => {
                let pools = estate.pools.iter().filter(|other| other.parent == Some(pool.id));
                let vapps = estate.vapps.iter().filter(|vapp| vapp.pool == pool.id);
                let below = pools.map(|pool| self.pool(pool.id)).chain(vapps.map(|vapp| self.vapp(vapp.id)));
                below.chain(self.relations().vms_in_pool(pool.id).iter().map(|id| self.vm(*id))).collect()
            }
            Some(Handle::Vapp(vapp)) => self.relations().vms_in_vapp(vapp.id).iter().map(|id| self.vm(*id)).collect(),
            Some(Handle::Host(host)) => self.relations().vms_on(host.id).iter().map(|id| self.vm(*id)).collect(),
            Some(Handle::OwnDatacenter(_)) => {
                OWN_FOLDERS[1..].iter().map(|(id, ..)| MoRef::of("Folder", *id)).collect()
            }
            Some(Handle::OwnCompute(own)) => vec![MoRef::of("ResourcePool", OWN_POOL), self.host(own)],
            Some(Handle::OwnPool(own)) => self.relations().vms_on(own).iter().map(|id| self.vm(*id)).collect(),
            Some(Handle::OwnFolder(_, holds)) => self.own_children(holds),
            _ => Vec::new(),
        }
    }

    fn own_children(&self, holds: FolderKind) -> Vec<MoRef> {
        let Scope::Host(own) = self.scope else { return Vec::new() };
        let Some(host) = self.moment.inventory.host(own) else { return Vec::new() };
        match holds {
            FolderKind::Datacenters => vec![MoRef::of("Datacenter", OWN_DATACENTER)],
            FolderKind::Vms => self.relations().vms_on(own).iter().map(|id| self.vm(*id)).collect(),
            FolderKind::Hosts => vec![MoRef::of("ComputeResource", OWN_COMPUTE)],
            FolderKind::Datastores => host.config.datastores.iter().map(|id| self.datastore(*id)).collect(),
            FolderKind::Networks => self.host_networks(host),
        }
    }

    pub(crate) fn is_within(&self, object: &MoRef, ancestor: &MoRef) -> bool {
        let mut next = Some(object.clone());
        while let Some(object) = next {
            if object == *ancestor {
                return true;
            }
            next = self.parent(&object);
        }
        false
    }
}
