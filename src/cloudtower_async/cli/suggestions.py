"""Suggestions for unknown commands and operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..spelling import did_you_mean, may_mean
from .command_table import command_table
from .resource_names import find_method, find_query, unknown_operation

if TYPE_CHECKING:
    from collections.abc import Sequence


def unknown_command(typed: str, chain: Sequence[str]) -> str:
    """Return the message about a command that does not exist.

    Args:
        typed: The unknown word.
        chain: The commands before it: ``("vm",)``.
    """
    group = " ".join(chain)
    names = command_table()[group]["commands"]
    if group:
        meant = did_you_mean(typed, names) or f"; expected one of {', '.join(names)}"
        return f"{group}: there is no command {typed!r}{meant}"
    meant = same_commands(typed) or did_you_mean(typed, names)
    if not meant and find_method(typed):
        meant = may_mean([f"`call {typed}`"])
    if not meant and find_query(typed):
        meant = may_mean([f"`get {typed}`"])
    return (
        f"there is no command {typed!r}{meant or '; `cloudtower-async --help` lists the commands'}"
    )


def suggest_for_operation(typed: str) -> str:
    """Return the message about an operation that does not exist; it also suggests a command."""
    message = unknown_operation(typed)
    commands = same_commands(typed).removeprefix("; did you mean ").removesuffix("?")
    return f"{message} The command {commands} is similar." if commands else message


def same_commands(typed: str) -> str:
    """Return the end of a message that suggests the commands with the same words, in any order.

    ``stop-vm`` and ``vms-stop`` suggest ``vm stop``. It is empty if there is no such command.
    """
    words = _words(typed)
    return may_mean([f"`{path}`" for path in command_table() if _words(path) == words])


def _words(text: str) -> set[str]:
    words = text.lower().replace("-", " ").replace("_", " ").split()
    return {word.removesuffix("s") for word in words}
