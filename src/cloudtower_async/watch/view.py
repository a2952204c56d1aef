"""Live view of the resources that match a query."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import (
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from contextlib import aclosing
from functools import partial
from itertools import repeat
from types import MappingProxyType, TracebackType
from typing import Any, Generic, Literal, Self, TypeAlias, TypeVar

import anyio
import msgspec

from ..calls.executor import Executor
from ..errors import CallError, CloudtowerError, InvalidInput, NoChangeFeed, Resync
from ..queries.batches import IDS_AT_ONCE, Resource, batches, read_by_ids
from ..queries.pages import PagedQuery, iter_pages
from ..validators import check_seconds
from .dependencies import Dependencies
from .feed import Feed
from .outages import Outage
from .shared_reads import SharedReads
from .subscribers import Subscribers, Subscription

_log = logging.getLogger("cloudtower_async")


_POLLS_PER_LOOK = 10
"""If the server has no change feed, the feed is tried again after this number of polls."""

R = TypeVar("R", bound=Resource)
T = TypeVar("T")

_LOOKS = 12
"""Number of attempts, within the grace period, to find a resource that is not listed yet."""

What: TypeAlias = Literal["added", "changed", "removed"]


class WatchEvent(msgspec.Struct, Generic[T], kw_only=True, frozen=True, gc=False):
    """Event of a view: a resource was added, changed or removed.

    ``"added"`` includes existing resources that begin to match the filter. ``"removed"`` includes
    existing resources that no longer match the filter.

    Attributes:
        what: ``"added"``, ``"changed"`` or ``"removed"``.
        id: Id of the resource.
        old: Resource before the event. None if the resource was added.
        new: Resource after the event. None if the resource was removed.
    """

    what: What
    id: str
    old: T | None
    new: T | None


class Watch(Generic[R]):
    """Live view of the resources that match a query, returned by `Cloudtower.watch`.

    Entering the view reads the resources. Each step of the iteration waits for the next event, and
    applies the event to the view. Nothing runs in the background. With `subscribe`, any number of
    asyncio tasks can follow the same view.
    """

    def __init__(
        self,
        executor: Executor,
        method: Callable[..., Awaitable[list[R]]],
        query: Mapping[str, Any],
        interval: float,
        grace: float = 60.0,
        *,
        asker: str = "watch",
        pauses: Iterator[float] | None = None,
        shared: MutableMapping[object, SharedReads[Any]] | None = None,
    ) -> None:
        self._query = PagedQuery(asker, method, query)
        for name in ("first", "order_by"):
            if query.get(name) is not None:
                raise InvalidInput(
                    f"{asker}: {name}: not supported: a view has all matching resources, unordered"
                )
        check_seconds(asker, "interval", interval)
        check_seconds(asker, "grace", grace, zero_ok=True)
        self._executor = executor
        self._interval = interval
        self._pauses = repeat(interval) if pauses is None else pauses
        self._grace = grace
        self.name: str = self._query.operation.name
        self._dependencies = Dependencies(self._query.operation, self._query.where)
        self._feed: Feed | None = self._new_feed()
        self._polls_left = 0  # number of polls until the next attempt to use the feed
        self._outage = Outage(f"reading {self.name} for a view", executor.transport, interval)
        self._guard = anyio.ResourceGuard("reading this view")
        self._open: bool | None = None  # whether the view is open; None before it is entered
        self._due = -math.inf
        self._delay = 0.0  # seconds between the last read and `_due`
        self._reads: SharedReads[R] | None = None
        if shared is not None:
            self._reads = self._shared_reads(shared, method, query)
        self._view: dict[str, R] = {}
        self._events: deque[WatchEvent[R]] = deque()
        self._subscribers = Subscribers(self._advance, self._state)
        # Ids to read again, in the order of their changes. The value is True if the server should
        # list the resource.
        self._touched: dict[str, bool] = {}
        self._stale = False  # whether all resources have to be read again
        self._late: dict[str, float] = {}  # unlisted resources: id, and time to give up
        self._look_at = math.inf  # time to look for unlisted resources
        self._relist_at = math.inf  # time to read all resources once again

    @property
    def snapshot(self) -> dict[str, R]:
        """Copy of the view: the resources by id. All events returned so far are applied."""
        return dict(self._view)

    @property
    def wanted_ids(self) -> list[str]:
        """Ids in the filter's conditions ``id`` or ``id_in``; empty without such a condition."""
        where = self._query.where or {}
        named = where.get("id")
        return [named] if isinstance(named, str) else list(self._query.ids or ())

    @property
    def error(self) -> CloudtowerError | None:
        """Error of the last request; None if the request succeeded."""
        if self._reads is not None and self.polls:
            return self._reads.error
        return self._outage.error or (self._feed.error if self._feed is not None else None)

    @property
    def polls(self) -> bool:
        """True if the change feed is not available, so that each poll reads all resources."""
        return self._feed is None

    async def __aenter__(self) -> Self:
        """Read the matching resources.

        Raises:
            CallError: The resources cannot be read.
            SessionClosed: The session was closed before or during the call.
        """
        self._executor.transport.running_loop()
        with self._guard:
            if self._feed is not None:
                try:
                    # Start the feed before the read. Changes during the read are then reported
                    # afterwards.
                    await self._feed.anchor()
                except NoChangeFeed as exc:
                    self._do_without(exc)
            self._late.clear()
            self._due = -math.inf
            self._view = await (self._list() if self._reads is None else self._relist())
            self._events.clear()
            self._schedule()
            self._relist_later()
            self._open = True
            self._subscribers.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open = False
        self._subscribers.close()

    def subscribe(self) -> Subscription[Mapping[str, R]]:
        """Return a subscription to the view; all subscribers share its polls.

        Enter the subscription with ``async with``, and iterate over it. The iteration yields the
        current state of the view immediately, and then the new state after each change. A state is
        a read-only mapping of the resources by id. A slow subscriber gets the latest state instead
        of a backlog. One of the waiting subscribers sends the polls for all subscribers. If no
        subscriber is waiting, no request is sent. Leaving the view ends the iteration of every
        subscriber. Do not iterate over the view itself while it has subscribers.

        Example:
            ::

                async with tower.watch(tower.vm.get_vms) as view, view.subscribe() as states:
                    async for vms in states:
                        print(len(vms))
        """
        return self._subscribers.subscribe()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchEvent[R]:
        """Wait for the next event and return it. A cancellation loses no event."""
        self._executor.transport.running_loop()
        with self._guard:
            await self._look_out()
            return self._take()

    async def _advance(self) -> None:
        """Wait for events, and apply all of them to the view."""
        self._executor.transport.running_loop()
        with self._guard:
            await self._look_out()
            while self._events:
                self._take()

    async def _look_out(self) -> None:
        """Wait until an event is available.

        Raises:
            StopAsyncIteration: The view was left.
        """
        while not self._events:
            if self._open is None:
                raise CloudtowerError(
                    "nothing has been read for this view: async with tower.watch(…) as view"
                )
            if not self._open:
                raise StopAsyncIteration
            await self._follow()

    def _take(self) -> WatchEvent[R]:
        """Apply the next event to the view, and return the event."""
        event = self._events.popleft()
        if event.new is None:
            del self._view[event.id]
        else:
            self._view[event.id] = event.new
        self._subscribers.change()
        return event

    def _state(self) -> Mapping[str, R]:
        return MappingProxyType(dict(self._view))

    async def _follow(self) -> None:
        """Do the next step: read resources, wait for changes, or wait until the next poll.

        If the caller is cancelled during a later step, the results of this step are kept.
        """
        if self._stale:
            found = await self._relist()
            self._stale = False
            listed = dict.fromkeys(self._view, True) | self._touched
            self._touched.clear()
            self._schedule()
            self._expect(listed, found)
            self._tell({**self._view, **found}, found)
        elif self._touched:
            ids = list(self._touched)[:IDS_AT_ONCE]
            found = await self._read(ids)
            self._expect({one: self._touched.pop(one) for one in ids}, found)
            self._tell(ids, found)
        elif anyio.current_time() >= self._look_at:
            await self._look_again()
        elif anyio.current_time() >= self._relist_at:
            self._relist_at = math.inf
            self._stale = True
        elif self._feed is not None:
            await self._hear(self._feed)
        else:
            if self._reads is None:  # `SharedReads.read` pauses by itself
                await self._executor.transport.sleep(max(0.0, self._due - anyio.current_time()))
            await self._look_for_feed()
            self._stale = True

    async def _hear(self, feed: Feed) -> None:
        try:
            changes = await feed.read(min(self._look_at, self._relist_at))
        except Resync as exc:
            _log.info("a view reads all of %s again: %s", self.name, exc)
            self._stale = True
            self._relist_later()
            return
        except NoChangeFeed as exc:
            self._do_without(exc)
            return
        for change in changes:
            touched = self._dependencies.touched_by(change)
            is_own = change.resource_type == self._dependencies.resource_type
            own = change.resource_id if is_own else None
            if touched is None:
                self._stale = True
                touched = {own} if own is not None else set[str]()
            for one in touched:
                self._touch(one, change.action if one == own else "")

    def _touch(self, one: str, action: str) -> None:
        """Mark the resource with the id `one` to be read again.

        `action` is the kind of change, such as ``"INSERT"``. It is empty if a related resource
        changed.
        """
        if action == "DELETE":
            self._late.pop(one, None)
            self._touched[one] = False
        elif action == "INSERT":
            self._touched[one] = True
        else:
            self._touched.setdefault(one, one in self._view)

    def _expect(self, ids: Mapping[str, bool], found: Mapping[str, R]) -> None:
        """Add resources to `_late` that the server should list, but that are missing from `found`.

        The server should list the ids whose value in `ids` is True. Servers may list a new resource
        up to a minute late, and the feed does not report when the resource appears.
        """
        for one in self._late.keys() & found.keys():
            del self._late[one]
        if self._feed is None or not self._grace:
            return
        now = anyio.current_time()
        for one, listed in ids.items():
            if listed and one not in found:
                self._late.setdefault(one, now + self._grace)
        if self._late:
            self._look_at = min(self._look_at, now + self._look_interval)

    @property
    def _look_interval(self) -> float:
        """Seconds between two queries for the resources in `_late`."""
        return max(self._interval, self._grace / _LOOKS)

    async def _look_again(self) -> None:
        """Query the resources in `_late` by id. Give up on each after its grace period."""
        now = anyio.current_time()
        for ids in batches(list(self._late)):
            found = await self._read(ids)
            for one in ids:
                if one in found or self._late[one] <= now:
                    del self._late[one]
            self._tell(found, found)
        self._look_at = now + self._look_interval if self._late else math.inf

    def _relist_later(self) -> None:
        """Schedule another read of all resources after the grace period.

        If a resource changes shortly before a read, the server may list the change only after the
        read. The feed does not report such a late change.
        """
        if self._feed is not None and self._grace:
            self._relist_at = anyio.current_time() + self._grace

    def _do_without(self, why: NoChangeFeed) -> None:
        _log.info("a view falls back to polling %s: %s", self.name, why)
        self._feed = None
        self._late.clear()
        self._look_at = self._relist_at = math.inf
        self._polls_left = _POLLS_PER_LOOK

    async def _look_for_feed(self) -> None:
        """Try the change feed again after every tenth poll.

        A proxy may have sent the status 404 that made the view stop using the feed.
        """
        self._polls_left -= 1
        feed = self._new_feed()
        if self._polls_left > 0 or not feed.has_credential:
            return
        self._polls_left = _POLLS_PER_LOOK
        try:
            await feed.anchor()
        except (NoChangeFeed, CallError):
            return
        _log.info("a view of %s uses the change feed again", self.name)
        self._feed = feed
        self._relist_later()

    def _new_feed(self) -> Feed:
        return Feed(self._executor, self._dependencies.types, None, self._interval, self._pauses)

    def _tell(self, ids: Iterable[str], found: Mapping[str, R]) -> None:
        """Queue an event for each id whose resource in `found` differs from the view."""
        for one in ids:
            old, new = self._view.get(one), found.get(one)
            if old != new:
                what: What = "added" if old is None else "removed" if new is None else "changed"
                self._events.append(WatchEvent(what=what, id=one, old=old, new=new))

    def _schedule(self) -> None:
        self._delay = next(self._pauses)
        self._due = anyio.current_time() + self._delay

    def _shared_reads(
        self,
        shared: MutableMapping[object, SharedReads[Any]],
        method: Callable[..., Awaitable[list[R]]],
        query: Mapping[str, Any],
    ) -> SharedReads[R] | None:
        """Return the reader that this view shares with other views of resources by id.

        Return None if the filter of the view is not ``{"id": …}`` or ``{"id_in": […]}``.
        """
        where = self._query.where or {}
        named = self._query.ids if "id_in" in where else [where.get("id")]
        if len(where) != 1 or not named or not all(isinstance(one, str) and one for one in named):
            return None
        options = {name: value for name, value in query.items() if name != "where"}
        key = method, repr(sorted(options.items()))
        if key in shared:
            return shared[key]
        page = partial(method, **options)
        shared[key] = reads = SharedReads[R](self._executor, self.name, page, self._interval)
        return reads

    async def _relist(self) -> dict[str, R]:
        """Return all matching resources by id. Retry while the server is unavailable."""
        if self._reads is not None and self.polls:
            return await self._reads.read(self.wanted_ids, self._due, self._delay)
        return await self._outage.outlast(self._list, self._executor.is_transient)

    async def _list(self) -> dict[str, R]:
        self._executor.transport.counts.polls += 1
        async with aclosing(iter_pages(self._query, IDS_AT_ONCE)) as rows:
            return {row.id: row async for row in rows if row.id}

    async def _read(self, ids: Sequence[str]) -> dict[str, R]:
        """Return resources by id. Retry while the server is unavailable."""
        page = partial(self._query.page, order_by="id_ASC")
        self._executor.transport.counts.polls += 1
        return await self._outage.outlast(
            partial(read_by_ids, self.name, page, ids), self._executor.is_transient
        )
