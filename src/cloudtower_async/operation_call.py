"""Types and contract of middleware, and the class of the call that middleware receives."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypedDict, Unpack, cast

import msgspec

from .secret_names import redacted, without_secret_members
from .types import CODEC_ERRORS, ContentLanguage, Exchange

CallKind: TypeAlias = Literal["query", "mutation", "upload"]
CallOutcome: TypeAlias = Literal["success", "failure", "unknown", "cancelled"]

_LONGEST = 300  # characters of arguments in a repr


def _without_secrets(value: object) -> object:
    return redacted(value, without_secret_members)


class CallProgress:
    """Progress of a call, shared by all copies of its `OperationCall`.

    Args:
        endpoint: Root address of the server that the call goes to first.
        redact: Function that redacts arguments.

    Attributes:
        exchanges: Requests of the call that have ended.
        outcome: Outcome of the call; None if the outcome is not known yet.
    """

    __slots__ = ("endpoint", "exchanges", "outcome", "redact")

    def __init__(
        self, endpoint: str = "", redact: Callable[[object], object] = _without_secrets
    ) -> None:
        self.endpoint: str = endpoint
        self.redact: Callable[[object], object] = redact
        self.exchanges: list[Exchange] = []
        self.outcome: CallOutcome | None = None


class CallChanges(TypedDict, total=False):
    """Changes that middleware can make to a call; see `OperationCall`."""

    arguments: Any
    timeout: float
    content_language: ContentLanguage
    external_cloudtower_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class OperationCall:
    """One call of an operation, as middleware sees it.

    The call cannot be changed; `replace` makes a changed copy to proceed with. All copies share
    the progress of the call: its `exchanges` and `outcome`.
    The ``repr`` shows redacted arguments.

    Args:
        operation: Name of the operation: ``"vm.get_vms"``. ``"graphql"`` for GraphQL; the path for
            other calls outside the API schema.
        kind: ``"query"``, ``"mutation"`` or ``"upload"``.
        arguments: Copy of the arguments, with the API's keys: a dict, or a list for operations that
            take a list. The copy holds secrets in clear text; for logs, use `redacted_arguments`.
            Arguments of calls outside the API schema cannot be changed.
        timeout: Time-out in seconds for the whole call, retries included. It starts when the
            innermost middleware proceeds.
        content_language: Language of texts in the answer.
        external_cloudtower_id: Sent as the header of that name.
        progress: Shared by the copies of a call; leave it out when you test middleware.

    Example:
        ::

            where = {"id": "vm-1"}
            call = OperationCall(
                operation="vm.delete_vm", kind="mutation", arguments={"where": where}
            )
    """

    operation: str
    kind: CallKind
    arguments: Any = None
    timeout: float = 60.0
    content_language: ContentLanguage = "en-US"
    external_cloudtower_id: str | None = None
    progress: CallProgress = field(default_factory=CallProgress)

    @property
    def redacted_arguments(self) -> object:
        """The arguments without secrets, ready for `json.dumps`.

        Passwords, tokens, keys and similar values are replaced by ``***``, and files by their
        sizes. For logins, `Cloudtower.graphql` and `Cloudtower.raw`, all arguments are ``***``.
        """
        return self.progress.redact(_plain(self.arguments))

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Requests of the call, one for each attempt, known when ``proceed`` has ended.

        Logins that the call needed are not included; `record_exchanges` also collects logins.
        """
        return tuple(self.progress.exchanges)

    @property
    def attempts(self) -> int:
        """Number of requests of the call; 0 if no request was sent."""
        return len(self.progress.exchanges)

    @property
    def request_ids(self) -> tuple[str, ...]:
        """``x-tower-request-id`` of each answer: quote the ids to support."""
        ids = (exchange.request_id for exchange in self.progress.exchanges)
        return tuple(one for one in ids if one is not None)

    @property
    def endpoint(self) -> str:
        """Root address of the server that the latest request went to.

        Before the first request, the address of the server that this request will go to.
        """
        exchanges = self.progress.exchanges
        return exchanges[-1].endpoint if exchanges else self.progress.endpoint

    @property
    def outcome(self) -> CallOutcome | None:
        """Outcome of the call, known when ``proceed`` has ended; None if no attempt was made.

        ``"success"``: the server answered, and a mutation was accepted. ``"failure"``: an error
        was raised, and a mutation was not carried out. ``"unknown"``: a mutation may have been
        carried out (`OutcomeUnknown`). ``"cancelled"``: the call was cancelled or the session was
        closed; if a mutation was already sent, it may be carried out.

        GraphQL errors in the body of an answer with status 200 count as a success here.
        """
        return self.progress.outcome

    def replace(self, **changes: Unpack[CallChanges]) -> OperationCall:
        """Return a copy of the call with changes, to proceed with.

        Args:
            changes: New values of ``arguments``, ``timeout``, ``content_language`` or
                ``external_cloudtower_id``. The new values are checked before the call is sent.

        Raises:
            TypeError: `changes` has another name.
        """
        for name in changes:
            if name not in CallChanges.__annotations__:
                raise TypeError(f"OperationCall.replace() cannot change {name!r}")
        return dataclasses.replace(self, **changes)

    def __repr__(self) -> str:
        shown = repr(self.redacted_arguments)
        if len(shown) > _LONGEST:
            shown = f"{shown[:_LONGEST]}…"
        return f"<OperationCall {self.operation} ({self.kind}) {shown}>"


Proceed: TypeAlias = Callable[[OperationCall], Awaitable[Any]]
"""Async function that carries out the rest of a call: inner middleware, checks, requests, retries.

Pass the call that the middleware received, or a copy made with `OperationCall.replace`. The
function returns the answer of the method or raises the error of the method.
"""

Middleware: TypeAlias = Callable[[OperationCall, Proceed], Awaitable[Any]]
"""Async function around each call of a session: ``async def audit(call, proceed)``.

Pass the function in ``middleware=[…]`` to `Cloudtower` or `Cloudtower.with_options`.

**Which calls.** Each call of an operation passes through middleware: calls of your program, and
calls that the SDK makes for your program, such as pages, polls of tasks and of the change feed,
chunks of uploads, GraphQL, `Cloudtower.request`, `Cloudtower.raw`, and the request for the server's
version. Polls that waiters share pass through the middleware of the first session only, not through
middleware of `Cloudtower.with_options`. Logins that the session needs, the search for the active
node and `Cloudtower.ping` do not pass through. Use ``call.operation`` and ``call.kind`` to
distinguish calls.

**Order.** The first function in the list is the outermost. Middleware of `Cloudtower.with_options`
runs inside the middleware of the session. A call that cannot be sent, such as one with an empty
filter, is refused before any middleware runs; the call that the innermost middleware proceeds with
is checked again. The mode of the session, the queue, login, requests and retries follow after the
second check.

**Answers.** Return what ``proceed`` returned, or something else of the same type: the caller gets
the value unchecked, except that None in place of an answer raises `CloudtowerError`. Middleware
that does not proceed answers the call itself, from a cache for example, and nothing is sent.

**Proceeding twice.** A query may be sent any number of times. A mutation or an upload is sent at
most once: proceeding a second time, or after the call has ended, raises `CloudtowerError`.

**Exceptions.** The caller gets what middleware raises, unchanged. An exception that is raised after
``proceed`` has returned does not undo a mutation; ``call.outcome`` tells whether the mutation was
accepted.

**Time and cancellation.** Middleware holds no connection and no slot of the queue while it runs,
and the time that middleware takes does not count for the call's time-out. Cancelling the call
cancels the middleware at its ``await``; do not suppress the cancellation. Calls that middleware
makes over the same session pass through middleware, too: let queries through, or use another
session.
"""


def _plain(value: object) -> object:
    """Copy arguments as plain JSON values, with files replaced by their sizes."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, dict):
        members = cast("dict[object, object]", value)
        return {str(name): _plain(member) for name, member in members.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in cast("list[object]", value)]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(cast('bytes', value))} bytes>"
    try:
        return cast("object", msgspec.to_builtins(value, str_keys=True))
    except (TypeError, *CODEC_ERRORS):
        return f"<{type(value).__name__}>"
