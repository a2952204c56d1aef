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
READ_TIMEOUT = 2.0  # seconds until a request that hangs is given up
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
    """Outcome of a call, as reported to the caller.

    Args:
        told: ``done``, ``not done`` (an error that says that nothing was done), ``unknown`` (an
            error that says that it may have been done) or ``wrong`` (an answer that is not right).
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


def count(
    tally: Tally, coming: list[Call], outcomes: dict[str, Outcome], executed: dict[str, int]
) -> None:
    """Hold what the callers were told against what was executed."""
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
    """The servers, in a process of their own: `benchmarks.chaos` says what they listen to."""
    return talking("chaos", "--serve", str(seed), str(faults), place=Place)


def executed(servers: Server[Place]) -> dict[str, int]:
    """How often each mutation was executed, by its marker. Queries bear none."""
    servers.say("count")
    return servers.hear(dict[str, int])
