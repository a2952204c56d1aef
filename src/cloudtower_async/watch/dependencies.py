"""Find the resources of a view that a change in the change feed may affect.

The feed reports which rows of the server's database have changed. But an answer of the API also
contains fields of related resources, for example the name of a VM's cluster. A filter may also use
fields of related resources. Therefore, the relations are derived from the models and from the
filter. If it is unknown which resources of a view are affected, all resources of the view count as
affected. This costs requests, but no change is missed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias, cast, get_args, get_origin

import msgspec

from .. import models
from ..calls.arg_types import arguments_of, member

if TYPE_CHECKING:
    from ..calls.operation import Operation
    from .feed import Change

Model: TypeAlias = type[msgspec.Struct]

_LOGIC = {"AND", "OR", "NOT"}
_TO_MANY = ("_every", "_some", "_none")
_NESTED = "Nested"
_FILTER = "WhereInput"


class Dependencies:
    """Rows of the server's database that a view depends on. A view is the live result of a query.

    Args:
        operation: The query of the view.
        where: Filter of the view. None means no filter.

    Attributes:
        resource_type: Type of the resources of the view, such as ``"Vm"``.
    """

    def __init__(self, operation: Operation[Any], where: object) -> None:
        model: Model = get_args(operation.answer())[0]
        self.resource_type: str = model.__name__
        self._columns: dict[str, set[str]] = defaultdict(set)
        """Columns of related types, by type. A change of such a column may affect the view."""
        self._filtered: set[str] = set()
        """Related types that the filter refers to."""
        self._tables: dict[str, tuple[str, str]] = {}
        """Types of the ids in the columns A and B of each relation table, by name of the table."""
        self._show(model)
        shape = member(arguments_of(operation).record, "where")
        if where is not None and shape is not None:
            self._filter(where, shape.record, self.resource_type)

    @property
    def types(self) -> list[str]:
        """Resource types and relation tables that the view depends on: ``Vm``, ``_LabelToVm``."""
        return sorted({self.resource_type, *self._columns, *self._tables})

    def touched_by(self, change: Change) -> set[str] | None:
        """Return the ids of resources that a change may affect, or None for all resources."""
        if change.resource_type.startswith("_"):
            return self._of_relation(change)
        touched: set[str] = set()
        if change.resource_type == self.resource_type:
            if change.resource_id is None:
                return None
            touched = {change.resource_id}
        if change.resource_type not in self._columns:
            return touched
        others = self._of_related(change)
        return None if others is None else touched | others

    def _of_relation(self, change: Change) -> set[str] | None:
        types = self._tables.get(change.resource_type, ())
        row = change.new_values or change.old_values or {}
        ends = [
            row.get(column)
            for column, end in zip("AB", types, strict=False)
            if end == self.resource_type
        ]
        return _texts(ends) if ends else None

    def _of_related(self, change: Change) -> set[str] | None:
        kind = change.resource_type
        old, new = change.old_values, change.new_values
        rows = [row for row in (old, new) if row is not None]
        keys = _keys_to(self.resource_type, kind)
        if not rows or any(key not in row for key in keys for row in rows):
            return None
        owners = _texts([row[key] for row in rows for key in keys if row[key] is not None])
        if owners is None:
            return None
        if old is None or new is None:
            # If an existing resource gets a relation to a new resource, the row of the existing
            # resource changes, too.
            return None if kind in self._filtered or (new is None and not keys) else owners
        columns = self._columns[kind]
        if not columns <= new.keys():
            return None
        if any(old.get(column) != new.get(column) for column in columns):
            return None
        return owners if any(old[key] != new[key] for key in keys) else set()

    def _show(self, model: Model) -> None:
        """Add the fields of related resources in an answer to `_columns`."""
        for field in msgspec.structs.fields(model):
            for nested, many in _structs(field.type):
                if (target := _target(nested)) is not None:
                    shown = msgspec.structs.fields(nested)
                    own = _plain_columns(target)
                    self._columns[target] |= {one.encode_name for one in shown} & own
                    if many:
                        self._relate(model.__name__, target)
                if nested is not model:
                    self._show(nested)

    def _filter(self, where: object, record: Any, kind: str) -> None:  # noqa: ANN401 - a TypedDict
        """Add the fields of related resources in a filter on `kind` to `_columns`."""
        if isinstance(where, Mapping):
            for key, value in cast("Mapping[str, object]", where).items():
                shape = member(record, key)
                if key in _LOGIC:
                    self._filter(value, record, kind)
                elif shape is not None and shape.is_filter and shape.record is not None:
                    target = shape.record.__name__.removesuffix(_FILTER)
                    self._filtered.add(target)
                    self._columns[target] |= _columns_of(value, target)
                    if key.endswith(_TO_MANY):
                        self._relate(kind, target)
                    self._filter(value, shape.record, target)
        elif isinstance(where, Iterable) and not isinstance(where, str):
            for part in cast("Iterable[object]", where):
                self._filter(part, record, kind)

    def _relate(self, one: str, other: str) -> None:
        """Add the relation table of two types to `_tables` unless `other` has a field for `one`."""
        if not _keys_to(one, other):
            first, second = sorted((one, other))
            self._tables[f"_{first}To{second}"] = first, second


def _texts(values: Sequence[object]) -> set[str] | None:
    """Return the values as a set if all values are strings, otherwise None."""
    texts = {value for value in values if isinstance(value, str)}
    return texts if all(isinstance(value, str) for value in values) else None


def _columns_of(where: object, kind: str) -> set[str]:
    """Return the columns that the keys of a filter refer to: ``name`` for ``name_contains``.

    If a key refers to no known column, return the key. Then `touched_by` assumes that any change of
    a `kind` may affect every resource of the view.
    """
    if isinstance(where, Mapping):
        keys = cast("Mapping[str, object]", where)
        found: set[str] = set()
        for key in keys.keys() - _LOGIC:
            if not key.endswith(_TO_MANY):
                columns = _plain_columns(kind)
                found |= {one for one in columns if f"{key}_".startswith(f"{one}_")} or {key}
        return found.union(*(_columns_of(keys.get(name), kind) for name in _LOGIC))
    if isinstance(where, Iterable) and not isinstance(where, str):
        parts = cast("Iterable[object]", where)
        return set[str]().union(*(_columns_of(part, kind) for part in parts))
    return set()


@cache
def _plain_columns(kind: str) -> set[str]:
    """Return the names of a type's fields, except fields that are lists of other resources."""
    model = _model(kind)
    fields = msgspec.structs.fields(model) if model else ()
    return {
        field.encode_name
        for field in fields
        if not any(many and _target(one) for one, many in _structs(field.type))
    }


@cache
def _keys_to(kind: str, other: str) -> tuple[str, ...]:
    """Return the fields of `other` that refer to one `kind`: ``("host",)`` for Host and Vm."""
    model = _model(other)
    fields = msgspec.structs.fields(model) if model else ()
    return tuple(
        field.encode_name
        for field in fields
        if any(_target(one) == kind and not many for one, many in _structs(field.type))
    )


def _model(kind: str) -> Model | None:
    model: object = getattr(models, kind, None)
    return model if isinstance(model, type) and issubclass(model, msgspec.Struct) else None


def _target(nested: Model) -> str | None:
    """Return the resource type of a nested struct: ``"Host"`` for `NestedHost`.

    The result is None if the struct describes no resource with an id.
    """
    kind = nested.__name__.removeprefix(_NESTED)
    if kind == nested.__name__ or "id" not in nested.__struct_fields__:
        return None
    return kind if _model(kind) else None


def _structs(annotation: object, *, many: bool = False) -> list[tuple[Model, bool]]:
    """Return (struct, whether it is in a list): ``[(NestedVm, True)]`` for ``list[NestedVm]``."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return [(annotation, many)]
    many = many or get_origin(annotation) is list
    return [found for part in get_args(annotation) for found in _structs(part, many=many)]
