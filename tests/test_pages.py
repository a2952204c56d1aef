"""The modules for type checkers contain all code of the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.pages import NAMED, PAGES, ROOT, blocks, modules_for_checkers, write_for_checkers

if TYPE_CHECKING:
    from pathlib import Path

WITH_CODE = [page for page in PAGES if blocks(page, "python")]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_line_of_code_on_a_page_is_in_a_module_under_its_number(page: Path) -> None:
    modules = modules_for_checkers(page)
    lines = [text.splitlines() for text in modules.values()]
    for name, text in modules.items():
        compile(text, name, "exec", dont_inherit=True)
    for block in blocks(page, "python"):
        for number, line in enumerate(block.text.splitlines(), block.line):
            found = {module[number].strip() for module in lines if number < len(module)}
            assert line.strip() in found, f"{page}:{number + 1}"


def test_programs_and_tests_are_separate_modules(tmp_path: Path) -> None:
    page = ROOT / "docs" / "fastapi.md"
    named = [NAMED.match(block.text) for block in blocks(page, "python")]
    modules = {"app.py", "server_shutdown.py", "streams.py", "test_app.py", "test_app_async.py"}
    assert {match[1] for match in named if match} == modules
    write_for_checkers(tmp_path)
    made = {file.name for file in tmp_path.glob("*.py")}
    assert made == {name for page in WITH_CODE for name in modules_for_checkers(page)}
    assert modules | {"docs_fastapi.py", "docs_queries.py"} <= made


def test_code_that_is_gone_from_the_pages_is_gone_from_the_folder(tmp_path: Path) -> None:
    (tmp_path / "docs_gone.py").write_text("")
    write_for_checkers(tmp_path)
    assert not (tmp_path / "docs_gone.py").exists()
