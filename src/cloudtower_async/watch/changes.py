"""Iterate over the changes of a server."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

import anyio

from ..api.catalogue import READERS
from ..errors import InvalidInput
from ..spelling import did_you_mean
from ..validators import check_seconds
from .feed import Feed, is_revision

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from ..calls.executor import Executor
    from .change import Change

_log = logging.getLogger("cloudtower_async")


class Changes:
    """The changes of a server, from a revision on, without end; made by `Cloudtower.changes`.

    Nothing runs in the background: a page of changes is asked for when the one before is used up,
    so that a slow reader slows down the asking and nothing piles up.
    """

    def __init__(
        self, caller: Executor, types: Sequence[str] | None, since: str | None, interval: float
    ) -> None:
        if isinstance(types, str) or (types is not None and not types):
            raise InvalidInput("changes: types: expected names of types, such as ['Vm']")
        for kind in types or ():
            # Tables of relations are in no list, and a newer server may have other types.
            if kind not in READERS and not kind.startswith("_"):
                meant = did_you_mean(kind, READERS)
                _log.warning("changes: this version knows no type %.80r%s", kind, meant)
        if since is not None and not is_revision(since):
            raise InvalidInput(
                f"changes: since: expected a revision, a whole number as text; got {since!r}"
            )
        check_seconds("changes", "interval", interval)
        self._caller = caller
        self._feed = Feed(caller, types, since, interval)
        self._page: deque[Change] = deque()
        self._told: str | None = since
        self._guard = anyio.ResourceGuard("reading these changes")

    @property
    def revision(self) -> str | None:
        """Every change up to this one was handed out; keep it to go on from there another time.

        None as long as there is no answer.
        """
        return self._told if self._page else self._feed.revision

    async def anchor(self) -> str:
        """Begin here: changes from now on are told. Without it they are from the first one read on.

        Returns:
            The revision.

        Raises:
            NoChangeFeed: The server has none, or the session has no credential for it.
            CallError: The server could not be asked.
        """
        self._caller.transport.running_loop()
        with self._guard:
            return str(await self._feed.anchor())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        self._caller.transport.running_loop()
        with self._guard:
            if not self._page:
                self._page.extend(await self._feed.read())
            change = self._page.popleft()
            if not self._page or self._page[0].revision != change.revision:
                self._told = change.revision
            return change
