"""The commands ``login`` and ``logout``: store and delete profiles."""

from __future__ import annotations

import dataclasses
import os
import sys
from typing import TYPE_CHECKING, Any

import anyio

from ..addresses import parse_proxy
from ..client import Cloudtower
from ..control_characters import printable
from ..profiles import (
    DEFAULT,
    STORED,
    Profile,
    current_profile,
    profiles_file,
    read_profiles,
    remove_profile,
    save_profile,
)
from .connect import ConnectOptions, ask, gather_options
from .language import mark, tr
from .messages import warn

if TYPE_CHECKING:
    from collections.abc import Mapping


def login(*, connection: ConnectOptions | None = None) -> None:
    """Log in, and store the token in a profile for later commands.

    The password is not stored. If the extra "keyring" is installed and a keyring is available, the
    token is stored in the system's keyring. Otherwise, the token is stored in the profiles file,
    which only you can read. Options you omit keep the value stored in the profile. On a terminal,
    the command asks for missing values.

    Args:
        connection: Connection options.
    """
    options = connection or ConnectOptions()
    stored = read_profiles()
    name = options.profile or os.environ.get("CLOUDTOWER_PROFILE") or _renewed(options, stored)
    completed = _completed(options, stored.get(name))
    found = gather_options(completed, or_else=mark("run this on a terminal"))
    token = anyio.run(_token, Cloudtower(**found))
    profile = _profile(found)
    place = save_profile(name, profile, token)
    if (proxy := parse_proxy(found.get("proxy"), "proxy")) and proxy.username is not None:
        warn(tr("the credentials of the proxy are not stored: keep CLOUDTOWER_PROXY set"))
    where = tr("the keyring") if place == "keyring" else str(profiles_file())
    server = profile.endpoint
    if profile.username:
        server = tr("{server} as {username}", server=server, username=profile.username)
    print(
        tr(
            "Logged in to {server}. The token of profile {name!r} is stored in {where}.",
            server=printable(server),
            name=name,
            where=where,
        )
    )


def logout(*, profile: str | None = None) -> None:
    """Delete a profile and its token. The token stays valid on the server.

    Args:
        profile: Name of the profile. [default: CLOUDTOWER_PROFILE, else the profile chosen with
            `profile use`, else the profile named default]
    """
    name = profile or os.environ.get("CLOUDTOWER_PROFILE") or current_profile() or DEFAULT
    remove_profile(name)
    print(tr("Deleted profile {name!r}.", name=name))


def _completed(options: ConnectOptions, known: Profile | None) -> ConnectOptions:
    """Return `options` with missing values filled in.

    The values come from `known` if it is a profile for this server, and otherwise from prompts on
    the terminal.
    """
    given = {
        option: typed or os.environ.get(f"CLOUDTOWER_{option.upper()}")
        for option in (
            "endpoint",
            "username",
            "source",
            "token",
            "mutations",
            "verify_tls",
            "ca_file",
            "proxy",
            "trust_env",
        )
        if (typed := getattr(options, option, None)) is not None
        or os.environ.get(f"CLOUDTOWER_{option.upper()}")
    }
    anonymous = not (options.token_stdin or given.keys() & {"username", "token"})
    # Merge the profile here without its token, because ``login`` stores a new token.
    filled: dict[str, Any] = {"profile": ""}
    if known is not None and _same_server(given.get("endpoint"), known):
        filled |= {
            option: getattr(known, option)
            for option in (
                "endpoint",
                "source",
                "mutations",
                "verify_tls",
                "ca_file",
                "proxy",
                "trust_env",
            )
            if option not in given
        }
        if anonymous:
            filled["username"] = known.username
    elif sys.stdin.isatty():
        if "endpoint" not in given:
            filled["endpoint"] = ask(tr("Address of CloudTower: ")).strip() or None
        if anonymous:
            filled["username"] = ask(tr("Username: ")).strip() or None
    return dataclasses.replace(options, **filled)


def _renewed(options: ConnectOptions, stored: Mapping[str, Profile]) -> str:
    """Return the name of the profile to store if the user gives none.

    This is the current profile if it is for the same server, otherwise `DEFAULT`.
    """
    current = current_profile()
    endpoint = options.endpoint or os.environ.get("CLOUDTOWER_ENDPOINT")
    if current is not None and current in stored and _same_server(endpoint, stored[current]):
        return current
    return DEFAULT


def _same_server(endpoint: str | None, known: Profile) -> bool:
    return endpoint is None or Profile(endpoint=endpoint).addresses == known.addresses


async def _token(tower: Cloudtower) -> str:
    async with tower:
        await tower.cluster.get_clusters(first=1)  # check that the server accepts the token
        return await tower.get_token()


def _profile(found: dict[str, Any]) -> Profile:
    endpoint = found["endpoint"]
    kept = {option: found[option] for option in ("username", *STORED) if option in found}
    if proxy := parse_proxy(kept.get("proxy"), "proxy"):
        kept["proxy"] = proxy.address  # without credentials, because profiles store no password
    if "ca_file" in kept:
        kept["ca_file"] = os.path.abspath(kept["ca_file"])  # noqa: PTH100 - keeps symbolic links
    if found.get("token"):
        kept.pop("username", None)
    return Profile(endpoint=endpoint if isinstance(endpoint, str) else ",".join(endpoint), **kept)
