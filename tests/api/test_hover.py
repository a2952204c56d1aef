"""Editors and `help()` show the texts of fields and operations."""

from __future__ import annotations

import importlib
import pydoc
from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async import Cloudtower
from tests.language_server import pyright

if TYPE_CHECKING:
    from pathlib import Path

jedi: Any = importlib.import_module("jedi")  # jedi has no complete types
# First words of the texts.
FIELDS = {
    "Vm.memory": "Memory of the VM in bytes.",
    "Vm.status": "Power state: `RUNNING`, `STOPPED`, `SUSPENDED`, `DELETED` or `UNKNOWN`.",
    "Vm.vcpu": "Number of vCPUs: `cpu.cores` times `cpu.sockets`.",
    "Vm.ips": "IP addresses of the guest, separated by commas. Empty until VM tools report",
    "Host.total_memory_bytes": "Memory of the host in bytes.",
    "Host.cpu_hz_per_core": "CPU frequency of one core in Hz.",
    "Host.status": "Connection status: `CONNECTED_HEALTHY`, `CONNECTED_WARNING`,",
    "Host.management_ip": "IP address of the host in the management network.",
    "Cluster.total_data_capacity": "Total storage capacity in bytes; None if unknown.",
    "Cluster.used_data_space": "Storage space in use, in bytes.",
    "Cluster.version": "Version of the cluster software.",
    "Disk.size": "Capacity of the disk in bytes.",
    "Disk.health_status": "Health: `HEALTHY`, `SUBHEALTHY`, `UNHEALTHY`, `SMART_FAILED` or",
    "VmVolume.size": "Provisioned size of the volume in bytes.",
    "VmVolume.mounting": "True if the volume is mounted in a VM.",
    "Alert.severity": "Severity as a string: `CRITICAL`, `NOTICE` or `INFO`.",
    "Alert.ended": "True if the alert was resolved or its cause no longer exists.",
    "Task.progress": "Progress as a ratio from 0 to 1.",
    "Task.error_message": "Message of the error, often nested text with further codes;",
    "Label.key": "Key of the label.",
}
OPERATIONS = {
    "vm.get_vms": "Return the VMs that match `where`, including VMs in the recycle bin.",
    "vm.create_vm": "Create VMs, one per item, each with disks, CD-ROMs and NICs.",
    "vm.shut_down_vm": "Ask the guest operating system of every VM that matches `where` to",
    "vm.poweroff_vm": "Power off every VM that matches `where`, without shutting down the guest.",
    "host.get_hosts": "Return the hosts that match `where`.",
    "cluster.get_clusters": "Return the clusters that match `where`.",
    "alert.get_alerts": "Return the alerts that match `where`, including ended alerts.",
    "task.get_tasks": "Return the tasks that match `where`.",
    "label.create_label": "Create labels, one per item. A label is a key with an optional value.",
    "vm_snapshot.create_vm_snapshot": "Create VM snapshots, one per entry of `data`.",
}
KINDS = sorted({name.partition(".")[0] for name in FIELDS})
# A field or an operation per line, after two other lines.
PROGRAM = [
    "from cloudtower_async import Cloudtower, models",
    f"def program(tower: Cloudtower, {', '.join(f'{k.lower()}: models.{k}' for k in KINDS)}):",
    *(f"    {kind.lower()}.{field}" for kind, field in (name.split(".") for name in FIELDS)),
    *(f"    tower.{name}" for name in OPERATIONS),
]
TEXTS = [*FIELDS.values(), *OPERATIONS.values()]


def _shown(text: str) -> str:
    """Return a text without Markdown marks and line breaks."""
    return " ".join(text.replace("\\", "").replace("&nbsp;", " ").split())


@pytest.mark.subprocess
def test_pyright_shows_what_fields_and_operations_mean(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    text = "\n".join(PROGRAM)
    file.write_text(text)
    with pyright(tmp_path) as server:
        document = {"uri": file.as_uri(), "languageId": "python", "version": 1, "text": text}
        server.notify("textDocument/didOpen", textDocument=document)
        for number, (line, expected) in enumerate(zip(PROGRAM[2:], TEXTS, strict=True), start=2):
            hover = server.ask(
                "textDocument/hover",
                textDocument={"uri": file.as_uri()},
                position={"line": number, "character": len(line) - 1},
            )
            assert expected in _shown(hover["contents"]["value"]), line


@pytest.mark.subprocess
def test_jedi_shows_what_fields_and_operations_mean(tmp_path: Path) -> None:
    script = jedi.Script("\n".join(PROGRAM), path=tmp_path / "program.py")
    for number, (line, expected) in enumerate(zip(PROGRAM[2:], TEXTS, strict=True), start=3):
        (name,) = script.help(number, len(line) - 1)
        assert expected in _shown(name.docstring()), line


@pytest.mark.parametrize(("name", "expected"), OPERATIONS.items())
def test_help_says_what_operations_do(name: str, expected: str) -> None:
    namespace, _, method = name.partition(".")
    operation = getattr(getattr(Cloudtower("127.0.0.1", token="t"), namespace), method)
    assert expected in _shown(pydoc.plain(pydoc.render_doc(operation)))
