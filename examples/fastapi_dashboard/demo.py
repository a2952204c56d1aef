"""A simulated CloudTower with changing load and alerts, for a demo."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

import anyio

from cloudtower_async import Cloudtower
from cloudtower_async.testing import Clock, FleetSize, Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_SIZE = FleetSize(clusters=4, vms=120, alerts=14)
_MOST_MOVED = 8  # maximum number of VMs that one step starts or powers off
_MOST_RAISED = 3  # number of added alerts at which the oldest one ends
_NEWS = 0.3  # probability that a step adds or ends an alert


@asynccontextmanager
async def simulated(pause: float = 3.0) -> AsyncGenerator[Simulator]:
    """Run a simulator during a ``with`` block, and change VMs and alerts every few seconds."""
    async with (
        Simulator(_SIZE, seed=7, clock=Clock(datetime.now(UTC))) as simulator,
        Cloudtower(
            simulator.url, username=simulator.username, password=simulator.password
        ) as tower,
        anyio.create_task_group() as group,
    ):
        group.start_soon(_live, simulator, tower, pause)
        yield simulator
        group.cancel_scope.cancel()


async def _live(simulator: Simulator, tower: Cloudtower, pause: float) -> None:
    chance = Random(7)  # noqa: S311 - not used for secrets
    raised: list[str] = []
    while True:
        await anyio.sleep(pause)
        vms = await tower.vm.get_vms(where={"status_in": ["RUNNING", "STOPPED"]})
        running = [vm.id for vm in vms if vm.status == "RUNNING"]
        stopped = [vm.id for vm in vms if vm.status == "STOPPED"]
        too_many = len(running) > chance.uniform(0.5, 0.8) * len(vms)
        ids = chance.sample(running if too_many else stopped, chance.randint(1, _MOST_MOVED))
        move = tower.vm.poweroff_vm if too_many else tower.vm.start_vm
        await tower.wait(move(where={"id_in": ids}))
        if chance.random() < _NEWS:
            _change_alerts(simulator, chance, raised)


def _change_alerts(simulator: Simulator, chance: Random, raised: list[str]) -> None:
    if len(raised) >= _MOST_RAISED:
        simulator.store.change("Alert", raised.pop(0), ended=True)
        return
    host = chance.choice(sorted(simulator.store.table("Host")))
    alert = simulator.add_alert(host, local_start_time=simulator.clock.timestamp())
    raised.append(alert["id"])
