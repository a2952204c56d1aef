"""Table of commands and options, which completion reads instead of importing the commands.

Building the table imports every command, which takes a second or more. The table is therefore
cached in a file until the package changes.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any, TypedDict, cast

from ..folders import cache_folder
from .language import is_translated, tr
from .private_files import read_private, write_private

if TYPE_CHECKING:
    from cyclopts import App
    from cyclopts.argument import Argument

_FILE = "commands.json"
_TRANSLATED_FILE = "commands-translated.json"


class Value(TypedDict):
    """A positional argument, or an option with a value.

    Attributes:
        name: Name of the argument or option: ``"resource"``, ``"--output"``.
        help: One-line description.
        choices: Allowed values, or an empty list if any value is allowed.
        many: Whether the argument or option can be repeated.
    """

    name: str
    help: str
    choices: list[str]
    many: bool


class Command(TypedDict):
    """A command.

    Attributes:
        help: One-line description.
        commands: Names of the subcommands.
        positionals: Positional arguments.
        flags: One-line descriptions of the options without a value, by option name.
        options: Options with a value, by option name. An option with two names appears twice.
    """

    help: str
    commands: list[str]
    positionals: list[Value]
    flags: dict[str, str]
    options: dict[str, Value]


def command_table() -> dict[str, Command]:
    """Return the table of all commands. Its keys are paths of commands: ``"vm start"``."""
    key = _key()
    path = cache_folder() / (_TRANSLATED_FILE if is_translated() else _FILE)
    stored = read_private(path)
    if stored is not None:
        try:
            known: Any = json.loads(stored)
            if known["key"] == key:
                return cast("dict[str, Command]", known["commands"])
        except (ValueError, KeyError, TypeError):
            pass  # the file is broken: replace it
    table = make_table()
    write_private(path, json.dumps({"key": key, "commands": table}))
    return table


def make_table() -> dict[str, Command]:
    """Build and return the table of all commands without using the cache."""
    # Import `app` here, because `app` itself uses this table to suggest commands.
    app: App = importlib.import_module(f"{__package__}.app").app
    table: dict[str, Command] = {}
    _add(table, app, "")
    return table


def _key() -> list[object]:
    """Return what the table depends on: Python, the files of the package, and the language."""
    with os.scandir(os.path.dirname(__file__)) as files:  # noqa: PTH120 - pathlib is slower
        newest = max(file.stat().st_mtime_ns for file in files)
    return [sys.executable, __file__, newest, tr("Show help.")]


def _add(table: dict[str, Command], command: App, path: str) -> None:
    inner = {
        name: one for name, one in command.resolved_commands().items() if not name.startswith("-")
    }
    help_flags = [str(flag) for flag in command.help_flags]
    entry: Command = {
        "help": _first_sentence(command.help),
        "commands": list(inner),
        "positionals": [],
        "flags": dict.fromkeys(help_flags, tr("Show help.")),
        "options": {},
    }
    if not path:
        entry["flags"]["--version"] = tr("Show the version.")
    table[path] = entry
    if command.default_command is not None:
        for argument in command.assemble_argument_collection(parse_docstring=True):
            _add_argument(entry, argument)
    for name, one in inner.items():
        _add(table, one, f"{path} {name}".strip())


def _add_argument(entry: Command, argument: Argument) -> None:
    names = [name for name in argument.names if name != "*"]
    if not names:
        return  # a group; its options are added one by one
    about = _first_sentence(argument.parameter.help)
    choices = argument.get_choices()
    tokens, many = argument.token_count()
    value: Value = {
        "name": names[0].lower(),
        "help": about,
        "choices": list(choices or ()),
        "many": many,
    }
    if not names[0].startswith("-"):
        entry["positionals"].append(value)
    elif tokens == 0 or _is_bool(argument.hint):
        entry["flags"].update(dict.fromkeys(names, about))
    else:
        entry["options"].update(dict.fromkeys(names, value))


def _is_bool(hint: object) -> bool:
    return hint is bool or bool in getattr(hint, "__args__", ())


def _first_sentence(text: str | None) -> str:
    words = tr(" ".join((text or "").partition("\n\n")[0].split()))
    if is_translated():
        return words.partition("\u3002")[0]
    return words.partition(". ")[0].removesuffix(".")
