"""From options and environment to a session."""

from __future__ import annotations

import dataclasses
import getpass
import sys
from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from ..errors import InvalidSettings
from ..session import Cloudtower
from ..settings import Source, from_environment
from .endings import UsageError

if TYPE_CHECKING:
    from ..types import ContentLanguage

_GROUP = Group(
    "Connection",
    help="What is not given comes from CLOUDTOWER_ENDPOINT, CLOUDTOWER_USERNAME, "
    "CLOUDTOWER_SOURCE, CLOUDTOWER_TOKEN, CLOUDTOWER_CONTENT_LANGUAGE, CLOUDTOWER_VERIFY_TLS and "
    "CLOUDTOWER_CA_FILE; there a token wins over a user name, but --username wins over it. The "
    "password is that of CLOUDTOWER_PASSWORD, or asked for on a terminal; it is no option, as "
    "others can see what a process was started with.",
    sort_key=2,
)


@Parameter(name="*", group=_GROUP)
@dataclasses.dataclass(frozen=True, kw_only=True)
class ConnectOptions:
    """How to reach a CloudTower, and as whom."""

    endpoint: str | None = None
    "Address of the server: https://tower.example."

    username: str | None = None
    "Name to log in with."

    source: Source | None = None
    "Where that user is kept; LDAP for a directory. [default: LOCAL]"

    token: str | None = None
    "A token or an API key, instead of logging in."

    verify_tls: Annotated[bool | None, Parameter(negative="--no-verify-tls")] = None
    "Check the server's certificate."

    ca_file: Path | None = None
    "PEM file with the authorities to trust instead of the system's."


def connect(
    options: ConnectOptions,
    *,
    language: ContentLanguage | None = None,
    all_languages: bool = True,
    or_else: str = "",
) -> Cloudtower:
    """Make a session; asks for the password when it is missing and someone is there to answer.

    Args:
        options: What was typed.
        language: Language of texts; None: that of the environment.
        all_languages: Whether texts may be JSON with each language. If not, the environment's
            ``*`` counts as not set.
        or_else: What can be done without an endpoint.

    Raises:
        UsageError: The endpoint or the credentials are missing.
        InvalidSettings: One of the options or variables cannot be used.
    """
    given = {**dataclasses.asdict(options), "content_language": language}
    try:
        found: dict[str, Any] = from_environment(given)
    except InvalidSettings as exc:
        if exc.option != "CLOUDTOWER_ENDPOINT":
            raise
        otherwise = f", or {or_else}" if or_else else ""
        raise UsageError(
            f"no endpoint: pass --endpoint or set CLOUDTOWER_ENDPOINT{otherwise}"
        ) from None
    if found.get("content_language") == "*" and not all_languages:
        del found["content_language"]
    if not found.get("token"):
        if not found.get("username"):
            raise UsageError(
                "no credentials: pass --username or set CLOUDTOWER_USERNAME, or pass --token"
            )
        if "password" not in found:
            found["password"] = _ask_password(found["username"])
    return Cloudtower(**found)


def _ask_password(username: str) -> str | None:
    if not sys.stdin.isatty():
        raise UsageError("no password: set CLOUDTOWER_PASSWORD, or run this on a terminal")
    return getpass.getpass(f"Password of {username}: ") or None
