"""The sentences of generated docstrings: facts of the schema and its history, nothing else."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from . import names
from .schema import Operation

# Without the indentation of a method.
_WIDTH = 92


def counted(number: int, noun: str) -> str:
    """`1 operation`, `2 operations`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def namespace(tag: str) -> list[str]:
    """The lines of a namespace's docstring: what it is about, and what its methods share."""
    return [
        f'"""Operations of the API\'s tag `{tag}`.',
        "",
        "Each also takes `content_language` (of texts in the answer) and `timeout` (seconds for",
        "the whole call), None for those of the session, and `external_cloudtower_id` (sent as",
        "the header of that name). Each raises a `CallError` when it fails, and `InvalidInput`",
        "for arguments that cannot be sent.",
        '"""',
    ]


def below(text: str) -> list[str]:
    """The lines of the docstring below an attribute with this text, if it has one."""
    return [f'"""{text}"""'] if text else []


def argument(wire: str, kind: str, method: str = "") -> str:
    """Return the text of an argument that depends on the method, or an empty text."""
    if wire == "where":
        return (
            "Filter; without it, all resources match."
            if kind == "QUERY"
            else "Filter of the resources to act on."
        )
    return "Fields to set." if wire == "data" and method.startswith("update_") else ""


def docstring(
    operation: Operation, text: str, kind: str, since: str, arguments: Mapping[str, str]
) -> list[str]:
    """The lines of a method's docstring; `text`, or else the name, is its first paragraph."""
    head = textwrap.wrap(f'"""{text or _spelled_out(operation)}', _WIDTH)
    facts = f"`{operation.method} {operation.path}`, since CloudTower {since}."
    if kind != "QUERY":
        facts += " Changes the server's state."
    lines = [*head, "", facts]
    if operation.auth == "BASIC":
        lines.append("Authenticates by HTTP Basic with a separate credential; no token is sent.")
    if operation.not_modified:
        lines.append("When there is nothing to change (status 304) the list is empty.")
    if operation.deprecated:
        lines.append("Deprecated by the server.")
    said = {name: text for name, text in arguments.items() if text}
    if said:
        lines += ["", "Args:"]
        for name, text in said.items():
            lines += textwrap.wrap(
                f"{name}: {text}", _WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 8
            )
    return [*lines, '"""']


def _spelled_out(operation: Operation) -> str:
    return f"{names.snake(operation.id).replace('_', ' ').capitalize()}."
