"""Rules that convert keys of a request body to fields of a document."""

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
"""Rule that converts a key of a body to fields.

The rule is a function of the context, the resource type, the object with the key, and the value of
the key.
"""


def to_fields(
    context: Context,
    resource: str,
    data: Mapping[str, Any],
    exceptions: Mapping[tuple[str, str], FieldRule | None],
) -> Fields:
    """Return the field values that a body sets.

    Args:
        context: Context for finding related documents.
        resource: Resource type.
        data: Object in the body with the data of one document.
        exceptions: Rules by resource type and key, for keys that are not field names. None means
            that the simulator does not model the key.

    Raises:
        HttpError: A related document does not exist (status 404), or the simulator does not model a
            key (status 501).
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
    """Return the rule for a key that names a field, a relation or the unit of a field.

    Examples are ``size``, ``cluster_id`` and ``size_unit``. For other keys, return None.
    """
    known = describe(resource)
    relations = {relation.field: relation for relation in known.relations}
    if key in known.fields:
        return functools.partial(_set_field, key)
    for name in (key, key.removesuffix("_id"), *_without_ids(key)):
        if relation := relations.get(name):
            return functools.partial(_set_relation, relation)
    if key.endswith("_unit") and key.removesuffix("_unit") in known.fields:
        return ignored  # the rule for the amount also reads the unit
    return None


def ignored(context: Context, resource: str, data: Mapping[str, Any], value: object) -> Fields:
    """Return no fields. This is the rule for keys that set no field, such as ``size_unit``."""
    del context, resource, data, value
    return {}


def renamed(field: str) -> FieldRule:
    """Return the rule for a body key that sets `field`, but has a different name.

    For example, the key ``smtp_server_id`` sets the field ``smtp_server_config``.
    """

    def rule(context: Context, resource: str, data: Mapping[str, Any], value: object) -> Fields:
        found = cast("FieldRule", rule_by_name(resource, field))
        return found(context, resource, data, value)

    return rule


def listed(field: str) -> FieldRule:
    """Return the rule for a body key that sets a list field.

    The list gets one item: the value of the key.
    """

    def rule(context: Context, resource: str, data: Mapping[str, Any], value: object) -> Fields:
        return renamed(field)(context, resource, data, [value])

    return rule


def member_of(field: str, name: str) -> FieldRule:
    """Return the rule for a body key that sets one member of an object.

    Args:
        field: Field that contains the object.
        name: Name of the member.
    """

    def rule(context: Context, resource: str, data: Mapping[str, Any], value: object) -> Fields:
        del context, resource, data
        return {field: {name: value}}

    return rule


def resolve_ids(context: Context, target: str, value: object) -> list[str]:
    """Return the ids of the documents that a value refers to.

    The value is a filter, an id, a list of ids, or None for no documents.

    Raises:
        HttpError: At least one of the ids does not exist.
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
    """Return the relation names that a key with the suffix ``_ids`` or ``Ids`` can stand for.

    For example, ``vm_ids`` can stand for ``vm`` or ``vms``. For other keys, the result is empty.
    """
    name = key.removesuffix("_ids").removesuffix("Ids")
    return (name, f"{name}s") if name != key else ()
