"""Chinese translations of the documentation, and which of them are stale.

`docs/zh/queries.md` is the translation of `docs/queries.md`. Its first line is a comment, hidden
from readers, with a hash of the source. After you have updated a translation, run
`python -m tests.translations docs/zh/queries.md` to store the current hash of the source.

The command also points the links of the page to Chinese pages, where they exist. You can therefore
write a link as in the source (`tasks.md#wait`), and the command rewrites it. Without arguments, the
command rewrites the links of all translations and stores no hash.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import sys
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING

from tests.pages import DOCS, README, ROOT, headings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHINESE = DOCS / "zh"
README_IN_CHINESE = ROOT / "README.zh-CN.md"

# Every page to translate.
SOURCES = [
    README,
    *(
        DOCS / f"{name}.md"
        for name in (
            "index",
            "getting-started",
            "faq",
            "alternatives",
            "session",
            "queries",
            "filters",
            "arguments",
            "tasks",
            "uploads",
            "watch",
            "metrics",
            "dashboard",
            "fastapi",
            "sync",
            "consoles",
            "middleware",
            "dry-run",
            "command-line",
        )
    ),
    *sorted((DOCS / "recipes").glob("*.md")),
]

_STAMP = re.compile(r"<!-- source: (\S+), sha256: (\w+) -->\n")
_FENCED = re.compile(r"^( *)```(.*?)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
# Links between the two languages are left alone.
_LINK = re.compile(r"(?<!\[English)(?<!\[中文)(?<!\[中文文档)\]\((?!https?://)([^)\s]+)\)")
# Comments for type checkers, and file names of modules.
_KEPT_COMMENT = re.compile(r"# (?:type: ignore\[[^]]*\]|pyright: .*|noqa.*|\w+\.py$)")
_COMMENT = re.compile(r"(?:^|\s+)# .*$", re.MULTILINE)


def translation_of(source: Path) -> Path:
    if source == README:
        return README_IN_CHINESE
    return CHINESE / source.relative_to(DOCS)


def source_of(translation: Path) -> Path:
    if translation == README_IN_CHINESE:
        return README
    return DOCS / translation.relative_to(CHINESE)


TRANSLATIONS = [page for page in map(translation_of, SOURCES) if page.exists()]


def fingerprint(source: Path) -> str:
    """Return the part of the hash of a page that its translation stores."""
    return hashlib.sha256(source.read_bytes()).hexdigest()[:16]


def stored_fingerprint(translation: Path) -> str | None:
    stamp = _STAMP.match(translation.read_text(encoding="utf-8"))
    return stamp[2] if stamp else None


def prose(page: Path) -> str:
    """Return the text of a page without its code blocks."""
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


def heading_levels(page: Path) -> list[str]:
    return re.findall(r"^#+(?= )", prose(page), re.MULTILINE)


def table_rows(page: Path) -> int:
    return len(re.findall(r"^ *\|", prose(page), re.MULTILINE))


def list_items(page: Path) -> int:
    return len(re.findall(r"^ *(?:[-*]|\d+\.) ", prose(page), re.MULTILINE))


def inline_code(page: Path) -> set[str]:
    return set(re.findall(r"`[^`\n]+`", prose(page)))


def code(page: Path) -> Iterator[tuple[str, object]]:
    """Yield the language and the code of each block of a page, without comments."""
    for _, language, text in _FENCED.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            yield language, _tokens(text)
        elif not language.startswith("{"):  # directives have texts and paths of their own
            yield language, [line.strip() for line in _COMMENT.sub("", text).splitlines() if line]


def _tokens(text: str) -> list[str]:
    """Return the tokens of Python code, and only those comments that a translation must keep."""
    found: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            found += _KEPT_COMMENT.findall(token.string)
        elif token.type != tokenize.NL:
            found.append(token.string)
    return found


def links(page: Path) -> list[str]:
    return [match[1] for match in _LINK.finditer(prose(page))]


def destination(page: Path, link: str) -> tuple[Path, int | str | None]:
    """Return the target of a link: a file and a heading.

    If the link leads to a translation, the file is the source of the translation. If the file has a
    translation, the heading is a number, which is the same in both languages. In other files, the
    heading is the anchor itself.
    """
    file, _, anchor = link.partition("#")
    target = Path(os.path.normpath(page.parent / file)) if file else page
    if not target.exists() and page in TRANSLATIONS:  # the link is written as in the source
        target = Path(os.path.normpath(source_of(page).parent / file))
    source = source_of(target) if target in TRANSLATIONS else target
    if not anchor or source not in SOURCES:
        return source, anchor or None
    for one in (target, source):
        for number, names in enumerate(headings(one)):
            if anchor in names:
                return source, number
    return source, anchor


def rewritten(translation: Path, link: str) -> str:
    """Return a link that leads to the translation of the target, if there is a translation."""
    source, place = destination(translation, link)
    target = translation_of(source) if source in SOURCES else source
    if target not in TRANSLATIONS:
        target = source
    anchor = link.partition("#")[2]
    if isinstance(place, int) and anchor not in (names := headings(target)[place]):
        anchor = names[0]
    path = Path(os.path.relpath(target, translation.parent)).as_posix()
    if anchor and target == translation:
        return f"#{anchor}"
    return f"{path}#{anchor}" if anchor else path


def rewrite_links(translation: Path) -> None:
    def rewrite(match: re.Match[str]) -> str:
        return f"]({rewritten(translation, match[1])})"

    _change(translation, lambda text: _LINK.sub(rewrite, text))


def store_fingerprint(translation: Path) -> None:
    """Write the hash of the present source into the first line of a translation."""
    source = source_of(translation)
    path = source.relative_to(ROOT).as_posix()
    stamp = f"<!-- source: {path}, sha256: {fingerprint(source)} -->\n"
    _change(translation, lambda text: stamp + _STAMP.sub("", text))


def _change(page: Path, change: Callable[[str], str]) -> None:
    old = page.read_text(encoding="utf-8")
    if (new := change(old)) != old:
        page.write_text(new, encoding="utf-8")


def main(paths: list[str]) -> None:
    pages = [Path(path).resolve() for path in paths]
    for page in pages:
        if page not in TRANSLATIONS:
            sys.exit(f"{page}: not the translation of a page in SOURCES of tests/translations.py")
        store_fingerprint(page)
    for page in pages or TRANSLATIONS:
        rewrite_links(page)


if __name__ == "__main__":
    main(sys.argv[1:])
