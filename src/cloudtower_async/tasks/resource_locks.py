"""Locks on resources between callers in this process, for `Cloudtower.lock`.

Each resource id has a queue of callers. A caller that locks several ids joins all of their queues
at the same moment. The caller holds the lock as soon as it is first in each queue. Because no
caller joins one queue after another, callers cannot deadlock.

The server also locks resources (`ResourceLocked`). Calls that fail because of such a lock are
retried; see `calls.executor` and `retry.classify`.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from ..errors import CloudtowerError, InvalidInput, LockTimeout
from ..validators import check_seconds

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ..transport.http import Transport


class _Claim:
    """Resources that one caller has locked or waits to lock."""

    def __init__(self, ids: tuple[str, ...]) -> None:
        self.ids = tuple(dict.fromkeys(ids))
        self.owner = anyio.get_current_task().id
        self.turn = anyio.Event()


class ResourceLocks:
    """All locks of a session, with the callers that hold them and the callers that wait.

    Args:
        transport: Transport of the session. Closing the transport ends all waits for locks.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        # Queues of claims by resource id. The first claim of a queue holds the lock.
        self.lines: dict[str, OrderedDict[_Claim, None]] = {}

    @asynccontextmanager
    async def hold(self, *ids: str, timeout: float | None = None) -> AsyncGenerator[None]:
        """See `Cloudtower.lock`."""
        _check(ids, timeout)
        self._transport.running_loop()
        claim = _Claim(ids)
        self._refuse_again(claim)
        for identifier in claim.ids:
            self.lines.setdefault(identifier, OrderedDict())[claim] = None
        try:
            with self._transport.until_closed(timeout):
                if self._ahead(claim):
                    self._transport.counts.lock_waits += 1
                    try:
                        await claim.turn.wait()
                    finally:
                        self._transport.counts.lock_waits -= 1
            if ahead := self._ahead(claim):
                raise LockTimeout(ahead, timeout)
            yield
        finally:
            self._leave(claim)

    def _ahead(self, claim: _Claim) -> list[str]:
        """Return the ids in `claim` whose queue has another caller in first place."""
        return [identifier for identifier in claim.ids if self._first(identifier) is not claim]

    def _first(self, identifier: str) -> _Claim:
        return next(iter(self.lines[identifier]))

    def _leave(self, claim: _Claim) -> None:
        for identifier in claim.ids:
            line = self.lines[identifier]
            del line[claim]
            if not line:
                del self.lines[identifier]
        for identifier in claim.ids:
            if identifier in self.lines:
                following = self._first(identifier)
                if not self._ahead(following):
                    following.turn.set()

    def _refuse_again(self, claim: _Claim) -> None:
        """Raise an error if the current asyncio task already holds the lock of an id in `claim`."""
        for identifier in claim.ids:
            if identifier in self.lines and self._first(identifier).owner == claim.owner:
                raise CloudtowerError(
                    f"lock: this task holds {identifier} already; lock everything it needs at once"
                )


def _check(ids: tuple[object, ...], timeout: float | None) -> None:
    for identifier in ids:
        if not isinstance(identifier, str):
            raise InvalidInput(f"lock: expected ids of resources, got {type(identifier).__name__}")
    check_seconds("lock", "timeout", timeout, none_ok=True)
