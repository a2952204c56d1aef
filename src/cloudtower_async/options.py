"""Options of a session, their defaults, and the sources of their values.

The sources in order of precedence are arguments, environment variables, a profile and the defaults.
Only `from_environment` reads environment variables and profiles.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol, TypeAlias, TypedDict, cast

from .addresses import Proxy, normalise_endpoints, parse_proxy
from .errors import InvalidSettings
from .lazy_module import LazyModule
from .retry.policy import RetryPolicy, policy_fault
from .spelling import did_you_mean
from .types import ContentLanguage, Priority
from .validators import (
    bool_fault,
    check_option,
    choice_fault,
    client_cert_fault,
    count_fault,
    encoding_fault,
    function_fault,
    header_fault,
    mapping_fault,
    middleware_fault,
    pair_fault,
    pem_file_fault,
    rate_fault,
    seconds_fault,
    ssl_context_fault,
    text_fault,
    token_fault,
)

if TYPE_CHECKING:
    import ssl

    import aiohttp

    from . import operation_call
else:
    ssl = LazyModule("ssl")
    aiohttp = LazyModule("aiohttp")
    operation_call = LazyModule(".operation_call", __package__)


class SecretText(Protocol):
    """An object, such as pydantic's ``SecretStr``, that hides a secret from logs."""

    def get_secret_value(self) -> str:
        """Return the secret."""
        ...


Credentials: TypeAlias = Callable[[], Awaitable[str | SecretText | tuple[str, str | SecretText]]]
Failover: TypeAlias = Literal["auto", "manual", "always"]
Source: TypeAlias = Literal["LOCAL", "LDAP", "AUTHN", "SSO"]
Mutations: TypeAlias = Literal["allow", "plan", "refuse"]
StrPath: TypeAlias = str | os.PathLike[str]
ClientCert: TypeAlias = StrPath | tuple[StrPath, StrPath]


class SessionOptions(TypedDict, total=False):
    """Options of `Cloudtower`. All options may be omitted.

    Use this type to annotate functions that pass options on: ``**options: Unpack[SessionOptions]``.
    """

    failover: Failover
    """When to search for the active node of an active/passive pair. ``auto`` searches before the
    first request, and again after a node has redirected a request or could not be reached.
    ``manual`` only searches before the first request and when you call `find_active`. ``always``
    searches before every request. Default: ``auto``."""

    username: str | None
    """User name for the login. Default: None. Without a user name, pass ``token`` or
    ``credentials``."""

    password: str | SecretText | None
    """Password for the login. A ``SecretStr`` of pydantic is accepted. Default: None."""

    source: Source
    """Authentication source of the user: ``LOCAL``, ``LDAP``, ``AUTHN`` or ``SSO``. Default:
    ``LOCAL``."""

    token: str | SecretText | None
    """Token or API key to use instead of a login. A ``SecretStr`` of pydantic is accepted. A token
    takes precedence over ``username``. Default: None."""

    credentials: Credentials | None
    """Async function that is called at each login, for example to query a vault. The function
    returns a token, or a user name and a password. Default: None."""

    auth_config_id: str | None
    """Id of the authentication strategy, for servers with several strategies. Default: None."""

    change_feed: tuple[str, str | SecretText] | None
    """User name and password for the change feed, which has separate credentials. Default: None.
    Without credentials for the feed, changes are found by polling."""

    content_language: ContentLanguage
    """Language of texts in answers, such as alert messages. Each call can choose another language.
    Default: ``en-US``."""

    strict: bool
    """Whether to raise `ResponseDecodeError` if any part of an answer violates the API schema. With
    False, the valid parts of the answer are returned. Default: False."""

    validate: bool
    """Whether to validate arguments against the API schema before they are sent. Pass False for a
    server that is newer than this package. Default: True."""

    mutations: Mutations
    """Mode for mutations, which are calls that change the server. ``allow`` sends mutations.
    ``refuse`` raises `MutationRefused` (read-only session). ``plan`` sends no mutation, and records
    in ``tower.plan`` what each mutation would change (dry run). Default: ``allow``."""

    middleware: Sequence[operation_call.Middleware] | None
    """Async functions that run around each call and all of its retries, such as ``async def
    audit(call, proceed)``. The first function is the outermost. See `Middleware`. Default: None."""

    headers: Mapping[str, str] | None
    """Headers to send with every request. Default: None."""

    timeout: float
    """Time-out in seconds for a whole call: the login, all attempts, and reading the response to
    its last byte. Each call can set another time-out. Default: 60."""

    connect_timeout: float
    """Time-out in seconds for opening a connection. Default: 10."""

    read_timeout: float | None
    """Maximum number of seconds without receiving data while a response is read. Default: None,
    which means that only ``timeout`` applies."""

    lock_timeout: float
    """Maximum number of seconds to wait for resources that the server has locked. This wait does
    not count for ``timeout``. With 0, a locked resource raises `ResourceLocked` at once. Default:
    60."""

    retry: RetryPolicy | None
    """Number of retries, and pauses between retries. A request is only retried if a retry is safe.
    Default: None, which means the defaults of `RetryPolicy`."""

    max_connections: int
    """Maximum number of connections. Further calls wait for a free connection. Default: 100."""

    max_in_flight: int | None
    """Maximum number of concurrent requests. Default: None, which means that ``max_connections`` is
    the limit."""

    rate_limit: float | None
    """Maximum number of requests per second, on average. With 20, for example, 20 requests can be
    sent at once after a second without requests, and 19 more within the second that follows.
    Default: None, which means no limit."""

    max_response_bytes: int
    """Maximum size of a response body in bytes, after decompression. Error bodies, logins and HTML
    pages have a fixed limit of 1 MiB. Default: 1,073,741,824 (1 GiB)."""

    verify_tls: bool
    """Whether to verify the server's certificate. False accepts any certificate. Default: True."""

    ca_file: StrPath | None
    """PEM file with the certificate authorities to trust. Default: None, which means the
    authorities of the system."""

    client_cert: ClientCert | None
    """PEM file with the client's certificate and key, or a pair of files: (certificate, key).
    Default: None."""

    ssl_context: ssl.SSLContext | None
    """SSL context to use instead of ``verify_tls``, ``ca_file`` and ``client_cert``. Default:
    None."""

    proxy: str | None
    """Address of an HTTP proxy: ``http://[user:password@]host:port``. This option takes precedence
    over ``trust_env``. Default: None."""

    trust_env: bool
    """Whether to use the proxy in the variable HTTPS_PROXY or HTTP_PROXY, except for hosts in
    NO_PROXY. Unlike the option of aiohttp, this option does not read a .netrc file. Default:
    False."""

    session: aiohttp.ClientSession | None
    """An aiohttp session to use. You have to close the aiohttp session and its connector yourself.
    ``max_connections`` does not apply. Default: None."""

    connector: aiohttp.BaseConnector | None
    """An aiohttp connector to use. You have to close the connector yourself. Default: None."""

    trace_configs: Sequence[aiohttp.TraceConfig]
    """Trace configurations for aiohttp's tracing hooks. Default: an empty sequence."""


class ScopedOptions(TypedDict, total=False):
    """Options of `Cloudtower.with_options`. An omitted option or None keeps the current value.

    The original session is the session that was created with ``Cloudtower(…)``. Logins, the search
    for the active node, and polls for tasks always use the options of the original session.
    """

    content_language: ContentLanguage | None
    """Language of texts in answers. `Cloudtower.wait` returns tasks in the language of the original
    session."""

    timeout: float | None
    """Time-out in seconds for a whole call."""

    lock_timeout: float | None
    """Maximum number of seconds to wait for resources that the server has locked. With 0, a locked
    resource raises `ResourceLocked` at once."""

    validate: bool | None
    """Whether to validate arguments against the API schema before they are sent."""

    mutations: Mutations | None
    """Mode for calls that change the server. The mode cannot be less strict than the mode of the
    session on which you call `Cloudtower.with_options`. ``plan`` is stricter than ``allow``, and
    ``refuse`` is stricter than ``plan``."""

    middleware: Sequence[operation_call.Middleware] | None
    """Middleware to run inside the session's middleware; see `Middleware`."""

    headers: Mapping[str, str] | None
    """Headers to send in addition to the session's headers. A header with the same name replaces
    the session's header."""

    retry: RetryPolicy | None
    """Number of retries, and pauses between retries. Each retry counts for two retry budgets: the
    ``budget`` of this policy, and the ``budget`` of the original session. `RetryPolicy` documents
    the budget."""

    max_in_flight: int | None
    """Maximum number of concurrent requests. The limits of the session also apply."""

    rate_limit: float | None
    """Maximum number of requests per second, on average. One second can contain almost twice this
    number. The limits of the session also apply."""

    priority: Priority | None
    """Priority of all calls: ``high``, ``normal`` or ``low``. If calls have to wait for a
    connection or for the rate limit, calls of a higher priority are sent first. Without this
    option, mutations, uploads and polls for their tasks have the priority ``high``. Other queries
    have the priority ``normal``."""


class EnvironmentOptions(SessionOptions, total=False):
    """Options of `Cloudtower.from_env`: the options of `Cloudtower`, and ``endpoint``."""

    endpoint: str | Sequence[str] | None
    """Address of the server, or a list of both addresses of an active/passive pair. Default: None,
    which means the value of CLOUDTOWER_ENDPOINT or of the profile.
    """


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings:
    """Options of a session and their defaults, without the options that hold aiohttp objects.

    The constructor raises InvalidSettings if an option is invalid. `SessionOptions` documents the
    options.
    """

    endpoint: InitVar[str | Sequence[str]]
    endpoints: tuple[str, ...] = field(init=False)
    failover: Failover = "auto"
    username: str | None = None
    password: str | None = None
    source: Source = "LOCAL"
    token: str | None = None
    credentials: Credentials | None = None
    auth_config_id: str | None = None
    change_feed: tuple[str, str] | None = None
    content_language: ContentLanguage = "en-US"
    strict: bool = False
    validate: bool = True
    mutations: Mutations = "allow"
    middleware: Sequence[operation_call.Middleware] | None = None
    headers: Mapping[str, str] | None = None
    timeout: float = 60.0
    connect_timeout: float = 10.0
    read_timeout: float | None = None
    lock_timeout: float = 60.0
    retry: RetryPolicy | None = None
    max_connections: int = 100
    max_in_flight: int | None = None
    rate_limit: float | None = None
    max_response_bytes: int = 2**30
    verify_tls: bool = True
    ca_file: StrPath | None = None
    client_cert: ClientCert | None = None
    ssl_context: ssl.SSLContext | None = None
    proxy: InitVar[str | None] = None
    via: Proxy | None = field(init=False)
    trust_env: bool = False

    def __post_init__(self, endpoint: str | Sequence[str], proxy: str | None) -> None:
        set_ = object.__setattr__
        set_(self, "endpoints", normalise_endpoints(endpoint))
        set_(self, "password", reveal(self.password))
        set_(self, "token", reveal(self.token))
        if isinstance(self.change_feed, tuple):
            set_(self, "change_feed", tuple(map(reveal, self.change_feed)))
        set_(self, "headers", _checked_headers(self.headers))
        set_(self, "via", parse_proxy(proxy, "proxy"))
        _check_credentials(self)
        for option, fault_of in _CHECKS.items():
            check_option(option, fault_of(getattr(self, option)))
        for option, fault_of in _CHECKS_UNLESS_NONE.items():
            if (value := getattr(self, option)) is not None:
                check_option(option, fault_of(value))
        if self.ssl_context is not None:
            alone = self.ca_file is None and self.client_cert is None and self.verify_tls
            check_option("ssl_context", ssl_context_fault(self.ssl_context, alone=alone))

    def __reduce__(self) -> NoReturn:
        raise TypeError("settings cannot be pickled: they hold secrets")

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={self._shown(name)}" for name in self.__slots__)
        return f"Settings({shown})"

    def _shown(self, name: str) -> str:
        value = getattr(self, name)
        if name in ("password", "token", "client_cert") and value is not None:
            return "'***'"
        if name == "change_feed" and value is not None:
            return f"({value[0]!r}, '***')"
        if name == "headers" and value:
            return repr(dict.fromkeys(value, "***"))
        return repr(value)


def from_environment(
    options: Mapping[str, object], profile: str | None = None
) -> dict[str, object]:
    """Return `options`, and add missing options from ``CLOUDTOWER_…`` variables and a profile.

    An empty variable is treated as unset, and an option that is None is treated as omitted.
    `profile` is the name of the profile. If `profile` is None, the variable CLOUDTOWER_PROFILE has
    the name. If this variable is also unset, no profile is read.

    Variables that would conflict with the options are ignored. A user name or a password in the
    options excludes the variable for the token. ``credentials`` excludes the variables for the
    token, the user name and the password. ``ssl_context`` excludes the TLS variables.

    Raises:
        InvalidSettings: A variable or the profile holds an invalid value, or no source has an
            endpoint.
    """
    given = {name: value for name, value in options.items() if value is not None}
    found: dict[str, object] = {}
    for name in (
        "endpoint",
        "username",
        "password",
        "source",
        "token",
        "content_language",
        "mutations",
        "ca_file",
        "proxy",
    ):
        if text := os.environ.get(f"CLOUDTOWER_{name.upper()}"):
            found[name] = text
    if {"username", "password", "credentials"} & given.keys():
        found.pop("token", None)
    if "credentials" in given:
        found.pop("username", None)
        found.pop("password", None)
    if text := os.environ.get("CLOUDTOWER_VERIFY_TLS"):
        found["verify_tls"] = _boolean("CLOUDTOWER_VERIFY_TLS", text)
    if "ssl_context" in given:
        found.pop("ca_file", None)
        found.pop("verify_tls", None)
    for name, choices in (
        ("source", Source),
        ("content_language", ContentLanguage),
        ("mutations", Mutations),
    ):
        if name in found:
            check_option(f"CLOUDTOWER_{name.upper()}", choice_fault(found[name], choices))
    if "," in (text := str(found.get("endpoint", ""))):
        found["endpoint"] = text.split(",")
    if profile is None:
        profile = os.environ.get("CLOUDTOWER_PROFILE")
    if profile:
        from .profiles import from_profile  # importing the TOML reader takes 2 ms

        found = {**from_profile(profile, {**found, **given}), **found}
    if "endpoint" not in given and "endpoint" not in found:
        raise InvalidSettings(
            "no endpoint: pass endpoint= or set CLOUDTOWER_ENDPOINT to the address of CloudTower"
            + _current_profile_hint(),
            option="CLOUDTOWER_ENDPOINT",
        )
    return {**found, **given}


def _current_profile_hint() -> str:
    """Return a hint to use the current profile, or an empty string if there is no such profile."""
    from .profiles import current_profile, read_profiles

    try:
        name = current_profile()
        stored = name in read_profiles()
    except InvalidSettings:
        return ""
    if not stored:
        return ""
    return (
        f"; the current profile of the command line is {name!r}: pass profile={name!r} or set "
        f"CLOUDTOWER_PROFILE={name} to use it here"
    )


def reveal(value: str | SecretText | None) -> str | None:
    """Return the secret in an object such as a pydantic ``SecretStr``. Return other values as is.

    Such an object is recognized by its method ``get_secret_value``, so pydantic need not be
    installed.
    """
    get_secret_value = getattr(value, "get_secret_value", None)
    return cast("str | None", get_secret_value() if callable(get_secret_value) else value)


def scoped_options(options: Mapping[str, object]) -> dict[str, Any]:
    """Check the options of `Cloudtower.with_options`, and return the options that are not None.

    Raises:
        InvalidSettings: An option is invalid. The error names the option.
        TypeError: An option is unknown.
    """
    check_names(options, ScopedOptions, "with_options")
    checks = _CHECKS | _CHECKS_UNLESS_NONE | _CHECKS_OF_PARTS
    checked: dict[str, Any] = {}
    for name, value in options.items():
        if value is None:
            continue
        if name == "headers":
            checked[name] = _checked_headers(cast("Mapping[str, str]", value))
            continue
        check_option(name, checks[name](value))
        checked[name] = value
    return checked


def check_names(options: Iterable[str], known_by: type, method: str) -> None:
    """Raise TypeError if an option is unknown, as Python does for unknown keyword arguments.

    Args:
        options: Names of the passed options.
        known_by: `TypedDict` with all options of the method.
        method: Name of the method of `Cloudtower`, for the error message.
    """
    known = known_by.__annotations__
    for name in options:
        if name not in known:
            raise TypeError(
                f"Cloudtower.{method}() got an unexpected keyword argument {name!r}"
                + did_you_mean(name, known, few=False)
            )


def _check_credentials(settings: Settings) -> None:
    if settings.credentials is not None:
        for option in ("username", "password", "token"):
            if getattr(settings, option) is not None:
                raise InvalidSettings(
                    f"{option}: credentials= returns it at login; pass one of the two",
                    option=option,
                )
        check_option("credentials", function_fault(settings.credentials))
        return
    for option in ("username", "password"):  # check both even if a token makes them unused
        value = getattr(settings, option)
        if value not in (None, ""):
            check_option(option, text_fault(value))
            check_option(option, encoding_fault(value))
    if settings.token is not None:
        check_option("token", token_fault(settings.token))
        return
    for option in ("username", "password"):
        if not getattr(settings, option):
            raise InvalidSettings(
                f"{option}: missing; pass username= and password=, or token= (an API key); "
                "from_env() takes what is not passed from CLOUDTOWER_USERNAME, "
                "CLOUDTOWER_PASSWORD and CLOUDTOWER_TOKEN",
                option=option,
            )


def _checked_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    checked: dict[str, str] = {}
    if headers is None:
        return checked
    check_option("headers", mapping_fault(headers))
    for name, value in headers.items():
        lower = name.lower()
        if instead := _MANAGED_HEADERS.get(lower):
            raise InvalidSettings(f"headers: {name} cannot be set; {instead}", option="headers")
        if not _HEADER_NAME.fullmatch(lower) or header_fault(value):
            raise InvalidSettings(
                f"headers: {name!r} or its value holds a character that is not allowed in headers",
                option="headers",
            )
        checked[lower] = value
    return checked


def _boolean(variable: str, text: str) -> bool:
    lower = text.strip().lower()
    if lower in ("1", "true", "yes", "on"):
        return True
    if lower in ("0", "false", "no", "off"):
        return False
    raise InvalidSettings(f"{variable}: expected true or false, got {text!r}", option=variable)


_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_MANAGED_HEADERS = {
    "authorization": "pass token=, or username= and password=",
    "content-language": "pass content_language=",
    "content-length": "it follows from the body",
    "content-type": "it follows from the body",
    "proxy-authorization": "pass the user and password in proxy=",
    "host": "it follows from the endpoint",
    "transfer-encoding": "it follows from the body",
}

_CHECKS: dict[str, Callable[[object], str | None]] = {
    "failover": lambda value: choice_fault(value, Failover),
    "source": lambda value: choice_fault(value, Source),
    "content_language": lambda value: choice_fault(value, ContentLanguage),
    "timeout": seconds_fault,
    "connect_timeout": seconds_fault,
    "lock_timeout": lambda value: seconds_fault(value, zero_ok=True),
    "verify_tls": bool_fault,
    "trust_env": bool_fault,
    "strict": bool_fault,
    "validate": bool_fault,
    "mutations": lambda value: choice_fault(value, Mutations),
    "max_connections": count_fault,
    "max_response_bytes": count_fault,
}
_CHECKS_UNLESS_NONE: dict[str, Callable[[object], str | None]] = {
    "change_feed": pair_fault,
    "auth_config_id": text_fault,
    "ca_file": pem_file_fault,
    "client_cert": client_cert_fault,
    "read_timeout": seconds_fault,
    "middleware": middleware_fault,
    "retry": policy_fault,
    "max_in_flight": count_fault,
    "rate_limit": rate_fault,
}
_CHECKS_OF_PARTS: dict[str, Callable[[object], str | None]] = {
    "priority": lambda value: choice_fault(value, Priority),
}
