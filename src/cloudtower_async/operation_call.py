"""Types of middleware, and the class of the call that middleware receives."""

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
        endpoint: Root address of the server that will receive the first request of the call.
        redact: Function that redacts arguments.

    Attributes:
        exchanges: Requests of the call that have ended.
        outcome: Value of `OperationCall.outcome`.
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
    """One call of an operation, as the session passes it to middleware.

    A call is immutable. To change the call, middleware passes on a changed copy:
    ``await proceed(call.replace(timeout=5))``. All copies share the progress of the call:
    `exchanges` and `outcome`. The ``repr`` shows redacted arguments.

    Args:
        operation: Name of the operation, such as ``"vm.get_vms"``. The name is ``"graphql"`` for
            GraphQL, and the path for other calls outside the API schema.
        kind: ``"query"``, ``"mutation"`` or ``"upload"``.
        arguments: Copy of the arguments: a dict with the API's keys, or a list for operations that
            take a list. The copy holds secrets in clear text, so use `redacted_arguments` for logs.
            Arguments of calls outside the API schema cannot be changed.
        timeout: Time-out in seconds for the whole call, retries included. The time starts when the
            innermost middleware calls ``proceed``.
        content_language: Language of texts in the answer.
        external_cloudtower_id: Value of the header ``external-cloudtower-id``. None sends no such
            header.
        progress: The exchanges and the outcome, which all copies of a call share. Omit this
            argument when you test middleware.

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
        """The arguments without secrets, as plain values that `json.dumps` accepts.

        Passwords, tokens, keys and similar values are replaced by ``***``, and files by their
        sizes. For ``user.login``, `Cloudtower.graphql` and `Cloudtower.raw`, all arguments are
        ``***``.
        """
        return self.progress.redact(_plain(self.arguments))

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Requests of the call so far, one for each attempt.

        The tuple is complete when ``proceed`` has ended. Logins are not included.
        `record_exchanges` also collects logins.
        """
        return tuple(self.progress.exchanges)

    @property
    def attempts(self) -> int:
        """Number of requests of the call. 0 means that no request was sent."""
        return len(self.progress.exchanges)

    @property
    def request_ids(self) -> tuple[str, ...]:
        """Header ``x-tower-request-id`` of each response. SmartX support asks for these ids."""
        ids = (exchange.request_id for exchange in self.progress.exchanges)
        return tuple(one for one in ids if one is not None)

    @property
    def endpoint(self) -> str:
        """Root address of the server that received the latest request of the call.

        Before the first request, this is the server that will receive the first request.
        """
        exchanges = self.progress.exchanges
        return exchanges[-1].endpoint if exchanges else self.progress.endpoint

    @property
    def outcome(self) -> CallOutcome | None:
        """Outcome of the call. None until ``proceed`` has ended.

        The outcome stays None if middleware answers the call without ``proceed``. ``"success"``
        means that the server answered a query or accepted a mutation. ``"failure"`` means that an
        error was raised. If the call is a mutation, it was not carried out. ``"unknown"`` means
        that a mutation may have been carried out (`OutcomeUnknown`). ``"cancelled"`` means that the
        call was cancelled or the session was closed. A mutation that was already sent may still be
        carried out.

        A response with status 200 counts as a success even if its body has GraphQL errors.
        """
        return self.progress.outcome

    def replace(self, **changes: Unpack[CallChanges]) -> OperationCall:
        """Return a changed copy of the call, which you can pass to ``proceed``.

        Args:
            changes: New values of ``arguments``, ``timeout``, ``content_language`` or
                ``external_cloudtower_id``. The new values are checked before the call is sent.

        Raises:
            TypeError: A name in `changes` is not one of these four.
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
function returns the answer of the call, or raises the error.
"""

Middleware: TypeAlias = Callable[[OperationCall, Proceed], Awaitable[Any]]
"""Async function around each call of a session: ``async def audit(call, proceed)``.

Pass the function in ``middleware=[…]`` to `Cloudtower` or `Cloudtower.with_options`.

**Which calls.** Each call of an operation passes through middleware. This includes GraphQL,
`Cloudtower.request` and `Cloudtower.raw`. It also includes calls that the SDK makes for your
program: pages, polls of tasks and of the change feed, chunks of uploads, and the request for the
server's version. Polls of tasks pass through the middleware of `Cloudtower`, but not through the
middleware of `Cloudtower.with_options`. Three kinds of requests bypass all middleware: logins that
the session makes by itself, the search for the active node, and `Cloudtower.ping`. Use
``call.operation`` and ``call.kind`` to distinguish calls.

**Order.** The first function in the list is the outermost. Middleware of `Cloudtower.with_options`
runs inside the middleware of `Cloudtower`. A call that cannot be sent, such as a mutation with an
empty filter, is refused before any middleware runs. The call that the innermost middleware passes
to ``proceed`` is checked again. After the second check, the SDK applies the option ``mutations``,
waits for ``max_in_flight`` and ``rate_limit``, logs in, sends the requests and retries them.

**Answers.** Return the value that ``proceed`` returned, or another value of the same type. The
caller gets this value unchecked. However, returning None in place of an answer raises
`CloudtowerError`. If middleware does not call ``proceed``, it answers the call itself, for example
from a cache, and no request is sent.

**Proceeding twice.** A query may be passed to ``proceed`` any number of times. A mutation or an
upload may be passed only once: a second call of ``proceed`` raises `CloudtowerError`. If
``proceed`` is called after the outermost middleware has ended, a mutation or an upload is not sent,
and `CloudtowerError` is raised.

**Exceptions.** The caller gets any exception that middleware raises, unchanged. An exception that
is raised after ``proceed`` has returned does not undo a mutation. ``call.outcome`` says whether the
mutation was accepted.

**Time and cancellation.** Before middleware calls ``proceed``, the call holds no connection, and
does not count for ``max_in_flight``. The same applies after ``proceed`` has ended. The time that
middleware takes does not count for the call's time-out. If the call is cancelled, the middleware is
cancelled, too. Do not suppress the cancellation.

**Calls by middleware.** Calls that middleware makes with the same session pass through the same
middleware, which can lead to an endless recursion. To prevent the recursion, make these calls with
another session. Middleware that makes only queries can also use the same session, if it makes them
only for mutations: for such a query, it then makes no further calls.
"""


def _plain(value: object) -> object:
    """Return a copy of arguments as plain JSON values. Bytes are replaced by their size."""
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
