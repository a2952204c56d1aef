"""Consistency groups and their snapshots, floating IPs by the number, reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ..refusals import RefusedError
from ..tasks import Failure, Work
from .blanks import new_document
from .changes import GONE, change_at, meant, on_each, settle
from .copies import as_taken
from .generic import add, complete
from .values import Values, linked

if TYPE_CHECKING:
    from ..store.filters import Document
    from .world import Effect, Outcome, Outcomes, World

_PARTS = (
    ("Iscsi_lun_snapshots", "IscsiLunSnapshot", "iscsi_lun", "IscsiLun"),
    ("nvmf_namespace_snapshots", "NvmfNamespaceSnapshot", "nvmf_namespace", "NvmfNamespace"),
)


def _roll_back_group(world: World, body: Values) -> Outcomes:
    """Everything in the group becomes what it was."""
    change = change_at("rollback-consistency-snapshot-group")
    change.body.check(body, "body")
    store = world.maker.store

    def work_on(some: list[Document]) -> Work:
        def succeed() -> Failure | None:
            for document in some:
                if document["id"] not in store.table(change.resource):
                    return GONE
                for field, kind, source, resource in _PARTS:
                    for one in document.get(field) or ():
                        snapshot = store.get(kind, one)
                        if snapshot.get(source) in store.table(resource):
                            values = as_taken(store, kind, snapshot)
                            store.change(resource, snapshot[source], **values)
            return None

        return Work(succeed, settle=lambda: settle(world, change.resource, some))

    return on_each(world, change, meant(world, change, body, {}), work_on, "UPDATING")


def _floating_ips(world: World, body: Values) -> Outcomes:
    """So many of them, or these."""
    change = change_at("batch-create-virtual-private-cloud-floating-ips")
    change.body.check(body, "body")
    resource = "VirtualPrivateCloudFloatingIp"
    ties = {
        field: linked(world, target, body[f"{field}_id"])[0]
        for field, target in (
            ("vpc", "VirtualPrivateCloud"),
            ("external_subnet", "VirtualPrivateCloudExternalSubnet"),
            ("external_subnet_group", "VirtualPrivateCloudExternalSubnetGroup"),
        )
        if f"{field}_id" in body
    }
    kinds: list[Values] = [{"external_ip": one} for one in body.get("ip_addresses", ())]
    kinds += [{"external_ips": one} for one in body.get("ip_addresses_under_group", ())]
    kinds += [{} for _ in range(int(body.get("auto_allocate_number", 0)))]
    if not kinds:
        raise RefusedError(400, "neither addresses nor a number are given")
    made = [complete(world, resource, {**ties, **kind}) for kind in kinds]
    of_these = change.about(resource)
    tasks = [cast("Outcome", add(world, of_these, one, {})).task_id for one in made]
    return [
        {"task_id": task, "data": {"local_id": one["local_id"]}}
        for task, one in zip(tasks, made, strict=True)
    ]


def _generate_report(world: World, body: Values) -> Outcomes:
    change = change_at("generate-from-report-template")
    change.body.check(body, "body")
    templates = meant(world, change.about("ReportTemplate"), body, {})
    made: list[Document] = []
    for template in templates:
        report = new_document(world.maker, "ReportTask")
        said: dict[str, Any] = {"name": template["name"], "status": "SUCCESSED"}
        made.append({**report, **said, "template": template["id"]})
    return change.reply([add(world, change, one, {}) for one in made])


EFFECTS: dict[str, Effect] = {
    "batch-create-virtual-private-cloud-floating-ips": _floating_ips,
    "generate-from-report-template": _generate_report,
    "rollback-consistency-snapshot-group": _roll_back_group,
}
