"""From options and environment to a session."""

from __future__ import annotations

import getpass
import os
import sys
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from ..session import Cloudtower
from .endings import UsageError

if TYPE_CHECKING:
    from ..types import ContentLanguage

_GROUP = Group(
    "Connection",
    help="What is not given comes from CLOUDTOWER_ENDPOINT, CLOUDTOWER_USERNAME, "
    "CLOUDTOWER_SOURCE, CLOUDTOWER_TOKEN, CLOUDTOWER_VERIFY_TLS and CLOUDTOWER_CA_FILE. The "
    "password is that of CLOUDTOWER_PASSWORD, or asked for on a terminal; it is no option, as "
    "others can see what a process was started with.",
    sort_key=2,
)


@Parameter(name="*", group=_GROUP)
@dataclass(frozen=True, kw_only=True)
class ConnectOptions:
    """How to reach a CloudTower, and as whom."""

    endpoint: str | None = None
    "Address of the server: https://tower.example."

    username: str | None = None
    "Name to log in with."

    token: str | None = None
    "A token or an API key, instead of logging in."

    verify_tls: Annotated[bool | None, Parameter(negative="--no-verify-tls")] = None
    "Check the server's certificate."

    ca_file: Path | None = None
    "PEM file with the authorities to trust instead of the system's."


def connect(options: ConnectOptions, *, language: ContentLanguage | None) -> Cloudtower:
    """Make a session; asks for the password when it is missing and someone is there to answer.

    Raises:
        UsageError: The endpoint or the credentials are missing.
        InvalidSettings: One of the options or variables cannot be used.
    """
    if not (options.endpoint or _variable("ENDPOINT")):
        raise UsageError(
            "no endpoint: pass --endpoint or set CLOUDTOWER_ENDPOINT, or pass --demo to see a "
            "simulated fleet"
        )
    return Cloudtower.from_env(
        endpoint=options.endpoint,
        username=options.username,
        password=_password(options),
        token=options.token,
        verify_tls=options.verify_tls,
        ca_file=options.ca_file,
        content_language=language,
    )


def _password(options: ConnectOptions) -> str | None:
    """The password if it was asked for; None when the environment has it or none is needed."""
    if options.token or (_variable("TOKEN") and not options.username):
        return None
    username = options.username or _variable("USERNAME")
    if not username:
        raise UsageError(
            "no credentials: pass --username or set CLOUDTOWER_USERNAME, or pass --token"
        )
    if _variable("PASSWORD"):
        return None
    if not sys.stdin.isatty():
        raise UsageError("no password: set CLOUDTOWER_PASSWORD, or run this on a terminal")
    return getpass.getpass(f"Password of {username}: ") or None


def _variable(name: str) -> str | None:
    return os.environ.get(f"CLOUDTOWER_{name}")
