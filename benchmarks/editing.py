"""`python -m benchmarks.editing [--before FOLDER]`: time of each completion in an editor.

The language server of pyright completes the keys of ``where={"``. With ``--before``, another
version is measured in alternation, and the ratio of both is printed. The edited program imports the
package from the folder ``src`` of a checkout.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.language_server import LanguageServer, pyright

from .figures import Figure, print_as_lines, spread

HEAD = """from cloudtower_async import Cloudtower
async def program(tower: Cloudtower) -> None:
    await tower.vm.get_vms("""
TYPED = ('where={"', 'where={"na', 'where={"cluster": {"', 'where={"cluster": {"na')
"""Texts before the cursor when the editor requests completions."""


class Editor:
    """An edited file: a program that imports the package from a checkout."""

    def __init__(self, server: LanguageServer, folder: Path) -> None:
        self._server, self._uri, self._version = server, (folder / "program.py").as_uri(), 0
        document = {"uri": self._uri, "languageId": "python", "version": 0, "text": HEAD}
        server.notify("textDocument/didOpen", textDocument=document)

    def type_line(self) -> list[float]:
        """Type the line, and return the duration of each completion in milliseconds."""
        return [self._complete(typed) for typed in TYPED]

    def _complete(self, typed: str) -> float:
        self._version += 1
        text = HEAD + typed
        start = time.perf_counter()
        self._server.notify(
            "textDocument/didChange",
            textDocument={"uri": self._uri, "version": self._version},
            contentChanges=[{"text": text}],
        )
        self._server.ask(
            "textDocument/completion",
            textDocument={"uri": self._uri},
            position={"line": HEAD.count("\n"), "character": len(text.rpartition("\n")[2])},
        )
        return (time.perf_counter() - start) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, help="checkout of the version to compare with")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    checkouts: list[Path] = [Path(), *([arguments.before] if arguments.before else [])]
    with ExitStack() as stack:
        editors: list[Editor] = []
        for checkout in checkouts:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            source = (checkout / "src").resolve()
            (folder / "pyrightconfig.json").write_text(f'{{"extraPaths": ["{source}"]}}')
            editors.append(Editor(stack.enter_context(pyright(folder)), folder))
        first = [max(editor.type_line()) for editor in editors]
        found: list[list[float]] = [[] for _ in editors]
        for _ in range(arguments.rounds):
            for editor, times in zip(editors, found, strict=True):
                times += editor.type_line()
    value, low, high = spread(found[0])
    what = 'completion after a key in where={"'
    figures = [
        Figure(what=what, value=value, low=low, high=high, unit="ms"),
        Figure(what=f"{what}, slowest of the first line", value=first[0], unit="ms"),
    ]
    if arguments.before:
        ratio = value / statistics.median(found[1])
        figures += [
            Figure(what=f"{what}, ratio to before", value=ratio, goal=1.05),
            Figure(what=f"{what}, slowest, ratio to before", value=first[0] / first[1]),
        ]
    print_as_lines(figures)


if __name__ == "__main__":
    main()
