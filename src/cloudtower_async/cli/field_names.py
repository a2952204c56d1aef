"""Names of fields, keys of filters, and values of filter keys, for shell completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast, get_args

from ..calls import registry
from ..calls.arg_types import arguments_of, member
from .columns import every_column
from .resource_names import find_method, find_topic
from .views import table_headings

if TYPE_CHECKING:
    import msgspec

    from ..calls.arg_types import ArgType
    from ..calls.operation import Operation

_MAX_KEYS = 60
"""Maximum number of filter keys to suggest.

If more keys match, only keys without a comparison suffix, such as ``_in``, are suggested.
"""


def column_names(resource: str) -> list[str]:
    """Return the columns of a resource, including columns of related resources.

    Return an empty list if the resource is unknown.
    """
    kind = _struct(resource)
    return [] if kind is None else list(every_column(kind))


def table_column_names(resource: str) -> list[str]:
    """Return the columns that a table can show: all fields, and headings such as ``age``.

    Return an empty list if the resource is unknown.
    """
    kind = _struct(resource)
    return [] if kind is None else [*every_column(kind), *table_headings(kind)]


def order_names(resource: str) -> list[str]:
    """Return the values that the option ``--order-by`` accepts for a resource."""
    found = _argument(resource, "orderBy")
    names = sorted(found.choices) if found is not None else []
    return [name.removesuffix("_ASC") for name in names]


def filter_keys(resource: str, part: str) -> list[str]:
    """Return the filter keys that begin with the typed text.

    A key that needs a value ends with ``=``. A key that has inner keys ends with ``.``.

    Args:
        resource: Name of the resource.
        part: The typed text: ``sta``, ``cluster.na``.
    """
    *path, last = part.split(".")
    found = _filter(resource, path)
    if found is None:
        return []
    before = "".join(f"{name}." for name in path)
    keys = [key for key in found.record.__annotations__ if key.startswith(last)]
    keys = [key for key in keys if not key.isupper()]
    if len(keys) > _MAX_KEYS:
        plain = set(keys)
        keys = [key for key in keys if not any(key[:end] in plain for end in _ends(key))]
    nested = {key: member(found.record, key) for key in keys}
    return [
        f"{before}{key}{'.' if inner is not None and inner.is_filter else '='}"
        for key, inner in nested.items()
    ]


def filter_values(resource: str, key: str) -> list[str]:
    """Return the values that a filter key accepts, or an empty list if they are unknown."""
    *path, last = key.split(".")
    found = _filter(resource, path)
    inner = None if found is None else member(found.record, last)
    if inner is not None and inner.item is not None:
        inner = inner.item
    if inner is None:
        return []
    return ["true", "false"] if inner.kind is bool else sorted(inner.choices)


def inner_names(part: str) -> list[str]:
    """Return all fields of the resource, or all arguments of the operation, that `part` names.

    Args:
        part: The typed text. Text after the last dot is ignored: ``vm.me`` returns ``vm.name``,
            ``vm.memory`` and all other fields of VMs.
    """
    *path, _ = part.split(".")
    before = ".".join(path)
    method = find_method(path[0])
    if method is not None:
        found: ArgType | None = arguments_of(registry.operation(method))
        for name in path[1:]:
            found = None if found is None else member((found.item or found).record, name)
        record = None if found is None else (found.item or found).record
        return [f"{before}.{key}" for key in record.__annotations__] if record else []
    columns = column_names(path[0])
    names = columns + [name.partition(".")[0] for name in columns if "." in name]
    return [f"{path[0]}.{name}" for name in dict.fromkeys(names)]


def _ends(key: str) -> list[int]:
    """Return the indexes of the underscores in a filter key such as ``name_contains``."""
    return [place for place, character in enumerate(key) if character == "_"]


def _query(resource: str) -> Operation[object] | None:
    method = find_topic(resource)
    return None if method is None else registry.operation(method)


def _struct(resource: str) -> type[msgspec.Struct] | None:
    """Return the struct of a resource, or None if the resource is unknown."""
    operation = _query(resource)
    if operation is None:
        return None
    [kind] = get_args(operation.answer())
    return cast("type[msgspec.Struct]", kind)


def _argument(resource: str, name: str) -> ArgType | None:
    operation = _query(resource)
    return None if operation is None else member(arguments_of(operation).record, name)


def _filter(resource: str, path: list[str]) -> ArgType | None:
    found = _argument(resource, "where")
    for name in path:
        found = None if found is None or found.record is None else member(found.record, name)
    return None if found is None or found.record is None else found
