"""`python -m benchmarks.reading`: cost of reading a large fleet.

The simulator runs in a separate process. Two quantities are measured. The first quantity is the
peak memory of `iterate`, in pages of VMs, while 1 % of the VMs are deleted and as many VMs are
created. The second quantity is the throughput of `fetch_all`, compared with aiohttp and msgspec
alone with the same requests. For the throughput, the server answers from memory, so that only the
cost of the client is measured.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING

import aiohttp
import anyio
import msgspec

from .apart import Address, heard, replay, talking, tell
from .figures import Figure, print_as_lines, spread
from .measures import Times

if TYPE_CHECKING:
    from cloudtower_async import Cloudtower, models
    from cloudtower_async.testing import Simulator

VMS, REPLAYED = 100_000, 20_000
PAGE, CONCURRENCY, ROUNDS = 500, 8, 15


async def serve(vms: int) -> None:
    """Run the simulator. For each line of the input, delete some VMs and create others."""
    from cloudtower_async.testing import FleetSize, Simulator

    size = FleetSize(clusters=4, hosts_per_cluster=max(3, vms // 400), vms=vms)
    async with Simulator(size, keep_requests=10) as sim:
        tell(Address(sim.url, sim.username, sim.password))
        while await heard():
            await _churn(sim, vms // 100, vms // PAGE)


async def _churn(sim: Simulator, number: int, requests: int) -> None:
    """Delete VMs and create as many others, in steps that are spread over some time."""
    gone = sorted(sim.store.table("Vm"))[:: len(sim.store.table("Vm")) // number][:number]
    each = max(1, number // requests)
    for place in range(0, number, each):
        with sim.store.lock:
            for one in gone[place : place + each]:
                sim.store.remove("Vm", one)
                sim.add_vm()
        await anyio.sleep(0.05)


def session(address: Address) -> Cloudtower:
    """Return a session of our client with a server."""
    from cloudtower_async import Cloudtower

    return Cloudtower(address.url, username=address.username, password=address.password)


async def memory(vms: int) -> None:
    """Print the figures for the memory of `iterate` while the fleet changes."""
    with talking("reading", "--serve", "--vms", str(vms), place=Address) as server:
        async with session(server.place) as tower:
            before = await _ids(tower)
            tracemalloc.start()
            page = await tower.vm.get_vms(first=PAGE)
            one_page, _ = tracemalloc.get_traced_memory()
            del page
            gc.collect()
            start_memory, _ = tracemalloc.get_traced_memory()
            server.say()
            tracemalloc.reset_peak()
            start = time.perf_counter()
            seen = [vm.id async for vm in tower.iterate(tower.vm.get_vms, page_size=PAGE)]
            seconds = time.perf_counter() - start
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            after = await _ids(tower)
    ids = sum(sys.getsizeof(one) for one in seen) + sys.getsizeof(seen)
    pages = (peak - start_memory - ids) / one_page
    staying = before & after
    missed, twice = len(staying - set(seen)), len(seen) - len(set(seen))
    print(
        f"iterate: {len(seen):,} VMs in {seconds:.1f} s, {len(before - after):,} deleted and "
        f"{len(after - before):,} made meanwhile; missed {missed}, twice {twice}; "
        f"peak {pages:.1f} pages of {one_page / 1e6:.1f} MB"
    )
    what = f"`iterate` over {len(seen):,} VMs while 1 % of them change"
    print_as_lines(
        [
            Figure(what=f"{what}: peak memory / memory of one page", value=pages, goal=3),
            Figure(what=f"{what}: VMs missed or returned twice", value=missed + twice, goal=0),
        ]
    )


async def _ids(tower: Cloudtower) -> set[str]:
    return {vm.id async for vm in tower.iterate(tower.vm.get_vms, page_size=5000)}


async def throughput(vms: int) -> None:
    """Print the figure for the throughput of `fetch_all`, relative to aiohttp and msgspec."""
    from cloudtower_async import models

    with replay(f"4 clusters, {vms} VMs") as address:
        async with session(address) as tower:
            count = len(await tower.fetch_all(tower.vm.get_vms, CONCURRENCY, PAGE))
            login = await tower.user.login(username=address.username, password=address.password)
            requests = page_requests(count)
            decoder = msgspec.json.Decoder(list[models.Vm])
            headers = {"authorization": login.data.token, "content-type": "application/json"}
            async with aiohttp.ClientSession(f"{address.url}/v2/api/", headers=headers) as bare_one:
                ours, bare = Times(), Times()
                for _ in range(ROUNDS):
                    gc.collect()
                    with ours.measured():
                        found = await tower.fetch_all(tower.vm.get_vms, CONCURRENCY, PAGE)
                    assert len(found) == count  # noqa: S101
                    del found  # so that later garbage collections do not traverse the VMs
                    gc.collect()
                    with bare.measured():
                        rows = await read_bare(bare_one, requests, decoder)
                    assert len(rows) - len(requests) + 2 == count  # noqa: S101
                    del rows
    value, low, high = spread(ratios(bare.wall, ours.wall))
    fast, bare_fast = (count / spread(times.wall)[0] for times in (ours, bare))
    print_as_lines(
        [
            Figure(
                what=f"throughput of `fetch_all` of {vms:,} VMs: ours / bare",
                value=value,
                low=low,
                high=high,
                goal=0.8,
                better="more",
                note=f"ours {fast:,.0f}, bare {bare_fast:,.0f} VMs per second; "
                "ratio of CPU time per VM, bare / ours: "
                f"{spread(ratios(bare.cpu, ours.cpu))[0]:.2f}",
            )
        ]
    )


def ratios(numbers: list[float], others: list[float]) -> list[float]:
    """Return the ratios of two series of measurements, pair by pair."""
    return [number / other for number, other in zip(numbers, others, strict=True)]


def page_requests(count: int) -> list[tuple[str, bytes]]:
    """Return the paths and bodies of the requests that `fetch_all` sends."""
    bodies: list[dict[str, object]] = []
    for start in range(0, count, PAGE):
        first = PAGE + (start > 0) + (start + PAGE >= count)
        bodies.append({"first": first, "orderBy": "id_ASC", "skip": max(0, start - 1)})
    pages = [("get-vms", msgspec.json.encode(body)) for body in bodies]
    return [("get-vms-connection", b"{}"), *pages]


async def read_bare(
    session: aiohttp.ClientSession,
    requests: list[tuple[str, bytes]],
    decoder: msgspec.json.Decoder[list[models.Vm]],
) -> list[models.Vm]:
    """Read pages like `fetch_all`, but with aiohttp and msgspec alone, and return the VMs."""

    async def ask(path: str, body: bytes) -> bytes:
        async with session.post(path, data=body) as answer:
            return await answer.read()

    await ask(*requests[0])
    pages: list[list[models.Vm]] = [[] for _ in requests[1:]]
    waiting = iter(enumerate(requests[1:]))

    async def work() -> None:
        for place, (path, body) in waiting:
            pages[place] = decoder.decode(await ask(path, body))

    async with anyio.create_task_group() as group:
        for _ in range(CONCURRENCY):
            group.start_soon(work)
    return [row for page in pages for row in page]


def main() -> None:
    """Run the measurement or the server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vms", type=int, default=VMS, help="number of VMs that iterate reads")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        anyio.run(serve, options.vms)
        return
    print(f"Python {sys.version.split()[0]}")
    anyio.run(throughput, min(options.vms, REPLAYED))
    anyio.run(memory, options.vms)


if __name__ == "__main__":
    main()
