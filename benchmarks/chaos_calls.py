"""Calls of `benchmarks.chaos`, and the comparison of their outcomes."""

# ruff: noqa: S311 - the same seed must result in the same calls
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
READ_TIMEOUT = 2.0  # time-out of a request in seconds
KINDS: tuple[Kind, ...] = ("query", "create", "power")


class Place(msgspec.Struct, frozen=True):
    """Addresses of the pair, credentials, and ids of resources."""

    urls: list[str]
    username: str
    password: str
    cluster: str
    vms: list[str]
    """Ids of the running VMs."""


class Call(msgspec.Struct, frozen=True):
    """One call of a run. If the call is a mutation, its request contains the unique `marker`."""

    marker: str
    kind: Kind
    vm: str


class Outcome(msgspec.Struct, frozen=True):
    """Outcome of a call, as reported to the caller.

    Args:
        told: Reported outcome: ``done``, ``not done`` (the error means that the server did
            nothing), ``unknown`` (the server may have executed the call) or ``wrong`` (the answer
            is wrong).
        error: Class of the error, or an empty text.
    """

    told: Literal["done", "not done", "unknown", "wrong"]
    error: str = ""


class Tally(msgspec.Struct, kw_only=True):
    """Counted outcomes of the calls of one run."""

    calls: int
    seconds: float = 0.0
    queries_right: int = 0
    queries_wrong: int = 0
    queries_failed: int = 0
    done: int = 0
    not_done: int = 0
    unknown: int = 0
    twice: int = 0
    """Number of mutations that the server executed more than once."""
    denied: int = 0
    """Number of mutations that were executed, but reported as not done."""
    claimed: int = 0
    """Number of mutations that were reported as done, but not executed."""
    lost: int = 0
    """Number of calls without any outcome."""
    left: list[str] = []
    """Numbers of tasks and file descriptors that remained at the end, as texts."""
    errors: dict[str, int] = {}

    def sound(self) -> bool:
        """Return whether all invariants hold."""
        bad = self.queries_wrong + self.twice + self.denied + self.claimed + self.lost
        return not bad and not self.left


def script(seed: int, calls: int, place: Place) -> list[Call]:
    """Return the calls of a run: 70 % queries, 15 % creations and 15 % power operations."""
    choose = random.Random(seed)
    kinds = choose.choices(KINDS, (14, 3, 3), k=calls)
    return [
        Call(f"marker-{seed}-{number}", kind, choose.choice(place.vms))
        for number, kind in enumerate(kinds)
    ]


def new_vm(call: Call, place: Place) -> VmCreationParams:
    """Return the parameters of the VM that a call creates."""
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
    """Return a filter that matches the VM of a call. The filter contains the marker of the call."""
    return {"id": call.vm, "name_not": call.marker}


def count(
    tally: Tally, coming: list[Call], outcomes: dict[str, Outcome], executed: dict[str, int]
) -> None:
    """Compare the reported outcomes with the executed requests, and count them in `tally`."""
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
    """Run the pair of servers in a separate process; see `benchmarks.chaos.serve`."""
    return talking("chaos", "--serve", str(seed), str(faults), place=Place)


def executed(servers: Server[Place]) -> dict[str, int]:
    """Return how often each mutation was executed, by marker. Queries send no marker."""
    servers.say("count")
    return servers.hear(dict[str, int])
