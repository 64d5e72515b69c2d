"""Asks an ESXi host itself, and compares with what the vCenter says of it. Arguments: URL of the vCenter, URL and name of the host."""

import sys

from pyVmomi import vim, vmodl

from common import raises, read, session, view, view_spec

VCENTER, HOST, NAME = sys.argv[1:4]

with session(VCENTER) as vcenter, session(HOST) as esxi:
    above, here = vcenter.RetrieveContent(), esxi.RetrieveContent()
    assert here.about.apiType == "HostAgent" and here.about.productLineId == "embeddedEsx"
    assert here.alarmManager is None and here.customFieldsManager is None
    hosts = view(here, [vim.HostSystem]).view
    assert [host._moId for host in hosts] == ["ha-host"]
    mine = hosts[0]
    theirs = next(host for host in view(above, [vim.HostSystem]).view if host.name == NAME)
    assert mine.name == NAME and mine.hardware.systemInfo.uuid == theirs.hardware.systemInfo.uuid
    assert mine.parent._moId == "ha-compute-res" and mine.parent.parent.parent._moId == "ha-datacenter"

    paths = ["name", "config.instanceUuid", "runtime.powerState", "guest.ipAddress"]
    facts = lambda content, root: {
        props["config.instanceUuid"] + props["name"]: {path: props.get(path) for path in paths}
        for _, props in read(content, view_spec(view(content, [vim.VirtualMachine], root), vim.VirtualMachine, paths))[0]
    }
    assert facts(here, here.rootFolder) == facts(above, theirs), "the same VMs, whoever is asked"
    ids = [machine._moId for machine in view(here, [vim.VirtualMachine]).view]
    assert ids and all(number.isdigit() for number in ids), ids
    stores = lambda host: sorted(store.summary.url for store in host.datastore)
    assert stores(mine) == stores(theirs)
    print("ok inventory")

    # Performance data come from the host's own manager, with the same numbers.
    counter = next(c.key for c in here.perfManager.perfCounter if (c.groupInfo.key, c.nameInfo.key) == ("cpu", "usagemhz"))
    metric = vim.PerformanceManager.MetricId(counterId=counter, instance="")
    end = vcenter.CurrentTime()
    query = lambda content, host: content.perfManager.QueryPerf(
        [vim.PerformanceManager.QuerySpec(entity=host, metricId=[metric], intervalId=20, maxSample=3, endTime=end)]
    )[0].value[0].value
    assert query(here, mine) == query(above, theirs)
    print("ok performance")

    # A session belongs to one server, and so does a reference.
    with raises(vmodl.fault.ManagedObjectNotFound):
        vim.HostSystem(theirs._moId, esxi._stub).name
    print("ok separate")
