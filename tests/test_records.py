"""Lists of structs as records and Arrow tables."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from cloudtower_async import models, to_arrow, to_records
from cloudtower_async.models import NestedCluster, NestedVmDisk, Vm, VmStatus
from cloudtower_async.testing import Simulator
from tests.simulator.client import our_client

if TYPE_CHECKING:
    from collections.abc import Sequence


def vm(**values: object) -> Vm:
    """Return a VM with only some known values."""
    made: Vm = Vm(**{**dict.fromkeys(Vm.__struct_fields__), **values})  # type: ignore[arg-type]
    return made


VM = vm(
    id="a",
    name="web-1",
    status=VmStatus.RUNNING,
    memory=2**40,
    cluster=NestedCluster(id="c", name="prod"),
    vm_disks=[NestedVmDisk(id="d")],
)


def test_a_record_has_plain_values_by_attribute() -> None:
    (record,) = to_records([VM])
    assert list(record) == list(Vm.__struct_fields__)
    assert record["cluster"] == {"id": "c", "name": "prod"}
    assert record["vm_disks"] == [{"id": "d"}]
    assert (record["status"], type(record["status"])) == ("RUNNING", str)
    assert "entity_async_status" in record
    assert to_records([]) == []


def test_records_have_the_requested_fields_in_the_given_order() -> None:
    assert to_records([VM, VM], ("name", "id")) == [{"name": "web-1", "id": "a"}] * 2


@pytest.mark.parametrize("function", [to_records, to_arrow])
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (["nmae"], "fields: Vm has no attribute 'nmae'; did you mean name"),
        ("name", "fields: expected a list of names, got a string; write ['name']"),
    ],
)
def test_fields_that_rows_do_not_have_are_refused(
    function: Any,  # noqa: ANN401
    fields: Sequence[str],
    message: str,
) -> None:
    if function is to_arrow:
        pytest.importorskip("pyarrow")
    with pytest.raises(ValueError, match=r"^fields: ") as caught:
        function([VM], fields)
    assert str(caught.value).startswith(message)


def test_a_table_has_the_types_of_the_fields_also_where_all_is_none() -> None:
    pytest.importorskip("pyarrow")
    table: Any = to_arrow([VM, vm(id="b")])
    types = {field.name: str(field.type) for field in table.schema}
    assert list(types) == list(Vm.__struct_fields__)
    assert [types[name] for name in ("id", "memory", "cpu_usage", "ha", "status")] == [
        "string",
        "int64",
        "double",
        "bool",
        "string",
    ]
    assert types["cluster"] == "struct<id: string, name: string>"
    assert types["vm_disks"].startswith("list<")
    rows = table.to_pylist()
    assert rows[0]["cluster"] == {"id": "c", "name": "prod"}
    assert rows[0]["vm_disks"] == [{"id": "d"}]
    assert (rows[0]["memory"], rows[1]["cluster"], rows[1]["memory"]) == (2**40, None, None)


def test_values_of_no_fixed_type_are_json_in_a_table() -> None:
    pytest.importorskip("pyarrow")
    values = dict.fromkeys(models.Task.__struct_fields__)
    task: Any = models.Task(**{**values, "id": "t", "args": {"a": [1]}})  # type: ignore[arg-type]
    (row,) = to_arrow([task], ["id", "args"]).to_pylist()
    assert json.loads(row["args"]) == {"a": [1]}


def test_a_table_of_no_rows_is_empty_and_one_of_two_types_refused() -> None:
    pytest.importorskip("pyarrow")
    assert to_arrow([]).num_rows == 0
    with pytest.raises(ValueError, match="expected structs of one type, got Vm, NestedVmDisk"):
        to_arrow([VM, NestedVmDisk(id="d")])


def test_every_answer_makes_a_table() -> None:
    pytest.importorskip("pyarrow")
    made = 0
    for name in dir(models):
        kind = getattr(models, name)
        if issubclass(kind, msgspec.Struct):
            row: Any = kind(**dict.fromkeys(kind.__struct_fields__))
            assert to_arrow([row]).num_rows == 1
            made += 1
    assert made > 400


@pytest.mark.anyio
async def test_rows_of_queries_make_tables() -> None:
    pytest.importorskip("pyarrow")
    async with Simulator() as sim, our_client(sim) as tower:
        for rows in (await tower.vm.get_vms(), await tower.task.get_tasks()):
            assert to_arrow(rows).to_pylist()[0]["id"] == rows[0].id
            assert len(to_records(rows)) == len(rows)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "cloudtower-async\[arrow\]"'):
        to_arrow([])
