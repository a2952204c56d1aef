"""Simulated Towers, a Redis, and the processes of a fleet."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import pytest

from cloudtower_async import Cloudtower
from cloudtower_async.cli.fleet import REDIS
from cloudtower_async.jobs.fleet import run_fleet
from cloudtower_async.jobs.fleet_job import load_job
from cloudtower_async.jobs.fleet_worker import FleetWorker
from cloudtower_async.testing import Clock, Simulator
from tests.jobs.redis_server import redis_process
from tests.support import unused_port

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from anyio.abc import Process

    from cloudtower_async.jobs.fleet import FleetRun

JOB = "examples.fleet.snapshots:nightly"
LOST = 2.0
GRACE = 8.0


@dataclass
class Fleet:
    """Simulated Towers with stopped clocks, and environment variables to reach them.

    Attributes:
        sims: The Towers by profile.
        environment: Variables of the processes.
        port: Port of Redis.
    """

    sims: dict[str, Simulator]
    environment: dict[str, str]
    port: int

    @property
    def url(self) -> str:
        """Address of Redis."""
        return self.environment[REDIS]

    def asked(self) -> int:
        """Return the number of snapshots requested from the Towers."""
        return sum(len(sim.sent("create-vm-snapshot")) for sim in self.sims.values())

    async def asked_for(self, number: int) -> None:
        """Wait until this number of snapshots was requested from the Towers."""
        while self.asked() < number:  # noqa: ASYNC110
            await anyio.sleep(0.01)

    @asynccontextmanager
    async def worker(self, *, concurrency: int = 20) -> AsyncGenerator[None]:
        """Run a worker in this process."""
        jobs = {JOB: load_job(JOB)}
        worker = FleetWorker(
            self.url, jobs, concurrency=concurrency, grace=GRACE, lost=LOST, drain=0
        )
        async with anyio.create_task_group() as group:
            group.start_soon(worker.run)
            yield
            group.cancel_scope.cancel()

    async def run(self, run: str, *profiles: str, **options: Any) -> FleetRun:  # noqa: ANN401
        """Run a fleet job from this process."""
        job = load_job(JOB)
        return await run_fleet(self.url, JOB, job, profiles, run=run, **options)

    @asynccontextmanager
    async def process(self, *arguments: str) -> AsyncGenerator[Process]:
        """Run ``cloudtower-async fleet`` in a process that ends with the block."""
        process = await anyio.open_process(
            [sys.executable, "-m", "cloudtower_async", "fleet", *arguments],
            env=self.environment,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            kill(process)
            await process.aclose()

    def worker_process(self, *options: str) -> AbstractAsyncContextManager[Process]:
        """Run a worker in another process."""
        return self.process("worker", JOB, f"--lost={LOST}", f"--grace={GRACE}", *options)

    def caller_process(self, run: str, *profiles: str) -> AbstractAsyncContextManager[Process]:
        """Run a fleet job from another process."""
        chosen = ",".join(profiles)
        return self.process("run", JOB, f"--run={run}", f"--profiles={chosen}", "--output=json")

    async def let_time_pass(self) -> NoReturn:
        """Start the clocks of the Towers."""
        while True:
            for sim in self.sims.values():
                sim.clock.advance(1)
            await anyio.sleep(0.05)


def kill(process: Process) -> None:
    """Kill a process and its children."""
    if process.returncode is None:
        with suppress(ProcessLookupError):  # it has just ended
            os.killpg(process.pid, signal.SIGKILL)


@asynccontextmanager
async def fleet(
    folder: Path, *profiles: str, vms: int, redis: bool = True
) -> AsyncGenerator[Fleet]:
    """Run simulated Towers, and a Redis that keeps its data."""
    async with AsyncExitStack() as stack:
        file = anyio.Path(folder, "cloudtower-async", "profiles.toml")
        sims: dict[str, Simulator] = {}
        text = ""
        for seed, profile in enumerate(profiles):
            clock = Clock(running=False)
            sim = Simulator(clusters=1, vms=vms, seed=seed, task_duration=1, clock=clock)
            sims[profile] = await stack.enter_async_context(sim)
            async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
                token = await tower.get_token()
            text += f'[{profile}]\nendpoint = "{sim.url}"\ntoken = "{token}"\n'
        await file.parent.mkdir()
        await file.write_text(text)
        await file.chmod(0o600)
        environment = {
            name: value for name, value in os.environ.items() if "CLOUDTOWER_" not in name
        }
        port = unused_port()
        environment["XDG_CONFIG_HOME"] = str(folder)
        stack.enter_context(pytest.MonkeyPatch.context()).setenv("XDG_CONFIG_HOME", str(folder))
        environment[REDIS] = f"redis://127.0.0.1:{port}/0"
        if redis:
            await stack.enter_async_context(redis_process(folder, port, durable=True))
        yield Fleet(sims, environment, port)
