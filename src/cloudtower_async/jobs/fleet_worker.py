"""Worker of a fleet: takes items from the queue, and works on several items at the same time."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.to_thread
import msgspec
from taskiq.acks import AcknowledgeType
from taskiq.exceptions import NoResultError
from taskiq.receiver import Receiver

from ..client import Cloudtower
from ..errors import CallTimeout, CloudtowerError, ConnectionFailed, LeaseLost
from ..profiles import from_profile
from .fleet_broker import OUTAGES, PREFIX, FleetBroker, ItemResult, SlotLease
from .fleet_job import FleetItem
from .journal import GRACE
from .lease import hold
from .redis_journal import RedisJournal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from .fleet_job import FleetJob

T = TypeVar("T")

TASK = "item"
"""Name of the broker's only taskiq task."""

_PAUSE = 1.0
"""Seconds to wait before an item is repeated after an outage of Redis."""

_log = logging.getLogger("cloudtower_async.jobs")


async def open_profile(name: str) -> Cloudtower:
    """Return a session whose options come from a profile only, not from environment variables.

    Raises:
        InvalidSettings: This machine has no such profile, or the profile is invalid.
    """
    read = partial(from_profile, name, {})  # reads files or a keyring, which blocks
    options: Any = await anyio.to_thread.run_sync(read)
    return Cloudtower(**options)


class FleetWorker:
    """Worker that processes the items of some jobs until it is cancelled.

    Args:
        url: Address of Redis.
        jobs: The jobs by name. The worker does not take items of other jobs.
        concurrency: Maximum number of items in progress at the same time.
        grace: Seconds until a request with an unknown outcome may be repeated.
        lost: Number of seconds after which other workers take over the items of a worker that has
            died.
        drain: Maximum number of seconds to finish the items in progress after a cancellation. Items
            that take longer are cancelled, and other workers take over these items.
        item_timeout: Time-out in seconds for the work on an item.
    """

    def __init__(
        self,
        url: str,
        jobs: Mapping[str, FleetJob],
        *,
        concurrency: int = 20,
        grace: float = GRACE,
        lost: float = 60.0,
        drain: float = 30.0,
        item_timeout: float = 4 * 3600.0,
    ) -> None:
        self._broker = FleetBroker(url, list(jobs), lost=lost)
        self._broker.register_task(_function(self._run_item), task_name=TASK)
        self._jobs = jobs
        self._concurrency = concurrency
        self._grace = grace
        self._drain = drain
        self._item_timeout = item_timeout
        self._finish = asyncio.Event()
        self._scopes: set[anyio.CancelScope] = set()
        self._sessions: dict[str, Cloudtower] = {}
        self._opening = anyio.Lock()

    async def run(self) -> None:
        """Work until cancelled, then finish the items in progress."""
        self._broker.is_worker_process = True
        receiver = Receiver(
            self._broker,
            max_async_tasks=self._concurrency,
            max_prefetch=0,
            validate_params=False,
            run_startup=False,
            ack_type=AcknowledgeType.WHEN_SAVED,
        )
        ended = anyio.Event()

        async def listen() -> None:
            try:
                with anyio.CancelScope(shield=True):
                    async with anyio.create_task_group() as group:
                        group.start_soon(self._broker.keep_claims)
                        await receiver.listen(self._finish)
                        group.cancel_scope.cancel()
            finally:
                ended.set()

        try:
            await self._broker.startup()
            async with anyio.create_task_group() as group:
                group.start_soon(listen)
                try:
                    await ended.wait()
                finally:
                    with anyio.CancelScope(shield=True):
                        await self._end(ended)
        finally:
            with anyio.CancelScope(shield=True):
                for session in self._sessions.values():
                    await session.close()
                await self._broker.shutdown()

    async def _end(self, ended: anyio.Event) -> None:
        self._finish.set()
        with anyio.move_on_after(self._drain):
            await ended.wait()
        self._broker.stopped = True
        for scope in list(self._scopes):
            scope.cancel()
        await ended.wait()

    async def _run_item(
        self,
        job: str,
        run: str,
        profile: str,
        item: dict[str, Any],
        per_tower: int,
        per_cluster: int,
    ) -> dict[str, Any]:
        """Work on an item. Return the result, which contains the error if the work failed."""
        if self._broker.stopped:
            raise NoResultError
        result: ItemResult | None = None
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                decoded = msgspec.convert({**item, "run": run}, FleetItem)
                slot = SlotLease(
                    self._broker.redis,
                    profile,
                    decoded.cluster,
                    per_tower=per_tower,
                    per_cluster=per_cluster,
                    ttl=self._broker.lost,
                )
                result = await self._work_in_time(job, profile, decoded, slot)
            finally:
                self._scopes.discard(scope)
        if result is None:  # the work was cancelled, so another worker repeats it
            raise NoResultError
        built: dict[str, Any] = msgspec.to_builtins(result)
        return built

    async def _work_in_time(
        self, job: str, profile: str, item: FleetItem, slot: SlotLease
    ) -> ItemResult:
        try:
            with anyio.fail_after(self._item_timeout):
                while True:
                    try:
                        async with hold(slot, wait=None):
                            return await self._work(job, profile, item)
                    except (LeaseLost, *OUTAGES) as error:
                        _log.warning("%s: repeating item %s: %s", profile, item.key, error)
                        await anyio.sleep(_PAUSE)
        except TimeoutError:
            return ItemResult(error=f"not done within {self._item_timeout:g} s")

    async def _work(self, job: str, profile: str, item: FleetItem) -> ItemResult:
        journal = RedisJournal(
            self._broker.redis,
            prefix=f"{PREFIX}:journal:{job}/{item.run}/{profile}",
            grace=self._grace,
        )
        try:
            tower = await self._session(profile)
            value = await self._jobs[job].work(tower, item, journal)
            return ItemResult(value=msgspec.to_builtins(value))
        except CloudtowerError as error:
            unreachable = isinstance(error, ConnectionFailed | CallTimeout)
            return ItemResult(error=str(error), unreachable=unreachable)
        except OUTAGES:
            raise  # the journal could not be reached, so the item is repeated later
        except Exception as error:
            _log.exception("%s: item %s failed", profile, item.key)
            return ItemResult(error=f"{type(error).__name__}: {error}")

    async def _session(self, profile: str) -> Cloudtower:
        async with self._opening:
            if profile not in self._sessions:
                self._sessions[profile] = await open_profile(profile)
            return self._sessions[profile]


def _function(method: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
    """Wrap a method in a function. taskiq sets ``__name__``, which a method does not allow."""

    async def item(*args: Any) -> Any:  # noqa: ANN401
        return await method(*args)

    return item
