"""The generated reference pages of the operations."""

from __future__ import annotations

import ast
import re

import pytest

from cloudtower_async.api.catalogue import OPERATIONS
from cloudtower_async.calls import registry, validation
from cloudtower_async.calls.operation import Operation
from codegen import emit_docs, reference
from tests.pages import DOCS

EXAMPLE = re.compile(r"```python\n(await tower\.(\w+\.\w+)\(.*\))\n```")


def _wire_names(operation: Operation[object]) -> list[str]:
    return [*getattr(operation.body(), "__annotations__", ())] if operation.body else []


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return emit_docs.pages()


def test_generating_the_pages_makes_no_difference(pages: dict[str, str]) -> None:
    folder = DOCS / "reference"
    committed = [folder / "api.md", *(folder / "operations").glob("*.md")]
    read = {file.relative_to(folder).as_posix(): file.read_text("utf-8") for file in committed}
    assert sorted(read) == sorted(pages)
    assert [path for path, text in pages.items() if read[path] != text] == []


def test_every_operation_is_in_the_index_and_has_a_valid_example(pages: dict[str, str]) -> None:
    shown: set[str] = set()
    for text in pages.values():
        for code, name in EXAMPLE.findall(text):
            call = ast.parse(code[len("await ") :], mode="eval").body
            assert isinstance(call, ast.Call)
            called = registry.operation(name)
            wire = {key.replace("_", "").lower(): key for key in _wire_names(called)}
            arguments: object = {
                wire[str(one.arg).replace("_", "").lower()]: ast.literal_eval(one.value)
                for one in call.keywords
            }
            if call.args:
                [arguments] = map(ast.literal_eval, call.args)
            validation.check(called, arguments, validate=True)
            assert "data={}" not in code
            assert '"DELETED"' not in code
            shown.add(name)
    assert shown == {*OPERATIONS.values()}
    linked = re.findall(r"\[`(\w+)`\]\(operations/(\w+)\.md#\1\)", pages["api.md"])
    assert {f"{namespace}.{method}" for method, namespace in linked} == shown


def test_links_between_the_pages_lead_to_headings(pages: dict[str, str]) -> None:
    anchors = {
        (path, re.sub(r"[^\w -]", "", title).lower())
        for path, text in pages.items()
        for title in re.findall(r"^### (.+)$", text, re.MULTILINE)
    }
    for path, text in pages.items():
        for file, anchor in re.findall(r"\]\(([\w./]*)#(\w+)\)", text):
            place = f"operations/{file.removeprefix('operations/')}" if file else path
            assert (place, anchor) in anchors, f"{path}: {file}#{anchor}"


def test_fields_have_texts_and_versions() -> None:
    vm = emit_docs.shapes("models", "vm")["Vm"]
    told = {field.name: field for field in vm.fields}
    assert "bytes" in told["memory"].text
    assert told["anti_malware_enabled"].note == "since 4.8.0"
    params = emit_docs.shapes("inputs", "vm")["VmCreationParams"]
    assert all(field.text for field in params.fields)
    kinds = {field.name: field.kind for field in params.fields}
    assert (kinds["memory_unit"], kinds["pci_nics"]) == ("ByteUnit", "NicWhereInput")


def test_a_filter_lists_each_field_once() -> None:
    fields = emit_docs.shapes("inputs", "vm")["VmWhereInput"].fields
    names = [field.name for field in fields]
    assert "name" in names
    assert "name_contains" not in names
    assert "vm_disks_some, vm_disks_every, vm_disks_none" in names
    assert {field.name: field.note for field in fields}["anti_malware_enabled"] == "since 4.8.0"


def test_an_enum_lists_its_values_without_aliases() -> None:
    pages = emit_docs.homes()
    choices = {name: shape.choices for page in pages.values() for name, shape in page.items()}
    assert sorted(choices["models.VmStatus"]) == [
        "DELETED",
        "RUNNING",
        "STOPPED",
        "SUSPENDED",
        "UNKNOWN",
    ]
    for name, values in choices.items():
        assert len(set(values)) == len(values), name


def test_each_operation_begins_with_what_it_does(pages: dict[str, str]) -> None:
    described = pages["operations/vm.md"].partition("### shut_down_vm\n\n")[2]
    assert described.startswith("Ask the guest operating system")


def test_the_table_of_dry_runs_has_every_mutation_with_its_answer() -> None:
    text = reference.pages()["dry-runs.md"]
    told = dict(re.findall(r"\[`(\S+)`\]\(\S+\) \| (.+) \|", text))
    assert len(told) == text.count("\n| [") == 300
    assert told["vm.start_vm"] == "each matching `Vm`"
    assert told["vm.delete_vm"] == "a `DeleteVm` for each matching `Vm`"
    assert told["vm.expand_vm_disk"] == "the `Vm` of each matching `VmDisk`"
    assert told["vm.create_vm"] == "placeholders for the resources that the mutation would create"
    assert told["vm.export_vm"] == "nothing: the mutation raises `PlanEnded`"
    assert told["elf_image.create_elf_image"] == "nothing: the mutation raises `PlanEnded`"
    assert "user.login" not in told
