"""`python -m benchmarks.chaos`: outcomes of many calls under injected faults.

Two hundred queries, creations and power operations run concurrently. A fifth of the requests fail
before or after execution, and the nodes of an active/passive pair swap roles. The simulator runs in
a separate process and counts the executed requests. The outcome of each call is compared with these
counts. Then the same calls run with the vendor's client and its failover, and the wrong outcomes
are counted.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from cloudtower_async import Cloudtower, CloudtowerError, OutcomeUnknown

from .apart import heard, tell
from .chaos_calls import (
    CONCURRENCY,
    READ_TIMEOUT,
    SWITCHES,
    Outcome,
    Place,
    Tally,
    chosen,
    count,
    executed,
    new_vm,
    pair,
    script,
)
from .chaos_vendor import vendors

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from .chaos_calls import Call

CALLS, SEEDS, FAULTS = 20_000, 5, 0.2
VMS = 400


# Process of the server


async def serve(seed: int, faults: float) -> None:
    """Serve an active/passive pair.

    Each line of the input is a command: switch, faults, calm or count.
    """
    from cloudtower_async.testing import Simulator

    async with Simulator(
        f"2 clusters, {VMS} VMs", standby=True, task_duration=0.02, keep_requests=None
    ) as sim:
        vms = [vm for vm in sim.store.table("Vm").values() if vm["status"] == "RUNNING"]
        urls = [node.url for node in sim.nodes]
        place = Place(urls, sim.username, sim.password, vms[0]["cluster"], [vm["id"] for vm in vms])
        tell(place)
        while word := (await heard()).strip():
            match word:
                case "switch":
                    sim.switch()
                case "faults":
                    sim.faults.at_random(faults, seed=seed)
                case "calm":
                    sim.faults.clear()
                case _:
                    tell(Counter(filter(None, (_marker(one.body) for one in sim.executed))))


def _marker(body: object) -> str | None:
    match body:
        case [{"name": str(name)}] if name.startswith("marker-"):
            return name
        case {"where": {"name_not": str(name)}} if name.startswith("marker-"):
            return name
        case _:
            return None


# Our client


async def ours(seed: int, calls: int, faults: float) -> Tally:
    """Make the calls of a run with our client, and return the counted outcomes."""
    with pair(seed, faults) as servers:
        place, outcomes = servers.place, dict[str, Outcome]()
        coming = script(seed, calls, place)
        tally = Tally(calls=calls)
        async with _nothing_left(tally):
            tower = Cloudtower(
                place.urls,
                username=place.username,
                password=place.password,
                timeout=60.0,
                read_timeout=READ_TIMEOUT,
                lock_timeout=30.0,
                max_connections=CONCURRENCY,
            )
            async with tower:
                servers.say("faults")
                start = time.perf_counter()
                await _run(tower, coming, place, outcomes, lambda: servers.say("switch"))
                tally.seconds = time.perf_counter() - start
                servers.say("calm")
        count(tally, coming, outcomes, executed(servers))
    return tally


async def _run(
    tower: Cloudtower,
    coming: list[Call],
    place: Place,
    outcomes: dict[str, Outcome],
    switch: Callable[[], None],
) -> None:
    waiting = iter(enumerate(coming))
    every = len(coming) // (SWITCHES + 1)

    async def work() -> None:
        for number, call in waiting:
            if number and number % every == 0 and number // every <= SWITCHES:
                switch()
            outcomes[call.marker] = await _outcome(tower, call, place)

    async with anyio.create_task_group() as group:
        for _ in range(CONCURRENCY):
            group.start_soon(work)


async def _outcome(tower: Cloudtower, call: Call, place: Place) -> Outcome:
    try:
        if call.kind == "query":
            [vm] = await tower.vm.get_vms(where={"id": call.vm})
            return Outcome("done" if vm.id == call.vm else "wrong")
        if call.kind == "create":
            await tower.vm.create_vm([new_vm(call, place)])
        else:
            await tower.vm.restart_vm(where=chosen(call))
    except OutcomeUnknown as exc:
        return Outcome("unknown", type(exc.__cause__).__name__)
    except CloudtowerError as exc:
        return Outcome("not done", type(exc).__name__)
    return Outcome("done")


@asynccontextmanager
async def _nothing_left(tally: Tally) -> AsyncGenerator[None]:
    """Record the tasks and file descriptors that a block leaves behind."""
    before = len(asyncio.all_tasks()), _descriptors()
    yield
    await asyncio.sleep(0.1)  # give the event loop time to drop closed connections
    gc.collect()
    after = len(asyncio.all_tasks()), _descriptors()
    for name, was, now in zip(("tasks", "file descriptors"), before, after, strict=True):
        if now > was:
            tally.left = [*tally.left, f"{now - was} {name}"]


def _descriptors() -> int:
    """Return the number of open file descriptors, including the one for the listing."""
    folder = Path("/proc/self/fd")
    return len(os.listdir(folder)) if folder.is_dir() else 0  # noqa: PTH208 - cheaper


def show(who: str, seed: int, tally: Tally) -> None:
    """Print the outcomes of the calls of a run."""
    executed = tally.done + tally.not_done + tally.unknown
    print(
        f"{who}, seed {seed}: {tally.calls:,} calls in {tally.seconds:.0f} s; "
        f"queries: {tally.queries_right:,} right, {tally.queries_failed:,} with their error, "
        f"{tally.queries_wrong:,} wrong; mutations: {executed:,}, of these {tally.done:,} done, "
        f"{tally.not_done:,} not done, {tally.unknown:,} told as unknown; "
        f"executed twice {tally.twice}, executed and told otherwise {tally.denied}, "
        f"told as done and not executed {tally.claimed}, lost {tally.lost}; "
        f"left behind: {', '.join(tally.left) or 'nothing'}",
        flush=True,
    )
    for name, number in list(tally.errors.items())[:8]:
        print(f"    {number:6,} {name}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument(
        "--seeds", type=int, default=SEEDS, help="number of runs, each with its own seed"
    )
    parser.add_argument(
        "--faults", type=float, default=FAULTS, help="share of the requests that fail"
    )
    parser.add_argument("--no-vendor", action="store_true")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        anyio.run(serve, int(options.serve[0]), float(options.serve[1]))
        return
    sound = True
    for seed in range(1, options.seeds + 1):
        tally = anyio.run(ours, seed, options.calls, options.faults)
        show("cloudtower_async", seed, tally)
        sound = sound and tally.sound()
    if find_spec("cloudtower") and not options.no_vendor:
        show("the vendor's client", 1, vendors(1, options.calls, options.faults))
    if not sound:
        sys.exit("something happened that must not")


if __name__ == "__main__":
    main()
