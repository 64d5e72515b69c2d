//! `VirtualMachine`.

use crate::model::{Disk, Nic, NicNetwork, Power, Snapshot, Vm};
use crate::soap::{MoRef, Record, Value, list, record};

use super::{Cx, Fields, Path, entity};

/// The property of a VM at a path.
pub(crate) fn property(cx: &Cx<'_>, vm: &Vm, path: Path<'_>) -> Option<Value> {
    path.record("VirtualMachine", |f| {
        entity::fields(cx, &cx.vm(vm.id), f);
        f.set("capability", capability);
        f.nest("config", |path| config(cx, vm, path));
        f.nest("layoutEx", |path| layout(cx, vm, path));
        f.nest("storage", |path| storage(cx, vm, path));
        f.set("environmentBrowser", || MoRef::of("EnvironmentBrowser", "envbrowser-1"));
        f.maybe("resourcePool", || cx.pool_of(vm));
        f.maybe("parentVApp", || vm.config.vapp.filter(|_| cx.is_vcenter()).map(|vapp| cx.vapp(vapp)));
        f.nest("resourceConfig", |path| {
            path.record("ResourceConfigSpec", |f| {
                f.set("entity", || cx.vm(vm.id));
                f.set("cpuAllocation", || cpu_allocation(vm));
                f.set("memoryAllocation", || memory_allocation(vm));
            })
        });
        f.nest("runtime", |path| runtime(cx, vm, path));
        f.nest("guest", |path| guest(cx, vm, path));
        f.nest("summary", |path| summary(cx, vm, path));
        f.set("datastore", || list(cx.datastores_of(vm).into_iter().map(|id| cx.datastore(id))));
        f.set("network", || list(networks(cx, vm)));
        f.nest("snapshot", |path| snapshots(cx, vm, path));
        f.set("rootSnapshot", || list(vm.snapshots.first().map(|first| cx.snapshot(first.id))));
        f.set("guestHeartbeatStatus", || heartbeat(vm));
    })
}

fn tools_run(vm: &Vm) -> bool {
    vm.config.tools.is_some() && vm.power == Power::On
}

fn heartbeat(vm: &Vm) -> &'static str {
    if tools_run(vm) { "green" } else { "gray" }
}

fn config(cx: &Cx<'_>, vm: &Vm, path: Path<'_>) -> Option<Value> {
    // While its host does not respond, vCenter knows what it has stored, which is all of this.
    let config = &vm.config;
    path.record("VirtualMachineConfigInfo", |f| {
        f.set("changeVersion", || config.created.to_string());
        f.set("modified", || Value::Time(config.created.0));
        f.set("name", || config.name.clone());
        f.set("guestFullName", || config.guest_full_name);
        f.set("version", || config.hardware_version);
        f.set("uuid", || config.bios_uuid.clone());
        f.set("createDate", || Value::Time(config.created.0));
        f.set("instanceUuid", || config.instance_uuid.clone());
        f.set("npivTemporaryDisabled", || true);
        f.set("template", || config.template);
        f.set("guestId", || config.guest_id);
        f.set("alternateGuestName", || "");
        f.set("annotation", || config.annotation.clone());
        f.set("files", || {
            let path = vm_path(cx, vm);
            let folder = path.rsplit_once('/').map_or(path.as_str(), |(folder, _)| folder).to_owned() + "/";
            record("")
                .with("vmPathName", path)
                .with("snapshotDirectory", folder.clone())
                .with("suspendDirectory", folder.clone())
                .with("logDirectory", folder)
        });
        f.set("tools", || {
            record("")
                .with_some("toolsVersion", config.tools.map(|tools| tools.version))
                .with("afterPowerOn", true)
                .with("afterResume", true)
                .with("beforeGuestStandby", true)
                .with("beforeGuestShutdown", true)
                .with("toolsUpgradePolicy", "manual")
                .with("syncTimeWithHost", false)
        });
        f.set("flags", || record("").with("enableLogging", true).with("snapshotDisabled", false));
        f.set("defaultPowerOps", || {
            record("").with("powerOffType", "soft").with("suspendType", "hard").with("resetType", "soft")
        });
        f.nest("hardware", |path| {
            path.record("VirtualHardware", |f| {
                f.set("numCPU", || config.vcpus);
                f.set("numCoresPerSocket", || config.cores_per_socket);
                f.set("memoryMB", || config.memory_mb);
                f.set("virtualICH7MPresent", || false);
                f.set("virtualSMCPresent", || false);
                f.set("device", || devices(cx, vm));
            })
        });
        f.set("cpuAllocation", || cpu_allocation(vm));
        f.set("memoryAllocation", || memory_allocation(vm));
        f.set("memoryHotAddEnabled", || false);
        f.set("cpuHotAddEnabled", || false);
        f.set("cpuHotRemoveEnabled", || false);
        f.set("swapPlacement", || "inherit");
        f.set("changeTrackingEnabled", || false);
        f.set("firmware", || config.firmware);
        f.set("maxMksConnections", || 40);
    })
}

fn vm_path(cx: &Cx<'_>, vm: &Vm) -> String {
    let estate = &cx.moment.inventory.estate;
    let datastore = vm.config.disks.first().and_then(|disk| estate.datastore(disk.datastore));
    vm.config.path(datastore.map_or("", |datastore| &datastore.name))
}

fn cpu_allocation(vm: &Vm) -> Record {
    allocation(vm.config.cpu_reservation_mhz, vm.config.vcpus * 1000)
}

fn memory_allocation(vm: &Vm) -> Record {
    allocation(vm.config.memory_reservation_mb, vm.config.memory_mb * 10)
}

fn allocation(reservation: u32, shares: u32) -> Record {
    record("")
        .with("reservation", reservation)
        .with("expandableReservation", false)
        .with("limit", -1)
        .with("shares", record("").with("shares", shares).with("level", "normal"))
}

fn devices(cx: &Cx<'_>, vm: &Vm) -> Value {
    let config = &vm.config;
    let controllers = [("VirtualIDEController", 200, "IDE 0"), ("VirtualIDEController", 201, "IDE 1")];
    let mut devices: Vec<Value> = controllers
        .into_iter()
        .zip(0..)
        .map(|((kind, key, label), bus): (_, i32)| {
            record(kind).with("key", key).with("deviceInfo", description(label, label)).with("busNumber", bus).into()
        })
        .collect();
    if !config.disks.is_empty() {
        devices.push(
            record("ParaVirtualSCSIController")
                .with("key", 1000)
                .with("deviceInfo", description("SCSI controller 0", "VMware paravirtual SCSI"))
                .with("busNumber", 0)
                .with("device", list(config.disks.iter().map(|disk| disk.key)))
                .with("hotAddRemove", true)
                .with("sharedBus", "noSharing")
                .with("scsiCtlrUnitNumber", 7)
                .into(),
        );
    }
    devices.extend(config.disks.iter().map(|disk| disk_device(cx, vm, disk).into()));
    devices.extend(config.nics.iter().map(|nic| nic_device(cx, vm, nic).into()));
    Value::List(devices)
}

fn description(label: impl Into<Value>, summary: impl Into<Value>) -> Record {
    record("Description").with("label", label).with("summary", summary)
}

fn disk_device(cx: &Cx<'_>, vm: &Vm, disk: &Disk) -> Record {
    let kilobytes = disk.capacity / 1024;
    let vmx = vm_path(cx, vm);
    let stem = vmx.strip_suffix(".vmx").unwrap_or(&vmx);
    let file = if disk.unit == 0 { format!("{stem}.vmdk") } else { format!("{stem}_{}.vmdk", disk.unit) };
    record("VirtualDisk")
        .with("key", disk.key)
        .with("deviceInfo", description(disk.label.clone(), format!("{} KB", grouped(kilobytes))))
        .with(
            "backing",
            record("VirtualDiskFlatVer2BackingInfo")
                .with("fileName", file)
                .with("datastore", cx.datastore(disk.datastore))
                .with("diskMode", "persistent")
                .with("split", false)
                .with("writeThrough", false)
                .with("thinProvisioned", disk.thin),
        )
        .with("controllerKey", 1000)
        .with("unitNumber", disk.unit)
        .with("capacityInKB", kilobytes)
        .with("capacityInBytes", disk.capacity)
        .with("shares", record("").with("shares", 1000).with("level", "normal"))
}

/// As vCenter writes the size of a disk: `41,943,040`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn nic_device(cx: &Cx<'_>, vm: &Vm, nic: &Nic) -> Record {
    let estate = &cx.moment.inventory.estate;
    let (summary, backing) = match nic.network {
        NicNetwork::Standard(id) => {
            let name = estate.network(id).map(|network| network.name.clone()).unwrap_or_default();
            let backing = record("VirtualEthernetCardNetworkBackingInfo")
                .with("deviceName", name.clone())
                .with("useAutoDetect", false)
                .with("network", cx.network(id));
            (name, backing)
        }
        NicNetwork::Distributed { portgroup, switch, port } => {
            let uuid = estate.switch(switch).map(|switch| switch.uuid.clone()).unwrap_or_default();
            let connection = record("")
                .with("switchUuid", uuid.clone())
                .with("portgroupKey", portgroup.to_string())
                .with("portKey", port.to_string());
            let backing = record("VirtualEthernetCardDistributedVirtualPortBackingInfo").with("port", connection);
            (format!("DVSwitch: {uuid}"), backing)
        }
    };
    let connected = vm.power == Power::On;
    record("VirtualVmxnet3")
        .with("key", nic.key)
        .with("deviceInfo", description(nic.label.clone(), summary))
        .with("backing", backing)
        .with(
            "connectable",
            record("")
                .with("startConnected", true)
                .with("allowGuestControl", true)
                .with("connected", connected)
                .with("status", if connected { "ok" } else { "untried" }),
        )
        .with("controllerKey", 100)
        .with("unitNumber", nic.key - 4000 + 7)
        .with("addressType", "assigned")
        .with("macAddress", nic.mac.clone())
        .with("wakeOnLanEnabled", true)
}

fn networks(cx: &Cx<'_>, vm: &Vm) -> Vec<MoRef> {
    let mut networks: Vec<MoRef> = Vec::new();
    for nic in &vm.config.nics {
        let network = cx.nic_network(nic);
        if !networks.contains(&network) {
            networks.push(network);
        }
    }
    networks
}

fn runtime(cx: &Cx<'_>, vm: &Vm, path: Path<'_>) -> Option<Value> {
    path.record("VirtualMachineRuntimeInfo", |f| {
        f.set("host", || cx.host(vm.host));
        f.set("connectionState", || if vm.connected { "connected" } else { "disconnected" });
        f.set("powerState", || vm.power.name());
        f.set("faultToleranceState", || "notConfigured");
        f.set("toolsInstallerMounted", || false);
        f.maybe("bootTime", || vm.boot_time.map(|time| Value::Time(time.0)));
        f.maybe("maxCpuUsage", || max_cpu(cx, vm));
        f.set("maxMemoryUsage", || vm.config.memory_mb);
        f.set("numMksConnections", || 0);
        f.set("recordReplayState", || "inactive");
        f.set("onlineStandby", || false);
        f.set("consolidationNeeded", || false);
    })
}

fn max_cpu(cx: &Cx<'_>, vm: &Vm) -> Option<u32> {
    let host = cx.moment.inventory.host(vm.host)?;
    Some(vm.config.vcpus * host.config.core_mhz)
}

fn tools_fields(vm: &Vm, f: &mut Fields<'_>) {
    let config = &vm.config;
    let running = tools_run(vm);
    f.set("toolsStatus", || match config.tools {
        None => "toolsNotInstalled",
        Some(_) if !running => "toolsNotRunning",
        Some(tools) if tools.status.name() == "guestToolsSupportedOld" => "toolsOld",
        Some(_) => "toolsOk",
    });
    f.set("toolsVersionStatus", || match config.tools {
        None => "guestToolsNotInstalled",
        Some(tools) if tools.status.name() == "guestToolsSupportedOld" => "guestToolsNeedUpgrade",
        Some(tools) => tools.status.name(),
    });
    f.set("toolsVersionStatus2", || config.tools.map_or("guestToolsNotInstalled", |tools| tools.status.name()));
    f.set("toolsRunningStatus", || if running { "guestToolsRunning" } else { "guestToolsNotRunning" });
    f.maybe("guestId", || running.then_some(config.guest_id));
    f.maybe("guestFullName", || running.then_some(config.guest_full_name));
    f.maybe("hostName", || running.then(|| config.hostname.clone()));
    f.maybe("ipAddress", || running.then(|| address(vm)).flatten());
    f.set("hwVersion", || config.hardware_version);
}

fn address(vm: &Vm) -> Option<String> {
    vm.config.nics.iter().find_map(|nic| nic.addresses.first().cloned())
}

fn guest(cx: &Cx<'_>, vm: &Vm, path: Path<'_>) -> Option<Value> {
    let config = &vm.config;
    let running = tools_run(vm);
    path.record("GuestInfo", |f| {
        f.and(|f| tools_fields(vm, f));
        f.set("toolsVersion", || config.tools.map_or(0, |tools| tools.version).to_string());
        f.maybe("guestFamily", || running.then(|| config.family.name()));
        f.set("net", || if running { nics(cx, vm) } else { Value::List(Vec::new()) });
        f.set("disk", || if running { cx.guest_disks(vm) } else { Value::List(Vec::new()) });
        f.set("guestState", || if running { "running" } else { "notRunning" });
        f.set("appHeartbeatStatus", || "appStatusGray");
        f.set("guestOperationsReady", || running);
        f.set("interactiveGuestOperationsReady", || false);
        f.set("guestStateChangeSupported", || running);
    })
}

fn nics(cx: &Cx<'_>, vm: &Vm) -> Value {
    list(vm.config.nics.iter().map(|nic| {
        let addresses = nic.addresses.iter().map(|address| {
            let prefix = if address.contains(':') { 64 } else { 24 };
            record("").with("ipAddress", address.clone()).with("prefixLength", prefix).with("state", "preferred")
        });
        record("")
            .with("network", cx.nic_network_name(nic))
            .with("ipAddress", list(nic.addresses.iter().cloned()))
            .with("macAddress", nic.mac.clone())
            .with("connected", true)
            .with("deviceConfigId", nic.key)
            .with("ipConfig", record("").with("ipAddress", list(addresses)))
    }))
}

fn summary(cx: &Cx<'_>, vm: &Vm, path: Path<'_>) -> Option<Value> {
    let config = &vm.config;
    path.record("VirtualMachineSummary", |f| {
        f.set("vm", || cx.vm(vm.id));
        f.nest("runtime", |path| runtime(cx, vm, path));
        f.nest("guest", |path| path.record("VirtualMachineGuestSummary", |f| tools_fields(vm, f)));
        f.nest("config", |path| {
            path.record("VirtualMachineConfigSummary", |f| {
                f.set("name", || config.name.clone());
                f.set("template", || config.template);
                f.set("vmPathName", || vm_path(cx, vm));
                f.set("memorySizeMB", || config.memory_mb);
                f.set("cpuReservation", || config.cpu_reservation_mhz);
                f.set("memoryReservation", || config.memory_reservation_mb);
                f.set("numCpu", || config.vcpus);
                f.set("numEthernetCards", || config.nics.len());
                f.set("numVirtualDisks", || config.disks.len());
                f.set("uuid", || config.bios_uuid.clone());
                f.set("instanceUuid", || config.instance_uuid.clone());
                f.set("guestId", || config.guest_id);
                f.set("guestFullName", || config.guest_full_name);
                f.set("annotation", || config.annotation.clone());
                f.set("installBootRequired", || false);
                f.set("hwVersion", || config.hardware_version);
            })
        });
        f.set("storage", || {
            let space = cx.vm_space(vm).datastores;
            let committed: u64 = space.iter().map(|(_, committed, _)| committed).sum();
            record("")
                .with("committed", committed)
                .with("uncommitted", space.iter().map(|(_, _, more)| more).sum::<u64>())
                .with("unshared", committed)
                .with("timestamp", Value::Time(cx.moment.now.0))
        });
        f.nest("quickStats", |path| cx.vm_quick_stats(vm, heartbeat(vm), path));
        f.set("overallStatus", || cx.status(&cx.vm(vm.id)));
        f.set("customValue", || entity::custom_values(cx, &cx.vm(vm.id)));
    })
}

fn storage(cx: &Cx<'_>, vm: &Vm, path: Path<'_>) -> Option<Value> {
    path.record("VirtualMachineStorageInfo", |f| {
        f.set("perDatastoreUsage", || {
            list(cx.vm_space(vm).datastores.into_iter().map(|(datastore, committed, uncommitted)| {
                record("")
                    .with("datastore", cx.datastore(datastore))
                    .with("committed", committed)
                    .with("uncommitted", uncommitted)
                    .with("unshared", committed)
            }))
        });
        f.set("timestamp", || Value::Time(cx.moment.now.0));
    })
}

fn layout(cx: &Cx<'_>, vm: &Vm, path: Path<'_>) -> Option<Value> {
    path.record("VirtualMachineFileLayoutEx", |f| {
        f.set("file", || {
            let (vmx, space) = (vm_path(cx, vm), cx.vm_space(vm));
            let stem = vmx.strip_suffix(".vmx").unwrap_or(&vmx).to_owned();
            let mut files = vec![(vmx.clone(), "config", 4_096u64), (format!("{stem}.nvram"), "nvram", 8_684)];
            for (disk, usage) in vm.config.disks.iter().zip(space.disks) {
                let suffix = if disk.unit == 0 { String::new() } else { format!("_{}", disk.unit) };
                files.push((format!("{stem}{suffix}.vmdk"), "diskDescriptor", 512));
                files.push((format!("{stem}{suffix}-flat.vmdk"), "diskExtent", usage));
            }
            for (snapshot, size) in vm.snapshots.iter().zip(space.snapshots) {
                files.push((format!("{stem}-{:06}-sesparse.vmdk", snapshot.number), "diskExtent", size));
            }
            list(files.into_iter().zip(0..).map(|((name, kind, size), key): (_, i32)| {
                record("")
                    .with("key", key)
                    .with("name", name)
                    .with("type", kind)
                    .with("size", size)
                    .with("uniqueSize", size)
                    .with("accessible", true)
            }))
        });
        // Descriptor and extent of each disk follow the two files of the VM itself; then come the snapshots, which are
        // written to in place of the first disk.
        f.set("disk", || {
            let unit = |keys: Vec<i32>| record("").with("fileKey", list(keys));
            let deltas = i32::try_from(2 * vm.config.disks.len() + 2).unwrap_or(i32::MAX);
            list(vm.config.disks.iter().zip(1..).map(|(disk, pair): (_, i32)| {
                let mut chain = vec![unit(vec![2 * pair, 2 * pair + 1])];
                if pair == 1 {
                    chain.extend((deltas..).take(vm.snapshots.len()).map(|key| unit(vec![key])));
                }
                record("").with("key", disk.key).with("chain", list(chain))
            }))
        });
        f.set("timestamp", || Value::Time(cx.moment.now.0));
    })
}

fn snapshots(cx: &Cx<'_>, vm: &Vm, path: Path<'_>) -> Option<Value> {
    // No snapshots, no property.
    let newest = vm.snapshots.last()?;
    path.record("VirtualMachineSnapshotInfo", |f| {
        f.set("currentSnapshot", || cx.snapshot(newest.id));
        f.set("rootSnapshotList", || list(tree(cx, vm, &vm.snapshots)));
    })
}

/// Each snapshot is the parent of the next.
fn tree(cx: &Cx<'_>, vm: &Vm, chain: &[Snapshot]) -> Option<Record> {
    let (first, rest) = chain.split_first()?;
    Some(
        record("")
            .with("snapshot", cx.snapshot(first.id))
            .with("vm", cx.vm(vm.id))
            .with("name", first.name.clone())
            .with("description", first.description.clone())
            .with("id", first.number)
            .with("createTime", Value::Time(first.created.0))
            .with("state", vm.power.name())
            .with("quiesced", first.quiesced)
            .with("childSnapshotList", list(tree(cx, vm, rest))),
    )
}

/// The property of a snapshot at a path.
pub(crate) fn snapshot(cx: &Cx<'_>, vm: &Vm, place: usize, path: Path<'_>) -> Option<Value> {
    path.record("VirtualMachineSnapshot", |f| {
        f.set("value", || Value::List(Vec::new()));
        f.set("availableField", || Value::List(Vec::new()));
        f.nest("config", |path| config(cx, vm, path));
        f.set("childSnapshot", || list(vm.snapshots.get(place + 1).map(|next| cx.snapshot(next.id))));
        f.set("vm", || cx.vm(vm.id));
    })
}

/// What can be done with a VM: here, nothing; the fleet is watched, not operated.
fn capability() -> Record {
    const FALSE: [&str; 37] = [
        "snapshotOperationsSupported",
        "multipleSnapshotsSupported",
        "snapshotConfigSupported",
        "poweredOffSnapshotsSupported",
        "memorySnapshotsSupported",
        "revertToSnapshotSupported",
        "quiescedSnapshotsSupported",
        "disableSnapshotsSupported",
        "lockSnapshotsSupported",
        "consolePreferencesSupported",
        "cpuFeatureMaskSupported",
        "s1AcpiManagementSupported",
        "settingScreenResolutionSupported",
        "toolsAutoUpdateSupported",
        "vmNpivWwnSupported",
        "npivWwnOnNonRdmVmSupported",
        "vmNpivWwnDisableSupported",
        "vmNpivWwnUpdateSupported",
        "swapPlacementSupported",
        "toolsSyncTimeSupported",
        "virtualMmuUsageSupported",
        "diskSharesSupported",
        "bootOptionsSupported",
        "bootRetryOptionsSupported",
        "settingVideoRamSizeSupported",
        "settingDisplayTopologySupported",
        "recordReplaySupported",
        "changeTrackingSupported",
        "multipleCoresPerSocketSupported",
        "hostBasedReplicationSupported",
        "guestAutoLockSupported",
        "memoryReservationLockSupported",
        "featureRequirementSupported",
        "poweredOnMonitorTypeChangeSupported",
        "seSparseDiskSupported",
        "nestedHVSupported",
        "vPMCSupported",
    ];
    FALSE.into_iter().fold(record(""), |record, name| record.with(name, false))
}
