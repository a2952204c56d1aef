"""Consistency groups and their snapshots, floating IPs by the number, reports."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from ...http_errors import RefusedError
from ..body_validation import check_body
from ..generic.default_documents import new_document
from ..generic.fields import linked
from ..generic.generic import add, complete
from ..mutation import meant, mutation_at, to_each
from .volume_snapshots import roll_back_members

if TYPE_CHECKING:
    from ...store.filters import Document
    from ..body import Body, Fields
    from ..world import Effect, Outcome, Outcomes, World


def _roll_back_group(world: World, body: Body) -> Outcomes:
    """Everything in the group becomes what it was."""
    mutation = mutation_at("rollback-consistency-snapshot-group")
    check_body(mutation.path, body)
    documents = meant(world, mutation, body, {})
    return to_each(world, mutation, documents, partial(roll_back_members, world.maker.store))


def _floating_ips(world: World, body: Body) -> Outcomes:
    """So many of them, or these."""
    mutation = mutation_at("batch-create-virtual-private-cloud-floating-ips")
    check_body(mutation.path, body)
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
    kinds: list[Fields] = [{"external_ip": one} for one in body.get("ip_addresses", ())]
    kinds += [{"external_ips": one} for one in body.get("ip_addresses_under_group", ())]
    kinds += [{} for _ in range(int(body.get("auto_allocate_number", 0)))]
    if not kinds:
        raise RefusedError(400, "neither addresses nor a number are given")
    made = [complete(world, resource, {**ties, **kind}) for kind in kinds]
    of_these = mutation.about(resource)
    tasks = [cast("Outcome", add(world, of_these, one, {})).task_id for one in made]
    return [
        {"task_id": task, "data": {"local_id": one["local_id"]}}
        for task, one in zip(tasks, made, strict=True)
    ]


def _generate_report(world: World, body: Body) -> Outcomes:
    mutation = mutation_at("generate-from-report-template")
    check_body(mutation.path, body)
    templates = meant(world, mutation.about("ReportTemplate"), body, {})
    made: list[Document] = []
    for template in templates:
        report = new_document(world.maker, "ReportTask")
        said: Fields = {"name": template["name"], "status": "SUCCESSED"}
        made.append({**report, **said, "template": template["id"]})
    return mutation.reply([add(world, mutation, one, {}) for one in made])


EFFECTS: dict[str, Effect] = {
    "batch-create-virtual-private-cloud-floating-ips": _floating_ips,
    "generate-from-report-template": _generate_report,
    "rollback-consistency-snapshot-group": _roll_back_group,
}
