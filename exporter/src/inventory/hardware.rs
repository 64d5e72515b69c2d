//! Hosts, clusters and resource pools.

use std::collections::{BTreeMap, HashMap};

use super::build::{Cx, allocation, mebibytes, megahertz, name, time};
use super::identity::{Candidate, identify};
use super::mirror::Known;
use super::{
    Adapter, AdapterState, Automation, Cluster, Host, HostConnection, HostPower, Inventory, Nic, Object, PathState,
    Pool, Sensor, Status, paths,
};
use crate::vsphere::{MoRef, Value};

pub(super) fn hosts(cx: &Cx<'_>, inventory: &mut Inventory) {
    let (mut hosts, mut candidates) = (Vec::new(), Vec::new());
    for (reference, known) in cx.mirror.of("HostSystem") {
        if name(known).is_none() {
            inventory.unidentified[Object::Host as usize] += 1;
            continue;
        }
        let (moref, place) = (reference.id.clone(), cx.place(reference));
        let id = known.text("summary.hardware.uuid").map_or(place.host.clone(), str::to_ascii_lowercase);
        candidates.push(Candidate { id, otherwise: place.host.clone(), moref: moref.clone() });
        let certificate = known.reference("configManager.certificateManager").and_then(|m| cx.mirror.get(m));
        let ntp = known.get("config.service.service").into_iter().flat_map(Value::fields);
        let ntp = ntp.map(|field| &field.value).find(|service| service.text_at("key") == Some("ntpd"));
        hosts.push(Host {
            moref,
            id: String::new(),
            place,
            connection: known.text("runtime.connectionState").and_then(HostConnection::from_vsphere),
            power: known.text("runtime.powerState").and_then(HostPower::from_vsphere),
            status: known.text("overallStatus").and_then(Status::from_vsphere),
            maintenance: known.parse("runtime.inMaintenanceMode"),
            reboot_required: known.parse("summary.rebootRequired"),
            boot_time: time(known, "runtime.bootTime"),
            vendor: known.owned("summary.hardware.vendor"),
            model: known.owned("summary.hardware.model"),
            version: known.owned("summary.config.product.version"),
            build: known.owned("summary.config.product.build"),
            cpu_cores: known.parse("summary.hardware.numCpuCores"),
            cpu_hertz: megahertz(known, "summary.hardware.cpuMhz"),
            memory_bytes: known.parse("summary.hardware.memorySize"),
            sensors: sensors(known),
            nics: nics(known.get("config.network.pnic")),
            adapters: adapters(known.get("config.storageDevice.hostBusAdapter")),
            paths: storage_paths(known.get("config.storageDevice.multipathInfo")),
            certificate_end: certificate
                .and_then(|c| c.get(paths::CERTIFICATE))
                .and_then(|info| info.parse_at::<jiff::Timestamp>("notAfter").map(|time| time.as_millisecond())),
            ntp_servers: known.get("config.dateTimeInfo.ntpConfig.server").map(|servers| servers.fields().len()),
            ntp_running: ntp.and_then(|service| service.parse_at("running")),
            alarms: cx.alarms(reference),
        });
    }
    let (ids, doubled) = identify(candidates);
    hosts.iter_mut().zip(ids).for_each(|(host, id)| host.id = id);
    inventory.hosts = hosts;
    inventory.doubled[Object::Host as usize] = doubled;
}

/// Numeric sensors, and the parts that have no number (CPU, memory, storage). Of one name only the first is shown.
fn sensors(known: &Known) -> Vec<Sensor> {
    let mut found: BTreeMap<(String, String), Sensor> = BTreeMap::new();
    let mut add = |sensor: Sensor| {
        found.entry((sensor.kind.clone(), sensor.name.clone())).or_insert(sensor);
    };
    let numeric = known.get("runtime.healthSystemRuntime.systemHealthInfo.numericSensorInfo");
    for value in numeric.into_iter().flat_map(Value::fields).map(|field| &field.value) {
        let Some((name, kind)) = value.text_at("name").zip(value.text_at("sensorType")) else { continue };
        let reading = value.parse_at::<f64>("currentReading").zip(value.parse_at::<i32>("unitModifier"));
        let degrees = value.text_at("baseUnits").is_some_and(|unit| unit.to_ascii_lowercase().ends_with('c'));
        add(Sensor {
            name: name.to_owned(),
            kind: kind.to_ascii_lowercase(),
            status: colour(value.text_at("healthState.key")),
            celsius: reading
                .filter(|_| kind.eq_ignore_ascii_case("temperature") && degrees)
                .map(|(reading, modifier)| reading * 10f64.powi(modifier)),
        });
    }
    let parts = known.get("runtime.healthSystemRuntime.hardwareStatusInfo");
    for (list, kind) in [("cpuStatusInfo", "cpu"), ("memoryStatusInfo", "memory"), ("storageStatusInfo", "storage")] {
        for value in parts.into_iter().flat_map(|parts| parts.all(list)) {
            let Some(name) = value.text_at("name") else { continue };
            let status = colour(value.text_at("status.key"));
            add(Sensor { name: name.to_owned(), kind: kind.to_owned(), status, celsius: None });
        }
    }
    found.into_values().collect()
}

/// `green`, `Green`; anything but a colour is not known.
fn colour(key: Option<&str>) -> Option<Status> {
    Status::from_vsphere(&key?.to_ascii_lowercase()).filter(|status| *status != Status::Gray)
}

fn nics(pnics: Option<&Value>) -> Vec<Nic> {
    let nic = |nic: &Value| {
        let speed_bits = nic.parse_at::<u64>("linkSpeed.speedMb").map(|megabits| megabits * 1_000_000);
        Some(Nic { device: nic.text_at("device")?.to_owned(), speed_bits })
    };
    pnics.into_iter().flat_map(Value::fields).filter_map(|field| nic(&field.value)).collect()
}

fn adapters(adapters: Option<&Value>) -> Vec<Adapter> {
    let adapter = |adapter: &Value| {
        let state = adapter.text_at("status").and_then(AdapterState::from_vsphere)?;
        Some(Adapter { device: adapter.text_at("device")?.to_owned(), state })
    };
    adapters.into_iter().flat_map(Value::fields).filter_map(|field| adapter(&field.value)).collect()
}

fn storage_paths(multipath: Option<&Value>) -> BTreeMap<PathState, usize> {
    let mut found = BTreeMap::new();
    for path in multipath.into_iter().flat_map(|info| info.all("lun")).flat_map(|lun| lun.all("path")) {
        // `pathState` from 4.0 on, the older `state` has other names for the same.
        if let Some(state) = path.text_at("pathState").and_then(PathState::from_vsphere) {
            *found.entry(state).or_default() += 1;
        }
    }
    found
}

pub(super) fn clusters(cx: &Cx<'_>, inventory: &mut Inventory) {
    for (reference, known) in cx.mirror.of("ClusterComputeResource") {
        let Some(name) = name(known) else { continue };
        let summary = known.get("summary");
        inventory.clusters.push(Cluster {
            id: reference.id.clone(),
            name,
            datacenter: cx.above(reference, "Datacenter"),
            status: known.text("overallStatus").and_then(Status::from_vsphere),
            hosts: known.parse("summary.numHosts"),
            effective_hosts: known.parse("summary.numEffectiveHosts"),
            cpu_hertz: megahertz(known, "summary.totalCpu"),
            effective_cpu_hertz: megahertz(known, "summary.effectiveCpu"),
            memory_bytes: known.parse("summary.totalMemory"),
            effective_memory_bytes: mebibytes(known, "summary.effectiveMemory"),
            ha: known.parse("configuration.dasConfig.enabled"),
            host_monitoring: known.text("configuration.dasConfig.hostMonitoring").map(|state| state == "enabled"),
            admission_control: known.parse("configuration.dasConfig.admissionControlEnabled"),
            drs: known.parse("configuration.drsConfig.enabled"),
            automation: known.text("configuration.drsConfig.defaultVmBehavior").and_then(Automation::from_vsphere),
            failover_level: summary.and_then(|summary| summary.parse_at("currentFailoverLevel")),
            vmotions: summary.and_then(|summary| summary.parse_at("numVmotions")),
            alarms: cx.alarms(reference),
        });
    }
}

pub(super) fn pools(cx: &Cx<'_>, inventory: &mut Inventory) {
    let mut vms: HashMap<&str, usize> = HashMap::new();
    for (_, known) in cx.mirror.of("VirtualMachine") {
        if let Some(pool) = known.reference("resourcePool") {
            *vms.entry(pool.id.as_str()).or_default() += 1;
        }
    }
    let own = |kind: &str| kind == "ResourcePool" || kind == "VirtualApp";
    let all = cx.mirror.of("ResourcePool").into_iter().chain(cx.mirror.of("VirtualApp"));
    for (reference, known) in all {
        // The pool at the top stands for the cluster or the host itself.
        let parent: Option<&MoRef> = known.reference("parent");
        if parent.is_none_or(|parent| !own(&parent.kind)) {
            continue;
        }
        inventory.pools.push(Pool {
            id: reference.id.clone(),
            path: cx.path(Some(reference), &["ResourcePool", "VirtualApp"]),
            cluster: cx.above(reference, "ClusterComputeResource"),
            vapp: reference.kind == "VirtualApp",
            vms: vms.get(reference.id.as_str()).copied().unwrap_or_default(),
            allocation: allocation(known),
            cpu_usage_hertz: megahertz(known, "runtime.cpu.overallUsage"),
            memory_usage_bytes: known.parse("runtime.memory.overallUsage"),
        });
    }
}
