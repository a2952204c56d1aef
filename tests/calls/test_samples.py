"""Structs built from a few fields are valid, and faulty fields are named."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Literal

import msgspec
import pytest

from cloudtower_async import models
from cloudtower_async.calls.registry import namespaces, operations_in
from cloudtower_async.calls.samples import make, placeholder
from cloudtower_async.errors import InvalidInput
from cloudtower_async.types import WithTask

_KINDS = [getattr(models, name) for name in dir(models)]
STRUCTS: list[Any] = [kind for kind in _KINDS if issubclass(kind, msgspec.Struct)]


class Machine(msgspec.Struct, kw_only=True):
    """A struct of a program that uses the package."""

    id: str
    kind: Literal["vm", "host"]
    tags: set[str]
    seen: float | None
    weight: float
    raw: bytes
    extra: dict[str, Any]
    anything: Any
    retries: int = 3


class Dated(msgspec.Struct):
    """A struct with a field that has no placeholder."""

    at: datetime


def test_a_made_struct_has_the_given_fields_and_placeholders() -> None:
    vm = make(models.Vm, name="web-1", status="RUNNING", memory=2**30, ha=True)
    assert (vm.name, vm.memory, vm.ha) == ("web-1", 2**30, True)
    assert vm.status is models.VmStatus.RUNNING
    assert (vm.id, vm.vcpu, vm.protected, vm.vm_disks) == ("", 0, False, None)
    assert vm.firmware is next(iter(models.VmFirmware))
    assert vm.cpu == models.NestedCpu(cores=0, sockets=0)


def test_dicts_stand_for_nested_structs_and_lists_of_them() -> None:
    vm = make(models.Vm, cluster={"name": "prod"}, vm_disks=({"id": "d1"}, {"id": "d2"}))
    assert vm.cluster == models.NestedCluster(id="", name="prod")
    assert vm.vm_disks == [models.NestedVmDisk(id="d1"), models.NestedVmDisk(id="d2")]
    host = models.NestedHost(id="h1", management_ip="10.0.0.1", name="h")
    assert make(models.Vm, host=host).host is host
    assert make(models.Vm, host=None).host is None


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_struct_of_an_answer_is_made_and_decodes_again(struct: type[msgspec.Struct]) -> None:
    made = make(struct)
    assert msgspec.json.decode(msgspec.json.encode(made), type=struct) == made


def test_every_operation_has_a_placeholder_for_its_answer() -> None:
    for namespace in namespaces():
        for operation in operations_in(namespace):
            answer = operation.answer()
            made = placeholder(answer)
            assert msgspec.convert(msgspec.to_builtins(made), answer) == made, operation.name


def test_generic_structs_and_own_structs_are_made() -> None:
    answer = make(WithTask[models.Vm], data={"name": "web-1"})
    assert answer.data == make(models.Vm, name="web-1")
    assert answer.task_id is None
    assert make(Machine, id="m") == Machine(
        id="m", kind="vm", tags=set(), seen=None, weight=0.0, raw=b"", extra={}, anything=None
    )


def test_placeholders_are_not_shared() -> None:
    first, second = make(Machine), make(Machine)
    first.extra["a"] = 1
    assert second.extra == {}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"nmae": "x"}, "Vm: no field `nmae`; did you mean name?"),
        (
            {"entityAsyncStatus": None},
            "Vm: no field `entityAsyncStatus`; did you mean entity",
        ),
        ({"cluster": {"nmae": "x"}}, "Vm.cluster: no field `nmae`; did you mean name?"),
        ({"vm_disks": [{}, {"idd": "x"}]}, "Vm.vm_disks[1]: no field `idd`; did you mean id?"),
        ({"name": 1}, "Vm.name: expected str, got int"),
        ({"name": None}, "Vm.name: expected str, got None"),
        ({"vcpu": "2"}, "Vm.vcpu: expected int, got str"),
        ({"vm_disks": {}}, "Vm.vm_disks: expected list[NestedVmDisk] or None, got dict"),
        ({"host": models.NestedCluster(id="", name="")}, "expected NestedHost or None, got Nested"),
        ({"status": "RUNING"}, "Vm.status: VmStatus has no value 'RUNING'"),
        ({"status": "RUNING"}, "pass VmStatus('RUNING')); did you mean RUNNING?"),
        ({"status": 1}, "Vm.status: expected VmStatus, got int"),
    ],
)
def test_an_invalid_field_or_value_is_named(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        make(models.Vm, **fields)


def test_a_member_for_a_value_of_newer_servers_is_taken() -> None:
    assert make(models.Vm, status=models.VmStatus("HIBERNATED")).status == "HIBERNATED"


def test_a_type_without_placeholder_asks_for_a_value() -> None:
    with pytest.raises(InvalidInput, match=r"Dated\.at: no placeholder for datetime; pass a value"):
        make(Dated)
    now = datetime.now().astimezone()
    assert make(Dated, at=now).at == now


def test_only_structs_are_made() -> None:
    wanted: Any = dict
    with pytest.raises(InvalidInput, match=r"dict is not a struct; pass a type such as models\.Vm"):
        make(wanted)
