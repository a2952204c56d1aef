"""Base of the generated namespaces."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .executor import Executor
    from .operation import Operation


class Namespace:
    """The operations of one kind of resource: ``tower.vm``, ``tower.cluster``, …"""

    def __init__(self, caller: Executor) -> None:
        self._caller = caller


def operation_of(method: object) -> Operation[object] | None:
    """What a method of a namespace calls: ``GET_VMS`` for ``tower.vm.get_vms``; else None."""
    namespace = getattr(method, "__self__", None)
    if not isinstance(namespace, Namespace):
        return None
    name: str = getattr(method, "__name__", "")
    return getattr(sys.modules[type(namespace).__module__], name.upper(), None)
