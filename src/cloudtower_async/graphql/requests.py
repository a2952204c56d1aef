"""GraphQL requests: sending, safe retries, and errors."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from ..calls.final_errors import LOGIN_IN_VAIN, NO_LOGIN
from ..calls.operation import Kind, Operation
from ..calls.validation import dates_as_texts
from ..control_characters import replace_lone_surrogates
from ..errors import (
    BadRequest,
    GraphQLError,
    OutcomeUnknown,
    ResponseDecodeError,
    Unauthorized,
)
from ..transport.exchange_log import record_exchanges
from ..transport.tracebacks import without_frames
from ..types import CODEC_ERRORS
from ..validators import check_argument, text_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..calls.executor import Executor

T = TypeVar("T")

NAME = "graphql"
_BEFORE_NAMES = ("query", "fragment", "on")
_PIECES = re.compile(r'"""(?:\\"""|.)*?"""|"(?:\\.|[^"\\\n])*"|#[^\n]*|[{}()]|\w+', re.DOTALL)


async def ask(
    executor: Executor,
    query: str,
    variables: Mapping[str, object] | None = None,
    timeout: float | None = None,
    *,
    take: Callable[[bytes], None] | None = None,
) -> dict[str, Any]:
    """Send a GraphQL document, and return the ``data`` of the answer.

    If the token has expired, the session logs in and sends the document again.

    Args:
        executor: Executor of the call.
        query: The GraphQL document.
        variables: Variables of the document.
        timeout: Time-out in seconds for the whole call. None uses the session's time-out.
        take: Function that is called with the body of the answer before the body is checked. Pass
            a function only for a mutation. None calls no function.

    Raises:
        GraphQLError: The answer has errors.
        CallError: The request failed. The subclass of the error gives the reason.
        InvalidInput: The arguments cannot be sent.
    """
    check_argument(NAME, "query", text_fault(query))
    kind = Kind.MUTATION if _changes(query) else Kind.QUERY
    operation = Operation(NAME, "", kind, lambda: dict[str, Any], root="/api")
    send = partial(_ask_once, executor, operation, take=take)
    body: dict[str, object] = {"query": query}
    if variables is not None:
        body["variables"] = dates_as_texts(NAME, ".variables", variables)
    authenticator = executor.authenticator
    now = executor.transport.running_loop().time
    deadline = now() + (executor.timeout if timeout is None else timeout)
    login = authenticator.logins
    try:
        return await send(body, timeout)
    except GraphQLError as exc:
        refused = exc
    if not _is_refusal(refused, kind):
        raise without_frames(refused)
    left = deadline - now()
    if not authenticator.can_log_in or left <= 0:
        raise _logged_out(refused, NO_LOGIN)
    authenticator.forget(login)  # has no effect if another call has already logged in again
    try:
        return await send(body, left)
    except GraphQLError as exc:
        refused = exc
    if not _is_refusal(refused, kind):
        raise without_frames(refused)
    raise _logged_out(refused, LOGIN_IN_VAIN, attempts=2)


async def _ask_once(
    executor: Executor,
    operation: Operation[dict[str, Any]],
    body: dict[str, object],
    timeout: float | None,
    *,
    take: Callable[[bytes], None] | None,
) -> dict[str, Any]:
    answer: dict[str, Any]
    try:
        with record_exchanges() as log:
            if take is None:
                answer = await executor.send(operation, body, timeout=timeout)
            else:
                answer = _taken(executor, await executor.send(_RAW, body, timeout=timeout), take)
    except BadRequest as exc:  # the body may contain GraphQL errors
        if errors := _errors_in(exc.server_message):
            raise _error(executor, {"errors": errors}, exc.status, exc.request_id) from exc
        raise
    data: object = answer.get("data")
    if isinstance(data, dict) and not answer.get("errors"):
        return cast("dict[str, Any]", data)
    error = _error(executor, answer, log[-1].status, log[-1].request_id)
    del answer, data  # errors show the variables of this frame
    raise error


_RAW: Operation[bytes] = Operation(NAME, "", Kind.MUTATION, lambda: bytes, root="/api")


def _taken(executor: Executor, body: bytes, take: Callable[[bytes], None]) -> dict[str, Any]:
    """Pass the body of a mutation's answer to `take`, and return the decoded body.

    Raises:
        OutcomeUnknown: The body is not a GraphQL answer.
    """
    body = replace_lone_surrogates(body)
    take(body)
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except CODEC_ERRORS:
        del body  # errors show the variables of this frame
    raise OutcomeUnknown(
        "the answer cannot be decoded, although the status is a success",
        operation=NAME,
        endpoint=executor.endpoints.latest,
        status=200,
    )


def _is_refusal(error: GraphQLError, kind: Kind) -> bool:
    """Return whether the server refused the token, and a mutation certainly changed nothing."""
    refusals = [_refuses_token(one) for one in error.errors]
    if kind is Kind.QUERY:
        return any(refusals)
    return bool(refusals) and all(refusals) and not _may_be_done(error)


def _refuses_token(error: dict[str, Any]) -> bool:
    """Return whether a GraphQL error means an invalid token: Apollo's error code, or status 401."""
    return any(
        said.get("code") == "UNAUTHENTICATED" or 401 in (said.get("status"), said.get("statusCode"))
        for said in _parts(error)
    )


def _may_be_done(error: GraphQLError) -> bool:
    """Return whether a mutation that failed with `error` may have changed the server.

    A server makes the change before it reads the fields of the result. An error in such a field
    comes after the change.
    """
    data = error.data
    fields = list(cast("dict[str, object]", data).values()) if isinstance(data, dict) else [data]
    paths: list[object] = [one.get("path") for one in error.errors]
    return any(field is not None for field in fields) or any(
        isinstance(path, list) and len(cast("list[object]", path)) > 1 for path in paths
    )


def _parts(error: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a GraphQL error and the objects in it that may contain an error code or a status."""
    yield error
    extensions: object = error.get("extensions")
    if isinstance(extensions, dict):
        known = cast("dict[str, Any]", extensions)
        yield known
        for name in ("http", "response", "exception"):
            if isinstance(known.get(name), dict):
                yield known[name]


def _logged_out(error: GraphQLError, hint: str, attempts: int = 1) -> Unauthorized:
    unauthorized = Unauthorized(
        "not logged in",
        operation=NAME,
        endpoint=error.endpoint,
        status=error.status,
        request_id=error.request_id,
        code=error.code,
        server_message=error.server_message,
        hint=hint,
    )
    unauthorized.attempts = attempts
    return unauthorized


def _changes(query: str) -> bool:
    """Return whether a GraphQL document contains a mutation or a subscription."""
    depth = 0
    before = ""
    for piece in _PIECES.findall(query):
        if piece in "{(":
            depth += 1
        elif piece in "})":
            depth -= 1
        elif depth == 0 and piece in ("mutation", "subscription") and before not in _BEFORE_NAMES:
            return True
        before = piece
    return False


def _errors_in(text: str | None) -> object:
    try:
        return msgspec.json.decode(text or "", type=_Refusal).errors
    except CODEC_ERRORS:
        return None


class _Refusal(msgspec.Struct):
    errors: Any


def _as_objects(errors: object) -> list[dict[str, Any]]:
    """Convert errors of any form to the form that GraphQL specifies: a list of objects."""
    given = cast("list[object]", errors) if isinstance(errors, list) else [errors]
    return [
        cast("dict[str, Any]", one) if isinstance(one, dict) else {"message": one}
        for one in given
        if one is not None
    ]


def _text_of(error: dict[str, Any]) -> str:
    """Return the message of an error, or the whole error as JSON if the error has no message."""
    message: object = error.get("message") or error
    return message if isinstance(message, str) else msgspec.json.encode(message).decode()


def _error(
    executor: Executor, answer: dict[str, Any], status: int | None, request_id: str | None
) -> GraphQLError:
    told = _as_objects(answer.get("errors") or None)
    masked = cast("list[dict[str, Any]]", executor.transport.mask.within(told))
    messages = [_text_of(one) for one in masked]
    extensions: object = masked[0].get("extensions") if masked else None
    code = None
    if isinstance(extensions, dict):
        code = cast("dict[str, object]", extensions).get("code")
    return GraphQLError(
        "the server answered with errors" if messages else "the server answered without data",
        operation=NAME,
        endpoint=executor.endpoints.latest,
        status=status,
        request_id=request_id,
        code=code if isinstance(code, str) else None,
        server_message="; ".join(messages) or None,
        errors=masked,
        data=executor.transport.mask.within(answer.get("data")),
    )


def read(executor: Executor, data: dict[str, Any], field: str, wanted: type[T]) -> T:
    fault = ""
    try:
        return msgspec.convert(data.get(field), wanted)
    except CODEC_ERRORS as exc:
        fault = str(exc)
    del data  # errors show the variables of this frame; the exception above holds the data, too
    raise ResponseDecodeError(
        f"{field} has an unexpected form: {fault}",
        operation=NAME,
        endpoint=executor.endpoints.latest,
        status=200,
        place=f"$.data.{field}",
    )
