"""Queries performance data. Argument: URL."""

import datetime
import sys

from pyVmomi import vim, vmodl

from common import raises, session, view

with session(sys.argv[1]) as instance:
    content = instance.RetrieveContent()
    manager = content.perfManager
    counters = {f"{c.groupInfo.key}.{c.nameInfo.key}.{c.rollupType}": c for c in manager.perfCounter}
    machines = [m for m in view(content, [vim.VirtualMachine]).view if m.runtime.powerState == "poweredOn"]
    off = [m for m in view(content, [vim.VirtualMachine]).view if m.runtime.powerState != "poweredOn"]
    host = view(content, [vim.HostSystem]).view[0]
    cluster = view(content, [vim.ClusterComputeResource]).view[0]
    usage, ready = counters["cpu.usage.average"], counters["cpu.ready.summation"]
    metric = lambda counter, instance="": vim.PerformanceManager.MetricId(counterId=counter.key, instance=instance)
    spec = lambda entity, *metrics, **more: vim.PerformanceManager.QuerySpec(
        **{"entity": entity, "metricId": list(metrics), "intervalId": 20, "maxSample": 1, **more}
    )

    assert usage.unitInfo.key == "percent" and ready.unitInfo.key == "millisecond"
    assert manager.QueryPerfCounter([usage.key])[0].nameInfo.key == "usage"
    with raises(vmodl.fault.InvalidArgument):
        manager.QueryPerfCounter([-5])
    assert {c.level for c in manager.QueryPerfCounterByLevel(1)} == {1}
    assert [i.samplingPeriod for i in manager.historicalInterval] == [300, 1800, 7200, 86400]

    summary = manager.QueryPerfProviderSummary(machines[0])
    assert summary.refreshRate == 20 and summary.currentSupported
    assert not manager.QueryPerfProviderSummary(cluster).currentSupported
    available = {(m.counterId, m.instance) for m in manager.QueryAvailablePerfMetric(machines[0], intervalId=20)}
    assert (ready.key, "") in available and (ready.key, "0") in available
    print("ok counters")

    # One sample of many VMs, both formats, the same numbers.
    normal = manager.QueryPerf([spec(m, metric(usage), metric(ready, "*")) for m in machines])
    csv = manager.QueryPerf([spec(m, metric(usage), metric(ready, "*"), format="csv") for m in machines])
    assert [found.entity for found in normal] == machines
    numbers = lambda series: series.value if isinstance(series.value, list) else [int(v) for v in series.value.split(",")]
    for plain, packed in zip(normal, csv):
        assert isinstance(plain, vim.PerformanceManager.EntityMetric)
        assert isinstance(packed, vim.PerformanceManager.EntityMetricCSV)
        assert len(plain.sampleInfo) == 1 and plain.sampleInfo[0].interval == 20
        assert packed.sampleInfoCSV.split(",")[0] == "20"
        if packed.sampleInfoCSV.endswith(plain.sampleInfo[0].timestamp.strftime("%Y-%m-%dT%H:%M:%SZ")):
            assert [(v.id.counterId, v.id.instance, numbers(v)) for v in plain.value] == [
                (v.id.counterId, v.id.instance, numbers(v)) for v in packed.value
            ]
        instances = {v.id.instance for v in plain.value if v.id.counterId == ready.key}
        assert "" in instances and "0" in instances, instances
        assert all(0 <= v.value[0] <= 10000 for v in plain.value if v.id.counterId == usage.key)
    for instance_name in ("", "0"):
        found = manager.QueryPerf([spec(machines[0], metric(ready, instance_name))])[0].value
        assert [v.id.instance for v in found] == [instance_name], "the instance that was asked for, and no other"
    print("ok formats")

    # The start is exclusive, the end inclusive, samples are 20 s apart and the oldest comes first.
    now = instance.CurrentTime()
    long = manager.QueryPerf([spec(machines[0], metric(usage), startTime=now - datetime.timedelta(minutes=5), endTime=now, maxSample=None)])
    times = [info.timestamp for info in long[0].sampleInfo]
    assert len(times) in (15, 16) and len(long[0].value[0].value) == len(times), len(times)
    assert all(b - a == datetime.timedelta(seconds=20) for a, b in zip(times, times[1:]))
    again = manager.QueryPerf([spec(machines[0], metric(usage), startTime=times[3], endTime=times[5], maxSample=None)])
    assert [info.timestamp for info in again[0].sampleInfo] == times[4:6]
    assert again[0].value[0].value == long[0].value[0].value[4:6]
    print("ok windows")

    assert manager.QueryPerf([spec(m, metric(usage)) for m in off]) == [], "a VM that is off has no samples"
    assert manager.QueryPerf([spec(host, metric(usage))])[0].value[0].value[0] >= 0
    everything = manager.QueryPerf([spec(host)])[0]
    assert len({v.id.counterId for v in everything.value}) > 30
    assert manager.QueryPerf([spec(machines[0], vim.PerformanceManager.MetricId(counterId=999999, instance=""))]) == []
    day = manager.QueryPerf([spec(cluster, metric(usage), intervalId=300, maxSample=None, startTime=now - datetime.timedelta(hours=1))])
    assert 10 <= len(day[0].sampleInfo) <= 13, len(day[0].sampleInfo)
    print("ok entities")

    with raises(vmodl.fault.ManagedObjectNotFound):
        gone = vim.VirtualMachine("vm-99999999", instance._stub)
        manager.QueryPerf([spec(machines[0], metric(usage)), spec(gone, metric(usage))])
    with raises(vmodl.fault.InvalidArgument, "intervalId"):
        manager.QueryPerf([spec(machines[0], metric(usage), intervalId=77)])
    with raises(vmodl.fault.InvalidArgument, "intervalId"):
        manager.QueryPerf([spec(cluster, metric(usage))])
    many = [metric(c) for c in manager.perfCounter] * 4
    with raises(vim.fault.RestrictedByAdministrator, "maxQueryMetrics"):
        manager.QueryPerf([spec(cluster, *many, intervalId=300, maxSample=None)])
    assert len(manager.QueryPerf([spec(machines[0], *many)])) == 1, "realtime queries have no such limit"
    print("ok refusals")
