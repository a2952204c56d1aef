"""`python -m benchmarks.chaos`: what becomes of many calls while everything goes wrong.

Queries, creations and power operations, two hundred at a time. A fifth of the requests meet a fault
of one kind or another, executed before it or not, and the servers of a pair change places. The
simulator, in a process of its own, counts what it has executed, and each call is held against that.
Then the same calls with the vendor's client and its failover, whose loss is counted.
"""

# ruff: noqa: S311 - the same seed makes the same calls
from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import os
import random
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import anyio
import anyio.to_thread
import msgspec

from cloudtower_async import (
    Cloudtower,
    CloudtowerError,
    OutcomeUnknown,
)

Kind: TypeAlias = Literal["query", "create", "power"]

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from cloudtower_async.inputs import VmCreationParams, VmWhereInput

CALLS, CONCURRENCY, SEEDS, SWITCHES, FAULTS = 20_000, 200, 5, 10, 0.2
READ_TIMEOUT = 2.0  # seconds until a request that hangs is given up
VMS = 400
KINDS: tuple[Kind, ...] = ("query", "create", "power")


class Place(msgspec.Struct, frozen=True):
    """Where the pair is, and what is on it."""

    urls: list[str]
    username: str
    password: str
    cluster: str
    vms: list[str]
    """Those that run."""


class Call(msgspec.Struct, frozen=True):
    """One call of the script. Its marker is in what it sends, and nowhere else."""

    marker: str
    kind: Kind
    vm: str


class Outcome(msgspec.Struct, frozen=True):
    """What the caller was told.

    Args:
        told: ``done``, ``not done`` (an error that says that nothing was done), ``unknown`` (an
            error that says that it may have been done) or ``wrong`` (an answer that is not right).
        error: The class of the error.
    """

    told: Literal["done", "not done", "unknown", "wrong"]
    error: str = ""


class Tally(msgspec.Struct, kw_only=True):
    """What became of the calls of one run."""

    calls: int
    seconds: float = 0.0
    queries_right: int = 0
    queries_wrong: int = 0
    queries_failed: int = 0
    done: int = 0
    not_done: int = 0
    unknown: int = 0
    twice: int = 0
    """Mutations that the server executed more than once."""
    denied: int = 0
    """Mutations that were executed, and of which the caller was told otherwise."""
    claimed: int = 0
    """Mutations that the caller was told were done, and were not."""
    lost: int = 0
    """Calls that ended in nothing."""
    left: list[str] = []
    """What was still there at the end: tasks, connections, file descriptors."""
    errors: dict[str, int] = {}

    def sound(self) -> bool:
        """Whether nothing happened that must not."""
        bad = self.queries_wrong + self.twice + self.denied + self.claimed + self.lost
        return not bad and not self.left


def script(seed: int, calls: int, place: Place) -> list[Call]:
    """The calls of a run: 70 % queries, 30 % creations and power operations."""
    choose = random.Random(seed)
    kinds = choose.choices(KINDS, (14, 3, 3), k=calls)
    return [
        Call(f"marker-{seed}-{number}", kind, choose.choice(place.vms))
        for number, kind in enumerate(kinds)
    ]


def new_vm(call: Call, place: Place) -> VmCreationParams:
    """The VM that a call creates."""
    return {
        "cluster_id": place.cluster,
        "name": call.marker,
        "cpu_cores": 1,
        "cpu_sockets": 1,
        "memory": 2**30,
        "firmware": "BIOS",
        "ha": False,
        "status": "STOPPED",
        "vm_disks": {},
        "vm_nics": [],
    }


def chosen(call: Call) -> VmWhereInput:
    """A filter that finds the VM of a call, and bears its marker."""
    return {"id": call.vm, "name_not": call.marker}


# The server's process


async def serve(seed: int, faults: float) -> None:
    """Be the pair. Each line of the input is a word: switch, faults, calm, count."""
    from cloudtower_async.testing import Simulator

    async with Simulator(
        f"2 clusters, {VMS} VMs", standby=True, task_duration=0.02, keep_requests=None
    ) as sim:
        vms = [vm for vm in sim.store.table("Vm").values() if vm["status"] == "RUNNING"]
        urls = [node.url for node in sim.nodes]
        place = Place(urls, sim.username, sim.password, vms[0]["cluster"], [vm["id"] for vm in vms])
        _say(place)
        while word := (await anyio.to_thread.run_sync(sys.stdin.readline)).strip():
            match word:
                case "switch":
                    sim.switch()
                case "faults":
                    sim.faults.at_random(faults, seed=seed)
                case "calm":
                    sim.faults.clear()
                case _:
                    _say(Counter(filter(None, (_marker(one.body) for one in sim.executed))))


def _marker(body: object) -> str | None:
    match body:
        case [{"name": str(name)}] if name.startswith("marker-"):
            return name
        case {"where": {"name_not": str(name)}} if name.startswith("marker-"):
            return name
        case _:
            return None


def _say(what: object) -> None:
    print(msgspec.json.encode(what).decode(), flush=True)


class Pair:
    """The server's process, seen from the client's."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None  # noqa: S101 - for type checkers
        assert process.stdout is not None  # noqa: S101
        self._told, self._tell = process.stdout, process.stdin
        self.place = msgspec.json.decode(self._told.readline(), type=Place)

    def say(self, word: str) -> None:
        """Tell the server to do something."""
        self._tell.write(f"{word}\n".encode())
        self._tell.flush()

    def executed(self) -> dict[str, int]:
        """How often each mutation was executed, by its marker. Queries bear none."""
        self.say("count")
        return msgspec.json.decode(self._told.readline(), type=dict[str, int])


@contextmanager
def pair(seed: int, faults: float) -> Generator[Pair]:
    """Run the pair in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.chaos", "--serve", str(seed), str(faults)]
    with subprocess.Popen(  # noqa: S603 - our own code
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield Pair(process)
        finally:
            process.terminate()


# Ours


async def ours(seed: int, calls: int, faults: float) -> Tally:
    """Run the script with this package."""
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
        _count(tally, coming, outcomes, servers.executed())
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
    """Compare what there is of tasks and file descriptors before and after."""
    before = len(asyncio.all_tasks()), _descriptors()
    yield
    await asyncio.sleep(0.1)  # connections that were closed are let go of by the event loop
    gc.collect()
    after = len(asyncio.all_tasks()), _descriptors()
    for name, was, now in zip(("tasks", "file descriptors"), before, after, strict=True):
        if now > was:
            tally.left = [*tally.left, f"{now - was} {name}"]


def _descriptors() -> int:
    """Open files and sockets of this process. The one that is made to look counts each time."""
    folder = Path("/proc/self/fd")
    return len(os.listdir(folder)) if folder.is_dir() else 0  # noqa: PTH208 - cheaper


def _count(
    tally: Tally, coming: list[Call], outcomes: dict[str, Outcome], executed: dict[str, int]
) -> None:
    errors: Counter[str] = Counter()
    for call in coming:
        outcome = outcomes.get(call.marker)
        if outcome is None:
            tally.lost += 1
            continue
        if outcome.error:
            errors[f"{call.kind}: {outcome.told}: {outcome.error}"] += 1
        if call.kind == "query":
            tally.queries_right += outcome.told == "done"
            tally.queries_wrong += outcome.told == "wrong"
            tally.queries_failed += outcome.told in ("not done", "unknown")
            continue
        times = executed.get(call.marker, 0)
        tally.done += outcome.told == "done"
        tally.not_done += outcome.told == "not done"
        tally.unknown += outcome.told == "unknown"
        tally.twice += times > 1
        tally.denied += times > 0 and outcome.told == "not done"
        tally.claimed += times == 0 and outcome.told == "done"
    tally.errors = dict(errors.most_common())


# The vendor's


def vendors(seed: int, calls: int, faults: float) -> Tally:
    """Run the script with the vendor's client and its failover, in as many threads."""
    with pair(seed, faults) as servers:
        place, outcomes = servers.place, dict[str, Outcome]()
        coming = script(seed, calls, place)
        tally = Tally(calls=calls)
        vms = _vendor_vms(place)
        vms.get_vms({"first": 1})
        servers.say("faults")
        start = time.perf_counter()
        every = calls // (SWITCHES + 1)

        def work(numbered: tuple[int, Call]) -> None:
            number, call = numbered
            if number and number % every == 0 and number // every <= SWITCHES:
                servers.say("switch")
            outcomes[call.marker] = _vendor_outcome(vms, call, place)

        with ThreadPoolExecutor(CONCURRENCY) as pool:
            list(pool.map(work, enumerate(coming)))
        tally.seconds = time.perf_counter() - start
        servers.say("calm")
        _count(tally, coming, outcomes, servers.executed())
    return tally


def _vendor_vms(place: Place) -> Any:  # noqa: ANN401 - it has no types
    sdk: Any = importlib.import_module("cloudtower")
    endpoints = [{"root_url": url, "scheme": "http"} for url in place.urls]
    user = {"name": place.username, "password": place.password, "source": "LOCAL"}
    return sdk.VmApi(sdk.ActivePassiveApiClient(endpoints, user_config=user))


def _vendor_outcome(vms: Any, call: Call, place: Place) -> Outcome:  # noqa: ANN401
    """What the vendor's client tells. Its errors do not say whether something was done."""
    # It waits without end otherwise.
    limit = {"_request_timeout": READ_TIMEOUT}
    try:
        if call.kind == "query":
            found = vms.get_vms({"where": {"id": call.vm}}, **limit)
            right = [getattr(vm, "id", None) for vm in found] == [call.vm]
            return Outcome("done" if right else "wrong")
        if call.kind == "create":
            vms.create_vm([new_vm(call, place)], **limit)
        else:
            vms.restart_vm({"where": chosen(call)}, **limit)
    except Exception as exc:
        return Outcome("not done", type(exc).__name__)
    return Outcome("done")


def show(who: str, seed: int, tally: Tally) -> None:
    """Print what became of the calls of one run."""
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
    parser.add_argument("--seeds", type=int, default=SEEDS, help="runs, each with its own seed")
    parser.add_argument("--faults", type=float, default=FAULTS, help="share of the requests")
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
