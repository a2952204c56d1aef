"""`python -m benchmarks.metrics`: time to read one day of many metrics and join them with names.

The server answers from memory, so that only the cost of the client is measured. First, the metrics
of many VMs are read with our client. Then the metrics of fewer VMs are read in alternation with our
client and, if it is installed, with the vendor's client. The answers and the resulting rows are the
same for both. Each measurement runs in a separate process, which first reads the metrics of one VM.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
import zlib
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from .apart import given_address, measure_apart, serving
from .figures import Figure, print_as_lines, spread
from .measures import Times, peak_mb
from .vendors import Vendor

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .apart import Address

VMS, VENDORS_VMS, CHUNK, ROUNDS = 1_000, 50, 50, 3
METRICS = [
    "elf_vm_cpu_overall_usage_percent",
    "elf_vm_memory_usage_percent",
    "elf_vm_disk_overall_readwrite_iops",
    "elf_vm_disk_overall_readwrite_speed_bps",
    "elf_vm_disk_overall_avg_readwrite_latency_ns",
]
RANGE = "24h"


async def serve(vms: int) -> None:
    """Serve simulated VMs with metrics, from memory."""
    from cloudtower_async.testing import Clock, FleetSize, Simulator

    from . import replay

    size = FleetSize(clusters=1, hosts_per_cluster=max(3, vms // 50), vms=1)
    clock = Clock(running=False)  # a stopped clock keeps the answers the same
    async with Simulator(size, clock=clock, keep_requests=10) as sim:
        for number in range(vms):
            sim.add_vm(name=f"vm-{number}", cpu_usage=20.0, memory_usage=40.0)
        await replay.serve(sim)


class Cost(NamedTuple):
    """Cost of one measurement. `wall` and `cpu` are the elapsed time and CPU time in seconds."""

    wall: float
    cpu: float
    values: float
    """Number of rows."""
    check: float
    """Hash of the rows, to compare the rows of both clients."""
    table: float = 0.0
    """Seconds to build an Arrow table from the rows."""
    peak: float = 0.0
    """Peak memory in megabytes."""


async def ours(address: Address, vms: int) -> Cost:
    """Read metrics with our client, join them with names and build rows; return the cost."""
    from cloudtower_async import Cloudtower

    async with Cloudtower(
        address.url, username=address.username, password=address.password
    ) as tower:
        found = await tower.vm.get_vms(where={"name_starts_with": "vm-"}, order_by="id_ASC")

        async def measure(number: int) -> Cost:
            ids, work, table = [vm.id for vm in found[:number]], Times(), Times()
            with work.measured():
                measured = await tower.measure(
                    tower.metrics.get_vm_metrics,
                    CHUNK,
                    vms={"id_in": ids},
                    metrics=METRICS,
                    range=RANGE,
                )
                rows = measured.to_rows()
            peak = peak_mb()
            with table.measured():
                if find_spec("pyarrow"):
                    measured.to_arrow()
            check = _check((row.time, row.metric, row.subject_id, row.value) for row in rows)
            return Cost(work.wall[0], work.cpu[0], len(rows), check, table.wall[0], peak)

        await measure(1)
        return await measure(vms)


def vendors(address: Address, vms: int) -> Cost:
    """Read the same metrics with the vendor's client and build the same rows; return the cost."""
    sdk: Any = importlib.import_module("cloudtower")
    vendor = Vendor(address)
    metrics = sdk.MetricsApi(vendor.client)
    found = vendor.vms.get_vms({"where": {"name_starts_with": "vm-"}, "orderBy": "id_ASC"})

    def measure(number: int) -> Cost:
        ids, rows, work = [vm.id for vm in found[:number]], list[Any](), Times()
        with work.measured():
            named = vendor.vms.get_vms({"where": {"id_in": ids}, "first": len(ids)})
            owners = {vm.local_id: vm for vm in named}
            for start in range(0, len(ids), CHUNK):
                where = {"id_in": ids[start : start + CHUNK]}
                body = {"vms": where, "metrics": METRICS, "range": RANGE}
                for metric in metrics.get_vm_metrics(body):
                    for stream in metric.data.sample_streams:
                        owner = owners[stream.labels.vm]
                        rows += [
                            (
                                datetime.fromtimestamp(point.t / 1000, UTC),
                                stream.labels.metric_name,
                                metric.data.unit,
                                owner.id,
                                owner.name,
                                stream.labels,
                                point.v,
                            )
                            for point in stream.points
                        ]
        check = _check((row[0], row[1], row[3], row[6]) for row in rows)
        return Cost(work.wall[0], work.cpu[0], len(rows), check)

    measure(1)
    return measure(vms)


def _check(rows: Iterable[tuple[datetime, str, str | None, float | None]]) -> int:
    return zlib.crc32(msgspec.json.encode(sorted(rows)))


def measured(who: str, vms: int, address: Address) -> Cost:
    """Run a measurement in another process, and return the cost."""
    return Cost(*measure_apart("metrics", "--read", who, "--vms", str(vms), address=address))


def _median(numbers: Sequence[float]) -> float:
    return spread(numbers)[0]


def many(address: Address, vms: int) -> Figure:
    """Return the figure for the metrics of many VMs with our client."""
    measured("ours", vms, address)  # lets the server cache its answers
    costs = [measured("ours", vms, address) for _ in range(ROUNDS)]
    value, low, high = spread([cost.wall for cost in costs])
    middle = Cost(*(_median(each) for each in zip(*costs, strict=True)))
    table = f"{middle.table:.2f} s to build an Arrow table from the rows; " if middle.table else ""
    return Figure(
        what=f"time to read {len(METRICS)} metrics of {vms:,} VMs over {RANGE} as rows",
        value=value,
        low=low,
        high=high,
        unit="s",
        note=f"{middle.values:,.0f} values; {middle.cpu:.2f} s of CPU time; {table}"
        f"peak memory {middle.peak:,.0f} MB",
    )


def both(address: Address, vms: int) -> Figure:
    """Return the figure that compares both clients on the metrics of fewer VMs."""
    pairs = [
        (measured("ours", vms, address), measured("vendors", vms, address)) for _ in range(ROUNDS)
    ]
    assert len({(cost.values, cost.check) for pair in pairs for cost in pair}) == 1  # noqa: S101
    value, low, high = spread([theirs.cpu / mine.cpu for mine, theirs in pairs])
    mine, theirs = (_median([cost.cpu for cost in each]) for each in zip(*pairs, strict=True))
    return Figure(
        what="CPU time to read metrics as rows: vendor / ours",
        value=value,
        low=low,
        high=high,
        better="more",
        note=f"{vms:,} VMs, {pairs[0][0].values:,.0f} values; both clients return the same rows; "
        f"{theirs:.2f} s / {mine:.3f} s",
    )


def main() -> None:
    """Run the measurement, or one of the processes that it starts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vms", type=int, default=VMS, help="number of VMs")
    parser.add_argument(
        "--vendors-vms", type=int, default=VENDORS_VMS, help="number of VMs for the vendor's client"
    )
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--read", choices=["ours", "vendors"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    vms: int = options.vms
    if options.serve:
        from . import replay

        replay.run(serve(vms))
    elif options.read == "ours":
        print(*asyncio.run(ours(given_address(), vms)))
    elif options.read:
        print(*vendors(given_address(), vms))
    else:
        print(f"Python {sys.version.split()[0]}")
        with serving("metrics", "--serve", "--vms", str(vms)) as address:
            print_as_lines([many(address, vms)])
            if find_spec("cloudtower"):
                print_as_lines([both(address, min(vms, options.vendors_vms))])


if __name__ == "__main__":
    main()
