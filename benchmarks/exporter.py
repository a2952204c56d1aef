"""`python -m benchmarks.exporter`: cost of one exporter for many Towers.

The simulators run in several processes, each with several Towers. The exporter runs in another
process, and this process scrapes the exporter. For each number of Towers, this process prints the
time of a scrape, and the memory and CPU per Tower. One more Tower accepts connections and never
responds. This Tower must not affect the other Towers. The time of a scrape is compared with
`fetch_all` of the VMs of one Tower.
"""

from __future__ import annotations

import argparse
import re
import socket
import statistics
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import anyio
import msgspec

from .apart import Address, heard, talking, tell
from .figures import Figure, print_as_lines, spread
from .measures import held_mb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .apart import Server

FULL_READS = 5
HANGING = "hanging"
MODULE = "exporter"


class Usage(msgspec.Struct):
    """Resources that the exporter has used since its start."""

    megabytes: float
    """Memory in megabytes above the memory before the first session."""
    cpu: float
    """CPU time in seconds."""


class Result(msgspec.Struct):
    """Measurements with one number of Towers."""

    towers: int
    scrapes: list[float]
    """Duration of each scrape in seconds."""
    bytes: int
    """Size of the response in bytes, without compression."""
    megabytes: float
    """Memory per Tower in megabytes."""
    cpu: float
    """CPU time in seconds per collection from a Tower."""
    collections: list[float]
    """Duration in seconds of the last collection from each Tower."""
    disturbed: int
    """Number of Towers with missing or old figures, not counting the hanging Tower."""


async def serve(number: int, vms: int) -> None:
    """Serve simulated Towers in this process until the input ends."""
    from contextlib import AsyncExitStack

    from cloudtower_async.testing import Simulator

    async with AsyncExitStack() as stack:
        sims = [
            await stack.enter_async_context(Simulator(clusters=2, vms=vms, seed=seed))
            for seed in range(number)
        ]
        tell([Address(sim.url, sim.username, sim.password) for sim in sims])
        await heard()


async def export(interval: float) -> None:
    """Run an exporter for the Towers in the first line of the input. Answer each later line."""
    from contextlib import AsyncExitStack

    from cloudtower_async import Cloudtower
    from cloudtower_async.jobs.exporter import Exporter, MetricsServer

    tell("ready")
    addresses = msgspec.json.decode(await heard(), type=dict[str, Address])
    before = held_mb()
    async with AsyncExitStack() as stack:
        towers: dict[str, Cloudtower] = {}
        for name, address in addresses.items():
            tower = Cloudtower(address.url, username=address.username, password=address.password)
            stack.push_async_callback(tower.close)
            towers[name] = tower
        exporter = await stack.enter_async_context(Exporter(towers, interval=interval))
        server = await stack.enter_async_context(MetricsServer(exporter, port=0))
        await exporter.collected()
        tell(server.url)
        while await heard():
            tell(Usage(held_mb() - before, time.process_time()))


async def measure_full_reads(address: Address) -> list[float]:
    """Return the durations in seconds of several reads of all VMs of a Tower."""
    from cloudtower_async import Cloudtower

    seconds: list[float] = []
    async with Cloudtower(
        address.url, username=address.username, password=address.password
    ) as tower:
        await tower.fetch_all(tower.vm.get_vms)  # the first call loads modules
        for _ in range(FULL_READS):
            started = time.perf_counter()
            await tower.fetch_all(tower.vm.get_vms)
            seconds.append(time.perf_counter() - started)
    return seconds


def values(page: str, name: str) -> dict[str, float]:
    """Return the largest value of a metric in a scraped page for each Tower."""
    found: dict[str, float] = {}
    for labels, value in re.findall(rf"^{name}\{{([^}}]*)\}} (\S+)$", page, re.MULTILINE):
        tower = re.search(r'tower="([^"]*)"', labels)
        if tower is not None:
            found[tower[1]] = max(float(value), found.get(tower[1], 0.0))
    return found


async def scrape(
    server: Server[str], url: str, towers: int, interval: float, every: float, number: int
) -> Result:
    """Scrape an exporter several times, and return the measurements."""
    import aiohttp
    import anyio.to_thread

    seconds: list[float] = []
    counts: list[float] = []
    usage: list[Usage] = []
    page = ""
    async with aiohttp.ClientSession() as client:
        for place in range(number + 1):
            if place:
                await anyio.sleep(every)
            started = time.perf_counter()
            async with client.get(url) as answer:
                page = await answer.text()
            seconds.append(time.perf_counter() - started)
            if place in (0, number):
                server.say("usage")
                usage.append(await anyio.to_thread.run_sync(server.hear, Usage))
                counts.append(sum(values(page, "cloudtower_collections_total").values()))
    up, age = values(page, "cloudtower_up"), values(page, "cloudtower_data_age_seconds")
    well = [name for name in up if name != HANGING]
    disturbed = [name for name in well if up[name] != 1 or age.get(name, 9e9) > 2 * interval]
    collected = values(page, "cloudtower_collection_duration_seconds")
    return Result(
        towers=towers,
        scrapes=seconds[1:],
        bytes=len(page),
        megabytes=usage[-1].megabytes / towers,
        cpu=(usage[1].cpu - usage[0].cpu) / max(1.0, counts[1] - counts[0]),
        collections=[collected[name] for name in well if name in collected],
        disturbed=len(disturbed) + towers - len(well),
    )


def measure(addresses: list[Address], interval: float, every: float, number: int) -> Result:
    """Run an exporter for these Towers and one Tower that hangs, and return the measurements."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=128) as hanging,
        talking(MODULE, "--export", str(interval), place=str) as exporter,
    ):
        named = {f"tower-{place}": address for place, address in enumerate(addresses)}
        named[HANGING] = Address(f"http://127.0.0.1:{hanging.getsockname()[1]}", "root", "none")
        exporter.say(msgspec.json.encode(named).decode())
        url = exporter.hear(str)
        return anyio.run(scrape, exporter, url, len(addresses), interval, every, number)


def figures(results: list[Result], full: list[float], vms: int) -> Iterator[Figure]:
    """Yield the figures for each number of Towers, and ratios between the largest and smallest."""
    read = statistics.median(full)
    yield Figure(what=f"time of a full read of {vms:,} VMs", value=read * 1e3, unit="ms")
    for one in results:
        value, low, high = spread([seconds / read for seconds in one.scrapes])
        yield Figure(
            what=f"time: scrape of {one.towers} Towers / full read of one Tower",
            value=value,
            low=low,
            high=high,
            goal=0.2,
            note=f"{statistics.median(one.scrapes) * 1e3:.1f} ms for {one.bytes:,} bytes",
        )
        value, low, high = spread([seconds / read for seconds in one.collections])
        yield Figure(
            what=f"time: collection from one of {one.towers} Towers / full read of one Tower",
            value=value,
            low=low,
            high=high,
            note=f"{statistics.median(one.collections) * 1e3:.0f} ms",
        )
        yield Figure(
            what=f"memory per Tower of {one.towers} Towers", value=one.megabytes, unit="MB"
        )
        yield Figure(
            what=f"CPU time per collection from one of {one.towers} Towers",
            value=one.cpu * 1e3,
            unit="ms",
        )
        yield Figure(
            what=f"Towers of {one.towers} that a hanging Tower affects", value=one.disturbed, goal=0
        )
    few, many = results[0], results[-1]
    if few is not many:
        ratio = f"{many.towers} Towers / {few.towers} Towers"
        yield Figure(
            what=f"memory per Tower: {ratio}", value=many.megabytes / few.megabytes, goal=1.15
        )
        yield Figure(what=f"CPU time per Tower: {ratio}", value=many.cpu / few.cpu, goal=1.15)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--towers", type=int, nargs="+", default=[10, 50])
    parser.add_argument("--vms", type=int, default=2_000, help="number of VMs of each Tower")
    parser.add_argument("--interval", type=float, default=15.0, help="seconds between collections")
    parser.add_argument("--every", type=float, default=15.0, help="seconds between scrapes")
    parser.add_argument("--scrapes", type=int, default=8)
    parser.add_argument(
        "--processes", type=int, default=5, help="number of processes with simulators"
    )
    parser.add_argument("--serve", type=int, help="serve this number of Towers in this process")
    parser.add_argument("--export", type=float, help="export in this process at this interval")
    options = parser.parse_args()
    if options.serve is not None:
        anyio.run(serve, options.serve, options.vms)
        return
    if options.export is not None:
        anyio.run(export, options.export)
        return
    most = max(options.towers)
    each = -(-most // options.processes)
    with ExitStack() as stack:
        arguments = ("--serve", str(each), "--vms", str(options.vms))
        servers = [
            stack.enter_context(talking(MODULE, *arguments, place=list[Address]))
            for _ in range(options.processes)
        ]
        addresses = [address for server in servers for address in server.place][:most]
        full = anyio.run(measure_full_reads, addresses[0])
        results = [
            measure(addresses[:number], options.interval, options.every, options.scrapes)
            for number in sorted(options.towers)
        ]
    print_as_lines(list(figures(results, full, options.vms)))


if __name__ == "__main__":
    main()
