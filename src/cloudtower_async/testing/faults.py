"""Trouble on demand: what a test can make the server do instead of answering properly."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..api.catalogue import OPERATIONS

Trouble: TypeAlias = Literal["answer", "hang", "reset", "truncate"]

EVERY = "*"
_HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in</body></html>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to one request.

    Args:
        kind: ``answer`` with this status and body; ``hang`` without an answer; ``reset`` the
            connection; ``truncate`` the proper answer in the middle.
        executed: The request is carried out before that. Truncated ones always are.
        status: Of the answer.
        body: Of the answer; None for an ErrorBody that fits the status.
        content_type: Of the body.
        headers: More headers of the answer.
    """

    kind: Trouble
    executed: bool = False
    status: int = 500
    body: bytes | None = None
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class Faults:
    """Scripts faults: each method makes the next requests of an operation go wrong.

    An operation is named by its path (``"get-vms"``); ``"*"``, the default, is any request. The
    faults of an operation come one after the other, those of ``"*"`` after them.
    """

    def __init__(self) -> None:
        self._coming: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._delays: dict[str, float] = {}

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
        """Answer with this status, and an ErrorBody unless a body is given."""
        more = tuple((headers or {}).items())
        fault = Fault(kind="answer", status=status, body=body, headers=more, executed=executed)
        self._add(operation, times, fault)

    def hang(self, operation: str = EVERY, *, times: int = 1, executed: bool = False) -> None:
        """Take the request and never answer it."""
        self._add(operation, times, Fault(kind="hang", executed=executed))

    def reset(self, operation: str = EVERY, *, times: int = 1, executed: bool = False) -> None:
        """Reset the connection instead of answering."""
        self._add(operation, times, Fault(kind="reset", executed=executed))

    def truncate(self, operation: str = EVERY, *, times: int = 1) -> None:
        """Send half of the answer, then close the connection."""
        self._add(operation, times, Fault(kind="truncate", executed=True))

    def garbage(self, operation: str = EVERY, *, times: int = 1, body: bytes = b'[{"id":') -> None:
        """Answer 200 with something that is not JSON."""
        self._add(operation, times, Fault(kind="answer", status=200, body=body))

    def html(self, operation: str = EVERY, *, times: int = 1) -> None:
        """Answer 200 with a web page, as a proxy's log-in does."""
        fault = Fault(kind="answer", status=200, body=_HTML, content_type="text/html")
        self._add(operation, times, fault)

    def delay(self, seconds: float, operation: str = EVERY) -> None:
        """Let every request wait so long, from now on; 0 for no longer."""
        self._delays[_known(operation)] = seconds

    def clear(self) -> None:
        """Forget faults and delays."""
        self._coming.clear()
        self._delays.clear()

    def next(self, operation: str) -> Fault | None:
        """What goes wrong with this request. The server asks once for each."""
        for name in (operation, EVERY):
            if coming := self._coming.get(name):
                return coming.popleft()
        return None

    def delay_of(self, operation: str) -> float:
        """How long a request of this operation waits."""
        return self._delays.get(operation, self._delays.get(EVERY, 0.0))

    def _add(self, operation: str, times: int, fault: Fault) -> None:
        self._coming[_known(operation)].extend([fault] * times)


def _known(operation: str) -> str:
    """The name, unless it is none: a misspelt one would never strike."""
    if operation != EVERY and f"/{operation}" not in OPERATIONS:
        raise ValueError(f"{operation}: no operation has this path")
    return operation
