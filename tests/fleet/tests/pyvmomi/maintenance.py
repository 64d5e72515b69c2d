"""Empties a host and looks at what the vCenter says of it. Arguments: URL, control URL, name of the host."""

import sys
import time
import urllib.request

from pyVmomi import vim

from common import session, view

URL, CONTROL, NAME = sys.argv[1:4]

with session(URL) as instance:
    content = instance.RetrieveContent()
    host = next(host for host in view(content, [vim.HostSystem]).view if host.name == NAME)
    machines, effective = list(host.vm), host.parent.summary.numEffectiveHosts
    assert machines and host.runtime.inMaintenanceMode is False
    body = f"name: test\nevents:\n- {{at: 0s, kind: host_maintenance, target: {NAME}, for: 5m}}".encode()
    urllib.request.urlopen(f"{CONTROL}/scenario", data=body).close()

    end = time.monotonic() + 60
    while not host.runtime.inMaintenanceMode:
        assert time.monotonic() < end, "too late"
        assert host.runtime.connectionState == "connected"
        time.sleep(0.2)
    assert list(host.vm) == [] and host.runtime.connectionState == "connected" and host.overallStatus == "green"
    assert host.parent.summary.numEffectiveHosts == effective - 1
    assert all(machine.runtime.host != host for machine in machines)
    print("ok entered")

    mode = vim.event.EventFilterSpec(eventTypeId=["EnteredMaintenanceModeEvent", "ExitMaintenanceModeEvent"])
    events, end = [], time.monotonic() + 60
    while len(events) < 2:
        assert time.monotonic() < end, f"too late; saw {events}"
        events = content.eventManager.QueryEvents(mode)
        time.sleep(0.2)
    assert not host.runtime.inMaintenanceMode
    assert [type(event) for event in events] == [vim.event.EnteredMaintenanceModeEvent, vim.event.ExitMaintenanceModeEvent]
    assert all(event.host.host == host for event in events)
    moved = content.eventManager.QueryEvents(vim.event.EventFilterSpec(eventTypeId=["DrsVmMigratedEvent"]))
    assert {machine._moId for machine in machines} <= {event.vm.vm._moId for event in moved if event.sourceHost.host == host}
    print("ok left")
