"""``cloudtower-async explain``: resources, fields, operations and arguments."""

from __future__ import annotations

import py_compile
import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest

from cloudtower_async import inputs, models
from cloudtower_async.calls import registry
from cloudtower_async.cli import main
from cloudtower_async.cli.explain import NO_SOURCES
from cloudtower_async.cli.field_docs import FieldDoc, field_docs
from cloudtower_async.cli.resource_names import queries
from tests.cli.command import run

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def explained(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    monkeypatch.setenv("COLUMNS", "80")

    def explain(*topic: str) -> str:
        assert main(["explain", *topic]) == 0
        output = capsys.readouterr()
        assert output.err == ""
        for line in output.out.splitlines():
            # Examples are not wrapped, so that they can be copied. Nor are long names.
            assert (
                len(line) <= 80
                or line.startswith("  cloudtower-async call ")
                or " " not in line.strip()
            )
        return output.out

    return explain


def test_a_resource_is_explained_with_its_fields_and_operations(
    explained: Callable[..., str],
) -> None:
    text = explained("vm")
    assert text.startswith("vm: Vm, read by get-vms (vm.get_vms)\n    Since CloudTower 3.0.0.\n")
    assert "\n  memory: whole number\n      Memory of the VM in bytes.\n" in text
    assert "\n  anti_malware_enabled: true or false; since 4.8.0\n" in text
    assert "\n  start-vm\n      Start every VM that matches" in text
    assert (
        explained("vms").splitlines()[1:]
        == text.replace("explain vm.", "explain vms.").split("\n")[1:-1]
    )


def test_a_field_is_explained_with_its_filters_and_its_order(explained: Callable[..., str]) -> None:
    text = explained("vm.memory")
    assert text.startswith("vm.memory: whole number\n    Memory of the VM in bytes.\n")
    assert "\n  memory_gte     is at least\n" in text
    assert text.endswith("\nOrder: --order-by memory or memory_DESC\n")
    assert explained("vm", "memory") == text
    assert explained("vm.status").startswith("vm.status: DELETED, RUNNING, STOPPED, SUSPENDED, ")
    # Filters show the names of the API.
    assert "\n  entityAsyncStatus_in      is one of\n" in explained("vm.entity_async_status")


def test_a_field_of_a_related_resource_has_the_filters_that_lead_to_it(
    explained: Callable[..., str],
) -> None:
    assert "\n  cluster.name_contains         contains\n" in explained("vm.cluster.name")
    assert "\n  vm_disks_some.id                  equals\n" in explained("vm.vm_disks.id")
    text = explained("vm.vm_disks")
    assert "  vm_disks_some   at least one of them matches a filter: vm_disks_some.KEY\n" in text
    assert "\nFields:\n  id: text\n" in text
    assert "  cluster  matches a filter: cluster.KEY\n" in explained("vm.cluster")


def test_an_operation_is_explained_with_its_arguments(explained: Callable[..., str]) -> None:
    text = explained("create-vm")
    assert text.startswith("create-vm (vm.create_vm): changes the server, since CloudTower 3.0.0\n")
    assert "\nArguments, in a list of objects:\n" in text
    assert "\n  memory: whole number; required\n      Memory in bytes, unless" in text
    assert "\n  ha_priority: LEVEL_1_LOW, LEVEL_2_MEDIUM, LEVEL_3_HIGH; since 4.7.0\n" in text
    assert text.index("vm_nics: ") < text.index("  description: ")  # required ones come first
    assert "cloudtower-async call create-vm '[{" in text
    assert explained("vm.create_vm") == explained("vm", "create") == text
    nested = explained("create-vm.vm_disks.mount_new_create_disks.vm_volume")
    assert "\nKeys:\n" in nested
    assert "  size_unit: B, GB, KB, MB, PB, TB\n" in nested


@pytest.mark.parametrize(
    ("topic", "operations"),
    [
        (("vm", "start"), ["start-vm"]),
        (("vm", "stop"), ["poweroff-vm", "shutdown-vm"]),
        (("vm", "list"), ["get-vms"]),
        (("snapshot", "delete"), ["delete-vm-snapshot"]),
        (("snapshot", "revert"), ["rollback-vm"]),
        (("template", "deploy"), ["create-vm-from-content-library-template"]),
        (("host", "maintenance", "enter"), ["enter-maintance-mode"]),
    ],
)
def test_an_action_may_be_named_in_words_of_the_command_line(
    explained: Callable[..., str], topic: tuple[str, ...], operations: list[str]
) -> None:
    text = explained(*topic)
    for operation in operations:
        assert text.startswith(f"{operation} (") or f"\n  {operation}\n" in text


@pytest.mark.parametrize(
    ("topic", "told"),
    [
        ((), "pass a resource, a field or an operation"),
        (("vmz",), "there is no resource and no operation 'vmz'; did you mean "),
        (("stop-vm",), "did you mean shut-down-vm or poweroff-vm?"),
        (("vm.memroy",), "vm has no field 'memroy'; did you mean memory?"),
        (("vm.memory.x",), "vm.memory has no fields"),
        (("create-vm.memroy",), "create-vm has no key 'memroy'; did you mean memory?"),
        (("create-vm.memory.x",), "create-vm.memory has no keys"),
        (("vm", "qqq", "qqq"), "there is no resource and no operation 'vm qqq qqq'"),
        (("\x1b[31m",), "there is no resource and no operation"),
    ],
)
def test_an_unknown_topic_is_refused_with_suggestions(
    capsys: pytest.CaptureFixture[str], topic: tuple[str, ...], told: str
) -> None:
    assert main(["explain", *topic]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert f"cloudtower-async: explain: {told}" in output.err or told in output.err
    assert "\x1b" not in output.err


def test_every_resource_and_operation_can_be_explained(explained: Callable[..., str]) -> None:
    for name in list(queries())[::4]:
        assert "\nFields:\n" in explained(name)
    for namespace in registry.namespaces()[::4]:
        for operation in registry.operations_in(namespace):
            assert explained(operation.path).startswith(operation.path.lstrip("/"))


def test_texts_of_fields_and_of_members_are_those_of_the_sources() -> None:
    assert (field_docs(models.Vm) or {})["memory"] == FieldDoc("Memory of the VM in bytes.", None)
    assert (field_docs(models.VmExportFileType) or {})["VMDK"] == FieldDoc("", "4.6.0")
    assert (field_docs(inputs.VmCreationParams) or {})["gpu_devices"].since == "3.3.0"
    for method in list(queries().values())[::4]:
        [kind] = get_args(registry.operation(method).answer())
        assert set(kind.__struct_fields__) <= (field_docs(kind) or {}).keys()


@pytest.mark.subprocess
def test_without_sources_it_says_so(explained: Callable[..., str], tmp_path: Path) -> None:
    explained("vm")  # imports the modules that it needs
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] == "cloudtower_async" and file and file.endswith(".py"):
            parts = name.split(".") + (["__init__"] if hasattr(module, "__path__") else [])
            compiled = tmp_path.joinpath(*parts).with_suffix(".pyc")
            compiled.parent.mkdir(parents=True, exist_ok=True)
            py_compile.compile(file, str(compiled))
    (tmp_path / "cloudtower_async" / "cli" / "__main__.py").write_text(
        "import sys; from . import main; sys.exit(main())"
    )
    for topic in ("vm", "create-vm", "vm.memory"):
        ended = run("explain", topic, PYTHONPATH=str(tmp_path))
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
        assert NO_SOURCES in " ".join(ended.stdout.split())
        assert "memory: whole number" in ended.stdout
        assert "Memory of the VM in bytes" not in ended.stdout
