"""The HTTP face: from a request to what the store and the effects make of it."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.lowlevel
import msgspec
from aiohttp import web

from ...api.catalogue import OPERATIONS
from ..effects.catalogue import EFFECTS
from ..effects.world import RefusedError, World
from ..store.filters import QueryError
from ..store.ids import Ids
from ..store.paging import Order, Page
from ..store.schema import orders, query
from ..store.store import EVERY_LANGUAGE, LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..accounts import Accounts
    from ..clock import Clock
    from ..effects.world import Outcome
    from ..faults import Fault, Faults
    from ..fleet.hardware import Maker
    from ..store.schema import Query
    from ..tasks import TaskEngine

API_ROOT = "/v2/api/"
VERSION = "4.9.0"
WITHOUT_EFFECT = frozenset({"login", "get-version"})
"""Operations that are modelled although they change nothing and look nothing up."""

_JSON = "application/json"
_AT_ONCE = 250  # documents that are rendered before others get their turn
_SHOWN_HEADERS = ("authorization", "content-language", "content-type", "external-cloudtower-id")

_PAGE_TYPES: dict[str, type] = {
    **dict.fromkeys(("first", "last", "skip"), int),
    **dict.fromkeys(("after", "before"), str),
}


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in: for a test to look at.

    Args:
        method: ``"POST"``.
        path: The path of the operation (``"get-vms"``), or the whole path outside the API.
        headers: Those that matter to the API, in lower case, as far as they were sent.
        body: The decoded JSON; the bytes where it is none; None when there is no body.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class _Answer:
    body: bytes
    status: int = 200
    content_type: str = _JSON
    headers: tuple[tuple[str, str], ...] = ()


class Server:
    """Answers requests.

    Args:
        maker: Has the store.
        tasks: Runs what mutations start.
        accounts: Knows the tokens.
        faults: Says what is to go wrong.
        clock: Moves on with the requests, when it is told to.
    """

    def __init__(
        self,
        maker: Maker,
        tasks: TaskEngine,
        accounts: Accounts,
        faults: Faults,
        clock: Clock,
    ) -> None:
        self.requests: list[Request] = []
        self._maker = maker
        self._store = maker.store
        self._tasks = tasks
        self._accounts = accounts
        self._faults = faults
        self._clock = clock
        self._ids = Ids(0)  # of the requests, so that these do not change those of resources
        self._closing = anyio.Event()

    def close(self) -> None:
        """Let go of the requests that are held up."""
        self._closing.set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, properly or as the faults want it."""
        recorded = _record(request, await request.read())
        self.requests.append(recorded)
        operation = recorded.path
        if seconds := self._faults.delay_of(operation):
            with anyio.move_on_after(seconds):  # or until the simulator stops
                await self._closing.wait()
        self._clock.advance(self._clock.per_request)
        self._tasks.advance()
        fault = self._faults.next(operation)
        answer = _Answer(b"")
        if fault is None or fault.executed:
            answer = await self._answer(request, recorded)
        if fault is not None and fault.kind == "answer":
            answer = _faulty(request, fault)
        headers = {"x-tower-request-id": self._ids.uuid(), **dict(answer.headers)}
        response = web.Response(
            body=answer.body,
            status=answer.status,
            content_type=answer.content_type,
            headers=headers,
        )
        if fault is not None and fault.kind != "answer":
            await self._break(request, fault, response)
        return response

    async def _break(self, request: web.BaseRequest, fault: Fault, response: web.Response) -> None:
        """Do not let the request come to a proper end."""
        transport = request.transport
        if fault.kind == "hang":
            await self._closing.wait()
        if transport is None:
            return
        if fault.kind == "truncate":
            head = f"HTTP/1.1 {response.status} OK\r\ncontent-type: {_JSON}\r\n"
            body = cast("bytes", response.body)
            length = f"content-length: {len(body)}\r\n\r\n".encode()
            transport.write(head.encode() + length + body[: len(body) // 2])
            transport.close()
            return
        if fault.kind == "reset" and (end := transport.get_extra_info("socket")):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    async def _answer(self, request: web.BaseRequest, recorded: Request) -> _Answer:
        try:
            return await self._dispatch(request, recorded)
        except QueryError as exc:
            return _error(request, 400, str(exc))
        except RefusedError as exc:
            return _error(request, exc.status, exc.message, code=exc.code, props=exc.props)

    async def _dispatch(self, request: web.BaseRequest, recorded: Request) -> _Answer:
        operation = recorded.path
        if request.path == "/api/healthz":
            return _Answer(b"ok", content_type="text/plain")
        if request.path == "/api":
            return self._graphql(recorded.body)
        if f"/{operation}" not in OPERATIONS or not request.path.startswith(API_ROOT):
            raise RefusedError(404, f"no operation has the path {request.path}")
        user = self._accounts.user_of(request.headers.get("authorization", ""))
        if user is None and operation not in WITHOUT_EFFECT:
            raise RefusedError(401, "the token is missing or not valid")
        language = request.headers.get("content-language", LANGUAGES[0])
        if language not in {*LANGUAGES, EVERY_LANGUAGE}:
            raise RefusedError(400, f"content-language: {language} is none of {LANGUAGES}")
        if operation == "get-version":
            return _json(VERSION)
        body: object = {} if recorded.body is None else recorded.body
        if not isinstance(body, dict):
            raise RefusedError(400, "the body is not a JSON object")
        arguments = cast("dict[str, Any]", body)
        if operation == "login":
            return self._log_in(arguments)
        if effect := EFFECTS.get(operation):
            outcomes = effect(World(self._maker, self._tasks, user or ""), arguments)
            return _json([self._outcome(outcome, language) for outcome in outcomes])
        asked = query(f"/{operation}")
        if asked is None or asked.resource not in self._store.resources:
            raise RefusedError(501, f"the simulator does not model {operation}")
        return await self._query(asked, arguments, language)

    async def _query(self, asked: Query, arguments: dict[str, Any], language: str) -> _Answer:
        resource = asked.resource
        page = _page(resource, arguments)
        hidden = self._tasks.hidden() if resource == "Task" else ()
        where = arguments.get("where")
        found = self._store.select(resource, where, page, without=hidden)
        if asked.counts:
            return _json({"aggregate": {"count": len(found)}})
        parts: list[bytes] = []
        for start in range(0, len(found), _AT_ONCE):
            if start:
                await anyio.lowlevel.checkpoint()
            some = found[start : start + _AT_ONCE]
            shown = [self._store.render(resource, document, language) for document in some]
            parts.append(msgspec.json.encode(shown)[1:-1])
        return _Answer(b"[" + b",".join(parts) + b"]")

    def _outcome(self, outcome: Outcome, language: str) -> dict[str, Any]:
        if outcome.resource is None:
            data: dict[str, Any] = {"id": outcome.id}
        else:
            document = self._store.get(outcome.resource, outcome.id)
            data = self._store.render(outcome.resource, document, language)
        return {"task_id": outcome.task_id, "data": data}

    def _log_in(self, arguments: dict[str, Any]) -> _Answer:
        match arguments:
            case {"username": str(username), "password": str(password)}:
                source = arguments.get("source") or "LOCAL"
            case _:
                raise RefusedError(400, "username, password: required")
        strategies = {strategy["id"] for strategy in self._accounts.strategies}
        token = None
        if source != "AUTHN" or arguments.get("auth_config_id") in strategies:
            token = self._accounts.log_in(username, password, source)
        if token is None:
            raise RefusedError(400, "the user name or the password is wrong")
        return _json({"task_id": None, "data": {"token": token}})

    def _graphql(self, body: object) -> _Answer:
        match body:
            case {"query": str(text)} if "authnStrategies" in text:
                return _json({"data": {"authnStrategies": self._accounts.strategies}})
            case _:
                raise RefusedError(501, "the simulator does not model this GraphQL query")


def _record(request: web.BaseRequest, content: bytes) -> Request:
    path = request.path.removeprefix(API_ROOT)
    headers = {name: request.headers[name] for name in _SHOWN_HEADERS if name in request.headers}
    body: Any = None
    if content:
        try:
            body = msgspec.json.decode(content)
        except msgspec.DecodeError:
            body = content
    return Request(request.method, path, headers, body)


def _page(resource: str, arguments: dict[str, Any]) -> Page:
    given = {name: value for name, value in arguments.items() if value is not None}
    given.pop("where", None)
    order = given.pop("orderBy", None)
    if order is not None and order not in orders(resource):
        raise QueryError(f"orderBy: {order!r} is no order of {resource}")
    for name, value in given.items():
        kind = _PAGE_TYPES.get(name)
        if kind is None:
            raise QueryError(f"{name}: there is no such argument")
        if type(value) is not kind:
            raise QueryError(f"{name}: {value!r} is of the wrong type")
    return Page(orders(resource)[order] if order else Order(), **given)


def _json(value: object) -> _Answer:
    return _Answer(msgspec.json.encode(value))


def _error(
    request: web.BaseRequest,
    status: int,
    message: str,
    *,
    code: str | None = None,
    props: object = None,
) -> _Answer:
    body: dict[str, object] = {"message": message, "status": status, "path": request.path}
    if code is not None:
        body |= {"code": code, "props": props}
    return _Answer(msgspec.json.encode(body), status)


def _faulty(request: web.BaseRequest, fault: Fault) -> _Answer:
    if fault.body is None:
        answer = _error(request, fault.status, f"the simulator was told to answer {fault.status}")
        return _Answer(answer.body, fault.status, headers=fault.headers)
    return _Answer(fault.body, fault.status, fault.content_type, fault.headers)
