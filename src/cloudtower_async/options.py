"""Options of a session, their defaults, and where their values come from.

An argument takes precedence over the environment, the environment over a profile, and a profile
over the default. Only `from_environment` reads the environment and profiles.
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
    """An object that hides a secret from logs, such as pydantic's ``SecretStr``."""

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
    """Options of `Cloudtower`, all of them optional.

    Use this type to annotate functions that pass options on: ``**options: Unpack[SessionOptions]``.
    """

    failover: Failover
    """When to determine which node of an active/passive pair is active. ``auto``: before the first
    request, and when a node redirects a request or cannot be reached; ``manual``: before the first
    request, then only by `find_active`; ``always``: before every request. Default: ``auto``."""

    username: str | None
    """Name to log in with. Default: None; pass ``token`` or ``credentials`` instead."""

    password: str | SecretText | None
    """Password to log in with; may be a ``SecretStr`` of pydantic. Default: None."""

    source: Source
    """Authentication source of the user: ``LOCAL``, ``LDAP``, ``AUTHN`` or ``SSO``. Default:
    ``LOCAL``."""

    token: str | SecretText | None
    """Token or API key to use instead of logging in; may be a ``SecretStr`` of pydantic. A token
    takes precedence over ``username``. Default: None."""

    credentials: Credentials | None
    """Async function that is called at each login, for example to query a vault. It returns a
    token, or a user name and a password. Default: None."""

    auth_config_id: str | None
    """Id of the authentication strategy, for servers with several strategies. Default: None."""

    change_feed: tuple[str, str | SecretText] | None
    """User name and password for the change feed, which has separate credentials. Default: None;
    changes are then found by polling."""

    content_language: ContentLanguage
    """Language of texts in answers, such as alert messages; each call can choose another. Default:
    ``en-US``."""

    strict: bool
    """Raise `ResponseDecodeError` for an answer that breaks the API schema anywhere, instead of
    keeping the valid parts. Default: False."""

    validate: bool
    """Validate arguments against the API schema before they are sent. Pass False for a server that
    is newer than this package. Default: True."""

    mutations: Mutations
    """What to do with calls that change the server. ``allow``: send them. ``refuse``: raise
    `MutationRefused` (read-only session). ``plan``: record in ``tower.plan`` what they would change
    (dry run). No mutation is sent in the last two modes. Default: ``allow``."""

    middleware: Sequence[operation_call.Middleware] | None
    """Async functions around each call, retries included, the outermost first: ``async def
    audit(call, proceed)``; see `Middleware`. Default: None."""

    headers: Mapping[str, str] | None
    """Headers to send with every request. Default: None."""

    timeout: float
    """Time-out in seconds for a whole call, from the login through every attempt to the last byte
    of the answer. Each call can choose another. Default: 60."""

    connect_timeout: float
    """Time-out in seconds for making a connection. Default: 10."""

    read_timeout: float | None
    """Time-out in seconds between two pieces of an answer. Default: None; only ``timeout``
    applies."""

    lock_timeout: float
    """Maximum number of seconds to wait for locked resources, in addition to ``timeout``; 0 raises
    at once. Default: 60."""

    retry: RetryPolicy | None
    """When and how often to resend a failed request, where resending is safe. Default: None; the
    defaults of `RetryPolicy` apply."""

    max_connections: int
    """Maximum number of connections; further calls wait for a free connection. Default: 100."""

    max_in_flight: int | None
    """Maximum number of concurrent requests. Default: None; ``max_connections`` is the limit."""

    rate_limit: float | None
    """Maximum number of requests per second, on average. Default: None; no limit."""

    max_response_bytes: int
    """Maximum size of an answer in bytes, after decompression. Error bodies, logins and HTML pages
    have a fixed limit of 1 MiB. Default: 1,073,741,824 (1 GiB)."""

    verify_tls: bool
    """Check the server's certificate; False accepts any certificate. Default: True."""

    ca_file: StrPath | None
    """PEM file with the certificate authorities to trust. Default: None; the system's authorities
    are trusted."""

    client_cert: ClientCert | None
    """PEM file with the client's certificate and key, or a pair of files. Default: None."""

    ssl_context: ssl.SSLContext | None
    """SSL context to use instead of ``verify_tls``, ``ca_file`` and ``client_cert``. Default:
    None."""

    proxy: str | None
    """Address of an HTTP proxy: ``http://[user:password@]host:port``. This option takes precedence
    over ``trust_env``. Default: None."""

    trust_env: bool
    """Use the proxy named by HTTPS_PROXY, HTTP_PROXY and NO_PROXY. Unlike in aiohttp, no .netrc
    file is read. Default: False."""

    session: aiohttp.ClientSession | None
    """An aiohttp session to use. The caller closes it and its connector; ``max_connections`` does
    not apply to it. Default: None."""

    connector: aiohttp.BaseConnector | None
    """An aiohttp connector to use. The caller closes it. Default: None."""

    trace_configs: Sequence[aiohttp.TraceConfig]
    """Tracing hooks of aiohttp. Default: an empty sequence."""


class ScopedOptions(TypedDict, total=False):
    """Options of `Cloudtower.with_options`, all of them optional; None keeps the current value.

    Shared requests use the options of the first session: logins, the search for the active node,
    and the poll of tasks that all waiters share.
    """

    content_language: ContentLanguage | None
    """Language of texts in answers. `Cloudtower.wait` returns tasks in the language of the first
    session, because the poll is shared."""

    timeout: float | None
    """Time-out in seconds for a whole call."""

    lock_timeout: float | None
    """Maximum number of seconds to wait for locked resources; 0 raises at once."""

    validate: bool | None
    """Validate arguments against the API schema before they are sent."""

    mutations: Mutations | None
    """What to do with calls that change the server. The value cannot be less strict than the
    session's mode."""

    middleware: Sequence[operation_call.Middleware] | None
    """Middleware to run inside the session's middleware; see `Middleware`."""

    headers: Mapping[str, str] | None
    """Headers to send in addition to the session's headers. A header with the same name replaces
    the session's header."""

    retry: RetryPolicy | None
    """When and how often to resend a failed request. Each retry takes a token from the ``budget``
    of this policy and from the session's budget, which stays shared to protect the server."""

    max_in_flight: int | None
    """Maximum number of concurrent requests, in addition to the limits of the session."""

    rate_limit: float | None
    """Maximum number of requests per second, on average, in addition to the limits of the
    session."""

    priority: Priority | None
    """Priority of all calls in the queue of the session: ``high``, ``normal`` or ``low``. Without
    this option, mutations, logins and polls for tasks and uploads are ``high``, and other queries
    are ``normal``.
    """


class EnvironmentOptions(SessionOptions, total=False):
    """Options of `Cloudtower.from_env`: the options of `Cloudtower`, and the endpoint."""

    endpoint: str | Sequence[str] | None
    """Address of the server, or a list of both addresses of an active/passive pair. Default: None;
    taken from CLOUDTOWER_ENDPOINT or the profile.
    """


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings:
    """Options of a session, except those that hold aiohttp objects, with their defaults.

    Creating the settings raises InvalidSettings if an option cannot be used. `SessionOptions`
    documents the options.
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
    """Return the given options, completed from ``CLOUDTOWER_…`` variables and a profile.

    An empty variable counts as unset, and an option that is None counts as not given. The profile
    is named by `profile` or, if `profile` is None, by CLOUDTOWER_PROFILE. Without either, no
    profile is read.

    Variables that would conflict with given options are ignored: the token, if a user name or a
    password is given; the token, the user name and the password, if ``credentials`` is given; and
    the TLS variables, if ``ssl_context`` is given.

    Raises:
        InvalidSettings: A variable or the profile holds an invalid value, or no endpoint is given.
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
    """Return the end of an error that suggests the current profile, or an empty string."""
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
    """Return the secret in an object like pydantic's ``SecretStr``; return other values unchanged.

    The object is recognized by its method, so pydantic need not be installed.
    """
    get_secret_value = getattr(value, "get_secret_value", None)
    return cast("str | None", get_secret_value() if callable(get_secret_value) else value)


def scoped_options(options: Mapping[str, object]) -> dict[str, Any]:
    """Return the checked options of `Cloudtower.with_options`, without options that are None.

    Raises:
        InvalidSettings: An option cannot be used; the error names it.
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
    """Raise the TypeError that Python raises for unknown arguments, if an option is unknown.

    Args:
        options: Names that were given.
        known_by: `TypedDict` of the method's options.
        method: Method of `Cloudtower`.
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
    for option in ("username", "password"):  # check them even if a token makes them unused
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
