"""The HTTP face: from a request to an answer, proper or as the faults want it."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, cast

import anyio
import anyio.lowlevel
from aiohttp import web

from ...api.catalogue import OPERATIONS
from ...calls.operation import Auth
from ...calls.registry import operation_at
from ...calls.server_version import is_older
from .. import request_log
from ..http_errors import NothingMatchesError, QueryError, RefusedError
from ..store import schema
from ..store.ids import Ids
from ..store.store import EVERY_LANGUAGE, LANGUAGES
from . import graphql, routes
from .handlers import JSON, Asked, Found, Reply, Request
from .javascript import encode
from .request_parser import API_ROOT, LARGEST_CHUNK, take_in

if TYPE_CHECKING:
    from ..accounts import Accounts
    from ..factory import Maker
    from ..faults import Fault, Faults
    from ..tasks import TaskEngine
    from .state import Services

_AT_ONCE = 250  # documents that are rendered before others get their turn


class Server:
    """Answers requests.

    Args:
        maker: Has the store.
        tasks: Runs what mutations start.
        accounts: Knows the tokens.
        faults: Says what is to go wrong.
        services: What has a state of its own.
        keep_requests: How many requests are written down; None for all.
    """

    def __init__(
        self,
        maker: Maker,
        tasks: TaskEngine,
        accounts: Accounts,
        faults: Faults,
        services: Services,
        *,
        keep_requests: int | None,
    ) -> None:
        self.requests: list[Request] = []
        self.executed: list[Request] = []
        self._maker = maker
        self._store = maker.store
        self._tasks = tasks
        self._accounts = accounts
        self._faults = faults
        self._clock = maker.clock
        self._keep_requests = keep_requests
        self.services = services
        self._ids = Ids(0)  # of the requests, so that these do not change those of resources
        self._closing = anyio.Event()

    def close(self) -> None:
        """Let go of the requests that are held up."""
        self._closing.set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, properly or as the faults want it."""
        most = max(self.services.uploads.chunk_size, LARGEST_CHUNK)
        try:
            recorded, content = await take_in(request, most)
        except ConnectionError:  # whoever sent it has hung up meanwhile
            return web.Response(status=400)
        request_log.note(self.requests, recorded, self._keep_requests)
        operation = recorded.path
        await self._hold_up(self._faults.delay_of(operation))
        self._clock.advance(self._clock.per_request)
        with self._store.lock:
            self._tasks.advance()
            self.services.advance()
            self._store.report()
        fault = self._faults.next(operation)
        answer = Reply(b"")
        if fault is None or fault.executed:
            answer = await self._answer(request, recorded, content)
            if answer.status < 400:
                request_log.note(self.executed, recorded, self._keep_requests)
        content = b""  # a request that hangs must not keep it
        if fault is not None and fault.kind == "answer":
            answer = _faulty(request, fault)
        headers = {"x-tower-request-id": self._ids.uuid(), **dict(answer.headers)}
        response = web.Response(
            body=answer.body,
            status=answer.status,
            content_type=answer.content_type,
            headers=headers,
        )
        if fault is not None and fault.kind == "slow":
            await self._hold_up(fault.seconds)
        elif fault is not None and fault.kind != "answer":
            await self._break(request, fault, response)
        return response

    async def _hold_up(self, seconds: float) -> None:
        if seconds:
            with anyio.move_on_after(seconds):  # or until the simulator stops
                await self._closing.wait()

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

    async def _answer(self, request: web.BaseRequest, recorded: Request, content: bytes) -> Reply:
        language = request.headers.get("content-language", LANGUAGES[0])
        asked = Asked(
            recorded,
            content,
            request.query,
            language,
            self._accounts.user_of(request.headers.get("authorization", "")) or "",
            self._maker,
            self._tasks,
            self._accounts,
            self.services,
        )
        try:
            with self._store.lock:  # what a request does is one step
                answer = self._dispatch(request.path, asked)
                self._store.report()
        except QueryError as exc:
            return _error(request, 400, str(exc))
        except RecursionError:
            return _error(request, 400, "the body is nested too deeply")
        except NothingMatchesError as exc:
            empty = self._maker.behavior.nothing_matches == "empty"
            if empty and schema.answers_list(recorded.path):
                return Reply(b"[]")
            return _error(request, exc.status, exc.message)
        except RefusedError as exc:
            return _error(request, exc.status, exc.message, code=exc.code, props=exc.props)
        if isinstance(answer, Found):
            return await self._rendered(answer, language)
        return answer if isinstance(answer, Reply) else Reply(encode(answer))

    def _dispatch(self, path: str, asked: Asked) -> object:
        if path == "/api/healthz":
            return Reply(b"ok", content_type="text/plain")
        if path in {"/api", "/api/"}:
            return graphql.answer(asked)
        operation = asked.request.path
        if f"/{operation}" not in OPERATIONS or not path.startswith(API_ROOT):
            raise RefusedError(404, f"no operation has the path {path}")
        behavior = self._maker.behavior
        if is_older(behavior.version, operation_at(f"/{operation}").since):
            raise RefusedError(404, f"{behavior.version} has no operation {operation}")
        if not asked.user and operation_at(f"/{operation}").auth is Auth.TOKEN:
            raise RefusedError(401, "the token is missing or not valid")
        languages = (*LANGUAGES, EVERY_LANGUAGE) if behavior.every_language else LANGUAGES
        if asked.language not in languages:
            raise RefusedError(400, f"content-language: {asked.language} is none of {languages}")
        answer = routes.find(operation)
        if answer is None:
            raise RefusedError(501, f"the simulator does not model {operation}")
        return answer(asked)

    async def _rendered(self, found: Found, language: str) -> Reply:
        parts: list[bytes] = []
        for start in range(0, len(found.documents), _AT_ONCE):
            if start:
                await anyio.lowlevel.checkpoint()
            some = found.documents[start : start + _AT_ONCE]
            shown = [
                self._maker.behavior.shown(self._store.render(found.resource, document, language))
                for document in some
            ]
            parts.append(encode(shown)[1:-1])
        return Reply(b"[" + b",".join(parts) + b"]")


def _error(
    request: web.BaseRequest,
    status: int,
    message: str,
    *,
    code: str | None = None,
    props: object = None,
) -> Reply:
    path = f"/{request.path.removeprefix(API_ROOT).removeprefix('/')}"
    body: dict[str, object] = {"message": message, "status": status, "path": path}
    if code is not None:
        body["code"] = code
    if props is not None:
        body["props"] = props
    return Reply(encode(body), status)


def _faulty(request: web.BaseRequest, fault: Fault) -> Reply:
    if fault.body is None:
        answer = _error(request, fault.status, f"the simulator was told to answer {fault.status}")
        return Reply(answer.body, fault.status, headers=fault.headers)
    return Reply(fault.body, fault.status, fault.content_type, fault.headers)
