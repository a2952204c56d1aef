"""Calls by path: what the API schema does not know, and what is beside the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

import msgspec

from ..addresses import API_PATH, path_fault
from ..errors import InvalidInput
from ..options import choice_fault, pair_fault
from ..transport.basic_auth import basic
from ..types import CODEC_ERRORS, RawResponse
from .operation import Auth, Carries, Credential, Kind, Operation

if TYPE_CHECKING:
    from ..transport.redaction import Mask
    from ..types import ContentLanguage
    from .executor import Executor

Method: TypeAlias = Literal["POST", "GET"]
RawMethod: TypeAlias = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
RawAuth: TypeAlias = Literal["token", "none"]

_READING = ("GET", "HEAD")


class Direct:
    """Calls by path, as methods of a session."""

    _caller: Executor

    async def request(
        self,
        path: str,
        body: object = None,
        *,
        method: Method = "POST",
        query: Mapping[str, object] | None = None,
        content_language: ContentLanguage | None = None,
        external_cloudtower_id: str | None = None,
        timeout: float | None = None,
    ) -> object:
        """Call an endpoint of the API that is not in the schema and return the decoded JSON.

        Args:
            path: Path below ``/v2/api``; that prefix and the first slash are optional. It must not
                lead elsewhere: ``..``, backslashes and encoded slashes are refused.
            body: Sent as JSON as it is; None: no body.
            method: HTTP method.
            query: Query string, for a call without a body. Values that are None are left out.
            content_language: Language of texts; None: the session's.
            external_cloudtower_id: Sent as the header of that name.
            timeout: Time-out in seconds for the whole call; None: the session's.

        Raises:
            CallError: See its subclasses.
            InvalidInput: The path or the body cannot be sent.

        Example:
            ::

                rows = await tower.request("/get-vms-of-the-future", {"first": 1})
        """
        if fault := choice_fault(method, Method):
            raise InvalidInput(f"request {path}: method: {fault}")
        path = _checked("request", path).removeprefix(f"{API_PATH}/")
        path = f"/{path.lstrip('/')}"
        if body is not None and query is not None:
            raise InvalidInput(f"request {path}: pass body= or query=, not both")
        _check_names(f"request {path}: query", query)
        operation = Operation[object](
            path,
            path,
            Kind.QUERY if method == "GET" else Kind.MUTATION,
            lambda: object,
            carries=Carries.JSON if query is None else Carries.QUERY_STRING,
            method=method,
        )
        return await self._caller.send(
            operation,
            body if query is None else query,
            content_language,
            external_cloudtower_id,
            timeout,
        )

    async def raw(
        self,
        method: RawMethod,
        path: str,
        *,
        json: object = None,
        data: bytes | Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        auth: RawAuth | tuple[str, str] = "token",
        timeout: float | None = None,
    ) -> RawResponse:
        """Call any path of the server and return the response as it is.

        For what is beside the API, such as the export of traffic data or the observability service.
        The session's limits, retries and time-outs apply as to any other call, and so does what
        they say of a call that failed: GET and HEAD are queries, the other methods are mutations.

        Args:
            method: HTTP method.
            path: Path below the endpoint: ``/api/ovm/…``. It must not lead elsewhere: ``..``,
                backslashes and encoded slashes are refused.
            json: Body, sent as JSON; None: no such body.
            data: Body as it is, or the fields of a multipart form, files among them; None: no such
                body.
            query: Query string. Values that are None are left out.
            auth: ``"token"``: the session's token, after a login if need be; ``"none"``: no
                credential; or a user name and a password for HTTP Basic.
            timeout: Time-out in seconds for the whole call; None: the session's.

        Returns:
            Status, headers and body of a response with status 2xx.

        Raises:
            StatusError: The response has another status.
            OutcomeUnknown: A mutation was sent, and it is not known whether it was carried out.
            CallError: See its other subclasses.
            InvalidInput: An argument cannot be sent.

        Example:
            ::

                path = "/api/ovm/10.0.0.5/traffic-visualization/download/7"
                export = await tower.raw("GET", path)
                print(export.headers["content-type"], len(export.body))
        """
        if fault := choice_fault(method, RawMethod):
            raise InvalidInput(f"raw {path}: method: {fault}")
        path = _checked("raw", path)
        operation = Operation[RawResponse](
            path,
            path,
            Kind.QUERY if method in _READING else Kind.MUTATION,
            lambda: RawResponse,
            carries=Carries.AS_GIVEN,
            method=method,
            auth=_credential(path, auth, self._caller.transport.mask),
            root="",
        )
        del auth  # errors show the variables of this frame
        return await self._caller.send(
            operation, _content(path, json, data, query), timeout=timeout
        )


def _checked(name: str, path: str) -> str:
    if fault := path_fault(path):
        raise InvalidInput(f"{name}: path: {fault}")
    return f"/{path.lstrip('/')}"


def _check_names(
    argument: str, given: object, expected: str = "a dict of names and values"
) -> None:
    """Refuse what is no mapping whose keys are texts; None is accepted."""
    if given is None:
        return
    if not isinstance(given, Mapping):
        raise InvalidInput(f"{argument}: expected {expected}, got {type(given).__name__}")
    for name in cast("Mapping[object, object]", given):
        if not isinstance(name, str):
            raise InvalidInput(f"{argument}: expected texts as names, got {type(name).__name__}")


def _credential(path: str, auth: RawAuth | tuple[str, str], mask: Mask) -> Auth | Credential:
    if isinstance(auth, str) and auth in get_args(RawAuth):
        return Auth(auth)
    if isinstance(auth, str) or auth is None or pair_fault(auth):  # pyright: ignore[reportUnnecessaryComparison]
        # Nothing of it is told: it may hold a password.
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
    """The keyword arguments of `Transport.exchange` that the content is passed by."""
    _check_names(f"raw {path}: query", query)
    headers = {"accept": "*/*"}
    content: dict[str, Any] = {"headers": headers, "query": query}
    if json is not None and data is not None:
        raise InvalidInput(f"raw {path}: pass json= or data=, not both")
    if isinstance(data, bytes | bytearray | memoryview):
        headers["content-type"] = "application/octet-stream"
        content["body"] = bytes(data)
    elif data is not None:
        _check_names(f"raw {path}: data", data, "bytes or a dict of form fields")
        content["fields"] = data
    elif json is not None:
        try:
            content["body"] = msgspec.json.encode(json)
        except (TypeError, *CODEC_ERRORS) as exc:
            raise InvalidInput(f"raw {path}: json: it cannot be written as JSON: {exc}") from exc
    return content
