"""The sentences of generated docstrings: facts of the schema and its history, nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from . import names
from .schema import ListOf, Operation

# How the field writes what the API writes in lower case.
_TERMS = {
    "api": "API",
    "cd": "CD",
    "csv": "CSV",
    "ec": "EC",
    "elf": "ELF",
    "esxi": "ESXi",
    "gpu": "GPU",
    "ha": "HA",
    "id": "id",
    "io": "I/O",
    "ip": "IP",
    "ips": "IPs",
    "iscsi": "iSCSI",
    "iso": "ISO",
    "lun": "LUN",
    "luns": "LUNs",
    "nat": "NAT",
    "nfs": "NFS",
    "nic": "NIC",
    "nics": "NICs",
    "ntp": "NTP",
    "nvm": "NVM",
    "nvram": "NVRAM",
    "nvmf": "NVMe-oF",
    "os": "OS",
    "ovf": "OVF",
    "pci": "PCI",
    "qos": "QoS",
    "rom": "ROM",
    "smtp": "SMTP",
    "snmp": "SNMP",
    "sriov": "SR-IOV",
    "svt": "SVT",
    "url": "URL",
    "usb": "USB",
    "vcenter": "vCenter",
    "vds": "VDS",
    "vdses": "VDSes",
    "vlan": "VLAN",
    "vlans": "VLANs",
    "vm": "VM",
    "vms": "VMs",
    "vmtemplate": "VM template",
    "vmtools": "VM Tools",
    "vnc": "VNC",
    "vpc": "VPC",
    "vsphere": "vSphere",
}

_ARGUMENTS = {
    "where": "which ones; all when left out",
    "orderBy": "the field to sort by, with `_ASC` or `_DESC`; pages are stable only with it",
    "first": "at most so many, from the start",
    "last": "at most so many, from the end",
    "skip": "leave out so many before counting",
    "after": "the id of the resource to start behind",
    "before": "the id of the resource to end before",
    "effect": "what else to do along with it",
    "metrics": "names of metrics",
    "range": 'how far back from now, such as "24h" or "7d"',
    "file": "the content, or this chunk of it",
    "size": "of the whole file, in bytes, as text",
    "upload_task_id": "the task of the first chunk, for each that follows",
}


def counted(number: int, noun: str) -> str:
    """`1 operation`, `2 operations`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def namespace(tag: str) -> list[str]:
    """The lines of a namespace's docstring: what it is about, and what its methods share."""
    return [
        f'"""Operations of the API\'s tag `{tag}`.',
        "",
        "Each also takes `content_language` (of texts in the answer) and `timeout` (seconds for",
        "the whole call), None for those of the session, and `external_cloudtower_id` (sent as",
        "the header of that name). Each raises a `CallError` when it fails, and `InvalidInput`",
        "for arguments that cannot be sent.",
        '"""',
    ]


def argument(wire: str, kind: str, since: str | None, method: str = "") -> str:
    """What an argument means, as far as its name and the kind and name of the method tell."""
    if wire == "where" and kind != "QUERY":
        said = "which ones to act on"
    elif wire == "data" and method.startswith("update_"):
        said = "what to set"
    else:
        said = _ARGUMENTS.get(wire, "")
    if since is None:
        return said
    return f"{said}; since CloudTower {since}" if said else f"since CloudTower {since}"


def docstring(
    operation: Operation, kind: str, since: str, arguments: Mapping[str, str], subject: str
) -> list[str]:
    """The lines of a method's docstring."""
    head = f"{_headline(operation, subject)}"
    facts = f"`{operation.method} {operation.path}`, since CloudTower {since}."
    if kind != "QUERY":
        facts += " Changes the server's state."
    lines = [f'"""{head}', "", facts]
    if operation.auth == "BASIC":
        lines.append("It wants HTTP Basic with a credential of its own; no token is sent.")
    if operation.not_modified:
        lines.append("When there is nothing to change (status 304) the list is empty.")
    if operation.deprecated:
        lines.append("Deprecated by the server.")
    said = {name: text for name, text in arguments.items() if text}
    if said:
        lines += ["", "Args:", *(f"    {name}: {text}." for name, text in said.items())]
    return [*lines, '"""']


def _headline(operation: Operation, subject: str) -> str:
    if operation.path.startswith("/get-") and operation.path.endswith("-connection"):
        return "Count what matches: the number is at `.aggregate.count`."
    if operation.path.startswith("/get-") and isinstance(operation.answer, ListOf) and subject:
        return f"Get what matches, as a list of `{subject}`."
    words = names.snake(operation.id).split("_")
    text = " ".join(_TERMS.get(word, word) for word in words)
    return f"{text[0].upper()}{text[1:]}."
