"""`python -m benchmarks.task_waiter`: cost of waiting for many tasks.

The first part runs one coroutine per task, which waits for this task. The second part waits for a
list of tasks, with this package and, if the vendor's client is installed, with its function
`wait_tasks`. The simulator and each client run in separate processes, so that their costs are
measured separately.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import itertools
import random
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import anyio.to_thread
import msgspec

from .apart import Address, heard, talking, tell
from .figures import Figure, print_as_lines
from .measures import peak_mb
from .vendors import Vendor

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from cloudtower_async import Cloudtower

    from .apart import Server

CROWD, LIST = 10_000, 1_000
INTERVAL = 5.0  # seconds between two polls
MOST_IDS = 500  # maximum number of ids per request
TOGETHER = 0.02  # maximum number of seconds between two requests of one tick


class Cost(msgspec.Struct, kw_only=True):
    """Cost of one way of waiting for tasks."""

    requests: int
    megabytes: float
    """Size of request and response bodies together, in megabytes."""
    cpu: float
    """CPU time of the client in seconds."""
    lag: float
    """Seconds from the end of the last task until the wait returns."""


class CrowdCost(Cost, kw_only=True):
    """Cost of many waiters, one per task. A tick is one poll of all tasks."""

    ticks: int
    most_requests: int
    """Maximum number of requests in one tick."""
    tick_cpu: float
    """CPU time of the client in milliseconds per tick, while no task ends."""
    round_trip: float
    """Longest time in seconds from a request to its response."""
    answering: float
    """Seconds that bare aiohttp needs to read all tasks at once from the server."""
    lags: list[float]
    """Seconds from the end of each task until its waiter returns, sorted."""
    memory: float
    """Peak memory in megabytes above the memory of the idle session."""
    lost: int
    """Number of waiters that did not get their task."""
    doubled: int
    """Number of tasks that were requested more than once in the same tick."""


async def serve(number: int, least: float, most: float) -> None:
    """Print the address of the server, and start the tasks after the first line of input.

    The server stops after the second line of input, or when the input ends. The end of each task is
    printed as a value of `time.monotonic`, which is the same clock in all processes of a machine.
    """
    from cloudtower_async.simulator.tasks import Work
    from cloudtower_async.testing import Simulator

    async with Simulator(vms=40) as sim:
        tell(Address(sim.url, sim.username, sim.password))
        await heard()
        chance = random.Random(1)  # noqa: S311 - the same durations in each measurement
        [cluster, *_] = sim.store.table("Cluster")
        ids: list[str] = []
        ends: dict[str, float] = {}
        for index, vm in zip(range(number), itertools.cycle(sim.store.table("Vm"))):
            sim.tasks.duration = chance.uniform(least, most)
            values = {
                "args": {"where": {"id": vm}},
                "cluster": cluster,
                "description": f"Power on VM {index}",
                "resource_id": vm,
                "resource_mutation": "startVm",
                "resource_type": "Vm",
            }
            ids.append(sim.tasks.start(values, Work()))
            ends[ids[-1]] = time.monotonic() + sim.tasks.duration
        tell(ends)
        await heard()


def remote(number: int, least: float, most: float) -> AbstractContextManager[Server[Address]]:
    """Run the server in a separate process during a ``with`` block."""
    arguments = "--serve", str(number), str(least), str(most)
    return talking("task_waiter", *arguments, place=Address)


def start(server: Server[Address]) -> dict[str, float]:
    """Let the server start the tasks, and return the end of each task by id."""
    server.say()
    return server.hear(dict[str, float])


class Sent(msgspec.Struct):
    """One request for tasks."""

    at: float
    cpu: float
    """CPU time of this process in seconds, up to this request."""
    ids: list[str]


class Counter:
    """Counter of the requests and bytes of a session."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.bytes = 0
        self.trace = aiohttp.TraceConfig()
        self.trace.on_request_chunk_sent.append(self._out)
        self.trace.on_response_chunk_received.append(self._in)
        self.trace.on_request_end.append(self._end)
        self.round_trips: list[float] = []

    async def _out(self, _session: object, context: Any, params: Any) -> None:  # noqa: ANN401
        context.began = time.monotonic()
        self.bytes += len(params.chunk)
        if params.url.path.endswith("/get-tasks"):
            ids = msgspec.json.decode(params.chunk, type=GetTasks).where.id_in
            self.sent.append(Sent(time.monotonic(), time.process_time(), ids))

    async def _in(self, _session: object, _context: object, params: Any) -> None:  # noqa: ANN401
        self.bytes += len(params.chunk)

    async def _end(self, _session: object, context: Any, params: Any) -> None:  # noqa: ANN401
        if params.url.path.endswith("/get-tasks"):
            self.round_trips.append(time.monotonic() - context.began)

    def ticks(self) -> list[list[Sent]]:
        """Return the requests, grouped by tick."""
        ticks: list[list[Sent]] = []
        for sent in self.sent:
            if not ticks or sent.at - ticks[-1][-1].at > TOGETHER:
                ticks.append([])
            ticks[-1].append(sent)
        return ticks


class WhereIds(msgspec.Struct):
    """Part of a filter that contains ids of tasks."""

    id_in: list[str]


class GetTasks(msgspec.Struct):
    """Body of a request for tasks."""

    where: WhereIds


async def crowd(number: int) -> CrowdCost:
    """Run one waiting coroutine per task, and return the cost."""
    counter = Counter()
    returned: dict[str, float] = {}

    with remote(number, 14.0, 30.0) as far:
        async with session(far.place, counter) as tower:
            await tower.wait(await tower.vm.start_vm(where={"status": "STOPPED"}))  # loads modules
            counter.sent.clear()
            idle, bytes_, cpu = peak_mb(), counter.bytes, time.process_time()
            ends = await anyio.to_thread.run_sync(start, far)

            async def wait(task_id: str) -> None:
                [task] = await tower.wait(task_id, interval=INTERVAL)
                if task.id == task_id and task.status == "SUCCESSED":
                    returned[task_id] = time.monotonic()

            async with asyncio.TaskGroup() as group:
                for task_id in ends:
                    group.create_task(wait(task_id))
            cpu, memory = time.process_time() - cpu, peak_mb() - idle
            login = await tower.user.login(username=far.place.username, password=far.place.password)
            answering = await bare_tick(far.place, login.data.token, list(ends))
    ticks = counter.ticks()
    asked = [list(itertools.chain.from_iterable(sent.ids for sent in tick)) for tick in ticks]
    # Before the first task ends, only the poll uses CPU.
    quiet = [sent for sent in counter.sent if sent.at < min(ends.values())]
    quiet_ids = sum(len(sent.ids) for sent in quiet[:-1])
    return CrowdCost(
        requests=len(counter.sent),
        megabytes=(counter.bytes - bytes_) / 1e6,
        cpu=cpu,
        lag=max(returned.values()) - max(ends.values()),
        ticks=len(ticks),
        most_requests=max(map(len, ticks)),
        tick_cpu=(quiet[-1].cpu - quiet[0].cpu) * 1e3 * number / quiet_ids,
        lags=sorted(at - ends[task_id] for task_id, at in returned.items()),
        round_trip=max(counter.round_trips),
        answering=answering,
        memory=memory,
        lost=number - len(returned),
        doubled=sum(len(ids) - len(set(ids)) for ids in asked),
    )


async def bare_tick(address: Address, token: str, ids: list[str]) -> float:
    """Return the seconds that bare aiohttp needs to read all tasks at once."""
    headers = {"authorization": token}
    url = f"{address.url}/v2/api/get-tasks"

    async def ask(some: list[str]) -> None:
        body = {"where": {"id_in": some}}
        async with client.post(url, json=body) as answer:
            await answer.read()

    async with aiohttp.ClientSession(headers=headers) as client:
        start = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for at in range(0, len(ids), MOST_IDS):
                group.create_task(ask(ids[at : at + MOST_IDS]))
        return time.monotonic() - start


def session(address: Address, counter: Counter) -> Cloudtower:
    """Return a session of our client with the server. `counter` counts its traffic."""
    from cloudtower_async import Cloudtower

    return Cloudtower(
        address.url,
        username=address.username,
        password=address.password,
        trace_configs=[counter.trace],
    )


async def ours(number: int) -> Cost:
    """Wait for one list of tasks with this package, and return the cost."""
    counter = Counter()
    with remote(number, 8.0, 12.0) as far:
        async with session(far.place, counter) as tower:
            await tower.task.get_tasks(where={"id_in": []})  # the first call loads modules
            counter.sent.clear()
            ends = await anyio.to_thread.run_sync(start, far)
            bytes_, cpu = counter.bytes, time.process_time()
            await tower.wait(list(ends), interval=INTERVAL)
            return Cost(
                requests=len(counter.sent),
                megabytes=(counter.bytes - bytes_) / 1e6,
                cpu=time.process_time() - cpu,
                lag=time.monotonic() - max(ends.values()),
            )


def vendors(number: int) -> Cost:
    """Wait for one list of tasks with the vendor's client, and return the cost."""
    cloudtower: Any = importlib.import_module("cloudtower")
    wait_tasks: Any = importlib.import_module("cloudtower.utils").wait_tasks
    with remote(number, 8.0, 12.0) as far:
        client = Vendor(far.place).client
        cloudtower.TaskApi(client).get_tasks({"where": {"id_in": []}})  # loads modules
        requests = size = 0
        pool = client.rest_client.pool_manager
        send = pool.request

        def count(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
            nonlocal requests, size
            answer = send(*arguments, **options)
            requests += 1
            size += len(options["body"]) + len(answer.data)
            return answer

        pool.request = count
        ends = start(far)
        cpu = time.process_time()
        wait_tasks(list(ends), client, interval=INTERVAL)
        return Cost(
            requests=requests,
            megabytes=size / 1e6,
            cpu=time.process_time() - cpu,
            lag=time.monotonic() - max(ends.values()),
        )


def measured(what: str, number: int) -> bytes:
    """Run a measurement in another process, and return its output."""
    command = [sys.executable, "-m", "benchmarks.task_waiter", "--here", what, str(number)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout  # noqa: S603


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--crowd", type=int, default=CROWD, help="number of coroutines in the first part"
    )
    parser.add_argument("--list", type=int, default=LIST, help="number of tasks in the second part")
    parser.add_argument("--serve", nargs=3, help="run the server")
    parser.add_argument("--here", nargs=2, help="measure in this process, print JSON")
    options = parser.parse_args()
    if options.serve:
        number, least, most = options.serve
        anyio.run(serve, int(number), float(least), float(most))
    elif options.here:
        what, number = options.here[0], int(options.here[1])
        if what == "vendors":
            tell(vendors(number))
        else:
            tell(anyio.run(crowd if what == "crowd" else ours, number))
    else:
        show(options.crowd, options.list)


def show(crowd_size: int, list_size: int) -> None:
    """Run both parts and print the figures."""
    print(f"Python {sys.version.split()[0]}, interval {INTERVAL:g} s")
    cost = msgspec.json.decode(measured("crowd", crowd_size), type=CrowdCost)
    lags = cost.lags
    print(
        f"{crowd_size:,} coroutines, each waiting for its own task:\n"
        f"  {cost.requests} requests in {cost.ticks} ticks, {cost.most_requests} at most in one\n"
        f"  {cost.tick_cpu:.0f} ms of the client's CPU to ask for all of them once,"
        f" {cost.cpu:.2f} s from the first step to the last\n"
        f"  {statistics.median(lags):.2f} s from the end of a task to the return (most"
        f" {lags[-1]:.2f} s, with answers that took up to {cost.round_trip:.2f} s)\n"
        f"  {cost.memory:.0f} MB above the session at rest\n"
        f"  {cost.lost} lost, {cost.doubled} asked for twice"
    )
    what = f"{crowd_size:,} waiters"
    print_as_lines(
        [
            Figure(what=f"{what}: CPU time per poll", value=cost.tick_cpu, unit="ms", goal=100),
            Figure(
                what=f"{what}: maximum number of requests per poll",
                value=cost.most_requests,
                goal=20,
            ),
            Figure(
                what=f"{what}: longest time from the end of a task to the return of its waiter",
                value=lags[-1],
                unit="s",
                goal=INTERVAL + cost.answering,
                note=f"the goal is the pause between polls ({INTERVAL:g} s) plus the time in which "
                f"bare aiohttp reads all tasks ({cost.answering:.2f} s); our slowest request took "
                f"{cost.round_trip:.2f} s",
            ),
            Figure(
                what=f"{what}: memory in addition to an idle session",
                value=cost.memory,
                unit="MB",
                goal=60,
            ),
            Figure(
                what=f"{what}: tasks that were lost or read twice",
                value=cost.lost + cost.doubled,
                goal=0,
            ),
        ]
    )
    print(f"{list_size:,} tasks in one list:")
    ways = ["ours"]
    if importlib.util.find_spec("cloudtower"):
        ways.append("vendors")
    for what in ways:
        way = msgspec.json.decode(measured(what, list_size), type=Cost)
        name = "cloudtower_async wait" if what == "ours" else "the vendor's wait_tasks"
        print(
            f"  {name:24}{way.requests:3} requests, {way.megabytes:5.1f} MB,"
            f" {way.cpu * 1e3:6.0f} ms of CPU,"
            f" back {way.lag:.2f} s after the end of the last task"
        )


if __name__ == "__main__":
    main()
