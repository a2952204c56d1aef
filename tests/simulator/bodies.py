"""Request bodies generated from the schema, minimal or complete, with ids that exist."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, cast

from cloudtower_async.calls.arg_types import newest_member
from cloudtower_async.simulator.factory import Factory
from cloudtower_async.simulator.mutations.generic.default_documents import (
    new_document,
    required_relations,
)
from cloudtower_async.simulator.mutations.generic.schema_overrides import RULES
from cloudtower_async.simulator.store.ids import Ids
from cloudtower_async.simulator.store.schema import describe

if TYPE_CHECKING:
    from cloudtower_async.calls.arg_types import ArgType
    from cloudtower_async.simulator.mutations.mutation import Mutation
    from cloudtower_async.testing import Simulator
    from tests.simulator.client import Client

_OTHERWISE = {  # ids whose keys do not name the type
    "brick_topo_id": "BrickTopo",
    "edge_gateway_id": "VirtualPrivateCloudEdgeGateway",
    "group_id": "NamespaceGroup",
    "label_ids": "Label",
    "role_id": "UserRoleNext",
    "security_group_id": "VirtualPrivateCloudSecurityGroup",
    "service_ids": "NetworkPolicyRuleService",
    "smtp_server_id": "SmtpServer",
    "volume_id": "VmVolume",
    "datacenter_id": "Datacenter",
    "nicIds": "Nic",
}


_WITHIN_LIMITS = {"stripe_size": 65_536, "stripe_size_unit": "B", "chap_secret": "a0chapSecret0"}


def factory_of(client: Client) -> Factory:
    """Generates documents with ids that are unknown to the simulator."""
    sim, ids = client.sim, Ids(7, epoch_ms=1_600_000_000_000)
    return Factory(sim.store, ids, random.Random(7), sim.clock)  # noqa: S311 - made up, not secret


def seed(sim: Simulator, factory: Factory, resource: str) -> str:
    """Return the id of a document of a resource type.

    If there is no unlocked document, create a document with its dependencies.
    """
    for identifier, document in sim.store.table(resource).items():
        if document.get("entityAsyncStatus") is None:
            return identifier
    return fresh(sim, factory, resource)


def fresh(sim: Simulator, factory: Factory, resource: str) -> str:
    """Return the id of a new document of a resource."""
    document = new_document(factory, resource)
    for relation in required_relations(resource):
        document[relation.field] = seed(sim, factory, relation.target)
    known = {*describe(resource).fields, *(one.field for one in describe(resource).relations)}
    sim.store.add(resource, {name: document[name] for name in document if name in known})
    return str(document["id"])


class BodyFactory:
    """Generates bodies for an operation.

    Args:
        sim: The simulator that has the ids.
        factory: Generates missing resources.
        mutation: The operation.
        subject: The id of the resource to change.
        everything: Whether to include optional keys.
    """

    def __init__(
        self,
        sim: Simulator,
        factory: Factory,
        mutation: Mutation,
        subject: str,
        *,
        everything: bool,
    ) -> None:
        self.sim = sim
        self.factory = factory
        self.mutation = mutation
        self.subject = subject
        self.everything = everything

    def body(self) -> Any:  # noqa: ANN401
        return self.value(self.mutation.body, "")

    def value(self, wanted: ArgType, key: str) -> Any:  # noqa: ANN401
        if (about := wanted.filtered_resource) is not None:
            own = key == "where" and about == self.mutation.resource and self.subject
            return {"id": own or seed(self.sim, self.factory, about)}
        if (record := wanted.record) is not None:
            chosen = record.__annotations__ if self.everything else record.__required_keys__
            resource = self.mutation.resource
            return {
                name: self.value(cast("ArgType", newest_member(record, name)), name)
                for name in sorted(chosen)
                if RULES.get((resource, name), "") is not None
            }
        if wanted.item is not None:
            return [self.value(wanted.item, key)]
        if wanted.choices:
            return min(wanted.choices)
        if key in _WITHIN_LIMITS:
            return _WITHIN_LIMITS[key]
        if wanted.kind is str:
            return self.text(key)
        if wanted.kind is bool:
            return True
        return {} if wanted.kind in {object, dict} else 7

    def text(self, key: str) -> str:
        if key == "id" and self.subject:
            return self.subject
        if key.endswith(("_id", "_ids", "Ids")) and (target := self.target(key)):
            return seed(self.sim, self.factory, target)
        if key == "exec_h_m":
            return "10:30"
        if key.endswith(("_at", "_time")):
            return "2026-01-01T00:00:00.000Z"
        return f"a {key}"

    def target(self, key: str) -> str | None:
        stem = key.removesuffix("_id").removesuffix("_ids").removesuffix("Ids")
        for relation in describe(self.mutation.resource).relations:
            if relation.field in {stem, f"{stem}s"}:
                return relation.target
        return _OTHERWISE.get(key)
