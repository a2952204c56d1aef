"""Shell completion: print candidates for the word that the user is typing.

The shell scripts of the command ``completion`` start a process for each completion, so this module
imports as little as possible. Completion never prompts the user.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from .command_table import command_table
from .errors import UsageError
from .language import choose_language, tr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .command_table import Command, Value

FILES = ":files"
"""First line of the output if the shell should complete file names."""

WORDS = ":words"
"""First line of the output if candidates follow, one per line.

For shells other than bash, a tab and a description follow each candidate.
"""

_MAX_CANDIDATES = 2000

_GROUPS = {
    "vm": "vms",
    "host": "hosts",
    "cluster": "clusters",
    "snapshot": "vm-snapshots",
    "label": "labels",
    "alert": "alerts",
    "task": "tasks",
    "template": "content-library-vm-templates",
    "image": "content-library-images",
    "backup": "vms",
}
"""Kind of resource that each group of commands is about, by the first word of the command."""

_NAMED = {
    "clusters": "clusters",
    "datacenter": "datacenters",
    "host": "hosts",
    "hosts": "hosts",
    "folder": "vm-folders",
    "image": "content-library-images",
    "images": "content-library-images",
    "snapshot": "vm-snapshots",
    "snapshots": "vm-snapshots",
    "template": "content-library-vm-templates",
    "templates": "content-library-vm-templates",
    "vlan": "vlans",
    "vm": "vms",
    "vms": "vms",
    "cluster": "clusters",
    "network": "vlans",
    "source": "vms",
    "to": "hosts",
    "volume": "vm-volumes",
}
"""Kind of resource whose names an argument or option accepts, by argument or option."""

_NEW = {("vm create", "names"), ("vm clone", "names"), ("template deploy", "vms")}
"""Arguments that name new resources, as pairs of a command and an argument."""

_METRIC_SUBJECTS = {
    "vm": "vms",
    "vm-network": "vms",
    "vm-volume": "vm-volumes",
    "host": "hosts",
    "host-network": "hosts",
    "disk": "disks",
    "cluster": "clusters",
}

_FILE_VALUES = {"--ca-file", "file"}


class Typed(NamedTuple):
    """Parsed command line, up to the word to complete.

    Attributes:
        path: The command: ``"vm start"``.
        command: The command's entry in `command_table`.
        positionals: Positional arguments before the word.
        options: Values of the options that were typed, by name: ``--output``, also for ``-o``.
        word: The word to complete.
        value: Argument or option that has the word as its value. None if the word is a command or
            the name of an option.
        only_values: Whether ``--`` was typed, after which no option can follow.
    """

    path: str
    command: Command
    positionals: list[str]
    options: dict[str, list[str]]
    word: str
    value: Value | None
    only_values: bool


def main(arguments: Sequence[str]) -> int:
    """Print the candidates for the last word of a command line, and return 0.

    Args:
        arguments: For bash: ``"bash"``, the line up to the cursor, and the characters at which bash
            splits words. For other shells: ``"words"`` and the words up to the cursor.
    """
    kind, *rest = arguments
    with suppress(UsageError):
        choose_language(split_line(rest[0]) if kind == "bash" else rest)
    words = split_line(rest[0]) if kind == "bash" else rest
    try:
        found = candidates(words)
    except Exception:  # an error message would disturb the line that the user is typing
        found = {}
    if found is None:
        print(FILES)
        return 0
    lines = [WORDS]
    if kind == "bash":
        start = _divided(words[-1], rest[1])
        lines += [name[start:] for name in found]
    else:
        lines += [f"{name}\t{about}" for name, about in found.items()]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def candidates(words: Sequence[str]) -> dict[str, str] | None:
    """Return the candidates for the last word, each with its description.

    None means that the shell should complete file names.

    Args:
        words: The words up to the cursor, including the name of the program.
    """
    typed = parse_words(words[1:], command_table())
    word = typed.word
    if typed.value is not None:
        equals = word.startswith("--") and "=" in word
        option, _, part = word.partition("=") if equals else ("", "", word)
        found = _values(typed, typed.value, part)
        if found is None:
            return None
        before = f"{option}=" if equals else ""
        return _starting(word, ((f"{before}{name}", about) for name, about in found))
    if word.startswith("-") and not typed.only_values:
        named = typed.command["flags"] | {
            name: value["help"] for name, value in typed.command["options"].items()
        }
        return _starting(word, named.items())
    table = command_table()
    inner = ((name, f"{typed.path} {name}".strip()) for name in typed.command["commands"])
    return _starting(word, ((name, table[path]["help"]) for name, path in inner))


def parse_words(words: Sequence[str], table: Mapping[str, Command]) -> Typed:
    """Parse a command line without the program name. The last word is the word to complete."""
    path, command = "", table[""]
    positionals: list[str] = []
    options: dict[str, list[str]] = {}
    pending: Value | None = None
    only_positionals = False
    for word in words[:-1]:
        if pending is not None:
            options.setdefault(pending["name"], []).append(word)
            pending = None
        elif word == "--":
            only_positionals = True
        elif word.startswith("-") and word != "-" and not only_positionals:
            name, equals, text = word.partition("=")
            option = command["options"].get(name)
            if option is not None and equals:
                options.setdefault(option["name"], []).append(text)
            elif option is None:
                options.setdefault(name, []).append("")
            else:
                pending = option
        elif word in command["commands"] and not positionals:
            path = f"{path} {word}".strip()
            command = table[path]
        else:
            positionals.append(word)
    word = words[-1]
    value = pending
    if value is None and not only_positionals and word.startswith("-"):
        name, equals, _ = word.partition("=")
        value = command["options"].get(name) if equals else None
    elif value is None and not command["commands"]:
        known = command["positionals"]
        if len(positionals) < len(known):
            value = known[len(positionals)]
        elif known and known[-1]["many"]:
            value = known[-1]
    return Typed(path, command, positionals, options, word, value, only_positionals)


def split_line(line: str) -> list[str]:
    """Split a shell command line into words and remove quotes. The last word may be incomplete."""
    words: list[str] = []
    word: str | None = None
    quote, escaped = "", False
    for character in line:
        if escaped:
            word, escaped = (word or "") + character, False
        elif character == "\\" and quote != "'":
            escaped = True
        elif quote:
            if character == quote:
                quote = ""
            else:
                word = (word or "") + character
        elif character in "'\"":
            quote, word = character, word or ""
        elif character.isspace():
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + character
    return [*words, word or ""]


def _divided(word: str, breaks: str) -> int:
    """Return the length of the start of `word` that bash keeps: 8 for ``--where=na``.

    bash replaces only the text after the last ``=`` or ``:`` that is in `breaks`.
    """
    return max((word.rfind(character) + 1 for character in breaks if character in "=:"), default=0)


def _starting(word: str, found: Iterable[tuple[str, str]]) -> dict[str, str]:
    return dict(islice((one for one in found if one[0].startswith(word)), _MAX_CANDIDATES))


def _values(typed: Typed, value: Value, part: str) -> Iterable[tuple[str, str]] | None:
    """Return candidates and descriptions for a value that begins with `part`.

    None means that the shell should complete file names.
    """
    name = value["name"]
    if value["choices"]:
        return _plain(value["choices"])
    if name in _FILE_VALUES or part.startswith("@"):
        return None
    if name in ("--profile", "--profiles") or typed.path in ("profile use", "profile show"):
        return _profiles(part, several=name == "--profiles")
    if name == "--metric":
        return _plain(_metrics(typed))
    if name in ("--where", "--columns", "--sort", "--order-by"):
        resource = _resource(typed)
        return () if resource is None else _fields(resource, name, part)
    if typed.path in ("get", "resources", "explain", "call", "metrics"):
        found = _topics(typed, name, part)
        if found is not None:
            return found
    named = _named(typed, name)
    if named is None:
        return ()
    from .server_names import server_names

    return _plain(server_names(named, part, typed.options))


def _named(typed: Typed, name: str) -> str | None:
    """Return the kind of resource that an argument or option takes.

    For example, ``--cluster`` takes ``"clusters"``. Return None if `name` takes no resource.
    """
    group = typed.path.partition(" ")[0]
    # The option ``--source`` is an authentication source. The argument ``source`` is a VM.
    if (typed.path, name) in _NEW or name == "--source":
        return None
    if typed.path == "metrics" and typed.positionals:
        return _METRIC_SUBJECTS.get(typed.positionals[0])
    if group == "label" and name == "names":
        return f"{typed.options.get('--kind', ['vm'])[-1]}s"
    if name in ("names", "name") and group != "disk":
        return _GROUPS.get(group)
    return _NAMED.get(name.lstrip("-"))


def _plain(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    return ((name, "") for name in names)


def _profiles(part: str, *, several: bool) -> Iterator[tuple[str, str]]:
    from ..profiles import read_profiles

    stored = read_profiles()
    before = part[: part.rfind(",") + 1] if several else ""
    used = before.split(",")
    for name, profile in stored.items():
        if name not in used:
            yield f"{before}{name}", profile.endpoint
    if several and not before:
        yield "all", tr("every profile")


def _metrics(typed: Typed) -> list[str]:
    from .metrics import known_metrics

    kind = typed.positionals[0] if typed.positionals else ""
    return known_metrics(kind) if kind in _METRIC_SUBJECTS else []  # type: ignore[arg-type]


def _resource(typed: Typed) -> str | None:
    """Return the kind of resource that a command lists or changes, or None."""
    if typed.path == "get":
        return typed.positionals[0] if typed.positionals else None
    return _GROUPS.get(typed.path.partition(" ")[0])


def _topics(typed: Typed, name: str, part: str) -> Iterable[tuple[str, str]] | None:
    """Return candidates for an argument that names a resource, an operation or a kind of metric.

    Return None if the argument has no such candidates.
    """
    from .resource_names import operation_names, resource_names

    if name == "resource":
        return _plain(resource_names())
    if name == "operation":
        return _plain(operation_names())
    if name == "kind":
        return _plain(_METRIC_SUBJECTS)
    if name == "topic" and "." in part:
        from .field_names import inner_names

        return _plain(inner_names(part))
    if name == "topic" and not typed.positionals:
        return _plain([*resource_names(), *operation_names()])
    return None


def _fields(resource: str, option: str, part: str) -> Iterator[tuple[str, str]]:
    from .field_names import filter_keys, filter_values, order_names, table_column_names

    if option == "--order-by":
        return _plain(order_names(resource))
    if option == "--sort":
        return _plain(table_column_names(resource))
    if option == "--columns":
        before = part[: part.rfind(",") + 1]
        used = before.split(",")
        names = table_column_names(resource)
        return _plain(f"{before}{name}" for name in names if name not in used)
    key, equals, _ = part.partition("=")
    if equals:
        return _plain(f"{key}={value}" for value in filter_values(resource, key))
    return _plain(filter_keys(resource, part))
