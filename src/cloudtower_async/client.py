"""The session: one connection to one CloudTower, and everything that can be asked of it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, NoReturn, cast

import anyio.to_thread

from .api import Namespaces
from .calls.direct import Direct
from .calls.executor import Executor
from .calls.operation import Operation
from .errors import CloudtowerError, InvalidInput
from .graphql.consoles import GraphQL
from .mixins.following import Following
from .mixins.measuring import Measuring
from .mixins.reading import Reading
from .mixins.uploading import Uploading
from .mixins.working import Working
from .options import (
    Settings,
    check_option,
    choice_fault,
    from_environment,
    lock_timeout_fault,
    reveal,
    reveal_pair,
)
from .session_state import SessionState
from .spelling import did_you_mean
from .transport.auth import Authenticator
from .transport.http import Transport
from .types import ContentLanguage
from .validators import check_seconds, seconds_fault

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self, Unpack

    import aiohttp

    from .options import ClientCert, Credentials, Failover, FromEnv, SecretText, Source, StrPath
    from .retry.policy import RetryPolicy


class Cloudtower(Namespaces, Reading, Working, Following, Measuring, GraphQL, Uploading, Direct):
    """A session with a CloudTower.

    Each namespace of the API is an attribute: ``tower.vm``, ``tower.cluster``, … The session logs
    in when it is entered, or at the first call; any number of tasks may use it at once.

    Args:
        endpoint: Address of the server: ``https://tower.example``. Without a scheme it is https;
            ``/v2/api`` at the end may be there or not. Of an active/passive pair a list of both:
            calls go to the active one.
        failover: When to look which one of a pair is active: ``auto``: at first, and when one turns
            a call away or is not reached; ``manual``: at first, then only by `find_active`;
            ``always``: before every request.

        username: Name to log in with.
        password: Password to log in with. Each password and token may be a ``SecretStr`` of
            pydantic.
        source: Where the user is kept: LOCAL, or LDAP for a directory.
        token: A token or an API key; there is no login then.
        credentials: Called at each login instead, such as to ask a vault: an async function that
            returns a token, or a user name and a password.
        auth_config_id: Which authentication strategy, where the server has several.
        change_feed: User name and password of the change feed, which has its own.

        content_language: Language of texts in answers; each call can choose another.
        strict: Raise ResponseDecodeError for an answer that breaks the API schema anywhere,
            instead of keeping what is right.
        validate: Refuse arguments that the API schema does not have before they are sent. False for
            a server that is newer than this package.
        headers: Sent with every request.

        timeout: Seconds for a whole call: logging in, sending, where need be more than once, and
            the last byte of the answer; each call can choose another.
        connect_timeout: Seconds to make a connection.
        read_timeout: Seconds without a byte from the server; None: as long as ``timeout`` lets it.
        lock_timeout: Seconds to wait for locked resources, besides ``timeout``; 0: raise at once.
        retry: How often and when a call is sent again where that is safe; None: as `RetryPolicy`
            does by default.
        max_connections: Most connections at a time; further calls wait for one.
        max_in_flight: Most requests at a time; None: as many as connections.
        rate_limit: Most requests a second, on average; None: any number.
        max_response_bytes: Maximum size of an answer in bytes, after decompression. Error bodies,
            logins and HTML pages have a fixed limit of 1 MiB.

        verify_tls: Check the server's certificate. False trusts any.
        ca_file: PEM file with the authorities to trust instead of the system's.
        client_cert: PEM file with our certificate and key, or a pair of files.
        ssl_context: Use this instead of the three.

        proxy: Address of an HTTP proxy: ``http://[user:password@]host:port``. It wins over
            ``trust_env``.
        trust_env: Use the proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name. Unlike in aiohttp,
            no .netrc file is read.

        session: Use this aiohttp session. It, as the connector, stays yours to close, and
            max_connections is then its own matter.
        connector: Use this aiohttp connector.
        trace_configs: aiohttp's hooks for tracing.

    Raises:
        InvalidSettings: An option cannot be used; it names which.

    Example:
        ::

            async with Cloudtower("tower.example", username="root", password="…") as tower:
                vms = await tower.vm.get_vms(where={"name_contains": "web"})
    """

    def __init__(
        self,
        endpoint: str | Sequence[str],
        *,
        failover: Failover = "auto",
        # who
        username: str | None = None,
        password: str | SecretText | None = None,
        source: Source = "LOCAL",
        token: str | SecretText | None = None,
        credentials: Credentials | None = None,
        auth_config_id: str | None = None,
        change_feed: tuple[str, str | SecretText] | None = None,
        # what
        content_language: ContentLanguage = "en-US",
        strict: bool = False,
        validate: bool = True,
        headers: Mapping[str, str] | None = None,
        # how long, how many
        timeout: float = 60.0,
        connect_timeout: float = 10.0,
        read_timeout: float | None = None,
        lock_timeout: float = 60.0,
        retry: RetryPolicy | None = None,
        max_connections: int = 100,
        max_in_flight: int | None = None,
        rate_limit: float | None = None,
        max_response_bytes: int = 2**30,
        # TLS
        verify_tls: bool = True,
        ca_file: StrPath | None = None,
        client_cert: ClientCert | None = None,
        ssl_context: ssl.SSLContext | None = None,
        # proxy
        proxy: str | None = None,
        trust_env: bool = False,
        # aiohttp
        session: aiohttp.ClientSession | None = None,
        connector: aiohttp.BaseConnector | None = None,
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        settings = Settings(
            endpoint=endpoint,
            failover=failover,
            username=username,
            password=reveal(password),
            source=source,
            token=reveal(token),
            credentials=credentials,
            auth_config_id=auth_config_id,
            change_feed=reveal_pair(change_feed),
            content_language=content_language,
            strict=strict,
            validate=validate,
            headers=headers,
            timeout=timeout,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            lock_timeout=lock_timeout,
            retry=retry,
            max_connections=max_connections,
            max_in_flight=max_in_flight,
            rate_limit=rate_limit,
            max_response_bytes=max_response_bytes,
            verify_tls=verify_tls,
            ca_file=ca_file,
            client_cert=client_cert,
            ssl_context=ssl_context,
            proxy=proxy,
            trust_env=trust_env,
        )
        transport = Transport(
            settings, session=session, connector=connector, trace_configs=trace_configs
        )
        self._set_up(Executor(transport, Authenticator(transport)), None)

    def _set_up(self, caller: Executor, shared: SessionState | None) -> None:
        self._caller = caller
        self._transport = caller.transport
        self._shared = shared or SessionState(caller)
        self._owner = shared is None  # of the connection, which it then closes
        self._entered = False

    @classmethod
    def from_env(cls, *, profile: str | None = None, **options: Unpack[FromEnv]) -> Self:
        """Make a session from the environment; what is given here wins.

        The variables: CLOUDTOWER_ENDPOINT, CLOUDTOWER_USERNAME, CLOUDTOWER_PASSWORD,
        CLOUDTOWER_SOURCE, CLOUDTOWER_TOKEN, CLOUDTOWER_CONTENT_LANGUAGE, CLOUDTOWER_VERIFY_TLS
        (true or false), CLOUDTOWER_CA_FILE, CLOUDTOWER_PROXY.

        Args:
            profile: Where what is in neither comes from: a name under which ``cloudtower-async
                login`` stored it. Files are read then, and perhaps the keyring. None: that of
                CLOUDTOWER_PROFILE; if that is not set, or with "", none.
            options: As those of `Cloudtower`, the endpoint by keyword too. None: not given.

        Raises:
            InvalidSettings: An option, a variable or the profile cannot be used; it names which.
        """
        settings: dict[str, Any] = from_environment(options, profile)
        return cls(**settings)

    @property
    def endpoint(self) -> str:
        """The server's root address, ``https://host[:port][/prefix]``; the active one of a pair."""
        return self._caller.endpoints.latest

    @property
    def lock_timeout(self) -> float:
        """Maximum number of seconds to wait for locked resources; 0: raise at once."""
        return self._caller.lock_timeout

    async def open(self) -> Self:
        """Connect and log in now instead of at the first call. Safe to repeat.

        Transient failures are retried as those of a query, within the session's ``timeout``.

        Raises:
            LoginFailed: The credentials were refused.
            CallError: The server cannot be reached, or of a pair not exactly one is active.
            SessionClosed: The session is closed.
        """
        await self._transport.open()
        await self._caller.log_in()
        return self

    async def get_token(self) -> str:
        """The token that calls are sent with, such as to keep it; logs in first if need be.

        It is a secret: who has it works as this user, and a server may never let it run out.

        Raises:
            LoginFailed: The credentials were refused.
            CallError: The server cannot be reached.
            SessionClosed: The session is closed.
        """
        return await self._caller.log_in()

    async def find_active(self) -> str:
        """Ask the servers of a pair now which one is active; calls go there from then on.

        A single server is not asked.

        Returns:
            Its root address.

        Raises:
            NoActive: None of them is.
            MultipleActive: More than one is.
            SessionClosed: The session is closed.
        """
        return await self._caller.endpoints.find(anew=True)

    async def ping(self, *, timeout: float = 5.0) -> str:
        """Check that the server is ready, without logging in.

        Meant for readiness checks of load balancers and web services: one request for
        ``/api/healthz``, without credentials and outside ``max_in_flight`` and ``rate_limit``.
        For an active/passive pair, exactly one node must be active; calls stay with the node that
        they go to.

        Args:
            timeout: Time-out in seconds.

        Returns:
            Root address of the server; for a pair, of the active node.

        Raises:
            CallError: The server is not ready; see its subclasses.
            InvalidInput: ``timeout`` is not a number of seconds.
            SessionClosed: The session is closed.

        Example:
            ::

                try:
                    await tower.ping(timeout=2)
                except CallError as error:
                    print("not ready:", error)
        """
        check_seconds("ping", "timeout", timeout)
        return await self._caller.endpoints.ping(timeout)

    async def close(self) -> None:
        """Close the connections; calls under way end with SessionClosed. Safe to repeat.

        Raises:
            SessionClosed: The session belongs to another event loop, which still exists.

        On what `with_options` returned this does nothing: the connection is the first session's.
        """
        if self._owner:
            self._transport.check_closable()
            self._shared.close()
            await self._transport.close()

    async def __aenter__(self) -> Self:
        if self._entered and not self._transport.closed:
            raise CloudtowerError("the session is entered already; use the one that `as` names")
        self._entered = True
        try:
            return await self.open()
        except BaseException:
            await self.close()
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    if not TYPE_CHECKING:  # type checkers refuse it by themselves

        def __enter__(self) -> NoReturn:
            raise TypeError("a session is asynchronous: use `async with Cloudtower(...) as tower:`")

        def __exit__(self, *_: object) -> None:
            """Is never called, but Python looks for it first."""

    def with_options(
        self,
        *,
        content_language: ContentLanguage | None = None,
        timeout: float | None = None,
        lock_timeout: float | None = None,
    ) -> Self:
        """Return a session over the same connection with other defaults; it needs no closing.

        Args:
            content_language: Language of texts; None: as here. `wait` is the exception: the poll is
                shared, so the tasks come in the language of the first session.
            timeout: Seconds for a whole call; None: as here.
            lock_timeout: Seconds to wait for locked resources; 0: raise at once; None: as here.

        Raises:
            InvalidSettings: An option cannot be used; it names which.
        """
        caller = self._caller
        language = caller.content_language if content_language is None else content_language
        seconds = caller.timeout if timeout is None else timeout
        lock_seconds = caller.lock_timeout if lock_timeout is None else lock_timeout
        check_option("content_language", choice_fault(language, ContentLanguage))
        check_option("timeout", seconds_fault(seconds))
        check_option("lock_timeout", lock_timeout_fault(lock_seconds))
        other = type(self).__new__(type(self))
        other._set_up(
            caller.with_defaults(
                content_language=language, timeout=seconds, lock_timeout=lock_seconds
            ),
            self._shared,
        )
        return other

    async def preload(self, *namespaces: str) -> None:
        """Load namespaces and the types of their calls now, in a thread, not at their first use.

        Args:
            namespaces: As their attributes are named: ``"vm"``; none: all of them.

        Raises:
            InvalidInput: There is no such namespace.
        """
        await anyio.to_thread.run_sync(_preload, namespaces)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a session cannot be pickled or copied: make one in each process")

    def __repr__(self) -> str:
        if not hasattr(self, "_transport"):  # a report of an error in `__init__` shows it
            return "<Cloudtower with invalid settings>"
        settings = self._transport.settings
        way = "by token"
        if settings.token is None:
            way = f"as {settings.username!r}" if settings.username else "by credentials"
        state = " closed" if self._transport.closed else ""
        return f"<Cloudtower {self.endpoint} {way}{state}>"


def _preload(namespaces: Sequence[str]) -> None:
    from .api.catalogue import OPERATIONS

    known = {name.partition(".")[0] for name in OPERATIONS.values()}
    for namespace in namespaces or sorted(known):
        if namespace not in known:
            meant = did_you_mean(namespace, known)
            raise InvalidInput(f"preload: there is no namespace {namespace!r}{meant}")
        module = importlib.import_module(f".api.{namespace}", __package__)
        for operation in vars(module).values():
            if isinstance(operation, Operation):
                known_operation = cast("Operation[object]", operation)
                _ = known_operation.decoder
                if known_operation.body is not None:
                    known_operation.body()
