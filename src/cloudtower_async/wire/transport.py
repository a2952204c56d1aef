"""One exchange with the server: a request out, bytes in; what goes wrong becomes our errors."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import anyio.to_thread
import msgspec
from aiohttp import BytesPayload
from yarl import URL

from .._version import __version__
from ..addresses import API_PATH
from ..errors import CallError, InvalidInput, InvalidSettings, SessionClosed
from ..retry.backoff import retry_after
from ..types import CODEC_ERRORS
from . import telemetry
from .deadlines import Deadlines
from .failures import connection_error
from .forms import form, text
from .masking import Mask
from .proxies import about_proxy, credential, find_proxies, go_through
from .statuses import status_error
from .tls import TLS

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from ..addresses import Proxy
    from ..settings import Settings

LOGIN = "user.login"
_CREDENTIAL = re.compile("key|token|secret|auth|cookie|passw|credential")  # of a header's name
_LARGE = 2**20  # bytes; above, aiohttp wants a body that it can send in pieces
_CLOSE_SECONDS = 5.0  # for TLS connections to say goodbye


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What came back: a success, or 304."""

    status: int
    body: bytes
    request_id: str | None


class Transport:
    """Sends requests to one server over a pool of connections.

    The pool is made at first use, in the event loop that uses it. What is handed in stays the
    caller's to close.

    Args:
        settings: The session's options.
        session: Use this one and its pool instead of our own.
        connector: Use this pool.
        trace_configs: Passed to aiohttp.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        session: aiohttp.ClientSession | None = None,
        connector: aiohttp.BaseConnector | None = None,
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        _check_kind("session", session, aiohttp.ClientSession)
        _check_kind("connector", connector, aiohttp.BaseConnector)
        given: object = trace_configs
        if not isinstance(given, Iterable):
            _check_kind("trace_configs", given, list)
        self._trace_configs = list(trace_configs)
        for config in self._trace_configs:
            _check_kind("trace_configs", config, aiohttp.TraceConfig)
        if session is not None and (connector is not None or trace_configs):
            raise InvalidSettings(
                "session: it brings its own connector and trace_configs; pass them when making it",
                option="session",
            )
        self.settings = settings
        self.mask: Mask = Mask(settings.password, settings.token)
        for name, value in (settings.headers or {}).items():
            if _CREDENTIAL.search(name):
                self.mask.add(value)
        self.closed: bool = False
        self.owns_pool: bool = session is None and connector is None
        # What `close` has to end: calls, and scopes of other waits. aiohttp leaves those alone that
        # use what was handed in, and cancels the tasks of those that wait for a connection.
        self.deadlines: Deadlines = Deadlines()
        self.under_way: set[anyio.CancelScope] = set()
        self.server_version: str | None = None  # once it was asked for
        self.asking_version: anyio.Lock = anyio.Lock()
        self._given = session
        self._connector = connector
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening = anyio.Lock()
        self._tls = TLS(settings)
        self._proxies: dict[str, Proxy] = {}  # by endpoint
        # The whole call is timed where it begins, as logging in and waiting for a connection of
        # the pool are parts of it.
        self._timeout = aiohttp.ClientTimeout(
            total=None,
            sock_connect=settings.connect_timeout,
            sock_read=settings.read_timeout,
        )
        self._headers = {
            "accept": "application/json",
            "user-agent": f"cloudtower-async/{__version__}",
            **(settings.headers or {}),
        }
        # Those of our own session go with it. One that was handed in has its own.
        self._more_headers = {} if session is None else self._headers

    def exchange(
        self,
        operation: str,
        method: str,
        endpoint: str,
        headers: Mapping[str, str],
        *,
        path: str = "",
        body: bytes | None = None,
        query: Mapping[str, object] | None = None,
        fields: Mapping[str, object] | None = None,
        token: str | None = None,
        not_modified: bool = False,
        attempt: int = 1,
    ) -> Coroutine[Any, Any, Answer]:
        """Send a request and read the whole answer.

        Callers set a time limit, kept in `deadlines` or `under_way`, and raise the errors
        `without_frames`, as the frames from here on hold the credentials.

        Args:
            operation: For errors: what this is about.
            method: HTTP method.
            endpoint: Root address of the server that is asked.
            headers: In addition to those of every request.
            path: Where to, below the root address.
            body: JSON.
            query: Query string.
            fields: Fields of a multipart form.
            token: Sent as the credential.
            not_modified: Status 304 is an answer, not an error.
            attempt: Which sending of its call it is.

        Raises:
            CallError: No answer, or one with an error status.
            InvalidInput: The arguments cannot be sent.
            SessionClosed: Before or meanwhile.
        """
        sending = self._exchange(
            operation, method, endpoint, headers, path, body, query, fields, token, not_modified
        )
        if not telemetry.watched():
            return sending
        content = query or fields if body is None else body
        secret = _is_confidential(operation, path)
        sent = telemetry.Sent(operation, endpoint, attempt, content, secret, self.mask)
        return telemetry.watch(sending, sent)

    async def _exchange(
        self,
        operation: str,
        method: str,
        endpoint: str,
        headers: Mapping[str, str],
        path: str,
        body: bytes | None,
        query: Mapping[str, object] | None,
        fields: Mapping[str, object] | None,
        token: str | None,
        not_modified: bool,
    ) -> Answer:
        session = self._session
        if session is None or session.closed or self._loop is not asyncio.get_running_loop():
            session = await self.open()
        if self._tls.reloads:
            await self._tls.refresh()
        options, content_type = _content(operation, body, query, fields)
        headers = {**self._more_headers, **content_type, **headers}
        if token is not None:
            headers["authorization"] = token
        if self._proxies:
            go_through(self._proxies.get(endpoint), endpoint, options, headers)
        try:
            # Not `async with`, which would cost as much as all the rest of this: `read` leaves
            # nothing open, whether it comes to the end, fails or is cancelled.
            response = await session.request(
                method,
                _url(endpoint + path),
                headers=headers,
                allow_redirects=False,
                raise_for_status=False,
                timeout=self._timeout,
                ssl=self._tls.context,
                **options,
            )
            content = await response.read()
        except (aiohttp.ClientError, OSError) as exc:
            raise self._explain(exc, operation, endpoint) from exc
        status, request_id = response.status, response.headers.get("x-tower-request-id")
        if status >= 300 and not (status == 304 and not_modified):
            error = status_error(
                status,
                content,
                operation=operation,
                endpoint=endpoint,
                request_id=request_id,
                retry_after=retry_after(response.headers.get("retry-after"), datetime.now(UTC)),
                mask=self.mask,
                pair=len(self.settings.endpoints) > 1,
            )
            raise about_proxy(error, self._proxies.get(endpoint))
        return Answer(status, content, request_id)

    async def close(self) -> None:
        """Close the connections. Calls under way end with SessionClosed. Safe to repeat."""
        self.closed = True
        for scope in tuple(self.under_way):
            scope.cancel()
        self.deadlines.end_all()
        session, self._session = self._session, None
        if session is not None and session is not self._given:
            # Shielded, as a session is often closed because of a cancellation; and bounded.
            with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
                await session.close()

    async def open(self) -> aiohttp.ClientSession:
        """Make the pool, unless there is one. Connections are made when calls need them.

        Raises:
            InvalidSettings: A file for TLS cannot be used.
            SessionClosed: It is closed, or belongs to another event loop.
        """
        async with self._opening:
            self._check_usable()
            if self._session is None:
                await anyio.to_thread.run_sync(self._tls.load)
                await self._find_proxies()
                self._check_usable()  # it may have been closed meanwhile
                self._loop = asyncio.get_running_loop()
                self._session = self._given or self._make_session()
            return self._session

    def proxy_of(self, endpoint: str) -> str | None:
        """Return the address of the proxy on the way to a server; None if there is none."""
        proxy = self._proxies.get(endpoint)
        return proxy and proxy.address

    async def _find_proxies(self) -> None:
        self._proxies = await anyio.to_thread.run_sync(find_proxies, self.settings)
        for proxy in self._proxies.values():
            sent = credential(proxy)
            for secret in (proxy.password, sent, sent and sent.removeprefix("Basic ")):
                self.mask.add(secret)
        if self._proxies:
            # Those of the session would also go to the proxy, in clear.
            self._more_headers = self._headers

    def _is_closed(self) -> bool:
        session = self._session or self._given
        return self.closed or (session is not None and session.closed)

    def _check_usable(self) -> None:
        if self._is_closed():
            raise SessionClosed
        if self._loop not in (None, asyncio.get_running_loop()):
            raise SessionClosed(
                "the session belongs to another event loop; make one inside each asyncio.run()"
            )

    def _make_session(self) -> aiohttp.ClientSession:
        connections = self.settings.max_connections
        if len(self.settings.endpoints) > 1:
            # Room to ask each which one is active, and to log in, whatever calls are under way.
            connections += len(self.settings.endpoints) + 1
        return aiohttp.ClientSession(
            connector=self._connector or aiohttp.TCPConnector(limit=connections),
            connector_owner=self._connector is None,
            headers=None if self._more_headers else self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=self._trace_configs,
        )

    def _explain(self, exc: Exception, operation: str, endpoint: str) -> Exception:
        if self._is_closed():
            return closed_during(operation)
        if isinstance(exc, aiohttp.InvalidURL):
            return InvalidInput(f"{operation}: the request cannot be sent: {exc}")
        # A session that was handed in may know a proxy of its own.
        direct = self._given is None and not self.settings.trust_env
        proxy = self._proxies.get(endpoint)
        error: CallError = connection_error(exc, endpoint, self.settings, proxy, direct=direct)
        error.operation = operation
        return error


def _check_kind(option: str, value: object, kind: type) -> None:
    if value is not None and not isinstance(value, kind):
        raise InvalidSettings(
            f"{option}: expected a {kind.__qualname__}, got {type(value).__name__}", option=option
        )


@lru_cache(maxsize=1024)
def _url(address: str) -> URL | str:
    """The address, parsed once instead of for each call."""
    try:
        return URL(address)
    except ValueError:
        return address  # aiohttp says what is wrong with it


def closed_during(operation: str) -> SessionClosed:
    """Make the error of a call that `close` has ended."""
    return SessionClosed(f"{operation}: the session was closed during the call")


def _is_confidential(operation: str, path: str) -> bool:
    # Beside the API there is GraphQL, whose answers spell out keys and tickets under any name.
    return operation == LOGIN or not path.startswith(API_PATH)


_JSON = {"content-type": "application/json"}
_NO_TYPE: dict[str, str] = {}


def _content(
    operation: str,
    body: bytes | None,
    query: Mapping[str, object] | None,
    fields: Mapping[str, object] | None,
) -> tuple[dict[str, Any], dict[str, str]]:
    if body is not None:
        return {"data": BytesPayload(body) if len(body) <= _LARGE else io.BytesIO(body)}, _JSON
    try:
        if fields is not None:
            return {"data": form(fields)}, _NO_TYPE
        if query:
            # A query string knows no null.
            given = {name: text(value) for name, value in query.items() if value is not None}
            return {"params": given}, _NO_TYPE
    except (TypeError, *CODEC_ERRORS) as exc:
        raise InvalidInput(f"{operation}: the arguments cannot be sent: {exc}") from exc
    return {}, _NO_TYPE
