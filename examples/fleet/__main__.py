"""Show the state of many CloudTowers until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
from contextlib import AsyncExitStack

import anyio

from cloudtower_async import Cloudtower, InvalidSettings

from .demo import simulated
from .table import table
from .watch import FleetWatch

_CLEAR = "\x1b[H\x1b[J"
_REDRAWN = 1.0  # seconds between two redraws, which update the ages even without a new state


async def show(towers: dict[str, Cloudtower], options: argparse.Namespace) -> None:
    """Watch the Towers, and print their states once or repeatedly."""
    async with AsyncExitStack() as stack:
        if not towers:
            towers = await stack.enter_async_context(simulated())
        for tower in towers.values():
            stack.push_async_callback(tower.close)
        watch = FleetWatch(towers, interval=options.interval, timeout=options.timeout)
        async with anyio.create_task_group() as group:
            group.start_soon(watch.run)
            while not options.once:
                print(_CLEAR + table(watch.sights), flush=True)
                await anyio.sleep(_REDRAWN)
            await watch.all_asked()
            print(table(watch.sights))
            group.cancel_scope.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.fleet")
    add = parser.add_argument
    add("profiles", nargs="*", help="profiles of the Towers; by default, simulated Towers")
    add("--interval", type=float, default=10.0, help="seconds between two polls of a Tower")
    add("--timeout", type=float, default=30.0, help="time-out of a poll in seconds")
    add("--once", action="store_true", help="print the states once, after one poll of each Tower")
    options = parser.parse_args()
    try:
        towers = {name: Cloudtower.from_env(profile=name) for name in options.profiles}
        anyio.run(show, towers, options)
    except InvalidSettings as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
