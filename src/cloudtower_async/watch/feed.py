"""The change feed: iterate over all changes of a server, in order and without repetition.

Each response of the server is a page. A page contains changes and the current revision of the
server. A cursor stores the revision up to which the feed was read.

A page with changes moves the cursor to the revision of the last change. Several changes can have
the same revision, and a page can end between these changes. So the next request includes this
revision again, and the reader skips the changes that it has already read. When the next page
contains no new changes, all changes of the revision were read.

An empty page moves the cursor to the current revision that the previous page reported. The current
revision of the empty page itself is not safe: the server first looks for changes, and then reads
its current revision. A change may occur in between.

The API does not document whether a page includes the changes of the requested start revision. The
reader works in both cases.
"""

from __future__ import annotations

import logging
import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import repeat
from operator import itemgetter
from typing import Any, NamedTuple, Self, TypeAlias, TypeGuard, cast

import anyio
import msgspec

from .. import models
from ..api.catalogue import READERS
from ..api.resource_change import GET_RESOURCE_CHANGES
from ..calls.executor import Executor
from ..calls.lenient import WRONG, repair_at_once
from ..control_characters import replace_lone_surrogates
from ..errors import (
    BadRequest,
    CloudtowerError,
    InvalidInput,
    NoChangeFeed,
    NotFound,
    ResponseDecodeError,
    Resync,
    ServerError,
    Unauthorized,
)
from ..models import ResourceChangeEvent
from ..spelling import did_you_mean
from ..types import CODEC_ERRORS
from ..validators import check_seconds
from .outages import Outage

_log = logging.getLogger("cloudtower_async")

_MOST = 1000
"""Number of changes to request per page, which is the server's maximum."""

_GONE_AFTER = 5
"""Number of consecutive 404 responses after which the feed counts as missing.

Before the first successful response, one 404 response is enough.
"""

_DIGITS = 100
"""A revision must have fewer digits than this. (`int` refuses more than 4,300 digits.)"""

_NO_CREDENTIAL = (
    "the change feed needs a separate credential: create the session with "
    "change_feed=(username, password)"
)
_NO_FEED = "the server has no change feed; CloudTower 4.6 and later have one"
_ABOUT_REVISION = ("compact", "revision")

# The answer is decoded in this module. The usual decoding would silently drop invalid items of a
# list, and a change must not be lost.
_READ = GET_RESOURCE_CHANGES.answering(lambda: dict[str, Any])

_Key: TypeAlias = "tuple[str | None, ...]"


class Change:
    """A change of one resource, or of one relation.

    Attributes:
        revision: Position of the change in the order of all changes, as a string of digits.
        action: ``"INSERT"``, ``"UPDATE"`` or ``"DELETE"``.
        resource_type: Type, such as ``"Vm"``. For a relation, the name of its table, such as
            ``"_LabelToVm"``.
        resource_id: Id of the resource; None for a change of a relation.
        created_at: Time of the change, in the server's format.
    """

    def __init__(self, event: ResourceChangeEvent) -> None:
        self.revision: str = event.revision
        self.action: str = event.action or ""
        self.resource_type: str = event.resource_type or ""
        self.resource_id: str | None = event.resource_id
        self.created_at: str | None = event.created_at
        self._old = event.old_value
        self._new = event.new_value

    @property
    def key(self) -> _Key:
        """Key that distinguishes this change from other changes of the same revision."""
        return (self.action, self.resource_type, self.resource_id, self._old, self._new)

    @cached_property
    def old_values(self) -> dict[str, object] | None:
        """Row of the server's database before the change, as a dict; None for an insertion."""
        return _row(self._old)

    @cached_property
    def new_values(self) -> dict[str, object] | None:
        """Row of the server's database after the change, as a dict; None for a deletion."""
        return _row(self._new)

    @property
    def old(self) -> msgspec.Struct | dict[str, object] | None:
        """Resource before the change, such as a `models.Vm`; None for an insertion.

        The server sends a row of its database. Fields that the row does not contain are None.
        Most of them are fields for related resources, such as ``vm.cluster``. `old_values` contains
        the ids of some related resources.

        If the change is about a relation, or `models` has no class for `resource_type`, the value
        of this property is the dict `old_values`.
        """
        return _resource(self.resource_type, self.old_values)

    @property
    def new(self) -> msgspec.Struct | dict[str, object] | None:
        """Resource after the change, in the same form as `old`; None for a deletion."""
        return _resource(self.resource_type, self.new_values)

    def __repr__(self) -> str:
        about = " ".join(filter(None, (self.action, self.resource_type, self.resource_id)))
        return f"<Change {self.revision} {about}>"


class Changes:
    """Endless iterator over the changes of a server, returned by `Cloudtower.changes`.

    Nothing runs in the background. The next page of changes is only requested after all changes of
    the previous page were returned, so no backlog builds up for a slow reader.
    """

    def __init__(
        self, executor: Executor, types: Sequence[str] | None, since: str | None, interval: float
    ) -> None:
        if isinstance(types, str) or (types is not None and not types):
            raise InvalidInput("changes: types: expected names of types, such as ['Vm']")
        for kind in types or ():
            # Accept all names of relation tables, because no list of these names exists. Other
            # unknown names only cause a warning, because a newer server may have more types.
            if kind not in READERS and not kind.startswith("_"):
                meant = did_you_mean(kind, READERS)
                _log.warning("changes: this version knows no type %.80r%s", kind, meant)
        if since is not None and not is_revision(since):
            raise InvalidInput(
                f"changes: since: expected a revision, a whole number as a string; got {since!r}"
            )
        check_seconds("changes", "interval", interval)
        self._executor = executor
        self._feed = Feed(executor, types, since, interval)
        self._page: deque[Change] = deque()
        self._told: str | None = since
        self._guard = anyio.ResourceGuard("reading these changes")

    @property
    def revision(self) -> str | None:
        """Revision up to which all changes were returned. To resume later, store this revision.

        If `since` was not passed, the value is None until the server has answered once.
        """
        return self._told if self._page else self._feed.revision

    async def anchor(self) -> str:
        """Set the start of the iteration to this moment. All later changes will be returned.

        If `since` was passed, or if the iteration has already begun, the start stays the same.

        Returns:
            The revision after which the iteration starts.

        Raises:
            NoChangeFeed: The server has no change feed, or the session lacks the option
                ``change_feed``.
            CallError: The request failed.
        """
        self._executor.transport.running_loop()
        with self._guard:
            return str(await self._feed.anchor())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        self._executor.transport.running_loop()
        with self._guard:
            if not self._page:
                self._page.extend(await self._feed.read())
            change = self._page.popleft()
            if not self._page or self._page[0].revision != change.revision:
                self._told = change.revision
            return change


class _LostError(Exception):
    """The server no longer has all changes that follow the requested revision."""


class _Page(NamedTuple):
    """One response of the feed.

    Args:
        current: Current revision of the server.
        compacted: Revision up to which the server has deleted all changes.
        changes: Pairs of a revision and a change, sorted by revision.
        newest_first: Whether the server sent the newest change first.
    """

    current: int
    compacted: int
    changes: list[tuple[int, Change]]
    newest_first: bool

    @property
    def is_full(self) -> bool:
        """Whether the page contains the maximum number of changes. More changes may follow."""
        return len(self.changes) >= _MOST


class _Cursor(NamedTuple):
    """Position in the feed, and start of the next request.

    Args:
        revision: Revision up to which the feed was read.
        current: Current revision of the server, as reported by the last page.
        read: Keys of the changes of `revision` that were read, with the number of changes for each
            key. None means that all changes of `revision` were read.
        offset: The next request starts at `revision` + `offset`. With -1, the next page includes
            the changes of `revision`. With 0, some servers include them, and others do not. With 1,
            the next page excludes them.
        more: Whether the last page was full.
    """

    revision: int
    current: int = 0
    read: Counter[_Key] | None = None
    offset: int = 0
    more: bool = False

    def unread(self, page: _Page) -> list[tuple[int, Change]]:
        """Return the changes of a page that were not read before."""
        read = None if self.read is None else self.read.copy()
        unread: list[tuple[int, Change]] = []
        for revision, change in page.changes:
            if revision == self.revision:
                if read is None:
                    continue
                if read[change.key]:
                    read[change.key] -= 1
                    continue
            if revision >= self.revision:
                unread.append((revision, change))
        return unread

    def after(self, page: _Page, unread: list[tuple[int, Change]]) -> _Cursor:
        """Return the new cursor after `page` was read. Pass ``self.unread(page)`` as `unread`."""
        revision, offset = self.revision, 0
        read: Counter[_Key] | None = self.read
        if unread:
            revision, offset = unread[-1][0], -1
        elif not page.changes:
            revision = max(revision, min(self.current, page.current))
        elif self.offset >= 0 and revision < page.current:
            # The server includes the start. Without the offset, changes of this revision could fill
            # each page.
            offset = 1
        if revision != self.revision or read is None:
            read = Counter[_Key]() if unread else None
        if read is not None:
            read = read + Counter(change.key for at, change in unread if at == revision)
        return _Cursor(revision, page.current, read, offset, page.is_full)


class Feed:
    """Reader of the change feed, which stores its position in the feed.

    Args:
        executor: Executor of the calls.
        types: Resource types of the changes to read. None means all types.
        since: Revision after which to start. None means the revision that is current when `anchor`
            or `read` is first called.
        interval: Seconds between two requests, unless `pauses` is passed. After a full page, the
            next request follows immediately.
        pauses: Iterator over the seconds between two requests. None means that each pause takes
            `interval` seconds.
    """

    def __init__(
        self,
        executor: Executor,
        types: Iterable[str] | None,
        since: str | None,
        interval: float,
        pauses: Iterator[float] | None = None,
    ) -> None:
        self._executor = executor
        self._types = None if types is None else ",".join(types)
        self._cursor: _Cursor | None = None if since is None else _Cursor(int(since))
        self._pauses = pauses or repeat(interval)
        self._due = -math.inf
        self._answered = False
        self._missing = 0  # number of consecutive responses with status 404
        self._outage = Outage("reading the change feed", executor.transport, interval)

    @property
    def error(self) -> CloudtowerError | None:
        """Error of the last request; None if the request succeeded."""
        return self._outage.error

    @property
    def has_credential(self) -> bool:
        """Whether the session has the user name and password that the feed needs."""
        return self._executor.authenticator.basic is not None

    @property
    def revision(self) -> str | None:
        """Revision up to which all changes have been read. None until `anchor` has been called."""
        if self._cursor is None:
            return None
        # After a full page, more changes of the last revision may follow.
        return str(self._cursor.revision - self._cursor.more)

    async def anchor(self) -> int:
        """Return the revision after which the next changes are read.

        On the first call without `since`, this is the current revision of the server.

        Raises:
            NoChangeFeed: The server has no change feed.
            CallError: The feed could not be read.
        """
        if self._cursor is None:
            current = (await self._ask(None, 1)).current
            self._cursor = _Cursor(current, current)
        return self._cursor.revision

    async def read(self, until: float = math.inf) -> list[Change]:
        """Wait for changes and return them, oldest first.

        If this call is cancelled, no change is lost: the next call returns the changes.

        Args:
            until: Time, by the clock of the event loop, at which to stop waiting. The result is
                then an empty list.

        Raises:
            Resync: Some changes can no longer be read. The next call returns changes after the
                current revision.
            NoChangeFeed: The server has no change feed.
            CallError: The first request failed, or a later request failed with an error that is not
                transient.
        """
        await self.anchor()
        while True:
            changes = await self._page(cast("_Cursor", self._cursor))
            if changes or anyio.current_time() >= until:
                return changes

    async def _page(self, cursor: _Cursor) -> list[Change]:
        if (seconds := self._due - anyio.current_time()) > 0:
            await self._executor.transport.sleep(seconds)
        try:
            page = await self._ask(cursor.revision + cursor.offset, _MOST)
        except _LostError:
            if cursor.offset < 0:  # maybe the server only deleted changes that were already read
                self._cursor = cursor._replace(offset=0)
                return []
            raise self._resync(cursor, await self._ask(None, 1)) from None
        unread = cursor.unread(page)
        newest = max([page.current, *(revision for revision, _ in page.changes)])
        is_out_of_range = not page.compacted <= cursor.revision <= newest
        # No request returns the next changes. Either one revision has more changes than fit on a
        # page, or the server ignores the start revision, or it sends the newest changes first.
        is_stuck = page.is_full and (not unread or page.newest_first)
        if is_out_of_range or is_stuck:
            raise self._resync(cursor, page)
        self._cursor = cursor.after(page, unread)
        if not page.is_full:
            self._due = anyio.current_time() + next(self._pauses)
        return [change for _, change in unread]

    def _resync(self, cursor: _Cursor, page: _Page) -> Resync:
        """Move the cursor to the page's current revision, and return the error to raise."""
        self._cursor = _Cursor(page.current, page.current)
        self._due = anyio.current_time() + next(self._pauses)
        return Resync(str(cursor.revision), str(page.compacted), str(page.current))

    async def _ask(self, revision: int | None, limit: int) -> _Page:
        """Request a page of at most `limit` changes, starting at `revision`.

        When this feed has had its first successful response, transient errors are retried.

        Raises:
            _LostError: The server no longer has all changes after `revision`.
        """
        if not self.has_credential:
            raise NoChangeFeed(_NO_CREDENTIAL)
        query: dict[str, object] = {"limit": limit}
        if self._types is not None:
            query["resource_type"] = self._types
        if revision is not None:
            query["start_revision"] = str(revision)

        async def ask() -> _Page:
            self._executor.transport.counts.polls += 1
            try:
                page = _decode(await self._executor.call(_READ, query), revision)
            except NotFound as exc:
                self._missing += 1
                if not self._answered or self._missing >= _GONE_AFTER:
                    raise NoChangeFeed(_NO_FEED) from exc
                raise
            except BadRequest as exc:
                if revision is None:
                    raise
                # The start revision may be too old. The next request has no start revision. If the
                # cause is another one, the next request fails, too, and its error is raised.
                raise _LostError from exc
            self._answered = True
            self._missing = 0
            return page

        return await self._outage.outlast(ask, self._is_transient)

    def _is_transient(self, error: CloudtowerError) -> bool:
        # A 401 is permanent: the feed has a separate credential, so a new login does not help.
        if not self._answered or isinstance(error, Unauthorized):
            return False
        return isinstance(error, NotFound) or self._executor.is_transient(error)


def _row(text: str | None) -> dict[str, object] | None:
    try:
        value = msgspec.json.decode(replace_lone_surrogates((text or "null").encode()))
    except CODEC_ERRORS:
        return None
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def _resource(
    resource_type: str, values: dict[str, object] | None
) -> msgspec.Struct | dict[str, object] | None:
    model: Any = None if resource_type.startswith("_") else getattr(models, resource_type, None)
    if values is None or not (isinstance(model, type) and issubclass(model, msgspec.Struct)):
        return values
    resource = repair_at_once(values, model)
    return values if resource is WRONG else cast("msgspec.Struct", resource)


def _decode(answer: dict[str, Any], revision: int | None) -> _Page:
    """Decode a response of the feed.

    Raises:
        _LostError: The server no longer has all changes after the requested `revision`.
        ServerError: The response reports another error.
        ResponseDecodeError: The response violates the schema.
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
        raise _broken("$.data", data, "not a list of changes")
    changes: list[tuple[int, Change]] = []
    for place, item in enumerate(cast("list[object]", data)):
        event = repair_at_once(item, ResourceChangeEvent)
        if event is WRONG:
            raise _broken(f"$.data[{place}]", item, "no change")
        found = cast("ResourceChangeEvent", event)
        at = _number(found.revision, f"$.data[{place}].revision")
        changes.append((at, Change(found)))
    came = [at for at, _ in changes]
    changes.sort(key=itemgetter(0))
    return _Page(
        current=_number(answer.get("currentRevision"), "$.currentRevision"),
        compacted=_number(answer.get("compactRevision"), "$.compactRevision"),
        changes=changes,
        newest_first=len(set(came)) > 1 and came == sorted(came, reverse=True),
    )


def _is_about_revision(text: str) -> bool:
    return any(word in text.lower() for word in _ABOUT_REVISION)


def _number(revision: object, place: str) -> int:
    """Convert a revision from a string to a number, to compare revisions by value."""
    if is_revision(revision):
        return int(revision)
    raise _broken(place, revision, "no revision")


def _broken(place: str, value: object, what: str) -> ResponseDecodeError:
    return ResponseDecodeError(f"{value!r:.80} is {what}", operation=_READ.name, place=place)


def is_revision(value: object) -> TypeGuard[str]:
    """Return whether a value is a valid revision: a string of digits."""
    return isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < _DIGITS
