"""The command ``simulate``: a simulated CloudTower for as long as it runs."""

from __future__ import annotations

import shlex
from contextlib import AsyncExitStack, suppress
from typing import Annotated

import anyio
from cyclopts import Parameter, validators

from ..testing import FleetSize, Simulator
from .endings import UsageError
from .streams import tell

Seconds = Annotated[float, Parameter(validator=validators.Number(gte=0))]


def simulate(
    *,
    port: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))] = 0,
    size: str = "2 clusters, 40 VMs",
    seed: int = 1,
    task_duration: Seconds = 0.2,
    settle_delay: Seconds = 0.0,
    faults: Annotated[float, Parameter(validator=validators.Number(gte=0, lte=1))] = 0.0,
) -> None:
    """Serve a simulated CloudTower on this machine, until Ctrl-C.

    It prints the lines that make a shell use it. Nothing that is done to it lasts.

    Args:
        port: Where to listen; 0: any port that is free.
        size: How large its fleet is: "3 clusters", "200 hosts, 20,000 VMs".
        seed: The same seed makes the same fleet, and the same faults.
        task_duration: Seconds that a task takes.
        settle_delay: Seconds that what a task was about stays locked after the task has ended.
        faults: Share of all requests that go wrong, from 0 to 1: an error, no answer, a reset
            connection, half an answer, a late one, …; some after they were carried out.
    """
    try:
        fleet = FleetSize.parse(size)
    except ValueError as exc:
        raise UsageError(f"--size: {exc}") from None
    simulator = Simulator(
        fleet, seed=seed, port=port, task_duration=task_duration, settle_delay=settle_delay
    )
    simulator.faults.at_random(faults, seed=seed)
    with suppress(KeyboardInterrupt):
        anyio.run(_serve, simulator, port)


async def _serve(simulator: Simulator, port: int) -> None:
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(simulator)
        except OSError as exc:
            raise UsageError(f"--port {port}: {exc.strerror}") from None
        _tell(simulator)
        await anyio.sleep_forever()


def _tell(simulator: Simulator) -> None:
    """Say how to reach it: on the standard output what a shell reads, and nothing else."""
    size = simulator.size
    tell(
        f"Simulating a CloudTower (clusters: {size.clusters:,}, VMs: {size.vms:,}) until Ctrl-C. "
        "Paste these lines into another shell:"
    )
    settings = {
        "ENDPOINT": simulator.url,
        "USERNAME": simulator.username,
        "PASSWORD": simulator.password,
    }
    for name, value in settings.items():
        print(f"export CLOUDTOWER_{name}={shlex.quote(value)}", flush=True)
