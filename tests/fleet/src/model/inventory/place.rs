//! Where things are: datacenters, folders, clusters, resource pools, vApps.

use crate::model::{
    ClusterId, DatacenterId, DatastoreId, FolderId, HostId, NetworkId, PoolId, PortgroupId, SwitchId, VappId,
};

/// `Datacenter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datacenter {
    /// The managed object. Its parent is the root folder.
    pub id: DatacenterId,
    /// `name`
    pub name: String,
    /// `vmFolder`
    pub vm_folder: FolderId,
    /// `hostFolder`
    pub host_folder: FolderId,
    /// `datastoreFolder`
    pub datastore_folder: FolderId,
    /// `networkFolder`
    pub network_folder: FolderId,
}

/// `Folder`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// The managed object.
    pub id: FolderId,
    /// `name`
    pub name: String,
    /// `parent`
    pub parent: FolderParent,
}

/// What is above a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FolderParent {
    /// Nothing: it is the root folder.
    Nothing,
    /// A datacenter, of which it is one of the four folders.
    Datacenter(DatacenterId),
    /// Another folder.
    Folder(FolderId),
}

/// `ClusterComputeResource`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The managed object.
    pub id: ClusterId,
    /// `name`
    pub name: String,
    /// The datacenter above it.
    pub datacenter: DatacenterId,
    /// `parent`
    pub folder: FolderId,
    /// `host`
    pub hosts: Vec<HostId>,
    /// `datastore`
    pub datastores: Vec<DatastoreId>,
    /// `network`, as far as it is distributed
    pub portgroups: Vec<PortgroupId>,
    /// `network`, as far as it is not
    pub network: NetworkId,
    /// `resourcePool`
    pub root_pool: PoolId,
    /// `configurationEx.dasConfig.enabled`: whether VMs of a failed host are restarted on another.
    pub ha: bool,
    /// `configurationEx.drsConfig.enabled`
    pub drs: bool,
}

/// `ResourcePool`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The managed object.
    pub id: PoolId,
    /// `name`; a cluster's root pool is `Resources`.
    pub name: String,
    /// `owner`
    pub cluster: ClusterId,
    /// `parent`: a pool, or for a root pool the cluster.
    pub parent: Option<PoolId>,
    /// `config.cpuAllocation.shares.level` and the memory's: `low`, `normal`, `high`
    pub shares: &'static str,
}

/// `VirtualApp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vapp {
    /// The managed object.
    pub id: VappId,
    /// `name`
    pub name: String,
    /// `owner`
    pub cluster: ClusterId,
    /// `parent`: the pool above it
    pub pool: PoolId,
    /// `parentFolder`
    pub folder: FolderId,
}

/// `VmwareDistributedVirtualSwitch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// The managed object.
    pub id: SwitchId,
    /// `name`
    pub name: String,
    /// `uuid`
    pub uuid: String,
    /// The datacenter above it.
    pub datacenter: DatacenterId,
    /// `parent`
    pub folder: FolderId,
    /// `summary.productInfo.version`
    pub version: &'static str,
}

/// `DistributedVirtualPortgroup`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portgroup {
    /// The managed object; `key` is the same text.
    pub id: PortgroupId,
    /// `name`
    pub name: String,
    /// `config.distributedVirtualSwitch`
    pub switch: SwitchId,
    /// `config.defaultPortConfig.vlan.vlanId`
    pub vlan: u32,
    /// `config.uplink`
    pub uplink: bool,
    /// `parent`
    pub folder: FolderId,
}

/// `Network`: a port group of standard switches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The managed object.
    pub id: NetworkId,
    /// `name`
    pub name: String,
    /// The datacenter above it.
    pub datacenter: DatacenterId,
    /// `parent`
    pub folder: FolderId,
}

/// `Datastore`.
#[derive(Debug, Clone, PartialEq)]
pub struct Datastore {
    /// The managed object.
    pub id: DatastoreId,
    /// `name`
    pub name: String,
    /// `summary.type`: `VMFS` or `NFS`
    pub kind: &'static str,
    /// `summary.url`; its UUID is the instance of performance samples of hosts and VMs.
    pub url: String,
    /// The UUID in the URL.
    pub uuid: String,
    /// `summary.capacity`, bytes
    pub capacity: u64,
    /// `summary.multipleHostAccess`
    pub shared: bool,
    /// `info.vmfs.local`, and then the only host.
    pub local_to: Option<HostId>,
    /// The datacenter above it.
    pub datacenter: DatacenterId,
    /// The cluster that uses it; none for a share.
    pub cluster: Option<ClusterId>,
    /// `parent`
    pub folder: FolderId,
    /// `info.vmfs.extent[0].diskName`; NFS has none.
    pub lun: Option<String>,
    /// Operations a second at which its latency has doubled: what it can do is twice that.
    pub comfortable_iops: f64,
}
