//! The inventory as managed objects: what each property of each object is, at one moment.
//!
//! A vCenter and an ESXi host see the same things under different names. [`Scope`] says who is asked, [`Cx`] gives
//! the references of that side; the modules describe one kind of object each.

mod datastore;
mod entity;
mod fields;
mod host;
mod live;
mod network;
mod place;
mod relations;
pub(crate) mod samples;
#[cfg(test)]
mod tests;
mod vm;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

pub(crate) use fields::{Fields, Path, whole};
pub(crate) use host::product;
pub(crate) use relations::Relations;

use crate::model::{
    Alarm, AlarmId, Cluster, ClusterId, Datacenter, DatacenterId, Datastore, DatastoreId, Entity, Folder, FolderId,
    FolderKind, FolderParent, Host, HostId, Inventory, Model, Network, NetworkId, Nic, NicNetwork, Pool, PoolId,
    Portgroup, PortgroupId, SnapshotId, Switch, SwitchId, Time, TriggeredAlarm, Vapp, VappId, Vm, VmId,
};
use crate::soap::{MoRef, Record, Value};

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

    /// The root of the inventory.
    pub(crate) fn root(&self) -> MoRef {
        match self.scope {
            Scope::VCenter => self.folder(self.moment.inventory.estate.root_folder),
            Scope::Host(_) => MoRef::of("Folder", OWN_FOLDERS[0].0),
        }
    }

    pub(crate) fn vm(&self, id: VmId) -> MoRef {
        match self.scope {
            Scope::VCenter => MoRef::of(VmId::KIND, id.to_string()),
            // On a host, VMs are numbered as they were registered.
            Scope::Host(_) => MoRef::of(VmId::KIND, id.0.to_string()),
        }
    }

    pub(crate) fn host(&self, id: HostId) -> MoRef {
        match self.scope {
            Scope::VCenter => MoRef::of(HostId::KIND, id.to_string()),
            Scope::Host(_) => MoRef::of(HostId::KIND, OWN_HOST),
        }
    }

    pub(crate) fn certificate_manager(&self, id: HostId) -> MoRef {
        match self.scope {
            Scope::VCenter => MoRef::of("HostCertificateManager", format!("certificateManager-{}", id.0)),
            Scope::Host(_) => MoRef::of("HostCertificateManager", "ha-certificate-manager"),
        }
    }

    pub(crate) fn cluster(&self, id: ClusterId) -> MoRef {
        match self.scope {
            Scope::VCenter => MoRef::of(ClusterId::KIND, id.to_string()),
            Scope::Host(_) => MoRef::of("ComputeResource", OWN_COMPUTE),
        }
    }

    pub(crate) fn pool(&self, id: PoolId) -> MoRef {
        match self.scope {
            Scope::VCenter => MoRef::of(PoolId::KIND, id.to_string()),
            Scope::Host(_) => MoRef::of(PoolId::KIND, OWN_POOL),
        }
    }

    pub(crate) fn vapp(&self, id: VappId) -> MoRef {
        MoRef::of(VappId::KIND, id.to_string())
    }

    pub(crate) fn datastore(&self, id: DatastoreId) -> MoRef {
        match self.scope {
            Scope::VCenter => MoRef::of(DatastoreId::KIND, id.to_string()),
            Scope::Host(_) => {
                let uuid = self.moment.inventory.estate.datastore(id).map(|datastore| datastore.uuid.clone());
                MoRef::of(DatastoreId::KIND, uuid.unwrap_or_default())
            }
        }
    }

    pub(crate) fn network(&self, id: NetworkId) -> MoRef {
        match self.scope {
            Scope::VCenter => MoRef::of(NetworkId::KIND, id.to_string()),
            Scope::Host(_) => {
                let name = self.moment.inventory.estate.network(id).map_or("", |network| &network.name);
                MoRef::of(NetworkId::KIND, format!("HaNetwork-{name}"))
            }
        }
    }

    pub(crate) fn portgroup(&self, id: PortgroupId) -> MoRef {
        match self.scope {
            Scope::VCenter => MoRef::of(PortgroupId::KIND, id.to_string()),
            Scope::Host(_) => {
                let name = self.moment.inventory.estate.portgroup(id).map_or("", |portgroup| &portgroup.name);
                MoRef::of(NetworkId::KIND, format!("HaNetwork-{name}"))
            }
        }
    }

    pub(crate) fn switch(&self, id: SwitchId) -> MoRef {
        MoRef::of(SwitchId::KIND, id.to_string())
    }

    pub(crate) fn folder(&self, id: FolderId) -> MoRef {
        match self.scope {
            Scope::VCenter => MoRef::of(FolderId::KIND, id.to_string()),
            Scope::Host(_) => {
                let own = OWN_FOLDERS.iter().find(|(_, _, holds)| *holds == id.holds).map_or("", |(id, ..)| id);
                MoRef::of(FolderId::KIND, own)
            }
        }
    }

    pub(crate) fn datacenter(&self, id: DatacenterId) -> MoRef {
        match self.scope {
            Scope::VCenter => MoRef::of(DatacenterId::KIND, id.to_string()),
            Scope::Host(_) => MoRef::of(DatacenterId::KIND, OWN_DATACENTER),
        }
    }

    pub(crate) fn snapshot(&self, id: SnapshotId) -> MoRef {
        MoRef::of(SnapshotId::KIND, id.to_string())
    }

    pub(crate) fn nic_network(&self, nic: &Nic) -> MoRef {
        match nic.network {
            NicNetwork::Standard(id) => self.network(id),
            NicNetwork::Distributed { portgroup, .. } => self.portgroup(portgroup),
        }
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

    pub(crate) fn reference(&self, entity: Entity) -> MoRef {
        entity::reference(self, entity)
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

    pub(crate) fn find_vm(&self, this: &MoRef) -> Option<&'a Vm> {
        match self.find(this) {
            Some(Handle::Vm(vm)) => Some(vm),
            _ => None,
        }
    }

    /// The object behind a reference.
    pub(crate) fn find(&self, this: &MoRef) -> Option<Handle<'a>> {
        let inventory = &self.moment.inventory;
        let estate = &inventory.estate;
        let Scope::Host(own) = self.scope else {
            return self.find_in_vcenter(this);
        };
        let id = this.id.as_ref();
        match this.kind.as_ref() {
            "VirtualMachine" => {
                let vm = inventory.vm(VmId(number(id, "")?))?;
                self.sees_vm(vm).then_some(Handle::Vm(vm))
            }
            "VirtualMachineSnapshot" => self.find_snapshot(id),
            "HostSystem" => inventory.host(own).filter(|_| id == OWN_HOST).map(Handle::Host),
            "HostCertificateManager" => {
                inventory.host(own).filter(|_| id == "ha-certificate-manager").map(Handle::Certificate)
            }
            "ComputeResource" => (id == OWN_COMPUTE).then_some(Handle::OwnCompute(own)),
            "ResourcePool" => (id == OWN_POOL).then_some(Handle::OwnPool(own)),
            "Datacenter" => (id == OWN_DATACENTER).then_some(Handle::OwnDatacenter(own)),
            "Folder" => {
                let (id, _, holds) = OWN_FOLDERS.iter().find(|(own, ..)| *own == id)?;
                Some(Handle::OwnFolder(id, *holds))
            }
            "Datastore" => {
                let mine = &inventory.host(own)?.config.datastores;
                let mut datastores = mine.iter().filter_map(|id| estate.datastore(*id));
                datastores.find(|datastore| datastore.uuid == id).map(Handle::Datastore)
            }
            "Network" => {
                let name = id.strip_prefix("HaNetwork-")?;
                let host = inventory.host(own)?;
                let mut portgroups = host.config.portgroups.iter().filter_map(|id| estate.portgroup(*id));
                let found = portgroups.find(|portgroup| portgroup.name == name).map(Handle::Portgroup);
                found.or_else(|| {
                    let network = estate.network(estate.cluster(host.config.cluster)?.network)?;
                    (network.name == name).then_some(Handle::Network(network))
                })
            }
            _ => None,
        }
    }

    fn find_in_vcenter(&self, this: &MoRef) -> Option<Handle<'a>> {
        let inventory = &self.moment.inventory;
        let estate = &inventory.estate;
        let id = this.id.as_ref();
        match this.kind.as_ref() {
            "VirtualMachine" => inventory.vm(VmId(number(id, "vm-")?)).map(Handle::Vm),
            "VirtualMachineSnapshot" => self.find_snapshot(id),
            "HostSystem" => inventory.host(HostId(number(id, "host-")?)).map(Handle::Host),
            "HostCertificateManager" => {
                inventory.host(HostId(number(id, "certificateManager-")?)).map(Handle::Certificate)
            }
            "ClusterComputeResource" => estate.cluster(ClusterId(number(id, "domain-c")?)).map(Handle::Cluster),
            "ResourcePool" => estate.pool(PoolId(number(id, "resgroup-")?)).map(Handle::Pool),
            "VirtualApp" => estate.vapp(VappId(number(id, "resgroup-v")?)).map(Handle::Vapp),
            "Datastore" => estate.datastore(DatastoreId(number(id, "datastore-")?)).map(Handle::Datastore),
            "Network" => estate.network(NetworkId(number(id, "network-")?)).map(Handle::Network),
            "DistributedVirtualPortgroup" => {
                estate.portgroup(PortgroupId(number(id, "dvportgroup-")?)).map(Handle::Portgroup)
            }
            "VmwareDistributedVirtualSwitch" => estate.switch(SwitchId(number(id, "dvs-")?)).map(Handle::Switch),
            "Datacenter" => estate.datacenter(DatacenterId(number(id, "datacenter-")?)).map(Handle::Datacenter),
            "Alarm" => estate.alarm(AlarmId(number(id, "alarm-")?)).map(Handle::Alarm),
            "Folder" => {
                let rest = id.strip_prefix("group-")?;
                let holds = match rest.chars().next()? {
                    'd' => FolderKind::Datacenters,
                    'v' => FolderKind::Vms,
                    'h' => FolderKind::Hosts,
                    's' => FolderKind::Datastores,
                    'n' => FolderKind::Networks,
                    _ => return None,
                };
                estate.folder(FolderId { holds, number: number(rest, &rest[..1])? }).map(Handle::Folder)
            }
            _ => None,
        }
    }

    fn find_snapshot(&self, id: &str) -> Option<Handle<'a>> {
        let id = SnapshotId(id.strip_prefix("snapshot-")?.parse().ok()?);
        let vm = self.moment.inventory.vm(*self.relations().snapshots.get(&id)?)?;
        let place = vm.snapshots.iter().position(|snapshot| snapshot.id == id)?;
        self.sees_vm(vm).then_some(Handle::Snapshot(vm, place))
    }

    /// The type of an object of the inventory.
    pub(crate) fn kind(&self, this: &MoRef) -> Option<&'static str> {
        Some(match self.find(this)? {
            Handle::Vm(_) => "VirtualMachine",
            Handle::Snapshot(..) => "VirtualMachineSnapshot",
            Handle::Host(_) => "HostSystem",
            Handle::Certificate(_) => "HostCertificateManager",
            Handle::Cluster(_) => "ClusterComputeResource",
            Handle::Pool(_) | Handle::OwnPool(_) => "ResourcePool",
            Handle::Vapp(_) => "VirtualApp",
            Handle::Datastore(_) => "Datastore",
            Handle::Network(_) => "Network",
            Handle::Portgroup(_) if self.is_vcenter() => "DistributedVirtualPortgroup",
            Handle::Portgroup(_) => "Network",
            Handle::Switch(_) => "VmwareDistributedVirtualSwitch",
            Handle::Folder(_) | Handle::OwnFolder(..) => "Folder",
            Handle::Datacenter(_) | Handle::OwnDatacenter(_) => "Datacenter",
            Handle::OwnCompute(_) => "ComputeResource",
            Handle::Alarm(_) => "Alarm",
        })
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

    /// Alarms that are triggered on an entity or on anything below it.
    pub(crate) fn triggered(&self, this: &MoRef) -> Vec<&'a TriggeredAlarm> {
        if !self.is_vcenter() {
            return Vec::new();
        }
        let alarms = self.moment.inventory.alarms.iter();
        alarms.filter(|alarm| self.is_within(&entity::reference(self, alarm.entity), this)).collect()
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

    /// `overallStatus`: the worst of its own alarms; grey where nobody knows.
    pub(crate) fn status(&self, this: &MoRef) -> &'static str {
        match self.find(this) {
            Some(Handle::Vm(vm)) if !vm.connected => return "gray",
            Some(Handle::Host(_) | Handle::Vm(_) | Handle::Datastore(_)) => {}
            // Of the others, the vCenter's alarms look at none.
            _ => return "green",
        }
        let alarms = self.moment.inventory.alarms.iter();
        let own = alarms.filter(|alarm| self.is_vcenter() && entity::reference(self, alarm.entity) == *this);
        own.fold("green", |worst, alarm| if alarm.red || worst == "red" { "red" } else { "yellow" })
    }

    /// The state of each alarm that is declared on an entity.
    pub(crate) fn declared_alarms(&self, this: &MoRef) -> Vec<Record> {
        if *this != self.root() || !self.is_vcenter() {
            return Vec::new();
        }
        let alarms = self.moment.inventory.estate.alarms.iter();
        alarms
            .map(|alarm| {
                crate::soap::record("AlarmState")
                    .with("key", format!("{}.{}", alarm.id, this.id))
                    .with("entity", this.clone())
                    .with("alarm", MoRef::of("Alarm", alarm.id.to_string()))
                    .with("overallStatus", "gray")
                    .with("time", Value::Time(self.origin()))
                    .with("acknowledged", false)
            })
            .collect()
    }

    pub(crate) fn available_fields(&self, kind: &str) -> Value {
        crate::vcenter::labels::field_definitions(self, Some(kind))
    }

    /// What performance samples, alarms and events call an object.
    pub(crate) fn entity_of(&self, this: &MoRef) -> Option<Entity> {
        match self.find(this)? {
            Handle::Vm(vm) => Some(Entity::Vm(vm.id)),
            Handle::Host(host) => Some(Entity::Host(host.id)),
            Handle::Cluster(cluster) => Some(Entity::Cluster(cluster.id)),
            Handle::Pool(pool) => Some(Entity::Pool(pool.id)),
            Handle::Datastore(datastore) => Some(Entity::Datastore(datastore.id)),
            _ => None,
        }
    }
}

/// The number after a prefix, written as a reference writes it: without signs and leading zeros.
fn number(id: &str, prefix: &str) -> Option<u32> {
    let digits = id.strip_prefix(prefix)?;
    let plain = digits == "0" || digits.starts_with(|c: char| ('1'..='9').contains(&c));
    if plain { digits.parse().ok() } else { None }
}
