"""Translations are complete and up to date, and contain the same code as their sources."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests import translations
from tests.pages import ROOT, dead_links
from tests.translations import (
    README_IN_CHINESE,
    SOURCES,
    TRANSLATIONS,
    code,
    destination,
    fingerprint,
    heading_levels,
    inline_code,
    links,
    list_items,
    rewritten,
    source_of,
    store_fingerprint,
    stored_fingerprint,
    table_rows,
    translation_of,
)

if TYPE_CHECKING:
    from pathlib import Path


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


each_translation = pytest.mark.parametrize("page", TRANSLATIONS, ids=name)


def test_every_page_of_the_list_is_translated() -> None:
    assert [name(page) for page in map(translation_of, SOURCES) if not page.exists()] == []


def test_every_translation_has_a_source_in_the_list() -> None:
    pages = [README_IN_CHINESE, *translations.CHINESE.rglob("*.md")]
    assert [name(page) for page in pages if page.exists() and page not in TRANSLATIONS] == []


def test_no_translation_is_stale() -> None:
    stale = [
        page for page in TRANSLATIONS if stored_fingerprint(page) != fingerprint(source_of(page))
    ]
    sources = " ".join(name(source_of(page)) for page in stale)
    pages = " ".join(map(name, stale))
    assert not stale, (
        f"{sources} changed since {pages} was translated. Carry the changes over, then run: "
        f"python -m tests.translations {pages}"
    )


@each_translation
def test_the_code_of_a_translation_is_that_of_its_source(page: Path) -> None:
    """Only comments may differ. Therefore, it is enough to run the code of the source."""
    assert list(code(page)) == list(code(source_of(page)))


@each_translation
def test_a_translation_has_the_structure_of_its_source(page: Path) -> None:
    source = source_of(page)
    assert heading_levels(page) == heading_levels(source)
    assert table_rows(page) == table_rows(source)
    assert list_items(page) == list_items(source)


@each_translation
def test_a_translation_names_all_that_its_source_names(page: Path) -> None:
    assert inline_code(source_of(page)) - inline_code(page) == set()


@each_translation
def test_the_links_of_a_translation_lead_where_those_of_its_source_lead(page: Path) -> None:
    source = source_of(page)
    assert Counter(destination(page, link) for link in links(page)) == Counter(
        destination(source, link) for link in links(source)
    )
    assert dead_links(page) == []


@each_translation
def test_links_lead_to_translations_where_there_are_some(page: Path) -> None:
    wrong = [link for link in links(page) if rewritten(page, link) != link]
    assert not wrong, "run: python -m tests.translations"


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Two pages, one of them with a translation."""
    texts = {
        "a.md": "# A\n\n## Wait here\n\n[on](b.md#all-of-b) [here](#wait-here) [no](c.md#c-2)\n",
        "b.md": "# B\n\n(label)=\n\n## All of B\n\n[back](a.md#wait-here)\n",
        "c.md": "# C\n\n## C 2\n",
        "zh/a.md": "# 甲\n\n## 等待\n\n[继续](b.md#all-of-b) [此处](#wait-here) [无](c.md#c-2)\n",
        "zh/b.md": "# 乙\n\n## 乙的全部\n\n[返回](../a.md#wait-here) [甲](a.md)\n",
    }
    (tmp_path / "zh").mkdir()
    made = {path: tmp_path / path for path in texts}
    for path, text in texts.items():
        made[path].write_text(text, encoding="utf-8")
    monkeypatch.setattr(translations, "ROOT", tmp_path)
    monkeypatch.setattr(translations, "DOCS", tmp_path)
    monkeypatch.setattr(translations, "CHINESE", tmp_path / "zh")
    monkeypatch.setattr(translations, "SOURCES", [made["a.md"], made["b.md"]])
    monkeypatch.setattr(translations, "TRANSLATIONS", [made["zh/a.md"], made["zh/b.md"]])
    return made


def test_the_command_stores_the_hash_and_rewrites_links(pages: dict[str, Path]) -> None:
    page = pages["zh/a.md"]
    for _ in range(2):
        translations.main([str(page)])
        translations.main([])
        assert page.read_text(encoding="utf-8") == (
            f"<!-- source: a.md, sha256: {fingerprint(pages['a.md'])} -->\n# 甲\n\n"
            "## 等待\n\n[继续](b.md#乙的全部) [此处](#等待) [无](../c.md#c-2)\n"
        )
        assert pages["zh/b.md"].read_text(encoding="utf-8") == (
            "# 乙\n\n## 乙的全部\n\n[返回](a.md#等待) [甲](a.md)\n"
        )


def test_a_label_is_a_name_of_its_heading(pages: dict[str, Path]) -> None:
    assert destination(pages["a.md"], "b.md#label") == (pages["b.md"], 2)
    assert rewritten(pages["zh/a.md"], "b.md#label") == "b.md#乙的全部"


def test_a_change_of_the_source_makes_its_translation_stale(pages: dict[str, Path]) -> None:
    page, source = pages["zh/a.md"], pages["a.md"]
    store_fingerprint(page)
    assert stored_fingerprint(page) == fingerprint(source)
    source.write_text("# A, changed\n", encoding="utf-8")
    assert stored_fingerprint(page) != fingerprint(source)


@pytest.mark.parametrize(
    ("language", "text", "same"),
    [
        ("python", "f(1)  # eins\n# zwei\n", True),
        ("python", "\nf(\n    1\n)\n", True),
        ("python", "f(2)  # one\n", False),
        ("text", "f(1)  # eins\n", True),
        ("text", "# eins\nf(1)\n", True),
        ("text", "f(2)  # one\n", False),
    ],
)
def test_only_comments_of_code_may_differ(
    language: str, text: str, same: bool, tmp_path: Path
) -> None:
    one, other = tmp_path / "one.md", tmp_path / "other.md"
    one.write_text(f"```{language}\nf(1)  # one\n```\n", encoding="utf-8")
    other.write_text(f"```{language}\n{text}```\n", encoding="utf-8")
    assert (list(code(one)) == list(code(other))) is same


def test_comments_for_type_checkers_and_names_of_files_are_kept(tmp_path: Path) -> None:
    one, other = tmp_path / "one.md", tmp_path / "other.md"
    text = "```python\n# app.py\nf(1)  # type: ignore[call-arg] # wrong\n```\n"
    one.write_text(text, encoding="utf-8")
    for change in (("# wrong", "# 错"), ("# app.py", "# 应用"), ("# type: ignore[call-arg] ", "")):
        other.write_text(text.replace(*change), encoding="utf-8")
        assert (list(code(one)) == list(code(other))) is (change[0] == "# wrong")
