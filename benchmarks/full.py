"""VMs as large as on real servers: about 3.7 KB each, twice the size of simulated VMs.

Each field that is null or empty in a simulated VM gets a value of its type.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from cloudtower_async import models

ITEMS = 3  # number of items in each list
DEPTH = 6


def full_vms(body: bytes) -> bytes:
    """Return an answer with VMs in which every field has a value."""
    vms = msgspec.json.decode(body, type=list[dict[str, Any]])
    full = full_vm()
    return msgspec.json.encode(
        [{name: _filled(vm[name], made) for name, made in full.items() if name in vm} for vm in vms]
    )


@cache
def full_vm(struct: type[msgspec.Struct] = models.Vm) -> dict[str, Any]:
    """Return a VM, or a document of another struct, in which every field has a value."""
    made: dict[str, Any] = make(inspect.type_info(struct))
    return made


def _filled(found: Any, made: Any) -> Any:  # noqa: ANN401
    """Return `found`, or `made` if `found` is null, empty or a list."""
    return made if isinstance(found, list) else found or made


def make(kind: inspect.Type, depth: int = 0) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value of a type, in which every field has a value."""
    match kind:
        case inspect.UnionType():
            kinds = (one for one in kind.types if not isinstance(one, inspect.NoneType))
            return make(next(kinds), depth)
        case inspect.StructType():
            return {field.encode_name: make(field.type, depth + 1) for field in kind.fields}
        case inspect.ListType():  # lists end at a depth, because some types contain themselves
            return [make(kind.item_type, depth)] * ITEMS if depth < DEPTH else []
        case inspect.EnumType():
            return next(iter(kind.cls)).value
        case inspect.BoolType():
            return True
        case inspect.IntType():
            return 1_234_567
        case inspect.FloatType():
            return 12.5
        case inspect.StrType():
            return "a text of a server"
        case _:  # any type
            return {}
