"""Compiled filters, compared with a second, slow implementation of the same rules."""

# ruff: noqa: ANN401 - a where is made of anything

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudtower_async.simulator.http_errors import BadRequestError
from cloudtower_async.simulator.store.filters import Condition, Sources, compile_where, pinned_ids
from tests.simulator.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloudtower_async.simulator.store.filters import Document

FIELDS: dict[str, dict[str, type]] = {
    "Vm": {"id": str, "name": str, "vcpu": int, "ha": bool},
    "Host": {"id": str, "name": str},
    "Disk": {"id": str, "size": int},
}
RELATIONS: dict[str, dict[str, tuple[str, bool]]] = {
    "Vm": {"host": ("Host", False), "disks": ("Disk", True)},
    "Host": {"vms": ("Vm", True)},
    "Disk": {"vm": ("Vm", False)},
}
COMPARISONS = ("lt", "lte", "gt", "gte")
TEXT_MATCHES = ("contains", "starts_with", "ends_with")


def operators(kind: type) -> list[str]:
    found = ["", "in"]
    if kind is not bool:
        found += COMPARISONS
    positive = [*found, *TEXT_MATCHES] if kind is str else found
    negative = ["not" if how == "" else f"not_{how}" for how in positive if how not in COMPARISONS]
    return positive + negative


def key(field: str, how: str) -> str:
    return f"{field}_{how}" if how else field


def shape(resource: str) -> Mapping[str, Condition]:
    keys = {
        key(field, how): Condition(field, how, checker(kind))
        for field, kind in FIELDS[resource].items()
        for how in operators(kind)
    }
    for field, (target, many) in RELATIONS[resource].items():
        for how in ("every", "some", "none") if many else ("one",):
            keys[key(field, how if many else "")] = Condition(field, how, target=target)
    return keys


def checker(kind: type) -> Any:
    def check(value: object) -> object:
        if type(value) is not kind:
            raise ValueError(kind.__name__)
        return value

    return check


def reference(
    where: dict[str, Any], document: Document, made: dict[str, dict[str, Document]]
) -> bool | None:
    rules = Reference(FIELDS.__getitem__, RELATIONS.__getitem__, made.__getitem__)
    return rules.judge(where, document, "Vm")


TEXTS = st.text(alphabet="ab", max_size=3)
VALUES: dict[type, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: st.integers(0, 4),
    bool: st.booleans(),
}
SAMPLE_IDS = st.sampled_from(["0", "1", "2", "3"])


@st.composite
def tables(draw: st.DrawFn) -> dict[str, dict[str, Document]]:
    hosts = [str(number) for number in range(draw(st.integers(0, 3)))]
    vms = [str(number) for number in range(draw(st.integers(1, 4)))]
    disks = [str(number) for number in range(draw(st.integers(0, 4)))]
    made: dict[str, dict[str, Document]] = {
        "Host": {one: {"vms": []} for one in hosts},
        "Vm": {one: {"host": None, "disks": []} for one in vms},
        "Disk": {one: {"vm": None} for one in disks},
    }
    for resource, documents in made.items():
        for one, document in documents.items():
            for field, kind in FIELDS[resource].items():
                document[field] = one if field == "id" else draw(st.none() | VALUES[kind])
    for one, document in made["Vm"].items():
        document["host"] = draw(st.sampled_from([None, *hosts]))
        if document["host"] is not None:
            made["Host"][document["host"]]["vms"].append(one)
    for one, document in made["Disk"].items():
        document["vm"] = draw(st.sampled_from([None, *vms]))
        if document["vm"] is not None:
            made["Vm"][document["vm"]]["disks"].append(one)
    return made


@st.composite
def wheres(draw: st.DrawFn, resource: str = "Vm", depth: int = 3) -> dict[str, Any]:
    where: dict[str, Any] = {}
    for field, kind in FIELDS[resource].items():
        if draw(st.integers(0, 2)) == 0:
            how = draw(st.sampled_from(operators(kind)))
            value = SAMPLE_IDS if field == "id" else VALUES[kind]
            if how.endswith("in") and how in {"in", "not_in"}:
                value = st.lists(value, max_size=3)
            where[key(field, how)] = draw(st.none() | value)
    if depth:
        for field, (target, many) in RELATIONS[resource].items():
            if draw(st.integers(0, 2)) == 0:
                inner = wheres(target, depth - 1)
                if many:
                    how = draw(st.sampled_from(["every", "some", "none"]))
                    where[key(field, how)] = draw(inner)
                else:
                    where[field] = draw(st.none() | inner)
        for name in ("AND", "OR", "NOT"):
            if draw(st.integers(0, 3)) == 0:
                parts = st.lists(wheres(resource, depth - 1), max_size=2)
                where[name] = draw(st.none() | parts)
    return where


@settings(max_examples=400, deadline=None)
@given(tables(), wheres())
def test_a_compiled_where_agrees_with_the_reference(
    made: dict[str, dict[str, Document]], where: dict[str, Any]
) -> None:
    sources = Sources(shape, made.__getitem__)
    matches = compile_where(where, "Vm", sources)
    for document in made["Vm"].values():
        assert matches(document) is (reference(where, document, made) is True)


@settings(max_examples=200, deadline=None)
@given(tables(), wheres())
def test_pinned_ids_never_leave_out_a_match(
    made: dict[str, dict[str, Document]], where: dict[str, Any]
) -> None:
    ids = pinned_ids(where)
    matches = compile_where(where, "Vm", Sources(shape, made.__getitem__))
    found = [one for one, document in made["Vm"].items() if matches(document)]
    assert ids is None or set(found) <= set(ids)


VMS: dict[str, Document] = {
    "1": {"id": "1", "name": "web", "vcpu": 2, "ha": True, "host": "h", "disks": ["d", "e"]},
    "2": {"id": "2", "name": None, "vcpu": None, "ha": False, "host": None, "disks": []},
    "3": {"id": "3", "name": "db", "vcpu": 8, "ha": True, "host": "gone", "disks": ["gone"]},
}
TABLES: dict[str, dict[str, Document]] = {
    "Vm": VMS,
    "Host": {"h": {"id": "h", "name": "node", "vms": ["1"]}},
    "Disk": {
        "d": {"id": "d", "size": 10, "vm": "1"},
        "e": {"id": "e", "size": None, "vm": "1"},
    },
}
SOURCES = Sources(shape, TABLES.__getitem__)

CASES: list[tuple[dict[str, Any], str]] = [
    ({}, "123"),
    # only equality with null finds a null
    ({"name": None}, "2"),
    ({"name_not": None}, "13"),
    ({"name_in": None}, "2"),
    ({"name_not_in": None}, "13"),
    ({"name_not": "web"}, "3"),
    ({"NOT": [{"name": "web"}]}, "3"),
    ({"NOT": [{"NOT": [{"name": "web"}]}]}, "1"),
    ({"name_not_in": ["web"]}, "3"),
    ({"name_not_in": []}, "123"),
    ({"name_in": []}, ""),
    ({"NOT": [{"name_in": []}]}, "123"),
    ({"vcpu_lt": None}, ""),
    ({"NOT": [{"vcpu_lt": 4}]}, "3"),
    ({"name_not_contains": "e"}, "3"),
    ({"name_not_starts_with": "w"}, "3"),
    ({"name_not_ends_with": "b"}, ""),
    ({"vcpu_gte": 2, "vcpu_lte": 8}, "13"),
    # strings are case-sensitive
    ({"name_contains": "WEB"}, ""),
    # an empty combination does not restrict
    ({"AND": [], "OR": [], "NOT": []}, "123"),
    ({"NOT": [{"OR": []}]}, ""),
    ({"AND": None, "OR": None, "NOT": None}, "123"),
    ({"OR": [{"name": "web"}, {"name": "db"}]}, "13"),
    ({"NOT": [{"OR": [{"name": "web"}, {"vcpu": 8}]}]}, ""),
    # all conditions of NOT are false
    ({"NOT": [{"name": "web"}, {"name": "db"}]}, ""),
    ({"AND": [{"ha": True}, {"vcpu_gt": 2}]}, "3"),
    # relations
    ({"host": None}, "2"),
    ({"host": {}}, "1"),
    ({"NOT": [{"host": {"name": "node"}}]}, "23"),
    ({"disks_some": {}}, "1"),
    ({"disks_none": {}}, "23"),
    ({"disks_every": {"size": 10}}, "123"),  # unknown does not contradict "every"
    ({"disks_every": {"size_gt": 10}}, "23"),
    ({"disks_some": {"vm": {"host": {"vms_some": {"id": "1"}}}}}, "1"),
    # an id narrows the search
    ({"id": "3", "ha": True}, "3"),
    ({"id_in": ["3", "3", "9"]}, "3"),
]


@pytest.mark.parametrize(("where", "ids"), CASES, ids=[str(where) for where, _ in CASES])
def test_case(where: dict[str, Any], ids: str) -> None:
    matches = compile_where(where, "Vm", SOURCES)
    assert "".join(one for one, document in VMS.items() if matches(document)) == ids


WRONG: list[tuple[object, str]] = [
    ([], "where: expected an object, got a list: []"),
    ({"nmae": "x"}, "where.nmae: Vm has no such key; did you mean name"),
    ({"zzzzzz": "x"}, "where.zzzzzz: Vm has no such key"),
    ({"host": {"cluster": {}}}, "where.host.cluster: Host has no such key"),
    ({"host": 1}, "where.host: expected an object, got a number: 1"),
    ({"disks_some": None}, "where.disks_some: a relation to many cannot be compared with null"),
    ({"OR": "web"}, "where.OR: expected a list, got a string: 'web'"),
    ({"AND": [{"ha": "yes"}]}, "where.AND[0].ha: expected bool, got a string: 'yes'"),
    ({"name_in": {}}, "where.name_in: expected a list, got an object: {}"),
    ({"name_in": ["web", None]}, "where.name_in[1]: expected str, got null"),
    ({"vcpu": True}, "where.vcpu: expected int, got a boolean: True"),
]


@pytest.mark.parametrize(("where", "message"), WRONG, ids=[message for _, message in WRONG])
def test_an_invalid_filter_is_rejected_with_its_field_path(where: object, message: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        compile_where(where, "Vm", SOURCES)
    assert str(caught.value).startswith(message)


def test_a_condition_without_a_check_takes_any_value() -> None:
    sources = Sources(lambda _: {"size": Condition("size", "")}, TABLES.__getitem__)
    assert compile_where({"size": 10}, "Disk", sources)(TABLES["Disk"]["d"])


def test_pinned_ids_of_invalid_filters() -> None:
    assert pinned_ids(None) is None
    assert pinned_ids({"id_in": ["a", 1, "a"]}) == ["a"]
