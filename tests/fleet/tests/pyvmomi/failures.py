"""Loses a host and looks at what the vCenter says of it. Arguments: URL, control URL, URL and name of the host."""

import http.client
import ssl
import sys
import time
import urllib.request
from urllib.parse import urlparse

from pyVmomi import vim, vmodl

from common import raises, session, view

URL, CONTROL, HOST, NAME = sys.argv[1:5]


def answers(url):
    """Whether something answers there."""
    address = urlparse(url)
    connection = http.client.HTTPSConnection(address.hostname, address.port, context=ssl._create_unverified_context(), timeout=5)
    try:
        connection.request("GET", "/sdk/vimServiceVersions.xml")
        return connection.getresponse().status == 200
    except OSError:
        return False


with session(URL) as instance:
    content = instance.RetrieveContent()
    host = next(host for host in view(content, [vim.HostSystem]).view if host.name == NAME)
    machines = list(host.vm)
    assert host.overallStatus == "green" and host.runtime.connectionState == "connected"
    assert answers(HOST)
    collector = content.eventManager.CreateCollectorForEvents(vim.event.EventFilterSpec())
    kinds = lambda events: [type(event).__name__.rsplit(".", 1)[-1] for event in events]
    assert "UserLoginSessionEvent" in kinds(content.eventManager.QueryEvents(vim.event.EventFilterSpec()))

    body = f"name: test\nevents:\n- {{at: 0s, kind: host_fails, target: {NAME}, for: 30m}}".encode()
    urllib.request.urlopen(f"{CONTROL}/scenario", data=body).close()
    seen, end = [], time.monotonic() + 60
    while "VmRestartedOnAlternateHostEvent" not in kinds(seen) or "AlarmStatusChangedEvent" not in kinds(seen):
        assert time.monotonic() < end, f"too late; saw {set(kinds(seen))}"
        seen += collector.ReadNextEvents(100) or []
        time.sleep(0.2)
    keys = [event.key for event in seen]
    assert keys == sorted(set(keys)), "each event once, in order"
    lost = next(event for event in seen if isinstance(event, vim.event.HostConnectionLostEvent))
    assert lost.host.host == host and lost.host.name == NAME and lost.computeResource.name == host.parent.name
    restarted = next(event for event in seen if isinstance(event, vim.event.VmRestartedOnAlternateHostEvent))
    assert restarted.sourceHost.host == host and restarted.host.host != host and restarted.vm.vm in machines
    only = vim.event.EventFilterSpec(eventTypeId=["HostConnectionLostEvent"])
    assert set(kinds(content.eventManager.QueryEvents(only))) == {"HostConnectionLostEvent"}
    about = vim.event.EventFilterSpec(entity=vim.event.EventFilterSpec.ByEntity(entity=restarted.vm.vm, recursion="self"))
    found = content.eventManager.QueryEvents(about)
    assert found and all(event.vm.vm == restarted.vm.vm for event in found)
    print("ok events")

    assert host.runtime.connectionState == "notResponding" and host.overallStatus == "red"
    triggered = host.triggeredAlarmState[0]
    assert triggered.entity == host and triggered.overallStatus == "red" and triggered.alarm.info.name
    assert host in [state.entity for state in content.rootFolder.triggeredAlarmState], "alarms are seen from above"
    counter = content.perfManager.perfCounter[0].key
    metric = vim.PerformanceManager.MetricId(counterId=counter, instance="")
    spec = vim.PerformanceManager.QuerySpec(entity=host, metricId=[metric], intervalId=20, maxSample=1)
    assert content.perfManager.QueryPerf([spec]) == [], "a host that does not respond has no samples"
    assert restarted.vm.vm.runtime.host == restarted.host.host
    end = time.monotonic() + 10
    while answers(HOST):
        assert time.monotonic() < end, "the host itself still answers"
        time.sleep(0.2)
    print("ok state")

    latest = [event.key for event in collector.latestPage]
    assert 1 <= len(latest) <= 10 and latest == sorted(latest, reverse=True), latest
    collector.RewindCollector()
    first = collector.ReadNextEvents(1)[0]
    assert first.key < keys[0]
    collector.DestroyCollector()
    with raises(vmodl.fault.ManagedObjectNotFound):
        collector.latestPage
    print("ok collector")
