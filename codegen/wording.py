"""The sentences of generated docstrings: facts of the schema and its history, nothing else."""

from __future__ import annotations

import textwrap
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

# Without the indentation of a method.
_WIDTH = 92

_ARGUMENTS = {
    "where": "Filter of the resources; without it, all match.",
    "orderBy": "Field to sort by, with `_ASC` or `_DESC`; only sorted pages are stable.",
    "first": "Maximum number of resources, counted from the start.",
    "last": "Maximum number of resources, counted from the end.",
    "skip": "Number of resources to skip.",
    "after": "Id of the resource to start after.",
    "before": "Id of the resource to end before.",
    "effect": "Side effects of the operation.",
    "metrics": "Names of the metrics.",
    "range": 'Period that ends now, such as "24h" or "7d".',
    "file": "Content of the file, or of this chunk of it.",
    "size": "Size of the whole file in bytes, as text.",
    "upload_task_id": "Id of the upload task, for each chunk but the first.",
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


def below(text: str) -> list[str]:
    """The lines of the docstring below an attribute with this text, if it has one."""
    return [f'"""{text}"""'] if text else []


def argument(wire: str, kind: str, method: str = "") -> str:
    """What an argument means, as far as its name and the kind and name of the method tell."""
    if wire == "where" and kind != "QUERY":
        return "Filter of the resources to act on."
    if wire == "data" and method.startswith("update_"):
        return "Fields to set."
    return _ARGUMENTS.get(wire, "")


def docstring(
    operation: Operation,
    text: str,
    kind: str,
    since: str,
    arguments: Mapping[str, str],
    subject: str,
) -> list[str]:
    """The lines of a method's docstring; `text` is its first paragraph."""
    head = textwrap.wrap(f'"""{text or _headline(operation, subject)}', _WIDTH)
    facts = f"`{operation.method} {operation.path}`, since CloudTower {since}."
    if kind != "QUERY":
        facts += " Changes the server's state."
    lines = [*head, "", facts]
    if operation.auth == "BASIC":
        lines.append("It wants HTTP Basic with a credential of its own; no token is sent.")
    if operation.not_modified:
        lines.append("When there is nothing to change (status 304) the list is empty.")
    if operation.deprecated:
        lines.append("Deprecated by the server.")
    said = {name: text for name, text in arguments.items() if text}
    if said:
        lines += ["", "Args:"]
        for name, text in said.items():
            lines += textwrap.wrap(
                f"{name}: {text}", _WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 8
            )
    return [*lines, '"""']


def _headline(operation: Operation, subject: str) -> str:
    if operation.path.startswith("/get-") and operation.path.endswith("-connection"):
        return "Count what matches: the number is at `.aggregate.count`."
    if operation.path.startswith("/get-") and isinstance(operation.answer, ListOf) and subject:
        return f"Get what matches, as a list of `{subject}`."
    words = names.snake(operation.id).split("_")
    text = " ".join(_TERMS.get(word, word) for word in words)
    return f"{text[0].upper()}{text[1:]}."
