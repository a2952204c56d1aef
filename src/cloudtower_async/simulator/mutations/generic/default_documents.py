"""New documents with all fields that the schema requires."""

from __future__ import annotations

import functools
import re
from enum import Enum
from typing import TYPE_CHECKING, Any, cast, get_args, get_origin

import msgspec

from .... import models
from ...store.schema import describe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...factory import Factory
    from ...store.filters import Document
    from ...store.schema import Relation

_CREATED = re.compile(
    r"(local_)?create(d_at|dAt|At|_time)|(local_)?updated_at|start(ed)?_(at|time)"
)
_DATE = re.compile(r"\w+(_at|_time|_date|At)")

LATER: Mapping[str, Mapping[str, object]] = {
    "BackupPlan": dict.fromkeys(
        (
            *("logical_size", "physical_size"),
            *("valid_size_of_backup_object", "valid_size_of_restore_point"),
        ),
        0,
    ),
    "SecurityPolicy": {"is_blocklist": False},
}
"""Fields that the newest schema requires but the models treat as optional, with their defaults."""

_LATER_RELATIONS = frozenset(
    {
        ("VirtualPrivateCloud", "vpc_service"),
        ("VirtualPrivateCloudClusterBinding", "vpc_service"),
        ("VirtualPrivateCloudEdgeGateway", "vpc_service"),
        ("VirtualPrivateCloudEdgeGatewayGroup", "vpc_service"),
    }
)


def new_document(factory: Factory, resource: str) -> Document:
    """Return a new document with ids, current dates and empty values. It has no relations."""
    document: Document = dict(LATER.get(resource, {}))
    for name, annotation in _fields(resource).items():
        required = type(None) not in get_args(annotation)
        if name == "id":
            document[name] = factory.ids.cuid()
        elif name == "local_id":
            document[name] = factory.ids.uuid()
        elif _CREATED.fullmatch(name) or (required and _is_date(name, annotation)):
            document[name] = factory.clock.timestamp()
        elif required:
            document[name] = _blank(factory, annotation)
    return document


def conform(factory: Factory, resource: str, field: str, value: object) -> object:
    """Return a copy of a field's value in which nested objects have all fields of their models."""
    return _conform(factory, _fields(resource)[field], value)


@functools.cache
def required_relations(resource: str) -> tuple[Relation, ...]:
    """Return the required to-one relations of a resource type."""
    fields = {part.encode_name: part for part in _struct_fields(resource)}
    return tuple(
        relation
        for relation in describe(resource).relations
        if not relation.many
        and relation.field in fields
        and (
            (resource, relation.field) in _LATER_RELATIONS
            or type(None) not in get_args(fields[relation.field].type)
        )
    )


@functools.cache
def _fields(resource: str) -> Mapping[str, Any]:
    plain = set(describe(resource).fields)
    types = {part.encode_name: part.type for part in _struct_fields(resource)}
    return {name: annotation for name, annotation in types.items() if name in plain}


def _struct_fields(resource: str) -> tuple[msgspec.structs.FieldInfo, ...]:
    # A few resource types have only a nested model.
    struct = getattr(models, resource, None) or getattr(models, f"Nested{resource}", None)
    return () if struct is None else msgspec.structs.fields(struct)


def _is_date(name: str, annotation: object) -> bool:
    return annotation is str and _DATE.fullmatch(name) is not None


def _blank(factory: Factory, annotation: Any) -> object:  # noqa: ANN401 - annotations have no common type
    if type(None) in get_args(annotation):
        return None
    kind: Any = get_origin(annotation) or annotation
    if issubclass(kind, Enum):
        return next(iter(kind)).value
    if issubclass(kind, msgspec.Struct):
        return _conform(factory, kind, {})
    return cast("object", kind()) if kind in {str, int, float, bool, list, dict} else {}


def _conform(factory: Factory, annotation: Any, value: object) -> object:  # noqa: ANN401
    struct, within_list = _struct_in(annotation)
    if struct is None or value is None:
        return value
    if within_list:
        return [_filled(factory, struct, part) for part in cast("list[object]", value)]
    return _filled(factory, struct, value)


def _filled(factory: Factory, struct: type[msgspec.Struct], value: object) -> object:
    given = cast("dict[str, object]", value)
    document: Document = {}
    for part in msgspec.structs.fields(struct):
        name = part.encode_name
        if name in given:
            document[name] = _conform(factory, part.type, given[name])
        elif name == "id":
            document[name] = factory.ids.cuid()
        else:
            document[name] = _blank(factory, part.type)
    return document


def _struct_in(annotation: Any) -> tuple[type[msgspec.Struct] | None, bool]:  # noqa: ANN401
    """Return the struct type in an annotation, and whether the annotation is a list of structs.

    If the annotation contains no struct, the struct type is None.
    """
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation, False
    for part in get_args(annotation):
        struct, _ = _struct_in(part)
        if struct is not None:
            return struct, get_origin(annotation) is list or get_origin(part) is list
    return None, False
