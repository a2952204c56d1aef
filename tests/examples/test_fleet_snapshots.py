"""The fleet's snapshots by workers, with a real Redis: one of them dies, and nothing is lost."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import sys
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from subprocess import DEVNULL, STDOUT
from typing import TYPE_CHECKING, NoReturn

import anyio
import pytest
from redis.asyncio import Redis

from cloudtower_async import Cloudtower
from cloudtower_async.testing import Clock, Simulator
from tests.support import unused_port

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from anyio.abc import Process

REDIS_SERVER = shutil.which("redis-server")

pytestmark = [
    pytest.mark.subprocess,
    pytest.mark.anyio,
    pytest.mark.skipif(
        REDIS_SERVER is None or os.name != "posix", reason="there is no redis-server here"
    ),
]

NAME = "nightly-2026-01-31"
NEXT_NAME = "nightly-2026-02-01"
PROFILES = ("north", "south")
VMS = 6
AT_ONCE = 3  # tasks of a worker


@dataclass(frozen=True)
class Fleet:
    """Two simulated Towers, stopped clocks, a Redis, and the environment that leads to them."""

    sims: list[Simulator]
    environment: dict[str, str]

    def asked(self) -> int:
        """How many snapshots the Towers have been asked for."""
        return sum(len(sim.sent("create-vm-snapshot")) for sim in self.sims)

    @asynccontextmanager
    async def process(self, module: str, *arguments: str) -> AsyncGenerator[Process]:
        """A process, with all that it starts: they are gone at the end."""
        process = await anyio.open_process(
            [sys.executable, "-m", module, *arguments],
            env=self.environment,
            stderr=STDOUT if "snapshots" in module else DEVNULL,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):  # it has ended this very moment
                    os.killpg(process.pid, signal.SIGKILL)
            await process.aclose()

    def worker(self) -> AbstractAsyncContextManager[Process]:
        return self.process(
            "taskiq",
            "worker",
            "examples.fleet.jobs:broker",
            "--workers=1",
            f"--max-async-tasks={AT_ONCE}",
        )

    def dispatcher(self, name: str, *profiles: str) -> AbstractAsyncContextManager[Process]:
        return self.process("examples.fleet.snapshots", name, *profiles)


@asynccontextmanager
async def redis(folder: Path) -> AsyncGenerator[str]:
    port = unused_port()
    command = f"{REDIS_SERVER} --bind 127.0.0.1 --port {port} --dir {folder} --save"
    async with await anyio.open_process([*command.split(), "", "--daemonize", "no"]) as server:
        try:
            assert server.stdout is not None
            told = b""
            while b"Ready to accept connections" not in told:
                told += await server.stdout.receive()
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()


@asynccontextmanager
async def fleet(folder: Path) -> AsyncGenerator[Fleet]:
    async with AsyncExitStack() as stack:
        profiles = anyio.Path(folder, "cloudtower-async", "profiles.toml")
        sims: list[Simulator] = []
        text = ""
        for seed, profile in enumerate(PROFILES):
            clock = Clock(running=False)
            sim = Simulator(clusters=1, vms=VMS, seed=seed, task_duration=1, clock=clock)
            sims.append(await stack.enter_async_context(sim))
            async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
                token = await tower.get_token()
            text += f'[{profile}]\nendpoint = "{sim.url}"\ntoken = "{token}"\n'
        await profiles.parent.mkdir()
        await profiles.write_text(text)
        await profiles.chmod(0o600)
        environment = {
            name: value for name, value in os.environ.items() if "CLOUDTOWER_" not in name
        }
        environment["XDG_CONFIG_HOME"] = str(folder)
        environment["FLEET_REDIS"] = await stack.enter_async_context(redis(folder))
        environment["FLEET_LOST"] = "2"
        environment["FLEET_GRACE"] = "8"
        yield Fleet(sims, environment)


def each_once(sim: Simulator, name: str) -> bool:
    found = sim.store.select("VmSnapshot", {"name": name})
    return Counter(one["vm"] for one in found) == Counter(list(sim.store.table("Vm")))


async def output(process: Process) -> list[str]:
    assert process.stdout is not None
    return b"".join([part async for part in process.stdout]).decode().splitlines()


async def let_time_pass(sims: list[Simulator]) -> NoReturn:
    while True:
        for sim in sims:
            sim.clock.advance(1)
        await anyio.sleep(0.05)


async def test_a_worker_and_the_caller_die_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    async with fleet(tmp_path) as towers, towers.worker() as first, towers.worker():
        async with towers.dispatcher(NAME, *PROFILES) as caller:
            while towers.asked() < 2 * AT_ONCE:  # noqa: ASYNC110 - both are full: time stands still
                await anyio.sleep(0.01)
            os.killpg(first.pid, signal.SIGKILL)
            os.killpg(caller.pid, signal.SIGKILL)
            await first.wait()
        async with anyio.create_task_group() as group:
            group.start_soon(let_time_pass, towers.sims)

            # The same call goes on with what is there.
            async with towers.dispatcher(NAME, "nowhere", *PROFILES) as caller:
                unknown, told = await output(caller)
                assert unknown.startswith(f"{NAME}/nowhere: there is no profile 'nowhere' in ")
                assert told == f"{2 * VMS} snapshots, 1 errors"
                assert await caller.wait() == 1
            assert towers.asked() == 2 * VMS
            assert all(each_once(sim, NAME) for sim in towers.sims)

            # Of another night one fails, and only that one is made by the next call.
            towers.sims[0].tasks.fail_next()
            async with towers.dispatcher(NEXT_NAME, PROFILES[0]) as caller:
                failed, told = await output(caller)
                assert failed.startswith(f"{NEXT_NAME}/north/")
                assert "the host did not answer" in failed
                assert told == f"{VMS - 1} snapshots, 1 errors"
            async with towers.dispatcher(NEXT_NAME, PROFILES[0]) as caller:
                assert await output(caller) == [f"{VMS} snapshots, 0 errors"]
                assert await caller.wait() == 0
            assert towers.asked() == 2 * VMS + VMS + 1
            assert each_once(towers.sims[0], NEXT_NAME)
            group.cancel_scope.cancel()


class Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, (f"__import__('os').mkdir({str(self._file)!r})",)


async def test_what_somebody_writes_to_redis_is_not_run(tmp_path: Path) -> None:
    async with fleet(tmp_path) as towers, towers.worker():
        vm = next(iter(towers.sims[0].store.table("Vm")))
        key = f"fleet:results:{NAME}/north/{vm}"
        async with Redis.from_url(towers.environment["FLEET_REDIS"]) as client:  # pyright: ignore[reportUnknownMemberType] - its **kwargs
            await client.set(key, pickle.dumps(Bomb(tmp_path / "run")))
            async with anyio.create_task_group() as group:
                group.start_soon(let_time_pass, towers.sims)
                async with towers.dispatcher(NAME, "north") as caller:
                    assert await output(caller) == [f"{VMS} snapshots, 0 errors"]
                group.cancel_scope.cancel()
            keys = await client.keys("fleet:results:*")  # pyright: ignore[reportUnknownMemberType]
            results = [await client.get(one) for one in keys]
        assert len(results) >= VMS
        assert all(json.loads(result or "")["is_err"] is False for result in results)
        assert not await anyio.Path(tmp_path, "run").exists()
