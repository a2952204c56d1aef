"""`python -m benchmarks.large_answers`: decoding of answers that are large, broken, or both.

VMs are decoded in alternation by msgspec in one piece and by the SDK. The SDK also decodes answers
in which one row or every row has one invalid field. While the SDK decodes, another task measures
the CPU time for which it is blocked.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import time
import tracemalloc
from typing import TYPE_CHECKING

import msgspec

from cloudtower_async.api.vm import GET_VMS
from cloudtower_async.calls.decoding import SlicedAnswer, decode
from cloudtower_async.transport.responses import Answer

from .figures import Figure, print_as_lines, spread
from .full import full_vm
from .measures import Times

if TYPE_CHECKING:
    from collections.abc import Container

    from cloudtower_async.models import Vm

VMS, BROKEN, ROUNDS = 20_000, 10_000, 9


def answer(vms: int, broken: Container[int] = ()) -> bytes:
    """Return an answer with full VMs. The VMs at the indexes `broken` have a string as `vcpu`."""
    right = full_vm()
    rows = (
        right | {"id": f"vm-{place}"} | ({"vcpu": "two"} if place in broken else {})
        for place in range(vms)
    )
    return b"[%s]" % b",".join(map(msgspec.json.encode, rows))


async def read(body: bytes) -> list[Vm]:
    """Decode an answer as a call does, and return the VMs."""
    found = decode(GET_VMS, Answer(200, body, "r-1"), "https://tower.example", strict=False)
    return await found.read() if isinstance(found, SlicedAnswer) else found


async def longest_block(body: bytes) -> float:
    """Return the longest CPU time in seconds for which decoding blocks another task."""
    longest, since = 0.0, time.process_time()

    async def tick() -> None:
        nonlocal longest, since
        while True:
            now = time.process_time()
            longest, since = max(longest, now - since), now
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    found = await read(body)
    await asyncio.sleep(0)
    ticking.cancel()
    del found  # freeing the VMs also takes time
    return longest


async def slices() -> list[Figure]:
    """Return figures that compare decoding a large answer in slices and in one piece."""
    body = answer(VMS)
    at_once, sliced, blocks = Times(), Times(), list[float]()
    for _ in range(ROUNDS):
        gc.collect()
        with at_once.measured():
            found = GET_VMS.decoder.decode(body)
        del found
        gc.collect()
        with sliced.measured():
            found = await read(body)
        del found
        gc.collect()
        blocks.append(await longest_block(body))
    note = f"{len(body) / 1e6:.0f} MB; {spread(at_once.cpu)[0] * 1e3:.0f} ms to decode in one piece"
    what = f"for a response of {VMS:,} VMs: decoded in slices / in one piece"
    return [
        _ratio(f"longest block of the event loop {what}", blocks, at_once.cpu, 0.2, note),
        _ratio(f"CPU time {what}", sliced.cpu, at_once.cpu, 1.25, note),
    ]


async def repairs() -> list[Figure]:
    """Return figures that compare decoding answers with broken rows and an intact answer."""
    bodies = {
        "none": answer(BROKEN),
        "one": answer(BROKEN, {BROKEN // 2}),
        "all": answer(BROKEN, range(BROKEN)),
    }
    times = {case: Times() for case in bodies}
    for _ in range(ROUNDS):
        for case, body in bodies.items():
            gc.collect()
            with times[case].measured():
                found = await read(body)
            assert len(found) == BROKEN  # noqa: S101
            del found
    peaks: dict[str, int] = {}
    for case, body in bodies.items():
        gc.collect()
        tracemalloc.start()
        await read(body)
        peaks[case] = tracemalloc.get_traced_memory()[1] + len(body)
        tracemalloc.stop()
    intact = times["none"].cpu
    medians = {case: spread(spent.cpu)[0] * 1e3 for case, spent in times.items()}
    note = "invalid VMs: " + ", ".join(f"{case} {value:.0f} ms" for case, value in medians.items())
    what = f"CPU time to decode {BROKEN:,} VMs: one invalid VM / no invalid VM"
    every = f"to decode {BROKEN:,} VMs: an invalid field in each VM / no invalid VM"
    return [
        _ratio(what, times["one"].cpu, intact, 1.8, note),
        _ratio(f"CPU time {every}", times["all"].cpu, intact, 6, note),
        Figure(
            what=f"peak memory {every}",
            value=peaks["all"] / peaks["none"],
            goal=1.6,
            note=f"{peaks['all'] / 1e6:.0f} MB / {peaks['none'] / 1e6:.0f} MB",
        ),
    ]


def _ratio(what: str, these: list[float], others: list[float], goal: float, note: str) -> Figure:
    value, low, high = spread([one / other for one, other in zip(these, others, strict=True)])
    return Figure(what=what, value=value, low=low, high=high, goal=goal, note=note)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    logging.getLogger("cloudtower_async").setLevel(logging.ERROR)
    print_as_lines(asyncio.run(slices()))
    print_as_lines(asyncio.run(repairs()))


if __name__ == "__main__":
    main()
