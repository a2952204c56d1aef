"""Mutation that creates floating IPs."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ...http_errors import HttpError
from ..body_validation import check_body
from ..generic.crud import add, complete
from ..generic.field_rules import resolve_ids
from ..mutation import mutation_at

if TYPE_CHECKING:
    from ..body import Body, Fields
    from ..context import Context, Handler, Result, Results


def _floating_ips(context: Context, body: Body) -> Results:
    """Create one floating IP for each address in the body.

    In addition, create ``auto_allocate_number`` floating IPs without an address.
    """
    mutation = mutation_at("batch-create-virtual-private-cloud-floating-ips")
    check_body(mutation.path, body)
    resource = "VirtualPrivateCloudFloatingIp"
    ties = {
        field: resolve_ids(context, target, body[f"{field}_id"])[0]
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
        raise HttpError(400, "neither addresses nor a number are given")
    made = [complete(context, resource, {**ties, **kind}) for kind in kinds]
    of_these = mutation.about(resource)
    tasks = [cast("Result", add(context, of_these, one, {})).task_id for one in made]
    return [
        {"task_id": task, "data": {"local_id": one["local_id"]}}
        for task, one in zip(tasks, made, strict=True)
    ]


MUTATIONS: dict[str, Handler] = {
    "batch-create-virtual-private-cloud-floating-ips": _floating_ips,
}
