//! Networks: standard ones, distributed switches and their port groups.

use crate::model::{Network, Portgroup, Switch};
use crate::soap::{Record, Value, list, record};

use super::{Cx, Fields, Path, entity};

/// The property of a standard network at a path.
pub(crate) fn network(cx: &Cx<'_>, network: &Network, path: Path<'_>) -> Option<Value> {
    path.record("Network", |f| {
        let this = cx.network(network.id);
        fields(cx, this, &network.name, f);
        f.set("host", || list(cx.hosts_on_network(network.id).into_iter().map(|id| cx.host(id))));
        f.set("vm", || list(cx.relations().vms_on_network(network.id).iter().map(|id| cx.vm(*id))));
    })
}

fn fields(cx: &Cx<'_>, this: crate::soap::MoRef, name: &str, f: &mut Fields<'_>) {
    entity::fields(cx, &this, f);
    f.set("summary", || {
        record("")
            .with("network", this.clone())
            .with("name", name.to_owned())
            .with("accessible", true)
            .with("ipPoolName", "")
    });
}

/// The property of a distributed port group at a path. An ESXi host shows it as a plain network.
pub(crate) fn portgroup(cx: &Cx<'_>, portgroup: &Portgroup, path: Path<'_>) -> Option<Value> {
    path.record("DistributedVirtualPortgroup", |f| {
        fields(cx, cx.portgroup(portgroup.id), &portgroup.name, f);
        f.set("host", || list(cx.hosts_on_portgroup(portgroup.id).into_iter().map(|id| cx.host(id))));
        f.set("vm", || list(cx.relations().vms_on_portgroup(portgroup.id).iter().map(|id| cx.vm(*id))));
        if !cx.is_vcenter() {
            return;
        }
        f.set("key", || portgroup.id.to_string());
        f.set("portKeys", || {
            list(cx.relations().ports_of(portgroup.id).iter().map(|port| Value::from(port.to_string())))
        });
        f.set("config", || {
            let vlan = record("VmwareDistributedVirtualSwitchVlanIdSpec")
                .with("inherited", false)
                .with("vlanId", portgroup.vlan);
            record("")
                .with("key", portgroup.id.to_string())
                .with("name", portgroup.name.clone())
                .with("numPorts", cx.relations().ports_of(portgroup.id).len())
                .with("distributedVirtualSwitch", cx.switch(portgroup.switch))
                .with("defaultPortConfig", record("VMwareDVSPortSetting").with("vlan", vlan))
                .with("type", "earlyBinding")
                .with("policy", policy())
                .with("uplink", portgroup.uplink)
        });
    })
}

fn policy() -> Record {
    record("VMwareDVSPortgroupPolicy")
        .with("blockOverrideAllowed", true)
        .with("shapingOverrideAllowed", false)
        .with("vendorConfigOverrideAllowed", false)
        .with("livePortMovingAllowed", false)
        .with("portConfigResetAtDisconnect", true)
        .with("networkResourcePoolOverrideAllowed", false)
        .with("trafficFilterOverrideAllowed", false)
        .with("vlanOverrideAllowed", false)
        .with("uplinkTeamingOverrideAllowed", false)
        .with("securityPolicyOverrideAllowed", false)
        .with("ipfixOverrideAllowed", false)
}

/// The property of a distributed switch at a path.
pub(crate) fn switch(cx: &Cx<'_>, switch: &Switch, path: Path<'_>) -> Option<Value> {
    let estate = &cx.moment.inventory.estate;
    let portgroups = || estate.portgroups.iter().filter(|portgroup| portgroup.switch == switch.id);
    let members = || estate.hosts.iter().zip(&estate.host_ids).filter(|(host, _)| host.switch == switch.id);
    let product = || {
        record("")
            .with("name", "DVS")
            .with("vendor", "VMware, Inc.")
            .with("version", switch.version)
            .with("forwardingClass", "etherswitch")
    };
    path.record("VmwareDistributedVirtualSwitch", |f| {
        entity::fields(cx, &cx.switch(switch.id), f);
        f.set("uuid", || switch.uuid.clone());
        f.set("capability", || record("").with("dvsOperationSupported", false));
        f.set("summary", || {
            record("")
                .with("name", switch.name.clone())
                .with("uuid", switch.uuid.clone())
                .with("numPorts", portgroups().map(|group| cx.relations().ports_of(group.id).len()).sum::<usize>())
                .with("productInfo", product())
                .with("hostMember", list(members().map(|(_, id)| cx.host(*id))))
                .with("host", list(members().map(|(_, id)| cx.host(*id))))
                .with("portgroupName", list(portgroups().map(|group| Value::from(group.name.clone()))))
                .with("numHosts", members().count())
        });
        f.set("config", || {
            let ports: usize = portgroups().map(|group| cx.relations().ports_of(group.id).len()).sum();
            record("VMwareDVSConfigInfo")
                .with("uuid", switch.uuid.clone())
                .with("name", switch.name.clone())
                .with("numStandalonePorts", 0)
                .with("numPorts", ports)
                .with("maxPorts", i64::from(i32::MAX))
                .with(
                    "uplinkPortPolicy",
                    record("DVSNameArrayUplinkPortPolicy").with("uplinkPortName", list(["uplink1", "uplink2"])),
                )
                .with(
                    "uplinkPortgroup",
                    list(portgroups().filter(|group| group.uplink).map(|group| cx.portgroup(group.id))),
                )
                .with("defaultPortConfig", record("VMwareDVSPortSetting"))
                .with("productInfo", product())
                .with("configVersion", "1")
                .with("contact", record(""))
                .with("createTime", Value::Time(cx.origin()))
                .with("networkResourceManagementEnabled", true)
                .with("maxMtu", 9000)
        });
        f.set("portgroup", || list(portgroups().map(|group| cx.portgroup(group.id))));
    })
}
