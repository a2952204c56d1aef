"""One HTTP exchange with the server: send a request, read the response, and explain failures."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import anyio
import anyio.to_thread
from yarl import URL

from .._version import __version__
from ..addresses import API_PATH
from ..errors import (
    CallError,
    InvalidInput,
    InvalidSettings,
    ResponseDecodeError,
    SessionClosed,
)
from ..retry.backoff import retry_after
from ..validators import check_option, instance_fault
from .connection_errors import connection_error
from .exchange_log import Sent, recordings, watch
from .proxy import about_proxy, credential, find_proxies, go_through
from .redaction import CREDENTIAL_HEADER, Mask
from .request import (
    REPEATED_METHODS,
    CheckedRequest,
    StaleConnection,
    Unwatched,
    request_content,
    send_once,
    watch_body,
)
from .response_bodies import SMALL_BODY, read_body
from .responses import OTHER_SERVICE, Answer, looks_like_html, status_error
from .sessions import Counts
from .timeouts import SessionScope, closed_during
from .tls import TLS
from .tracebacks import HookError

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Mapping, Sequence

    from ..addresses import Proxy
    from ..options import Settings
    from .request import SendState

_log = logging.getLogger("cloudtower_async")

LOGIN = "user.login"
FIND_ACTIVE = "find_active"
PING = "ping"
_SMALL_ANSWERS = frozenset({LOGIN, FIND_ACTIVE, PING})  # a wrong server may send a large answer
_CLOSE_SECONDS = 5.0  # maximum seconds for closing TLS connections


class Transport(SessionScope):
    """HTTP transport, which sends requests to the server over a pool of connections.

    The pool is created at first use, because it belongs to the event loop that runs at that time.
    An aiohttp session or connector that is passed as an argument is not closed by the transport.

    Args:
        settings: The session's options.
        session: An aiohttp session to use. None creates a session.
        connector: An aiohttp connector to use. None creates a connector.
        trace_configs: Trace configurations for aiohttp.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        session: aiohttp.ClientSession | None = None,
        connector: aiohttp.BaseConnector | None = None,
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        super().__init__()
        if session is not None:
            check_option("session", instance_fault(session, aiohttp.ClientSession))
        if connector is not None:
            check_option("connector", instance_fault(connector, aiohttp.BaseConnector))
        # None means the default, as for all other options.
        trace_configs = trace_configs or ()
        if not isinstance(cast("object", trace_configs), Iterable):
            check_option("trace_configs", instance_fault(trace_configs, list))
        self._trace_configs = list(trace_configs)
        for config in self._trace_configs:
            check_option("trace_configs", instance_fault(config, aiohttp.TraceConfig))
        if session is not None and (connector is not None or trace_configs):
            raise InvalidSettings(
                "session: it has its own connector and trace_configs; pass those to the session",
                option="session",
            )
        if session is not None and session.auth is not None:
            raise InvalidSettings(
                "session: it has its own credentials, which would replace the token; "
                "create the aiohttp session without credentials",
                option="session",
            )
        self.settings = settings
        self.mask: Mask = Mask(settings.token)
        self.mask.add_password(settings.password)
        for value in secret_values(settings.headers or {}):
            self.mask.add(value)
        self.owns_pool: bool = session is None and connector is None
        self.counts: Counts = Counts()
        self.server_version: str | None = None  # None until the version is known
        self.asking_version: anyio.Lock = anyio.Lock()
        self._given = session
        self._connector = connector
        self._session: aiohttp.ClientSession | None = None
        self._opening = anyio.Lock()
        self._tls = TLS(settings)
        self._proxies: dict[str, Proxy] = {}  # by address of the server
        self._max_response_bytes = settings.max_response_bytes
        # There is no total time-out, because callers limit the time of the whole call. The call
        # includes the login and the wait for a connection.
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
        # A session of the caller does not have these headers, so each request has to send them.
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
        state: SendState | None = None,
    ) -> Coroutine[Any, Any, Answer]:
        """Send a request, and return the response after reading its whole body.

        Callers have to set a time limit with `TimeLimit` or `until_closed`. The stack frames of a
        raised error hold credentials. Pass the error to `without_frames` before you raise it again.

        Args:
            operation: Name of the operation, for error messages.
            method: HTTP method.
            endpoint: Root address of the server.
            headers: Headers to send in addition to the session's headers.
            path: Path below the root address.
            body: Body, encoded as JSON.
            query: Parameters of the query string.
            fields: Fields of a multipart form.
            token: Token to send as the credential.
            not_modified: Whether status 304 counts as a success.
            attempt: Number of the attempt within the call, starting at 1.
            state: Object whose ``sent`` is set when the server may have received the request.

        Raises:
            CallError: No response arrived, or the response has an error status.
            HookError: A client middleware or trace hook of aiohttp raised an exception during a
                login or a request with `state`. In other requests, the exception itself is raised.
            InvalidInput: The arguments cannot be sent.
            SessionClosed: The session was closed before or during the call.
        """
        sent = None
        if recordings.get() or _log.isEnabledFor(logging.INFO):
            content = query or fields if body is None else body
            secret = is_confidential(operation, path)
            is_login = operation == LOGIN
            sent = Sent(operation, endpoint, attempt, content, secret, is_login, self.mask)
        sending = self._exchange(
            operation,
            method,
            endpoint,
            headers,
            path,
            body,
            query,
            fields,
            token,
            not_modified,
            state or Unwatched(),
            sent,
        )
        return sending if sent is None else watch(sending, sent)

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
        state: SendState,
        sent: Sent | None,
    ) -> Answer:
        session = self._session
        if session is None or session.closed:
            session = await self.open()
        if self._tls.reloads:
            await self._tls.refresh()
        options = request_content(operation, method, body, query, fields, state)
        headers = {**self._more_headers, **headers}
        if self._given is not None:
            _fit_to_given(session, options, headers, state)
        if method in REPEATED_METHODS:
            options["middlewares"] = (send_once(state), *options.get("middlewares", ()))
        if token is not None:
            headers["authorization"] = token
        if self._proxies:
            go_through(self._proxies.get(endpoint), endpoint, options, headers)
        while True:
            try:
                # `async with` would be slower. It is not needed, because `read` leaves nothing
                # open, even if it fails or is cancelled.
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
                status = response.status
                small = not 200 <= status < 300 or operation in _SMALL_ANSWERS
                limit = SMALL_BODY if small else self._max_response_bytes
                if response.content.is_eof():  # the whole body has arrived
                    # No coroutine is needed to read a body that has already arrived, unless hooks
                    # observe the body or a middleware has already read it.
                    if self._given is None and not session.trace_configs:
                        content = response.content.read_nowait()
                    else:
                        content = await response.read()
                    too_large = len(content) > limit
                else:
                    content, too_large = await read_body(response, limit)
            except StaleConnection as exc:
                if exc.reused:
                    continue  # nothing was sent; try another connection
                raise self._explain(exc, operation, endpoint, sent=False) from exc
            except (aiohttp.ClientError, OSError) as exc:
                left = state.sent if "data" in options else None
                raise self._explain(exc, operation, endpoint, sent=left) from exc
            except Exception as exc:
                if isinstance(state, Unwatched) and operation != LOGIN:
                    raise  # such a request holds no credentials
                raise HookError from exc
            break
        request_id = response.headers.get("x-tower-request-id")
        state.status, state.request_id = status, request_id
        if sent is not None:
            sent.answer = Answer(status, content, request_id, response.headers)
        if not 200 <= status < 300 and not (status == 304 and not_modified):
            error = status_error(
                status,
                content[:SMALL_BODY],
                operation=operation,
                endpoint=endpoint,
                request_id=request_id,
                retry_after=retry_after(response.headers.get("retry-after"), datetime.now(UTC)),
                mask=self.mask,
                pair=len(self.settings.endpoints) > 1,
                location=response.headers.get("location"),
            )
            proxy = self._proxies.get(endpoint)
            raise error if proxy is None else about_proxy(error, proxy)
        if too_large and not looks_like_html(content):
            raise ResponseDecodeError(
                f"the answer is larger than {limit:,} bytes",
                operation=operation,
                endpoint=endpoint,
                status=status,
                request_id=request_id,
                hint=OTHER_SERVICE if small else _ASK_FOR_LESS,
            )
        return Answer(status, content, request_id, response.headers)

    async def close(self) -> None:
        """Close the connections. Calls in progress raise SessionClosed.

        Repeated calls are harmless.

        Raises:
            SessionClosed: The session belongs to another event loop that is not closed. The session
                stays open.
            CloudtowerError: No asyncio event loop is running.
        """
        self.check_closable()
        self.closed = True
        if self.loop is None:  # the session was never used
            return
        # End all requests here. aiohttp would not end requests over the caller's session, and it
        # would cancel tasks that wait for a connection.
        self.end_blocks()
        session, self._session = self._session, None
        self.connected: bool = False
        if session is not None and session is not self._given:
            # The shield is needed, because a session is often closed during a cancellation. The
            # shielded block has a time limit.
            with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
                await session.close()

    async def open(self) -> aiohttp.ClientSession:
        """Return the aiohttp session. The first call of this method creates the session.

        Connections are opened later, when requests need them.

        Raises:
            InvalidSettings: A certificate or key file is missing or invalid.
            SessionClosed: The session is closed, or belongs to another event loop.
        """
        self.running_loop()
        async with self._opening:
            self._check_usable()
            if self._session is None:
                await anyio.to_thread.run_sync(self._tls.load)
                await self._find_proxies()
                self._check_usable()  # the session may have been closed in the meantime
                self._session = self._given or self._make_session()
                self.connected = True
            return self._session

    def connections(self) -> tuple[int, int, int]:
        """Return three numbers: used connections, idle connections, and allowed connections.

        0 allowed connections means that the number is not limited.
        """
        pool = self._session.connector if self._session is not None else None
        if pool is None:
            return 0, 0, self.settings.max_connections if self.owns_pool else 0
        # aiohttp has no public API for these numbers.
        used: Collection[object] = getattr(pool, "_acquired", ())
        idle: dict[object, Collection[object]] = getattr(pool, "_conns", {})
        return len(used), sum(map(len, list(idle.values()))), pool.limit

    def proxy_of(self, endpoint: str) -> str | None:
        """Return the address of the proxy for requests to a server, or None if no proxy is used."""
        proxy = self._proxies.get(endpoint)
        return proxy and proxy.address

    async def _find_proxies(self) -> None:
        self._proxies = await anyio.to_thread.run_sync(find_proxies, self.settings)
        for proxy in self._proxies.values():
            sent = credential(proxy)
            self.mask.add_password(proxy.password)
            self.mask.add(sent)
            self.mask.add(sent and sent.removeprefix("Basic "))
        if self._proxies:
            # Send these headers with each request. As default headers of the aiohttp session, they
            # would also be sent to the proxy, unencrypted.
            self._more_headers = self._headers

    def _is_closed(self) -> bool:
        session = self._session or self._given
        return self.closed or (session is not None and session.closed)

    def _check_usable(self) -> None:
        if self._is_closed():
            raise SessionClosed

    def _make_session(self) -> aiohttp.ClientSession:
        # Logins and health checks need additional connections while calls use all other
        # connections.
        connections = self.settings.max_connections + 1 + len(self.settings.endpoints)
        if len(self.settings.endpoints) > 1:
            connections += len(self.settings.endpoints)  # one for the health check of each node
        return aiohttp.ClientSession(
            connector=self._connector or aiohttp.TCPConnector(limit=connections),
            connector_owner=self._connector is None,
            headers=None if self._more_headers else self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=self._trace_configs,
            request_class=CheckedRequest,
        )

    def _explain(
        self, exc: Exception, operation: str, endpoint: str, *, sent: bool | None
    ) -> Exception:
        if self._is_closed():
            return closed_during(operation)
        if isinstance(exc, aiohttp.InvalidURL):
            return InvalidInput(f"{operation}: the request cannot be sent: {exc}")
        # An aiohttp session of the caller may have a proxy of its own.
        direct = self._given is None and not self.settings.trust_env
        proxy = self._proxies.get(endpoint)
        error: CallError = connection_error(
            exc, endpoint, self.settings, proxy, direct=direct, sent=sent
        )
        error.operation = operation
        return error


def secret_values(headers: Mapping[str, str]) -> list[str]:
    """Return the values of all headers that hold credentials."""
    return [value for name, value in headers.items() if CREDENTIAL_HEADER.search(name)]


def _fit_to_given(
    session: aiohttp.ClientSession,
    options: dict[str, Any],
    headers: dict[str, str],
    state: SendState,
) -> None:
    """Adapt the headers and middlewares of a request to an aiohttp session of the caller."""
    if "data" in options:
        headers.setdefault("content-type", options["data"].content_type)
    # aiohttp has no public API for the middlewares of a session.
    middlewares: Sequence[aiohttp.ClientMiddlewareType] | None
    middlewares = getattr(session, "_middlewares", None)
    if middlewares is None:
        state.sent = True
    elif middlewares:
        options["middlewares"] = (*middlewares, watch_body(state))


@lru_cache(maxsize=1024)
def _url(address: str) -> URL | str:
    """Return the parsed address, or the address itself if it cannot be parsed."""
    try:
        return URL(address)
    except ValueError:
        return address  # aiohttp reports what is wrong with the address


def is_confidential(operation: str, path: str) -> bool:
    """Return whether a request and its response must be kept out of logs.

    Logins are confidential. Calls outside the API schema, such as GraphQL, are confidential, too,
    because their responses may hold keys and tickets in fields of any name.
    """
    return operation == LOGIN or not path.startswith(API_PATH)


_ASK_FOR_LESS = (
    "Ask for less at a time (first= or page_size=, a narrower where=), "
    "or pass a larger max_response_bytes=."
)
