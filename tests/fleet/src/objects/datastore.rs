//! `Datastore`.

use crate::model::Datastore;
use crate::soap::{MoRef, Record, Value, list, record};

use super::{Cx, Path, entity};

const GIB: u64 = 1 << 30;

/// The property of a datastore at a path.
pub(crate) fn property(cx: &Cx<'_>, datastore: &Datastore, path: Path<'_>) -> Option<Value> {
    path.record("Datastore", |f| {
        entity::fields(cx, &cx.datastore(datastore.id), f);
        f.set("info", || info(cx, datastore));
        f.nest("summary", |path| summary(cx, datastore, path));
        f.set("host", || {
            list(cx.hosts_with(datastore.id).into_iter().map(|host| {
                let mount = record("")
                    .with("path", format!("/vmfs/volumes/{}", datastore.uuid))
                    .with("accessMode", "readWrite")
                    .with("mounted", true)
                    .with("accessible", true);
                record("").with("key", cx.host(host)).with("mountInfo", mount)
            }))
        });
        f.set("vm", || list(cx.relations().vms_in_datastore(datastore.id).iter().map(|id| cx.vm(*id))));
        f.set("browser", || MoRef::of("HostDatastoreBrowser", format!("datastoreBrowser-{}", datastore.id)));
        f.set("capability", || {
            let vmfs = datastore.kind == "VMFS";
            record("")
                .with("directoryHierarchySupported", true)
                .with("rawDiskMappingsSupported", vmfs)
                .with("perFileThinProvisioningSupported", true)
                .with("storageIORMSupported", vmfs)
                .with("nativeSnapshotSupported", false)
                .with("topLevelDirectoryCreateSupported", true)
                .with("seSparseSupported", vmfs)
        });
    })
}

fn summary(cx: &Cx<'_>, datastore: &Datastore, path: Path<'_>) -> Option<Value> {
    path.record("DatastoreSummary", |f| {
        f.set("datastore", || cx.datastore(datastore.id));
        f.set("name", || datastore.name.clone());
        f.set("url", || datastore.url.clone());
        f.set("capacity", || datastore.capacity);
        f.set("freeSpace", || cx.free_space(datastore));
        f.set("uncommitted", || cx.uncommitted(datastore));
        f.set("accessible", || true);
        f.set("multipleHostAccess", || datastore.shared);
        f.set("type", || datastore.kind);
        f.set("maintenanceMode", || "normal");
    })
}

fn info(cx: &Cx<'_>, datastore: &Datastore) -> Record {
    let common = |kind| {
        record(kind)
            .with("name", datastore.name.clone())
            .with("url", datastore.url.clone())
            .with("freeSpace", cx.free_space(datastore))
            .with("maxFileSize", 64 * 1024 * GIB)
            .with("maxVirtualDiskCapacity", 62 * 1024 * GIB)
            .with("maxMemoryFileSize", 64 * 1024 * GIB)
            .with("timestamp", Value::Time(cx.moment.now.0))
    };
    let volume = record("")
        .with("type", datastore.kind)
        .with("name", datastore.name.clone())
        .with("capacity", datastore.capacity);
    if datastore.kind != "VMFS" {
        let path = format!("/export/{}", datastore.name);
        return common("NasDatastoreInfo")
            .with("nas", volume.with("remoteHost", "nas.example.net").with("remotePath", path));
    }
    let extent = datastore.lun.iter().map(|lun| record("").with("diskName", lun.clone()).with("partition", 1));
    common("VmfsDatastoreInfo")
        .with("maxPhysicalRDMFileSize", 64 * 1024 * GIB)
        .with("maxVirtualRDMFileSize", 62 * 1024 * GIB)
        .with(
            "vmfs",
            volume
                .with("blockSizeMb", 1)
                .with("maxBlocks", 63_963_136)
                .with("majorVersion", 6)
                .with("version", "6.82")
                .with("uuid", datastore.uuid.clone())
                .with("extent", list(extent))
                .with("vmfsUpgradable", false)
                .with("local", datastore.local_to.is_some()),
        )
}
