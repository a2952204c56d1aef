"""Annotations of the generated TypedDicts are read correctly in all their forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ForwardRef, Literal, Required

import pytest

from cloudtower_async import inputs
from cloudtower_async.calls.arg_types import ArgType, arg_type, member, newest_member
from cloudtower_async.inputs import vm
from cloudtower_async.types import FileContent

_FILTER = ArgType(dict, record=inputs.VmWhereInput)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (str, ArgType(str)),
        (int | None, ArgType(int, nullable=True)),
        (Required[bool], ArgType(bool)),
        (FileContent, ArgType(bytes)),
        (Mapping[str, object], ArgType(dict)),
        (Literal["a", "b"], ArgType(str, choices=frozenset("ab"))),
        (list[str] | tuple[str, ...] | None, ArgType(list, True, item=ArgType(str))),
        (inputs.VmWhereInput, _FILTER),
        (ForwardRef("VmWhereInput"), _FILTER),
        (ForwardRef("nested.VmWhereInput2"), _FILTER),
        (Required[ForwardRef("VmWhereInput")], _FILTER),
        (ForwardRef("Sequence[nested.VmWhereInput3]"), ArgType(list, item=_FILTER)),
        (
            ForwardRef("Sequence[VmWhereInput] | None"),
            ArgType(list, True, item=_FILTER),
        ),
    ],
)
def test_an_annotation_is_read_however_it_is_written(annotation: object, expected: ArgType) -> None:
    assert arg_type(annotation, {**vars(vm)}) == expected


def test_the_literals_of_an_enum_are_the_choices_of_a_nullable_string() -> None:
    found = member(inputs.VmWhereInput, "status")
    assert found is not None
    assert (found.kind, found.nullable) == (str, True)
    assert {"RUNNING", "STOPPED"} <= found.choices


def test_a_filter_names_the_resource_that_it_selects() -> None:
    assert _FILTER.filtered_resource == "Vm"
    assert arg_type(inputs.VmWhereUniqueInput).filtered_resource == "Vm"
    assert arg_type(inputs.GetVmsRequestBody).filtered_resource is None
    assert arg_type(str).filtered_resource is None


@pytest.mark.parametrize("key", ["cluster", "folder", "labels_some", "AND", "name", "id_in"])
def test_every_key_of_a_filter_may_be_null(key: str) -> None:
    found = member(inputs.VmWhereInput, key)
    assert found is not None
    assert found.nullable
    if found.record or (found.item and found.item.record):
        assert "None" not in str(inputs.VmWhereInput.__annotations__[key])


def test_a_filter_in_data_may_not_be_null() -> None:
    found = member(inputs.VmCreationParams, "vm_placement_group")
    assert found is not None
    assert (found.is_filter, found.nullable) == (True, False)


def test_a_key_that_older_servers_take_in_another_form_may_hold_anything() -> None:
    assert member(inputs.TaskUpdateParamsData, "description") == ArgType(object)
    assert newest_member(inputs.TaskUpdateParamsData, "description") != ArgType(object)
    assert newest_member(inputs.TaskUpdateParamsData, "nothing") is None
