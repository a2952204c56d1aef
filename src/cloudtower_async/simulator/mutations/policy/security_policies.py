"""Rules for security policies: filters in a body are replaced by the matching resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..generic.default_documents import conform
from ..generic.field_rules import resolve_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..body import Fields
    from ..context import Context
    from ..generic.field_rules import FieldRule


def _targets(context: Context, target: Mapping[str, Any]) -> list[Fields]:
    """Convert the ``target`` of a rule in a body to the form that responses contain.

    The result contains one item for each IP block, label group and security group.
    """
    store = context.store
    found: list[Fields] = [{"type": "IP_BLOCK", **block} for block in target.get("ips", ())]
    for where in target.get("label_groups", ()):
        ids = resolve_ids(context, "Label", where)
        labels = [store.get("Label", one) for one in ids]
        found.append({"type": "SELECTOR", "selector": labels, "selector_ids": ids})
    if (where := target.get("security_groups")) is not None:
        for one in resolve_ids(context, "SecurityGroup", where):
            group = store.get("SecurityGroup", one)
            said = {"security_group": group, "security_group_id": one}
            found.append({"type": "SECURITY_GROUP", **said})
    return found


def _apply_to(context: Context, resource: str, data: Mapping[str, Any], value: Any) -> Fields:  # noqa: ANN401
    del data
    entries = [
        {"communicable": part.get("communicable", False), **target}
        for part in value
        for target in _targets(context, part["target"])
    ]
    return {"apply_to": conform(context.factory, resource, "apply_to", entries)}


def _flows(field: str) -> FieldRule:
    def rule(context: Context, resource: str, data: Mapping[str, Any], value: Any) -> Fields:  # noqa: ANN401
        del data
        entries: list[Fields] = []
        for part in value:
            service_ids = resolve_ids(context, "NetworkPolicyRuleService", part.get("service_ids"))
            store = context.store
            services = [store.get("NetworkPolicyRuleService", one) for one in service_ids]
            said = {"ports": part.get("ports"), "service_ids": service_ids, "services": services}
            targets = _targets(context, part.get("target", {})) or [{"type": "ALL"}]
            entries += [{**said, **target} for target in targets]
        return {field: conform(context.factory, resource, field, entries)}

    return rule


def _label_groups(context: Context, resource: str, data: Mapping[str, Any], value: Any) -> Fields:  # noqa: ANN401
    """Return the label groups of a security group.

    Each item of `value` is a filter for labels or an object with the member ``label_ids``.
    """
    del data
    store = context.store
    wheres = [part.get("label_ids", part) for part in value]
    groups = [
        {"labels": [store.get("Label", one) for one in resolve_ids(context, "Label", where)]}
        for where in wheres
    ]
    return {"label_groups": conform(context.factory, resource, "label_groups", groups)}


RULES: dict[tuple[str, str], FieldRule | None] = {
    ("SecurityPolicy", "apply_to"): _apply_to,
    ("SecurityPolicy", "egress"): _flows("egress"),
    ("SecurityPolicy", "ingress"): _flows("ingress"),
    ("IsolationPolicy", "egress"): _flows("egress"),
    ("IsolationPolicy", "ingress"): _flows("ingress"),
    ("SecurityGroup", "label_groups"): _label_groups,
    ("VirtualPrivateCloudSecurityGroup", "label_groups"): _label_groups,
}
