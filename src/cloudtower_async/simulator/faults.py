"""Fault injection: errors, delays and broken connections for tests."""

from __future__ import annotations

import random
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..api.catalogue import OPERATIONS
from .operation_paths import unknown_path
from .server.request_parser import API_ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

Trouble: TypeAlias = Literal["answer", "hang", "reset", "slow", "truncate"]

EVERY = "*"
_HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in</body></html>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Fault of one request.

    Args:
        kind: ``answer`` sends `status` and `body`. ``hang`` never sends a response. ``reset``
            resets the connection. ``truncate`` sends half of the regular response. ``slow`` delays
            the regular response.
        executed: Execute the request before the fault. ``truncate`` and ``slow`` always execute the
            request.
        status: HTTP status of the response.
        body: Body of the response. With None, the server sends an error body for the status.
        content_type: Content type of the body.
        headers: Additional headers of the response.
        seconds: Delay of the response in seconds, for the kind ``slow``.
    """

    kind: Trouble
    executed: bool = False
    status: int = 500
    body: bytes | None = None
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0


EVERY_FAULT: tuple[Fault, ...] = (
    Fault(kind="reset"),
    Fault(kind="reset", executed=True),
    Fault(kind="truncate", executed=True),
    Fault(kind="slow", executed=True, seconds=0.05),
    Fault(kind="hang"),
    Fault(kind="hang", executed=True),
    Fault(kind="answer", status=429, headers=(("retry-after", "0"),)),
    Fault(kind="answer", status=500),
    Fault(kind="answer", status=500, executed=True),
    Fault(kind="answer", status=502),
    Fault(kind="answer", status=503),
    Fault(kind="answer", status=504, executed=True),
    Fault(kind="answer", status=401),
    Fault(kind="answer", status=307),
    Fault(kind="answer", status=200, body=b'[{"id":', executed=True),
    Fault(kind="answer", status=200, body=_HTML, content_type="text/html"),
)
"""Faults of all kinds: the default choices of `Faults.at_random`."""


class Faults:
    """Scripted faults: most methods make the next requests of an operation fail.

    The argument `operation` is the path of an operation, for example ``"get-vms"``. The default
    ``"*"`` means any request, including logins.

    A request gets the oldest fault of its own operation. If its operation has no faults left, the
    request gets the oldest fault of ``"*"``. The argument `times` is the number of requests that
    get the fault.
    """

    def __init__(self) -> None:
        self._coming: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._delays: dict[str, float] = {}
        self._lasting: dict[str, Fault] = {}
        self._share = 0.0
        self._choices: Sequence[Fault] = ()
        self._random = random.Random(0)  # noqa: S311 - reproducible, not secret

    def at_random(
        self, share: float, faults: Sequence[Fault] = EVERY_FAULT, *, seed: int = 0
    ) -> None:
        """Let a random share of all requests fail, in addition to other faults.

        Args:
            share: Share of requests that fail, from 0 to 1. 0 turns random faults off.
            faults: Possible faults. Each fault is equally likely.
            seed: Seed of the random choices. The same seed gives the same faults.
        """
        self._share = share
        self._choices = tuple(faults)
        self._random.seed(seed)

    def fail(
        self,
        operation: str = EVERY,
        *,
        status: int = 500,
        times: int = 1,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        executed: bool = False,
    ) -> None:
        """Respond to the next requests with an error status.

        Args:
            operation: Path of the operation. ``"*"`` means any request.
            status: HTTP status of the response.
            times: Number of requests that fail.
            body: Body of the response. By default, the server sends an error body for the status.
            headers: Additional headers of the response.
            executed: Execute the request before sending the error.
        """
        more = tuple((headers or {}).items())
        fault = Fault(kind="answer", status=status, body=body, headers=more, executed=executed)
        self._add(operation, times, fault)

    def answer(self, operation: str, body: bytes, *, status: int = 200, times: int | None) -> None:
        """Respond to the next requests with a JSON body. The requests are not executed.

        Args:
            operation: Path of the operation. For a URL path outside the API, the whole path with a
                leading slash.
            body: Body of the response, as JSON.
            status: HTTP status of the response.
            times: Number of requests that get this response. With None, all requests get it until
                `clear` is called.
        """
        fault = Fault(kind="answer", status=status, body=body)
        if times is None:
            self._lasting[_known(operation)] = fault
        else:
            self._add(operation, times, fault)

    def hang(self, operation: str = EVERY, *, times: int = 1, executed: bool = False) -> None:
        """Accept the next requests, but never send a response.

        If `executed` is set, the requests are executed.
        """
        self._add(operation, times, Fault(kind="hang", executed=executed))

    def reset(self, operation: str = EVERY, *, times: int = 1, executed: bool = False) -> None:
        """Reset the connection of the next requests instead of sending a response.

        If `executed` is set, the requests are executed before the reset.
        """
        self._add(operation, times, Fault(kind="reset", executed=executed))

    def truncate(self, operation: str = EVERY, *, times: int = 1) -> None:
        """For each of the next requests, send half of the response and close the connection."""
        self._add(operation, times, Fault(kind="truncate", executed=True))

    def slow(self, seconds: float, operation: str = EVERY, *, times: int = 1) -> None:
        """Delay the responses to the next requests by the given number of seconds."""
        self._add(operation, times, Fault(kind="slow", executed=True, seconds=seconds))

    def garbage(
        self,
        operation: str = EVERY,
        *,
        times: int = 1,
        body: bytes = b'[{"id":',
        executed: bool = False,
    ) -> None:
        """Respond to the next requests with status 200 and a body that is not valid JSON.

        If `executed` is set, the requests are executed before the response.
        """
        fault = Fault(kind="answer", status=200, body=body, executed=executed)
        self._add(operation, times, fault)

    def html(self, operation: str = EVERY, *, times: int = 1) -> None:
        """Respond to the next requests with status 200 and an HTML page, as a proxy may do."""
        fault = Fault(kind="answer", status=200, body=_HTML, content_type="text/html")
        self._add(operation, times, fault)

    def delay(self, seconds: float, operation: str = EVERY) -> None:
        """From now on, delay all requests of an operation.

        Args:
            seconds: Delay in seconds. 0 turns the delay off.
            operation: Path of the operation. ``"*"`` means any request.
        """
        self._delays[_known(operation)] = seconds

    def clear(self) -> None:
        """Remove all faults and delays."""
        self._coming.clear()
        self._delays.clear()
        self._lasting.clear()
        self._share = 0.0

    def next(self, operation: str) -> Fault | None:
        """Return the fault for a request that has arrived, or None if the request has no fault.

        Each fault is used once. A response of ``answer(times=None)`` stays until `clear` is called.
        """
        for name in (operation, EVERY):
            if coming := self._coming.get(name):
                return coming.popleft()
        if lasting := self._lasting.get(operation):
            return lasting
        if self._share and self._random.random() < self._share:
            return self._random.choice(self._choices)
        return None

    def delay_of(self, operation: str) -> float:
        """Return the delay of requests of this operation in seconds. The default is 0."""
        return self._delays.get(operation, self._delays.get(EVERY, 0.0))

    def _add(self, operation: str, times: int, fault: Fault) -> None:
        self._coming[_known(operation)].extend([fault] * times)


def _known(operation: str) -> str:
    """Return the path `operation`, or raise ValueError if no request can have this path."""
    if operation.startswith("/"):  # outside the API
        inside = operation.removeprefix(API_ROOT.rstrip("/"))
        if inside != operation or inside in OPERATIONS:
            raise ValueError(
                f"{operation}: a path that begins with a slash is outside the API; "
                f"for an operation, leave the slash out: {inside.lstrip('/')!r}"
            )
    elif operation != EVERY and f"/{operation}" not in OPERATIONS:
        raise ValueError(
            f"{unknown_path(operation)}; a path outside the API begins with a slash: '/{operation}'"
        )
    return operation
