"""Runs the same calls against vcsim and the fleet and compares what comes back: names, types, presence of fields.

Arguments: URL of the fleet, URL of vcsim, the ledger. What vcsim has and the fleet has not, or has otherwise, has to be
in the ledger; a line of the ledger that no difference needs is a failure, too. Lines are `<what> -- <why>`. What only the
fleet has needs no line: that its names and types exist is what pyVmomi has checked by reading it.
"""

import sys

from pyVmomi import vim, vmodl

from common import read, session, view, view_spec

FLEET, VCSIM, LEDGER = sys.argv[1:4]
KINDS = {
    "Folder": vim.Folder, "Datacenter": vim.Datacenter, "ClusterComputeResource": vim.ClusterComputeResource,
    "HostSystem": vim.HostSystem, "ResourcePool": vim.ResourcePool, "VirtualMachine": vim.VirtualMachine,
    "Datastore": vim.Datastore, "Network": vim.Network,
    "DistributedVirtualPortgroup": vim.dvs.DistributedVirtualPortgroup, "DistributedVirtualSwitch": vim.DistributedVirtualSwitch,
}


def shape(value, path, depth, into):
    """Collects `path: type` of a value and of the fields in it that are set."""
    if isinstance(value, list):
        into.add(f"{path}[]: {type(value).__name__}")
        return
    into.add(f"{path}: {type(value).__name__}")
    if isinstance(value, vmodl.DynamicData) and depth:
        for prop in value._GetPropertyList():
            inner = getattr(value, prop.name)
            if prop.name not in ("dynamicType", "dynamicProperty") and not unset(inner):
                shape(inner, f"{path}.{prop.name}", depth - 1, into)


def unset(value):
    """Nothing, or an empty list: pyVmomi cannot tell the two apart."""
    return value is None or (isinstance(value, list) and not value)


def outcome(into, name, call):
    """Collects what a call gives: the shape of the answer, or the fault."""
    try:
        value = call()
    except vmodl.MethodFault as fault:
        into.add(f"{name}: fault {type(fault).__name__}")
    except Exception as error:  # vcsim closes the connection on some calls
        into.add(f"{name}: {type(error).__name__}")
    else:
        if isinstance(value, list):
            into.add(f"{name}: list of {type(value[0]).__name__ if value else 'nothing'}")
        else:
            shape(value, name, 2, into)


def picture(url):
    """All that one server shows."""
    found = set()
    with session(url) as instance:
        content = instance.RetrieveContent()
        shape(content, "ServiceContent", 2, found)
        for name, kind in KINDS.items():
            objects, _ = read(content, view_spec(view(content, [kind]), kind, []))
            for of, props in objects:
                if type(of) is not kind and name == "Network":
                    continue
                for prop, value in props.items():
                    if not unset(value):
                        shape(value, f"{name}.{prop}", 2, found)
        machine, host = (view(content, [kind]).view[0] for kind in (vim.VirtualMachine, vim.HostSystem))
        gone = vim.VirtualMachine("vm-99999999", instance._stub)
        perf = content.perfManager
        counter = next(c for c in perf.perfCounter if c.groupInfo.key == "cpu" and c.nameInfo.key == "usage")
        shape(counter, "PerfCounterInfo", 2, found)
        metric = vim.PerformanceManager.MetricId(counterId=counter.key, instance="")
        query = lambda of, **more: perf.QueryPerf(
            [vim.PerformanceManager.QuerySpec(entity=of, metricId=[metric], maxSample=1, intervalId=20, **more)]
        )
        calls = {
            "CurrentTime": instance.CurrentTime,
            "QueryPerf normal": lambda: query(machine, format="normal"),
            "QueryPerf csv": lambda: query(machine, format="csv"),
            "QueryPerf host": lambda: query(host),
            "QueryPerf gone": lambda: query(gone),
            "QueryPerfProviderSummary": lambda: perf.QueryPerfProviderSummary(machine),
            "QueryAvailablePerfMetric": lambda: perf.QueryAvailablePerfMetric(machine, intervalId=20),
            "QueryPerfCounterByLevel": lambda: perf.QueryPerfCounterByLevel(1),
            "historicalInterval": lambda: perf.historicalInterval,
            "QueryOptions": lambda: content.setting.QueryOptions("config.vpxd.stats.maxQueryMetrics"),
            "QueryOptions unknown": lambda: content.setting.QueryOptions("no.such"),
            "GetAlarm": lambda: content.alarmManager.GetAlarm(None),
            "field": lambda: content.customFieldsManager.field,
            "FindByUuid host": lambda: content.searchIndex.FindByUuid(None, host.summary.hardware.uuid, False),
            "FindByUuid nothing": lambda: content.searchIndex.FindByUuid(None, "no", True),
            "QueryEvents": lambda: content.eventManager.QueryEvents(vim.event.EventFilterSpec()),
            "read of what is gone": lambda: gone.name,
            "currentSession": lambda: content.sessionManager.currentSession,
        }
        for name, call in calls.items():
            outcome(found, name, call)
    return found


mine, theirs = picture(FLEET), picture(VCSIM)
wanted = theirs - mine
ledger = {}
with open(LEDGER, encoding="utf-8") as lines:
    for line in lines:
        if line.strip() and not line.startswith("#"):
            what, why = line.strip().split(" -- ")
            ledger[what] = why
covers = lambda what, line: line == what or (what.endswith("*") and line.startswith(what[:-1]))
unexplained = sorted(line for line in wanted if not any(covers(what, line) for what in ledger))
unneeded = sorted(what for what in ledger if not any(covers(what, line) for line in wanted))
for line in unexplained:
    print("not in the ledger:", line)
for line in unneeded:
    print("in the ledger, but no difference:", line)
print(f"{len(mine & theirs)} the same, {len(wanted)} only in vcsim, {len(unexplained)} of them unexplained, {len(mine - theirs)} only in the fleet")
sys.exit(bool(unexplained or unneeded))
