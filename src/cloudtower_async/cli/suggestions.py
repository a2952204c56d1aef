"""Error messages about unknown commands and operations, with suggestions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .command_table import command_table
from .language import tr
from .resource_names import find_method, find_query, unknown_operation
from .similar_names import did_you_mean, may_mean, one_of

if TYPE_CHECKING:
    from collections.abc import Sequence


def unknown_command(typed: str, chain: Sequence[str]) -> str:
    """Return the error message about a command that does not exist.

    Args:
        typed: The unknown word.
        chain: Commands before the unknown word: ``("vm",)``.
    """
    group = " ".join(chain)
    names = command_table()[group]["commands"]
    if group:
        meant = did_you_mean(typed, names) or tr(
            "; expected one of {names}", names=", ".join(names)
        )
        return tr(
            "{group}: there is no command {name!r}{meant}", group=group, name=typed, meant=meant
        )
    meant = may_mean(same_commands(typed)) or did_you_mean(typed, names)
    if not meant and find_method(typed):
        meant = may_mean([f"`call {typed}`"])
    if not meant and find_query(typed):
        meant = may_mean([f"`get {typed}`"])
    meant = meant or tr("; `cloudtower-async --help` lists the commands")
    return tr("there is no command {name!r}{meant}", name=typed, meant=meant)


def suggest_for_operation(typed: str) -> str:
    """Return the error message about an unknown operation, with similar operations and commands."""
    message = unknown_operation(typed)
    if not (commands := same_commands(typed)):
        return message
    return tr(
        "{message} The command {commands} is similar.", message=message, commands=one_of(commands)
    )


def same_commands(typed: str) -> list[str]:
    """Return the commands that have the same words as `typed` in any order, in backticks.

    ``stop-vm`` and ``vms-stop`` suggest ``vm stop``.
    """
    words = _words(typed)
    return [f"`{path}`" for path in command_table() if _words(path) == words]


def _words(text: str) -> set[str]:
    words = text.lower().replace("-", " ").replace("_", " ").split()
    return {word.removesuffix("s") for word in words}
