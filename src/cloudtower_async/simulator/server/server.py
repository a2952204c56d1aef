"""Request handler of the HTTP server: it executes requests and injects faults."""

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
from ..http_errors import BadRequestError, HttpError, NoMatchError
from ..store import schema
from ..store.ids import Ids
from ..store.store import EVERY_LANGUAGE, LANGUAGES
from . import graphql, routes
from .context import JSON, DocumentList, RequestContext, Response
from .javascript import encode
from .request_parser import API_ROOT, MAX_CHUNK, Request, parse_request

if TYPE_CHECKING:
    from ..accounts import Accounts
    from ..factory import Factory
    from ..faults import Fault, Faults
    from ..tasks import TaskEngine
    from .state import ServerState

_AT_ONCE = 250  # number of documents to render without yielding to other requests


class Server:
    """Handler of all requests to the simulator.

    Args:
        factory: Factory whose store contains the resources.
        tasks: Engine for the tasks that mutations start.
        accounts: Passwords, tokens and API keys.
        faults: Faults to inject.
        state: State of the server outside the store.
        keep_requests: Number of requests to record. With None, all requests are recorded.
    """

    def __init__(
        self,
        factory: Factory,
        tasks: TaskEngine,
        accounts: Accounts,
        faults: Faults,
        state: ServerState,
        *,
        keep_requests: int | None,
    ) -> None:
        self.requests: list[Request] = []
        self.executed: list[Request] = []
        self._factory = factory
        self._store = factory.store
        self._tasks = tasks
        self._accounts = accounts
        self._faults = faults
        self._clock = factory.clock
        self._keep_requests = keep_requests
        self.state = state
        # Request ids come from a separate generator. Thus the ids of resources do not depend on
        # the number of requests.
        self._ids = Ids(0)
        self._closing = anyio.Event()

    def close(self) -> None:
        """End all hanging and delayed requests."""
        self._closing.set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Execute a request, and return the response.

        The request is recorded. If `faults` contains a fault for the request, inject the fault.
        """
        most = max(self.state.uploads.chunk_size, MAX_CHUNK)
        try:
            recorded, content = await parse_request(request, most)
        except ConnectionError:  # the client has already closed the connection
            return web.Response(status=400)
        request_log.append_bounded(self.requests, recorded, self._keep_requests)
        operation = recorded.path
        await self._hold_up(self._faults.delay_of(operation))
        self._clock.advance(self._clock.per_request)
        with self._store.lock:
            self._tasks.advance()
            self.state.uploads.advance()
            self._store.report()
        fault = self._faults.next(operation)
        answer = Response(b"")
        if fault is None or fault.executed:
            answer = await self._answer(request, recorded, content)
            if answer.status < 400:
                request_log.append_bounded(self.executed, recorded, self._keep_requests)
        content = b""  # free the memory: the request may hang
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
            with anyio.move_on_after(seconds):  # ends early if the simulator stops
                await self._closing.wait()

    async def _break(self, request: web.BaseRequest, fault: Fault, response: web.Response) -> None:
        """Inject a fault that breaks the connection."""
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

    async def _answer(
        self, request: web.BaseRequest, recorded: Request, content: bytes
    ) -> Response:
        language = request.headers.get("content-language", LANGUAGES[0])
        context = RequestContext(
            recorded,
            content,
            request.query,
            language,
            self._accounts.user_of(request.headers.get("authorization", "")) or "",
            self._factory,
            self._tasks,
            self._accounts,
            self.state,
        )
        try:
            with self._store.lock:  # each request is atomic
                answer = self._dispatch(request.path, context)
                self._store.report()
        except BadRequestError as exc:
            return _error(request, 400, str(exc))
        except RecursionError:
            return _error(request, 400, "the body is nested too deeply")
        except NoMatchError as exc:
            empty = self._factory.behavior.nothing_matches == "empty"
            if empty and schema.answers_list(recorded.path):
                return Response(b"[]")
            return _error(request, exc.status, exc.message)
        except HttpError as exc:
            return _error(request, exc.status, exc.message, code=exc.code, props=exc.props)
        if isinstance(answer, DocumentList):
            return await self._rendered(answer, language)
        return answer if isinstance(answer, Response) else Response(encode(answer))

    def _dispatch(self, path: str, context: RequestContext) -> object:
        if path == "/api/healthz":
            return Response(b"ok", content_type="text/plain")
        if path in {"/api", "/api/"}:
            return graphql.answer(context)
        operation = context.request.path
        if f"/{operation}" not in OPERATIONS or not path.startswith(API_ROOT):
            raise HttpError(404, f"no operation has the path {path}")
        behavior = self._factory.behavior
        if is_older(behavior.version, operation_at(f"/{operation}").since):
            raise HttpError(404, f"{behavior.version} has no operation {operation}")
        if not context.user and operation_at(f"/{operation}").auth is Auth.TOKEN:
            raise HttpError(401, "the token is missing or not valid")
        languages = (*LANGUAGES, EVERY_LANGUAGE) if behavior.every_language else LANGUAGES
        if context.language not in languages:
            raise HttpError(400, f"content-language: {context.language} is none of {languages}")
        answer = routes.find_handler(operation)
        if answer is None:
            raise HttpError(501, f"the simulator does not model {operation}")
        return answer(context)

    async def _rendered(self, found: DocumentList, language: str) -> Response:
        parts: list[bytes] = []
        for start in range(0, len(found.documents), _AT_ONCE):
            if start:
                await anyio.lowlevel.checkpoint()
            some = found.documents[start : start + _AT_ONCE]
            shown = [
                self._factory.behavior.shown(self._store.render(found.resource, document, language))
                for document in some
            ]
            parts.append(encode(shown)[1:-1])
        return Response(b"[" + b",".join(parts) + b"]")


def _error(
    request: web.BaseRequest,
    status: int,
    message: str,
    *,
    code: str | None = None,
    props: object = None,
) -> Response:
    path = f"/{request.path.removeprefix(API_ROOT).removeprefix('/')}"
    body: dict[str, object] = {"message": message, "status": status, "path": path}
    if code is not None:
        body["code"] = code
    if props is not None:
        body["props"] = props
    return Response(encode(body), status)


def _faulty(request: web.BaseRequest, fault: Fault) -> Response:
    if fault.body is None:
        answer = _error(request, fault.status, f"the simulator was told to answer {fault.status}")
        return Response(answer.body, fault.status, headers=fault.headers)
    return Response(fault.body, fault.status, fault.content_type, fault.headers)
