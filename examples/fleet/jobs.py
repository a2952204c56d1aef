"""What workers do: a taskiq broker, with its queue in Redis, and its tasks.

    taskiq worker examples.fleet.jobs:broker --max-async-tasks 20

on as many machines as you like. Each needs the profiles of the Towers.
"""

from __future__ import annotations

import os
from functools import partial

import anyio
import anyio.to_thread
from redis.asyncio import Redis
from taskiq import TaskiqDepends, TaskiqEvents, TaskiqState
from taskiq.serializers import JSONSerializer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from cloudtower_async import Cloudtower, CloudtowerError
from cloudtower_async.jobs.redis_journal import RedisJournal
from examples.snapshot_bot.once import snapshot_once

REDIS = os.environ.get("FLEET_REDIS", "redis://127.0.0.1:6379/0")
LOST = float(os.environ.get("FLEET_LOST", "900"))  # seconds until another worker takes it over
GRACE = float(os.environ.get("FLEET_GRACE", "120"))  # seconds that a lost request may be under way

_TIMEOUT = 3600.0  # seconds for a snapshot
_REMEMBERED = 7 * 86400  # seconds that results are kept
RESULTS = "fleet:results"

broker = RedisStreamBroker(
    REDIS,
    queue_name="fleet:queue",
    consumer_id="0",  # also what was there before the first worker
    idle_timeout=round(LOST * 1000),
    xread_count=1,  # what a worker can't begin yet is for others
    maxlen=1_000_000,
).with_result_backend(
    RedisAsyncResultBackend(
        REDIS,
        prefix_str=RESULTS,
        result_ex_time=_REMEMBERED,
        # The default unpickles results: whoever can write to Redis could run code here.
        serializer=JSONSerializer(),
    )
)


def connect() -> Redis:
    """A client of the same Redis, for what is no task."""
    return Redis.from_url(REDIS)  # pyright: ignore[reportUnknownMemberType] - its **kwargs


class Towers:
    """The sessions of a worker, each opened when it is first needed."""

    def __init__(self) -> None:
        self._sessions: dict[str, Cloudtower] = {}
        self._lock = anyio.Lock()

    async def get(self, profile: str) -> Cloudtower:
        """The session of a profile.

        Raises:
            InvalidSettings: This machine has no such profile.
        """
        async with self._lock:
            if profile not in self._sessions:
                make = partial(Cloudtower.from_env, profile=profile)  # reads files, or a keyring
                self._sessions[profile] = await anyio.to_thread.run_sync(make)
            return self._sessions[profile]

    async def close(self) -> None:
        """Close them all."""
        for session in self._sessions.values():
            await session.close()


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def start(state: TaskiqState) -> None:
    state.towers = Towers()
    state.redis = connect()


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def stop(state: TaskiqState) -> None:
    await state.towers.close()
    await state.redis.aclose()


@broker.task("snapshot_vm")
async def snapshot_vm(
    profile: str,
    vm_id: str,
    name: str,
    state: TaskiqState = TaskiqDepends(),  # noqa: B008 - taskiq fills it in
) -> str:
    """See to it that a VM has the snapshot of this name; may be done twice, also at once.

    The message is acknowledged when the result is saved. One of a worker that died goes to another.

    Returns:
        The id of the snapshot.
    """
    towers: Towers = state.towers
    tower = await towers.get(profile)
    journal = RedisJournal(state.redis, prefix=f"fleet:journal:{profile}", grace=GRACE)
    try:
        vm = await tower.get_one(tower.vm.get_vms, where={"id": vm_id})
        snapshot = await snapshot_once(tower, journal, vm, name, timeout=_TIMEOUT)
    except CloudtowerError as error:
        # Of an exception that goes through Redis only the arguments remain: let it be its text.
        raise RuntimeError(str(error)) from None
    return snapshot.id


@broker.task("knock")
async def knock() -> None:
    """Do nothing: a worker looks for what others left behind when a message has come."""
