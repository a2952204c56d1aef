"""Base of the generated namespaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .executor import Executor


class Namespace:
    """The operations of one kind of resource: ``tower.vm``, ``tower.cluster``, …"""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
