"""Handler that parses OVF descriptors of VMs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from ..http_errors import BadRequestError, HttpError, require_member
from .request_parser import FilePart

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from .context import Handler, RequestContext

_CPU, _MEMORY, _IDE, _SCSI, _NIC = "3", "4", "5", "6", "10"
_CD, _DVD, _DISK, _SATA = "15", "16", "17", "20"
_NOTHING: dict[str, str] = {}
_BUSES = {_IDE: "IDE", _SCSI: "SCSI", _SATA: "SCSI"}


def _parse(context: RequestContext) -> object:
    body: Any = context.request.body
    part = require_member(body, "file", object)
    cluster = require_member(body, "cluster_id", str)
    if cluster not in context.store.table("Cluster"):
        raise HttpError(404, f"there is no cluster {cluster}")
    if not isinstance(part, FilePart):
        raise BadRequestError("file: required, in a form")
    try:
        root = ElementTree.fromstring(context.content)  # noqa: S314 - the XML comes from a test
    except ElementTree.ParseError as exc:
        raise BadRequestError(f"file: no OVF descriptor: {exc}") from None
    system = next(_all(root, "VirtualSystem"), None)
    if system is None:
        raise BadRequestError("file: no OVF descriptor: it has no VirtualSystem")
    return _described(root, system)


def _described(root: Element, system: Element) -> dict[str, Any]:
    items = [_values(item) for item in _all(system, "Item")]
    sizes = {_attribute(disk, "diskId"): _size(disk) for disk in _all(root, "Disk")}
    buses = {
        item.get("InstanceID"): _BUSES[item["ResourceType"]]
        for item in items
        if item.get("ResourceType") in _BUSES
    }
    cpu, memory = (next(_of_type(items, kind), _NOTHING) for kind in (_CPU, _MEMORY))
    vcpu, per_socket = int(cpu.get("VirtualQuantity", 1)), int(cpu.get("CoresPerSocket", 1))
    disks = [
        {
            "name": item.get("ElementName", ""),
            "size": sizes.get(item.get("HostResource", "").rpartition("/")[2], 0),
            "type": "DISK" if item["ResourceType"] == _DISK else "CD_ROM",
            "bus": buses.get(item.get("Parent"), "VIRTIO"),
        }
        for item in _of_type(items, _DISK, _CD, _DVD)
    ]
    firmware = {_attribute(one, "key"): _attribute(one, "value") for one in _all(system, "Config")}
    return {
        "name": _text(system, "Name") or _attribute(system, "id"),
        "description": _text(system, "Annotation"),
        "cpu": {"sockets": max(vcpu // per_socket, 1), "cores": per_socket},
        "vcpu": vcpu,
        "memory": int(memory.get("VirtualQuantity", 0)) * 1024**2,
        "firmware": "UEFI" if firmware.get("firmware") == "efi" else "BIOS",
        "disks": disks,
        "nics": [{"mac": item.get("Address", "")} for item in _of_type(items, _NIC)],
    }


def _all(root: Element, name: str) -> Iterator[Element]:
    """Yield the elements called `name`, in any namespace: files use different namespaces."""
    return (one for one in root.iter() if _local(one.tag) == name)


def _values(item: Element) -> dict[str, str]:
    return {_local(child.tag): (child.text or "").strip() for child in item}


def _of_type(items: list[dict[str, str]], *kinds: str) -> Iterator[dict[str, str]]:
    return (item for item in items if item.get("ResourceType") in kinds)


def _text(root: Element, name: str) -> str:
    children = (child for child in root.iter() if _local(child.tag) == name)
    return (getattr(next(children, None), "text", "") or "").strip()


def _attribute(element: Element, name: str) -> str:
    return next((value for key, value in element.items() if _local(key) == name), "")


_UNITS = {"": 1, "byte": 1, "byte * 2^10": 1024, "byte * 2^20": 1024**2, "byte * 2^30": 1024**3}


def _size(disk: Element) -> int:
    capacity = _attribute(disk, "capacity")
    unit = _UNITS.get(_attribute(disk, "capacityAllocationUnits").strip())
    if unit is None or not (capacity.isascii() and capacity.isdigit()):
        raise BadRequestError(f"file: a disk's capacity of {capacity!r} is not understood")
    return int(capacity) * unit


def _local(name: str) -> str:
    return name.rpartition("}")[2]


HANDLERS: dict[str, Handler] = {"parse-ovf": _parse}
