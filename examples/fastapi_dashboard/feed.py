"""One poll loop of a CloudTower for any number of browsers."""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

import anyio
import msgspec

from cloudtower_async import Cloudtower, CloudtowerError, LoginFailed, Subscribers
from cloudtower_async.recipes import build_dashboard

from .shapes import State, Trouble, Use, board_of, use_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from .shapes import Board

Language: TypeAlias = Literal["en-US", "zh-CN"]

_TIMEOUT = 15.0  # time-out of a call in seconds; after the time-out, the page shows an error
_REFUSED = 60.0  # seconds to wait after a failed login; servers lock accounts after many
_REMEMBERED = 3600.0  # seconds of history in the curves


class Feed:
    """Feed of dashboard states. All listeners share one poll loop.

    The class `Subscribers` shares the poll: one listener of a language polls for all listeners of
    the language. Without listeners, no request is sent. A slow listener skips old states and gets
    the latest state.

    Args:
        tower: Session to read the dashboard with.
        interval: Seconds between two polls.
    """

    def __init__(self, tower: Cloudtower, interval: float) -> None:
        self._tower = tower.with_options(timeout=_TIMEOUT)
        self._interval = interval
        self._sources: dict[Language, _Source] = {}
        self._uses: deque[Use] = deque(maxlen=max(2, round(_REMEMBERED / interval)))
        self._closed = False

    @asynccontextmanager
    async def listen(self, language: Language) -> AsyncGenerator[AsyncIterator[str]]:
        """Yield an iterator over the states in a language, each as JSON.

        The iterator begins with the latest known state.
        """
        if language not in self._sources:
            self._sources[language] = _Source(self._tower, self._interval, language, self._uses)
        source = self._sources[language]
        if self._closed:
            source.subscribers.close()
        source.listeners += 1
        try:
            async with source.subscribers.subscribe() as states:
                yield states
        finally:
            source.listeners -= 1
            if not source.listeners:
                del self._sources[language]  # so that the next listener does not get an old state

    def close(self) -> None:
        """End the iteration of every listener."""
        self._closed = True
        for source in self._sources.values():
            source.subscribers.close()

    def uses(self) -> str:
        """Return the past points of the curves as JSON."""
        since = (datetime.now(UTC).timestamp() - _REMEMBERED) * 1000
        recent = [use for use in self._uses if use.at >= since]
        return msgspec.json.encode(recent).decode()


class _Source:
    """Source of the states in one language.

    Args:
        tower: Session to read the dashboard with.
        interval: Seconds between two polls.
        language: Language of the texts.
        uses: Queue that receives the points of the curves.

    Attributes:
        listeners: Number of listeners.
        subscribers: Object that shares the states among the listeners.
    """

    def __init__(
        self, tower: Cloudtower, interval: float, language: Language, uses: deque[Use]
    ) -> None:
        self.listeners = 0
        self.subscribers: Subscribers[str] = Subscribers(self._poll, self._state)
        self._tower = tower
        self._interval = self._pause = interval
        self._language: Language = language
        self._uses = uses
        self._due = 0.0
        self._board: Board | None = None
        self._trouble: Trouble | None = None

    async def _poll(self) -> None:
        """Wait until the next poll is due, then read the dashboard."""
        await anyio.sleep(max(0.0, self._due - anyio.current_time()))
        self._pause = self._interval
        try:
            dashboard = await build_dashboard(self._tower, content_language=self._language)
        except CloudtowerError as error:
            since = self._trouble.since if self._trouble else datetime.now(UTC)
            self._trouble = Trouble(message=str(error), since=since)
            if isinstance(error, LoginFailed):
                self._pause = max(self._interval, _REFUSED)
        else:
            self._trouble = None
            self._board = board_of(dashboard)
            use = use_of(dashboard)
            # The sources of all languages add points to the same curves, so skip a point that comes
            # early.
            if not self._uses or use.at - self._uses[-1].at >= self._interval * 500:
                self._uses.append(use)
        self._due = anyio.current_time() + self._pause
        self.subscribers.change()

    def _state(self) -> str:
        state = State(
            endpoint=self._tower.endpoint,
            interval=self._pause,
            board=self._board,
            trouble=self._trouble,
        )
        return msgspec.json.encode(state).decode()
