"""Run type checkers over `right.py`, which has no mistakes, and `wrong.py`, which is full of them.

`python -m tests.types.checkers CHECKER...` runs each checker once and prints its figures. It fails
if a checker reports anything in a function of `right.py`, or does not name the culprit in a
function of `wrong.py`. `KNOWN` lists the exceptions. An exception that is no longer needed is
also an error.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOLDER = Path(__file__).parent
RIGHT, WRONG = FOLDER / "right.py", FOLDER / "wrong.py"
CULPRIT = re.compile(r"  # culprit: (\w+)(?:: (.+))?$")

_CONSTRUCTOR = "it underlines the constructor, and names the value but not its keyword"
KNOWN = {
    "pyright": {
        "key_of_constructor": _CONSTRUCTOR,
        "key_of_inner_constructor": _CONSTRUCTOR,
    },
    "basedpyright": {
        "key_of_constructor": _CONSTRUCTOR,
        "key_of_inner_constructor": _CONSTRUCTOR,
    },
    "ty": {
        "tuple_of_dicts": "it infers dict, not the TypedDict, in a tuple",
        "query_through_settle": "it underlines the call, and names no argument of overloads",
    },
}
"""Exceptions: by checker, the functions with other findings, and the reason."""


class Finding(NamedTuple):
    """An error that a checker reports; lines and columns begin at 1."""

    path: Path
    line: int
    column: int
    text: str


class Function(NamedTuple):
    """A function of `right.py` or `wrong.py`."""

    name: str
    lines: range

    def of(self, found: list[Finding]) -> list[Finding]:
        """Return the findings in the function."""
        return [one for one in found if one.line in self.lines]


class Culprit(NamedTuple):
    """Key or value that a checker has to name."""

    line: int
    columns: set[int]
    """Columns where the key and the value begin, with or without quotes."""
    key: str

    def is_named_in(self, found: list[Finding]) -> bool:
        """Return whether an error names the key, or begins at the key or the value."""
        word = re.compile(rf"\b{self.key}\b")
        return any(
            word.search(one.text) or (one.line == self.line and one.column in self.columns)
            for one in found
        )


def _mypy(output: str) -> list[Finding]:
    rows: list[Any] = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return [
        Finding(Path(row["file"]), row["line"], row["column"] + 1, row["message"])
        for row in rows
        if row["severity"] == "error"
    ]


def _pyright(output: str) -> list[Finding]:
    rows: list[Any] = json.loads(output)["generalDiagnostics"]
    return [
        Finding(Path(row["file"]), start["line"] + 1, start["character"] + 1, row["message"])
        for row in rows
        if row["severity"] == "error"
        for start in [row["range"]["start"]]
    ]


def _pyrefly(output: str) -> list[Finding]:
    rows: list[Any] = json.loads(output)["errors"]
    return [
        Finding(Path(row["path"]), row["line"], row["column"], row["description"]) for row in rows
    ]


def _ty(output: str) -> list[Finding]:
    rows: list[Any] = json.loads(output)
    return [
        Finding(Path(place["path"]), start["line"], start["column"], row["description"])
        for row in rows
        for place in [row["location"]]
        for start in [place["positions"]["begin"]]
    ]


_FILES = (str(RIGHT), str(WRONG))
# The project's pyright configuration excludes `wrong.py`, even if it is named.
_PYRIGHT = ("--outputjson", f"--project={FOLDER}", f"--pythonpath={sys.executable}")
CHECKERS: dict[str, tuple[tuple[str, ...], Callable[[str], list[Finding]]]] = {
    "mypy": (("--output=json", *_FILES), _mypy),
    "pyright": (_PYRIGHT, _pyright),
    "basedpyright": (_PYRIGHT, _pyright),
    "pyrefly": (
        ("check", "--output-format=json", f"--python-interpreter-path={sys.executable}", *_FILES),
        _pyrefly,
    ),
    "ty": (("check", "--output-format=gitlab", f"--python={sys.executable}", *_FILES), _ty),
}
"""Options, and the function that reads the output."""


def findings(checker: str) -> list[Finding]:
    """Run a checker over both files, and return what it reports."""
    options, read = CHECKERS[checker]
    run = subprocess.run([checker, *options], capture_output=True, text=True, check=False)  # noqa: S603
    try:
        return read(run.stdout)
    except (ValueError, KeyError) as error:
        raise SystemExit(f"{checker} failed: {run.stdout}{run.stderr}") from error


def functions(path: Path) -> Iterator[Function]:
    """Yield the functions of a file."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Function(node.name, range(node.lineno, (node.end_lineno or 0) + 1))


def culprit(function: Function, lines: list[str]) -> Culprit:
    """Return the culprit that a comment in a function of `wrong.py` marks."""
    marked = {line: found for line in function.lines if (found := CULPRIT.search(lines[line - 1]))}
    ((line, found),) = marked.items()
    key, value = found.groups()
    code = lines[line - 1][: found.start()]
    at = code.find(key)  # a missing key does not appear
    columns = {at, at + 1}
    if value:
        columns.add(code.index(value, at + len(key)) + 1)
    return Culprit(line, columns, key)


def check(checker: str) -> dict[str, str]:
    """Run a checker, print its figures, and return the deviations by function."""
    found = findings(checker)
    right = [one for one in found if one.path.name == RIGHT.name]
    wrong = [one for one in found if one.path.name == WRONG.name]
    lines = WRONG.read_text(encoding="utf-8").splitlines()
    accepted, refused = list(functions(RIGHT)), list(functions(WRONG))
    names = {line: one.name for one in accepted for line in one.lines}
    reported = {names.get(one.line, f"line {one.line}"): one.text for one in right}
    unnamed = {
        one.name: f"`{wanted.key}` is not named"
        for one in refused
        if not (wanted := culprit(one, lines)).is_named_in(one.of(wrong))
    }
    print(
        f"{checker}: {len(reported)} of {len(accepted)} right functions reported; "
        f"{sum(bool(one.of(wrong)) for one in refused)} of {len(refused)} wrong ones reported, "
        f"{len(refused) - len(unnamed)} with the culprit named"
    )
    return reported | unnamed


def unexpected(checker: str) -> list[str]:
    """Run a checker, and return how it differs from `KNOWN`."""
    faults, known = check(checker), KNOWN.get(checker, {})
    return [
        f"{checker}: {name}: {faults.get(name, 'as it should be, but listed in KNOWN')}"
        for name in sorted(faults.keys() ^ known.keys())
    ]


if __name__ == "__main__":
    with ThreadPoolExecutor() as threads:
        differences = [text for texts in threads.map(unexpected, sys.argv[1:]) for text in texts]
    sys.exit("\n".join(differences) or None)
