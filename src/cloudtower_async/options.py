"""The options of a session, checked once and frozen.

An argument wins over the environment, that over a profile (both `from_environment` only), and that
over the default.
"""

from __future__ import annotations

import math
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Literal, NoReturn, TypeAlias, cast, get_args

from .addresses import normalise_endpoints, parse_proxy
from .errors import InvalidSettings
from .types import ContentLanguage
from .validators import is_number, seconds_fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Protocol, TypedDict

    import aiohttp

    from .addresses import Proxy
    from .retry.policy import RetryPolicy

    class SecretText(Protocol):
        """An object that hides a secret from logs, such as pydantic's ``SecretStr``."""

        def get_secret_value(self) -> str:
            """Return the secret."""
            ...

    class FromEnv(TypedDict, total=False):
        """What `Cloudtower.from_env` takes: the options of `Cloudtower`."""

        endpoint: str | Sequence[str] | None
        failover: Failover
        username: str | None
        password: str | SecretText | None
        source: Source | None
        token: str | SecretText | None
        credentials: Credentials | None
        auth_config_id: str | None
        change_feed: tuple[str, str | SecretText] | None
        content_language: ContentLanguage | None
        strict: bool
        validate: bool
        headers: Mapping[str, str] | None
        timeout: float
        connect_timeout: float
        read_timeout: float | None
        lock_timeout: float
        retry: RetryPolicy | None
        max_connections: int
        max_in_flight: int | None
        rate_limit: float | None
        max_response_bytes: int
        verify_tls: bool | None
        ca_file: StrPath | None
        client_cert: ClientCert | None
        ssl_context: ssl.SSLContext | None
        proxy: str | None
        trust_env: bool
        session: aiohttp.ClientSession | None
        connector: aiohttp.BaseConnector | None
        trace_configs: Sequence[aiohttp.TraceConfig]


Credentials: TypeAlias = "Callable[[], Awaitable[str | SecretText | tuple[str, str | SecretText]]]"
Failover: TypeAlias = Literal["auto", "manual", "always"]
Source: TypeAlias = Literal["LOCAL", "LDAP", "AUTHN", "SSO"]
StrPath: TypeAlias = str | os.PathLike[str]
ClientCert: TypeAlias = StrPath | tuple[StrPath, StrPath]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings:
    """Checked options. Making one raises InvalidSettings if any of them cannot be used.

    What they mean and their defaults are told where users give them: at `Cloudtower`.
    """

    endpoint: InitVar[str | Sequence[str]]
    endpoints: tuple[str, ...] = field(init=False)
    failover: Failover
    username: str | None
    password: str | None
    source: Source
    token: str | None
    credentials: Credentials | None
    auth_config_id: str | None
    change_feed: tuple[str, str] | None
    content_language: ContentLanguage
    timeout: float
    connect_timeout: float
    read_timeout: float | None
    lock_timeout: float
    retry: RetryPolicy | None
    max_connections: int
    max_in_flight: int | None
    rate_limit: float | None
    max_response_bytes: int
    verify_tls: bool
    ca_file: StrPath | None
    client_cert: ClientCert | None
    ssl_context: ssl.SSLContext | None
    proxy: InitVar[str | None]
    via: Proxy | None = field(init=False)
    trust_env: bool
    strict: bool
    validate: bool
    headers: Mapping[str, str] | None

    def __post_init__(self, endpoint: str | Sequence[str], proxy: str | None) -> None:
        set_ = object.__setattr__
        set_(self, "endpoints", normalise_endpoints(endpoint))
        set_(self, "headers", _checked_headers(self.headers))
        set_(self, "via", parse_proxy(proxy, "proxy"))
        _check_credentials(self)
        check_option("change_feed", pair_fault(self.change_feed))
        check_option("auth_config_id", _text_fault(self.auth_config_id))
        check_option("failover", choice_fault(self.failover, Failover))
        check_option("source", choice_fault(self.source, Source))
        check_option("content_language", choice_fault(self.content_language, ContentLanguage))
        for option in ("timeout", "connect_timeout"):
            check_option(option, seconds_fault(getattr(self, option)))
        for option in ("verify_tls", "trust_env", "strict", "validate"):
            check_option(option, _bool_fault(getattr(self, option)))
        alone = self.ca_file is None and self.client_cert is None and self.verify_tls
        check_option("ssl_context", _context_fault(self.ssl_context, alone=alone))
        check_option("ca_file", _path_fault(self.ca_file))
        check_option("client_cert", _client_cert_fault(self.client_cert))
        check_option("lock_timeout", lock_timeout_fault(self.lock_timeout))
        if self.read_timeout is not None:
            check_option("read_timeout", seconds_fault(self.read_timeout))
        check_option("max_connections", _count_fault(self.max_connections))
        if self.max_in_flight is not None:
            check_option("max_in_flight", _count_fault(self.max_in_flight))
        if self.rate_limit is not None:
            check_option("rate_limit", _rate_fault(self.rate_limit))
        check_option("max_response_bytes", _count_fault(self.max_response_bytes))

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
    """Fill in what is not given from the ``CLOUDTOWER_…`` variables; an empty one counts as unset.

    What is in neither comes from a profile, if one is named: by `profile`, or if that is None by
    CLOUDTOWER_PROFILE.

    An option that is None counts as not given. With a user name or a password among the options,
    a token in the environment is left alone: it would win over them; with ``credentials`` a user
    and a password, too; with ``ssl_context`` the options for TLS.

    Raises:
        InvalidSettings: A variable or the profile holds what it cannot mean, or no endpoint is
            given.
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
    for name, choices in (("source", Source), ("content_language", ContentLanguage)):
        if name in found:
            check_option(f"CLOUDTOWER_{name.upper()}", choice_fault(found[name], choices))
    if "," in (text := str(found.get("endpoint", ""))):
        found["endpoint"] = text.split(",")
    if profile is None:
        profile = os.environ.get("CLOUDTOWER_PROFILE")
    if profile:
        from .profiles import from_profile  # to read TOML takes 2 ms to load, and few need it

        found = {**from_profile(profile, {**found, **given}), **found}
    if "endpoint" not in given and "endpoint" not in found:
        raise InvalidSettings(
            "no endpoint: pass endpoint= or set CLOUDTOWER_ENDPOINT to the address of CloudTower",
            option="CLOUDTOWER_ENDPOINT",
        )
    return {**found, **given}


def lock_timeout_fault(value: object) -> str | None:
    """Why this is no time to wait for a lock; None: it is. 0 is: not to wait."""
    return seconds_fault(value, zero_ok=True)


def choice_fault(value: object, choices: object) -> str | None:
    """Why this is none of the values of a Literal type; None: it is one."""
    allowed = get_args(choices)
    return None if value in allowed else f"expected one of {', '.join(allowed)}; got {value!r}"


def header_fault(value: object) -> str | None:
    """Why this cannot be the value of a header; None: it can."""
    if isinstance(value, str) and _HEADER_VALUE.fullmatch(value):
        return None
    return "it is no text, or holds a character that no header may hold"


def _count_fault(value: object) -> str | None:
    if type(value) is int and value >= 1:
        return None
    return f"expected a whole number from 1 on, got {value!r}"


def _rate_fault(value: object) -> str | None:
    if is_number(value) and 0 < value < math.inf:
        return None
    return f"expected a number of calls a second above 0, got {value!r}"


def _bool_fault(value: object) -> str | None:
    return None if isinstance(value, bool) else f"expected True or False, got {value!r}"


def _context_fault(context: object, *, alone: bool) -> str | None:
    if context is None:
        return None
    if not isinstance(context, ssl.SSLContext):
        return f"expected an ssl.SSLContext, got {type(context).__name__}"
    if alone:
        return None
    return "ca_file=, client_cert= and verify_tls=False are for the context to bring along"


def _mapping_fault(value: object) -> str | None:
    if value is None or isinstance(value, Mapping):
        return None
    return f"expected a dict of names and values, got {type(value).__name__}"


def _header_name_fault(value: object) -> str | None:
    return None if isinstance(value, str) else f"a name is a text, got {type(value).__name__}"


def _function_fault(value: object) -> str | None:
    # Of what is given only the type: it may be the secret itself.
    return None if callable(value) else f"expected an async function, got {type(value).__name__}"


def reveal(value: str | SecretText | None) -> str | None:
    """Return the secret in an object such as pydantic's ``SecretStr``, and anything else as is.

    The object is recognized by its method, so pydantic need not be installed.
    """
    get_secret_value = getattr(value, "get_secret_value", None)
    return cast("str | None", get_secret_value() if callable(get_secret_value) else value)


def reveal_pair(pair: tuple[str, str | SecretText] | None) -> tuple[str, str] | None:
    """Apply `reveal` to both parts of a user name and a password."""
    parts = tuple(map(reveal, pair)) if isinstance(pair, tuple) else pair
    return cast("tuple[str, str] | None", parts)


def _text_fault(value: object) -> str | None:
    # The value is not quoted: it may be a secret that was passed in the wrong place.
    if value is None or (isinstance(value, str) and value):
        return None
    return f"expected a text, got {'an empty one' if value == '' else type(value).__name__}"


def _path_fault(value: object) -> str | None:
    """Say why this is not the path of a file, without quoting it: it may hold a private key."""
    if value is None:
        return None
    try:
        path: object = os.fspath(cast("str", value))
    except TypeError:
        path = None
    if not isinstance(path, str):
        return f"expected a path, got {type(value).__name__}"
    if "-----BEGIN" in path or "\n" in path:
        return (
            "expected the path of a PEM file, got what looks like its content; write it to a file, "
            "or load it into a context of your own and pass that as ssl_context="
        )
    return None


def _client_cert_fault(value: object) -> str | None:
    if not isinstance(value, tuple):
        fault = _path_fault(value)
        return fault and fault.replace("expected a path,", "expected a path or a pair of paths,")
    paths = cast("tuple[object, ...]", value)
    if len(paths) != 2:
        return f"expected a path or a pair (certificate, key), got a tuple of {len(paths)}"
    if None in paths:
        return "expected a pair of paths (certificate, key), got None in it"
    return _path_fault(paths[0]) or _path_fault(paths[1])


def pair_fault(value: object) -> str | None:
    """Why this is no credential for HTTP Basic. It may hold a secret: nothing of it is told."""
    if value is None:
        return None
    pair = cast("tuple[object, ...]", value) if isinstance(value, tuple) else ()
    if len(pair) != 2 or not all(isinstance(part, str) and part for part in pair):
        return "expected a pair of texts, (username, password)"
    if ":" in str(pair[0]):
        return "the user name holds a colon, which HTTP Basic does not allow"
    return encoding_fault(str(pair[0])) or encoding_fault(str(pair[1]))


def encoding_fault(text: str) -> str | None:
    """Why this cannot be sent as UTF-8; None: it can. The text may be a secret and is not told."""
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        return f"it holds a byte that is not UTF-8, as character {exc.start + 1}"
    return None


def check_option(option: str, fault: str | None) -> None:
    """Refuse an option of the session that has a fault."""
    if fault is not None:
        raise InvalidSettings(f"{option}: {fault}", option=option)


def token_fault(token: object) -> str | None:
    """Why this cannot be a token; None: it can. Of a secret only its fault is told."""
    if not isinstance(token, str):
        return f"expected a text, got {type(token).__name__}"
    if _SENDABLE.fullmatch(token):
        return None
    return "it is empty, or holds a space or a character that no header may hold"


def _check_credentials(settings: Settings) -> None:
    if settings.credentials is not None:
        for option in ("username", "password", "token"):
            if getattr(settings, option) is not None:
                raise InvalidSettings(
                    f"{option}: credentials= is to give it; pass one of them", option=option
                )
        check_option("credentials", _function_fault(settings.credentials))
        return
    for option in ("username", "password"):  # also where the token wins over them
        value = getattr(settings, option)
        if value not in (None, ""):
            check_option(option, _text_fault(value))
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
    check_option("headers", _mapping_fault(headers))
    for name, value in (headers or {}).items():
        check_option("headers", _header_name_fault(name))
        lower = name.lower()
        if instead := _MANAGED_HEADERS.get(lower):
            raise InvalidSettings(f"headers: {name} is not one to set; {instead}", option="headers")
        if not _HEADER_NAME.fullmatch(lower) or header_fault(value):
            raise InvalidSettings(
                f"headers: {name!r} or its value holds a character that no header may hold",
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


_SENDABLE = re.compile(r"[\x21-\x7e]+")
_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_MANAGED_HEADERS = {
    "authorization": "pass token=, or username= and password=",
    "content-language": "pass content_language=",
    "content-length": "it follows from the body",
    "content-type": "it follows from the body",
    "proxy-authorization": "pass the user and password in proxy=",
    "host": "it follows from the endpoint",
    "transfer-encoding": "it follows from the body",
}
