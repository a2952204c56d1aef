"""Everything that can be raised.

    CloudtowerError
    ├── InvalidSettings            endpoint, credentials, TLS files: names the option   (ValueError)
    ├── InvalidInput               arguments that cannot be sent                        (ValueError)
    │   └── EmptyFilter            a filter that may match everything, in a mutation
    ├── SessionClosed              the session is closed, or of another event loop
    ├── CallError                  about one call
    │   ├── ConnectionFailed       no connection, reset, cut off                   (ConnectionError)
    │   │   ├── NameNotResolved    the host name has no address
    │   │   └── TLSFailed          the certificate was refused, or TLS not spoken
    │   ├── CallTimeout            no complete answer in time                         (TimeoutError)
    │   ├── ResponseDecodeError    not JSON, empty, HTML, cut off, of a wrong type
    │   ├── OutcomeUnknown         it may have been carried out or not; not sent again
    │   │   └── MutationTimeout    as no answer came in time: also a CallTimeout      (TimeoutError)
    │   └── StatusError            the server answered with an error status
    │       ├── BadRequest         400
    │       │   └── ResourceLocked 400, the resource is busy with something else
    │       ├── Unauthorized       401
    │       │   └── LoginFailed    the credentials were refused
    │       ├── Forbidden          403
    │       ├── NotFound           404
    │       ├── TooManyRequests    429
    │       ├── ServerError        5xx
    │       └── UnexpectedStatus   any other, redirects included
    ├── TaskError
    │   ├── TaskFailed             the task ended as FAILED
    │   ├── TaskTimeout            tasks still run at the end of the time            (TimeoutError)
    │   ├── TaskNotFound           the server does not know the task
    │   └── SettleTimeout          the tasks ended, but not yet the work             (TimeoutError)
    ├── LockTimeout                others of this process hold what is to be locked  (TimeoutError)
    └── TasksFailed                one or more of these, of several tasks         (ExceptionGroup)

Each prints as one line: what happened, what the server said, where, and what to do next.
"""

# ruff: noqa: N818 - the names say what happened: `except ResourceLocked`
from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .models import Task, TaskStatus

_LONGEST_TEXT = 500  # characters of a server's message in the printed line; the attribute has all


class CloudtowerError(Exception):
    """Base of everything this package raises on purpose."""


class InvalidSettings(CloudtowerError, ValueError):
    """An option of the session cannot be used. ``option`` names it."""

    def __init__(self, message: str, *, option: str = "") -> None:
        super().__init__(message)
        self.option = option


class InvalidInput(CloudtowerError, ValueError):
    """The arguments of a call cannot be sent. Nothing was sent."""


class EmptyFilter(InvalidInput):
    """A filter may match everything, and the call would change, or measure, all of it.

    Nothing was sent. Who means it passes `EVERYTHING` as the filter.
    """


class SessionClosed(CloudtowerError):
    """The session was closed, or belongs to another event loop."""

    def __init__(self, message: str = "the session is closed; make a new one") -> None:
        super().__init__(message)


class CallError(CloudtowerError):
    """A call failed.

    Attributes:
        operation: Which one: ``"vm.get_vms"``, or the path for calls outside the schema.
        endpoint: Root address of the server.
        status: HTTP status, when there was an answer.
        request_id: ``x-tower-request-id`` of the answer: quote it to support.
        code: The server's error code, such as ``"ResourceLocked"``.
        props: What the server added to the code.
        server_message: What the server said, in full; None when that was nothing, or a web page.
        sent: False when it is certain that the server did not get the request: no connection was
            made, or the session did not get as far as it was logging in first.
        hint: What to do next.
        attempts: How often the call was sent.
    """

    default_hint: ClassVar[str] = ""
    attempts: int = 1

    def __init__(
        self,
        message: str,
        *,
        operation: str = "",
        endpoint: str = "",
        status: int | None = None,
        request_id: str | None = None,
        code: str | None = None,
        props: object = None,
        server_message: str | None = None,
        sent: bool = True,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.operation = operation
        self.endpoint = endpoint
        self.status = status
        self.request_id = request_id
        self.code = code
        self.props = props
        self.server_message = server_message
        self.sent = sent
        self.hint: str = self.default_hint if hint is None else hint

    def __str__(self) -> str:
        line = f"{self.operation}: {self.message}" if self.operation else self.message
        if self.server_message:
            line += f": {_one_line(self.server_message)}"
        where = [self.endpoint] if self.endpoint else []
        if self.status is not None:
            where.append(f"HTTP {self.status}")
        if self.code:
            where.append(f"code {self.code}")
        if self.request_id:
            where.append(f"request id {self.request_id}")
        if self.attempts > 1:
            where.append(f"sent {self.attempts} times")
        if where:
            line += f" [{', '.join(where)}]"
        return f"{line}. {self.hint}" if self.hint else line


class ConnectionFailed(CallError, ConnectionError):
    """No connection could be made, or it broke before the answer was complete."""

    default_hint = "Check that the server is up and that nothing on the way cuts connections."


class NameNotResolved(ConnectionFailed):
    """The host name of the endpoint has no address."""

    default_hint = "Check the spelling of the endpoint and the DNS settings of this machine."


class TLSFailed(ConnectionFailed):
    """The connection could not be made safe, mostly as the certificate is not trusted.

    ``reason`` is what OpenSSL said.
    """

    def __init__(self, message: str, *, reason: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class CallTimeout(CallError, TimeoutError):
    """No complete answer came in time."""

    default_hint = "Pass a longer timeout= if the call is a slow one."


class ResponseDecodeError(CallError):
    """The answer is not what the API promises.

    Attributes:
        place: Where in the body, as in ``"$[3].vcpu"``; ``"$"`` is the body as a whole.
        excerpt: The start of what stands there.
    """

    def __init__(
        self,
        message: str,
        *,
        place: str = "$",
        excerpt: str = "",
        **about: Any,  # noqa: ANN401 - what `CallError` takes
    ) -> None:
        super().__init__(message, **about)
        self.place = place
        self.excerpt = excerpt


class OutcomeUnknown(CallError):
    """A mutation was sent, and whether the server carried it out is not known.

    It was not sent again, as that could do everything twice. ``__cause__`` is what went wrong:
    the connection, the server (HTTP 5xx), or the answer, which could not be read. ``hint`` names
    the calls that show what has come of it.
    """

    default_hint = (
        "Before you call again look whether it was carried out: tower.task.get_tasks lists what "
        "the server was told to do."
    )


class MutationTimeout(OutcomeUnknown, CallTimeout):
    """A mutation was sent, but no complete answer came in time: its outcome is not known."""


class StatusError(CallError):
    """The server answered with an error status.

    ``retry_after`` is how many seconds the server asks to wait before the next call, if it does.
    """

    retry_after: float | None = None


class BadRequest(StatusError):
    """HTTP 400: the server found the arguments wrong."""

    default_hint = "Check the arguments of the call; the message names the one at fault."


class LockedResource(msgspec.Struct, frozen=True, gc=False):
    """One resource that is busy: ``type`` is ``"VM"`` or ``"VM_VOLUME"``."""

    id: str
    type: str


class ResourceLocked(BadRequest):
    """HTTP 400 with code ``ResourceLocked``: something else is changing the resource.

    Nothing was done. The call was sent again until ``lock_timeout`` was over. The resource is free
    when its ``entityAsyncStatus`` is None.

    ``waited`` is how long the call has waited for it, in seconds.
    """

    waited: float = 0.0

    default_hint = "Nothing was done: wait for the other task to end, then call again."

    @property
    def locked_resources(self) -> list[LockedResource]:
        """The resources that are busy, as far as the server names them."""
        try:
            return msgspec.convert(self.props, _LockProps).locked_resources
        except msgspec.ValidationError:
            return []


class _LockProps(msgspec.Struct):
    locked_resources: list[LockedResource]


class Unauthorized(StatusError):
    """HTTP 401: the token is missing, wrong or has run out."""

    default_hint = "The token is not valid (any more): open a new session, or pass a new token=."


class LoginFailed(Unauthorized):
    """The server gave no token for these credentials."""

    default_hint = (
        "Check username, password and source (LOCAL or LDAP); "
        "with two-factor authentication pass an API key as token=."
    )


class Forbidden(StatusError):
    """HTTP 403: the user may not do this."""

    default_hint = "Ask an administrator to give the user's role this permission."


class NotFound(StatusError):
    """HTTP 404: no such resource, or no such operation on this server."""

    default_hint = (
        "Check the ids; if none is wrong, the server is too old for the operation "
        "or the endpoint is not a CloudTower."
    )


class TooManyRequests(StatusError):
    """HTTP 429: the server wants fewer calls."""

    default_hint = "Nothing was done: call again later, with fewer calls at once."


class ServerError(StatusError):
    """HTTP 5xx: the server, or a proxy before it, failed."""

    default_hint = "Try again later; if it stays, give the request id to support."


class UnexpectedStatus(StatusError):
    """A status that the API does not speak of, such as a redirect."""

    default_hint = "Check that the endpoint is the address of CloudTower itself."


class TaskError(CloudtowerError):
    """About the tasks that a mutation started."""


class TaskFailed(TaskError):
    """A task ended as FAILED.

    Attributes:
        task_id: Which one.
        code: The server's ``error_code``, such as ``"CREATE_VM_FORM_TEMPLATE_FAILED"``.
        ec: The code of the component below, such as ``"VM_CLOUD_INIT_CONFIG_ERROR"``.
        message: What the server says went wrong.
        task: The task itself.
    """

    def __init__(
        self,
        task_id: str,
        code: str | None = None,
        ec: str | None = None,
        message: str | None = None,
        task: Task | None = None,
    ) -> None:
        super().__init__(task_id)
        self.task_id = task_id
        self.code = code
        self.ec = ec
        self.message = message
        self.task = task

    def __str__(self) -> str:
        said = _one_line(self.message) if self.message else "the server gives no reason"
        codes = ", ".join(code for code in (self.code, self.ec) if code)
        what = f" ({_one_line(self.task.description)})" if self.task else ""
        return f"task {self.task_id}{what} failed: {said}" + (f" [{codes}]" if codes else "")


class TasksFailed(CloudtowerError, ExceptionGroup[TaskError]):
    """Of several tasks waited for some failed: a group, also for ``except*``.

    Attributes:
        succeeded: The tasks that did not fail.
    """

    succeeded: Sequence[Task] = ()


class TaskTimeout(TaskError, TimeoutError):
    """Tasks were not known to have ended when the time to wait for them was over.

    They go on: wait for ``pending`` again, or look at them with ``tower.task.get_tasks``.

    Attributes:
        pending: Their ids.
        timeout: How long they were waited for, in seconds.
        poll_error: Why the last poll failed, if it did: then nothing is known of the tasks.
        last_seen: Status and progress (0 to 1) of those of them that were seen, by their ids.
        failures: What went wrong with other tasks meanwhile.
        succeeded: Other tasks, which have ended well.
    """

    failures: Sequence[TaskError] = ()
    succeeded: Sequence[Task] = ()

    def __init__(
        self,
        pending: Sequence[str],
        timeout: float | None = None,
        poll_error: CloudtowerError | None = None,
        *,
        last_seen: Mapping[str, tuple[TaskStatus, float]] | None = None,
    ) -> None:
        super().__init__(pending)
        self.pending: tuple[str, ...] = tuple(pending)
        self.timeout = timeout
        self.poll_error = poll_error
        self.last_seen: dict[str, tuple[TaskStatus, float]] = dict(last_seen or {})

    def __str__(self) -> str:
        number = f"{len(self.pending)} task" + ("s" if len(self.pending) != 1 else "")
        after = "" if self.timeout is None else f" after {self.timeout:g} s"
        shown = ", ".join(map(self._shown, self.pending[:5]))
        shown += ", …" if len(self.pending) > 5 else ""
        failed = f"Of the others {len(self.failures)} failed. " if self.failures else ""
        if self.poll_error is not None:
            return (
                f"{number} not known to have ended{after}: {shown}. {failed}"
                f"The last poll failed: {self.poll_error}"
            )
        return (
            f"{number} still running{after}: {shown}. {failed}"
            "They go on: wait again, with a longer timeout= if need be."
        )

    def _shown(self, task_id: str) -> str:
        if task_id not in self.last_seen:
            return task_id
        status, progress = self.last_seen[task_id]
        return f"{task_id} ({status}, {progress:.0%})"


class TaskNotFound(TaskError):
    """The server does not know the task, also after the moment a new task may need to appear."""

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id

    def __str__(self) -> str:
        return f"task {self.task_id} is unknown to the server. Check the id and the endpoint."


class SettleTimeout(TaskError, TimeoutError):
    """The tasks ended, but resources were still being changed when the time was over.

    It goes on: a resource is ready when its ``entityAsyncStatus`` is None.

    Attributes:
        unsettled: By id: what was being done when it was last looked at, such as ``"UPDATING"``;
            None where that is not known.
        timeout: How long they were waited for, in seconds.
        poll_error: Why the last look failed, if it did.
    """

    def __init__(
        self,
        unsettled: Mapping[str, str | None],
        timeout: float | None = None,
        poll_error: CloudtowerError | None = None,
    ) -> None:
        super().__init__(unsettled)
        self.unsettled: dict[str, str | None] = dict(unsettled)
        self.timeout = timeout
        self.poll_error = poll_error

    def __str__(self) -> str:
        number = f"{len(self.unsettled)} resource" + ("s" if len(self.unsettled) != 1 else "")
        after = "" if self.timeout is None else f" after {self.timeout:g} s"
        first = list(self.unsettled.items())[:5]
        shown = ", ".join(f"{one} ({status})" if status else one for one, status in first)
        more = ", …" if len(self.unsettled) > len(first) else ""
        why = (
            "Their tasks have ended; read them again later."
            if self.poll_error is None
            else f"The last look failed: {self.poll_error}"
        )
        return f"{number} not known to be ready{after}: {shown}{more}. {why}"


class LockTimeout(CloudtowerError, TimeoutError):
    """Other callers of this process held resources for longer than `timeout`.

    Attributes:
        resource_ids: What they held, or came first for.
        timeout: How long this was waited for, in seconds.
    """

    def __init__(self, resource_ids: Sequence[str], timeout: float | None = None) -> None:
        super().__init__(resource_ids)
        self.resource_ids: tuple[str, ...] = tuple(resource_ids)
        self.timeout = timeout

    def __str__(self) -> str:
        after = "" if self.timeout is None else f" after {self.timeout:g} s"
        shown = ", ".join(self.resource_ids[:5]) + (", …" if len(self.resource_ids) > 5 else "")
        return f"locked by other callers of this process{after}: {shown}. Pass a longer timeout=."


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_TEXT else f"{line[:_LONGEST_TEXT]}…"
