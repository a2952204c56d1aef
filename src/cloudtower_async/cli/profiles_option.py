"""Parsing of the option ``--profiles``, and creation of a session for each profile."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ..client import Cloudtower
from ..errors import InvalidSettings
from ..profiles import from_profile, profiles_file, read_profiles
from .connect import ConnectOptions
from .errors import UsageError
from .language import tr
from .messages import show_exchanges
from .similar_names import did_you_mean

if TYPE_CHECKING:
    from ..options import SessionOptions

ALL = "all"
"""Value of the option ``--profiles`` that selects every stored profile."""


def parse_profiles(text: str) -> list[str]:
    """Return the names of the profiles that the user chose, without duplicates.

    Args:
        text: Comma-separated names, or ``all``.

    Raises:
        UsageError: No profile is stored, `text` contains no name, or a name is unknown.
        InvalidSettings: The file with the profiles cannot be read.
    """
    known = read_profiles()
    if not known:
        raise UsageError(
            tr(
                "--profiles: no profile is stored in {file}: create one with "
                "`cloudtower-async login --profile NAME`",
                file=profiles_file(),
            )
        )
    if text == ALL:
        return list(known)
    names = list(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))
    if not names:
        raise UsageError(
            tr("--profiles: expected {all}, or names with commas between them", all=ALL)
        )
    for name in names:
        if name not in known:
            raise UsageError(
                tr(
                    "--profiles: no profile {name!r} in {file}{meant}",
                    name=name,
                    file=profiles_file(),
                    meant=did_you_mean(name, known, few=True),
                )
            )
    return names


def profile_sessions(
    text: str,
    options: SessionOptions | None = None,
    *,
    connection: ConnectOptions | None = None,
    all_languages: bool = True,
) -> dict[str, Cloudtower]:
    """Return a dict from profile names to sessions that are not open yet.

    Each session uses only the options of its profile. ``CLOUDTOWER_…`` variables are ignored, so
    that one token or one password is never sent to several servers. Call this function outside an
    event loop, because it reads files.

    Args:
        text: Comma-separated names of profiles, or ``all``.
        options: Further options of every session, which override the options of the profile.
        connection: Connection options from the command line. Only ``--verbose`` is allowed.
        all_languages: Whether to use the content language ``*``, which requests texts in every
            language. If False, ``*`` is ignored.

    Raises:
        UsageError: `connection` sets an option other than ``--verbose``, no profile is stored, or
            `text` contains no name or an unknown name.
        InvalidSettings: A profile is invalid or has no token. The error message names the profile.
    """
    connection = connection or ConnectOptions()
    if dataclasses.replace(connection, verbose=0) != ConnectOptions():
        raise UsageError(
            tr(
                "--profiles: each profile says how to reach its server; leave out the "
                "connection options"
            )
        )
    show_exchanges(connection.verbose)
    sessions: dict[str, Cloudtower] = {}
    for name in parse_profiles(text):
        found: dict[str, Any] = {**from_profile(name, {}), **(options or {})}
        if found.get("content_language") == "*" and not all_languages:
            del found["content_language"]
        if "token" not in found:
            raise InvalidSettings(
                tr(
                    "profile {name}: it stores no token: log in again with `cloudtower-async "
                    "login --profile {name}`",
                    name=name,
                ),
                option="profile",
            )
        sessions[name] = Cloudtower(**found)
    return sessions
