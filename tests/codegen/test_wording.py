from __future__ import annotations

import dataclasses

import pytest

from cloudtower_async.calls.namespace import Namespace
from codegen import wording
from codegen.schema import ListOf, Operation, Property, Ref

_CUT = Operation(
    id="CutVmNicHair",
    method="POST",
    path="/cut-vm-nic-hair",
    tag="Hair",
    carries="JSON",
    auth="TOKEN",
    arguments=None,
    answer=ListOf(Ref("Hair")),
    not_modified=False,
    deprecated=False,
)
_GET = dataclasses.replace(_CUT, id="GetHairs", path="/get-hairs")


@pytest.mark.parametrize(("number", "said"), [(1, "1 call"), (0, "0 calls"), (2, "2 calls")])
def test_a_number_takes_the_plural(number: int, said: str) -> None:
    assert wording.counted(number, "call") == said


def _given(wire: str, kind: str = "HairWhereInput", *, required: bool = False) -> Property:
    return Property(wire, Ref(kind), required=required, nullable=False, deprecated=False)


@pytest.mark.parametrize(
    ("argument", "kind", "said"),
    [
        (_given("where"), "QUERY", "Filter. Without a filter, all resources match."),
        (_given("where", required=True), "QUERY", "Filter. `{}` matches all resources."),
        (
            _given("where", "HairWhereUniqueInput", required=True),
            "QUERY",
            "Filter for one resource: its `id` or another unique field.",
        ),
        (
            _given("where", required=True),
            "MUTATION",
            ("Filter for the resources to act on. To select all resources, pass `EVERYTHING`."),
        ),
        (_given("colour"), "QUERY", ""),
    ],
)
def test_the_text_of_a_filter_depends_on_the_kind_of_the_method(
    argument: Property, kind: str, said: str
) -> None:
    assert wording.argument(argument, kind) == said


def test_the_text_comes_first_or_else_the_name() -> None:
    facts = ["", "`POST /cut-vm-nic-hair`, since CloudTower 3.0.0.", '"""']
    assert wording.docstring(_CUT, "", "QUERY", "3.0.0", {}) == ['"""Cut vm nic hair.', *facts]
    text = "Cut the hair, a little at a time. " * 4
    lines = wording.docstring(_CUT, text, "QUERY", "3.0.0", {})
    assert lines[2:] == facts
    assert " ".join(lines[:2]) == f'"""{text.rstrip()}'
    assert max(map(len, lines)) <= 92


def test_side_effects_304_and_deprecation_are_documented() -> None:
    operation = dataclasses.replace(_CUT, not_modified=True, deprecated=True)
    lines = wording.docstring(operation, "", "MUTATION", "4.0.0", {})
    assert lines[2:5] == [
        "`POST /cut-vm-nic-hair`, since CloudTower 4.0.0. Changes the server's state.",
        "Returns an empty list if there is nothing to change (status 304).",
        "Deprecated by the server.",
    ]


def test_of_an_operation_that_counts_only_the_filter_is_recommended() -> None:
    assert not wording.counts(_CUT)
    counting = dataclasses.replace(_CUT, path="/get-hairs-connection")
    assert wording.counts(counting)
    lines = wording.docstring(counting, "", "QUERY", "3.0.0", {})
    assert lines[3] == "Pass only `where`: `first` and `skip` may change the number."


def test_items_are_described_by_their_type() -> None:
    said = "Sequence of dicts. `inputs.Hair` describes their keys."
    assert wording.items(ListOf(Ref("Hair"))) == said


def test_arguments_of_which_nothing_is_known_are_not_listed() -> None:
    lines = wording.docstring(_CUT, "", "QUERY", "3.0.0", {"first": "So many. " * 12, "colour": ""})
    assert lines[3:] == [
        "",
        "Args:",
        f"    first: {'So many. ' * 9}".rstrip(),
        f"        {'So many. ' * 3}".rstrip(),
        '"""',
    ]


def test_a_namespace_is_introduced_by_its_name_size_and_tag() -> None:
    first, second = wording.namespace("hair", "Hair", 2).split("\n\n")
    assert first == '"""`tower.hair`: 2 operations, from the tag `Hair` of the API.'
    described = "The base class `Namespace` describes the arguments that all operations have."
    assert [line.strip() for line in second.splitlines()] == [described, '"""']


def test_the_base_of_namespaces_describes_what_their_methods_share() -> None:
    for name in ("content_language", "external_cloudtower_id", "timeout", "CallError"):
        assert name in (Namespace.__doc__ or "")


@pytest.mark.parametrize(
    ("method", "said"),
    [("update_hair", "Dict with the fields to change and their new values."), ("cut_hair", "")],
)
def test_data_is_what_to_set_only_of_updates(method: str, said: str) -> None:
    assert wording.argument(_given("data"), "MUTATION", method) == said


def test_a_separate_credential_is_documented() -> None:
    operation = dataclasses.replace(_GET, auth="BASIC")
    lines = wording.docstring(operation, "", "QUERY", "3", {})
    assert any("HTTP Basic" in line for line in lines)
