"""Run a job on many Towers, with workers that share a queue; requires the extra ``fleet``."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import msgspec
from redis.exceptions import ResponseError
from taskiq.exceptions import SendTaskError

from ..concurrency import map_concurrently, side_by_side
from ..errors import CloudtowerError, InvalidInput
from ..queries.batches import batches
from ..retry.backoff import poll_delays
from ..validators import check_seconds, positive_number
from .fleet_broker import (
    GROUP,
    OUTAGES,
    PREFIX,
    FleetBroker,
    ItemResult,
    result_key,
    stored_result,
    stream_key,
)
from .fleet_job import FleetJob
from .fleet_worker import TASK, open_profile
from .redis_journal import redis_client

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from .fleet_job import FleetItem

T = TypeVar("T")

_POLL = 0.2
"""Seconds between two polls for results."""

_REQUEUE = 15.0
"""Seconds after which items without a result are queued again, in case Redis has lost their
messages."""

_PAUSE = 5.0
"""Maximum number of seconds between two attempts to reach Redis."""

_GIVE_UP = 5
"""If a Tower does not answer for this number of consecutive items, its other items are not
tried."""

_REMEMBERED = 7 * 86400
"""Number of seconds for which the progress of a run is stored in Redis."""

_log = logging.getLogger("cloudtower_async.jobs")


class FleetFailure(msgspec.Struct, frozen=True, kw_only=True):
    """An item that failed.

    Attributes:
        profile: Profile of the Tower.
        key: Key of the item.
        error: Message of the error.
    """

    profile: str
    key: str
    error: str


class TowerRun(msgspec.Struct, kw_only=True):
    """State of a run on one Tower.

    Attributes:
        profile: Profile of the Tower.
        listed: Whether the items of the Tower have been listed.
        items: Number of items.
        done: Number of items that succeeded in this call, or in earlier calls with the same job and
            run.
        failed: Number of items that failed.
        error: Reason why items were not tried, or None. Either the items could not be listed, or
            the Tower failed to answer for several items in a row.
    """

    profile: str
    listed: bool = False
    items: int = 0
    done: int = 0
    failed: int = 0
    error: str | None = None


class FleetRun(msgspec.Struct, kw_only=True):
    """State of a run, or the report about a run that has ended.

    Attributes:
        job: Name of the job.
        run: Name of the run.
        towers: The Towers, in the order of the profiles.
        failures: The failed items.
        seconds: Number of seconds since `run_fleet` was called.
    """

    job: str
    run: str
    towers: list[TowerRun]
    failures: list[FleetFailure] = []
    seconds: float = 0.0

    @property
    def items(self) -> int:
        """Number of items that have been listed so far, on all Towers."""
        return sum(tower.items for tower in self.towers)

    @property
    def done(self) -> int:
        """Number of items of all Towers that succeeded."""
        return sum(tower.done for tower in self.towers)

    @property
    def complete(self) -> bool:
        """Whether all items of all Towers succeeded."""
        return all(
            tower.listed and tower.error is None and tower.done == tower.items
            for tower in self.towers
        )


async def run_fleet(
    url: str,
    name: str,
    job: FleetJob,
    profiles: Sequence[str],
    *,
    run: str,
    per_tower: int = 10,
    per_cluster: int = 5,
    patience: float = 600.0,
    on_progress: Callable[[FleetRun], object] | None = None,
) -> FleetRun:
    """Let workers run a job on many Towers, wait until all items have ended, and return the report.

    The workers are processes of the command ``cloudtower-async fleet worker``. A call with the same
    job and run continues an earlier call, even if the earlier call is still running. The
    new call skips items that succeeded, waits for items in progress, and tries failed items again.

    Args:
        url: Address of Redis.
        name: Name of the job: ``module:name``. The workers must use the same name.
        job: The job. Its ``list_items`` returns the items of each Tower.
        profiles: Names of the profiles of the Towers. The profiles must exist on this machine and
            on the workers' machines.
        run: Name of the run, such as ``"2026-01-31"``.
        per_tower: Maximum number of items in progress on a Tower, in all workers and runs together.
        per_cluster: Maximum number of items in progress on a cluster, in all workers and runs
            together.
        patience: Number of seconds after which an outage of Redis raises an error.
        on_progress: Function that is called with the state of the run when the state has changed,
            at most about once a second. The function must not block.

    Returns:
        The report of the run.

    Raises:
        CloudtowerError: Redis could not be reached for longer than `patience` seconds.
        InvalidInput: An argument is invalid.
    """
    per_tower = positive_number("run_fleet", "per_tower", per_tower)
    per_cluster = positive_number("run_fleet", "per_cluster", per_cluster)
    check_seconds("run_fleet", "patience", patience)
    if not profiles or len(set(profiles)) != len(profiles):
        raise InvalidInput("run_fleet: profiles: expected at least one name, and each once")
    for argument, names in (("run", [run]), ("profiles", profiles)):
        if not all(name and name.isprintable() and "/" not in name for name in names):
            raise InvalidInput(f"run_fleet: {argument}: expected printable text without a slash")
    caller = _Caller(url, name, job, profiles, run, per_tower, per_cluster, patience)
    try:
        return await caller.execute(on_progress)
    finally:
        with anyio.CancelScope(shield=True):
            await caller.close()


@dataclass
class _Tower:
    """State of a Tower during a run."""

    state: TowerRun
    waiting: deque[FleetItem] = field(default_factory=deque["FleetItem"])
    under_way: dict[str, FleetItem] = field(default_factory=dict[str, "FleetItem"])
    by_cluster: Counter[str | None] = field(default_factory=Counter["str | None"])
    silent: int = 0
    """Number of consecutive items that failed because the Tower did not answer."""

    @property
    def ended(self) -> bool:
        """Whether all items have ended, or could not be listed."""
        listed = self.state.listed or self.state.error is not None
        return listed and not self.waiting and not self.under_way


class _Caller:
    """One call of `run_fleet`."""

    def __init__(
        self,
        url: str,
        name: str,
        job: FleetJob,
        profiles: Sequence[str],
        run: str,
        per_tower: int,
        per_cluster: int,
        patience: float,
    ) -> None:
        self._broker = FleetBroker(url, [name])
        self._task = self._broker.register_task(_not_here, task_name=TASK)
        self._job = job
        self._per_tower = per_tower
        self._per_cluster = per_cluster
        self._patience = patience
        self._towers = {profile: _Tower(TowerRun(profile=profile)) for profile in profiles}
        states = [tower.state for tower in self._towers.values()]
        self._state = FleetRun(job=name, run=run, towers=states)
        self._began = anyio.current_time()

    async def close(self) -> None:
        """Close the connections to Redis."""
        await self._broker.shutdown()

    async def execute(self, on_progress: Callable[[FleetRun], object] | None) -> FleetRun:
        """Run the job, and return the report."""
        await self._broker.startup()
        await side_by_side(
            lambda: map_concurrently(self._list, self._towers),
            lambda: self._follow(on_progress),
        )
        return self._state

    async def _list(self, profile: str) -> None:
        """List the items of a Tower. If that fails, store the error in the state of the Tower."""
        tower = self._towers[profile]
        try:
            async with await open_profile(profile) as session:
                unique = {item.key: item for item in await self._job.list_items(session)}
            # Raise encoding errors here, where they only end the run on this Tower.
            msgspec.json.encode(list(unique.values()))
        except CloudtowerError as error:
            tower.state.error = str(error)
            return
        except Exception as error:
            _log.exception("%s: the items cannot be listed", profile)
            tower.state.error = f"{type(error).__name__}: {error}"
            return
        known = await self._earlier_results(profile, list(unique))
        tower.state.items = len(unique)
        tower.state.done = len(known)
        tower.waiting.extend(item for item in unique.values() if item.key not in known)
        tower.state.listed = True

    async def _earlier_results(self, profile: str, keys: Sequence[str]) -> set[str]:
        """Return the keys of items that succeeded in earlier calls.

        Delete the results of failed items, so that these items are tried again.
        """
        succeeded: set[str] = set()
        for some in batches(keys):
            ids = [self._task_id(profile, key) for key in some]
            results = await self._outlast(partial(self._results, ids))
            failed: list[str] = []
            for key, task_id, result in zip(some, ids, results, strict=True):
                if result is not None and result.error is None:
                    succeeded.add(key)
                elif result is not None:
                    failed.append(result_key(task_id))
            if failed:
                await self._outlast(partial(self._delete, failed))
        return succeeded

    async def _follow(self, on_progress: Callable[[FleetRun], object] | None) -> None:
        """Queue items and collect results until no Tower has items left to process."""
        requeued = told = anyio.current_time()
        before = b""
        while True:
            now = anyio.current_time()
            self._state.seconds = now - self._began
            await self._outlast(self._collect)
            if now - requeued >= _REQUEUE:
                requeued = now
                await self._outlast(self._requeue)
            await self._outlast(self._queue)
            ended = all(tower.ended for tower in self._towers.values())
            if ended or now - told >= 1.0:
                told = now
                shown = msgspec.json.encode(self._state.towers)
                if shown != before:
                    before = shown
                    await self._outlast(self._store_progress)
                    if on_progress is not None:
                        on_progress(self._state)
            if ended:
                return
            await anyio.sleep(_POLL)

    async def _collect(self) -> None:
        expected = [
            (tower, task_id, item)
            for tower in self._towers.values()
            for task_id, item in tower.under_way.items()
        ]
        if not expected:
            return
        results = await self._results([task_id for _, task_id, _ in expected])
        for (tower, task_id, item), result in zip(expected, results, strict=True):
            if result is None:
                continue
            del tower.under_way[task_id]
            tower.by_cluster[item.cluster] -= 1
            self._count(tower, item, result)

    def _count(self, tower: _Tower, item: FleetItem, result: ItemResult) -> None:
        if result.error is None:
            tower.state.done += 1
        else:
            self._fail(tower, item, result.error)
        tower.silent = tower.silent + 1 if result.unreachable else 0
        if tower.silent >= _GIVE_UP and tower.waiting:
            tower.state.error = (
                f"the Tower did not answer {_GIVE_UP} times in a row, so "
                f"{len(tower.waiting)} items were not tried"
            )
            tower.waiting.clear()

    def _fail(self, tower: _Tower, item: FleetItem, error: str) -> None:
        tower.state.failed += 1
        failure = FleetFailure(profile=tower.state.profile, key=item.key, error=error)
        self._state.failures.append(failure)

    async def _queue(self) -> None:
        """Put items into the queue, up to the limits per Tower and per cluster.

        While a Tower does not answer, it gets one item at a time.
        """
        for tower in self._towers.values():
            limit = 1 if tower.silent else self._per_tower
            for _ in range(len(tower.waiting)):
                if len(tower.under_way) >= limit:
                    break
                item = tower.waiting[0]
                if item.cluster is not None and (
                    tower.by_cluster[item.cluster] >= self._per_cluster
                ):
                    tower.waiting.rotate(-1)
                    continue
                await self._send(tower, item)
                tower.waiting.popleft()
                tower.under_way[self._task_id(tower.state.profile, item.key)] = item
                tower.by_cluster[item.cluster] += 1

    async def _requeue(self) -> None:
        """Queue all items in progress again, in case Redis has lost their messages."""
        for tower in self._towers.values():
            for item in tower.under_way.values():
                await self._send(tower, item)

    async def _send(self, tower: _Tower, item: FleetItem) -> None:
        profile = tower.state.profile
        sender = self._task.kicker().with_task_id(self._task_id(profile, item.key))
        await sender.kiq(
            self._state.job,
            self._state.run,
            profile,
            msgspec.to_builtins(item),
            self._per_tower,
            self._per_cluster,
        )

    async def _results(self, task_ids: Sequence[str]) -> list[ItemResult | None]:
        """Return the result of each task, or None for a task without a result.

        If a stored text is not the result of a worker, the text is deleted.
        """
        redis = self._broker.redis
        texts: list[Any] = await redis.mget([result_key(task_id) for task_id in task_ids])
        results: list[ItemResult | None] = []
        for task_id, text in zip(task_ids, texts, strict=True):
            result = None if text is None else stored_result(text)
            if text is not None and result is None:
                await redis.delete(result_key(task_id))
            results.append(result)
        return results

    async def _delete(self, keys: Sequence[str]) -> None:
        await self._broker.redis.delete(*keys)

    async def _store_progress(self) -> None:
        state = self._state
        await self._broker.redis.set(
            f"{PREFIX}:run:{state.job}/{state.run}",
            msgspec.json.encode(FleetRun(job=state.job, run=state.run, towers=state.towers)),
            ex=_REMEMBERED,
        )

    def _task_id(self, profile: str, key: str) -> str:
        return f"{self._state.job}/{self._state.run}/{profile}/{key}"

    async def _outlast(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work`. During an outage of Redis, repeat it for up to `patience` seconds."""
        began = anyio.current_time()
        for delay in poll_delays(_PAUSE):
            try:
                return await work()
            except (*OUTAGES, SendTaskError) as error:
                cause = error.__cause__ if isinstance(error, SendTaskError) else error
                if not isinstance(cause, OUTAGES):
                    raise
                waited = anyio.current_time() - began
                if waited >= self._patience:
                    raise CloudtowerError(
                        f"Redis was out of reach for {waited:.0f} s: {cause}. Start the same run "
                        "again to continue."
                    ) from cause
                _log.warning("Redis cannot be reached, retrying: %s", cause)
            await anyio.sleep(delay)
        raise AssertionError("the delays have no end")


async def _not_here(
    job: str, run: str, profile: str, item: dict[str, Any], per_tower: int, per_cluster: int
) -> dict[str, Any]:
    """Give the task a signature. Workers run the task with a function of their own."""
    raise NotImplementedError


class QueueStatus(msgspec.Struct, frozen=True, kw_only=True):
    """State of the queue of a job.

    Attributes:
        job: Name of the job.
        queued: Number of items that are waiting for a worker.
        working: Number of items in progress.
        workers: Number of workers that have items in progress.
    """

    job: str
    queued: int
    working: int
    workers: int


class FleetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """State of a fleet.

    Attributes:
        queues: The queues, sorted by the name of the job.
        runs: The runs of the last week with their progress, sorted by job and name.
    """

    queues: list[QueueStatus]
    runs: list[FleetRun]


async def fleet_status(url: str) -> FleetStatus:
    """Return the state of the queues and runs that Redis stores.

    Args:
        url: Address of Redis.

    Raises:
        redis.exceptions.RedisError: Redis cannot be reached, or refuses a command.
    """
    async with redis_client(url) as redis:
        queues: list[QueueStatus] = []
        start = len(stream_key(""))
        for key in await _keys(redis, f"{PREFIX}:queue:*"):
            try:
                workers: list[Any] = await redis.xinfo_consumers(key, GROUP)
            except ResponseError:  # the consumer group does not exist yet
                workers = []
            working = sum(worker["pending"] for worker in workers)
            queues.append(
                QueueStatus(
                    job=key[start:],
                    queued=await redis.xlen(key) - working,
                    working=working,
                    workers=sum(worker["pending"] > 0 for worker in workers),
                )
            )
        runs: list[FleetRun] = []
        for key in await _keys(redis, f"{PREFIX}:run:*"):
            text: Any = await redis.get(key)
            try:
                runs.append(msgspec.json.decode(text or b"", type=FleetRun))
            except msgspec.DecodeError:
                _log.warning("%s: no run of this version has written it", key)
        return FleetStatus(queues=queues, runs=runs)


async def _keys(redis: Redis, pattern: str) -> list[str]:
    untyped: Any = redis
    return sorted([key.decode() async for key in untyped.scan_iter(pattern)])
