//! The structure of an estate: what vCenter's inventory holds at a moment.
//!
//! Everything that moves with the load (quick stats, guest file systems, free space) is not here but computed on
//! demand, so an inventory changes only when vCenter would send an object update that a person would call news.

mod host;
mod label;
mod place;
mod vm;

use std::sync::Arc;

pub use host::{Adapter, Connection, Host, HostConfig, Pnic, Sensor};
pub use label::{Alarm, AttributeDef, AttributeValue, Licence, Tag, TagCategory, TagId, TriggeredAlarm, Watched};
pub use place::{Cluster, Datacenter, Datastore, Folder, FolderParent, Network, Pool, Portgroup, Switch, Vapp};
pub use vm::{Disk, GuestFamily, Nic, NicNetwork, Power, Role, Snapshot, Tools, ToolsStatus, Vm, VmConfig};

use super::{
    AlarmId, ClusterId, DatacenterId, DatastoreId, FolderId, HostId, NetworkId, PoolId, PortgroupId, SwitchId, Time,
    VappId, VmId,
};

/// An estate at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Inventory {
    /// The moment.
    pub at: Time,
    /// What never changes.
    pub estate: Arc<Estate>,
    /// In the order of [`Estate::hosts`].
    pub hosts: Vec<Host>,
    /// In the order of their ids.
    pub vms: Vec<Vm>,
    /// In the order of entity, then alarm.
    pub alarms: Vec<TriggeredAlarm>,
}

impl Inventory {
    /// A VM by its id.
    pub fn vm(&self, id: VmId) -> Option<&Vm> {
        self.vms.binary_search_by_key(&id, |vm| vm.id).ok().map(|place| &self.vms[place])
    }

    /// A host by its id.
    pub fn host(&self, id: HostId) -> Option<&Host> {
        self.hosts.binary_search_by_key(&id, |host| host.id).ok().map(|place| &self.hosts[place])
    }
}

/// The part of an estate that no event and no time changes. All lists are in the order of their ids.
#[derive(Debug, PartialEq)]
pub struct Estate {
    /// `about.instanceUuid`
    pub instance_uuid: String,
    /// `rootFolder`
    pub root_folder: FolderId,
    /// Datacenters.
    pub datacenters: Vec<Datacenter>,
    /// All folders, the root folder and the four of each datacenter included.
    pub folders: Vec<Folder>,
    /// Clusters.
    pub clusters: Vec<Cluster>,
    /// Hosts.
    pub hosts: Vec<Arc<HostConfig>>,
    /// Ids of the hosts, in the same order.
    pub host_ids: Vec<HostId>,
    /// Resource pools, the root pools included.
    pub pools: Vec<Pool>,
    /// vApps.
    pub vapps: Vec<Vapp>,
    /// Datastores.
    pub datastores: Vec<Datastore>,
    /// Standard networks.
    pub networks: Vec<Network>,
    /// Distributed switches.
    pub switches: Vec<Switch>,
    /// Their port groups.
    pub portgroups: Vec<Portgroup>,
    /// Alarm definitions, declared on the root folder.
    pub alarms: Vec<Alarm>,
    /// Tag categories.
    pub tag_categories: Vec<TagCategory>,
    /// Tags; a [`TagId`] is the place in this list. VMs name theirs.
    pub tags: Vec<Tag>,
    /// Custom attributes.
    pub attributes: Vec<AttributeDef>,
    /// Licences.
    pub licences: Vec<Licence>,
}

macro_rules! by_id {
    ($($(#[$doc:meta])* $name:ident($id:ty) -> $thing:ident in $list:ident;)*) => {
        impl Estate {$(
            $(#[$doc])*
            pub fn $name(&self, id: $id) -> Option<&$thing> {
                self.$list.binary_search_by_key(&id, |thing| thing.id).ok().map(|place| &self.$list[place])
            }
        )*}
    };
}

by_id! {
    /// A datacenter by its id.
    datacenter(DatacenterId) -> Datacenter in datacenters;
    /// A folder by its id.
    folder(FolderId) -> Folder in folders;
    /// A cluster by its id.
    cluster(ClusterId) -> Cluster in clusters;
    /// A resource pool by its id.
    pool(PoolId) -> Pool in pools;
    /// A vApp by its id.
    vapp(VappId) -> Vapp in vapps;
    /// A datastore by its id.
    datastore(DatastoreId) -> Datastore in datastores;
    /// A standard network by its id.
    network(NetworkId) -> Network in networks;
    /// A distributed switch by its id.
    switch(SwitchId) -> Switch in switches;
    /// A port group by its id.
    portgroup(PortgroupId) -> Portgroup in portgroups;
    /// An alarm definition by its id.
    alarm(AlarmId) -> Alarm in alarms;
}

impl Estate {
    /// A host's fixed part by its id.
    pub fn host(&self, id: HostId) -> Option<&Arc<HostConfig>> {
        self.host_place(id).map(|place| &self.hosts[place])
    }

    /// A host's place in the lists.
    pub(crate) fn host_place(&self, id: HostId) -> Option<usize> {
        self.host_ids.binary_search(&id).ok()
    }

    /// A datastore's place in the list.
    pub(crate) fn datastore_place(&self, id: DatastoreId) -> Option<usize> {
        self.datastores.binary_search_by_key(&id, |datastore| datastore.id).ok()
    }
}
