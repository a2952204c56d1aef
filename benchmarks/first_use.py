"""`python -m benchmarks.first_use`: cost of the first call and of many sessions in a running loop.

Each first call runs in a separate process, together with a task that records how long the event
loop is blocked. The types are loaded alternately in a thread, as in the SDK, and in the event loop.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import ssl
import tempfile
import time
from typing import TYPE_CHECKING

from .apart import given_address, measure_apart, replay
from .figures import Figure, print_as_lines, spread

if TYPE_CHECKING:
    from cloudtower_async.transport.tls import TLS

RUNS, SESSIONS, ROUNDS = 15, 50, 5
WAYS = ("thread", "loop")


async def first_call(way: str) -> float:
    """Return the longest time in milliseconds that the first call blocks another task."""
    from cloudtower_async import Cloudtower

    address = given_address()
    async with Cloudtower(
        address.url, username=address.username, password=address.password
    ) as tower:
        longest, since = 0.0, time.perf_counter()

        async def tick() -> None:
            nonlocal longest, since
            while True:
                now = time.perf_counter()
                longest, since = max(longest, now - since), now
                await asyncio.sleep(0.0002)

        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0.01)
        longest = 0.0
        get_vms = tower.vm.get_vms
        if way == "loop":
            from cloudtower_async.api.vm import GET_VMS

            GET_VMS.loaded = True  # types are then loaded at their first use, in the event loop
        await get_vms(where={"name_contains": "web", "cluster": {"name": "prod"}}, first=1)
        await asyncio.sleep(0.001)
        ticking.cancel()
        return longest * 1e3


def first_calls() -> Figure:
    """Return the figure that compares loading in a thread and in the event loop."""
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as compiled, replay("1 clusters, 10 VMs") as address:
        os.environ["PYTHONPYCACHEPREFIX"] = compiled
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        for way in WAYS:  # the first run compiles modules
            measure_apart("first_use", "--first-call", way, address=address)
        for _ in range(RUNS):
            for way in WAYS:
                found[way] += measure_apart("first_use", "--first-call", way, address=address)
    value, low, high = spread(
        [one / other for one, other in zip(found["thread"], found["loop"], strict=True)]
    )
    medians = (f"{spread(found[way])[0]:.1f} ms" for way in WAYS)
    return Figure(
        what="longest block of the event loop in a first typed call: types loaded in a thread / in "
        "the event loop",
        value=value,
        low=low,
        high=high,
        goal=0.6,
        note=" / ".join(medians),
    )


def load(sessions: int) -> list[TLS]:
    """Load the TLS contexts for a number of sessions, and return them.

    All sessions trust the authorities in the certificate file of the system.
    """
    from cloudtower_async.options import Settings
    from cloudtower_async.transport.tls import TLS

    ca_file = ssl.get_default_verify_paths().cafile
    settings = Settings(endpoint="tower.example", token="t", ca_file=ca_file)  # noqa: S106 - none
    made = [TLS(settings) for _ in range(sessions)]
    for tls in made:
        tls.load()
    return made


def contexts() -> list[Figure]:
    """Return figures that compare the TLS contexts of many sessions and of one session."""
    spent: dict[int, list[float]] = {1: [], SESSIONS: []}
    load(1)
    for _ in range(ROUNDS * 3):
        for sessions, seconds in spent.items():
            gc.collect()
            start = time.process_time()
            loaded = load(sessions)
            seconds.append(time.process_time() - start)
            del loaded
    held = {sessions: {id(tls.context) for tls in load(sessions)} for sessions in spent}
    pairs = zip(spent[SESSIONS], spent[1], strict=True)
    value, low, high = spread([many / one for many, one in pairs])
    what = f"with the same `ca_file`: {SESSIONS} sessions / 1 session"
    return [
        Figure(
            what=f"CPU time to load TLS contexts {what}",
            value=value,
            low=low,
            high=high,
            goal=1.2,
            note=f"{spread(spent[1])[0] * 1e3:.1f} ms for 1 session",
        ),
        Figure(
            what=f"TLS contexts in memory {what}",
            value=len(held[SESSIONS]) / len(held[1]),
            goal=1.2,
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first-call", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.first_call:
        print(asyncio.run(first_call(options.first_call)))
        return
    print_as_lines([first_calls(), *contexts()])


if __name__ == "__main__":
    main()
