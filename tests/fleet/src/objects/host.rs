//! `HostSystem`.

use crate::model::{Connection, Host};
use crate::soap::{MoRef, Record, Value, list, record};

use super::{Cx, Path, entity};

/// The property of a host at a path.
pub(crate) fn property(cx: &Cx<'_>, host: &Host, path: Path<'_>) -> Option<Value> {
    path.record("HostSystem", |f| {
        entity::fields(cx, &cx.host(host.id), f);
        f.nest("runtime", |path| runtime(host, path));
        f.nest("summary", |path| summary(cx, host, path));
        f.nest("hardware", |path| hardware(host, path));
        f.set("licensableResource", || {
            let packages = Value::Typed("int", Box::new(host.config.sockets.into()));
            let resource = record("KeyAnyValue").with("key", "numCpuPackages").with("value", packages);
            record("").with("resource", list([resource]))
        });
        f.set("configManager", || record("").with("certificateManager", cx.certificate_manager(host.id)));
        f.nest("config", |path| config(cx, host, path));
        f.set("vm", || list(cx.relations().vms_on(host.id).iter().map(|id| cx.vm(*id))));
        f.set("datastore", || list(host.config.datastores.iter().map(|id| cx.datastore(*id))));
        f.set("network", || list(cx.host_networks(host)));
        f.set("datastoreBrowser", || MoRef::of("HostDatastoreBrowser", format!("datastoreBrowser-{}", host.id)));
    })
}

fn runtime(host: &Host, path: Path<'_>) -> Option<Value> {
    path.record("HostRuntimeInfo", |f| {
        f.set("connectionState", || host.connection.name());
        f.set("powerState", || host.power_name());
        f.set("standbyMode", || "none");
        f.set("inMaintenanceMode", || host.maintenance);
        f.set("inQuarantineMode", || false);
        f.set("bootTime", || Value::Time(host.boot_time.0));
        f.maybe("healthSystemRuntime", || {
            let responds = host.connection == Connection::Connected;
            responds.then(|| record("").with("systemHealthInfo", record("").with("numericSensorInfo", sensors(host))))
        });
        f.set("cryptoState", || "incapable");
    })
}

fn sensors(host: &Host) -> Value {
    list(host.config.sensors.iter().map(|sensor| {
        let (label, summary) = match sensor.health {
            "green" => ("Green", "Sensor is operating under normal conditions"),
            "yellow" => ("Yellow", "Sensor is operating under conditions that are non-critical"),
            _ => ("Red", "Sensor is operating under critical or fatal conditions"),
        };
        record("")
            .with("name", sensor.name.clone())
            .with("healthState", record("").with("label", label).with("summary", summary).with("key", sensor.health))
            .with("currentReading", sensor.reading)
            .with("unitModifier", sensor.unit_modifier)
            .with("baseUnits", sensor.unit)
            .with("sensorType", sensor.kind)
    }))
}

/// `AboutInfo` of an ESXi host.
pub(crate) fn product(host: &Host) -> Record {
    let (version, build) = (host.config.version, host.config.build);
    record("AboutInfo")
        .with("name", "VMware ESXi")
        .with("fullName", format!("VMware ESXi {version} build-{build}"))
        .with("vendor", "VMware, Inc.")
        .with("version", version)
        .with("build", build)
        .with("localeVersion", "INTL")
        .with("localeBuild", "000")
        .with("osType", "vmnix-x86")
        .with("productLineId", "embeddedEsx")
        .with("apiType", "HostAgent")
        .with("apiVersion", format!("{version}.0"))
        .with("licenseProductName", "VMware ESX Server")
        .with("licenseProductVersion", format!("{}.0", version.split('.').next().unwrap_or_default()))
}

fn summary(cx: &Cx<'_>, host: &Host, path: Path<'_>) -> Option<Value> {
    let config = &host.config;
    path.record("HostListSummary", |f| {
        f.set("host", || cx.host(host.id));
        f.nest("hardware", |path| {
            path.record("HostHardwareSummary", |f| {
                f.set("vendor", || config.vendor);
                f.set("model", || config.model);
                f.set("uuid", || config.uuid.clone());
                f.set("otherIdentifyingInfo", || identifiers(host));
                f.set("memorySize", || config.memory);
                f.set("cpuModel", || config.cpu_model);
                f.set("cpuMhz", || config.core_mhz);
                f.set("numCpuPkgs", || config.sockets);
                f.set("numCpuCores", || config.cores);
                f.set("numCpuThreads", || config.threads);
                f.set("numNics", || config.pnics.len());
                f.set("numHBAs", || config.adapters.len());
            })
        });
        f.nest("runtime", |path| runtime(host, path));
        f.nest("config", |path| {
            path.record("HostConfigSummary", |f| {
                f.set("name", || config.name.clone());
                f.set("port", || 443);
                f.set("product", || product(host));
                f.set("vmotionEnabled", || true);
                f.set("faultToleranceEnabled", || false);
            })
        });
        f.nest("quickStats", |path| cx.host_quick_stats(host, path));
        f.set("overallStatus", || cx.status(&cx.host(host.id)));
        f.set("rebootRequired", || false);
        f.set("maintenanceModeRequired", || false);
        f.set("customValue", || entity::custom_values(cx, &cx.host(host.id)));
        f.maybe("managementServerIp", || cx.is_vcenter().then_some("127.0.0.1"));
    })
}

fn identifiers(host: &Host) -> Value {
    let kind =
        record("").with("label", "Service tag").with("summary", "Service tag of the system").with("key", "ServiceTag");
    list([record("").with("identifierValue", host.config.serial.clone()).with("identifierType", kind)])
}

fn hardware(host: &Host, path: Path<'_>) -> Option<Value> {
    let config = &host.config;
    let hertz = u64::from(config.core_mhz) * 1_000_000;
    path.record("HostHardwareInfo", |f| {
        f.set("systemInfo", || {
            record("")
                .with("vendor", config.vendor)
                .with("model", config.model)
                .with("uuid", config.uuid.clone())
                .with("otherIdentifyingInfo", identifiers(host))
                .with("serialNumber", config.serial.clone())
        });
        f.set("cpuInfo", || {
            record("")
                .with("numCpuPackages", config.sockets)
                .with("numCpuCores", config.cores)
                .with("numCpuThreads", config.threads)
                .with("hz", hertz)
        });
        f.set("cpuPkg", || {
            let per_socket = config.threads / config.sockets.max(1);
            list((0..config.sockets).map(|index| {
                record("")
                    .with("index", index)
                    .with("vendor", if config.cpu_model.contains("AMD") { "amd" } else { "intel" })
                    .with("hz", hertz)
                    .with("busHz", 100_000_000)
                    .with("description", config.cpu_model)
                    .with("threadId", list(index * per_socket..(index + 1) * per_socket))
            }))
        });
        f.set("memorySize", || config.memory);
        f.set("smcPresent", || false);
    })
}

fn config(cx: &Cx<'_>, host: &Host, path: Path<'_>) -> Option<Value> {
    path.record("HostConfigInfo", |f| {
        f.set("host", || cx.host(host.id));
        f.nest("product", |path| super::whole(product(host), path));
        f.set("hyperThread", || {
            let on = host.config.threads > host.config.cores;
            record("").with("available", on).with("active", on).with("config", on)
        });
        f.nest("network", |path| {
            path.record("HostNetworkInfo", |f| {
                f.set("pnic", || pnics(host));
                f.set("vnic", || vnics(host));
            })
        });
        f.nest("storageDevice", |path| {
            path.record("HostStorageDeviceInfo", |f| {
                f.set("hostBusAdapter", || adapters(host));
                f.set("scsiLun", || luns(cx, host));
                f.set("softwareInternetScsiEnabled", || false);
            })
        });
    })
}

fn pnics(host: &Host) -> Value {
    list(host.config.pnics.iter().zip(0..).map(|(pnic, slot): (_, i32)| {
        record("")
            .with("key", format!("key-vim.host.PhysicalNic-{}", pnic.device))
            .with("device", pnic.device.clone())
            .with("pci", format!("0000:{:02x}:00.{slot}", 0x18))
            .with("driver", pnic.driver)
            .with_some("linkSpeed", pnic.speed_mb.map(|speed| record("").with("speedMb", speed).with("duplex", true)))
            .with("spec", record(""))
            .with("wakeOnLanSupported", true)
            .with("mac", pnic.mac.clone())
    }))
}

fn vnics(host: &Host) -> Value {
    let ip = record("")
        .with("dhcp", false)
        .with("ipAddress", host.config.address.clone())
        .with("subnetMask", "255.255.255.0");
    let spec = record("").with("ip", ip).with("portgroup", "Management Network").with("mtu", 1500);
    list([record("")
        .with("device", "vmk0")
        .with("key", "key-vim.host.VirtualNic-vmk0")
        .with("portgroup", "Management Network")
        .with("spec", spec)])
}

fn adapters(host: &Host) -> Value {
    list(host.config.adapters.iter().zip(0u32..).map(|(adapter, bus)| {
        let base = record(adapter.kind)
            .with("key", format!("key-vim.host.{}-{}", adapter.kind.trim_start_matches("Host"), adapter.device))
            .with("device", adapter.device.clone())
            .with("bus", bus)
            .with("status", "online")
            .with("model", adapter.model);
        if adapter.kind != "HostFibreChannelHba" {
            return base;
        }
        // World-wide names are unique in a fabric.
        let name = 0x1000_0000_c900_0000 | i64::from(host.config.index) << 8 | i64::from(bus);
        base.with("portWorldWideName", name)
            .with("nodeWorldWideName", name | 0x80)
            .with("portType", "fabric")
            .with("speed", 16)
    }))
}

fn luns(cx: &Cx<'_>, host: &Host) -> Value {
    const BLOCK: u64 = 512;
    list(host.config.luns.iter().map(|(id, name)| {
        let datastore = cx.moment.inventory.estate.datastore(*id);
        let blocks = datastore.map_or(0, |datastore| datastore.capacity) / BLOCK;
        record("HostScsiDisk")
            .with("deviceName", format!("/vmfs/devices/disks/{name}"))
            .with("deviceType", "disk")
            .with("key", format!("key-vim.host.ScsiDisk-{name}"))
            .with("uuid", name.clone())
            .with("canonicalName", name.clone())
            .with("displayName", name.clone())
            .with("lunType", "disk")
            .with("operationalState", list(["ok"]))
            .with("capacity", record("").with("blockSize", BLOCK).with("block", blocks))
            .with("devicePath", format!("/vmfs/devices/disks/{name}"))
            .with_some("localDisk", datastore.map(|datastore| datastore.local_to.is_some()))
    }))
}

/// `HostCertificateManager` of a host.
pub(crate) fn certificate(host: &Host, path: Path<'_>) -> Option<Value> {
    const DAY: i64 = 86_400_000;
    path.record("HostCertificateManager", |f| {
        f.set("certificateInfo", || {
            // As VMware's authority issues them: for five years.
            let end = host.config.certificate_not_after.0;
            record("")
                .with("issuer", "O=VMware Engineering,OU=lynceus-fleet,CN=CA")
                .with("notBefore", Value::Time(end - 5 * 365 * DAY))
                .with("notAfter", Value::Time(end))
                .with("subject", format!("CN={}", host.config.name))
                .with("status", "good")
        });
    })
}
