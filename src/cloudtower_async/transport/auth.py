"""Login, and the Authorization header of requests."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, cast

import anyio
import msgspec

from ..addresses import API_PATH
from ..errors import (
    CallError,
    CallTimeout,
    CloudtowerError,
    CredentialsUnavailable,
    LoginFailed,
    NotFound,
    ResponseDecodeError,
    ServerError,
    StatusError,
)
from ..options import reveal
from ..types import CODEC_ERRORS
from ..validators import encoding_fault, token_fault
from .basic_auth import basic
from .http import LOGIN, Transport
from .responses import HTML_INSTEAD, OTHER_SERVICE, WITH_HTML, looks_like_html
from .tracebacks import another, without_frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from .responses import Answer

_SECOND_FACTOR = re.compile("mfa|2fa|two_?factor|second_?factor|totp|otp$", re.IGNORECASE)
"""Pattern that finds the names of fields about two-factor authentication in a response."""

_USE_API_KEY = "Two-factor authentication has no password login; pass an API key as token=."
_STRATEGY = "Pass the strategy's id as auth_config_id= to skip the lookup."
_CHECK_BOTH = (
    "Check that the endpoint is a CloudTower's; "
    "with two-factor authentication pass an API key as token=."
)
_STRATEGIES = msgspec.json.encode({"query": "{authnStrategies{id type}}"})


class Authenticator:
    """Login of a session. The session logs in when a call first needs the token.

    The first caller that needs the token logs in, and all other callers wait for this login. There
    is no background task. If the first caller is cancelled, the next caller logs in. If the login
    fails, all waiting callers get the error, so that a wrong password is tried only once.

    Attributes:
        token: The token. None if the session has no token yet.
        basic: Authorization header for the change feed. None if the session does not have the
            option ``change_feed``.
        logins: Number of successful logins.
        tries: Number of login attempts.
        can_log_in: Whether the session has credentials to log in with.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._settings = transport.settings
        self.token = transport.settings.token
        self.basic: str | None = None
        if transport.settings.change_feed is not None:
            self.basic = basic(*transport.settings.change_feed)
            transport.mask.add_password(transport.settings.change_feed[1])
            transport.mask.add(self.basic)
            transport.mask.add(self.basic.removeprefix("Basic "))
        self.logins: int = 0
        self.tries: int = 0
        self.can_log_in: bool = transport.settings.token is None
        self._lock = anyio.Lock()
        self._failures: int = 0
        self._failure: CloudtowerError | None = None

    def forget(self, login: int) -> None:
        """Drop a token that the server no longer accepts. The next call then logs in.

        Args:
            login: Sequence number of the login that returned the token. The token of a newer login
                is kept.
        """
        if self.logins == login:
            self.token = None

    async def log_in(self, endpoint: str) -> str:
        """Return the token, after a login if the session has no token.

        Args:
            endpoint: Root address of the server.

        Raises:
            LoginFailed: The server refused the credentials.
            CallError: The login request failed.
            SessionClosed: The session was closed before or during the call.
        """
        self._transport.running_loop()
        failures = self._failures
        async with self._lock:
            if self.token is not None:
                return self.token
            failure = self._failure
            if failure is None or self._failures == failures:
                self.tries += 1
                try:
                    seconds = self._settings.timeout
                    with self._transport.until_closed(seconds, LOGIN) as scope:
                        self.token = await self._ask(endpoint)
                    if scope.cancelled_caught:
                        raise CallTimeout(
                            f"no token within {seconds:g} s", operation=LOGIN, endpoint=endpoint
                        )
                except CloudtowerError as exc:
                    failure = exc
                except asyncio.CancelledError as exc:
                    exc.__traceback__ = None  # the stack frames of the error hold the password
                    raise
                else:
                    self.logins += 1
                    self._failure = None
                    self._transport.mask.add(self.token)
                    return self.token
                if isinstance(failure, CallError):
                    failure.sent = False  # the call that waited for the token was not sent
                    failure.proxy = self._transport.proxy_of(endpoint)
                self._failures += 1
                self._failure = without_frames(failure)
            raise another(failure)

    async def _ask(self, endpoint: str) -> str:
        username, password = self._settings.username, self._settings.password
        if self._settings.credentials is not None:
            given = await self._ask_hook(self._settings.credentials, endpoint)
            if isinstance(given, str):
                return given
            username, password = given
        source, auth_config_id = await self._source(endpoint)
        body: dict[str, object] = {"username": username, "password": password, "source": source}
        if auth_config_id is not None:
            body["auth_config_id"] = auth_config_id
        headers = {"content-language": self._settings.content_language}
        try:
            answer = await self._transport.exchange(
                LOGIN,
                "POST",
                endpoint,
                headers,
                path=f"{API_PATH}/login",
                body=msgspec.json.encode(body),
            )
        except StatusError as exc:
            if exc.status in (400, 401, 403):
                raise _refused(exc) from exc
            if exc.status == 404:
                exc.hint = OTHER_SERVICE
            raise
        token = _token_of(answer.body)
        fault = token_fault(token) if token else None
        if token and fault is None:
            return token
        message, hint = "the server answered without a token", _CHECK_BOTH
        if fault is not None:
            message = f"the server answered with a token that cannot be used: {fault}"
        elif looks_like_html(answer.body):
            message, hint = HTML_INSTEAD, OTHER_SERVICE
        elif _asks_second_factor(answer.body):
            message = "the server asks for a second factor instead of sending a token"
            hint = _USE_API_KEY
        del token  # error reports show local variables
        raise LoginFailed(
            message,
            operation=LOGIN,
            endpoint=endpoint,
            status=answer.status,
            request_id=answer.request_id,
            hint=hint,
        )

    async def _ask_hook(
        self, credentials: Callable[[], object], endpoint: str
    ) -> str | tuple[str, str]:
        cause: Exception | None = None
        fault: str | None = (
            "the function returned neither a token nor a pair of user name and password"
        )
        given: object = None
        try:
            asking = credentials()
            if isinstance(asking, Awaitable):
                given = await cast("Awaitable[object]", asking)
            else:
                fault = "the function is not an async function"
        except Exception as exc:
            cause = exc
        if cause is not None:
            raise CredentialsUnavailable(
                f"credentials: the function raised {type(cause).__name__}",
                operation=LOGIN,
                endpoint=endpoint,
            ) from cause
        parts = cast("tuple[str, ...]", given if isinstance(given, tuple) else (given,))
        match tuple(map(reveal, parts)):
            case (str(token),) if not isinstance(given, tuple):
                fault = token_fault(token)
                if fault is None:
                    return token
            case (str(username), str(password)) if username and password:
                fault = encoding_fault(username) or encoding_fault(password)
                if fault is None:
                    self._transport.mask.add_password(password)
                    return username, password
            case _:
                pass
        raise LoginFailed(
            f"credentials: {fault}",
            operation=LOGIN,
            endpoint=endpoint,
            hint="Check the function that was passed as credentials=.",
        )

    async def _source(self, endpoint: str) -> tuple[str, str | None]:
        source, auth_config_id = self._settings.source, self._settings.auth_config_id
        if source != "LDAP":
            return source, auth_config_id
        if auth_config_id is None:
            auth_config_id = await self._ldap_strategy(endpoint)
        # Servers without authentication strategies accept the source LDAP directly.
        return ("LDAP", None) if auth_config_id is None else ("AUTHN", auth_config_id)

    async def _ldap_strategy(self, endpoint: str) -> str | None:
        """Return the id of the server's LDAP strategy, or None if the server has no such strategy.

        If the answer of the server cannot be read, raise an error. A login without the right
        strategy would count as a failed login of the user.
        """
        exchange = self._transport.exchange
        try:
            answer = await exchange(LOGIN, "POST", endpoint, {}, path="/api", body=_STRATEGIES)
        except NotFound:
            return None
        except StatusError as exc:
            if exc.status == 400 and _lacks_strategies(exc.server_message or ""):
                return None
            exc.message = f"looking up the LDAP strategy failed: {exc.message}"
            exc.hint = _STRATEGY
            raise
        found = _strategies_of(answer.body)
        if isinstance(found, str):
            if _lacks_strategies(found):
                return None
            raise ServerError(
                "looking up the LDAP strategy failed",
                server_message=self._transport.mask(found),
                **_about(answer, endpoint),
            )
        if found is None:
            page = looks_like_html(answer.body)
            raise ResponseDecodeError(
                "looking up the LDAP strategy failed: "
                + (HTML_INSTEAD if page else "the answer cannot be read"),
                **_about(answer, endpoint),
            )
        ids = [one.id for one in found if one.type == "LDAP" and one.id]
        if len(ids) > 1:
            raise LoginFailed(
                f"the server has {len(ids)} LDAP strategies: {', '.join(ids)}",
                **_about(answer, endpoint, hint="Pass one of the ids as auth_config_id=."),
            )
        return ids[0] if ids else None


def _refused(exc: StatusError) -> LoginFailed:
    # A web page comes from a proxy or a portal, because CloudTower refuses credentials in JSON.
    page = exc.message.endswith(WITH_HTML)
    message = HTML_INSTEAD if page else "the credentials were refused"
    hint = OTHER_SERVICE if page else None
    if exc.code and _SECOND_FACTOR.search(exc.code):
        message, hint = "the server asks for a second factor", _USE_API_KEY
    return LoginFailed(
        message,
        operation=exc.operation,
        endpoint=exc.endpoint,
        status=exc.status,
        request_id=exc.request_id,
        code=exc.code,
        props=exc.props,
        server_message=exc.server_message,
        hint=hint,
    )


def _token_of(body: bytes) -> str | None:
    # Do not quote the body in an error. The body may hold the token even if it cannot be decoded.
    try:
        return msgspec.json.decode(body, type=_LoginAnswer).data.token or None
    except CODEC_ERRORS:
        return None


class _Token(msgspec.Struct):
    token: str


class _LoginAnswer(msgspec.Struct):
    data: _Token


def _asks_second_factor(body: bytes) -> bool:
    """Return whether a response without a token mentions two-factor authentication."""
    try:
        said = msgspec.json.decode(body, type=dict[str, object])
    except CODEC_ERRORS:
        return False
    data = said.get("data")
    names = [*said, *(cast("dict[str, object]", data) if isinstance(data, dict) else ())]
    return any(_SECOND_FACTOR.search(name) for name in (*names, str(said.get("code"))))


def _about(answer: Answer, endpoint: str, hint: str = _STRATEGY) -> dict[str, Any]:
    return {
        "operation": LOGIN,
        "endpoint": endpoint,
        "status": answer.status,
        "request_id": answer.request_id,
        "hint": hint,
    }


def _strategies_of(body: bytes) -> list[_Strategy] | str | None:
    """Return the authentication strategies in a GraphQL response.

    Return the error messages of the response as a string, or None if the response is invalid.
    """
    try:
        said = msgspec.json.decode(body, type=_StrategiesAnswer)
    except CODEC_ERRORS:
        return None
    if said.errors:
        return "; ".join(str(error.get("message", "")) for error in said.errors)
    return None if said.data is None else said.data.authn_strategies or []


def _lacks_strategies(said: str) -> bool:
    """Return whether a GraphQL error says that the field ``authnStrategies`` does not exist."""
    return "authnStrategies" in said and "field" in said.lower()


class _Strategy(msgspec.Struct):
    id: str | None = None
    type: str | None = None


class _Strategies(msgspec.Struct):
    authn_strategies: list[_Strategy] | None = msgspec.field(name="authnStrategies", default=None)


class _StrategiesAnswer(msgspec.Struct):
    data: _Strategies | None = None
    errors: list[dict[str, Any]] | None = None
