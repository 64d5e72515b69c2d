//! Hosts and datastores, sized so that the estate runs well as long as nothing goes wrong: about half of the CPU,
//! three quarters of the memory, under three quarters of the space.

use std::sync::Arc;

use super::{Numbers, Seat, datastore, uuid};
use crate::model::inventory::{Adapter, Estate, HostConfig, Pnic, Power, Sensor};
use crate::model::noise::{Noise, What};
use crate::model::role::Profile;
use crate::model::space;
use crate::model::time::DAY;
use crate::model::{DatastoreId, PortgroupId, Size, Time};

const CORE_MHZ: u32 = 2_600;
/// Cores a socket that one can buy, and memory in GiB.
const CORES: [u32; 7] = [4, 8, 16, 20, 24, 32, 64];
const MEMORY_GIB: [u64; 10] = [64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048];
const LOCAL_GIB: u64 = 480;
const SHARE_GIB: u64 = 2_048;

#[expect(clippy::too_many_arguments, reason = "one step of building, cut out for its length")]
pub(super) fn furnish(
    estate: &mut Estate,
    numbers: &mut Numbers,
    noise: Noise,
    size: Size,
    origin: Time,
    hosts_of: &[Vec<usize>],
    seats: &mut [Seat],
    portgroups: &[Vec<PortgroupId>],
) {
    let shares: Vec<DatastoreId> = (0..estate.datacenters.len()).map(|dc| share(estate, numbers, noise, dc)).collect();
    for (place, hosts) in hosts_of.iter().enumerate() {
        let shared = size.datastores / size.clusters + u32::from((place as u32) < size.datastores % size.clusters);
        let datastores = shared_datastores(estate, numbers, noise, place, shared, seats);
        let dc = place % estate.datacenters.len();
        let mut groups: Vec<PortgroupId> = portgroups[dc].clone();
        groups.sort();
        for (nth, &host) in hosts.iter().enumerate() {
            let name = format!("esx-{:02}{:02}", place + 1, nth + 1);
            let local = local(estate, numbers, noise, place, &name, host);
            let mut own: Vec<DatastoreId> = datastores.iter().map(|ds| estate.datastores[*ds].id).collect();
            own.extend([local, shares[dc]]);
            own.sort();
            let config = host_config(estate, noise, origin, (place, host, &name), own, &groups, seats, hosts.len());
            estate.hosts.push(Arc::new(config));
        }
        let cluster = &mut estate.clusters[place];
        cluster.hosts = hosts.iter().map(|host| estate.host_ids[*host]).collect();
        cluster.portgroups = groups;
        let mut all: Vec<DatastoreId> = hosts.iter().flat_map(|host| estate.hosts[*host].datastores.clone()).collect();
        all.sort();
        all.dedup();
        cluster.datastores = all;
    }
}

fn share(estate: &mut Estate, numbers: &mut Numbers, noise: Noise, dc: usize) -> DatastoreId {
    let id = DatastoreId(numbers.next());
    let place = (estate.datacenters[dc].id, estate.datacenters[dc].datastore_folder);
    let uuid = uuid(noise, 5, u64::from(id.0), None)[..17].to_owned();
    let mut share = datastore(id, format!("nfs-iso-{:02}", dc + 1), "NFS", uuid, place);
    share.capacity = SHARE_GIB << 30;
    share.comfortable_iops = 2_000.0;
    estate.datastores.push(share);
    id
}

/// The UUID of a VMFS volume has its own form.
fn vmfs_uuid(noise: Noise, who: u64) -> String {
    let (high, low) = (noise.bits(What::Uuid, who, 20), noise.bits(What::Uuid, who, 21));
    format!("{:08x}-{:08x}-{:04x}-{:012x}", high >> 32, high & 0xffff_ffff, low >> 48, low & 0xffff_ffff_ffff)
}

fn shared_datastores(
    estate: &mut Estate,
    numbers: &mut Numbers,
    noise: Noise,
    cluster: usize,
    count: u32,
    seats: &mut [Seat],
) -> Vec<usize> {
    let dc = cluster % estate.datacenters.len();
    let first = estate.datastores.len();
    let count = count.max(1) as usize;
    for nth in 0..count {
        let id = DatastoreId(numbers.next());
        let place = (estate.datacenters[dc].id, estate.datacenters[dc].datastore_folder);
        let name = format!("ds-{:02}-{:02}", cluster + 1, nth + 1);
        let mut shared = datastore(id, name, "VMFS", vmfs_uuid(noise, u64::from(id.0)), place);
        shared.cluster = Some(estate.clusters[cluster].id);
        shared.lun = Some(format!("naa.6000d31{:025x}", noise.bits(What::Uuid, u64::from(id.0), 22)));
        estate.datastores.push(shared);
    }
    let (mut used, mut iops) = (vec![0_u64; count], vec![0.0_f64; count]);
    for (place, seat) in seats.iter_mut().enumerate().filter(|(_, seat)| seat.cluster == cluster) {
        for disk in 0..seat.disks_gib.len() {
            let nth = noise.below(What::Placement, place as u64, disk as i64, count as u64) as usize;
            used[nth] += space::most_used(noise, place as u64, disk, seat.disks_gib[disk] << 30);
            seat.datastores.push(first + nth);
        }
        let nth = seat.datastores.first().map_or(0, |datastore| datastore - first);
        used[nth] += u64::from(seat.memory_mb) << 20;
        if seat.power == Power::On {
            iops[nth] += Profile::of(seat.role).iops * seat.scale;
        }
    }
    for nth in 0..count {
        let datastore = &mut estate.datastores[first + nth];
        let fill = noise.between(What::Placement, u64::from(datastore.id.0), -1, 0.58, 0.70);
        let gib = (used[nth] as f64 / fill / f64::from(1 << 30)) as u64;
        datastore.capacity = (gib.div_ceil(64).max(8) * 64) << 30;
        datastore.comfortable_iops = (iops[nth] * 0.9).max(2_000.0);
    }
    (first..first + count).collect()
}

fn local(
    estate: &mut Estate,
    numbers: &mut Numbers,
    noise: Noise,
    cluster: usize,
    host: &str,
    place: usize,
) -> DatastoreId {
    let dc = cluster % estate.datacenters.len();
    let id = DatastoreId(numbers.next());
    let at = (estate.datacenters[dc].id, estate.datacenters[dc].datastore_folder);
    let mut local = datastore(id, format!("{host}-local"), "VMFS", vmfs_uuid(noise, u64::from(id.0)), at);
    local.shared = false;
    local.local_to = Some(estate.host_ids[place]);
    local.cluster = Some(estate.clusters[cluster].id);
    local.lun = Some(format!("naa.5000c50{:025x}", noise.bits(What::Uuid, u64::from(id.0), 22)));
    local.capacity = LOCAL_GIB << 30;
    local.comfortable_iops = 1_000.0;
    estate.datastores.push(local);
    id
}

#[expect(clippy::too_many_arguments, reason = "one step of building, cut out for its length")]
fn host_config(
    estate: &Estate,
    noise: Noise,
    origin: Time,
    (cluster, place, name): (usize, usize, &str),
    datastores: Vec<DatastoreId>,
    portgroups: &[PortgroupId],
    seats: &[Seat],
    hosts: usize,
) -> HostConfig {
    let running = || seats.iter().filter(|seat| seat.cluster == cluster && seat.power == Power::On);
    let demand: f64 = running().map(|seat| f64::from(seat.vcpus) * Profile::of(seat.role).usual * seat.scale).sum();
    let memory: u64 = running().map(|seat| u64::from(seat.memory_mb)).sum();
    let most = running().map(|seat| seat.vcpus).max().unwrap_or(1);
    let per_socket = ((demand / hosts as f64 / 0.5 / 2.0).ceil() as u32).max(most.div_ceil(2));
    let cores = CORES.into_iter().find(|cores| *cores >= per_socket).unwrap_or(64);
    let gib = (memory as f64 / 1024.0 / hosts as f64 / 0.92).ceil() as u64 + 4;
    let gib = MEMORY_GIB.into_iter().find(|size| *size >= gib).unwrap_or(gib.div_ceil(512) * 512);
    let who = place as u64;
    let dc = cluster % estate.datacenters.len();
    let hash = noise.bits(What::Host, who, 0);
    let pnic = |nth: u64| Pnic {
        device: format!("vmnic{nth}"),
        mac: format!("3c:fd:fe:{:02x}:{:02x}:{nth:02x}", hash >> 8 & 0xff, hash & 0xff),
        speed_mb: (nth < 2).then_some(10_000),
        driver: "i40en",
    };
    let lun = |id: &DatastoreId| {
        let found = estate.datastores.iter().find(|datastore| datastore.id == *id)?;
        Some((*id, found.lun.clone()?))
    };
    HostConfig {
        name: format!("{name}.fleet.example"),
        index: place as u32,
        cluster: estate.clusters[cluster].id,
        datacenter: estate.datacenters[dc].id,
        uuid: uuid(noise, 4, who, None),
        serial: format!("CZ{:08X}", hash >> 32),
        vendor: "Dell Inc.",
        model: if cores >= 24 { "PowerEdge R750" } else { "PowerEdge R650" },
        cpu_model: "Intel(R) Xeon(R) Gold 6348 CPU @ 2.60GHz",
        sockets: 2,
        cores: 2 * cores,
        threads: 4 * cores,
        core_mhz: CORE_MHZ,
        memory: gib << 30,
        version: "7.0.3",
        build: "23794027",
        address: format!("10.10.{}.{}", place / 250, place % 250 + 2),
        pnics: (0..4).map(pnic).collect(),
        adapters: vec![
            Adapter { device: "vmhba0".to_owned(), model: "PERC H755", kind: "HostBlockHba" },
            Adapter { device: "vmhba1".to_owned(), model: "QLE2692 16Gb Fibre Channel", kind: "HostFibreChannelHba" },
            Adapter { device: "vmhba2".to_owned(), model: "QLE2692 16Gb Fibre Channel", kind: "HostFibreChannelHba" },
        ],
        luns: datastores.iter().filter_map(lun).collect(),
        datastores,
        switch: estate.switches[dc].id,
        portgroups: portgroups.to_vec(),
        sensors: sensors(noise, who),
        certificate_not_after: Time(origin.0 + noise.between(What::Host, who, 1, 100.0, 1_500.0) as i64 * DAY),
        power_cap: 300 + 16 * cores,
    }
}

fn sensors(noise: Noise, who: u64) -> Vec<Sensor> {
    let sensor =
        |(nth, (name, kind, unit, low, high)): (usize, (String, &'static str, &'static str, f64, f64))| Sensor {
            name,
            kind,
            unit,
            unit_modifier: -2,
            reading: (noise.between(What::Host, who, 10 + nth as i64, low, high) * 100.0) as i64,
            health: "green",
        };
    let fans = (1..=4).map(|n| (format!("System Board 1 Fan{n}"), "fan", "RPM", 6_000.0, 7_500.0));
    let rest = [
        ("System Board 1 Inlet Temp".to_owned(), "temperature", "Degrees C", 19.0, 25.0),
        ("CPU 1 Temp".to_owned(), "temperature", "Degrees C", 45.0, 62.0),
        ("CPU 2 Temp".to_owned(), "temperature", "Degrees C", 45.0, 62.0),
        ("Power Supply 1 Voltage 1".to_owned(), "voltage", "Volts", 228.0, 236.0),
        ("Power Supply 1 Current 1".to_owned(), "current", "Amps", 0.8, 1.6),
    ];
    fans.chain(rest).enumerate().map(sensor).collect()
}
