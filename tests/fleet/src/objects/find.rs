//! The object behind a reference.

use super::{Cx, Handle, OWN_COMPUTE, OWN_DATACENTER, OWN_FOLDERS, OWN_HOST, OWN_POOL, Scope};
use crate::model::{
    AlarmId, ClusterId, DatacenterId, DatastoreId, Entity, FolderId, FolderKind, HostId, NetworkId, PoolId,
    PortgroupId, SnapshotId, SwitchId, VappId, Vm, VmId,
};
use crate::soap::MoRef;

impl<'a> Cx<'a> {
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
