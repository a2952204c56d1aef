"""VMs as large as those of real servers: about 3.7 KB each, twice the size of simulated VMs.

Fields that are null or empty in a simulated VM are filled by their types.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from cloudtower_async import models

ITEMS = 3  # of a list
DEPTH = 6


def full_vms(body: bytes) -> bytes:
    """An answer with VMs, with every field of each set."""
    vms = msgspec.json.decode(body, type=list[dict[str, Any]])
    full = full_vm()
    return msgspec.json.encode(
        [{name: _filled(vm[name], made) for name, made in full.items() if name in vm} for vm in vms]
    )


@cache
def full_vm(struct: type[msgspec.Struct] = models.Vm) -> dict[str, Any]:
    """A VM, or something else, with every field set."""
    made: dict[str, Any] = make(inspect.type_info(struct))
    return made


def _filled(found: Any, made: Any) -> Any:  # noqa: ANN401
    """What was found, unless that is little."""
    return made if isinstance(found, list) else found or made


def make(kind: inspect.Type, depth: int = 0) -> Any:  # noqa: ANN401 - anything that JSON has
    """A value of a type, with nothing left out of it."""
    match kind:
        case inspect.UnionType():
            kinds = (one for one in kind.types if not isinstance(one, inspect.NoneType))
            return make(next(kinds), depth)
        case inspect.StructType():
            return {field.encode_name: make(field.type, depth + 1) for field in kind.fields}
        case inspect.ListType():  # a few hold more of their own kind
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
        case _:  # anything at all
            return {}
