"""`python -m benchmarks.projection`: savings from decoding only some fields.

The servers answer from memory in separate processes. There are three cases: reading a whole fleet,
building the dashboard, and polling all VMs of many CloudTowers. In each case, decoding some fields
and decoding all fields are measured in alternation.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import time
import tracemalloc
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import msgspec

from .apart import Address, given_address, measure_apart, replay, serving
from .decoding import answer
from .figures import Figure, print_as_lines, spread
from .measures import Times, held_mb
from .reading import CONCURRENCY, PAGE, page_requests, ratios, read_bare, session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cloudtower_async import Cloudtower

VMS = 20_000
CLUSTERS, HOSTS, DISKS, ALERTS = 100, 2_000, 20_000, 5_000
TOWERS, MANY_TOWERS, VMS_OF_EACH = 50, 200, 2_000
ROUNDS = 9
FLEET_ROUNDS = 3
"""Number of rounds in a process that polls many CloudTowers, and number of processes of each
kind."""


class SomeFields(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Seven of the 73 fields of a VM."""

    id: str
    name: str
    status: str
    vcpu: int
    memory: int
    cpu_usage: float | None = None
    memory_usage: float | None = None


async def serve_dashboard(*, broken: bool) -> None:
    """Serve a large fleet with rows as large as those of real servers.

    Args:
        broken: Whether each disk has an invalid value in a field that the dashboard does not need.
    """
    from cloudtower_async import models
    from cloudtower_async.testing import Simulator

    from .full import full_vm
    from .replay import serve

    def rows(kind: type[msgspec.Struct], number: int, **own: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        made = {**full_vm(kind), **own}
        return [
            {
                **made,
                "id": f"{kind.__name__}-{place}",
                "cluster": {"id": f"Cluster-{place % CLUSTERS}", "name": "a cluster"},
            }
            for place in range(number)
        ]

    answers = {
        b"get-clusters": rows(
            models.Cluster, CLUSTERS, hypervisor="ELF", host_num=HOSTS // CLUSTERS
        ),
        b"get-hosts": rows(models.Host, HOSTS),
        b"get-disks": rows(models.Disk, DISKS, **({"firmware": 5} if broken else {})),
        b"get-alerts": rows(models.Alert, ALERTS),
    }
    contents = {path: msgspec.json.encode(made) for path, made in answers.items()}
    async with Simulator("1 clusters, 2 VMs", keep_requests=10) as sim:
        await serve(sim, lambda path, content: contents.get(path.rpartition(b"/")[2], content))


async def fetching(address: Address) -> list[Figure]:
    """Return the figure that compares reading seven fields of all VMs and reading all fields.

    Seven fields are read with `fetch_all`. All fields are read with aiohttp and msgspec alone.
    """
    from cloudtower_async import models, select_fields

    ours, bare = Times(), Times()
    async with session(address) as tower:
        mine = select_fields(tower.vm.get_vms, SomeFields)
        count = len(await tower.fetch_all(mine, CONCURRENCY, PAGE))
        headers = {"authorization": await tower.get_token(), "content-type": "application/json"}
        decoder = msgspec.json.Decoder(list[models.Vm])
        async with aiohttp.ClientSession(f"{address.url}/v2/api/", headers=headers) as client:
            for _ in range(ROUNDS):
                gc.collect()
                with ours.measured():
                    found = await tower.fetch_all(mine, CONCURRENCY, PAGE)
                assert len(found) == count  # noqa: S101
                del found
                gc.collect()
                with bare.measured():
                    rows = await read_bare(client, page_requests(count), decoder)
                del rows
    value, low, high = spread(ratios(ours.cpu, bare.cpu))
    return [
        Figure(
            what=f"CPU time of `fetch_all` of {VMS:,} VMs: ours with 7 of 73 fields / bare with "
            "all fields",
            value=value,
            low=low,
            high=high,
            goal=0.25,
            note=f"{spread(ours.cpu)[0] * 1e3:.0f} ms / {spread(bare.cpu)[0] * 1e3:.0f} ms",
        )
    ]


def holding(address: Address) -> list[Figure]:
    """Return the figure that compares the memory of VMs with seven fields and with all fields."""
    from cloudtower_async.api.vm import GET_VMS

    body = answer(address)
    sizes: list[float] = []
    number = 0
    for decoder in (msgspec.json.Decoder(list[SomeFields]), GET_VMS.decoder):
        decoder.decode(body)
        gc.collect()
        tracemalloc.start()
        rows = decoder.decode(body)
        sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        number = len(rows)
    some, full = sizes
    return [
        Figure(
            what="memory per decoded VM: 7 of 73 fields / all fields",
            value=some / full,
            goal=0.05,
            note=f"{some / number:,.0f} bytes / {full / number:,.0f} bytes",
        )
    ]


async def dashboard(intact: Address, broken: Address) -> list[Figure]:
    """Return figures that compare the dashboard with a dashboard that decodes all fields."""
    from cloudtower_async.recipes import build_dashboard
    from cloudtower_async.recipes.dashboard import summarise

    async def with_full_structs(tower: Cloudtower) -> Any:  # noqa: ANN401
        full: Any = await asyncio.gather(
            tower.cluster.get_clusters(),
            tower.host.get_hosts(),
            tower.disk.get_disks(),
            tower.alert.get_alerts(where={"ended": False}),
        )
        return summarise(*full)

    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = records.append  # type: ignore[assignment,method-assign]
    logging.getLogger("cloudtower_async").addHandler(handler)
    async with session(intact) as tower, session(broken) as other:
        kinds: list[tuple[Times, Callable[[], Awaitable[Any]]]] = [
            (Times(), lambda: build_dashboard(tower)),
            (Times(), lambda: with_full_structs(tower)),
            (Times(), lambda: build_dashboard(other)),
        ]
        boards = [await build() for _, build in kinds]
        moment = boards[0].built_at
        same = [msgspec.structs.replace(board, built_at=moment) for board in boards]
        assert same[0] == same[1] == same[2]  # noqa: S101
        del boards, same
        for _ in range(ROUNDS):
            for times, build in kinds:
                await build()  # so that each kind starts with the same freed memory
                gc.collect()
                with times.measured():
                    await build()
        assert not records, records  # noqa: S101
        peaks: list[float] = []
        for _, build in kinds[:2]:
            gc.collect()
            tracemalloc.start()
            await build()
            peaks.append(tracemalloc.get_traced_memory()[1] / 1e6)
            tracemalloc.stop()
    ours, full, repaired = (times.cpu for times, _ in kinds)
    size = f"{CLUSTERS} clusters, {HOSTS:,} hosts, {DISKS:,} disks, {ALERTS:,} alerts"
    cpu, cpu_low, cpu_high = spread(ratios(ours, full))
    more, more_low, more_high = spread(ratios(repaired, ours))
    return [
        Figure(
            what="CPU time of a dashboard of a large fleet: needed fields / all fields",
            value=cpu,
            low=cpu_low,
            high=cpu_high,
            goal=0.28,
            note=f"{size}; {spread(ours)[0] * 1e3:.0f} ms / {spread(full)[0] * 1e3:.0f} ms",
        ),
        Figure(
            what="peak memory of a dashboard of a large fleet: needed fields / all fields",
            value=peaks[0] / peaks[1],
            goal=0.6,
            note=f"{peaks[0]:.0f} MB / {peaks[1]:.0f} MB",
        ),
        Figure(
            what="CPU time of a dashboard: with an invalid unused field in each disk / with valid "
            "fields only",
            value=more,
            low=more_low,
            high=more_high,
            goal=1.1,
            note="both dashboards have the same result, and no warning is logged",
        ),
    ]


async def poll(kind: str, towers: int, address: Address) -> tuple[float, float]:
    """Poll all VMs of many CloudTowers, and keep the last state of each CloudTower.

    Args:
        kind: Fields to decode: ``some`` or ``all``.
        towers: Number of CloudTowers.
        address: Address of the server, which stands for all CloudTowers.

    Returns:
        The lowest CPU time of a round in seconds, and the memory in megabytes above the memory
        before the first round.
    """
    from cloudtower_async import Cloudtower, select_fields

    spent: list[float] = []
    state: dict[int, list[Any]] = {}
    async with AsyncExitStack() as stack:
        sessions = [
            await stack.enter_async_context(
                Cloudtower(address.url, username=address.username, password=address.password)
            )
            for _ in range(towers)
        ]

        async def read(place: int) -> None:
            ask: Any = sessions[place].vm.get_vms
            if kind == "some":
                ask = select_fields(ask, SomeFields)
            state[place] = await sessions[place].fetch_all(ask, 2, PAGE)

        await read(0)  # loads modules and fills the cache of the server
        state.clear()
        gc.collect()
        before = held_mb()
        for _ in range(FLEET_ROUNDS):
            start = time.process_time()
            async with anyio.create_task_group() as group:
                for place in range(towers):
                    group.start_soon(read, place)
            spent.append(time.process_time() - start)
        assert {len(rows) for rows in state.values()} == {VMS_OF_EACH}  # noqa: S101
        gc.collect()
        return min(spent), held_mb() - before


def fleet(address: Address) -> list[Figure]:
    """Return figures that compare polling some fields and all fields of many CloudTowers.

    Each measurement runs in a separate process.
    """
    kinds = (("some", TOWERS), ("all", TOWERS), ("some", MANY_TOWERS))
    measured: list[list[list[float]]] = [[], [], []]
    for _ in range(FLEET_ROUNDS):
        for found, (kind, towers) in zip(measured, kinds, strict=True):
            arguments = ("--poll", kind, str(towers))
            found.append(measure_apart("projection", *arguments, address=address))
    some, full, many = measured
    cpu, cpu_low, cpu_high = spread(
        [one[0] / other[0] for one, other in zip(some, full, strict=True)]
    )
    held = spread([one[1] / other[1] for one, other in zip(some, full, strict=True)])[0]
    growth, growth_low, growth_high = spread(
        [one[0] / MANY_TOWERS / (other[0] / TOWERS) for one, other in zip(many, some, strict=True)]
    )
    what = f"{TOWERS} CloudTowers of {VMS_OF_EACH:,} VMs, polled repeatedly"
    return [
        Figure(
            what=f"{what}: CPU time with 7 of 73 fields / with all fields",
            value=cpu,
            low=cpu_low,
            high=cpu_high,
            goal=0.45,
            note=f"{some[0][0]:.2f} s / {full[0][0]:.2f} s to read all of them once",
        ),
        Figure(
            what=f"{what}: memory with 7 of 73 fields / with all fields",
            value=held,
            goal=0.1,
            note=f"{some[0][1]:.0f} MB / {full[0][1]:.0f} MB",
        ),
        Figure(
            what=f"CPU time per CloudTower with 7 of 73 fields: {MANY_TOWERS} CloudTowers / "
            f"{TOWERS} CloudTowers",
            value=growth,
            low=growth_low,
            high=growth_high,
            goal=1.15,
            note=f"{many[0][0] / MANY_TOWERS * 1e3:.1f} ms / {some[0][0] / TOWERS * 1e3:.1f} ms",
        ),
    ]


def main() -> None:
    """Run the measurement, a server, or one of the measured processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", choices=("intact", "broken"), help=argparse.SUPPRESS)
    parser.add_argument("--poll", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        from .replay import run

        run(serve_dashboard(broken=options.serve == "broken"))
    elif options.poll:
        kind, towers = options.poll
        print(*anyio.run(poll, kind, int(towers), given_address()))
    else:
        with replay(f"4 clusters, {VMS} VMs") as address:
            print_as_lines([*holding(address), *anyio.run(fetching, address)])
        with (
            serving("projection", "--serve", "intact") as intact,
            serving("projection", "--serve", "broken") as broken,
        ):
            print_as_lines(anyio.run(dashboard, intact, broken))
        with replay(f"1 clusters, {VMS_OF_EACH} VMs") as address:
            print_as_lines(fleet(address))


if __name__ == "__main__":
    main()
