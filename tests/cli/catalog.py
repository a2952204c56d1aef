"""Catalog of translations: ``python -m tests.cli.catalog`` brings it up to date with the sources.

The command adds new texts to the ``.po`` file without a translation, and drops texts that are no
longer used. Run it after each change of a text or a translation.
"""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from cyclopts.help import InlineText, format_doc
from rich.markdown import Markdown

from cloudtower_async.cli import columns, language, nouns, views
from cloudtower_async.cli.app import app
from cloudtower_async.cli.translated_help import PARSER_TEXTS

if TYPE_CHECKING:
    from cyclopts import App, Group

SOURCES = Path(language.__file__).parent
PO = SOURCES / "locale/zh_CN/LC_MESSAGES/cloudtower-async.po"

HEADER = (
    "# Chinese texts of the command line of cloudtower-async.\n"
    'msgid ""\n'
    'msgstr "Language: zh_CN\\nContent-Type: text/plain; charset=utf-8\\n'
    'Plural-Forms: nplurals=1; plural=0;\\n"'
)

Text: TypeAlias = tuple[str | None, str, str | None]
"""Context, text and plural of an entry."""

_TABLES = ("format_table", "_print_profiles")
_HEADINGS = ("cpu", "memory", "iops", "rank", "storage", "CPU", "total", "tower")
_DISKS = ("healthy", "warning", "error", "unknown")


@cache
def used_texts() -> frozenset[Text]:
    """Return all texts of the command line that the language changes."""
    found = _in_sources() | _in_help() | _headings()
    for noun in nouns.NOUNS:
        found |= {(None, noun, None), (None, f"{noun}s", None)}
        found.add((None, f"{{number}} {noun}", f"{{number}} {noun}s"))
    return frozenset(found | {(None, step, None) for step in nouns.STEPS})


def translations() -> dict[str, str]:
    """Return the translations in the repository by their keys."""
    return language.read_catalog(PO.read_text(encoding="utf-8")) if PO.exists() else {}


def key(text: Text) -> str:
    """Return the key of a text in the catalog."""
    return language.key_of(text[1], text[0] or "")


def updated() -> str:
    """Return the ``.po`` file with the texts that are used, and the translations that are known."""
    known = translations()
    entries = [HEADER]
    for text in sorted(used_texts(), key=lambda one: (one[0] or "", one[1])):
        context, one, many = text
        lines = [f"msgctxt {_quoted(context)}"] if context else []
        lines.append(f"msgid {_quoted(one)}")
        if many is not None:
            lines.append(f"msgid_plural {_quoted(many)}")
        string = _quoted(known.get(key(text), ""))
        lines.append(f"msgstr {string}" if many is None else f"msgstr[0] {string}")
        entries.append("\n".join(lines))
    return "\n\n".join(entries) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _in_help() -> set[Text]:
    """Return the texts of all help pages."""
    texts = set(PARSER_TEXTS)

    def add(markup: str | None) -> None:
        texts.update(" ".join(part.split()) for part in (markup or "").split("\n\n"))

    def walk(command: App) -> None:
        shown = format_doc(command, "markdown")
        if isinstance(shown, InlineText) and isinstance(shown.primary_renderable, Markdown):
            add(shown.primary_renderable.markup)
        if command.default_command is not None:
            known = command.assemble_argument_collection(parse_docstring=True).filter_by(show=True)
            for argument in known:
                add(argument.parameter.help)
            groups = cast("list[Group]", known.groups)  # pyright: ignore[reportUnknownMemberType]
            for group in groups:
                add(group.name)
                add(group.help)
        for name, inner in command.resolved_commands().items():
            if not name.startswith("-"):
                walk(inner)

    walk(app)
    return {(None, text, None) for text in texts if text}


def _in_sources() -> set[Text]:
    found: set[Text] = set()
    for path in SOURCES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            name = node.func.id
            literals = [
                one.value
                for one in node.args
                if isinstance(one, ast.Constant) and isinstance(one.value, str)
            ]
            if name in ("tr", "mark") and literals:
                found.add((None, literals[0], None))
            elif name in ("ntr", "question") and len(literals) == 2:
                found.add((None, literals[0], literals[1]))
            elif name in ("heading", "_headings", "_title_of"):
                found |= {("heading", one, None) for one in literals if one}
            elif name in _TABLES and isinstance(node.args[0], ast.List):
                found |= {
                    ("heading", one.value, None)
                    for one in node.args[0].elts
                    if isinstance(one, ast.Constant) and isinstance(one.value, str) and one.value
                }
    return found


def _headings() -> set[Text]:
    names = {*_HEADINGS, *_DISKS, "name", "id", "age"}
    for view in views.VIEWS.values():
        names |= {spec.partition("=")[0] for spec in re.split(r"[ |]+", view) if spec}
    names |= {name.removesuffix(".name") for name in columns.DEFAULT_COLUMNS}
    return {("heading", name, None) for name in names}


def main() -> None:
    """Bring the catalog up to date, and print the texts without a translation."""
    PO.parent.mkdir(parents=True, exist_ok=True)
    PO.write_text(updated(), encoding="utf-8")
    known = translations()
    missing = [text for text, translation in known.items() if not translation]
    print(f"{len(known)} texts, {len(missing)} without a translation", *missing, sep="\n")


if __name__ == "__main__":
    main()
