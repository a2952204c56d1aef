"""Calls by path, for endpoints that are missing in the API schema or outside the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

import msgspec

from ..addresses import API_PATH, path_fault
from ..errors import InvalidInput
from ..transport.basic_auth import basic
from ..types import CODEC_ERRORS, RawResponse
from ..validators import check_argument, choice_fault, pair_fault
from .operation import Auth, Carries, Credential, Kind, Operation
from .validation import dates_as_texts

if TYPE_CHECKING:
    from ..transport.redaction import Mask
    from ..types import ContentLanguage
    from .executor import Executor

Method: TypeAlias = Literal["POST", "GET"]
RawMethod: TypeAlias = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
RawAuth: TypeAlias = Literal["token", "none"]

_READING = ("GET", "HEAD")


async def request(
    executor: Executor,
    path: str,
    body: object,
    method: Method,
    query: Mapping[str, object] | None,
    content_language: ContentLanguage | None,
    external_cloudtower_id: str | None,
    timeout: float | None,
) -> object:
    """Call an endpoint that is not in the schema; see `Cloudtower.request`."""
    check_argument(f"request {path}", "method", choice_fault(method, Method))
    path = _checked("request", path).removeprefix(f"{API_PATH}/")
    path = f"/{path.lstrip('/')}"
    if body is not None and query is not None:
        raise InvalidInput(f"request {path}: pass body= or query=, not both")
    query = _named(f"request {path}", "query", query)
    body = dates_as_texts(f"request {path}", ".body", body)
    operation = Operation[object](
        path,
        path,
        Kind.QUERY if method == "GET" else Kind.MUTATION,
        lambda: object,
        carries=Carries.JSON if query is None else Carries.QUERY_STRING,
        method=method,
    )
    return await executor.send(
        operation,
        body if query is None else query,
        content_language,
        external_cloudtower_id,
        timeout,
    )


async def raw(
    executor: Executor,
    method: RawMethod,
    path: str,
    json: object,
    data: bytes | Mapping[str, object] | None,
    query: Mapping[str, object] | None,
    auth: RawAuth | tuple[str, str],
    timeout: float | None,
) -> RawResponse:
    """Call any path of the server; see `Cloudtower.raw`."""
    check_argument(f"raw {path}", "method", choice_fault(method, RawMethod))
    path = _checked("raw", path)
    operation = Operation[RawResponse](
        path,
        path,
        Kind.QUERY if method in _READING else Kind.MUTATION,
        lambda: RawResponse,
        carries=Carries.AS_GIVEN,
        method=method,
        auth=_credential(path, auth, executor.transport.mask),
        root="",
    )
    del auth  # keep the secret out of error reports that show local variables
    return await executor.send(operation, _content(path, json, data, query), timeout=timeout)


def _checked(name: str, path: str) -> str:
    check_argument(name, "path", path_fault(path))
    return f"/{path.lstrip('/')}"


def _named(
    asker: str,
    argument: str,
    given: Mapping[str, object] | None,
    expected: str = "a dict of names and values",
) -> Mapping[str, object] | None:
    """Return a mapping whose dates are converted to strings, or None if `given` is None.

    Raise InvalidInput if `given` is not a mapping, or has keys that are not strings.
    """
    if given is None:
        return None
    if not isinstance(given, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInput(f"{asker}: {argument}: expected {expected}, got {type(given).__name__}")
    changed: dict[str, object] = {}
    for name, value in cast("Mapping[object, object]", given).items():
        if not isinstance(name, str):
            raise InvalidInput(
                f"{asker}: {argument}: expected strings as names, got {type(name).__name__}"
            )
        text = dates_as_texts(asker, f".{argument}.{name}", value)
        if text is not value:
            changed[name] = text
    return {**given, **changed} if changed else given


def _credential(path: str, auth: RawAuth | tuple[str, str], mask: Mask) -> Auth | Credential:
    if isinstance(auth, str) and auth in get_args(RawAuth):
        return Auth(auth)
    if isinstance(auth, str) or auth is None or pair_fault(auth):  # pyright: ignore[reportUnnecessaryComparison]
        # Do not quote the value, because it may hold a password.
        raise InvalidInput(
            f'raw {path}: auth: expected "token", "none", or a pair of user name and password'
        )
    username, password = auth
    header = basic(username, password)
    mask.add_password(password, passing=True)
    mask.add(header.removeprefix("Basic "), passing=True)
    return Credential(header)


def _content(
    path: str,
    json: object,
    data: bytes | Mapping[str, object] | None,
    query: Mapping[str, object] | None,
) -> dict[str, Any]:
    """Return the body, query and headers as keyword arguments of `Transport.exchange`."""
    query = _named(f"raw {path}", "query", query)
    headers = {"accept": "*/*"}
    content: dict[str, Any] = {"headers": headers, "query": query}
    if json is not None and data is not None:
        raise InvalidInput(f"raw {path}: pass json= or data=, not both")
    if isinstance(data, bytes | bytearray | memoryview):
        headers["content-type"] = "application/octet-stream"
        content["body"] = bytes(data)
    elif data is not None:
        content["fields"] = _named(f"raw {path}", "data", data, "bytes or a dict of form fields")
    elif json is not None:
        try:
            content["body"] = msgspec.json.encode(dates_as_texts(f"raw {path}", ".json", json))
        except (TypeError, *CODEC_ERRORS) as exc:
            raise InvalidInput(f"raw {path}: json: it cannot be written as JSON: {exc}") from exc
    return content
