"""Conversion of Google-style docstrings to Markdown."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from typing import NamedTuple

Link = Callable[[str], str | None]
"""Function that takes a name, and returns the address of its documentation, or None."""

_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields|Warns|Example):$")
_ITEM = re.compile(r"^(\*{0,2}[\w.]+): (.*)$")
_SPAN = re.compile(r"``(.+?)``|`([^`]+)`", re.DOTALL)


class Docstring(NamedTuple):
    """Parts of a docstring."""

    text: str
    """The text outside of the sections."""
    sections: dict[str, str]

    def items(self, section: str) -> dict[str, str]:
        """Return the texts of the entries in a section, by name. Each text is on one line."""
        found: dict[str, str] = {}
        name = ""
        for line in self.sections.get(section, "").splitlines():
            if item := _ITEM.match(line):
                name = item[1]
                found[name] = item[2]
            elif line.strip():
                found[name] += f" {line.strip()}"
        return found

    def example(self) -> str:
        """Return the code of the example, or an empty string if the docstring has no example."""
        return textwrap.dedent(self.sections.get("Example", "").removeprefix("::\n")).strip()


def parse(docstring: str) -> Docstring:
    """Split a docstring into its sections. The common indentation must already be removed."""
    text: list[str] = []
    sections: dict[str, list[str]] = {}
    current = text
    for line in docstring.splitlines():
        if found := _SECTION.match(line):
            current = sections.setdefault(found[1], [])
        elif line.startswith(" ") or not line or current is text:
            current.append(line)
        else:
            current = text
            current += ["", line]
    inside = {name: textwrap.dedent("\n".join(lines)) for name, lines in sections.items()}
    return Docstring("\n".join(text).strip(), {name: one.strip() for name, one in inside.items()})


def markdown(text: str, link: Link) -> str:
    """Convert a text from a docstring to Markdown.

    A name in single backticks becomes a link if `link` returns a target for the name.
    """

    def code(found: re.Match[str]) -> str:
        inside = " ".join((found[1] or found[2]).split())
        target = None if found[1] else link(inside)
        return f"[`{inside}`]({target})" if target else f"`{inside}`"

    return _SPAN.sub(code, text)
