"""Base of the generated namespaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from .executor import Executor


class Namespace:
    """The operations of one kind of resource: ``tower.vm``, ``tower.cluster``, …"""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor


def executor_of(method: object) -> Executor:
    """Return the executor that a method of a namespace calls with."""
    namespace: object = getattr(method, "__self__", None)
    return cast("Executor", vars(namespace)["_executor"])
