"""Suggestions of commands for what a user typed instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..spelling import did_you_mean, may_mean
from .resource_names import find_method, find_query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyclopts import App


def command_paths(app: App) -> list[str]:
    """Return all commands as they are typed: ``get``, ``vm stop``. This imports all of them."""
    paths: list[str] = []
    for name, command in app.resolved_commands().items():
        if not name.startswith("-"):
            inner = command_paths(command)
            paths += [f"{name} {path}" for path in inner] or [name]
    return paths


def unknown_command(app: App, typed: str, chain: Sequence[str]) -> str:
    """Return the message about a command that does not exist.

    Args:
        app: The program.
        typed: The word that is no command.
        chain: The commands before it: ``("vm",)``.
    """
    group = " ".join(chain)
    if group:
        known = [path for path in command_paths(app) if path.startswith(f"{group} ")]
        names = [path.removeprefix(f"{group} ") for path in known]
        meant = did_you_mean(typed, names) or f"; expected one of {', '.join(names)}"
        return f"{group}: there is no command {typed!r}{meant}"
    meant = same_commands(app, typed) or did_you_mean(typed, [*app.resolved_commands()])
    if not meant and find_method(typed):
        meant = may_mean([f"`call {typed}`"])
    if not meant and find_query(typed):
        meant = may_mean([f"`get {typed}`"])
    return (
        f"there is no command {typed!r}{meant or '; `cloudtower-async --help` lists the commands'}"
    )


def same_commands(app: App, typed: str) -> str:
    """Return the end of a message that suggests the commands with the same words, in any order.

    ``stop-vm`` and ``vms-stop`` suggest ``vm stop``. It is empty if there is no such command.
    """
    words = _words(typed)
    return may_mean([f"`{path}`" for path in command_paths(app) if _words(path) == words])


def _words(text: str) -> set[str]:
    words = text.lower().replace("-", " ").replace("_", " ").split()
    return {word.removesuffix("s") for word in words}
