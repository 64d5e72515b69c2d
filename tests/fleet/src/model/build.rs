//! Builds what never changes: the structure of the estate, and the seats of its VMs.

mod hardware;
mod seat;

use std::collections::HashMap;
use std::sync::Arc;

pub(crate) use seat::{Seat, TEAMS};

use super::inventory::{
    Alarm, AttributeDef, Cluster, Datacenter, Datastore, Estate, Folder, FolderParent, Licence, Network, Pool,
    Portgroup, Role, Switch, Tag, TagCategory, TagId, Vapp, Watched,
};
use super::noise::{Noise, What};
use super::time::DAY;
use super::{
    AlarmId, ClusterId, DatacenterId, DatastoreId, FolderId, FolderKind, HostId, NetworkId, PoolId, PortgroupId, Size,
    SwitchId, Time, VappId,
};

/// What does not depend on time.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) estate: Arc<Estate>,
    pub(crate) seats: Vec<Seat>,
    /// The number of the first VM; that of another is this plus its seat plus its generation times the seats.
    pub(crate) first_vm: u32,
    /// Places of the hosts of each cluster.
    pub(crate) hosts_of: Vec<Vec<usize>>,
    /// Seats with a disk on each datastore.
    pub(crate) seats_on: Vec<Vec<usize>>,
    /// Folders of VMs: by datacenter, team, and whether it is for production.
    folders: HashMap<(usize, usize, bool), FolderId>,
    /// Pools by cluster and whether it is for production.
    pools: HashMap<(usize, bool), PoolId>,
    /// For each datacenter the port groups of the teams and that for backups.
    portgroups: Vec<Vec<PortgroupId>>,
}

/// Gives out the numbers of references.
struct Numbers(u32);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 += 1;
        self.0
    }
}

pub(crate) fn build(noise: Noise, size: Size, origin: Time) -> Built {
    let size = size.rounded_up();
    let mut numbers = Numbers(0);
    let root = FolderId { holds: FolderKind::Datacenters, number: numbers.next() };
    let mut estate = Estate {
        instance_uuid: uuid(noise, 1, 0, None),
        root_folder: root,
        datacenters: Vec::new(),
        folders: vec![Folder { id: root, name: "Datacenters".to_owned(), parent: FolderParent::Nothing }],
        clusters: Vec::new(),
        hosts: Vec::new(),
        host_ids: Vec::new(),
        pools: Vec::new(),
        vapps: Vec::new(),
        datastores: Vec::new(),
        networks: Vec::new(),
        switches: Vec::new(),
        portgroups: Vec::new(),
        alarms: alarms(),
        tag_categories: tag_categories(noise),
        tags: tags(noise),
        attributes: attributes(),
        licences: Vec::new(),
    };
    let mut folders = HashMap::new();
    let mut portgroups = Vec::new();
    for place in 0..size.datacenters as usize {
        datacenter(&mut estate, &mut numbers, noise, place, &mut folders, &mut portgroups);
    }
    let mut pools = HashMap::new();
    let mut hosts_of: Vec<Vec<usize>> = Vec::new();
    for place in 0..size.clusters {
        let hosts = size.hosts / size.clusters + u32::from(place < size.hosts % size.clusters);
        cluster(&mut estate, &mut numbers, place as usize, &folders, &mut pools);
        let first = estate.host_ids.len();
        for _ in 0..hosts {
            estate.host_ids.push(HostId(numbers.next()));
        }
        hosts_of.push((first..estate.host_ids.len()).collect());
    }
    let mut seats = seats(noise, size, &hosts_of);
    hardware::furnish(&mut estate, &mut numbers, noise, size, origin, &hosts_of, &mut seats, &portgroups);
    estate.folders.sort_by_key(|folder| folder.id);
    estate.licences = licences(&estate, origin);
    let mut seats_on = vec![Vec::new(); estate.datastores.len()];
    for (place, seat) in seats.iter().enumerate() {
        for datastore in &seat.datastores {
            if seats_on[*datastore].last() != Some(&place) {
                seats_on[*datastore].push(place);
            }
        }
    }
    // The next round number, so that a person can tell VMs from the rest.
    let first_vm = (numbers.0 / 1000 + 1) * 1000;
    Built { estate: Arc::new(estate), seats, first_vm, hosts_of, seats_on, folders, pools, portgroups }
}

fn datacenter(
    estate: &mut Estate,
    numbers: &mut Numbers,
    noise: Noise,
    place: usize,
    folders: &mut HashMap<(usize, usize, bool), FolderId>,
    portgroups: &mut Vec<Vec<PortgroupId>>,
) {
    let id = DatacenterId(numbers.next());
    let mut folder = |holds, name: &str, parent| {
        let id = FolderId { holds, number: numbers.next() };
        estate.folders.push(Folder { id, name: name.to_owned(), parent });
        id
    };
    let above = FolderParent::Datacenter(id);
    let vm_folder = folder(FolderKind::Vms, "vm", above);
    let host_folder = folder(FolderKind::Hosts, "host", above);
    let datastore_folder = folder(FolderKind::Datastores, "datastore", above);
    let network_folder = folder(FolderKind::Networks, "network", above);
    for (team, name) in TEAMS.iter().enumerate() {
        let of_team = folder(FolderKind::Vms, name, FolderParent::Folder(vm_folder));
        folders.insert((place, team, true), folder(FolderKind::Vms, "prod", FolderParent::Folder(of_team)));
        folders.insert((place, team, false), folder(FolderKind::Vms, "test", FolderParent::Folder(of_team)));
    }
    estate.networks.push(Network {
        id: NetworkId(numbers.next()),
        name: "VM Network".to_owned(),
        datacenter: id,
        folder: network_folder,
    });
    let switch = SwitchId(numbers.next());
    let dc = place + 1;
    estate.switches.push(Switch {
        id: switch,
        name: format!("dvs-{dc:02}"),
        uuid: switch_uuid(noise, dc as u64),
        datacenter: id,
        folder: network_folder,
        version: "7.0.3",
    });
    let mut portgroup = |name: String, vlan: u32, uplink: bool| {
        let id = PortgroupId(numbers.next());
        estate.portgroups.push(Portgroup { id, name, switch, vlan, uplink, folder: network_folder });
        id
    };
    portgroup(format!("dvs-{dc:02}-uplinks"), 0, true);
    let teams = TEAMS
        .iter()
        .enumerate()
        .map(|(team, name)| portgroup(format!("pg-{name}-{}", 101 + team), 101 + team as u32, false));
    let mut all: Vec<PortgroupId> = teams.collect();
    all.push(portgroup("pg-backup-190".to_owned(), 190, false));
    portgroups.push(all);
    let name = format!("dc-{dc:02}");
    estate.datacenters.push(Datacenter { id, name, vm_folder, host_folder, datastore_folder, network_folder });
}

fn cluster(
    estate: &mut Estate,
    numbers: &mut Numbers,
    place: usize,
    folders: &HashMap<(usize, usize, bool), FolderId>,
    pools: &mut HashMap<(usize, bool), PoolId>,
) {
    let dc = place % estate.datacenters.len();
    let datacenter = &estate.datacenters[dc];
    let id = ClusterId(numbers.next());
    let root_pool = PoolId(numbers.next());
    estate.pools.push(Pool {
        id: root_pool,
        name: "Resources".to_owned(),
        cluster: id,
        parent: None,
        shares: "normal",
    });
    for (production, name, shares) in [(true, "production", "high"), (false, "test", "low")] {
        let pool_id = PoolId(numbers.next());
        estate.pools.push(Pool { id: pool_id, name: name.to_owned(), cluster: id, parent: Some(root_pool), shares });
        pools.insert((place, production), pool_id);
    }
    let vapp = VappId(numbers.next());
    let folder = folders[&(dc, 0, true)];
    estate.vapps.push(Vapp { id: vapp, name: format!("shop-{:02}", place + 1), cluster: id, pool: root_pool, folder });
    estate.clusters.push(Cluster {
        id,
        name: format!("cl-{:02}", place + 1),
        datacenter: datacenter.id,
        folder: datacenter.host_folder,
        hosts: Vec::new(),
        datastores: Vec::new(),
        portgroups: Vec::new(),
        network: estate.networks[dc].id,
        root_pool,
        ha: true,
        drs: true,
    });
}

fn seats(noise: Noise, size: Size, hosts_of: &[Vec<usize>]) -> Vec<Seat> {
    let mut numbers: HashMap<(usize, Role), u32> = HashMap::new();
    let mut seats: Vec<Seat> = (0..size.vms)
        .map(|place| {
            Seat::new(noise, place, |team, role| {
                let number = numbers.entry((team, role)).or_default();
                *number += 1;
                *number
            })
        })
        .collect();
    // Clusters in turn by their hosts; within a cluster the largest first, each to the host with the least memory taken.
    let cluster_of: Vec<usize> =
        hosts_of.iter().enumerate().flat_map(|(place, hosts)| hosts.iter().map(move |_| place)).collect();
    for (place, seat) in seats.iter_mut().enumerate() {
        seat.cluster = cluster_of[place % cluster_of.len()];
    }
    let mut order: Vec<usize> = (0..seats.len()).collect();
    order.sort_by_key(|place| std::cmp::Reverse(seats[*place].memory_mb));
    let mut taken = vec![0_u64; cluster_of.len()];
    for place in order {
        let hosts = &hosts_of[seats[place].cluster];
        let home = hosts.iter().copied().min_by_key(|host| taken[*host]).unwrap_or_default();
        seats[place].home = home;
        if seats[place].power == super::Power::On {
            taken[home] += u64::from(seats[place].memory_mb);
        }
    }
    seats
}

impl Built {
    pub(crate) fn folder(&self, seat: &Seat) -> FolderId {
        let dc = seat.cluster % self.estate.datacenters.len();
        self.folders[&(dc, seat.team, seat.production)]
    }

    pub(crate) fn pool(&self, seat: &Seat) -> PoolId {
        self.pools[&(seat.cluster, seat.production)]
    }

    pub(crate) fn portgroups(&self, seat: &Seat) -> &[PortgroupId] {
        &self.portgroups[seat.cluster % self.estate.datacenters.len()]
    }

    pub(crate) fn switch(&self, seat: &Seat) -> SwitchId {
        self.estate.switches[seat.cluster % self.estate.datacenters.len()].id
    }
}

fn alarms() -> Vec<Alarm> {
    vec![
        Alarm {
            id: AlarmId(1),
            name: "Host connection and power state",
            system_name: "alarm.HostConnectionStateAlarm",
            description: "Default alarm to monitor host connection and power state",
            watches: Watched::HostConnection,
        },
        Alarm {
            id: AlarmId(8),
            name: "Datastore usage on disk",
            system_name: "alarm.DatastoreDiskUsageAlarm",
            description: "Default alarm to monitor datastore disk usage",
            watches: Watched::DatastoreUsage { yellow: 7_500, red: 8_500 },
        },
    ]
}

/// Tags by place: five teams, then the environments, the tiers, the backup plans.
fn tags(noise: Noise) -> Vec<Tag> {
    let names = TEAMS.into_iter().map(|team| (0, team)).chain([
        (1, "prod"),
        (1, "test"),
        (2, "gold"),
        (2, "silver"),
        (2, "bronze"),
        (3, "nightly"),
        (3, "weekly"),
    ]);
    let tag = |(place, (category, name)): (usize, (usize, &'static str))| Tag {
        place: TagId(place as u32),
        id: format!("urn:vmomi:InventoryServiceTag:{}:GLOBAL", uuid(noise, 2, place as u64, None)),
        name,
        category,
    };
    names.enumerate().map(tag).collect()
}

fn tag_categories(noise: Noise) -> Vec<TagCategory> {
    let categories = [("team", false), ("environment", false), ("tier", false), ("backup", true)];
    let category = |(place, (name, multiple)): (usize, (&'static str, bool))| TagCategory {
        id: format!("urn:vmomi:InventoryServiceCategory:{}:GLOBAL", uuid(noise, 3, place as u64, None)),
        name,
        multiple,
        kinds: &["VirtualMachine"],
    };
    categories.into_iter().enumerate().map(category).collect()
}

/// Keys of the custom attributes.
pub(crate) const ATTRIBUTE_OWNER: i32 = 101;
pub(crate) const ATTRIBUTE_TEAM: i32 = 102;
pub(crate) const ATTRIBUTE_COST_CENTRE: i32 = 103;

fn attributes() -> Vec<AttributeDef> {
    let of_vms = Some("VirtualMachine");
    vec![
        AttributeDef { key: ATTRIBUTE_OWNER, name: "owner", kind: of_vms },
        AttributeDef { key: ATTRIBUTE_TEAM, name: "team", kind: of_vms },
        AttributeDef { key: ATTRIBUTE_COST_CENTRE, name: "cost-centre", kind: None },
    ]
}

fn licences(estate: &Estate, origin: Time) -> Vec<Licence> {
    let sockets: u32 = estate.hosts.iter().map(|host| host.sockets).sum();
    vec![
        Licence {
            key: "00000-00000-00000-00000-00001".to_owned(),
            edition: "vc.standard",
            name: "vCenter Server 8 Standard",
            unit: "server",
            total: 1,
            used: 1,
            expires: None,
        },
        Licence {
            key: "00000-00000-00000-00000-00002".to_owned(),
            edition: "esx.enterprisePlus.cpuPackage",
            name: "vSphere 8 Enterprise Plus",
            unit: "cpuPackage",
            total: sockets + 8,
            used: sockets,
            expires: Some(Time(origin.0 + 200 * DAY)),
        },
    ]
}

/// A UUID out of the seed; `prefix` is the first byte that VMware gives its own.
pub(crate) fn uuid(noise: Noise, kind: u64, who: u64, prefix: Option<u8>) -> String {
    let high = noise.bits(What::Uuid, who, kind as i64 * 2);
    let low = noise.bits(What::Uuid, who, kind as i64 * 2 + 1);
    let high = prefix.map_or(high, |prefix| high & !(0xff << 56) | u64::from(prefix) << 56);
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    )
}

/// Distributed switches write their UUIDs as pairs of digits.
fn switch_uuid(noise: Noise, who: u64) -> String {
    let bytes = [noise.bits(What::Uuid, who, 100), noise.bits(What::Uuid, who, 101)].map(u64::to_be_bytes).concat();
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}", pairs[..8].join(" "), pairs[8..].join(" "))
}

/// A datastore before its load is known.
pub(crate) fn datastore(
    id: DatastoreId,
    name: String,
    kind: &'static str,
    uuid: String,
    at: (DatacenterId, FolderId),
) -> Datastore {
    Datastore {
        id,
        name,
        kind,
        url: format!("ds:///vmfs/volumes/{uuid}/"),
        uuid,
        capacity: 0,
        shared: true,
        local_to: None,
        datacenter: at.0,
        cluster: None,
        folder: at.1,
        lun: None,
        comfortable_iops: 1.0,
    }
}
