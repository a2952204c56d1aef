"""Schema of resource types: fields, relations and filters, as read from the generated code."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args, get_origin

import msgspec

from ... import inputs, models
from ...api.catalogue import OPERATIONS
from ...calls.arg_types import arg_type, arguments_of, newest_member
from ...calls.operation import Kind
from ...calls.registry import operation_at
from ...types import Connection, OpenEnum
from .filters import Condition
from .paging import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...calls.arg_types import ArgType, Record

_SUFFIXES = (
    *("not_in", "not_contains", "not_starts_with", "not_ends_with", "not", "in"),
    *("lte", "lt", "gte", "gt", "contains", "starts_with", "ends_with"),
)
JSON_TYPES: Mapping[type, tuple[str, tuple[type, ...]]] = {
    bool: ("true or false", (bool,)),
    dict: ("an object", (dict,)),
    float: ("a number", (int, float)),
    int: ("a whole number", (int,)),
    list: ("a list", (list,)),
    str: ("a string", (str,)),
}
"""For each argument type, its name in error messages and the matching types of decoded JSON."""

_COUNTS = {
    ("IscsiTarget", "luns"): "iscsi_luns_num",
    ("NvmfSubsystem", "namespaces"): "nvmf_namespaces_num",
    ("Vds", "vlans"): "vlans_num",
    ("Label", "vlans"): "vm_vlan_num",
    ("Label", "vdses"): "vds_num",
    ("Label", "security_policies"): "security_policy_num",
    ("Label", "isolation_policies"): "isolation_policy_num",
    ("Host", "nics"): "nic_count",
    ("SnapshotGroup", "vm_snapshots"): "object_num",
    ("SnapshotPlan", "vms"): "object_num",
}
"""Fields with the number of related documents, by resource type and relation.

For other relations, the name of such a field follows from the name of the relation.
"""


@dataclass(frozen=True, slots=True)
class Relation:
    """Field that refers to other resources.

    Args:
        owner: Resource type that has the field.
        field: Name of the field.
        target: Resource type to which the field refers.
        many: Whether the field contains a list of ids (to-many) or one id (to-one).
        nested: Names of the fields that responses contain for each related document.
        inverse: Field of the target that refers back to the owner, or None.
        count: Field of the owner that contains the number of related documents, or None.
        needed: Whether the relation is required, so that every document has a related document.
    """

    owner: str
    field: str
    target: str
    many: bool
    nested: tuple[str, ...]
    inverse: str | None
    count: str | None = None
    needed: bool = False


@dataclass(frozen=True, slots=True)
class ResourceSchema:
    """Schema of a resource type.

    Args:
        name: Name of the resource type in the API schema.
        fields: Names of the fields that are not relations.
        relations: Fields that refer to other resources.
        hidden: Fields that filters accept but responses never contain.
    """

    name: str
    fields: tuple[str, ...]
    relations: tuple[Relation, ...]
    hidden: frozenset[str] = frozenset()


@functools.cache
def where_conditions(resource: str) -> Mapping[str, Condition]:
    """Return the conditions of a resource type's filter, by key, such as ``name_contains``."""
    record = getattr(inputs, f"{resource}WhereInput")
    types = {key: _type(record, key) for key in record.__annotations__}
    shape: dict[str, Condition] = {}
    for key, found in types.items():
        if key in {"AND", "OR", "NOT"}:
            continue
        if target := found.filtered_resource:
            field, _, how = key.rpartition("_")
            if how in {"every", "some", "none"}:
                shape[key] = Condition(field, how, target=target)
            else:
                shape[key] = Condition(key, "one", target=target)
            continue
        field, how = _split(key, types)
        check = _check(types[field])
        shape[key] = Condition(field, how, check)
    return shape


@functools.cache
def orders(resource: str) -> Mapping[str, Order]:
    """Return the sort orders of a resource type, by ``orderBy`` value, such as ``name_DESC``."""
    values = arg_type(getattr(inputs, f"{resource}OrderByInput")).choices
    split = {value: value.rpartition("_") for value in values}
    return {value: Order(field, way == "DESC") for value, (field, _, way) in split.items()}


@functools.cache
def describe(resource: str) -> ResourceSchema:
    """Return the schema of a resource type."""
    targets = _relations(resource)
    shown = _shown(resource)
    # A few resource types have no model of their own. Their fields are known from their filters.
    plain = [condition.field for condition in where_conditions(resource).values()]
    fields = [name for name in dict.fromkeys([*shown, *plain]) if name not in targets]
    relations: list[Relation] = []
    for name, (target, many) in targets.items():
        annotation = shown.get(name)
        struct = None if annotation is None else _struct(annotation)
        nested = ("id",) if struct is None else struct.__struct_encode_fields__
        back = _inverse(resource, target)
        count = _COUNTS.get((resource, name)) or _count(name, fields)
        needed = not many and isinstance(annotation, type)
        relations.append(Relation(resource, name, target, many, nested, back, count, needed))
    hidden = frozenset([*fields, *targets]) - shown.keys()
    return ResourceSchema(resource, tuple(fields), tuple(relations), hidden)


@functools.cache
def enums(resource: str) -> Mapping[str, type[OpenEnum]]:
    """Return the enums of a resource type's fields, by API name of the field."""
    return {
        name: one
        for name, annotation in _shown(resource).items()
        for one in (annotation, *get_args(annotation))
        if isinstance(one, type) and issubclass(one, OpenEnum)
    }


@functools.cache
def queried_resources() -> tuple[str, ...]:
    """Return the names of all resource types that queries return."""
    return tuple(sorted({asked.resource for path in OPERATIONS if (asked := resource_query(path))}))


@functools.cache
def all_resources() -> tuple[str, ...]:
    """Return the names of all resource types, including types that occur only in relations."""
    known = dict.fromkeys(queried_resources())
    coming = list(known)
    while coming:
        for target, _ in _relations(coming.pop()).values():
            if target not in known:
                known[target] = None
                coming.append(target)
    return tuple(sorted(known))


@functools.cache
def answers_list(path: str) -> bool:
    """Return whether the response of an operation, for example ``"start-vm"``, is a list."""
    return get_origin(operation_at(f"/{path}").answer()) is list


@dataclass(frozen=True, slots=True)
class ResourceQuery:
    """Query that returns the resources that match a filter, or only their number.

    Args:
        resource: Resource type.
        counts: Whether the query returns only the number of matching resources.
    """

    resource: str
    counts: bool


@functools.cache
def resource_query(path: str) -> ResourceQuery | None:
    """Return the query with a path, or None if the operation does not query one resource type."""
    asked = operation_at(path)
    if asked.kind is not Kind.QUERY or asked.body is None:
        return None
    record = arguments_of(asked).record
    where = record and newest_member(record, "where")
    resource = where and where.filtered_resource
    if not resource or "orderBy" not in record.__annotations__:
        return None
    answer = asked.answer()
    counts = answer is Connection
    # A query can filter one resource type and return another, for example GPUs and their VMs.
    if not counts and get_args(answer) != (getattr(models, resource),):
        return None
    return ResourceQuery(resource, counts)


def _type(record: Record, key: str) -> ArgType:
    found = newest_member(record, key)
    assert found is not None  # noqa: S101 - the key is one of the record
    return found


def _relations(resource: str) -> dict[str, tuple[str, bool]]:
    return {
        condition.field: (condition.target, condition.operator != "one")
        for condition in where_conditions(resource).values()
        if condition.target is not None
    }


def _shown(resource: str) -> dict[str, Any]:
    """Return the types of the fields that responses contain, by the API name of the field."""
    struct = getattr(models, resource, None) or getattr(models, f"Nested{resource}", None)
    if struct is None:
        return {}
    return {field.encode_name: field.type for field in msgspec.structs.fields(struct)}


def _count(relation: str, fields: list[str]) -> str | None:
    stem = relation.removesuffix("s")
    return next((name for name in (f"{stem}_num", f"{stem}_count") if name in fields), None)


def _inverse(resource: str, target: str) -> str | None:
    """Return the field of `target` that refers to `resource`.

    Return None if there is no such field, or if several fields connect the two resource types.
    """
    there = [field for field, (end, _) in _relations(resource).items() if end == target]
    back = [field for field, (end, _) in _relations(target).items() if end == resource]
    return back[0] if len(there) == len(back) == 1 else None


def _struct(annotation: object) -> type[msgspec.Struct]:
    """Return the struct type in ``NestedX``, ``NestedX | None`` or ``list[NestedX] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    return next(_struct(part) for part in get_args(annotation) if part is not type(None))


def _split(key: str, known: Mapping[str, Any]) -> tuple[str, str]:
    for suffix in _SUFFIXES:
        field = key.removesuffix(f"_{suffix}")
        if field != key and field in known:
            return field, suffix
    return key, ""


def _check(found: ArgType) -> Callable[[object], object]:
    if found.choices:
        return functools.partial(_one_of, found.choices)
    return _date if found.is_date else functools.partial(_of_type, found.kind)


def _one_of(values: frozenset[str], value: object) -> object:
    if isinstance(value, str) and value in values:
        return value
    raise ValueError(f"one of {', '.join(sorted(values))}")


def _of_type(kind: type, value: object) -> object:
    expected, types = JSON_TYPES[kind]
    if type(value) in types:
        return value
    raise ValueError(expected)


def _date(value: object) -> object:
    """Convert a date to the format of the store. In this format, strings sort like dates."""
    if isinstance(value, str):
        try:
            return timestamp(datetime.fromisoformat(value))
        except ValueError:
            pass
    raise ValueError("a date in ISO 8601")


def timestamp(moment: datetime) -> str:
    """Return a date in the format of the server: in UTC, with milliseconds and ``Z``."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return f"{moment.astimezone(UTC).isoformat(timespec='milliseconds')[: -len('+00:00')]}Z"
