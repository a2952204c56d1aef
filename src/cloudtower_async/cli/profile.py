"""The commands ``profile …`` and ``profiles``: list profiles, and choose the current profile."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cyclopts import App

from ..addresses import parse_proxy
from ..profiles import (
    DEFAULT,
    STORED,
    current_profile,
    default_profile,
    named_profile,
    read_profiles,
    use_profile,
)
from .errors import UsageError
from .language import tr
from .streams import print_error, write_output
from .tables import format_table

if TYPE_CHECKING:
    from ..profiles import Profile, TokenPlace

profile: App = App(name="profile", help="List profiles, and choose the current one.")


@profile.command
def use(name: str, /) -> None:
    """Choose the current profile. Commands use it if neither a profile nor an endpoint is set.

    Args:
        name: Name of a stored profile.
    """
    use_profile(name)
    print(
        tr(
            "The current profile is {name!r}, for {endpoint}",
            name=name,
            endpoint=named_profile(name).endpoint,
        )
    )


@profile.command(name="list")
def list_profiles() -> None:
    """List the profiles, mark the current profile, and show where each token is stored."""
    used = os.environ.get("CLOUDTOWER_PROFILE") or current_profile() or DEFAULT
    _print_profiles(
        ["current", "name", "endpoint", "username", "token"],
        {name: ["*" if name == used else "", *_cells(name, each)] for name, each in _stored()},
    )


def profiles() -> None:
    """Older form of `profile list`. This form does not mark the current profile."""
    _print_profiles(
        ["name", "endpoint", "username", "token"],
        {name: _cells(name, each) for name, each in _stored()},
    )


@profile.command
def show(name: str | None = None, /) -> None:
    """Show the options that a profile stores, but not its token.

    Args:
        name: Name of the profile. [default: the current profile]
    """
    if name is None:
        name = _required()
    stored = named_profile(name)
    rows = [["name", name], ["endpoint", stored.endpoint]]
    rows += [
        [option, _shown(option, value)]
        for option in ("username", *STORED)
        if (value := getattr(stored, option)) is not None
    ]
    rows.append(["token", _place(stored)])
    write_output(format_table(["option", "value"], rows))


@profile.command
def current() -> None:
    """Print the name of the profile that commands use now.

    This is the profile that CLOUDTOWER_PROFILE names, else the profile chosen with `profile use`,
    else the profile named `default`.
    """
    name = _required()
    print(name)
    if name != current_profile() and os.environ.get("CLOUDTOWER_PROFILE"):
        print_error(tr("It comes from CLOUDTOWER_PROFILE"))


def _stored() -> list[tuple[str, Profile]]:
    return list(read_profiles().items())


def _print_profiles(headings: list[str], lines: dict[str, list[str]]) -> None:
    if lines:
        write_output(format_table(headings, list(lines.values())))
    else:
        print_error(tr("There are no profiles: create one with `cloudtower-async login`"))


def _cells(name: str, stored: Profile) -> list[str]:
    return [name, stored.endpoint, stored.username or "", _place(stored)]


def _place(stored: Profile) -> TokenPlace:
    return "keyring" if stored.keyring else "file"


def _shown(option: str, value: object) -> str:
    if option == "proxy" and (proxy := parse_proxy(value, "proxy")):
        return proxy.address  # without credentials
    return str(value)


def _required() -> str:
    name = os.environ.get("CLOUDTOWER_PROFILE") or default_profile()
    if name is None:
        raise UsageError(
            tr(
                "no profile is chosen: choose one with `cloudtower-async profile use "
                "NAME`; `cloudtower-async profile list` lists them"
            )
        )
    return name
