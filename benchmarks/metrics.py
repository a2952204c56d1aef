"""`python -m benchmarks.metrics`: a day of many metrics, read, decoded and joined with names.

The simulator runs in a process of its own, and what it has answered once it answers from memory,
so that it is not the server that is measured. Then the same with the vendor's client, where that
is installed, on the same answers: of fewer VMs, as it takes its time.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import resource
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import anyio.to_thread
import msgspec
from aiohttp import web

from .figures import Figure, print_as_lines

if TYPE_CHECKING:
    from collections.abc import Generator

    from cloudtower_async import Cloudtower

VMS, VENDORS_VMS, CHUNK, ROUNDS = 1_000, 50, 50, 3
LONGEST = 300.0  # seconds that the server lives at most
METRICS = [
    "elf_vm_cpu_overall_usage_percent",
    "elf_vm_memory_usage_percent",
    "elf_vm_disk_overall_readwrite_iops",
    "elf_vm_disk_overall_readwrite_speed_bps",
    "elf_vm_disk_overall_avg_readwrite_latency_ns",
]
RANGE = "24h"


async def serve(vms: int) -> None:
    """Run the simulator behind a memory of its answers, and tell where that is."""
    from cloudtower_async.testing import Clock, FleetSize, Simulator

    size = FleetSize(clusters=1, hosts_per_cluster=max(3, vms // 50), vms=1)
    clock = Clock(running=False)  # so the answers stay the same
    async with Simulator(size, clock=clock, keep_requests=10) as sim:
        for number in range(vms):
            sim.add_vm(name=f"vm-{number}", cpu_usage=20.0, memory_usage=40.0)
        answers: dict[tuple[str, bytes], tuple[bytes, str]] = {}
        async with aiohttp.ClientSession() as session:

            async def replay(request: web.BaseRequest) -> web.Response:
                asked: object = msgspec.json.decode(await request.read())
                key = (request.path, msgspec.json.encode(asked, order="deterministic"))
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
            print(f"http://127.0.0.1:{runner.addresses[0][1]} {sim.password}", flush=True)
            with anyio.move_on_after(LONGEST):
                await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
            await runner.cleanup()


@contextmanager
def server(vms: int) -> Generator[tuple[str, str]]:
    """The server in a process of its own; it ends with the block."""
    command = [sys.executable, "-m", "benchmarks.metrics", "--serve", "--vms", str(vms)]
    with subprocess.Popen(  # noqa: S603 - our own code
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout  # noqa: S101
        try:
            url, password = process.stdout.readline().split()
            yield url, password
        finally:
            process.terminate()


class Cost(msgspec.Struct):
    """What a part of the work took at best, in seconds."""

    wall: float = float("inf")
    cpu: float = float("inf")

    @contextmanager
    def measured(self) -> Generator[None]:
        """Measure the block."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall = min(self.wall, time.perf_counter() - wall)
        self.cpu = min(self.cpu, time.process_time() - cpu)

    def __str__(self) -> str:
        return f"{self.wall:.2f} s (CPU {self.cpu:.2f} s)"


async def ours(tower: Cloudtower, ids: list[str]) -> tuple[Cost, list[Any], str]:
    """Read, join and make rows of it; returns the rows, and what each part takes."""
    read, rows, table = Cost(), Cost(), Cost()
    values: list[Any] = []
    for _ in range(ROUNDS):
        values.clear()
        with read.measured():
            measured = await tower.measure(
                tower.metrics.get_vm_metrics,
                CHUNK,
                vms={"id_in": ids},
                metrics=METRICS,
                range=RANGE,
            )
        with rows.measured():
            values += measured.to_rows()
        if importlib.util.find_spec("pyarrow"):
            with table.measured():
                measured.to_arrow()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    note = (
        f"{len(ids):,} VMs, {len(values):,} values: read and joined in {read}, as rows in {rows}, "
        f"as an Arrow table in {table}; peak {peak:,.0f} MB"
    )
    return Cost(read.wall + rows.wall, read.cpu + rows.cpu), values, note


def vendors(url: str, password: str, ids: list[str]) -> tuple[Cost, list[Any]]:
    """The same with the vendor's client: the same requests, the same rows."""
    cloudtower: Any = importlib.import_module("cloudtower")
    client = cloudtower.ApiClient(cloudtower.Configuration(host=f"{url}/v2/api"))
    credentials = {"username": "root", "password": password, "source": "LOCAL"}
    api: Any = importlib.import_module("cloudtower.api")
    token = api.UserApi(client).login(credentials).data.token
    client.configuration.api_key["Authorization"] = token
    cost = Cost()
    rows: list[Any] = []
    with cost.measured():
        where: dict[str, Any] = {"id_in": ids}
        vms = api.VmApi(client).get_vms({"where": where, "first": len(ids)})
        owners = {vm.local_id: vm for vm in vms}
        for start in range(0, len(ids), CHUNK):
            body = {
                "vms": {"id_in": ids[start : start + CHUNK]},
                "metrics": METRICS,
                "range": RANGE,
            }
            for metric in api.MetricsApi(client).get_vm_metrics(body):
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
    return cost, rows


async def run(vms: int, vendors_vms: int) -> None:
    """Measure."""
    from cloudtower_async import Cloudtower

    with server(vms) as (url, password):
        async with Cloudtower(url, username="root", password=password) as tower:
            found = await tower.vm.get_vms(where={"name_starts_with": "vm-"}, order_by="id_ASC")
            ids = [vm.id for vm in found][:vms]
            cost, values, note = await ours(tower, ids)
            what = f"metrics, {len(METRICS)} of {len(ids):,} VMs, {RANGE}"
            print_as_lines(
                [
                    Figure(
                        what=f"{what}: decoded, joined, as rows",
                        value=cost.wall,
                        unit="s",
                        note=note,
                    )
                ]
            )
            del values
            if not importlib.util.find_spec("cloudtower"):
                print("the vendor's client is not installed")
                return
            few = ids[:vendors_vms]
            mine, rows, _ = await ours(tower, few)
            theirs, others = await anyio.to_thread.run_sync(vendors, url, password, few)
            same = sorted((row.time, row.metric, row.subject_id, row.value) for row in rows)
            assert same == sorted((row[0], row[1], row[3], row[6]) for row in others)  # noqa: S101
            print_as_lines(
                [
                    Figure(
                        what="metrics: time of the vendor's client / ours, the same answers",
                        value=theirs.cpu / mine.cpu,
                        better="more",
                        note=f"by processor time; {len(few):,} VMs, {len(others):,} values, the "
                        f"same rows: {theirs} and {mine}",
                    )
                ]
            )


def main() -> None:
    """Measure, or be the server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vms", type=int, default=VMS, help="whose metrics are read")
    parser.add_argument(
        "--vendors-vms", type=int, default=VENDORS_VMS, help="by the vendor's client, too"
    )
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        anyio.run(serve, options.vms)
        return
    print(f"Python {sys.version.split()[0]}")
    anyio.run(run, options.vms, options.vendors_vms)


if __name__ == "__main__":
    main()
