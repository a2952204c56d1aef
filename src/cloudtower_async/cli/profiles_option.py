"""The option ``--profiles``: several stored profiles, and a session for each."""

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
"""Value of the option that stands for every profile."""


def parse_profiles(text: str) -> list[str]:
    """Return the names of the profiles that a user chose, each once.

    Args:
        text: Comma-separated names, or ``all``.

    Raises:
        UsageError: No profile is stored or named, or one of the names is unknown.
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
    """Return a session for each chosen profile, by name of the profile; no session is open yet.

    Each session takes everything from its profile. ``CLOUDTOWER_…`` variables are not used: one
    token or one password must not reach several servers. Call this outside the event loop, because
    it reads files.

    Args:
        text: See `parse_profiles`.
        options: Further options of every session, which override the options of the profile.
        connection: Options from the command line, none of which may say how to reach a server.
        all_languages: Whether texts in every language (``*``) are accepted. If not, ``*`` in a
            profile is ignored.

    Raises:
        UsageError: See `parse_profiles`; also raised if an option says how to reach a server.
        InvalidSettings: A profile cannot be used; the error names it.
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
