"""`python -m benchmarks.reading`: what it takes to read all of a large fleet.

The simulator runs in a process of its own. Two things are measured. The memory of `iterate`, while
one VM in a hundred is deleted and as many are made: the most that is in use at a time, in pages.
And the throughput of `fetch_all`, next to that of aiohttp and msgspec by themselves with the same
requests; these are answered from memory, so that it is not the server that is measured.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import time
import tracemalloc
from contextlib import contextmanager
from typing import TYPE_CHECKING

import aiohttp
import anyio
import anyio.to_thread
import msgspec
from aiohttp import web

from .figures import Figure, print_as_lines

if TYPE_CHECKING:
    from collections.abc import Generator

    from cloudtower_async import Cloudtower, models
    from cloudtower_async.testing import Simulator

VMS, REPLAYED = 100_000, 20_000
PAGE, CONCURRENCY, ROUNDS = 500, 8, 15
LONGEST = 600.0  # seconds that the server lives at most


async def serve(vms: int) -> None:
    """Run the simulator, and tell where it is: itself, and what answers again from memory."""
    from cloudtower_async.testing import FleetSize, Simulator

    size = FleetSize(clusters=4, hosts_per_cluster=max(3, vms // 400), vms=vms)
    async with Simulator(size, keep_requests=10) as sim, aiohttp.ClientSession() as session:
        answers: dict[tuple[str, bytes], tuple[bytes, str]] = {}

        async def replay(request: web.BaseRequest) -> web.Response:
            key = (request.path, await request.read())
            if key not in answers:
                headers = {"authorization": request.headers.get("authorization", "")}
                url = sim.url + request.path
                async with session.post(url, data=key[1], headers=headers) as answer:
                    answers[key] = (await answer.read(), answer.content_type)
            body, content_type = answers[key]
            return web.Response(body=body, content_type=content_type)

        runner = web.ServerRunner(web.Server(replay))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        print(f"{sim.url} http://127.0.0.1:{port} {sim.password}", flush=True)
        with anyio.move_on_after(LONGEST):
            while await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
                await _churn(sim, vms // 100, vms // PAGE)
        await runner.cleanup()


async def _churn(sim: Simulator, number: int, requests: int) -> None:
    """Delete VMs and make others, spread over so many requests."""
    gone = sorted(sim.store.table("Vm"))[:: len(sim.store.table("Vm")) // number][:number]
    each = max(1, number // requests)
    for place in range(0, number, each):
        with sim.store.lock:
            for one in gone[place : place + each]:
                sim.store.remove("Vm", one)
                sim.add_vm()
        await anyio.sleep(0.05)


@contextmanager
def server(vms: int) -> Generator[tuple[subprocess.Popen[str], str, str, str]]:
    """The simulator in a process of its own; it ends with the block."""
    command = [sys.executable, "-m", "benchmarks.reading", "--serve", "--vms", str(vms)]
    with subprocess.Popen(  # noqa: S603 - our own code
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout  # noqa: S101
        try:
            url, replayed, password = process.stdout.readline().split()
            yield process, url, replayed, password
        finally:
            process.terminate()


async def memory(vms: int) -> None:
    """Print what `iterate` has in memory while the fleet changes."""
    from cloudtower_async import Cloudtower

    with server(vms) as (process, url, _, password):
        async with Cloudtower(url, username="root", password=password) as tower:
            before = await _ids(tower)
            tracemalloc.start()
            page = await tower.vm.get_vms(first=PAGE)
            one_page, _ = tracemalloc.get_traced_memory()
            del page
            gc.collect()
            start_memory, _ = tracemalloc.get_traced_memory()
            assert process.stdin  # noqa: S101
            process.stdin.write("\n")
            process.stdin.flush()
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
    what = f"iterate over {len(seen):,} VMs while 1 % change"
    print_as_lines(
        [
            Figure(what=f"{what}, peak memory", value=pages, unit="pages", goal=3),
            Figure(what=f"{what}, missed or twice", value=missed + twice, goal=0),
        ]
    )


async def _ids(tower: Cloudtower) -> set[str]:
    return {vm.id async for vm in tower.iterate(tower.vm.get_vms, page_size=5000)}


async def throughput(vms: int) -> None:
    """Print how fast `fetch_all` is next to what it is made of."""
    from cloudtower_async import Cloudtower, models

    with server(vms) as (_, _, url, password):
        async with Cloudtower(url, username="root", password=password) as tower:
            expected = await tower.fetch_all(tower.vm.get_vms, CONCURRENCY, PAGE)
            login = await tower.user.login(username="root", password=password)
            requests = _requests(len(expected))
            decoder = msgspec.json.Decoder(list[models.Vm])
            headers = {"authorization": login.data.token, "content-type": "application/json"}
            async with aiohttp.ClientSession(f"{url}/v2/api/", headers=headers) as session:
                ours, bare = Times(), Times()
                for _ in range(ROUNDS):
                    with ours.measured():
                        found = await tower.fetch_all(tower.vm.get_vms, CONCURRENCY, PAGE)
                    with bare.measured():
                        rows = await _bare(session, requests, decoder)
                    assert len(found) == len(rows) - len(requests) + 2 == len(expected)  # noqa: S101
                    del found, rows
    print(
        f"fetch_all: {vms / ours.wall:,.0f} VMs a second, aiohttp and msgspec by themselves "
        f"{vms / bare.wall:,.0f}: {bare.wall / ours.wall:.0%}, "
        f"by CPU time {bare.cpu / ours.cpu:.0%}"
    )
    print_as_lines(
        [
            Figure(
                what=f"fetch_all of {vms:,} VMs, throughput, ours / bare",
                value=bare.wall / ours.wall,
                goal=0.8,
                better="more",
                note=f"{vms / ours.wall:,.0f} and {vms / bare.wall:,.0f} VMs a second",
            )
        ]
    )


class Times:
    """The shortest times in seconds, of the clock and of the processor."""

    wall = cpu = float("inf")

    @contextmanager
    def measured(self) -> Generator[None]:
        """Measure the block."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall = min(self.wall, time.perf_counter() - wall)
        self.cpu = min(self.cpu, time.process_time() - cpu)


def _requests(count: int) -> list[tuple[str, bytes]]:
    """Those of `fetch_all`, byte for byte."""
    bodies: list[dict[str, object]] = []
    for start in range(0, count, PAGE):
        first = PAGE + (start > 0) + (start + PAGE >= count)
        bodies.append({"first": first, "orderBy": "id_ASC", "skip": max(0, start - 1)})
    pages = [("get-vms", msgspec.json.encode(body)) for body in bodies]
    return [("get-vms-connection", b"{}"), *pages]


async def _bare(
    session: aiohttp.ClientSession,
    requests: list[tuple[str, bytes]],
    decoder: msgspec.json.Decoder[list[models.Vm]],
) -> list[models.Vm]:
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
    """Measure, or be the server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vms", type=int, default=VMS, help="of the fleet that iterate reads")
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
