"""One poll of a CloudTower for however many look at the page."""

from __future__ import annotations

from collections import Counter, deque
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NoReturn, TypeAlias

import anyio
import msgspec

from cloudtower_async import Cloudtower, CloudtowerError, LoginFailed
from cloudtower_async.recipes import build_dashboard

from .shapes import State, Trouble, Use, board_of, use_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

    from cloudtower_async.recipes import Dashboard

    from .shapes import Board

Language: TypeAlias = Literal["en-US", "zh-CN"]

_TIMEOUT = 15.0  # seconds for a call: after that the page should say that something is wrong
_REFUSED = 60.0  # seconds after a refused login: servers lock accounts that fail too often
_REMEMBERED = 3600.0  # seconds that the curves go back


class Feed:
    """Builds the dashboard again and again while someone listens.

    There is no queue for anyone: each listener takes the latest state when it has sent the one
    before, so a slow one misses some and holds up nobody.

    Args:
        tower: The session to ask with.
        interval: Seconds between two polls.
    """

    def __init__(self, tower: Cloudtower, interval: float) -> None:
        self._tower = tower.with_options(timeout=_TIMEOUT)
        self._interval = interval
        self._listeners: Counter[Language] = Counter()
        self._boards: dict[Language, Board] = {}
        self._states: dict[Language, str] = {}
        self._uses: deque[Use] = deque(maxlen=max(2, round(_REMEMBERED / interval)))
        self._trouble: Trouble | None = None
        self._pause = interval
        self._wanted = anyio.Event()  # set when someone came who must not wait for the next poll
        self._news = anyio.Event()  # set, and replaced, when there are new states
        self._closed = False

    async def run(self) -> NoReturn:
        """Poll while anybody listens; asks nothing when nobody does."""
        while True:
            if not self._listeners:
                await self._wanted.wait()
            self._wanted = anyio.Event()
            await self._poll()
            with anyio.move_on_after(self._pause):
                await self._wanted.wait()

    @contextmanager
    def listen(self, language: Language) -> Generator[AsyncIterator[str]]:
        """Be told every new state, as JSON, in a language; the latest one at once."""
        if not self._listeners[language]:
            self._wanted.set()
        self._listeners[language] += 1
        try:
            yield self._follow(language)
        finally:
            self._listeners[language] -= 1
            if not self._listeners[language]:
                del self._listeners[language]
                # The next to come is told how it is then, not how it was when the last one left.
                self._boards.pop(language, None)
                self._states.pop(language, None)

    def close(self) -> None:
        """Let everybody go who listens: nothing more will come."""
        self._closed = True
        self._news.set()

    def uses(self) -> str:
        """The curves so far, as JSON."""
        since = (datetime.now(UTC).timestamp() - _REMEMBERED) * 1000
        recent = [use for use in self._uses if use.at >= since]
        return msgspec.json.encode(recent).decode()

    async def _follow(self, language: Language) -> AsyncIterator[str]:
        while not self._closed:
            news = self._news
            if language in self._states:
                yield self._states[language]
            await news.wait()

    async def _poll(self) -> None:
        answers: dict[Language, Dashboard | CloudtowerError] = {}

        async def ask(language: Language) -> None:
            try:
                answers[language] = await build_dashboard(self._tower, content_language=language)
            except CloudtowerError as error:
                answers[language] = error

        async with anyio.create_task_group() as group:
            for language in self._listeners:
                group.start_soon(ask, language)
        self._take(answers)

    def _take(self, answers: dict[Language, Dashboard | CloudtowerError]) -> None:
        errors = [answer for answer in answers.values() if isinstance(answer, CloudtowerError)]
        since = self._trouble.since if self._trouble else datetime.now(UTC)
        self._trouble = Trouble(message=str(errors[0]), since=since) if errors else None
        refused = any(isinstance(error, LoginFailed) for error in errors)
        self._pause = max(self._interval, _REFUSED) if refused else self._interval
        use: Use | None = None
        for language, answer in answers.items():
            if language not in self._listeners:  # all of them have left meanwhile
                continue
            if not isinstance(answer, CloudtowerError):
                use = use_of(answer)
                self._boards[language] = board_of(answer)
            state = State(
                endpoint=self._tower.endpoint,
                interval=self._pause,
                board=self._boards.get(language),
                trouble=self._trouble,
            )
            self._states[language] = msgspec.json.encode(state).decode()
        if use is not None:
            self._uses.append(use)
        news, self._news = self._news, anyio.Event()
        news.set()
