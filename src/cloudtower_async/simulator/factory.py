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
    """Everything that code needs for creating resources.

    Args:
        store: Store of the resources.
        ids: Generator for new ids.
        random: Random number generator.
        clock: Clock of the server.
        targets: Ids of the iSCSI targets that contain the disks of VMs, by id of the cluster.
        behavior: Options for behavior that differs between real servers.
    """

    store: Store
    ids: Ids
    random: Random
    clock: Clock
    targets: dict[str, str] = field(default_factory=dict[str, str])
    behavior: Behavior = field(default_factory=Behavior)

    def ago(self, most_days: float, least_days: float = 0.0) -> str:
        """Return a random date before the start of the server.

        Args:
            most_days: Maximum number of days before the start.
            least_days: Minimum number of days before the start.
        """
        days = self.random.uniform(least_days, most_days)
        return self.clock.timestamp(-int(days * _DAY))
