"""The calls of `benchmarks.chaos` and their outcomes."""

# ruff: noqa: S311 - the same seed makes the same calls
from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from .apart import talking

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from cloudtower_async.inputs import VmCreationParams, VmWhereInput

    from .apart import Server

Kind: TypeAlias = Literal["query", "create", "power"]

CONCURRENCY, SWITCHES = 200, 10
READ_TIMEOUT = 2.0  # time-out in seconds of a request that hangs
KINDS: tuple[Kind, ...] = ("query", "create", "power")


class Place(msgspec.Struct, frozen=True):
    """Addresses of the pair, and resources on it."""

    urls: list[str]
    username: str
    password: str
    cluster: str
    vms: list[str]
    """The running VMs."""


class Call(msgspec.Struct, frozen=True):
    """One call of the script. Only this call sends its marker."""

    marker: str
    kind: Kind
    vm: str


class Outcome(msgspec.Struct, frozen=True):
    """Outcome of a call, as reported to the caller.

    Args:
        told: ``done``, ``not done`` (the error says that nothing was done), ``unknown`` (the error
            says that it may have been done) or ``wrong`` (the answer is wrong).
        error: The class of the error.
    """

    told: Literal["done", "not done", "unknown", "wrong"]
    error: str = ""


class Tally(msgspec.Struct, kw_only=True):
    """Outcomes of the calls of one run."""

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
    """Mutations that were executed although the caller was told otherwise."""
    claimed: int = 0
    """Mutations that were reported as done but not executed."""
    lost: int = 0
    """Calls without any outcome."""
    left: list[str] = []
    """Tasks, connections and file descriptors that remained at the end."""
    errors: dict[str, int] = {}

    def sound(self) -> bool:
        """Whether no invariant was violated."""
        bad = self.queries_wrong + self.twice + self.denied + self.claimed + self.lost
        return not bad and not self.left


def script(seed: int, calls: int, place: Place) -> list[Call]:
    """Return the calls of a run: 70 % queries, 30 % creations and power operations."""
    choose = random.Random(seed)
    kinds = choose.choices(KINDS, (14, 3, 3), k=calls)
    return [
        Call(f"marker-{seed}-{number}", kind, choose.choice(place.vms))
        for number, kind in enumerate(kinds)
    ]


def new_vm(call: Call, place: Place) -> VmCreationParams:
    """Return the VM that a call creates."""
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
    """Return a filter that finds the VM of a call and contains its marker."""
    return {"id": call.vm, "name_not": call.marker}


def count(
    tally: Tally, coming: list[Call], outcomes: dict[str, Outcome], executed: dict[str, int]
) -> None:
    """Compare the reported outcomes with the executed requests."""
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


def pair(seed: int, faults: float) -> AbstractContextManager[Server[Place]]:
    """Run the servers in a separate process; `benchmarks.chaos` lists their commands."""
    return talking("chaos", "--serve", str(seed), str(faults), place=Place)


def executed(servers: Server[Place]) -> dict[str, int]:
    """Return how often each mutation was executed, by its marker. Queries have no marker."""
    servers.say("count")
    return servers.hear(dict[str, int])
