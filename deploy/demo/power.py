"""Switches a virtual machine on or off, or counts them without templates, through VMware's own client.

usage: power.py URL USER PASSWORD on|off VM
       power.py URL USER PASSWORD count
"""

import ssl
import sys
from urllib.parse import urlsplit

from pyVim.connect import Disconnect, SmartConnect
from pyVim.task import WaitForTask
from pyVmomi import vim


def main() -> int:
    match sys.argv[1:]:
        case [url, user, password, "count" as verb]:
            name = None
        case [url, user, password, "on" | "off" as verb, name]:
            pass
        case _:
            print(__doc__.strip(), file=sys.stderr)
            return 2
    address = urlsplit(url)
    # The simulator's certificate is new at each start, and this talks to loopback only.
    trust = ssl._create_unverified_context()
    try:
        service = SmartConnect(host=address.hostname, port=address.port, user=user, pwd=password, sslContext=trust)
    except vim.fault.InvalidLogin:
        print(f"the vCenter at {url} refuses the name or the password", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"the vCenter at {url} does not answer: {error}", file=sys.stderr)
        return 1
    try:
        content = service.RetrieveContent()
        view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
        if verb == "count":
            states = [vm.runtime.powerState for vm in view.view if not vm.config.template]
            print(len(states), states.count("poweredOn"))
            return 0
        found = [vm for vm in view.view if vm.name == name]
        if not found:
            print(f"no virtual machine is named `{name}`", file=sys.stderr)
            return 1
        WaitForTask(found[0].PowerOn() if verb == "on" else found[0].PowerOff())
        return 0
    finally:
        Disconnect(service)


if __name__ == "__main__":
    sys.exit(main())
