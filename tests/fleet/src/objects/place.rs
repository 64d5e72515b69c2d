//! Where things are: folders, datacenters, clusters, resource pools, vApps.

use crate::model::{Cluster, Connection, Datacenter, Folder, FolderKind, HostId, Pool, PoolId, Power, Vapp, VmId};
use crate::soap::{MoRef, Record, Value, list, record};

use super::{Cx, Fields, Path, entity};

/// The property of a folder at a path.
pub(crate) fn folder(cx: &Cx<'_>, folder: &Folder, path: Path<'_>) -> Option<Value> {
    let this = cx.folder(folder.id);
    folder_with(cx, &this, folder.id.holds, path)
}

/// The property of a folder of which only the reference and the contents count.
pub(crate) fn folder_with(cx: &Cx<'_>, this: &MoRef, holds: FolderKind, path: Path<'_>) -> Option<Value> {
    path.record("Folder", |f| {
        entity::fields(cx, this, f);
        f.set("childType", || {
            list(match holds {
                FolderKind::Datacenters => vec!["Folder", "Datacenter"],
                FolderKind::Vms => vec!["Folder", "VirtualMachine", "VirtualApp"],
                FolderKind::Hosts => vec!["Folder", "ComputeResource"],
                FolderKind::Datastores => vec!["Folder", "Datastore", "StoragePod"],
                FolderKind::Networks => vec!["Folder", "Network", "DistributedVirtualSwitch"],
            })
        });
        f.set("childEntity", || list(cx.children(this)));
    })
}

/// The property of a datacenter at a path.
pub(crate) fn datacenter(cx: &Cx<'_>, datacenter: &Datacenter, path: Path<'_>) -> Option<Value> {
    let estate = &cx.moment.inventory.estate;
    path.record("Datacenter", |f| {
        entity::fields(cx, &cx.datacenter(datacenter.id), f);
        f.set("vmFolder", || cx.folder(datacenter.vm_folder));
        f.set("hostFolder", || cx.folder(datacenter.host_folder));
        f.set("datastoreFolder", || cx.folder(datacenter.datastore_folder));
        f.set("networkFolder", || cx.folder(datacenter.network_folder));
        f.set("datastore", || {
            let here = estate.datastores.iter().filter(|datastore| datastore.datacenter == datacenter.id);
            list(here.map(|datastore| cx.datastore(datastore.id)))
        });
        f.set("network", || {
            let standard = estate.networks.iter().filter(|network| network.datacenter == datacenter.id);
            let mut networks: Vec<MoRef> = standard.map(|network| cx.network(network.id)).collect();
            networks.extend(cx.portgroups_of(datacenter.id));
            list(networks)
        });
        f.set("configuration", || record(""));
    })
}

/// The property of a cluster at a path.
pub(crate) fn cluster(cx: &Cx<'_>, cluster: &Cluster, path: Path<'_>) -> Option<Value> {
    path.record("ClusterComputeResource", |f| {
        entity::fields(cx, &cx.cluster(cluster.id), f);
        f.set("resourcePool", || cx.pool(cluster.root_pool));
        f.set("host", || list(cluster.hosts.iter().map(|id| cx.host(*id))));
        f.set("datastore", || list(cluster.datastores.iter().map(|id| cx.datastore(*id))));
        f.set("network", || {
            let distributed = cluster.portgroups.iter().map(|id| cx.portgroup(*id));
            list(std::iter::once(cx.network(cluster.network)).chain(distributed))
        });
        f.nest("summary", |path| cluster_summary(cx, cluster, path));
        f.nest("summaryEx", |path| cluster_summary(cx, cluster, path));
        f.set("configurationEx", || {
            record("ClusterConfigInfoEx")
                .with("vmSwapPlacement", "vmDirectory")
                .with("dasConfig", das(cluster))
                .with("drsConfig", drs(cluster))
        });
        f.set("configuration", || record("").with("dasConfig", das(cluster)).with("drsConfig", drs(cluster)));
        f.set("recommendation", || Value::List(Vec::new()));
        f.set("drsRecommendation", || Value::List(Vec::new()));
        f.set("migrationHistory", || Value::List(Vec::new()));
        f.set("actionHistory", || Value::List(Vec::new()));
        f.set("drsFault", || Value::List(Vec::new()));
    })
}

fn cluster_summary(cx: &Cx<'_>, cluster: &Cluster, path: Path<'_>) -> Option<Value> {
    path.record("ClusterComputeResourceSummary", |f| {
        compute_summary(cx, &cluster.hosts, &cx.cluster(cluster.id), f);
        f.set("currentFailoverLevel", || i32::from(cluster.ha));
        f.set("numVmotions", || cluster.hosts.iter().filter_map(|id| cx.moment.migrations.get(id)).sum::<u64>());
        f.nest("usageSummary", |path| usage(cx, cluster, path));
    })
}

fn das(cluster: &Cluster) -> Record {
    record("")
        .with("enabled", cluster.ha)
        .with("vmMonitoring", "vmMonitoringDisabled")
        .with("hostMonitoring", "enabled")
        .with("failoverLevel", 1)
        .with("admissionControlEnabled", false)
}

fn drs(cluster: &Cluster) -> Record {
    record("").with("enabled", cluster.drs).with("defaultVmBehavior", "fullyAutomated").with("vmotionRate", 3)
}

fn compute_summary(cx: &Cx<'_>, hosts: &[HostId], this: &MoRef, f: &mut Fields<'_>) {
    let sum = |all: bool, of: &dyn Fn(&crate::model::Host) -> u64| -> u64 {
        let hosts = hosts.iter().filter_map(|id| cx.moment.inventory.host(*id));
        let effective = |host: &crate::model::Host| host.connection == Connection::Connected && !host.maintenance;
        hosts.filter(|host| all || effective(host)).map(of).sum()
    };
    let mhz = |host: &crate::model::Host| u64::from(host.config.cores) * u64::from(host.config.core_mhz);
    f.set("totalCpu", || sum(true, &mhz));
    f.set("totalMemory", || sum(true, &|host| host.config.memory));
    f.set("numCpuCores", || sum(true, &|host| u64::from(host.config.cores)));
    f.set("numCpuThreads", || sum(true, &|host| u64::from(host.config.threads)));
    f.set("effectiveCpu", || sum(false, &mhz));
    // In MB, unlike `totalMemory`.
    f.set("effectiveMemory", || sum(false, &|host| host.config.memory >> 20));
    f.set("numHosts", || hosts.len());
    f.set("numEffectiveHosts", || sum(false, &|_| 1));
    f.set("overallStatus", || cx.status(this));
}

fn usage(cx: &Cx<'_>, cluster: &Cluster, path: Path<'_>) -> Option<Value> {
    path.record("ClusterUsageSummary", |f| {
        let hosts = || cluster.hosts.iter().filter_map(|id| cx.moment.inventory.host(*id));
        let vms = || {
            let ids = cluster.hosts.iter().flat_map(|id| cx.relations().vms_on(*id));
            ids.filter_map(|id| cx.moment.inventory.vm(*id))
        };
        f.set("totalCpuCapacityMhz", || hosts().map(|host| host.config.cores * host.config.core_mhz).sum::<u32>());
        f.set("totalMemCapacityMB", || hosts().map(|host| host.config.memory >> 20).sum::<u64>());
        f.set("cpuReservationMhz", || vms().map(|vm| vm.config.cpu_reservation_mhz).sum::<u32>());
        f.set("memReservationMB", || vms().map(|vm| vm.config.memory_reservation_mb).sum::<u32>());
        f.set("cpuDemandMhz", || cx.cluster_demand(cluster).0);
        f.set("memDemandMB", || cx.cluster_demand(cluster).1);
        f.set("statsGenNumber", || cx.moment.now.tick());
        f.set("cpuEntitledMhz", || cx.cluster_demand(cluster).0);
        f.set("memEntitledMB", || cx.cluster_demand(cluster).1);
        f.set("poweredOffVmCount", || vms().filter(|vm| vm.power != Power::On).count());
        f.set("totalVmCount", || vms().count());
    })
}

/// The property of the `ComputeResource` that an ESXi host puts itself into.
pub(crate) fn own_compute(cx: &Cx<'_>, host: HostId, path: Path<'_>) -> Option<Value> {
    let this = MoRef::of("ComputeResource", super::OWN_COMPUTE);
    path.record("ComputeResource", |f| {
        entity::fields(cx, &this, f);
        f.set("resourcePool", || MoRef::of("ResourcePool", super::OWN_POOL));
        f.set("host", || list([cx.host(host)]));
        let found = || cx.moment.inventory.host(host);
        f.set("datastore", || {
            list(found().into_iter().flat_map(|host| &host.config.datastores).map(|id| cx.datastore(*id)))
        });
        f.set("network", || list(found().map(|host| cx.host_networks(host)).unwrap_or_default()));
        f.nest("summary", |path| path.record("ComputeResourceSummary", |f| compute_summary(cx, &[host], &this, f)));
        f.set("configurationEx", || record("").with("vmSwapPlacement", "vmDirectory"));
    })
}

/// What a resource pool or vApp is, as far as its properties differ.
pub(crate) struct PoolParts<'a> {
    pub(crate) this: MoRef,
    pub(crate) name: String,
    pub(crate) owner: MoRef,
    pub(crate) pools: Vec<MoRef>,
    pub(crate) vms: &'a [VmId],
    pub(crate) hosts: &'a [HostId],
    pub(crate) shares: &'static str,
    pub(crate) is_root: bool,
    pub(crate) vapp: bool,
}

/// The property of a resource pool at a path.
pub(crate) fn pool(cx: &Cx<'_>, pool: &Pool, path: Path<'_>) -> Option<Value> {
    let estate = &cx.moment.inventory.estate;
    let below = |parent: PoolId| {
        let pools = estate.pools.iter().filter(move |pool| pool.parent == Some(parent)).map(|pool| cx.pool(pool.id));
        pools.chain(estate.vapps.iter().filter(move |vapp| vapp.pool == parent).map(|vapp| cx.vapp(vapp.id)))
    };
    let parts = PoolParts {
        this: cx.pool(pool.id),
        name: pool.name.clone(),
        owner: cx.cluster(pool.cluster),
        pools: below(pool.id).collect(),
        vms: cx.relations().vms_in_pool(pool.id),
        hosts: estate.cluster(pool.cluster).map_or(&[], |cluster| &cluster.hosts),
        shares: pool.shares,
        is_root: pool.parent.is_none(),
        vapp: false,
    };
    path.record("ResourcePool", |f| pool_fields(cx, &parts, f))
}

/// The property of a vApp at a path.
pub(crate) fn vapp(cx: &Cx<'_>, vapp: &Vapp, path: Path<'_>) -> Option<Value> {
    let parts = PoolParts {
        this: cx.vapp(vapp.id),
        name: vapp.name.clone(),
        owner: cx.cluster(vapp.cluster),
        pools: Vec::new(),
        vms: cx.relations().vms_in_vapp(vapp.id),
        hosts: &[],
        shares: "normal",
        is_root: false,
        vapp: true,
    };
    path.record("VirtualApp", |f| {
        pool_fields(cx, &parts, f);
        f.set("parentFolder", || cx.folder(vapp.folder));
    })
}

pub(crate) fn pool_fields(cx: &Cx<'_>, parts: &PoolParts<'_>, f: &mut Fields<'_>) {
    entity::fields(cx, &parts.this, f);
    f.nest("summary", |path| {
        path.record(if parts.vapp { "VirtualAppSummary" } else { "ResourcePoolSummary" }, |f| {
            f.set("name", || parts.name.clone());
            f.set("config", || pool_config(cx, parts));
            f.set("runtime", || pool_runtime(cx, parts));
            f.nest("quickStats", |path| cx.pool_quick_stats(parts.vms, path));
            if parts.vapp {
                f.set("vAppState", || "started");
                f.set("suspended", || false);
                f.set("installBootRequired", || false);
            }
        })
    });
    f.set("runtime", || pool_runtime(cx, parts));
    f.set("owner", || parts.owner.clone());
    f.set("resourcePool", || list(parts.pools.clone()));
    f.set("vm", || list(parts.vms.iter().map(|id| cx.vm(*id))));
    f.set("config", || pool_config(cx, parts));
    f.set("childConfiguration", || Value::List(Vec::new()));
}

fn capacity(cx: &Cx<'_>, parts: &PoolParts<'_>) -> (u64, u64) {
    let hosts = parts.hosts.iter().filter_map(|id| cx.moment.inventory.host(*id));
    hosts.fold((0, 0), |(mhz, bytes), host| {
        (mhz + u64::from(host.config.cores) * u64::from(host.config.core_mhz), bytes + host.config.memory)
    })
}

fn pool_config(cx: &Cx<'_>, parts: &PoolParts<'_>) -> Record {
    let (mhz, bytes) = capacity(cx, parts);
    let allocation = |reservation: u64, shares: i64| {
        let (reservation, limit) = if parts.is_root { (reservation, reservation.cast_signed()) } else { (0, -1) };
        record("")
            .with("reservation", reservation)
            .with("expandableReservation", true)
            .with("limit", limit)
            .with("shares", record("").with("shares", shares).with("level", parts.shares))
    };
    let factor = match parts.shares {
        "low" => 1,
        "high" => 4,
        _ => 2,
    };
    record("")
        .with("entity", parts.this.clone())
        .with("cpuAllocation", allocation(mhz, 2_000 * factor))
        .with("memoryAllocation", allocation(bytes >> 20, 81_920 * factor))
}

fn pool_runtime(cx: &Cx<'_>, parts: &PoolParts<'_>) -> Record {
    let (mhz, bytes) = capacity(cx, parts);
    let vms = || parts.vms.iter().filter_map(|id| cx.moment.inventory.vm(*id));
    let cpu: u64 = vms().map(|vm| u64::from(vm.config.cpu_reservation_mhz)).sum();
    let memory: u64 = vms().map(|vm| u64::from(vm.config.memory_reservation_mb) << 20).sum();
    let (used_mhz, used_bytes) = cx.pool_use(parts.vms);
    let usage = |reserved: u64, used: u64, limit: u64| {
        record("")
            .with("reservationUsed", reserved)
            .with("reservationUsedForVm", reserved)
            .with("unreservedForPool", limit.saturating_sub(reserved))
            .with("unreservedForVm", limit.saturating_sub(reserved))
            .with("overallUsage", used)
            .with("maxUsage", limit)
    };
    record("")
        .with("memory", usage(memory, used_bytes, bytes))
        .with("cpu", usage(cpu, used_mhz, mhz))
        .with("overallStatus", cx.status(&parts.this))
}
