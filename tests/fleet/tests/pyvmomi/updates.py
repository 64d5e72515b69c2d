"""Waits for updates while things happen. Arguments: URL, URL of the fleet's own interface."""

import sys
import threading
import time
import urllib.request

from pyVmomi import vim, vmodl

from common import PC, raises, session, view, view_spec

URL, CONTROL = sys.argv[1:3]
PATHS = ["name", "runtime.host", "runtime.powerState"]


def start(events):
    """Starts a scenario."""
    body = f"name: test\nevents:\n{events}".encode()
    with urllib.request.urlopen(f"{CONTROL}/scenario", data=body) as answer:
        assert answer.status == 201, answer.status


def wait(collector, version, seconds, page=None):
    """One wait: the set, or nothing."""
    return collector.WaitForUpdatesEx(version, PC.WaitOptions(maxWaitSeconds=seconds, maxObjectUpdates=page))


def updates(found):
    """All object updates of a set."""
    return [update for part in found.filterSet for update in part.objectSet] if found else []


def follow(collector, version, until, limit=40):
    """Waits until the predicate says of all updates so far that they are enough."""
    seen, end = [], time.monotonic() + limit
    while not until(seen):
        assert time.monotonic() < end, f"too late; saw {[(u.kind, u.obj) for u in seen]}"
        found = wait(collector, version, 2)
        if found:
            version, seen = found.version, seen + updates(found)
    return seen, version


with session(URL) as instance:
    content = instance.RetrieveContent()
    collector = content.propertyCollector.CreatePropertyCollector()
    machines = view(content, [vim.VirtualMachine])
    count = len(machines.view)
    collector.CreateFilter(view_spec(machines, vim.VirtualMachine, PATHS), True)

    # The first state comes in pages; every object enters once, with all that is set.
    first = wait(collector, "", 5, page=count // 2)
    assert first.truncated and len(updates(first)) == count // 2
    entered, version = updates(first), first.version
    while first.truncated:
        first = wait(collector, version, 5, page=count // 2)
        entered, version = entered + updates(first), first.version
    assert [u.kind for u in entered] == ["enter"] * count
    assert len({u.obj for u in entered}) == count
    assert all({c.name for c in u.changeSet} == set(PATHS) for u in entered)
    assert wait(collector, version, 0) is None, "nothing has happened"
    print("ok enter")

    # The newest answer may be asked for again; older ones and made-up ones may not.
    for wrong in ("12345", "x"):
        with raises(vmodl.query.InvalidCollectorVersion):
            wait(collector, wrong, 0)
    print("ok versions")

    start("- {at: 0s, kind: vm_churn, target: all, rate: 50%/m, for: 4m}")
    seen, version = follow(collector, version, lambda seen: {"enter", "leave"} <= {u.kind for u in seen})
    entered = next(u for u in seen if u.kind == "enter")
    assert {c.name for c in entered.changeSet} == set(PATHS)
    left = next(u.obj for u in seen if u.kind == "leave")
    assert left not in set(machines.view)
    print("ok churn")

    start("- {at: 0s, kind: vmotion_storm, target: all, every: 20s, for: 4m}")
    moved = lambda u: u.kind == "modify" and [c.name for c in u.changeSet] == ["runtime.host"]
    seen, version = follow(collector, version, lambda seen: any(map(moved, seen)))
    change = next(u for u in seen if moved(u)).changeSet[0]
    assert change.op == "assign" and isinstance(change.val, vim.HostSystem)
    print("ok vmotion")

    # A wait ends when it is cancelled, from another connection of the same session.
    faults = []

    def patient():
        try:
            content.propertyCollector.WaitForUpdatesEx("", PC.WaitOptions(maxWaitSeconds=60))
        except vmodl.fault.RequestCanceled as fault:
            faults.append(fault)

    waiting = threading.Thread(target=patient)
    waiting.start()
    time.sleep(0.5)
    content.propertyCollector.CancelWaitForUpdates()
    waiting.join(10)
    assert faults, "expected RequestCanceled"
    print("ok cancel")

    # A filter and a view are gone when they are destroyed.
    lonely = content.viewManager.CreateListView([content.rootFolder])
    watch = content.propertyCollector.CreateFilter(view_spec(lonely, vim.Folder, ["name"]), True)
    assert len(updates(wait(content.propertyCollector, "", 5))) == 1
    watch.DestroyPropertyFilter()
    assert wait(content.propertyCollector, "", 0) is None
    collector.DestroyPropertyCollector()
    with raises(vmodl.fault.ManagedObjectNotFound):
        wait(collector, "", 0)
    print("ok destroy")
