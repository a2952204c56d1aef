"""Simulated fleet for ``dashboard --demo``. The state of the fleet changes over time."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

from ..client import Cloudtower
from ..simulator.clock import Clock
from ..simulator.fleet.fleet import FleetSize
from ..simulator.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ..types import ContentLanguage

_VMS_PER_CLUSTER = 24
_CHANGED = 0.05  # maximum share of the VMs that `Demo.change` starts or powers off


class Demo:
    """A session with a simulated fleet.

    Args:
        tower: Session with the simulator.
        seed: Seed of the random changes. The same seed results in the same changes.
    """

    def __init__(self, tower: Cloudtower, seed: int) -> None:
        self.tower = tower
        self._random = Random(seed)  # noqa: S311 - not a secret

    async def change(self) -> None:
        """Start some VMs and power off others, so that the next dashboard shows other figures."""
        vms = await self.tower.vm.get_vms(where={"status_in": ["RUNNING", "STOPPED"]})
        running = [vm.id for vm in vms if vm.status == "RUNNING"]
        stopped = [vm.id for vm in vms if vm.status == "STOPPED"]
        most = max(1, round(len(vms) * _CHANGED))
        off = self._some(running, most)
        on = self._some(stopped, most)
        if off and on:
            stopping = await self.tower.vm.poweroff_vm(where={"id_in": off})
            starting = await self.tower.vm.start_vm(where={"id_in": on})
            await self.tower.wait([stopping, starting])

    def _some(self, ids: list[str], most: int) -> list[str]:
        return self._random.sample(ids, min(len(ids), self._random.randint(1, most)))


@asynccontextmanager
async def simulated(
    *, clusters: int, seed: int, language: ContentLanguage | None
) -> AsyncGenerator[Demo]:
    """Run a simulator during a ``with`` block, and yield a session with the simulator.

    Args:
        clusters: Number of clusters.
        seed: Seed of the fleet. The same seed results in the same fleet.
        language: Language of the texts from the server. None means ``en-US``.
    """
    size = FleetSize(clusters=clusters, vms=clusters * _VMS_PER_CLUSTER, alerts=2 + 2 * clusters)
    async with (
        # With this clock, the alerts of the simulator are recent.
        Simulator(size, seed=seed, clock=Clock(datetime.now(UTC))) as simulator,
        Cloudtower(
            simulator.url,
            username=simulator.username,
            password=simulator.password,
            content_language=language or "en-US",
        ) as tower,
    ):
        yield Demo(tower, seed)
