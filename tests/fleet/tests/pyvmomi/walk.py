"""Signs in, walks the inventory, reads everything of every object. Arguments: URL, number of VMs."""

import sys

from pyVmomi import vim, vmodl

from common import PC, raises, read, session, view, view_spec

URL, VMS = sys.argv[1], int(sys.argv[2])
ENTITIES = [
    vim.Folder, vim.Datacenter, vim.ClusterComputeResource, vim.HostSystem, vim.ResourcePool, vim.VirtualMachine,
    vim.Datastore, vim.Network, vim.DistributedVirtualSwitch,
]


def by_folders(content):
    """The old way: recursive traversal specs from the root folder, no view."""
    name = lambda *names: [PC.SelectionSpec(name=name) for name in names]
    step = lambda of, path, then: PC.TraversalSpec(name=f"{of.__name__}.{path}", type=of, path=path, skip=False, selectSet=then)
    folder = "vim.Folder.childEntity"
    steps = [step(vim.Folder, "childEntity", name(folder, "vim.Datacenter.vmFolder", "vim.Datacenter.hostFolder"))]
    steps += [step(vim.Datacenter, "vmFolder", name(folder)), step(vim.Datacenter, "hostFolder", name(folder))]
    start = PC.ObjectSpec(obj=content.rootFolder, skip=False, selectSet=steps)
    return PC.FilterSpec(propSet=[PC.PropertySpec(type=vim.ManagedEntity, pathSet=["name"])], objectSet=[start])


def check_tree(content):
    """Every entity has a name and a parent chain that ends at the root folder."""
    everything, _ = read(content, view_spec(view(content, [vim.ManagedEntity]), vim.ManagedEntity, ["name", "parent"]))
    known = {found: props for found, props in everything}
    assert sum(isinstance(found, vim.VirtualMachine) for found in known) == VMS
    for found, props in known.items():
        assert props["name"], found
        steps = 0
        while found != content.rootFolder:
            found = known[found].get("parent")
            if found is None:
                break  # a VM of a vApp has no folder
            steps += 1
            assert steps < 20, "a cycle"
    folders, _ = read(content, by_folders(content))
    vms = {found for found, _ in folders if isinstance(found, vim.VirtualMachine)}
    assert vms and vms <= set(known), "the tree of folders leads elsewhere than the view"


def check_everything(content):
    """All properties of all objects can be read by a client that knows the types."""
    for kind in ENTITIES:
        objects, _ = read(content, view_spec(view(content, [kind]), kind, []))
        assert objects, kind
        for found, props in objects:
            assert props["name"], found
            assert props["overallStatus"] in ("green", "yellow", "red", "gray"), found
    names = [props["name"] for _, props in objects]
    assert len(names) == len(set(names)), names


def check_pages(content):
    """Answers come in pages of the size that was asked for, and together hold each object once."""
    spec = view_spec(view(content, [vim.VirtualMachine]), vim.VirtualMachine, ["name", "summary.runtime.powerState"])
    whole, sizes = read(content, spec)
    assert sizes == [VMS], sizes
    paged, sizes = read(content, spec, page=7)
    assert max(sizes) == 7 and sum(sizes) == VMS, sizes
    assert [found for found, _ in paged] == [found for found, _ in whole]
    with raises(vmodl.fault.InvalidArgument):
        content.propertyCollector.ContinueRetrievePropertiesEx("nosuch")


def check_virtual_machines(content):
    """VMs agree with themselves: summaries with details, powered off with nothing running."""
    machines, _ = read(content, view_spec(view(content, [vim.VirtualMachine]), vim.VirtualMachine, []))
    for _, props in machines:
        config, runtime, summary = props["config"], props["runtime"], props["summary"]
        assert props["name"] == config.name == summary.config.name
        assert config.hardware.numCPU == summary.config.numCpu
        assert runtime.powerState == summary.runtime.powerState
        disks = [device for device in config.hardware.device if isinstance(device, vim.vm.device.VirtualDisk)]
        assert len(disks) == summary.config.numVirtualDisks
        assert all(disk.capacityInBytes == disk.capacityInKB * 1024 for disk in disks)
        if runtime.powerState != "poweredOn":
            assert props["guest"].guestState == "notRunning"
            assert summary.quickStats.overallCpuUsage == 0
        if "snapshot" in props:
            assert props["snapshot"].rootSnapshotList[0].vm is not None
        assert summary.storage.committed >= 0
    states = {props["runtime"].powerState for _, props in machines}
    assert "poweredOn" in states, states


def check_single_reads(content):
    """pyVmomi reads properties one by one, with a method that no reference describes."""
    machine = view(content, [vim.VirtualMachine]).view[0]
    assert machine.name and machine.summary.config.name == machine.name
    assert machine.runtime.host.parent is not None
    assert isinstance(machine.triggeredAlarmState, list)


def check_refusals(content):
    """What does not exist is refused by name, and the session goes on."""
    spec = lambda obj, kind, path: PC.FilterSpec(
        propSet=[PC.PropertySpec(type=kind, pathSet=[path])], objectSet=[PC.ObjectSpec(obj=obj)]
    )
    retrieve = lambda spec: content.propertyCollector.RetrievePropertiesEx([spec], PC.RetrieveOptions())
    gone = vim.VirtualMachine("vm-99999999", content.rootFolder._stub)
    with raises(vmodl.fault.ManagedObjectNotFound, "vm-99999999"):
        retrieve(spec(gone, vim.VirtualMachine, "name"))
    with raises(vmodl.query.InvalidProperty):
        retrieve(spec(content.rootFolder, vim.Folder, "nosuch"))
    with raises(vmodl.fault.ManagedObjectNotFound):
        gone.Destroy()
    with raises(vmodl.fault.MethodNotFound):
        content.rootFolder.CreateFolder("not here")
    dead = view(content, [vim.Folder])
    dead.DestroyView()
    with raises(vmodl.fault.ManagedObjectNotFound):
        dead.view


def check_services(content):
    """The other services answer."""
    assert content.about.apiType == "VirtualCenter"
    option = content.setting.QueryOptions("config.vpxd.stats.maxQueryMetrics")
    assert [(found.key, found.value) for found in option] == [("config.vpxd.stats.maxQueryMetrics", 256)]
    with raises(vim.fault.InvalidName):
        content.setting.QueryOptions("nosuch")
    fields = {field.key: field.name for field in content.customFieldsManager.field}
    machines, _ = read(content, view_spec(view(content, [vim.VirtualMachine]), vim.VirtualMachine, ["customValue"]))
    values = [value for _, props in machines for value in props["customValue"]]
    assert values and all(value.key in fields for value in values)
    licences = content.licenseManager.licenses
    assert licences and all(found.total >= found.used for found in licences)
    alarms = content.alarmManager.GetAlarm(None)
    assert alarms and all(alarm.info.name for alarm in alarms)
    host = view(content, [vim.HostSystem]).view[0]
    assert host.configManager.certificateManager.certificateInfo.notAfter
    uuid = host.hardware.systemInfo.uuid
    assert content.searchIndex.FindByUuid(None, uuid, False) == host


def check_sessions(instance, content):
    """Who is signed in can be read, oneself included."""
    manager = content.sessionManager
    me, before = manager.currentSession, len(manager.sessionList)
    with session(URL) as other:
        theirs = other.RetrieveContent().sessionManager.currentSession
        found = {one.key: one for one in manager.sessionList}
        assert len(found) == before + 1 and {me.key, theirs.key} <= set(found)
        for one in found.values():
            assert isinstance(one, vim.UserSession) and one.userName == one.fullName == "lynceus"
            assert one.loginTime <= one.lastActiveTime <= instance.CurrentTime()
            assert one.locale and one.messageLocale and "pyvmomi" in one.userAgent.lower(), one.userAgent
        calls = found[me.key].callCount
        assert manager.currentSession.callCount > calls > found[theirs.key].callCount > 0
        again = next(one for one in manager.sessionList if one.key == theirs.key)
        seen = found[theirs.key]
        assert (again.lastActiveTime, again.callCount) == (seen.lastActiveTime, seen.callCount), "to be looked at is no call"
    assert theirs.key not in {one.key for one in manager.sessionList}


with raises(vim.fault.InvalidLogin):
    with session(URL, password="wrong"):
        pass
with session(URL) as instance:
    content = instance.RetrieveContent()
    assert abs(instance.CurrentTime().year - 2026) < 50
    for check in (
        check_tree, check_everything, check_pages, check_virtual_machines, check_single_reads, check_refusals, check_services,
    ):
        check(content)
        print("ok", check.__name__)
    check_sessions(instance, content)
    print("ok check_sessions")
with raises(vim.fault.NotAuthenticated):
    instance.CurrentTime()
