"""Connection options, and sessions created from options, environment variables and profile."""

from __future__ import annotations

import dataclasses
import getpass
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from ..addresses import parse_proxy
from ..client import Cloudtower
from ..control_characters import printable
from ..errors import InvalidSettings
from ..options import Mutations, Source, from_environment
from ..profiles import default_profile, read_profiles
from ..validators import encoding_fault
from .errors import UsageError
from .language import content_language, mark, tr
from .messages import show_exchanges
from .streams import print_error

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from ..operation_call import Middleware

LOG_IN = mark("log in once with `cloudtower-async login`")
"""Advice at the end of the error message about a missing endpoint."""

_MAX_TOKEN = 1 << 16  # bytes
_COLONS = ": \uff1a"

_GROUP = Group(
    "Connection",
    help="Defaults come from CLOUDTOWER_ENDPOINT, CLOUDTOWER_USERNAME, "
    "CLOUDTOWER_SOURCE, CLOUDTOWER_TOKEN, CLOUDTOWER_CONTENT_LANGUAGE, CLOUDTOWER_MUTATIONS, "
    "CLOUDTOWER_VERIFY_TLS, CLOUDTOWER_CA_FILE and CLOUDTOWER_PROXY, then from the profile. "
    "CLOUDTOWER_TOKEN takes precedence over CLOUDTOWER_USERNAME, but not over --username. The "
    "password comes from CLOUDTOWER_PASSWORD, or from a prompt on the terminal. There are no "
    "options for the password and the token, because other users can see the arguments of a "
    "process. To pass a token, use --token-stdin.",
    sort_key=2,
)


@Parameter(name="*", group=_GROUP)
@dataclasses.dataclass(frozen=True, kw_only=True)
class ConnectOptions:
    """Options for the address of a CloudTower and the credentials."""

    profile: str | None = None
    """Stored profile to use. [default: CLOUDTOWER_PROFILE, else the profile chosen with
    `profile use`, else the profile named default]"""

    endpoint: str | None = None
    """Address of the server: https://tower.example. For an active/passive pair, pass both
    addresses, separated by a comma."""

    username: str | None = None
    "Username to log in with."

    source: Source | None = None
    "Authentication source of the user: LOCAL or LDAP. [default: LOCAL]"

    auth_config_id: str | None = None
    "Id of the LDAP strategy to log in with, if the server has several."

    token_stdin: Annotated[bool, Parameter(negative="", show_default=False)] = False
    "Read a token or an API key from standard input, instead of logging in."

    mutations: Mutations | None = None
    """How to handle calls that change the server. allow sends the calls. plan only shows the
    planned changes (a dry run). refuse raises an error. [default: allow]"""

    verify_tls: Annotated[bool | None, Parameter(negative="--no-verify-tls")] = None
    "Verify the server's certificate."

    ca_file: Path | None = None
    "PEM file with the certificate authorities to trust. They replace the system's authorities."

    proxy: str | None = None
    """Address of an HTTP proxy: http://proxy.example:3128. If the proxy needs credentials, set
    CLOUDTOWER_PROXY instead."""

    trust_env: Annotated[bool | None, Parameter(negative="--no-trust-env")] = None
    "Use the proxy settings in HTTPS_PROXY, HTTP_PROXY and NO_PROXY."

    verbose: Annotated[
        int, Parameter(name=("--verbose", "-v"), count=True, negative="", show_default=False)
    ] = 0
    """Print each exchange with the server to standard error, with its request id. -vv also prints
    requests and responses, without secrets."""


def connect(
    options: ConnectOptions,
    *,
    all_languages: bool = True,
    or_else: str = LOG_IN,
    middleware: Sequence[Middleware] = (),
) -> Cloudtower:
    """Create a session. If a password is missing, ask for the password on the terminal.

    Call this function outside an event loop, because the prompt blocks.

    Args:
        options: Options from the command line.
        all_languages: Whether the content language may be ``*``, which requests texts in every
            language. If False, the value ``*`` is ignored.
        or_else: Advice at the end of the error message about a missing endpoint.
        middleware: Middleware of the session.

    Raises:
        UsageError: The endpoint or the credentials are missing.
        InvalidSettings: An option, an environment variable or the profile is invalid.
    """
    found = gather_options(options, or_else=or_else)
    if found.get("content_language") == "*" and not all_languages:
        del found["content_language"]
    return Cloudtower(**found, middleware=middleware)


def place_of(tower: Cloudtower, options: ConnectOptions) -> str:
    """Return the display name of the server: the name of the profile, or else the host."""
    named = options.profile or os.environ.get("CLOUDTOWER_PROFILE")
    return named or tower.endpoint.partition("://")[2]


@asynccontextmanager
async def planning(tower: Cloudtower) -> AsyncGenerator[None]:
    """Open the session for a ``with`` block. In plan mode, print the plan after the block."""
    try:
        async with tower:
            yield
    finally:
        if tower.mutations == "plan":
            print_error(tr("Plan (nothing was sent):\n{plan}", plan=tower.plan))


def gather_options(options: ConnectOptions, *, or_else: str = LOG_IN) -> dict[str, Any]:
    """Return arguments for `Cloudtower` from options, environment variables and profile.

    If a password is needed but missing, ask for it on the terminal. For `or_else`, see `connect`.
    """
    given = {**dataclasses.asdict(options), "content_language": content_language()}
    del given["verbose"]
    show_exchanges(options.verbose)
    if options.endpoint is not None and "," in options.endpoint:
        given["endpoint"] = options.endpoint.split(",")
    proxy = parse_proxy(options.proxy, "--proxy")
    if proxy is not None and proxy.username is not None:
        raise UsageError(
            tr(
                "--proxy: other users can see the arguments of a process: set "
                "CLOUDTOWER_PROXY to an address with user and password"
            )
        )
    profile = given.pop("profile")
    if given.pop("token_stdin"):
        given["token"] = _read_token()
    if profile is None and not (
        os.environ.get("CLOUDTOWER_PROFILE")
        or options.endpoint
        or os.environ.get("CLOUDTOWER_ENDPOINT")
    ):
        profile = default_profile()
    try:
        found: dict[str, Any] = from_environment(given, profile)
    except InvalidSettings as exc:
        if exc.option != "CLOUDTOWER_ENDPOINT":
            raise
        raise UsageError(
            tr(
                "no endpoint: pass --endpoint, set CLOUDTOWER_ENDPOINT, {choice}or {or_else}",
                choice=_choose_profile(),
                or_else=tr(or_else),
            )
        ) from None
    if not found.get("token"):
        if not found.get("username"):
            raise UsageError(
                tr("no credentials: pass --username or set CLOUDTOWER_USERNAME or CLOUDTOWER_TOKEN")
            )
        if "password" not in found:
            hint = _unused_token(options, profile or os.environ.get("CLOUDTOWER_PROFILE"))
            found["password"] = _ask_password(found["username"], found["endpoint"], hint)
    return found


def _unused_token(options: ConnectOptions, name: str | None) -> str:
    """Return the part of an error message that says why the token of a profile is not used.

    Return an empty text if no profile is used, or if the profile has no token.
    """
    profile = read_profiles().get(name) if name else None
    if profile is None or not (profile.token or profile.keyring):
        return ""
    if options.username:
        text = mark("; the token of profile {name!r} is not used because --username is passed")
    else:
        text = mark(
            "; the token of profile {name!r} is not used because CLOUDTOWER_USERNAME is set: to "
            "use the token, run `unset CLOUDTOWER_USERNAME`"
        )
    return tr(text, name=name)


def _choose_profile() -> str:
    """Return the part of an error message that lists the stored profiles.

    Return an empty text if no profile is stored.
    """
    names = ", ".join(read_profiles())
    if not names:
        return ""
    return tr("choose a profile with `cloudtower-async profile use` ({names}), ", names=names)


def ask(question: str, *, hidden: bool = False) -> str:
    """Ask the user a question on the terminal, and return the typed answer.

    Raises:
        UsageError: The answer is not UTF-8, or the terminal was closed.
    """
    question = printable(question)
    try:
        answer = getpass.getpass(question) if hidden else input(question)
        fault = encoding_fault(answer)
    except UnicodeDecodeError:
        fault, answer = tr("it contains a byte that is not UTF-8"), ""
    except EOFError:
        fault, answer = tr("nothing was typed"), ""
    if fault is not None:
        raise UsageError(f"{question.rstrip(_COLONS)}: {fault}")
    return answer


def _read_token() -> str:
    if sys.stdin.isatty():
        return ask(tr("Token: "), hidden=True)
    token = sys.stdin.buffer.read(_MAX_TOKEN + 1)
    text = token.decode("ascii", "replace").rstrip("\r\n")
    if not text or len(token) > _MAX_TOKEN:
        raise UsageError(tr("--token-stdin: expected one token on standard input"))
    return text


def _ask_password(username: str, endpoint: str | list[str], hint: str) -> str | None:
    if not sys.stdin.isatty():
        text = tr("no password: set CLOUDTOWER_PASSWORD, or run this on a terminal")
        raise UsageError(text + hint)
    server = endpoint if isinstance(endpoint, str) else ",".join(endpoint)
    return (
        ask(
            tr("Password of {username} on {server}: ", username=username, server=server),
            hidden=True,
        )
        or None
    )
