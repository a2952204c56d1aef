"""Rules that turn the keys of a body into the fields of a document."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ...http_errors import HttpError
from ...store.schema import describe
from ..body import UNITS
from .default_documents import conform

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...store.schema import Relation
    from ..body import Fields
    from ..context import Context

FieldRule: TypeAlias = "Callable[[Context, str, Mapping[str, Any], Any], Fields]"
"""Rule for a key: function of the context, resource type, data of a document, and value."""


def to_fields(
    context: Context,
    resource: str,
    data: Mapping[str, Any],
    exceptions: Mapping[tuple[str, str], FieldRule | None],
) -> Fields:
    """Return the fields that a body sets.

    Args:
        context: Context that finds related documents.
        resource: Resource type.
        data: Data of one document in the body.
        exceptions: Rules by resource and key, for keys that are not fields; None: the key is not
            modelled.

    Raises:
        HttpError: A related document does not exist (404), or a key is not modelled (501).
    """
    values: Fields = {}
    for key, value in data.items():
        rule = exceptions.get((resource, key), rule_by_name(resource, key))
        if rule is None:
            raise HttpError(501, f"the simulator does not model {key} of {resource}")
        for field, said in rule(context, resource, data, value).items():
            before = values.get(field)
            both = isinstance(before, dict) and isinstance(said, dict)
            values[field] = {**cast("Fields", before), **said} if both else said
    return values


@functools.cache
def rule_by_name(resource: str, key: str) -> FieldRule | None:
    """Return the rule that the name of a key implies, or None for an unknown key."""
    known = describe(resource)
    relations = {relation.field: relation for relation in known.relations}
    if key in known.fields:
        return functools.partial(_set_field, key)
    for name in (key, key.removesuffix("_id"), *_without_ids(key)):
        if relation := relations.get(name):
            return functools.partial(_set_relation, relation)
    if key.endswith("_unit") and key.removesuffix("_unit") in known.fields:
        return ignored  # a unit, which is read together with its amount
    return None


def ignored(context: Context, resource: str, data: Mapping[str, Any], value: object) -> Fields:
    """Return no fields: the rule for a key without visible effect."""
    del context, resource, data, value
    return {}


def renamed(field: str) -> FieldRule:
    """Return the rule for a key that sets a field with another name."""

    def rule(context: Context, resource: str, data: Mapping[str, Any], value: object) -> Fields:
        found = cast("FieldRule", rule_by_name(resource, field))
        return found(context, resource, data, value)

    return rule


def listed(field: str) -> FieldRule:
    """Return the rule for a key that sets a list field to a single value."""

    def rule(context: Context, resource: str, data: Mapping[str, Any], value: object) -> Fields:
        return renamed(field)(context, resource, data, [value])

    return rule


def member_of(field: str, name: str) -> FieldRule:
    """Return the rule for a key that sets one member of an object field."""

    def rule(context: Context, resource: str, data: Mapping[str, Any], value: object) -> Fields:
        del context, resource, data
        return {field: {name: value}}

    return rule


def resolve_ids(context: Context, target: str, value: object) -> list[str]:
    """Return the ids of documents given by a filter, an id, or a list of ids.

    Raises:
        HttpError: The document does not exist.
    """
    store = context.store
    if value is None:
        return []
    if isinstance(value, dict):
        return [document["id"] for document in store.select(target, cast("object", value))]
    ids = [value] if isinstance(value, str) else cast("list[str]", value)
    for one in ids:
        if one not in store.table(target):
            raise HttpError(404, f"there is no {target} {one}")
    return list(dict.fromkeys(ids))


def _set_field(
    field: str,
    context: Context,
    resource: str,
    data: Mapping[str, Any],
    value: Any,  # noqa: ANN401
) -> Fields:
    if (unit := data.get(f"{field}_unit")) and value is not None:
        return {field: value * UNITS[unit]}
    return {field: conform(context.factory, resource, field, value)}


def _set_relation(
    relation: Relation, context: Context, resource: str, data: Mapping[str, Any], value: object
) -> Fields:
    del resource, data
    ids = resolve_ids(context, relation.target, value)
    if relation.many:
        return {relation.field: ids}
    if not ids and value is not None:
        raise HttpError(404, f"no {relation.target} matches {relation.field}")
    return {relation.field: ids[0] if ids else None}


def _without_ids(key: str) -> tuple[str, ...]:
    """Return the relation of a key: ``vms`` for ``vm_ids``, ``iscsi_luns`` for
    ``iscsi_luns_ids``."""
    name = key.removesuffix("_ids").removesuffix("Ids")
    return (name, f"{name}s") if name != key else ()
