"""Switches a virtual machine on or off, or counts them, through VMware's own client.

usage: power.py URL USER PASSWORD (on|off) VM
       power.py URL USER PASSWORD count
"""

import ssl
import sys
from urllib.parse import urlsplit

from pyVim.connect import Disconnect, SmartConnect
from pyVim.task import WaitForTask
from pyVmomi import vim


def main() -> int:
    url, user, password, verb, *rest = sys.argv[1:]
    address = urlsplit(url)
    # The simulator's certificate is new at each start, and this talks to loopback only.
    trust = ssl._create_unverified_context()
    service = SmartConnect(host=address.hostname, port=address.port, user=user, pwd=password, sslContext=trust)
    try:
        content = service.RetrieveContent()
        view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
        if verb == "count":
            states = [vm.runtime.powerState for vm in view.view]
            print(len(states), states.count("poweredOn"))
            return 0
        found = [vm for vm in view.view if vm.name == rest[0]]
        if not found:
            print(f"no virtual machine is named `{rest[0]}`", file=sys.stderr)
            return 1
        WaitForTask(found[0].PowerOn() if verb == "on" else found[0].PowerOff())
        return 0
    finally:
        Disconnect(service)


if __name__ == "__main__":
    sys.exit(main())
