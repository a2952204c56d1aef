"""The reference pages of the hand-written code."""

from __future__ import annotations

import ast
import importlib
import inspect
import re

import pytest

import cloudtower_async
from cloudtower_async import Cloudtower, ElfFile, RetryPolicy, SessionOptions
from cloudtower_async.testing import Failure, FleetSize, Request
from codegen import reference, tables
from codegen.contents import public_names
from codegen.docstrings import markdown, parse
from tests.pages import DOCS

EXAMPLE = re.compile(r"\*\*Example:\*\*\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MODULES = ("", ".recipes", ".jobs", ".jobs.exporter", ".testing")


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return reference.pages()


def test_generating_the_pages_makes_no_difference(pages: dict[str, str]) -> None:
    folder = DOCS / "reference"
    committed = {page.name: page.read_text("utf-8") for page in folder.glob("*.md")}
    del committed["api.md"]  # `codegen.emit_docs` writes it
    assert committed == pages, "run `python -m codegen.reference`"


@pytest.mark.parametrize("name", tables.PAGES)
def test_generating_the_tables_of_a_guide_makes_no_difference(name: str) -> None:
    text = (DOCS / name).read_text("utf-8")
    assert "<!-- table: " in text
    assert text == tables.filled_in(text), "run `python -m codegen.reference`"


@pytest.mark.parametrize("below", MODULES)
def test_every_public_name_has_an_entry(below: str) -> None:
    module = f"cloudtower_async{below}"
    public = {*importlib.import_module(module).__all__} - {"__version__"}
    listed = {one.name for one in public_names() if one.module == module}
    assert public == {name for name in listed if "." not in name}


def test_every_public_method_of_a_session_has_an_entry() -> None:
    public = {name for name in vars(Cloudtower) if not name.startswith("_")}
    listed = {one.name for one in public_names()}
    assert {f"Cloudtower.{name}" for name in public} <= listed


def test_every_entry_has_a_text(pages: dict[str, str]) -> None:
    for page, text in pages.items():
        for entry in re.split(r"^##+ ", text, flags=re.MULTILINE)[1:]:
            after = re.sub(r"^```python\n.*?^```$", "", entry, flags=re.MULTILINE | re.DOTALL)
            assert len(after.split("\n\n", 1)[1].strip()) > 10, f"{page}: {entry}"


def test_the_example_of_every_entry_is_python(pages: dict[str, str]) -> None:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST
    found = [
        code
        for text in pages.values()
        for code in re.findall(
            r"\*\*Example:\*\*\n\n```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL
        )
    ]
    assert len(found) > 60
    for code in found:
        compile(code, "example", "exec", flags=flags)


def test_the_table_of_options_has_types_defaults_and_variables(pages: dict[str, str]) -> None:
    section = pages["options.md"].partition("\n## SessionOptions")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in section.splitlines()
        if line.startswith("| `")
    ]
    assert [row[0] for row in rows] == [f"`{name}`" for name in SessionOptions.__annotations__]
    assert all(kind and default and meaning for _, kind, default, meaning, _ in rows)
    [proxy] = [row for row in rows if row[0] == "`proxy`"]
    assert proxy[1:3] == [r"`str \| None`", "`None`"]
    assert proxy[4] == "`CLOUDTOWER_PROXY`"


def test_an_error_says_what_to_do_and_whether_it_is_retried(pages: dict[str, str]) -> None:
    entry = pages["errors.md"].partition("\n## CallTimeout\n")[2].partition("\n## ")[0]
    assert "class CallTimeout(CallError, TimeoutError)" in entry
    assert "**What to do:**" in entry
    assert (
        "**Retries:** query: retried; mutation that was not sent: retried; "
        "mutation that may have been sent: `OutcomeUnknown` is raised."
    ) in entry


def test_every_error_is_in_the_tree(pages: dict[str, str]) -> None:
    errors = {
        one.name
        for one in public_names()
        if one.kind == "exception" and one.module == cloudtower_async.__name__
    }
    told = re.findall(r"^ *- \[`(\w+)`\]\(#", pages["errors.md"], re.MULTILINE)
    assert sorted(told) == sorted(errors)


def test_private_type_aliases_are_replaced(pages: dict[str, str]) -> None:
    assert 'Literal["allow", "plan", "refuse"]' in pages["options.md"]
    signatures = re.findall(
        r"^```python\n(.*?)^```$", pages["uploads.md"], re.MULTILINE | re.DOTALL
    )
    assert "StrPath" not in "".join(signatures)


@pytest.mark.parametrize("record", [Failure, Request, FleetSize, RetryPolicy, ElfFile])
def test_arguments_of_a_record_are_keyword_only_where_python_wants_it(
    pages: dict[str, str], record: type
) -> None:
    shown = re.findall(
        rf"^class {record.__name__}\((\s*\*,)?", "\n".join(pages.values()), re.MULTILINE
    )
    kinds = {one.kind for one in inspect.signature(record).parameters.values()}
    assert [bool(star) for star in shown] == [kinds == {inspect.Parameter.KEYWORD_ONLY}]


def test_a_docstring_is_split_into_sections() -> None:
    docstring = parse(
        "Wait.\n\nArgs:\n    seconds: How long,\n        at most.\n    redis.Error: Other.\n\n"
        "Example:\n    ::\n\n        wait(1)\n\nMore text."
    )
    assert docstring.text == "Wait.\n\n\nMore text."
    assert docstring.items("Args") == {"seconds": "How long, at most.", "redis.Error": "Other."}
    assert docstring.items("Raises") == {}
    assert docstring.example() == "wait(1)"


def test_single_backticks_become_links_where_there_is_a_target() -> None:
    text = markdown("``Vm``, `Vm` and\n`other`", {"Vm": "vm.md"}.get)
    assert text == "`Vm`, [`Vm`](vm.md) and\n`other`"
