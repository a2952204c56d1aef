"""The reference pages of the operations, as the documentation's own extension reads them."""

from __future__ import annotations

import importlib
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.pages import DOCS

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def operations() -> Iterator[Any]:
    pytest.importorskip("sphinx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(DOCS / "_ext"), *sys.path])
        yield importlib.import_module("operations")


def test_fields_have_texts_and_versions(operations: Any) -> None:  # noqa: ANN401 - not a package
    vm = operations.shapes("models", "vm")["Vm"]
    told = {field.name: field for field in vm.fields}
    assert "bytes" in told["memory"].text
    assert told["anti_malware_enabled"].note == "since 4.8.0"
    params = operations.shapes("inputs", "vm")["VmCreationParams"]
    assert all(field.text for field in params.fields)
    kinds = {field.name: field.kind for field in params.fields}
    assert (kinds["memory_unit"], kinds["pci_nics"]) == ("ByteUnit", "NicWhereInput")


def test_a_filter_lists_each_field_once(operations: Any) -> None:  # noqa: ANN401 - not a package
    fields = operations.shapes("inputs", "vm")["VmWhereInput"].fields
    names = [field.name for field in fields]
    assert "name" in names
    assert "name_contains" not in names
    assert "vm_disks_some, vm_disks_every, vm_disks_none" in names
    assert {field.name: field.note for field in fields}["anti_malware_enabled"] == "since 4.8.0"


def test_an_enum_lists_its_values_without_aliases(operations: Any) -> None:  # noqa: ANN401 - not a package
    pages = operations.homes()
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


def test_each_operation_begins_with_what_it_does(operations: Any) -> None:  # noqa: ANN401 - not a package
    page = "\n".join(operations.page_of("vm"))
    assert "tower.vm.shut_down_vm(" in page
    described = page.partition("tower.vm.shut_down_vm(")[2].splitlines()
    assert described[3].startswith("Ask the guest operating system")


def test_the_table_of_dry_runs_has_every_mutation_with_its_answer(operations: Any) -> None:  # noqa: ANN401
    lines = list(importlib.import_module("from_code").PlannedAnswers.lines(None))
    told = dict(re.findall(r"`(\S+) <tower\.\1>` \| (.+) \|", "\n".join(lines)))
    assert len(told) == len(lines) - 2 == 300
    assert told["vm.start_vm"] == "the resources that it matches"
    assert told["vm.expand_vm_disk"] == "the VMs, or other resources, that own what it matches"
    assert told["vm.create_vm"] == "placeholders for what it creates"
    assert told["vm.export_vm"] == "nothing: the plan ends"
    assert told["elf_image.create_elf_image"] == "nothing: the plan ends"
    assert "user.login" not in told
