"""Code of the documentation pages, extracted to be run and type-checked.

`python -m tests.pages FOLDER` writes the code as modules for type checkers. Each line of code has
the same line number as in the page.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from functools import cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
VENDOR = DOCS / "migrating.md"
REFERENCE = sorted(page for page in (DOCS / "reference").glob("*.md") if page.stem != "index")
"""Generated pages, whose examples are those of docstrings."""

PAGES = [
    README,
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(
        page
        for page in DOCS.rglob("*.md")
        if not {"_build", "operations", "zh"} & {*page.relative_to(DOCS).parts}
        and page not in REFERENCE
    ),
]

NAMED = re.compile(r"# (\w+\.py)\n")
TESTS = re.compile(r"^ *(async )?def test_", re.MULTILINE)
PROGRAM = re.compile(r"asyncio\.(run|Runner)\(|^ +start_blocking_portal\(", re.MULTILINE)
_IMPORTS = "from pathlib import Path; from cloudtower_async import Cloudtower"
_NAMES = "tower: Cloudtower, endpoint: str, username: str, password: str"
_VENDORS_NAMES = "endpoint: str, first: str, second: str, username: str, password: str, iso: Path"
_PYRIGHT = {
    "typeCheckingMode": "strict",
    "pythonVersion": "3.11",
    "reportMissingTypeStubs": False,
    "reportUnnecessaryTypeIgnoreComment": True,
    # The blocks of a page are one function here: they may define a name twice, and need not use it.
    "reportRedeclaration": False,
    "reportUnusedClass": False,
    "reportUnusedExpression": False,
    "reportUnusedFunction": False,
    "reportUnusedImport": False,
    "reportUnusedVariable": False,
}


class Block(NamedTuple):
    """A fenced block of code."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def is_module(self) -> bool:
        """Whether the block is a separate file: a program, a test module, or an imported module."""
        own = TESTS.search(self.text) or NAMED.match(self.text) or PROGRAM.search(self.text)
        return bool(own)


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of a page in these languages."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [
        Block(page, text.count("\n", 0, match.start(2)), match[1], match[2])
        for match in found
        if match[1] in languages
    ]


def headings(page: Path) -> list[list[str]]:
    """Return the anchors of each heading of a page and of the files that it includes.

    The first item is the beginning of the page. A label directly before a heading is an anchor of
    this heading. Any other label is an anchor of the previous heading.
    """
    whole = page.read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```$", "", whole, flags=re.MULTILINE | re.DOTALL)
    found: list[list[str]] = [[]]
    pattern = r"^\((?P<label>.+?)\)=$(?P<before>(?=\s*#))?|^#+ (?P<heading>.+)$"
    before: list[str] = []
    for match in re.finditer(pattern, text, re.MULTILINE):
        if heading := match["heading"]:
            slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            found.append([slug, *before])
            before = []
        elif match["before"] is None:
            found[-1].append(match["label"])
        else:
            before.append(match["label"])
    for included in re.findall(r"^```{include} (\S+)$", whole, re.MULTILINE):
        found += headings(page.parent / included)
    return found


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors of all headings of a page."""
    return {*chain(*headings(page))}


def dead_links(page: Path) -> list[str]:
    """Return the links of a page whose file or anchor does not exist."""
    dead: list[str] = []
    for link in re.findall(r"\]\((?!https?://)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    return dead


def modules_for_checkers(page: Path) -> dict[str, str]:
    """Return the code of a page as modules, by file name.

    Each line of code has the same line number as in the page.
    """
    name = re.sub(r"\W", "_", str(page.relative_to(ROOT).with_suffix("")))
    made: dict[str, str] = {}
    names = _VENDORS_NAMES if page == VENDOR else _NAMES
    lines = [_IMPORTS, f"async def page({names}) -> None:"]
    for block in blocks(page, "python"):
        if block.is_module:
            named = NAMED.match(block.text)
            file = named[1] if named else f"{name}_{block.line}.py"
            made[file] = "\n" * block.line + block.text
        else:
            lines += [""] * (block.line - len(lines))
            lines += textwrap.indent(block.text, "    ").splitlines()
    if len(lines) > 2:
        made[f"{name}.py"] = "\n".join(lines) + "\n"
    return made


def write_for_checkers(folder: Path) -> None:
    """Write the code of all pages into a folder, with a configuration for pyright."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.py"):
        old.unlink()
    for page in PAGES:
        for name, text in modules_for_checkers(page).items():
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write(text)
    config = _PYRIGHT | {"extraPaths": [".", str(ROOT)]}  # for `examples`
    (folder / "pyrightconfig.json").write_text(json.dumps(config), encoding="utf-8")


if __name__ == "__main__":
    write_for_checkers(Path(sys.argv[1]))
