"""`python -m benchmarks.fleet`: snapshots of all VMs of many Towers while processes are killed.

Simulated Towers run in separate processes, and two groups of workers share the work. One after the
other, a group of workers, Redis and the caller are killed with SIGKILL and restarted. At the end,
the snapshots on the servers are counted. Each VM must have exactly one snapshot.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import anyio
import msgspec

from .apart import heard, talking, tell
from .figures import Figure, print_as_lines

if TYPE_CHECKING:
    from collections.abc import Generator

    from .apart import Server

TOWERS, VMS = 10, 100
PER_PROCESS = 10
"""Maximum number of Towers per process."""

JOB = "examples.fleet.snapshots:nightly"
RUN = "2026-01-31"
TASK = 1.0
"""Duration of a snapshot in seconds."""


class Place(msgspec.Struct, frozen=True):
    """Address of a Tower, and a token."""

    url: str
    token: str


class Counted(msgspec.Struct, frozen=True):
    """Number of snapshots on the Towers of a process, and number of requests for snapshots."""

    lost: int
    doubled: int
    made: int
    asked: int


async def serve(towers: int, vms: int, first: int) -> None:
    """Serve Towers. For each line of the input, print the counts."""
    from cloudtower_async import Cloudtower
    from cloudtower_async.testing import Simulator

    async with AsyncExitStack() as stack:
        sims: list[Simulator] = []
        places: list[Place] = []
        for number in range(first, first + towers):
            sim = Simulator(
                clusters=2, vms=vms, seed=number, task_duration=TASK, keep_requests=None
            )
            sims.append(await stack.enter_async_context(sim))
            async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
                places.append(Place(sim.url, await tower.get_token()))
        tell(places)
        while await heard(4 * 3600.0):
            numbers: Counter[str] = Counter()
            for sim in sims:
                found = sim.store.select("VmSnapshot", {"name": f"nightly-{RUN}"})
                of_vms = Counter(one["vm"] for one in found)
                numbers["lost"] += sum(not of_vms[vm] for vm in sim.store.table("Vm"))
                numbers["doubled"] += sum(count > 1 for count in of_vms.values())
                numbers["made"] += len(found)
                numbers["asked"] += len(sim.sent("create-vm-snapshot"))
            tell(Counted(**numbers))


def count(servers: list[Server[list[Place]]]) -> Counter[str]:
    """Return the counts, summed over all processes."""
    numbers: Counter[str] = Counter()
    for server in servers:
        server.say("count")
        numbers.update(msgspec.structs.asdict(server.hear(Counted)))
    return numbers


class Processes:
    """Processes that are killed and restarted: Redis, workers and callers.

    Args:
        folder: Folder for the data of Redis and the configuration.
        port: Port of Redis.
        workers: Number of workers of a group.
    """

    def __init__(self, folder: Path, port: int, workers: int) -> None:
        self._folder = folder
        self._port = port
        self._workers = workers
        self._running: list[subprocess.Popen[bytes]] = []
        self._environment = {
            **{name: text for name, text in os.environ.items() if "CLOUDTOWER_" not in name},
            "XDG_CONFIG_HOME": str(folder),
            "CLOUDTOWER_FLEET_REDIS": f"redis://127.0.0.1:{port}/0",
        }

    def redis(self) -> subprocess.Popen[bytes]:
        """Start Redis."""
        command = f"redis-server --bind 127.0.0.1 --port {self._port} --dir {self._folder}"
        command += " --appendonly yes --appendfsync always --loglevel warning"
        return self._start([*command.split(), "--save", ""], subprocess.DEVNULL)

    def group(self) -> list[subprocess.Popen[bytes]]:
        """Start a group of workers."""
        options = ["--lost=10", "--grace=20", "--concurrency=40"]
        return [self._fleet("worker", JOB, *options) for _ in range(self._workers)]

    def caller(self) -> subprocess.Popen[bytes]:
        """Start a caller. Its output is the report."""
        return self._fleet("run", JOB, "--profiles=all", f"--run={RUN}", "--output=json")

    def kill_all(self) -> None:
        """Kill all processes that are still running."""
        for process in self._running:
            kill(process)

    def _fleet(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "cloudtower_async", "fleet", *arguments]
        return self._start(command, subprocess.PIPE)

    def _start(self, command: list[str], output: int) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603 - our own code
            command,
            env=self._environment,
            stdout=output,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._running.append(process)
        return process


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the group of a process with SIGKILL, and wait until the process has ended."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def reach(servers: list[Server[list[Place]]], number: int, deadline: float) -> None:
    """Wait until the servers have this number of snapshots."""
    while count(servers)["made"] < number:
        if time.monotonic() > deadline:
            raise SystemExit("the workers make no progress")
        time.sleep(0.2)


@contextmanager
def towers_running(towers: int, vms: int, folder: Path) -> Generator[list[Server[list[Place]]]]:
    """Run the Towers during a ``with`` block, and write a profile for each Tower."""
    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                talking(
                    "fleet",
                    "--serve",
                    str(first),
                    f"--towers={min(PER_PROCESS, towers - first)}",
                    f"--vms={vms}",
                    place=list[Place],
                )
            )
            for first in range(0, towers, PER_PROCESS)
        ]
        places = [place for server in servers for place in server.place]
        file = folder / "cloudtower-async" / "profiles.toml"
        file.parent.mkdir()
        file.write_text(
            "".join(
                f'[tower-{number:02}]\nendpoint = "{place.url}"\ntoken = "{place.token}"\n'
                for number, place in enumerate(places)
            ),
            encoding="utf-8",
        )
        file.chmod(0o600)
        yield servers


def measure(towers: int, vms: int, workers: int, port: int, limit: float) -> list[Figure]:
    """Run the job while processes are killed, and return the figures."""
    items = towers * vms
    with TemporaryDirectory() as name, towers_running(towers, vms, Path(name)) as servers:
        processes = Processes(Path(name), port, workers)
        deadline = time.monotonic() + limit
        try:
            redis = processes.redis()
            groups = [processes.group(), processes.group()]
            caller = processes.caller()
            reach(servers, items // 6, deadline)
            began = time.monotonic()
            for process in groups[0]:
                kill(process)
            groups[0] = processes.group()
            reach(servers, items // 3, deadline)
            kill(redis)
            time.sleep(2)
            processes.redis()
            reach(servers, items // 2, deadline)
            kill(caller)
            caller = processes.caller()
            text, _ = caller.communicate(timeout=max(1.0, deadline - time.monotonic()))
            seconds = time.monotonic() - began
        finally:
            processes.kill_all()
        numbers = count(servers)
    report: dict[str, Any] = json.loads(text)
    done = sum(tower["done"] for tower in report["towers"])
    failed = sum(tower["failed"] for tower in report["towers"])
    how = (
        f"{towers} Towers of {vms} VMs; SIGKILL of a group of {workers} workers, of Redis and of "
        f"the caller; {numbers['asked'] - items} requests were repeated"
    )
    return [
        Figure(what=f"fleet, {items:,} snapshots: lost", value=numbers["lost"], goal=0, note=how),
        Figure(what=f"fleet, {items:,} snapshots: doubled", value=numbers["doubled"], goal=0),
        Figure(what=f"fleet, {items:,} snapshots: not reported", value=items - done, goal=0),
        Figure(what=f"fleet, {items:,} snapshots: reported as failed", value=failed, goal=0),
        Figure(
            what=f"fleet, {items:,} snapshots: seconds from the first kill to the report",
            value=seconds,
            unit="s",
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--towers", type=int, default=TOWERS)
    parser.add_argument("--vms", type=int, default=VMS, help="number of VMs of each Tower")
    parser.add_argument("--workers", type=int, default=1, help="number of workers in a group")
    parser.add_argument("--port", type=int, default=17390, help="port of Redis")
    parser.add_argument("--limit", type=float, default=3600.0, help="time-out in seconds")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        anyio.run(serve, options.towers, options.vms, options.serve)
        return
    if shutil.which("redis-server") is None:
        sys.exit("there is no redis-server here")
    print_as_lines(
        measure(options.towers, options.vms, options.workers, options.port, options.limit)
    )


if __name__ == "__main__":
    main()
