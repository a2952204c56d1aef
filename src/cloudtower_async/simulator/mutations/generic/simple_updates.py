"""Mutations that set fields of all documents that match a filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ...http_errors import HttpError
from ..body_validation import check_body
from ..mutation import differs, mutation_at, select_documents, start_for_each
from . import schema_overrides
from .default_documents import conform
from .field_rules import resolve_ids, to_fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...store.filters import Document
    from ..body import Body, Fields
    from ..context import Context, Handler, Result, Results
    from ..mutation import Mutation


@dataclass(frozen=True, slots=True)
class Action:
    """Handler of an operation that sets fields of all documents that match a filter.

    Args:
        path: Path of the operation.
        values: Function that returns the new field values. Its arguments are the context, the
            document, and the member ``data`` of the body.
        follow: Function that applies all other effects of the operation. It has the same arguments
            as `values`.
    """

    path: str
    values: Callable[[Context, Document, Body], Fields]
    follow: Callable[[Context, Document, Body], None] | None = None

    def __call__(self, context: Context, body: Any) -> Results:  # noqa: ANN401 - any JSON
        mutation = mutation_at(self.path)
        check_body(mutation.path, body)
        item = mutation.body.item
        parts = cast("list[Body]", body if item else [body])
        found: list[Result] = []
        for part in parts:
            found += self._act(context, mutation, part)
        if not found:
            raise HttpError(304, "nothing to change")
        return found

    def _act(self, context: Context, mutation: Mutation, part: Body) -> list[Result]:
        store, resource = context.store, mutation.resource
        data: Body = part.get("data") or {}
        documents = select_documents(context, mutation, part, {})
        planned = {one["id"]: self.values(context, one, data) for one in documents}
        if mutation.not_modified:
            documents = [one for one in documents if differs(one, planned[one["id"]])]

        def act(document: Document) -> None:
            if self.follow is not None:
                self.follow(context, document, data)
            # Compute the values again, because other tasks may have changed the document.
            store.change(resource, document["id"], **self.values(context, document, data))

        return cast("list[Result]", start_for_each(context, mutation, documents, act))


def _sets(**values: object) -> Callable[[Context, Document, Body], Fields]:
    return lambda context, document, data: values


def _regular(resource: str) -> Callable[[Context, Document, Body], Fields]:
    """Return a function that converts ``data`` of a body to field values of a document."""
    return lambda context, document, data: to_fields(
        context, resource, data, schema_overrides.RULES
    )


def _with_these(resource: str) -> Callable[[Context, Document, Body], Fields]:
    """Return a function that adds the ids in ``data`` of a body to relations of a document."""

    def values(context: Context, document: Document, data: Body) -> Fields:
        found = to_fields(context, resource, data, schema_overrides.RULES)
        return {
            field: list(dict.fromkeys([*(document.get(field) or ()), *ids]))
            for field, ids in found.items()
        }

    return values


def _without_these(resource: str) -> Callable[[Context, Document, Body], Fields]:
    """Return a function that removes the ids in ``data`` from relations of a document."""

    def values(context: Context, document: Document, data: Body) -> Fields:
        found = to_fields(context, resource, data, schema_overrides.RULES)
        return {
            field: [one for one in document.get(field) or () if one not in ids]
            for field, ids in found.items()
        }

    return values


def _end_alert(context: Context, document: Document, data: Body) -> Fields:
    del data
    ended = document.get("local_end_time") or context.factory.clock.timestamp()
    return {"ended": True, "local_end_time": ended}


def _mount(context: Context, document: Document, data: Body) -> Fields:
    del context, document
    return {"mounted": True, "usage_status": "MOUNTED", "function": data["function"]}


def _attach(context: Context, document: Document, data: Body) -> Fields:
    """Return the new field values of a USB device after attaching it to the VMs in `data`."""
    asked = data["vm_id"] if "vm_id" in data else data.get("vms")
    ids = resolve_ids(context, "Vm", asked)
    if not ids:
        raise HttpError(404, "no VM matches")
    vm = conform(context.factory, "UsbDevice", "vm", context.store.get("Vm", ids[0]))
    attached = list(dict.fromkeys([*(document.get("vms") or ()), *ids]))
    return {"vms": attached, "vm": vm, "binded": True}


def _detach(context: Context, document: Document, data: Body) -> Fields:
    """Return the new field values of a USB device after detaching it from the VMs in `data`.

    If `data` names no VMs, the device is detached from all VMs.
    """
    attached: list[str] = document.get("vms") or []
    gone = resolve_ids(context, "Vm", data["vms"]) if "vms" in data else attached
    left = [one for one in attached if one not in gone]
    vm = None
    if left:
        vm = conform(context.factory, "UsbDevice", "vm", context.store.get("Vm", left[0]))
    return {"vms": left, "vm": vm, "binded": bool(left)}


def _sriov(context: Context, document: Document, data: Body) -> Fields:
    del context, document
    return {"is_nvidia_vfs_enabled": data["enable"]}


def _copy_images(context: Context, document: Document, data: Body) -> None:
    """Add an ``ElfImage`` document for each cluster in `data` that has no copy of an image."""
    store = context.store
    images = [store.get("ElfImage", one) for one in document.get("elf_images") or ()]
    there = {image["cluster"] for image in images}
    for cluster in resolve_ids(context, "Cluster", data["clusters"]):
        if cluster not in there:
            said = {name: document[name] for name in ("name", "description", "size", "path")}
            ids = {"id": context.factory.ids.cuid(), "local_id": context.factory.ids.uuid()}
            made = {"local_created_at": context.factory.clock.timestamp(), "cluster": cluster}
            tie = {"content_library_image": document["id"]}
            store.add("ElfImage", {**said, **ids, **made, **tie})


def _remove_images(context: Context, document: Document, data: Body) -> None:
    store = context.store
    clusters = set(resolve_ids(context, "Cluster", data["clusters"]))
    for one in list(document.get("elf_images") or ()):
        if store.get("ElfImage", one)["cluster"] in clusters:
            store.remove("ElfImage", one)


ACTIONS = (
    Action("add-clusters-to-datacenter", _with_these("Datacenter")),
    Action("add-labels-to-resources", _with_these("Label")),
    Action(
        "distribute-content-library-image-clusters",
        _with_these("ContentLibraryImage"),
        _copy_images,
    ),
    Action("force-stop-log-collection", _sets(status="FAILED")),
    Action("keep-snapshot-group", _sets(keep=True, estimated_recycling_time=None)),
    Action("mount-disk", _mount),
    Action("mount-usb-device", _attach),
    Action("move-brick-topo", _regular("BrickTopo")),
    Action("move-node-topo", _regular("NodeTopo")),
    Action("remove-clusters-from-datacenter", _without_these("Datacenter")),
    Action(
        "remove-content-library-image-clusters",
        _without_these("ContentLibraryImage"),
        _remove_images,
    ),
    Action("remove-labels-from-resources", _without_these("Label")),
    Action("resolve-alert", _end_alert),
    Action("resume-backup-plan", _sets(status="WORKING")),
    Action("resume-snapshot-plan", _sets(status="NORMAL")),
    Action("suspend-backup-plan", _sets(status="PAUSED")),
    Action("suspend-snapshot-plan", _sets(status="SUSPENDED")),
    Action("switch-gpu-device-sriov", _sriov),
    Action("unmount-disk", _sets(mounted=False, usage_status="UNMOUNTED")),
    Action("unmount-usb-device", _detach),
)

MUTATIONS: dict[str, Handler] = {action.path: action for action in ACTIONS}
