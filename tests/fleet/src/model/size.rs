//! How big an estate is.

/// The numbers of things in an estate. [`Size::of`] derives all of them from the number of VMs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Virtual machines, templates included. Churn replaces them, so the number stays.
    pub vms: u32,
    /// ESXi hosts over all clusters.
    pub hosts: u32,
    /// Clusters over all datacenters.
    pub clusters: u32,
    /// Shared VMFS datastores over all clusters. Besides, each host has a small local one and each datacenter an NFS
    /// share with templates and ISO images.
    pub datastores: u32,
    /// Datacenters.
    pub datacenters: u32,
}

const VMS_PER_HOST: u32 = 30;
const HOSTS_PER_CLUSTER: u32 = 10;
const VMS_PER_DATASTORE: u32 = 50;
const VMS_PER_DATACENTER: u32 = 2_500;

impl Size {
    /// An estate of this many VMs as one would build it: about 30 VMs a host, 10 hosts a cluster, 50 VMs a datastore.
    /// There are always at least two hosts, so that a VM has somewhere to go.
    pub fn of(vms: u32) -> Size {
        let hosts = vms.div_ceil(VMS_PER_HOST).max(2);
        let datacenters = vms.div_ceil(VMS_PER_DATACENTER).max(1);
        let clusters = hosts.div_ceil(HOSTS_PER_CLUSTER).max(datacenters);
        let datastores = vms.div_ceil(VMS_PER_DATASTORE).max(clusters * 2);
        Size { vms, hosts, clusters, datastores, datacenters }
    }

    /// The same with no part so small that another cannot stand on it: at least one datacenter, one cluster for each,
    /// two hosts and one datastore for each cluster.
    pub(crate) fn rounded_up(self) -> Size {
        let datacenters = self.datacenters.max(1);
        let clusters = self.clusters.max(datacenters);
        let hosts = self.hosts.max(clusters * 2);
        Size { vms: self.vms, hosts, clusters, datastores: self.datastores.max(clusters), datacenters }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_follows_from_the_number_of_vms() {
        assert_eq!(Size::of(200), Size { vms: 200, hosts: 7, clusters: 1, datastores: 4, datacenters: 1 });
        assert_eq!(Size::of(5_000), Size { vms: 5_000, hosts: 167, clusters: 17, datastores: 100, datacenters: 2 });
        assert_eq!(Size::of(0).hosts, 2);
    }
}
