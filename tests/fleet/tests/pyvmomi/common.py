"""What the checks share. pyVmomi is VMware's own client: it refuses names, types and enumerations that it does not know."""

import contextlib
from urllib.parse import urlparse

from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vmodl

PC = vmodl.query.PropertyCollector


@contextlib.contextmanager
def session(url, user="lynceus", password="fleet-password"):
    """A signed-in service instance."""
    address = urlparse(url)
    instance = SmartConnect(
        host=address.hostname, port=address.port, user=user, pwd=password, disableSslCertValidation=True
    )
    try:
        yield instance
    finally:
        with contextlib.suppress(Exception):
            Disconnect(instance)


def view(content, kinds, container=None):
    """A container view of these types below the root folder."""
    return content.viewManager.CreateContainerView(container or content.rootFolder, kinds, True)


def view_spec(of, kind, paths):
    """The filter that reads `paths` of all objects in a view."""
    traversal = PC.TraversalSpec(name="view", type=type(of), path="view", skip=False)
    start = PC.ObjectSpec(obj=of, skip=True, selectSet=[traversal])
    return PC.FilterSpec(propSet=[PC.PropertySpec(type=kind, pathSet=paths, all=not paths)], objectSet=[start])


def read(content, spec, page=None):
    """All objects of a spec as a list of (object, {path: value}), however many pages they take; and the page sizes."""
    collector = content.propertyCollector
    result = collector.RetrievePropertiesEx([spec], PC.RetrieveOptions(maxObjects=page))
    objects, sizes = [], []
    while result:
        sizes.append(len(result.objects))
        objects += [(found.obj, {prop.name: prop.val for prop in found.propSet}) for found in result.objects]
        result = collector.ContinueRetrievePropertiesEx(result.token) if result.token else None
    return objects, sizes


@contextlib.contextmanager
def raises(fault, text=""):
    """The block has to end in this fault."""
    try:
        yield
    except fault as found:
        assert text in (found.msg or ""), f"expected `{text}` in {found.msg!r}"
    else:
        raise AssertionError(f"expected {fault.__name__}, found no fault")
