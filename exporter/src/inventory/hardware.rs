//! Hosts, clusters and resource pools.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::build::{Cx, allocation, mebibytes, megahertz, name, time};
use super::identity::{Candidate, identify};
use super::mirror::Known;
use super::{
    Adapter, AdapterState, Automation, Cluster, Host, HostConnection, HostPower, Inventory, Nic, Object, PathState,
    Pool, Sensor, Status, Vsan, paths,
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
            vsan: known.get("runtime.vsanRuntimeInfo").and_then(vsan),
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
                .map(|(reading, modifier)| reading * 10f64.powi(modifier))
                .filter(|celsius| celsius.is_finite()),
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
        let speed_bits = nic.parse_at::<u64>("linkSpeed.speedMb").and_then(|megabits| megabits.checked_mul(1_000_000));
        Some(Nic { device: nic.text_at("device")?.to_owned(), speed_bits })
    };
    let found = pnics.into_iter().flat_map(Value::fields).filter_map(|field| nic(&field.value));
    first_of_each(found, |nic| nic.device.clone())
}

fn adapters(adapters: Option<&Value>) -> Vec<Adapter> {
    let adapter = |adapter: &Value| {
        let state = adapter.text_at("status").and_then(AdapterState::from_vsphere)?;
        Some(Adapter { device: adapter.text_at("device")?.to_owned(), state })
    };
    let found = adapters.into_iter().flat_map(Value::fields).filter_map(|field| adapter(&field.value));
    first_of_each(found, |adapter| adapter.device.clone())
}

/// Two of one name would be two series of the same labels, for which Prometheus refuses the whole page.
fn first_of_each<T>(all: impl Iterator<Item = T>, name: impl Fn(&T) -> String) -> Vec<T> {
    let mut names = HashSet::new();
    all.filter(|one| names.insert(name(one))).collect()
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

/// Of `VsanHostRuntimeInfo`, which a host outside of any vSAN cluster may have as well, but empty.
fn vsan(info: &Value) -> Option<Vsan> {
    let (members, disk_issues) = (info.all("membershipList").count(), info.all("diskIssues").count());
    (members + disk_issues > 0).then_some(Vsan { members, disk_issues })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{built, host, object};
    use super::*;

    fn of(properties: &[&str]) -> Host {
        built(vec![host("h", properties)]).hosts.remove(0)
    }

    #[test]
    fn hosts_with_one_uuid_are_told_by_name() {
        let host = |id: &str, name: &str| object("HostSystem", id, &[name, "summary.hardware.uuid=U"]);
        let inventory = built(vec![host("h1", "name=esx1"), host("h2", "name=esx2")]);
        assert_eq!(inventory.hosts.iter().map(|host| host.id.as_str()).collect::<Vec<_>>(), ["esx1", "esx2"]);
        assert_eq!(inventory.doubled(Object::Host), 2);
    }

    fn numeric(name: &str, kind: &str, reading: &str, modifier: &str, colour: &str) -> String {
        format!(
            "<HostNumericSensorInfo><name>{name}</name><healthState><key>{colour}</key></healthState><currentReading>{reading}</currentReading><unitModifier>{modifier}</unitModifier><baseUnits>Degrees C</baseUnits><sensorType>{kind}</sensorType></HostNumericSensorInfo>"
        )
    }

    #[test]
    fn sensors_have_a_colour_and_temperatures_a_reading() {
        let sensors = [
            numeric("CPU 1", "temperature", "4250", "-2", "green"),
            numeric("Fan", "fan", "90", "0", "Yellow"),
            numeric("Board", "temperature", "40", "0", "unknown"),
            numeric("CPU 1", "temperature", "9900", "-2", "red"),
        ];
        let parts = "<cpuStatusInfo><name>CPU 1</name><status><key>Red</key></status></cpuStatusInfo><memoryStatusInfo><name>Memory</name></memoryStatusInfo>";
        let host = of(&[
            &format!("runtime.healthSystemRuntime.systemHealthInfo.numericSensorInfo={}", sensors.concat()),
            &format!("runtime.healthSystemRuntime.hardwareStatusInfo={parts}"),
        ]);
        let found: Vec<_> =
            host.sensors.iter().map(|s| (s.kind.as_str(), s.name.as_str(), s.status, s.celsius)).collect();
        let expected = [
            ("cpu", "CPU 1", Some(Status::Red), None),
            ("fan", "Fan", Some(Status::Yellow), None),
            ("memory", "Memory", None, None),
            ("temperature", "Board", None, Some(40.0)),
            ("temperature", "CPU 1", Some(Status::Green), Some(42.5)),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_temperature_that_is_no_number_is_absent() {
        for (reading, modifier) in [("NaN", "0"), ("inf", "0"), ("1", "400"), ("hot", "0"), ("1", "x")] {
            let sensor = numeric("CPU 1", "temperature", reading, modifier, "green");
            let host = of(&[&format!("runtime.healthSystemRuntime.systemHealthInfo.numericSensorInfo={sensor}")]);
            assert_eq!((host.sensors.len(), host.sensors[0].celsius), (1, None), "{reading} {modifier}");
        }
    }

    #[test]
    fn a_card_without_a_link_has_no_speed_and_each_card_is_there_once() {
        let nic = |device: &str, speed: &str| {
            format!(
                "<PhysicalNic><device>{device}</device><linkSpeed><speedMb>{speed}</speedMb></linkSpeed></PhysicalNic>"
            )
        };
        let down = "<PhysicalNic><device>vmnic1</device></PhysicalNic><PhysicalNic></PhysicalNic>".to_owned();
        let cards = [nic("vmnic0", "10000"), down, nic("vmnic0", "1"), nic("vmnic2", "18446744073709551615")];
        let host = of(&[&format!("config.network.pnic={}", cards.concat())]);
        let found: Vec<_> = host.nics.iter().map(|nic| (nic.device.as_str(), nic.speed_bits)).collect();
        assert_eq!(found, [("vmnic0", Some(10_000_000_000)), ("vmnic1", None), ("vmnic2", None)]);
    }

    #[test]
    fn adapters_and_paths_are_those_whose_state_is_known() {
        let adapter = |device: &str, status: &str| {
            format!("<HostHostBusAdapter><device>{device}</device><status>{status}</status></HostHostBusAdapter>")
        };
        let adapters = [
            adapter("vmhba0", "online"),
            adapter("vmhba1", "fault"),
            adapter("vmhba2", "new"),
            adapter("vmhba0", "fault"),
        ];
        let path = |state: &str| format!("<path><key>k</key><pathState>{state}</pathState></path>");
        let luns = format!(
            "<lun><id>1</id>{}{}</lun><lun>{}{}</lun>",
            path("active"),
            path("dead"),
            path("active"),
            path("later")
        );
        let host = of(&[
            &format!("config.storageDevice.hostBusAdapter={}", adapters.concat()),
            &format!("config.storageDevice.multipathInfo={luns}"),
        ]);
        let found: Vec<_> = host.adapters.iter().map(|adapter| (adapter.device.as_str(), adapter.state)).collect();
        assert_eq!(found, [("vmhba0", AdapterState::Online), ("vmhba1", AdapterState::Fault)]);
        assert_eq!(host.paths, BTreeMap::from([(PathState::Active, 2), (PathState::Dead, 1)]));
    }

    #[test]
    fn vsan_is_of_hosts_that_are_members() {
        let member =
            |name: &str| format!("<membershipList><nodeUuid>u</nodeUuid><hostname>{name}</hostname></membershipList>");
        let issue = |issue: &str| format!("<diskIssues><diskId>naa.5</diskId><issue>{issue}</issue></diskIssues>");
        let vsan = |inner: &str| of(&[&format!("runtime.vsanRuntimeInfo={inner}<accessGenNo>3</accessGenNo>")]).vsan;
        let members = member("esx1") + &member("esx2") + &member("esx3");
        assert_eq!(vsan(&members), Some(Vsan { members: 3, disk_issues: 0 }));
        let ill = members + &issue("Disk is degraded");
        assert_eq!(vsan(&ill), Some(Vsan { members: 3, disk_issues: 1 }));
        assert_eq!(vsan(""), None);
        assert_eq!(of(&[]).vsan, None);
    }

    #[test]
    fn the_certificate_is_that_of_the_hosts_own_manager() {
        let info = "certificateInfo=<kind>x</kind><notAfter>2026-01-01T00:00:00Z</notAfter>";
        let reference = "configManager.certificateManager>HostCertificateManager:c-2";
        let inventory = built(vec![
            host("h", &[reference]),
            object("HostCertificateManager", "c-1", &["certificateInfo=<notAfter>2020-01-01T00:00:00Z</notAfter>"]),
            object("HostCertificateManager", "c-2", &[info]),
        ]);
        assert_eq!(inventory.hosts[0].certificate_end, Some(1_767_225_600_000));
        assert_eq!(built(vec![host("h", &[reference])]).hosts[0].certificate_end, None);
    }

    #[test]
    fn ntp_is_known_by_its_servers_and_its_service() {
        let services = "<HostService><key>sshd</key><running>true</running></HostService><HostService><key>ntpd</key><running>false</running></HostService>";
        let host = of(&[
            &format!("config.service.service={services}"),
            "config.dateTimeInfo.ntpConfig.server=<string>a</string><string>b</string>",
        ]);
        assert_eq!((host.ntp_servers, host.ntp_running), (Some(2), Some(false)));
        assert_eq!((of(&[]).ntp_servers, of(&[]).ntp_running), (None, None));
    }

    #[test]
    fn a_cluster_is_measured_in_base_units() {
        let cluster = built(vec![object(
            "ClusterComputeResource",
            "c",
            &[
                "name=cl1",
                "summary.totalCpu=48000",
                "summary.effectiveMemory=1024",
                "configuration.dasConfig.enabled=true",
                "configuration.dasConfig.hostMonitoring=disabled",
                "configuration.drsConfig.defaultVmBehavior=fullyAutomated",
                "summary=<currentFailoverLevel>1</currentFailoverLevel><numVmotions>7</numVmotions>",
            ],
        )])
        .clusters
        .remove(0);
        assert_eq!((cluster.cpu_hertz, cluster.effective_memory_bytes), (Some(48_000_000_000), Some(1 << 30)));
        assert_eq!((cluster.ha, cluster.host_monitoring, cluster.drs), (Some(true), Some(false), None));
        assert_eq!(cluster.automation, Some(Automation::Full));
        assert_eq!((cluster.failover_level, cluster.vmotions), (Some(1), Some(7)));
    }
}
