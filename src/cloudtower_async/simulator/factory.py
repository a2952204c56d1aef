"""Tools for creating documents: the store, ids, random numbers and the clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .behavior import Behavior

if TYPE_CHECKING:
    from random import Random

    from .clock import Clock
    from .store.ids import Ids
    from .store.store import Store

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Factory:
    """Tools for making up resources.

    Args:
        store: Keeps them.
        ids: Names them.
        random: Chooses.
        clock: Knows when the server started.
        targets: iSCSI target with the disks of the VMs, by cluster.
        behavior: Choices where real servers differ.
    """

    store: Store
    ids: Ids
    random: Random
    clock: Clock
    targets: dict[str, str] = field(default_factory=dict[str, str])
    behavior: Behavior = field(default_factory=Behavior)

    def ago(self, most_days: float, least_days: float = 0.0) -> str:
        """Return a date before the server started."""
        days = self.random.uniform(least_days, most_days)
        return self.clock.timestamp(-int(days * _DAY))
