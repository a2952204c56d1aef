"""Reader of the change feed: each change once, in order.

The reader keeps a revision as its cursor. A page moves it to the page's last change; an empty page
moves it to the revision that was current one page earlier. Not to the one that is current now: the
server may look for changes first, and another change may come before it reads the revision.

Several changes can have the same revision, and a page can end between them. So the page after one
with changes is requested from just before the last revision, and changes that were read already
are skipped. Only if that page has nothing new, the revision counts as read.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeGuard, cast

import anyio

from ..api.resource_change import GET_RESOURCE_CHANGES
from ..calls.lenient import WRONG, repair_at_once
from ..calls.operation import Operation
from ..errors import (
    BadRequest,
    CallError,
    NoChangeFeed,
    NotFound,
    ResponseDecodeError,
    Resync,
    ServerError,
    Unauthorized,
)
from ..models import ResourceChangeEvent
from .change import Change
from .outages import Outage, pause

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..calls.executor import Executor

_MOST = 1000
"""Changes in one page; the server allows no more."""

_GONE_AFTER = 5
"""Number of consecutive 404 answers after which a feed that has answered before counts as gone."""

_NO_CREDENTIAL = (
    "the change feed needs a separate credential: make the session with "
    "change_feed=(username, password)"
)
_NO_FEED = "the server has no change feed; CloudTower 4.6 and later have one"
_ABOUT_REVISION = ("compact", "revision")

# The same operation with an answer that is read here: a change that breaks the schema must not be
# dropped without notice, as it would be from any other list.
_READ: Operation[dict[str, Any]] = Operation(
    GET_RESOURCE_CHANGES.name,
    GET_RESOURCE_CHANGES.path,
    GET_RESOURCE_CHANGES.kind,
    lambda: dict[str, Any],
    body=GET_RESOURCE_CHANGES.body,
    carries=GET_RESOURCE_CHANGES.carries,
    method=GET_RESOURCE_CHANGES.method,
    auth=GET_RESOURCE_CHANGES.auth,
    since=GET_RESOURCE_CHANGES.since,
)


_Key: TypeAlias = "tuple[str | None, ...]"


class _Page(NamedTuple):
    """One answer of the feed.

    Args:
        current: Latest revision of the server.
        compacted: Changes up to this revision are no longer kept.
        changes: Changes with their revisions, sorted by these.
        newest_first: Whether the server sent them in reverse order.
    """

    current: int
    compacted: int
    changes: list[tuple[int, Change]]
    newest_first: bool


class _LostError(Exception):
    """The server no longer keeps the changes since the requested revision."""


class Feed:
    """Reads pages of changes, and keeps the cursor.

    Args:
        caller: Sends the calls.
        types: Resource types of the changes; None: all.
        since: Revision to start after; None: the one that is current when `anchor` is called.
        interval: Seconds between polls, unless a page is full.
    """

    def __init__(
        self,
        caller: Executor,
        types: Iterable[str] | None,
        since: str | None,
        interval: float,
    ) -> None:
        self._caller = caller
        self._types = None if types is None else ",".join(types)
        self._cursor: int | None = None if since is None else int(since)
        self._last: Counter[_Key] | None = None  # changes of the cursor's revision; None: all
        self._again = False  # the cursor's revision is asked for once more
        self._skip = False  # the cursor's revision is left out of the next page
        self._more = False  # the last page was full
        self._current = 0  # of the last answer
        self._interval = interval
        self._due = -math.inf
        self._answered = False
        self._missing = 0  # answers of status 404 in a row
        self._outage = Outage("reading the change feed", caller.transport, interval)

    @property
    def has_credential(self) -> bool:
        """Whether the session has the credential that the feed needs."""
        return self._caller.authenticator.basic is not None

    @property
    def revision(self) -> str | None:
        """Revision up to which everything has been read; None before `anchor`."""
        if self._cursor is None:
            return None
        # A full page may end between changes of the same revision.
        return str(self._cursor - 1 if self._more else self._cursor)

    async def anchor(self) -> int:
        """Start at the current revision, unless a revision to start after is known.

        Raises:
            NoChangeFeed: The server has no change feed.
            CallError: The feed could not be read.
        """
        if self._cursor is None:
            page = await self._ask(None, 1)
            self._cursor = self._current = page.current
        return self._cursor

    async def read(self, until: float = math.inf) -> list[Change]:
        """Wait for changes and return them, oldest first.

        Cancellation loses nothing: the next call returns the same changes.

        Args:
            until: Time to stop waiting and return an empty list, by the clock of the event loop.

        Raises:
            Resync: Changes are lost. The next call continues after the current revision.
            NoChangeFeed: The server has no change feed.
            CallError: The first request failed, or a later one with an error that is not transient.
        """
        while True:
            changes = await self._page()
            if changes or anyio.current_time() >= until:
                return changes

    async def _page(self) -> list[Change]:
        cursor = await self.anchor()
        if (seconds := self._due - anyio.current_time()) > 0:
            await pause(self._caller.transport, seconds)
        start = cursor - self._again + self._skip
        try:
            page = await self._ask(start, _MOST)
        except _LostError:
            if self._again:  # perhaps only changes that were read already are lost
                self._again = False
                return []
            raise self._resync(cursor, await self._ask(None, 1)) from None
        newest = max([page.current, *(revision for revision, _ in page.changes)])
        if not page.compacted <= cursor <= newest:
            raise self._resync(cursor, page)
        changes = self._unread(cursor, page)
        is_full = len(page.changes) >= _MOST
        if is_full and (not changes or page.newest_first):
            # There is more that cannot be reached: a revision with more changes than fit on a
            # page, a server that ignores where to start, or one that starts at the end.
            raise self._resync(cursor, page)
        # The requested revision alone may fill a page.
        stays = not (changes or self._again) and bool(page.changes)
        self._skip = stays and cursor < page.current
        self._advance(cursor, changes, page)
        self._more = is_full
        if not is_full:
            self._due = anyio.current_time() + self._interval
        return [change for _, change in changes]

    def _unread(self, cursor: int, page: _Page) -> list[tuple[int, Change]]:
        """Leave out the changes that were read already."""
        read = None if self._last is None else self._last.copy()
        unread: list[tuple[int, Change]] = []
        for at, change in page.changes:
            if at == cursor:
                if read is None:
                    continue
                key = _key(change)
                if read[key]:
                    read[key] -= 1
                    continue
            if at >= cursor:
                unread.append((at, change))
        return unread

    def _advance(self, cursor: int, changes: list[tuple[int, Change]], page: _Page) -> None:
        """Move the cursor behind these changes."""
        earlier, self._current = self._current, page.current
        self._again = bool(changes)
        if changes:
            self._cursor = changes[-1][0]
        elif not page.changes:  # else they may fill the page
            self._cursor = max(cursor, min(earlier, page.current))
        if self._cursor != cursor or self._last is None:
            self._last = Counter() if changes else None
        if self._last is not None:
            self._last.update(_key(change) for at, change in changes if at == self._cursor)

    def _resync(self, cursor: int, page: _Page) -> Resync:
        """Move the cursor to the current revision, and make the error."""
        self._cursor = self._current = page.current
        self._last, self._again, self._skip, self._more = None, False, False, False
        self._due = anyio.current_time() + self._interval
        return Resync(str(cursor), str(page.compacted), str(page.current))

    async def _ask(self, revision: int | None, limit: int) -> _Page:
        """Request a page until the server answers; the very first time only once.

        Raises:
            _LostError: The changes since this revision are no longer kept.
        """
        if not self.has_credential:
            raise NoChangeFeed(_NO_CREDENTIAL)
        query: dict[str, object] = {"limit": limit}
        if self._types is not None:
            query["resource_type"] = self._types
        if revision is not None:
            query["start_revision"] = str(revision)
        while True:
            failure: CallError
            try:
                page = _read(await self._caller.call(_READ, query), revision)
            except NotFound as exc:
                self._missing += 1
                if not self._answered or self._missing >= _GONE_AFTER:
                    raise NoChangeFeed(_NO_FEED) from exc
                failure = exc
            except BadRequest as exc:
                if revision is None:
                    raise
                raise _LostError from exc  # a request without it shows whether that is so
            except CallError as exc:
                # Another login is no remedy for a 401: the credential is another one.
                mends = self._caller.is_transient(exc) and not isinstance(exc, Unauthorized)
                if not (self._answered and mends):
                    raise
                failure = exc
            else:
                self._answered = True
                self._missing = 0
                self._outage.over()
                return page
            await self._outage.wait(failure)


def _read(answer: dict[str, Any], revision: int | None) -> _Page:
    """Decode an answer of the feed.

    Raises:
        _LostError: The changes since the revision are no longer kept.
        ServerError: The answer reports another error.
        ResponseDecodeError: The answer breaks the schema.
    """
    code: object = answer.get("ec")
    if error := answer.get("error"):
        if revision is not None and _is_about_revision(f"{code} {error}"):
            raise _LostError
        raise ServerError(
            "the feed could not be read",
            operation=_READ.name,
            code=code if isinstance(code, str) else None,
            server_message=str(error),
        )
    if isinstance(code, str) and revision is not None and _is_about_revision(code):
        raise _LostError
    data: object = answer.get("data")
    if not isinstance(data, list):
        raise _broken("$.data", data, "no list of changes")
    changes: list[tuple[int, Change]] = []
    for place, item in enumerate(cast("list[object]", data)):
        event = repair_at_once(item, ResourceChangeEvent)
        if event is WRONG:
            raise _broken(f"$.data[{place}]", item, "no change")
        found = cast("ResourceChangeEvent", event)
        at = _number(found.revision, f"$.data[{place}].revision")
        changes.append((at, Change(found)))
    came = [at for at, _ in changes]
    changes.sort(key=_revision_of)
    return _Page(
        current=_number(answer.get("currentRevision"), "$.currentRevision"),
        compacted=_number(answer.get("compactRevision"), "$.compactRevision"),
        changes=changes,
        newest_first=len(set(came)) > 1 and came == sorted(came, reverse=True),
    )


def _is_about_revision(text: str) -> bool:
    return any(word in text.lower() for word in _ABOUT_REVISION)


def _revision_of(numbered: tuple[int, Change]) -> int:
    return numbered[0]


def _key(change: Change) -> _Key:
    """Return what distinguishes changes of the same revision."""
    return (change.action, change.resource_type, change.resource_id, *change.texts)


def _number(revision: object, place: str) -> int:
    """Return a revision as a number, because texts do not sort like numbers."""
    if is_revision(revision):
        return int(revision)
    raise _broken(place, revision, "no revision")


def _broken(place: str, value: object, what: str) -> ResponseDecodeError:
    return ResponseDecodeError(f"{value!r:.80} is {what}", operation=_READ.name, place=place)


def is_revision(value: object) -> TypeGuard[str]:
    """Return whether a value is a revision: a whole number, as text."""
    return isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < _DIGITS


_DIGITS = 100  # more are no revision; int() refuses more than 4,300
