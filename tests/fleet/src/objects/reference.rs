//! What each object is called on the side that is asked.

use super::{Cx, OWN_COMPUTE, OWN_DATACENTER, OWN_FOLDERS, OWN_HOST, OWN_POOL, Scope, entity};
use crate::model::{
    ClusterId, DatacenterId, DatastoreId, Entity, FolderId, HostId, NetworkId, Nic, NicNetwork, PoolId, PortgroupId,
    SnapshotId, SwitchId, VappId, VmId,
};
use crate::soap::MoRef;

impl Cx<'_> {
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

    pub(crate) fn reference(&self, entity: Entity) -> MoRef {
        entity::reference(self, entity)
    }
}
