"""Mutations that export VMs, templates and volumes to files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...tasks import Work
from ..body import part
from ..context import Result, reject_locked
from .devices import volumes_of
from .vm_mutation import checked, find, reject_status

if TYPE_CHECKING:
    from ...store.filters import Document
    from ..body import Body
    from ..context import Context, Handler

_ENDINGS = {"QCOW2": "qcow2", "RAW": "raw", "VMDK": "vmdk", "OVF": "vmdk"}


@dataclass(frozen=True, slots=True)
class _Export:
    """Handler of an operation that exports resources to files.

    When its task ends, the handler adds the files to a ``VmExportFile`` document.

    Args:
        mutation: Name of the mutation on the server.
        resource: Resource type that the operation exports.
        field: Field of a ``VmExportFile`` document that contains the id of the exported resource.
    """

    mutation: str
    resource: str
    field: str

    def __call__(self, context: Context, body: Body) -> list[Result]:
        sources = find(context, self.resource, body["where"])
        reject_locked(context, sources, self.resource)
        for source in sources:
            if self.resource == "Vm":
                reject_status(source, {"STOPPED"}, self.mutation)
        kind = part(body, "data").get("type", "OVF")
        return [self._export(context, source, kind) for source in sources]

    def _export(self, context: Context, source: Document, kind: str) -> Result:
        factory = context.factory
        clusters = source["clusters"] if self.resource != "Vm" and "clusters" in source else ()
        file = factory.store.add(
            "VmExportFile",
            {
                "id": factory.ids.cuid(),
                "createdAt": factory.clock.timestamp(),
                "damaged": False,
                "data_port_id": factory.ids.uuid(),
                "entityAsyncStatus": "CREATING",
                "files": [],
                "storage_cluster_id": clusters[0] if clusters else source.get("cluster", ""),
                "type": kind,
                self.field: source["id"],
            },
        )

        def succeed() -> None:
            file["files"] = _files(context, self.resource, source, kind)

        def fail() -> None:
            factory.store.remove("VmExportFile", file["id"])

        task_id = context.start(
            self.mutation, self.resource, source, Work(succeed, fail), locks=[file, source]
        )
        return Result("VmExportFile", file["id"], task_id)


def _files(context: Context, resource: str, source: Document, kind: str) -> list[dict[str, Any]]:
    """Return a file for each disk of `source`, and for the format OVF a descriptor file."""
    if resource == "Vm":
        disks = [(one["name"], one["used_size"]) for one in volumes_of(context.store, source)]
    elif resource == "VmVolume":
        disks = [(source["name"], source["used_size"])]
    else:
        disks = [
            (one["disk_name"] or f"disk-{one['index']}", one["size"])
            for one in source["vm_disks"] or ()
            if one["type"] == "DISK"
        ]
    files = [(f"{name}.{_ENDINGS[kind]}", size or 0, kind) for name, size in disks]
    if kind == "OVF":
        files = [(f"{source['name']}.ovf", 4096, "OVF"), *((n, s, "VMDK") for n, s, _ in files)]
    return [
        {
            "fileName": name,
            "fileSecret": context.factory.ids.uuid(),
            "fileSize": size,
            "fileUUID": context.factory.ids.uuid(),
            "md5": context.factory.ids.uuid().replace("-", ""),
            "type": form,
        }
        for name, size, form in files
    ]


MUTATIONS: dict[str, Handler] = checked(
    {
        "export-vm": _Export("exportVm", "Vm", "vm"),
        "export-content-library-vm-template": _Export(
            "exportVmTemplate", "ContentLibraryVmTemplate", "content_library_vm_template"
        ),
        "export-vm-volume": _Export("exportVmVolume", "VmVolume", "vm_volume"),
    }
)
