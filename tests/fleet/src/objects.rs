//! The inventory as managed objects: what each property of each object is, at one moment.
//!
//! A vCenter and an ESXi host see the same things under different names. [`Scope`] says who is asked, [`Cx`] is
//! where its view begins: what things are called, how they are found, what is above and below them, and whether an alarm
//! is on. The other modules describe one kind of object each.

mod alarms;
mod datastore;
mod entity;
mod fields;
mod find;
mod host;
mod live;
mod network;
mod place;
mod reference;
mod relations;
pub(crate) mod samples;
#[cfg(test)]
mod tests;
mod tree;
mod vm;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

pub(crate) use fields::{Fields, Path, whole};
pub(crate) use host::product;
pub(crate) use relations::Relations;

use crate::model::{
    Alarm, Cluster, Datacenter, DatacenterId, Datastore, DatastoreId, Folder, FolderKind, Host, HostId, Inventory,
    Model, Network, NetworkId, Nic, NicNetwork, Pool, PoolId, Portgroup, PortgroupId, Switch, Time, Vapp, Vm,
};
use crate::soap::{MoRef, Value};

/// Objects that an ESXi host has once.
const OWN_HOST: &str = "ha-host";
const OWN_COMPUTE: &str = "ha-compute-res";
const OWN_POOL: &str = "ha-root-pool";
const OWN_DATACENTER: &str = "ha-datacenter";
const OWN_FOLDERS: [(&str, &str, FolderKind); 5] = [
    ("ha-folder-root", "ha-folder-root", FolderKind::Datacenters),
    ("ha-folder-vm", "vm", FolderKind::Vms),
    ("ha-folder-host", "host", FolderKind::Hosts),
    ("ha-folder-datastore", "datastore", FolderKind::Datastores),
    ("ha-folder-network", "network", FolderKind::Networks),
];

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The vCenter.
    VCenter,
    /// An ESXi host, for itself.
    Host(HostId),
}

/// The estate at a moment.
pub struct Moment {
    /// The moment.
    pub at: Time,
    /// What the server's clock shows, which may be off.
    pub now: Time,
    /// Changes when the inventory or the newest sample does.
    pub generation: u64,
    /// The inventory, which may have been computed earlier: nothing has changed since.
    pub inventory: Arc<Inventory>,
    /// Where numbers come from.
    pub model: Arc<Model>,
    /// How many VMs DRS has moved to each host since the start.
    pub migrations: Arc<HashMap<HostId, u64>>,
    /// The vCenter's settings.
    pub options: Vec<(&'static str, Value)>,
    pub(crate) relations: Arc<OnceLock<Relations>>,
    pub(crate) live: Arc<live::Cache>,
}

/// The estate at a moment, as one side sees it.
#[derive(Clone, Copy)]
pub struct Cx<'a> {
    /// Who is asked.
    pub scope: Scope,
    /// The estate.
    pub moment: &'a Moment,
}

/// An object of the inventory.
#[derive(Clone, Copy)]
pub(crate) enum Handle<'a> {
    Vm(&'a Vm),
    Snapshot(&'a Vm, usize),
    Host(&'a Host),
    Certificate(&'a Host),
    Cluster(&'a Cluster),
    Pool(&'a Pool),
    Vapp(&'a Vapp),
    Datastore(&'a Datastore),
    Network(&'a Network),
    Portgroup(&'a Portgroup),
    Switch(&'a Switch),
    Folder(&'a Folder),
    Datacenter(&'a Datacenter),
    Alarm(&'a Alarm),
    OwnFolder(&'static str, FolderKind),
    OwnDatacenter(HostId),
    OwnCompute(HostId),
    OwnPool(HostId),
}

impl<'a> Cx<'a> {
    pub(crate) fn is_vcenter(&self) -> bool {
        self.scope == Scope::VCenter
    }

    pub(crate) fn relations(&self) -> &'a Relations {
        self.moment.relations.get_or_init(|| Relations::of(&self.moment.inventory))
    }

    /// When the estate was built.
    pub(crate) fn origin(&self) -> i64 {
        self.moment.model.origin().0
    }

    pub(crate) fn nic_network_name(&self, nic: &Nic) -> String {
        let estate = &self.moment.inventory.estate;
        let name = match nic.network {
            NicNetwork::Standard(id) => estate.network(id).map(|network| &network.name),
            NicNetwork::Distributed { portgroup, .. } => estate.portgroup(portgroup).map(|portgroup| &portgroup.name),
        };
        name.cloned().unwrap_or_default()
    }

    pub(crate) fn pool_of(&self, vm: &Vm) -> Option<MoRef> {
        match self.scope {
            Scope::VCenter => {
                vm.config.vapp.map(|vapp| self.vapp(vapp)).or_else(|| vm.config.pool.map(|pool| self.pool(pool)))
            }
            Scope::Host(_) => Some(MoRef::of(PoolId::KIND, OWN_POOL)),
        }
    }

    pub(crate) fn datastores_of(&self, vm: &Vm) -> Vec<DatastoreId> {
        let mut ids: Vec<DatastoreId> = vm.config.disks.iter().map(|disk| disk.datastore).collect();
        ids.sort();
        ids.dedup();
        ids
    }

    pub(crate) fn hosts_with(&self, datastore: DatastoreId) -> Vec<HostId> {
        self.hosts_where(|host| host.config.datastores.contains(&datastore))
    }

    pub(crate) fn hosts_on_portgroup(&self, portgroup: PortgroupId) -> Vec<HostId> {
        self.hosts_where(|host| host.config.portgroups.contains(&portgroup))
    }

    pub(crate) fn hosts_on_network(&self, network: NetworkId) -> Vec<HostId> {
        let estate = &self.moment.inventory.estate;
        self.hosts_where(|host| estate.cluster(host.config.cluster).is_some_and(|cluster| cluster.network == network))
    }

    fn hosts_where(&self, which: impl Fn(&Host) -> bool) -> Vec<HostId> {
        let hosts = self.moment.inventory.hosts.iter().filter(|host| self.sees_host(host.id) && which(host));
        hosts.map(|host| host.id).collect()
    }

    pub(crate) fn sees_host(&self, id: HostId) -> bool {
        match self.scope {
            Scope::VCenter => true,
            Scope::Host(own) => own == id,
        }
    }

    fn sees_vm(&self, vm: &Vm) -> bool {
        self.sees_host(vm.host)
    }

    pub(crate) fn host_networks(&self, host: &Host) -> Vec<MoRef> {
        let cluster = self.moment.inventory.estate.cluster(host.config.cluster);
        let standard = cluster.map(|cluster| self.network(cluster.network));
        standard.into_iter().chain(host.config.portgroups.iter().map(|id| self.portgroup(*id))).collect()
    }

    pub(crate) fn portgroups_of(&self, datacenter: DatacenterId) -> Vec<MoRef> {
        let estate = &self.moment.inventory.estate;
        let here = |portgroup: &&Portgroup| {
            estate.switch(portgroup.switch).is_some_and(|switch| switch.datacenter == datacenter)
        };
        estate.portgroups.iter().filter(here).map(|portgroup| self.portgroup(portgroup.id)).collect()
    }

    /// The property of an object of the inventory.
    pub(crate) fn property(&self, this: &MoRef, path: &str) -> Option<Value> {
        let path = Path(path);
        match self.find(this)? {
            Handle::Vm(vm) => vm::property(self, vm, path),
            Handle::Snapshot(vm, place) => vm::snapshot(self, vm, place, path),
            Handle::Host(host) => host::property(self, host, path),
            Handle::Certificate(host) => host::certificate(host, path),
            Handle::Cluster(cluster) => place::cluster(self, cluster, path),
            Handle::Pool(pool) => place::pool(self, pool, path),
            Handle::Vapp(vapp) => place::vapp(self, vapp, path),
            Handle::Datastore(datastore) => datastore::property(self, datastore, path),
            Handle::Network(network) => network::network(self, network, path),
            Handle::Portgroup(portgroup) => network::portgroup(self, portgroup, path),
            Handle::Switch(switch) => network::switch(self, switch, path),
            Handle::Folder(folder) => place::folder(self, folder, path),
            Handle::Datacenter(datacenter) => place::datacenter(self, datacenter, path),
            Handle::Alarm(alarm) => crate::vcenter::alarms::property(self, alarm, path),
            Handle::OwnFolder(_, holds) => place::folder_with(self, this, holds, path),
            Handle::OwnDatacenter(own) => {
                let host = self.moment.inventory.host(own)?;
                place::datacenter(self, self.moment.inventory.estate.datacenter(host.config.datacenter)?, path)
            }
            Handle::OwnCompute(own) => place::own_compute(self, own, path),
            Handle::OwnPool(own) => {
                let parts = place::PoolParts {
                    this: this.clone(),
                    name: "Resources".to_owned(),
                    owner: MoRef::of("ComputeResource", OWN_COMPUTE),
                    pools: Vec::new(),
                    vms: self.relations().vms_on(own),
                    hosts: &[own],
                    shares: "normal",
                    is_root: true,
                    vapp: false,
                };
                path.record("ResourcePool", |f| place::pool_fields(self, &parts, f))
            }
        }
    }

    /// `name` of an entity.
    pub(crate) fn name(&self, this: &MoRef) -> Option<String> {
        Some(match self.find(this)? {
            Handle::Vm(vm) => vm.config.name.clone(),
            Handle::Host(host) => host.config.name.clone(),
            Handle::Cluster(cluster) => cluster.name.clone(),
            Handle::Pool(pool) => pool.name.clone(),
            Handle::Vapp(vapp) => vapp.name.clone(),
            Handle::Datastore(datastore) => datastore.name.clone(),
            Handle::Network(network) => network.name.clone(),
            Handle::Portgroup(portgroup) => portgroup.name.clone(),
            Handle::Switch(switch) => switch.name.clone(),
            Handle::Folder(folder) => folder.name.clone(),
            Handle::Datacenter(datacenter) => datacenter.name.clone(),
            Handle::OwnFolder(id, _) => {
                OWN_FOLDERS.iter().find(|(own, ..)| *own == id).map(|(_, name, _)| (*name).to_owned())?
            }
            Handle::OwnDatacenter(_) => OWN_DATACENTER.to_owned(),
            Handle::OwnCompute(own) => self.moment.inventory.host(own)?.config.name.clone(),
            Handle::OwnPool(_) => "Resources".to_owned(),
            Handle::Snapshot(..) | Handle::Certificate(_) | Handle::Alarm(_) => return None,
        })
    }

    pub(crate) fn available_fields(&self, kind: &str) -> Value {
        crate::vcenter::labels::field_definitions(self, Some(kind))
    }
}
