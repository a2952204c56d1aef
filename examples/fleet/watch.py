"""Poll loops for many CloudTowers. A slow CloudTower does not delay the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NoReturn

import anyio

from cloudtower_async import Cloudtower, CloudtowerError, LoginFailed
from cloudtower_async.recipes import build_dashboard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloudtower_async.recipes import Dashboard

_REFUSED = 60.0  # seconds to wait after a failed login; servers lock accounts after many


@dataclass(frozen=True, kw_only=True)
class Sight:
    """Last known state of one Tower.

    Attributes:
        board: The latest dashboard, with its time in ``built_at``, or None if there is no dashboard
            yet.
        error: Error of the last poll, or None if `board` is from the last poll.
        rounds: Number of polls.
    """

    board: Dashboard | None = None
    error: str | None = None
    rounds: int = 0


class FleetWatch:
    """Watch that polls each Tower repeatedly, independently of the other Towers.

    Args:
        towers: Sessions by name. You need not enter the sessions, because the first call logs in.
        interval: Seconds between the end of a poll and the next poll.
        timeout: Time-out of a poll in seconds. After a time-out, the Tower is polled again later.
    """

    def __init__(
        self, towers: Mapping[str, Cloudtower], *, interval: float = 10.0, timeout: float = 30.0
    ) -> None:
        self._towers = towers
        self._interval = interval
        self._timeout = timeout
        self._news = anyio.Event()
        self.sights: dict[str, Sight] = dict.fromkeys(towers, Sight())

    async def run(self) -> NoReturn:
        """Watch until cancelled."""
        async with anyio.create_task_group() as group:
            for name, tower in self._towers.items():
                group.start_soon(self._watch, name, tower)
        raise AssertionError("the loops have no end")

    async def next(self) -> None:
        """Wait until one of the Towers has a new state."""
        await self._news.wait()

    async def all_asked(self) -> None:
        """Wait until each Tower has been polled once, successfully or not."""
        while not all(sight.rounds for sight in self.sights.values()):
            await self.next()

    async def _watch(self, name: str, tower: Cloudtower) -> NoReturn:
        while True:
            pause = self._interval
            board, error = self.sights[name].board, None
            try:
                # This time-out covers the login and the four calls together.
                with anyio.fail_after(self._timeout):
                    board = await build_dashboard(tower)
            except CloudtowerError as exc:
                error = str(exc)
                if isinstance(exc, LoginFailed):
                    pause = max(pause, _REFUSED)
            except TimeoutError:
                error = f"no answer within {self._timeout:g} s"
            self._tell(name, board, error)
            await anyio.sleep(pause)

    def _tell(self, name: str, board: Dashboard | None, error: str | None) -> None:
        old = self.sights[name]
        self.sights[name] = replace(old, board=board, error=error, rounds=old.rounds + 1)
        news, self._news = self._news, anyio.Event()
        news.set()
