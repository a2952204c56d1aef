"""Filters that match everything are detected, and mutations with such a filter are not sent."""

from __future__ import annotations

import ast
import itertools
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cloudtower_async import EVERYTHING, EmptyFilter, InvalidInput, recipes
from cloudtower_async.api.metrics import GET_VM_METRICS, GET_VM_NET_WORK_METRICS
from cloudtower_async.api.vm import GET_VMS, MIGRATE_VM, START_VM
from cloudtower_async.calls.empty_filter import matches_all
from cloudtower_async.calls.operation import Operation
from cloudtower_async.calls.validation import check
from cloudtower_async.simulator.request_log import mutations
from cloudtower_async.testing import Simulator
from tests.simulator.client import our_client
from tests.simulator.reference import Reference

from .random_inputs import changes, every_operation, filters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Where: TypeAlias = dict[str, Any]

PAGE = Path(__file__).parents[2] / "docs" / "arguments.md"


def value_of(text: str) -> Any:  # noqa: ANN401
    """Return the filter that a row of the table shows."""
    code = ast.parse(text, mode="eval")
    names = {node.id for node in ast.walk(code) if isinstance(node, ast.Name)}
    assert names <= {"EVERYTHING"}
    return eval(text, {"EVERYTHING": EVERYTHING})  # noqa: S307


def rows() -> list[tuple[str, str, str]]:
    """Return the table of the documentation."""
    table = PAGE.read_text(encoding="utf-8").partition("| filter |")[2].partition("\n\n")[0]
    cells = [row.strip("| ").split(" | ") for row in table.splitlines()[2:]]
    return [(where.strip("`"), matches, outcome) for where, matches, outcome in cells]


ROWS = rows()


@pytest.mark.parametrize(("text", "matches", "outcome"), ROWS, ids=[row[0] for row in ROWS])
def test_each_row_of_the_table_has_the_documented_outcome(
    text: str, matches: str, outcome: str
) -> None:
    where = value_of(text)
    if outcome == "refused":
        with pytest.raises(EmptyFilter, match=r"^vm\.start_vm: where: .* or pass EVERYTHING$"):
            check(START_VM, {"where": where}, validate=True)
    elif outcome == "refused with `InvalidInput`":
        with pytest.raises(InvalidInput, match=r"^vm\.start_vm: where.*: got None, but") as caught:
            check(START_VM, {"where": where}, validate=True)
        assert not isinstance(caught.value, EmptyFilter)
    else:
        assert outcome == "sent"
        check(START_VM, {"where": where}, validate=True)
    check(GET_VMS, {} if where is None else {"where": where}, validate=True)


@pytest.mark.anyio
async def test_the_matches_in_the_table_are_those_of_the_simulator() -> None:
    async with Simulator() as sim:
        every = {vm["id"] for vm in sim.store.select("Vm")}
        for text, matches, _ in ROWS:
            where = value_of(text.replace("EVERYTHING", "{}"))
            found = {vm["id"] for vm in sim.store.select("Vm", where or {})}
            if matches == "some, or none" or matches.startswith("resources"):
                assert found < every, text
            elif matches.startswith("nothing"):
                assert found == set(), text
            else:  # no VM has the id of the one that is left out
                assert matches.startswith(("everything", "all but one"))
                # No VM is on no host, except a stopped one.
                assert found == every or (matches == "everything on a host" and found), text


def test_the_table_is_long_and_has_no_duplicates() -> None:
    assert len({text for text, _, _ in ROWS}) == len(ROWS) > 45


# Every VM has a name, a host and flags. Each condition gets a separate flag: a filter that
# matches for all values of the flags does so by its structure, not by the data.
FLAGS = tuple(f"flag{number}" for number in range(6))
RELATIONS = {
    "Vm": {"host": ("Host", False), "hosts": ("Host", True)},
    "Host": {"vm": ("Vm", False), "vms": ("Vm", True)},
}
ENDS = {"v": {"host": "h", "hosts": ["h"]}, "h": {"vm": "v", "vms": ["v"]}}

CONSTANT: list[Where] = [
    *({f"name{how}": ""} for how in ("_contains", "_starts_with", "_ends_with", "_gte", "_lt")),
    *({f"name_not{how}": ""} for how in ("_contains", "_starts_with", "_ends_with")),
    {"id_in": []},
    {"id_not_in": []},
    {"id_not": ""},
    {"id_gt": ""},
]
NULLS: list[Where] = [{"id": None}, {"id_not": None}, {"host": None}]


def wheres(resource: str, simple: list[Where], depth: int = 3) -> st.SearchStrategy[Where]:
    """Generate filters of a resource. Many of them match everything or nothing."""
    fitting = [where for where in simple if "host" not in where or resource == "Vm"]
    conditions = [st.just({"flag": True}), st.sampled_from(fitting)]
    if depth:
        several = st.lists(wheres(resource, simple, depth - 1), max_size=2)
        conditions += [st.fixed_dictionaries({key: several}) for key in ("AND", "OR", "NOT")]
        for field, (target, many) in RELATIONS[resource].items():
            inner = wheres(target, simple, depth - 1)
            keys = [f"{field}_{how}" for how in ("some", "every", "none")] if many else [field]
            conditions += [st.fixed_dictionaries({key: inner}) for key in keys]
    one = st.one_of(conditions)
    return st.just(Where()) | one | st.builds(together, one, one)


def together(left: Where, right: Where) -> Where:
    """Merge the conditions of two filters."""
    return {**left, **right}


def with_own_flags(where: Any, flags: Iterator[str]) -> Any:  # noqa: ANN401
    """Return the filter with a different flag in each place."""
    if isinstance(where, list):
        parts = cast("list[object]", where)
        return [with_own_flags(part, flags) for part in parts]
    if isinstance(where, dict):
        return {
            next(flags) if key == "flag" else key: with_own_flags(part, flags)
            for key, part in cast("Where", where).items()
        }
    return where


def matches_whatever_is_set(where: Where) -> bool:
    """Return whether a filter matches all VMs for all values of the flags."""
    fields = ("id", "name", *FLAGS)
    for chosen in itertools.product([True, False], repeat=len(FLAGS)):
        flags = dict(zip(FLAGS, chosen, strict=True))
        world = {
            resource: {identifier: {"id": identifier, "name": "a", **flags, **ENDS[identifier]}}
            for resource, identifier in (("Vm", "v"), ("Host", "h"))
        }
        reference = Reference(lambda _: fields, RELATIONS.__getitem__, world.__getitem__)
        if reference.matching(where, "Vm") != ["v"]:
            return False
    return True


@settings(max_examples=1000)
@given(where=wheres("Vm", CONSTANT + NULLS))
def test_a_filter_that_matches_everything_by_its_structure_is_detected(where: Where) -> None:
    own = with_own_flags(where, itertools.chain(FLAGS, itertools.repeat("more")))
    assume("more" not in repr(own))
    if matches_whatever_is_set(own):
        assert matches_all(own)


@settings(max_examples=1000)
@given(where=wheres("Vm", CONSTANT))
def test_without_nulls_no_other_filter_is_refused(where: Where) -> None:
    own = with_own_flags(where, itertools.chain(FLAGS, itertools.repeat("more")))
    assume("more" not in repr(own))
    assert matches_all(own) == matches_whatever_is_set(own)


WITH_FILTERS = [
    (operation, place, arguments)
    for operation in every_operation()
    if changes(operation) or operation.name.startswith("metrics.")
    for place, arguments in filters(operation, required=not changes(operation))
]


@pytest.mark.anyio
async def test_every_mutation_rejects_an_empty_filter(
    tell: Callable[[str], None],
) -> None:
    async with Simulator() as sim, our_client(sim) as tower:
        reached = len(sim.requests)
        for operation, place, arguments in WITH_FILTERS:
            with pytest.raises(EmptyFilter) as caught:
                await tower._executor.call(operation, arguments)  # pyright: ignore[reportPrivateUsage]
            assert str(caught.value).startswith(f"{operation.name}: {place}: ")
        assert len(sim.requests) == reached
        assert mutations(sim.requests) == []
    operations = {operation.name for operation, _, _ in WITH_FILTERS}
    tell(f"{len(WITH_FILTERS)} filters of {len(operations)} operations are guarded")
    # The operations in the schema: `where` is required wherever a mutation has one.
    assert len(operations) > 220
    assert {
        "upload_task.cancel_upload_task",
        "content_library_image.create_content_library_image",
    } < operations


LOST: list[tuple[Where, str]] = [
    ({"id": None, "cluster": {"name": "c"}}, "where.id"),
    ({"id_not": None, "cluster": {"name": "c"}}, "where.id_not"),
    ({"id_in": None, "name": "web"}, "where.id_in"),
    ({"name_starts_with": None, "status": "STOPPED"}, "where.name_starts_with"),
    ({"name": "web", "cluster": {"id": None, "name": "c"}}, "where.cluster.id"),
    ({"AND": [{"name": "a"}, {"vcpu_gte": None, "ha": True}]}, "where.AND[1].vcpu_gte"),
    ({"NOT": [{"id": None}], "name": "web"}, "where.NOT[0].id"),
]


@pytest.mark.parametrize("validate", [True, False])
@pytest.mark.parametrize(("where", "place"), LOST, ids=[place for _, place in LOST])
def test_none_for_a_field_that_is_never_null_is_refused_in_a_mutation(
    where: Where, place: str, validate: bool
) -> None:
    with pytest.raises(InvalidInput, match=r"its value was probably lost") as caught:
        check(START_VM, {"where": where}, validate=validate)
    assert str(caught.value).startswith(f"vm.start_vm: {place}: got None, but the field is never")
    check(GET_VMS, {"where": where}, validate=True)


@pytest.mark.parametrize(
    "where",
    [
        {"folder": None, "name": "web"},
        {"name": "web", "cluster": None},
        {"name": "web", "cluster": {"name": "c", "management_vip": None}},
        {"name": "web", "key_of_a_newer_server": None},
    ],
)
def test_none_for_a_field_that_can_be_null_is_sent(where: Where) -> None:
    check(START_VM, {"where": where}, validate=False)


@pytest.mark.anyio
async def test_a_recipe_refuses_a_lost_id_before_anything_is_sent() -> None:
    async with Simulator() as sim, our_client(sim) as tower:
        before = len(sim.requests)
        with pytest.raises(InvalidInput, match=r"^shut_down_vms: where\.id: got None"):
            await recipes.shut_down_vms(tower, {"id": None, "cluster": {"name": "atlas-01"}})
        assert len(sim.requests) == before


class ClusterFilter(msgspec.Struct, omit_defaults=True):
    """A user's own class for filters. By default, no field is set."""

    name: str | None = None
    id: str | None = None


@dataclass
class ClusterRecord:
    """A user's own dataclass for filters. By default, no field is set."""

    name: str | None = None


HIDDEN: list[Any] = [
    ClusterFilter(),
    ClusterRecord(),
    msgspec.Raw(b"{}"),
    msgspec.Raw(b'{"id": null}'),
    msgspec.Raw(b"null"),
]


@pytest.mark.parametrize("hidden", HIDDEN, ids=lambda one: type(one).__name__)
def test_an_empty_filter_does_not_hide_in_a_struct_or_raw_json(hidden: object) -> None:
    for where in (hidden, {"cluster": hidden}, {"AND": [{"cluster": hidden}]}):
        with pytest.raises(EmptyFilter):
            check(START_VM, {"where": where}, validate=False)
        with pytest.raises(InvalidInput):
            check(START_VM, {"where": where}, validate=True)
    with pytest.raises(EmptyFilter):
        check(START_VM, msgspec.Raw(b'{"where": {}}'), validate=False)


@pytest.mark.parametrize("validate", [True, False])
@pytest.mark.parametrize("part", [{"id": None, "name": "x"}, [{"id": None, "name": "x"}]])
def test_a_lost_value_is_found_with_and_without_validation(part: object, validate: bool) -> None:
    where = {"name": "y", "AND": part}
    with pytest.raises(InvalidInput, match=r"^vm\.start_vm: where\.AND\[0\]\.id: got None, but"):
        check(START_VM, {"where": where}, validate=validate)


def test_the_checked_filter_is_the_one_that_is_sent() -> None:
    where = {"cluster": ClusterFilter(name="c"), "id_in": msgspec.Raw(b'["a"]')}
    sent = {"where": {"cluster": {"name": "c"}, "id_in": ["a"]}}
    assert check(START_VM, {"where": where}, validate=False) == sent
    everything = {"where": EVERYTHING, "data": {"new_key": ClusterFilter(id="x")}}
    found = check(MIGRATE_VM, everything, validate=False)
    assert found == {"where": EVERYTHING, "data": {"new_key": {"id": "x"}}}


class Field(Enum):
    """Names of fields that are not strings."""

    NAME = "name"


def test_a_key_that_is_a_member_of_an_enum_is_sent_by_its_value_or_refused() -> None:
    try:
        msgspec.json.encode({Field.NAME: "web"})
    except TypeError:  # before msgspec 0.22
        with pytest.raises(InvalidInput, match="cannot be written as JSON"):
            check(START_VM, {"where": {Field.NAME: "web"}}, validate=False)
    else:
        sent = check(START_VM, {"where": {Field.NAME: "web"}}, validate=False)
        assert sent == {"where": {"name": "web"}}


@pytest.mark.parametrize("broken", [msgspec.Raw(b"{"), object()])
def test_a_filter_that_cannot_be_written_as_json_is_rejected(broken: object) -> None:
    with pytest.raises(
        InvalidInput, match=r"vm\.start_vm: the arguments cannot be written as JSON"
    ):
        check(START_VM, {"where": {"cluster": broken}}, validate=False)


@pytest.mark.parametrize("validate", [True, False])
def test_keys_that_are_not_strings_do_not_break_the_guard(validate: bool) -> None:
    where: dict[Any, Any] = {7: None, "name": "web"}
    if validate:
        with pytest.raises(InvalidInput, match=r"where\.7: no such field"):
            check(START_VM, {"where": where}, validate=True)
    else:
        check(START_VM, {"where": where}, validate=False)


@pytest.mark.parametrize("validate", [True, False])
def test_an_empty_filter_is_rejected_with_and_without_validation(validate: bool) -> None:
    wide: list[Where] = [{}, {"where": None}, {"where": {}}]
    for arguments in wide:
        with pytest.raises(EmptyFilter):
            check(START_VM, arguments, validate=validate)


def test_without_validation_values_that_are_no_filters_are_ignored() -> None:
    where: list[Any] = ["abc", [{}], 7, {"AND": "abc"}, {"OR": 7}, {"nmae": "x"}]
    for wrong in where:
        check(START_VM, {"where": wrong}, validate=False)


def test_a_single_filter_instead_of_a_list_counts_as_a_list_of_one() -> None:
    with pytest.raises(EmptyFilter):
        check(START_VM, {"where": {"AND": {}}}, validate=False)


def test_metrics_need_a_subject_and_may_take_all_its_parts() -> None:
    asked = {"metrics": ["m"], "range": "1h"}
    with pytest.raises(EmptyFilter, match=r"get_vm_metrics: vms: "):
        check(GET_VM_METRICS, {**asked, "vms": {}}, validate=True)
    check(GET_VM_METRICS, {**asked, "vms": EVERYTHING}, validate=True)
    check(GET_VM_NET_WORK_METRICS, {**asked, "vms": {"id": "v"}, "nics": {}}, validate=True)


@pytest.mark.parametrize("clusters", ["", "{}", "null", '{"id": null}', '{"OR": []}'])
def test_the_clusters_of_an_upload_are_a_filter(clusters: str) -> None:
    upload = next(op for op in every_operation() if op.path == "/upload-content-library-image")
    with pytest.raises(EmptyFilter, match="clusters"):
        check(upload, {"file": b"", "clusters": clusters}, validate=True)
    for fine in ('{"id": "c"}', "no JSON", EVERYTHING):
        check(upload, {"file": b"", "clusters": fine}, validate=True)


def test_an_operation_without_declared_arguments_accepts_any() -> None:
    bare = Operation("x.y", "/y", START_VM.kind, lambda: object)
    check(bare, {"where": {}}, validate=True)
