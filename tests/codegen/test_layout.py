from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codegen import layout
from codegen.refusals import SchemaError
from codegen.schema import Api, ListOf, Ref, Scalar

from .made_up import TEXT, Raw, listed, operation, record, ref, small

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_namespace_is_the_tag_in_snake_case(api: Api) -> None:
    assert {layout.namespace(o) for o in api.operations} == {"tree", "fruit_stand", "season"}


def test_namespaces_that_begin_with_the_same_word_share_a_module() -> None:
    names = "zone vm vm_disk iscsi_lun iscsi_lun_snapshot cluster cluster_topo global_rule global_x"
    assert layout.families(names.split()) == {
        "zone": "zone",
        "vm": "vm",
        "vm_disk": "vm_disk",
        "iscsi_lun": "iscsi_lun",
        "iscsi_lun_snapshot": "iscsi_lun",
        "cluster": "cluster",
        "cluster_topo": "cluster",
        "global_rule": "global_",
        "global_x": "global_",
    }
    assert layout.families(["vm", "vm_disk", "vm_nic"])["vm_nic"] == "vm_related"


def test_an_answer_that_one_namespace_needs_stands_in_its_module(api: Api) -> None:
    modules = layout.models(api)
    assert modules["Tree"] == modules["TreeTrunk"] == modules["TreeGrade"] == "tree"


def test_an_answer_that_several_need_is_grouped_by_what_it_holds(api: Api) -> None:
    modules = layout.models(api)
    assert modules["TreeStatus"] == "enums.common"
    assert modules["NestedOrchard"] == "references.orchard"  # it holds no other type
    assert modules["Stand"] == "shared.stand"


def _shared(answers: dict[str, Raw], namespaces: int) -> Raw:
    """Return a schema in which operations of several namespaces return the same types.

    Args:
        answers: Schemas of the types.
        namespaces: Number of namespaces that return each type.
    """
    paths = {
        f"/get-{number}-{name}": {
            "post": operation(f"Get{number}{name}", f"Box{number}", listed(ref(name)))
        }
        for name in answers
        for number in range(namespaces)
    }
    return small(answers, paths)


def test_references_are_grouped_by_subject_unless_many_need_them(
    read: Callable[[Raw], Api],
) -> None:
    thing = record({"id": TEXT})
    few = layout.models(read(_shared({"NestedDisk": thing, "IscsiLun": thing}, 5)))
    assert few == {"NestedDisk": "references.storage", "IscsiLun": "references.storage"}
    many = layout.models(read(_shared({"NestedDisk": thing}, 6)))
    assert many == {"NestedDisk": "references.common"}


def test_modules_that_would_import_each_other_are_refused(read: Callable[[Raw], Api]) -> None:
    end, inner = record({"id": TEXT}), record({"end": ref("End")})
    answers = {
        "End": end,
        "BarkOne": record({"inner": ref("LeafTwo")}),
        "LeafTwo": inner,
        "LeafOne": record({"inner": ref("BarkTwo")}),
        "BarkTwo": inner,
    }
    with pytest.raises(SchemaError, match=r"models\.shared\.bark.*would import each other"):
        layout.models(read(_shared(answers, 2)))


def test_collapsed_answers_and_arguments_are_no_models(api: Api) -> None:
    modules = layout.models(api)
    assert not {"TreeConnection", "NestedAggregate", "WithTask_Tree_"} & set(modules)
    assert not {"TreeWhereInput", "PlantTreeParams"} & set(modules)


def test_answers_are_seen_through_tasks_and_without_connections(api: Api) -> None:
    assert list(layout.own_types(api, ListOf(Ref("WithTask_Tree_")))) == ["Tree"]
    assert list(layout.own_types(api, Ref("WithTask_Tree_Array"))) == ["Tree"]
    assert list(layout.own_types(api, Ref("TreeConnection"))) == []
    assert list(layout.own_types(api, Scalar("str"))) == []


def test_only_a_record_with_nothing_but_an_aggregate_is_a_connection(api: Api) -> None:
    assert layout.is_connection(api, "TreeConnection")
    assert not layout.is_connection(api, "Tree")
    assert not layout.is_connection(api, "TreeStatus")


def test_every_argument_type_has_exactly_one_module_and_answers_have_none(api: Api) -> None:
    modules = layout.inputs(api)
    assert {"GetTreesRequestBody", "PlantTreeParams", "TreeWhereInput"} <= set(modules)
    assert not {"Tree", "Stand", "WithTask_Tree_"} & set(modules)


def test_an_input_that_one_namespace_needs_stands_in_its_module(api: Api) -> None:
    modules = layout.inputs(api)
    assert modules["UploadBarkForm"] == "tree"
    assert modules["GetSeasonsWeatherQuery"] == "season"


def test_a_shared_input_goes_to_its_operation_its_namesake_or_the_common_module(
    read: Callable[[Raw], Api],
) -> None:
    body = record({"where": ref("BoxWhereInput"), "nested": ref("NestedLidParams")})
    body["properties"]["colour"] = ref("Colour")
    box_body, lid_body = ref("PackBody"), ref("OtherBody")
    paths = {
        "/pack": {"post": operation("Pack", "Box", listed(TEXT), box_body)},
        "/seal": {"post": operation("Seal", "Lid", listed(TEXT), lid_body)},
    }
    schemas = {
        "BoxWhereInput": record({"id": TEXT}),
        "NestedLidParams": record({"id": TEXT}),
        "Colour": record({"id": TEXT}),
        "PackBody": body,
        "OtherBody": record({**body["properties"], "again": ref("PackBody")}),
    }
    modules = layout.inputs(read(small(schemas, paths)))
    assert modules == {
        "BoxWhereInput": "box",
        "NestedLidParams": "lid",
        "Colour": "common",
        "PackBody": "box",
        "OtherBody": "lid",
    }


def test_types_come_after_what_they_refer_to(api: Api) -> None:
    wanted = {"Tree", "TreeTrunk", "TreeTrunkBark", "TreeRings", "TreeGrade"}
    order = list(layout.in_order(api, wanted))
    assert set(order) == wanted
    assert len(order) == len(wanted)
    assert order[-1] == "Tree"
    assert order.index("TreeTrunkBark") < order.index("TreeTrunk")
