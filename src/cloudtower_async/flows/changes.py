"""The change feed: every change, once, in its order.

The reader keeps a revision, and each answer takes it further: to its last change, or where there is
none to what was current one answer earlier. Not to what is current now: the server may have looked
for changes first, and another one may have come before it looked at the revision.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeGuard, cast

import anyio
import msgspec

from .. import models
from ..api.catalogue import READERS
from ..api.resource_change import ResourceChangeNamespace
from ..calls.repair import WRONG, repair_at_once
from ..errors import (
    CallError,
    InvalidInput,
    NoChangeFeed,
    NotFound,
    ResponseDecodeError,
    Resync,
    ServerError,
    Unauthorized,
)
from ..settings import seconds_fault
from ..spelling import did_you_mean
from ..types import CODEC_ERRORS
from .outages import Outage, pause
from .polling import may_pass

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Self

    from ..calls.caller import Caller
    from ..models import ResourceChangeEvent, ResourceChangeResponse

_log = logging.getLogger("cloudtower_async")

_MOST = 1000
"""Changes in one answer; the server allows no more."""

_OPERATION = "resource_change.get_resource_changes"
_NO_CREDENTIAL = (
    "the change feed has a credential of its own: make the session with "
    "change_feed=(username, password)"
)
_NO_FEED = "the server has no change feed; CloudTower 4.6 and later have one"


class Change:
    """A change of one resource, or of one relation.

    Attributes:
        revision: When in the order of all changes: a whole number, as text.
        action: ``"INSERT"``, ``"UPDATE"`` or ``"DELETE"``.
        resource_type: ``"Vm"``; for relations the name of their table: ``"_LabelToVm"``.
        resource_id: None for relations.
        created_at: When it happened, as the server writes it.
    """

    def __init__(self, event: ResourceChangeEvent) -> None:
        self.revision: str = event.revision
        self.action: str = event.action or ""
        self.resource_type: str = event.resource_type or ""
        self.resource_id: str | None = event.resource_id
        self.created_at: str | None = event.created_at
        self._old = event.old_value
        self._new = event.new_value

    @cached_property
    def old_values(self) -> dict[str, object] | None:
        """The row before the change, as the server keeps it; None when there was none."""
        return _row(self._old)

    @cached_property
    def new_values(self) -> dict[str, object] | None:
        """The row after the change, as the server keeps it; None when there is none any more."""
        return _row(self._new)

    @property
    def old(self) -> msgspec.Struct | dict[str, object] | None:
        """The resource before the change: `models.Vm` and so on; what is no resource as a dict.

        A row holds only the resource's own fields. Relations are None: `old_values` has the ids of
        some of them.
        """
        return _resource(self.resource_type, self.old_values)

    @property
    def new(self) -> msgspec.Struct | dict[str, object] | None:
        """The resource after the change; as `old`."""
        return _resource(self.resource_type, self.new_values)

    def __repr__(self) -> str:
        about = " ".join(filter(None, (self.action, self.resource_type, self.resource_id)))
        return f"<Change {self.revision} {about}>"


def _row(text: str | None) -> dict[str, object] | None:
    try:
        value = msgspec.json.decode(text or "null")
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


class Feed:
    """Reads changes, some at a time, and knows how far it has come.

    Args:
        caller: Asks the server.
        types: Which changes; None: all.
        since: The revision to begin after; None: the current one, when `anchor` is called.
        interval: Seconds from one answer to the next, while there is little to tell.
    """

    def __init__(
        self,
        caller: Caller,
        types: Iterable[str] | None,
        since: str | None,
        interval: float,
    ) -> None:
        self._caller = caller
        self._namespace = ResourceChangeNamespace(caller)
        self._types = None if types is None else ",".join(types)
        self._cursor: int | None = None if since is None else int(since)
        self._current = 0  # of the last answer
        self._interval = interval
        self._due = -math.inf
        self._answered = False
        self._outage = Outage("reading the change feed", caller.transport, interval)

    @property
    def revision(self) -> str | None:
        """Everything up to this one has been read; None before `anchor`."""
        return None if self._cursor is None else str(self._cursor)

    async def anchor(self) -> int:
        """Begin at the current revision, unless it is known where to begin.

        Raises:
            NoChangeFeed: There is none.
            CallError: The server could not be asked.
        """
        if self._cursor is None:
            answer = await self._ask(None, 1)
            self._cursor = self._current = _number(answer.current_revision)
        return self._cursor

    async def read(self, until: float = math.inf) -> list[Change]:
        """Wait for changes and return them, the oldest first.

        Cancelling it loses nothing: the next call returns what this one would have.

        Args:
            until: When to stop waiting, by the clock of the event loop; then nothing is returned.

        Raises:
            Resync: Some are lost. The next call returns what came after that was found.
            NoChangeFeed: There is none.
            CallError: The first answer could not be had, or one that no later request will change.
        """
        while True:
            changes = await self._page()
            if changes or anyio.current_time() >= until:
                return changes

    async def _page(self) -> list[Change]:
        cursor = await self.anchor()
        if (seconds := self._due - anyio.current_time()) > 0:
            await pause(self._caller.transport, seconds)
        answer = await self._ask(cursor, _MOST)
        current, compacted = _number(answer.current_revision), _number(answer.compact_revision)
        earlier, self._current = self._current, current
        if not compacted <= cursor <= current:
            self._cursor = current
            raise Resync(str(cursor), str(compacted), str(current))
        changes = [Change(event) for event in answer.data if _number(event.revision) > cursor]
        self._cursor = int(changes[-1].revision) if changes else max(cursor, earlier)
        if len(answer.data) < _MOST:  # else there is more
            self._due = anyio.current_time() + self._interval
        return changes

    async def _ask(self, revision: int | None, limit: int) -> ResourceChangeResponse:
        """Ask until there is an answer; the very first time only once."""
        if self._caller.authenticator.basic is None:
            raise NoChangeFeed(_NO_CREDENTIAL)
        while True:
            failure: CallError
            try:
                answer = await self._namespace.get_resource_changes(
                    resource_type=self._types,
                    start_revision=None if revision is None else str(revision),
                    limit=limit,
                )
                _check(answer)
            except NotFound as exc:
                raise NoChangeFeed(_NO_FEED) from exc
            except CallError as exc:
                # Another login is no remedy for a 401: the credential is another one.
                mends = may_pass(exc, self._caller) and not isinstance(exc, Unauthorized)
                if not (self._answered and mends):
                    raise
                failure = exc
            else:
                self._answered = True
                self._outage.over()
                return answer
            await self._outage.wait(failure)


def _check(answer: ResourceChangeResponse) -> None:
    if cast("object", answer.data) is None and not answer.error:
        raise ResponseDecodeError("no list of changes", operation=_OPERATION, place="$.data")
    if answer.error:
        raise ServerError(
            "the feed could not be read",
            operation=_OPERATION,
            code=answer.ec,
            server_message=str(answer.error),
        )


def _number(revision: object) -> int:
    """A revision as a number: texts do not compare as these do."""
    if _is_revision(revision):
        return int(revision)
    raise ResponseDecodeError(f"{revision!r} is no revision", operation=_OPERATION)


def _is_revision(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value.isascii() and value.isdigit()


class Changes:
    """The changes of a server, from a revision on, without end; made by `Cloudtower.changes`.

    Nothing runs in the background: a page of changes is asked for when the one before is used up,
    so that a slow reader slows down the asking and nothing piles up.
    """

    def __init__(
        self, caller: Caller, types: Sequence[str] | None, since: str | None, interval: float
    ) -> None:
        if isinstance(types, str) or (types is not None and not types):
            raise InvalidInput("changes: types: expected names of types, such as ['Vm']")
        for kind in types or ():
            # Tables of relations are in no list, and a newer server may have other types.
            if kind not in READERS and not kind.startswith("_"):
                meant = did_you_mean(kind, READERS)
                _log.warning("changes: this version knows no type %.80r%s", kind, meant)
        if since is not None and not _is_revision(since):
            raise InvalidInput(
                f"changes: since: expected a revision, a whole number as text; got {since!r}"
            )
        check_interval("changes", interval)
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
            self._told = change.revision
            return change


def check_interval(asker: str, interval: float) -> None:
    """Refuse what is no time to wait.

    Raises:
        InvalidInput: It is none.
    """
    if fault := seconds_fault(interval):
        raise InvalidInput(f"{asker}: interval: {fault}")
