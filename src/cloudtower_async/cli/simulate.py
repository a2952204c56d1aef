"""The command ``simulate``: a simulated CloudTower for as long as it runs."""

from __future__ import annotations

import shlex
import sys
from contextlib import AsyncExitStack, suppress

import anyio

from ..testing import FleetSize, Simulator
from .endings import UsageError


def simulate(*, port: int, size: str, seed: int) -> None:
    """Serve a simulated CloudTower until Ctrl-C.

    Args:
        port: Where to listen; 0 for any port that is free.
        size: How large the fleet is, in words.
        seed: The same seed makes the same fleet.

    Raises:
        UsageError: The size makes no sense, or the port cannot be had.
    """
    try:
        fleet = FleetSize.parse(size)
    except ValueError as exc:
        raise UsageError(f"--size: {exc}") from None
    with suppress(KeyboardInterrupt):
        anyio.run(_serve, Simulator(fleet, seed=seed, port=port), port)


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
    print(
        f"Simulating a CloudTower (clusters: {size.clusters:,}, VMs: {size.vms:,}) until Ctrl-C. "
        "Paste these lines into another shell:",
        file=sys.stderr,
        flush=True,
    )
    settings = {
        "ENDPOINT": simulator.url,
        "USERNAME": simulator.username,
        "PASSWORD": simulator.password,
    }
    for name, value in settings.items():
        print(f"export CLOUDTOWER_{name}={shlex.quote(value)}", flush=True)
