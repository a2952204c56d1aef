"""`python -m benchmarks.simulator_scale`: cost of a large simulated fleet.

Each fleet is generated in a separate process, so that the peaks of memory are independent.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import time

import anyio
import msgspec

from .figures import Figure, print_as_lines
from .measures import peak_mb

MANY = 100


class Cost(msgspec.Struct):
    """Cost of one simulated fleet."""

    seconds: float
    """Seconds to generate the fleet."""
    megabytes: float
    """Peak memory of the process in megabytes."""
    documents: int
    """Number of resources of all kinds."""
    by_id: float
    """Milliseconds for a query of one VM by id, over HTTP."""
    by_ids: float
    """Milliseconds for a query of many VMs by ids."""
    first_by_name: float
    """Milliseconds for the first query by a name, which builds the index."""
    by_name: float
    """Milliseconds for a later query by a name, which uses the index."""


async def measure(size: str) -> Cost:
    """Generate a fleet of this size in this process, query it, and return the cost."""
    from cloudtower_async import Cloudtower
    from cloudtower_async.testing import FleetSize, Simulator

    start = time.perf_counter()
    async with Simulator(FleetSize.parse(size)) as sim:
        seconds = time.perf_counter() - start
        store = sim.store
        vms = list(store.table("Vm").values())
        chosen = [vm["id"] for vm in vms[:: max(1, len(vms) // MANY)]]
        async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
            await tower.vm.get_vms(first=1)  # the first call loads modules
            times = [time.perf_counter()]
            await tower.vm.get_vms(where={"id": chosen[-1]})
            times.append(time.perf_counter())
            await tower.vm.get_vms(where={"id_in": chosen})
            times.append(time.perf_counter())
            for vm in (vms[0], vms[-1]):
                await tower.vm.get_vms(where={"name": vm["name"]})
                times.append(time.perf_counter())
        peak = peak_mb()
        documents = sum(len(store.table(name)) for name in store.resources)
        spent = [(after - before) * 1e3 for before, after in itertools.pairwise(times)]
        return Cost(seconds, peak, documents, *spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", default=["10,000 VMs", "100,000 VMs"])
    parser.add_argument("--here", action="store_true", help="measure in this process, print JSON")
    options = parser.parse_args()
    sizes: list[str] = options.sizes
    if options.here:
        print(msgspec.json.encode(anyio.run(measure, sizes[0])).decode())
        return
    print(f"Python {sys.version.split()[0]}")
    for size in sizes:
        command = [sys.executable, "-m", "benchmarks.simulator_scale", "--here", size]
        done = subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own code
        cost = msgspec.json.decode(done.stdout, type=Cost)
        print(
            f"{size:24}{cost.documents:10,} documents in {cost.seconds:5.1f} s,"
            f" {cost.megabytes:6,.0f} MB; one by id {cost.by_id:.1f} ms,"
            f" {MANY} by ids {cost.by_ids:.1f} ms, one by name {cost.first_by_name:.0f} ms, then"
            f" {cost.by_name:.1f} ms"
        )
        if size == "100,000 VMs":
            what = "simulated fleet of 100,000 VMs"
            print_as_lines(
                [
                    Figure(what=f"{what}: time to generate", value=cost.seconds, unit="s", goal=20),
                    Figure(what=f"{what}: memory", value=cost.megabytes, unit="MB", goal=1500),
                ]
            )


if __name__ == "__main__":
    main()
