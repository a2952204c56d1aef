"""The HTTP face: from a request to what the store and the effects make of it."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.lowlevel
import msgspec
from aiohttp import web

from ...api.catalogue import OPERATIONS
from ...calls.operation import Auth
from ..effects.catalogue import EFFECTS
from ..effects.world import Shown, World
from ..refusals import QueryError, RefusedError
from ..store import schema
from ..store.ids import Ids
from ..store.store import EVERY_LANGUAGE, LANGUAGES
from . import graphql
from .answers import JSON, Asked, Reply, Request
from .catalogue import ANSWERS
from .intake import API_ROOT, take_in
from .pages import page_of

if TYPE_CHECKING:
    from ..accounts import Accounts
    from ..clock import Clock
    from ..effects.world import Item, Outcomes
    from ..faults import Fault, Faults
    from ..maker import Maker
    from ..store.schema import Query
    from ..tasks import TaskEngine
    from .services import Services

_AT_ONCE = 250  # documents that are rendered before others get their turn


class Server:
    """Answers requests.

    Args:
        maker: Has the store.
        tasks: Runs what mutations start.
        accounts: Knows the tokens.
        faults: Says what is to go wrong.
        clock: Moves on with the requests, when it is told to.
        services: What has a state of its own.
    """

    def __init__(
        self,
        maker: Maker,
        tasks: TaskEngine,
        accounts: Accounts,
        faults: Faults,
        clock: Clock,
        services: Services,
    ) -> None:
        self.requests: list[Request] = []
        self._maker = maker
        self._store = maker.store
        self._tasks = tasks
        self._accounts = accounts
        self._faults = faults
        self._clock = clock
        self.services = services
        self._ids = Ids(0)  # of the requests, so that these do not change those of resources
        self._closing = anyio.Event()

    def close(self) -> None:
        """Let go of the requests that are held up."""
        self._closing.set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, properly or as the faults want it."""
        recorded = await take_in(request, self.services.uploads.digests())
        self.requests.append(recorded)
        operation = recorded.path
        if seconds := self._faults.delay_of(operation):
            with anyio.move_on_after(seconds):  # or until the simulator stops
                await self._closing.wait()
        self._clock.advance(self._clock.per_request)
        self._tasks.advance()
        self.services.advance()
        self._store.report()
        fault = self._faults.next(operation)
        answer = Reply(b"")
        if fault is None or fault.executed:
            answer = await self._answer(request, recorded)
            self._store.report()
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
            head = f"HTTP/1.1 {response.status} OK\r\ncontent-type: {JSON}\r\n"
            body = cast("bytes", response.body)
            length = f"content-length: {len(body)}\r\n\r\n".encode()
            transport.write(head.encode() + length + body[: len(body) // 2])
            transport.close()
            return
        if fault.kind == "reset" and (end := transport.get_extra_info("socket")):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    async def _answer(self, request: web.BaseRequest, recorded: Request) -> Reply:
        try:
            return await self._dispatch(request, recorded)
        except QueryError as exc:
            return _error(request, 400, str(exc))
        except RefusedError as exc:
            return _error(request, exc.status, exc.message, code=exc.code, props=exc.props)

    async def _dispatch(self, request: web.BaseRequest, recorded: Request) -> Reply:
        operation = recorded.path
        if request.path == "/api/healthz":
            return Reply(b"ok", content_type="text/plain")
        user = self._accounts.user_of(request.headers.get("authorization", "")) or ""
        language = request.headers.get("content-language", LANGUAGES[0])
        asked = Asked(
            recorded,
            request.query,
            language,
            user,
            self._maker,
            self._tasks,
            self._accounts,
            self.services,
        )
        if request.path == "/api":
            return _json(graphql.answer(asked))
        if f"/{operation}" not in OPERATIONS or not request.path.startswith(API_ROOT):
            raise RefusedError(404, f"no operation has the path {request.path}")
        known = schema.operation(f"/{operation}")
        if not user and known.auth is Auth.TOKEN:
            raise RefusedError(401, "the token is missing or not valid")
        if language not in {*LANGUAGES, EVERY_LANGUAGE}:
            raise RefusedError(400, f"content-language: {language} is none of {LANGUAGES}")
        if answer := ANSWERS.get(operation):
            found = answer(asked)
            return found if isinstance(found, Reply) else _json(found)
        arguments: Any = {} if recorded.body is None else recorded.body
        if not isinstance(arguments, dict | list):
            raise RefusedError(400, "the body is neither a JSON object nor a list")
        if effect := EFFECTS.get(operation):
            done = effect(World(self._maker, self._tasks, user, self._accounts), arguments)
            return _json(self._reply(done, language))
        query = schema.query(f"/{operation}")
        if query is None:
            raise RefusedError(501, f"the simulator does not model {operation}")
        if not isinstance(arguments, dict):
            raise RefusedError(400, "the body is not a JSON object")
        return await self._query(query, cast("dict[str, Any]", arguments), language)

    async def _query(self, asked: Query, arguments: dict[str, Any], language: str) -> Reply:
        resource = asked.resource
        page = page_of(resource, arguments)
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
        return Reply(b"[" + b",".join(parts) + b"]")

    def _reply(self, reply: Outcomes, language: str) -> object:
        if isinstance(reply, list):
            return [self._item(item, language) for item in reply]
        return self._item(reply, language)

    def _item(self, item: Item, language: str) -> dict[str, Any]:
        if isinstance(item, dict):
            return item
        if isinstance(item, Shown):
            return self._shown(item.resource, item.id, language)
        if isinstance(item.id, str):
            data: object = self._shown(item.resource, item.id, language)
        else:
            data = [self._shown(item.resource, one, language) for one in item.id]
        return {"task_id": item.task_id, "data": data}

    def _shown(self, resource: str | None, identifier: str, language: str) -> dict[str, Any]:
        if resource is None:
            return {"id": identifier}
        document = self._store.get(resource, identifier)
        return self._store.render(resource, document, language)


def _json(value: object) -> Reply:
    return Reply(msgspec.json.encode(value))


def _error(
    request: web.BaseRequest,
    status: int,
    message: str,
    *,
    code: str | None = None,
    props: object = None,
) -> Reply:
    body: dict[str, object] = {"message": message, "status": status, "path": request.path}
    if code is not None:
        body |= {"code": code, "props": props}
    return Reply(msgspec.json.encode(body), status)


def _faulty(request: web.BaseRequest, fault: Fault) -> Reply:
    if fault.body is None:
        answer = _error(request, fault.status, f"the simulator was told to answer {fault.status}")
        return Reply(answer.body, fault.status, headers=fault.headers)
    return Reply(fault.body, fault.status, fault.content_type, fault.headers)
