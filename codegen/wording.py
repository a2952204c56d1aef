"""Sentences of generated docstrings, made from the schema and its history."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from . import names
from .schema import ListOf, Node, Operation, Property, Ref

# Maximum width of a docstring's lines, without the indentation of a method.
_WIDTH = 92

PAGING = ("after", "before", "first", "last", "orderBy", "skip")
"""Arguments of a query that select a page. They are not described for an operation that counts."""


def counted(number: int, noun: str) -> str:
    """Return a count with its noun: `1 operation`, `2 operations`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def namespace(name: str, tag: str, count: int) -> str:
    """Return the docstring of a namespace."""
    return (
        f'"""`tower.{name}`: {counted(count, "operation")}, from the tag `{tag}` of the API.\n\n'
        '    The base class `Namespace` describes the arguments that all operations have.\n    """'
    )


def below(text: str) -> list[str]:
    """Return the lines of the docstring of an attribute, or an empty list without a text."""
    return [f'"""{text}"""'] if text else []


def argument(prop: Property, kind: str, method: str = "") -> str:
    """Return the description of `where` or `data`. For other arguments, return `""`."""
    if prop.wire == "where":
        if isinstance(prop.node, Ref) and prop.node.name.endswith("WhereUniqueInput"):
            return "Filter for one resource: its `id` or another unique field."
        if kind != "QUERY":
            return "Filter for the resources to act on. To select all resources, pass `EVERYTHING`."
        if prop.required:
            return "Filter. `{}` matches all resources."
        return "Filter. Without a filter, all resources match."
    is_update = prop.wire == "data" and method.startswith("update_")
    return "Dict with the fields to change and their new values." if is_update else ""


def items(arguments: Node) -> str:
    """Return the description of the argument `items`, a list of dicts, for a docstring."""
    one = arguments.items if isinstance(arguments, ListOf) else None
    keys = f" `inputs.{one.name}` describes their keys." if isinstance(one, Ref) else ""
    return f"Sequence of dicts.{keys}"


def counts(operation: Operation) -> bool:
    """Return whether an operation returns only the number of the resources that match."""
    return operation.path.endswith("-connection")


def docstring(
    operation: Operation, text: str, kind: str, since: str, arguments: Mapping[str, str]
) -> list[str]:
    """Return the lines of a method's docstring.

    The first paragraph is `text` or, without a text, the name of the operation.
    """
    head = _wrapped(f'"""{text or _spelled_out(operation)}')
    facts = f"`{operation.method} {operation.path}`, since CloudTower {since}."
    if kind != "QUERY":
        facts += " Changes the server's state."
    lines = [*head, "", facts]
    if counts(operation):
        lines.append("Pass only `where`: `first` and `skip` may change the number.")
    if operation.auth == "BASIC":
        lines.append(
            "The call sends no token. It authenticates with the session's option `change_feed`"
            " (HTTP Basic)."
        )
    if operation.not_modified:
        reason = "there is nothing to change" if kind == "MUTATION" else "there is nothing to do"
        lines.append(f"Returns an empty list if {reason} (status 304).")
    if operation.deprecated:
        lines.append("Deprecated by the server.")
    said = {name: text for name, text in arguments.items() if text}
    if said:
        lines += ["", "Args:"]
        for name, text in said.items():
            lines += _wrapped(f"{name}: {text}", " " * 4, " " * 8)
    return [*lines, '"""']


def _wrapped(text: str, first_indent: str = "", indent: str = "") -> list[str]:
    """Return the lines of a text. Words with hyphens, such as SR-IOV, stay whole."""
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first_indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )


def _spelled_out(operation: Operation) -> str:
    return f"{names.snake(operation.id).replace('_', ' ').capitalize()}."
