"""Chain of middleware around one call. `operation_call` documents the rules for middleware."""

from __future__ import annotations

from functools import partial
from inspect import isawaitable, iscoroutine
from typing import TYPE_CHECKING, Any, cast

from ..errors import CloudtowerError, OutcomeUnknown, SessionClosed
from ..transport.exchange_log import record_exchanges

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ..operation_call import Middleware, OperationCall
    from ..types import Exchange


def copied(arguments: object) -> Any:  # noqa: ANN401 - arguments can be any value
    """Return a copy of arguments, so that middleware cannot change the caller's dicts and lists.

    Other values, such as the files of an upload, are not copied.
    """
    if isinstance(arguments, dict):
        members = cast("dict[object, object]", arguments)
        return {name: copied(member) for name, member in members.items()}
    if isinstance(arguments, list):
        return [copied(item) for item in cast("list[object]", arguments)]
    return arguments


class MiddlewareChain:
    """Carries out one call through middleware.

    Args:
        middleware: Middleware, in order from the outermost.
        call: The call.
        send: Function that checks, sends and retries a call.
    """

    def __init__(
        self,
        middleware: Sequence[Middleware],
        call: OperationCall,
        send: Callable[[OperationCall], Awaitable[Any]],
    ) -> None:
        self._middleware = middleware
        self._call = call
        self._send = send
        self._sent = False
        self._ended = False
        self._none_is_answer = False

    async def run(self) -> Any:  # noqa: ANN401 - the outermost middleware decides
        """Run the call through all middleware once, and return the answer."""
        try:
            return await self._proceed(0, self._call)
        finally:
            self._ended = True

    async def _proceed(self, index: int, call: OperationCall) -> Any:  # noqa: ANN401
        if getattr(call, "progress", None) is not self._call.progress:
            raise self._misuse("proceed() takes the call of the middleware, or a copy by replace()")
        if index == len(self._middleware):
            return await self._send_on(call)
        middleware = self._middleware[index]
        answering = cast("object", middleware(call, partial(self._proceed, index + 1)))
        if not isawaitable(answering):
            raise self._misuse(f"the middleware {_name(middleware)} is not an async function")
        answer = cast("object", await answering)
        if isawaitable(answer):
            if iscoroutine(answer):
                answer.close()
            raise self._misuse(f"the middleware {_name(middleware)} has to await proceed()")
        if answer is None and not self._none_is_answer:
            raise self._misuse(
                f"the middleware {_name(middleware)} returned None; "
                "return what proceed() returns, or another answer of its type"
            )
        return answer

    async def _send_on(self, call: OperationCall) -> Any:  # noqa: ANN401 - what the server answers
        if self._call.kind != "query" and (self._sent or self._ended):
            raise self._misuse("proceed() was called again, but a mutation is sent at most once")
        self._sent = True
        progress = call.progress
        recorded: list[Exchange] = []
        try:
            with record_exchanges() as recorded:
                answer = await self._send(call)
        except OutcomeUnknown:
            progress.outcome = "unknown"
            raise
        except BaseException as exc:
            failed = isinstance(exc, Exception) and not isinstance(exc, SessionClosed)
            progress.outcome = "failure" if failed else "cancelled"
            raise
        else:
            progress.outcome = "success"
        finally:
            progress.exchanges += [one for one in recorded if one.operation == call.operation]
        self._none_is_answer = answer is None
        return answer

    def _misuse(self, what: str) -> CloudtowerError:
        carried_out = self._call.kind != "query" and self._call.outcome == "success"
        hint = "; the call itself was a success" if carried_out else ""
        return CloudtowerError(f"{self._call.operation}: {what}{hint}")


def _name(middleware: object) -> str:
    return getattr(middleware, "__qualname__", type(middleware).__qualname__)
