//! Virtual machines.

use std::collections::BTreeMap;

use super::build::{Cx, allocation, mebibytes, name, time};
use super::identity::{Candidate, identify};
use super::mirror::Known;
use super::snapshots::{self, Snapshots};
use super::{FileSystem, Inventory, Object, Status, ToolsState, Vm, VmPower, paths};
use crate::ownership::{Condition, Facts};
use crate::vsphere::Value;

/// Label names have to be valid in Prometheus; a value is cut where a label would be unreadable.
const MAX_LABEL_VALUE: usize = 256;

pub(super) fn vms(cx: &Cx<'_>, inventory: &mut Inventory) {
    let (mut vms, mut candidates) = (Vec::new(), Vec::new());
    for (reference, known) in cx.mirror.of("VirtualMachine") {
        if known.text("config.template") == Some("true") {
            inventory.templates += 1;
            continue;
        }
        // A VM whose files cannot be reached has no config, so no UUID: showing it under another id would make it
        // another VM to every rule and every archive.
        let Some((name, uuid)) = name(known).zip(known.text("config.instanceUuid")) else {
            inventory.unidentified[Object::Vm as usize] += 1;
            continue;
        };
        let moref = reference.id.clone();
        let tags = cx.mirror.tags.as_ref().and_then(|tags| tags.get(&moref));
        if tags.is_none() && cx.terms.ownership.needs_tags() {
            inventory.undecided += 1;
            continue;
        }
        // Nobody signs in to a guest by a rule that another would come before, were its tags known.
        let rules_apply = tags.is_some() || !cx.terms.guests_need_tags();
        let tags = tags.map(Vec::as_slice).unwrap_or_default();
        let attributes = attributes(cx, known);
        let folder = cx.path(known.reference("parent"), &["Folder"]);
        let resource_pool = cx.path(known.reference("resourcePool"), &["ResourcePool", "VirtualApp"]);
        let (folder_path, pool_path) = (folder.as_str(), resource_pool.as_str());
        // What the guest says of itself is truer than what was chosen when the VM was made.
        let guest_os = known.text("guest.guestFullName").or_else(|| known.text("config.guestFullName"));
        let guest_os = guest_os.unwrap_or_default().to_owned();
        let facts = Facts {
            os: os_family(&guest_os),
            team: "",
            tier: "",
            name: &name,
            folder: folder_path,
            resource_pool: pool_path,
            tags,
            attributes: &attributes,
        };
        let owner = cx.terms.ownership.of(&facts);
        let facts = Facts { team: &owner.team, tier: &owner.tier, ..facts };
        let guest_rule = cx.terms.guests.iter().position(|conditions| Condition::all_hold(conditions, &facts));
        let guest_rule = guest_rule.filter(|_| rules_apply);
        let id = uuid.to_ascii_lowercase();
        candidates.push(Candidate { otherwise: format!("{id}:{moref}"), id, moref: moref.clone() });
        let host = known.reference("runtime.host");
        vms.push(Vm {
            moref,
            id: String::new(),
            team: owner.team,
            tier: owner.tier,
            team_rule: owner.team_rule,
            tier_rule: owner.tier_rule,
            name,
            power: known.text("runtime.powerState").and_then(VmPower::from_vsphere),
            connected: known.text("runtime.connectionState") == Some("connected"),
            host_moref: host.map(|host| host.id.clone()).unwrap_or_default(),
            place: host.map(|host| cx.place(host)).unwrap_or_default(),
            folder,
            resource_pool,
            guest_os,
            guest_rule,
            hardware_version: known.owned("config.version"),
            tools_version: known.owned("guest.toolsVersion"),
            tools_status: tools_status(known),
            address: known.owned("guest.ipAddress"),
            addresses: addresses(known.get("guest.net")),
            labels: labels(cx, tags, &attributes),
            cpus: known.parse("config.hardware.numCPU"),
            memory_bytes: mebibytes(known, "config.hardware.memoryMB"),
            allocation: allocation(known),
            tools: known.text("guest.toolsRunningStatus").and_then(ToolsState::from_vsphere),
            heartbeat: known.text("guestHeartbeatStatus").and_then(Status::from_vsphere),
            boot_time: time(known, "runtime.bootTime"),
            consolidation_needed: known.parse("runtime.consolidationNeeded"),
            snapshots: Snapshots::of(known.get("snapshot")),
            snapshot_bytes: known.get(paths::LAYOUT).and_then(snapshots::size),
            storage_used_bytes: known.parse("summary.storage.committed"),
            storage_uncommitted_bytes: known.parse("summary.storage.uncommitted"),
            file_systems: file_systems(known.get("guest.disk")),
            alarms: cx.alarms(reference),
        });
    }
    let (ids, doubled) = identify(candidates);
    vms.iter_mut().zip(ids).for_each(|(vm, id)| vm.id = id);
    inventory.vms = vms;
    inventory.doubled[Object::Vm as usize] = doubled;
}

/// The family of an operating system, from its name: `linux`, `windows` or `other`.
pub fn os_family(name: &str) -> &'static str {
    const LINUX: [&str; 17] = [
        "linux", "debian", "ubuntu", "centos", "red hat", "rhel", "suse", "sles", "rocky", "alma", "oracle", "fedora",
        "photon", "alpine", "mint", "coreos", "flatcar",
    ];
    let name = name.to_lowercase();
    if name.contains("windows") {
        "windows"
    } else if LINUX.iter().any(|known| name.contains(known)) {
        "linux"
    } else {
        "other"
    }
}

/// All that its network interfaces have.
fn addresses(interfaces: Option<&Value>) -> Vec<String> {
    let interfaces = interfaces.into_iter().flat_map(Value::fields);
    let addresses = interfaces.flat_map(|interface| interface.value.all("ipAddress"));
    addresses.filter_map(|address| Some(address.text()?.to_owned())).collect()
}

/// `guestToolsSupportedOld` as `supported_old`.
fn tools_status(known: &Known) -> String {
    let status = known.text("guest.toolsVersionStatus2").unwrap_or_default();
    let mut label = String::new();
    for c in status.strip_prefix("guestTools").unwrap_or(status).chars() {
        if c.is_ascii_uppercase() && !label.is_empty() {
            label.push('_');
        }
        label.push(c.to_ascii_lowercase());
    }
    label
}

/// Custom attributes by name.
fn attributes(cx: &Cx<'_>, known: &Known) -> BTreeMap<String, String> {
    let values = known.get(paths::CUSTOM_VALUE).into_iter().flat_map(Value::fields);
    let named = |value: &Value| {
        let name = cx.mirror.attribute_names.get(&value.parse_at("key")?)?;
        Some((name.clone(), value.text_at("value")?.to_owned()))
    };
    values.filter_map(|field| named(&field.value)).collect()
}

/// The labels that the config asks for. Several tags of a category are one label, sorted and joined by commas.
fn labels(cx: &Cx<'_>, tags: &[(String, String)], attributes: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    for category in &cx.terms.tags {
        let mut names: Vec<_> = tags.iter().filter(|(of, _)| of == category).map(|(_, name)| name.as_str()).collect();
        names.sort_unstable();
        labels.push((format!("tag_{}", label_name(category)), cut(names.join(","))));
    }
    for attribute in &cx.terms.attributes {
        let value = attributes.get(attribute).cloned().unwrap_or_default();
        labels.push((format!("attribute_{}", label_name(attribute)), cut(value)));
    }
    labels
}

/// The end of a label's name: what Prometheus does not allow becomes `_`.
pub fn label_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

fn cut(value: String) -> String {
    if value.len() <= MAX_LABEL_VALUE { value } else { value.chars().take(MAX_LABEL_VALUE / 4).collect() }
}

/// Those whose numbers are there, by path. A path that is there twice is shown once.
fn file_systems(disks: Option<&Value>) -> Vec<FileSystem> {
    let fields = disks.into_iter().flat_map(Value::fields);
    let file_system = |disk: &Value| {
        Some(FileSystem {
            path: disk.text_at("diskPath")?.to_owned(),
            capacity_bytes: disk.parse_at("capacity")?,
            free_bytes: disk.parse_at("freeSpace")?,
        })
    };
    let mut found: Vec<_> = fields.filter_map(|field| file_system(&field.value)).collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found.dedup_by(|a, b| a.path == b.path);
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::{built, mirror, vm};
    use super::super::{Terms, build};
    use super::*;
    use crate::ownership::Subject;

    #[test]
    fn templates_are_no_vms() {
        let inventory = built(vec![vm("vm-1", &["config.template=true"])]);
        assert_eq!((inventory.vms.len(), inventory.templates, inventory.unidentified(Object::Vm)), (0, 1, 0));
    }

    #[test]
    fn two_vms_with_one_uuid_are_two_vms() {
        let inventory = built(vec![vm("vm-1", &[]), vm("vm-2", &[])]);
        let ids: Vec<_> = inventory.vms.iter().map(|vm| vm.id.as_str()).collect();
        assert_eq!((ids, inventory.doubled(Object::Vm)), (vec!["u-1:vm-1", "u-1:vm-2"], 2));
    }

    #[test]
    fn a_state_of_a_later_vsphere_is_not_guessed() {
        let vm = built(vec![vm("vm-1", &["runtime.powerState=hibernated", "guestHeartbeatStatus=blue"])]).vms.remove(0);
        assert_eq!((vm.power, vm.heartbeat), (None, None));
    }

    #[test]
    fn what_the_guest_says_of_itself_comes_first() {
        let chosen = "config.guestFullName=Other Linux";
        let of = |more: &[&str]| built(vec![vm("vm-1", more)]).vms.remove(0).guest_os;
        assert_eq!(of(&[chosen]), "Other Linux");
        assert_eq!(of(&[chosen, "guest.guestFullName=Debian 12"]), "Debian 12");
        assert_eq!(of(&[chosen, "guest.guestFullName="]), "Other Linux");
    }

    #[test]
    fn the_version_of_tools_is_judged_in_the_words_of_labels() {
        let of = |status: &str| {
            built(vec![vm("vm-1", &[&format!("guest.toolsVersionStatus2={status}")])]).vms.remove(0).tools_status
        };
        assert_eq!(of("guestToolsSupportedOld"), "supported_old");
        assert_eq!(of("guestToolsCurrent"), "current");
        assert_eq!(of("somethingNew"), "something_new");
        assert_eq!(of(""), "");
    }

    #[test]
    fn file_systems_are_those_with_numbers_each_path_once() {
        let disk = |path: &str, capacity: &str, free: &str| {
            format!(
                "<GuestDiskInfo><diskPath>{path}</diskPath><capacity>{capacity}</capacity><freeSpace>{free}</freeSpace></GuestDiskInfo>"
            )
        };
        let disks = [
            disk("/var", "100", "40"),
            disk("/", "10", "1"),
            disk("/var", "100", "40"),
            disk("/lost", "-1", "0"),
            disk("", "5", "5"),
            disk("/many", "NaN", "7"),
        ];
        let vm = built(vec![vm("vm-1", &[&format!("guest.disk={}", disks.concat())])]).vms.remove(0);
        let system =
            |path: &str, capacity_bytes, free_bytes| FileSystem { path: path.to_owned(), capacity_bytes, free_bytes };
        assert_eq!(vm.file_systems, [system("/", 10, 1), system("/var", 100, 40)]);
    }

    #[test]
    fn times_and_switches_that_are_none_are_absent() {
        let of = |boot: &str, needed: &str| {
            let (boot, needed) = (format!("runtime.bootTime={boot}"), format!("runtime.consolidationNeeded={needed}"));
            let vm = built(vec![vm("vm-1", &[&boot, &needed])]).vms.remove(0);
            (vm.boot_time, vm.consolidation_needed)
        };
        assert_eq!(of("2026-01-01T00:00:00Z", "true"), (Some(1_767_225_600_000), Some(true)));
        assert_eq!(of("yesterday", "perhaps"), (None, None));
    }

    #[test]
    fn all_addresses_of_a_guest_are_known() {
        let nics = "<GuestNicInfo><network>a</network><ipAddress>10.0.0.7</ipAddress><ipAddress>fe80::7</ipAddress>\
                    </GuestNicInfo><GuestNicInfo><ipAddress>172.17.0.1</ipAddress></GuestNicInfo>";
        let vm = built(vec![vm("vm-1", &[&format!("guest.net={nics}")])]).vms.remove(0);
        assert_eq!(vm.addresses, ["10.0.0.7", "fe80::7", "172.17.0.1"]);
    }

    #[test]
    fn no_rule_for_guests_is_chosen_before_the_tags_are_known() {
        let condition = |subject, pattern| vec![Condition::new(subject, pattern).unwrap()];
        let by_tag = condition(Subject::Tag("zone".to_owned()), "dmz");
        let terms = Terms { guests: vec![by_tag, condition(Subject::Os, "linux")], ..Terms::default() };
        let mut mirror = mirror(vec![vm("vm-1", &["guest.guestFullName=Debian GNU/Linux 12 (64-bit)"])]);
        assert_eq!(build(&mirror, &terms).vms[0].guest_rule, None);
        mirror.tags = Some([("vm-1".to_owned(), vec![])].into());
        assert_eq!(build(&mirror, &terms).vms[0].guest_rule, Some(1));
        mirror.tags = Some([("vm-1".to_owned(), vec![("zone".to_owned(), "dmz".to_owned())])].into());
        assert_eq!(build(&mirror, &terms).vms[0].guest_rule, Some(0));
    }

    #[test]
    fn systems_are_told_apart_by_their_names() {
        for (name, family) in [
            ("Microsoft Windows Server 2022 (64-bit)", "windows"),
            ("SUSE Linux Enterprise 15 (64-bit)", "linux"),
            ("Red Hat Enterprise Linux 9 (64-bit)", "linux"),
            ("VMware Photon OS (64-bit)", "linux"),
            ("FreeBSD 14 or later versions (64-bit)", "other"),
            ("", "other"),
        ] {
            assert_eq!(os_family(name), family, "{name}");
        }
    }
}
