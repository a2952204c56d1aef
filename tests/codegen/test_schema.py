from __future__ import annotations

from collections.abc import Callable

import pytest

from codegen import schema
from codegen.schema import Api, Choice, Enum, FreeForm, ListOf, Node, Record, Ref, Scalar

from .made_up import COUNT, TEXT, Raw, operation, record, ref, small

Read = Callable[[Raw], Api]


def _record(api: Api, name: str) -> dict[str, schema.Property]:
    found = api.types[name]
    assert isinstance(found, Record)
    return {prop.wire: prop for prop in found.properties}


def _operation(api: Api, name: str) -> schema.Operation:
    return next(operation for operation in api.operations if operation.id == name)


def test_versions_come_from_the_info_of_the_document(api: Api) -> None:
    assert (api.version, api.server) == ("1.2.3", "3.1.0")


def test_without_a_server_version_the_version_of_the_document_stands_for_it(read: Read) -> None:
    api = read(small({}))
    assert (api.version, api.server) == ("1.0", "1.0")


def test_operations_are_in_the_order_of_their_paths(api: Api) -> None:
    paths = [operation.path for operation in api.operations]
    assert paths == sorted(paths)
    assert len(paths) == 12


@pytest.mark.parametrize(
    ("wire", "node"),
    [
        ("id", Scalar("str")),
        ("status", Ref("TreeStatus")),
        ("entityAsyncStatus", Ref("TreeStatus")),
        ("heights", ListOf(Scalar("float"))),
        ("orchard", Ref("NestedOrchard")),
        ("neighbours", ListOf(Ref("NestedOrchard"))),
        ("trunk", Ref("TreeTrunk")),
        ("rings", ListOf(Ref("TreeRings"))),
        ("notes", FreeForm()),
        ("anything", Scalar("Any")),
        ("kind", Choice(("Tree",))),
        ("ring_count", Scalar("int", "2 to 3")),
        ("nicknames", ListOf(Scalar("str"), "not empty")),
        ("planted", Scalar("bool")),
        ("picture", Scalar("bytes")),
        ("grafts", ListOf(Ref("Tree"))),
    ],
)
def test_each_construct_of_a_property_has_its_shape(api: Api, wire: str, node: Node) -> None:
    assert _record(api, "Tree")[wire].node == node


def test_a_property_is_required_nullable_or_deprecated_as_the_schema_says(api: Api) -> None:
    tree = _record(api, "Tree")
    flags = {w: (tree[w].required, tree[w].nullable, tree[w].deprecated) for w in tree}
    assert flags["id"] == (True, False, False)
    assert flags["entityAsyncStatus"] == (False, True, False)
    assert flags["old_name"] == (False, False, True)


def test_a_property_is_nullable_when_the_schema_it_refers_to_is(read: Read) -> None:
    api = read(
        small(
            {
                "Size": {"type": "integer", "nullable": True},
                "Box": record({"size": ref("Size"), "sure": ref("Size", nullable=False)}),
            }
        )
    )
    box = _record(api, "Box")
    assert box["size"].nullable
    assert not box["sure"].nullable


def test_an_inline_record_is_named_after_its_path(api: Api) -> None:
    assert api.types["TreeTrunkBark"] == Record(
        "TreeTrunkBark",
        "Tree.trunk.bark",
        (schema.Property("deep", Scalar("int"), True, False, False),),
    )
    rings = api.types["TreeRings"]
    assert isinstance(rings, Record)
    assert rings.within == "Tree.rings[]"


def test_a_record_written_in_place_must_not_take_the_name_of_a_schema(read: Read) -> None:
    schemas = {"BoxLid": record({"a": TEXT}), "Box": record({"lid": record({"b": TEXT})})}
    with pytest.raises(
        ValueError, match=r"Box\.lid: its inline schema would get the name .* BoxLid"
    ):
        read(small(schemas))


def test_two_properties_must_not_have_the_same_python_name(read: Read) -> None:
    with pytest.raises(ValueError, match="Box: lidSize and lid_size have the same Python name"):
        read(small({"Box": record({"lidSize": TEXT, "lid_size": TEXT})}))


def test_parts_of_an_all_of_become_one_record(api: Api) -> None:
    plant = _record(api, "PlantTreeParams")
    assert set(plant) == {"depth", "site", "name", "spot", "rings", "groves", "companions"}
    assert {wire for wire, prop in plant.items() if prop.required} == {"name", "site", "depth"}
    assert plant["depth"].node == Scalar("float", "at least 0")
    assert plant["name"].node == Scalar("str", "not empty")
    assert plant["spot"].node == Ref("PlantTreeParamsSpot")


def test_a_later_part_of_an_all_of_wins(read: Read) -> None:
    parts = [record({"size": TEXT}, "size"), record({"size": COUNT})]
    api = read(small({"Box": {"allOf": parts}}))
    assert _record(api, "Box") == {
        "size": schema.Property("size", Scalar("int"), True, False, False)
    }


def test_several_inline_parts_become_a_separate_record(read: Read) -> None:
    both = {"allOf": [ref("Lid"), record({"colour": TEXT})]}
    api = read(small({"Lid": record({"size": TEXT}), "Box": record({"lid": both})}))
    assert _record(api, "Box")["lid"].node == Ref("BoxLid")
    assert set(_record(api, "BoxLid")) == {"size", "colour"}


def test_a_record_with_both_properties_and_parts_has_all(read: Read) -> None:
    lid = record({"size": TEXT})
    api = read(small({"Lid": lid, "Box": record({"name": TEXT}, allOf=[ref("Lid"), lid])}))
    assert set(_record(api, "Box")) == {"name", "size"}


def test_an_alias_has_the_properties_of_what_it_stands_for(api: Api) -> None:
    assert list(_record(api, "ReplantTreeParams")) == list(_record(api, "PlantTreeParams"))


def test_an_alias_of_an_enum_has_its_values(read: Read) -> None:
    api = read(small({"Colour": {"type": "string", "enum": ["RED"]}, "Paint": ref("Colour")}))
    assert api.types["Paint"] == Enum("Paint", ("RED",))


def test_aliases_of_arrays_and_scalars_are_no_separate_types(api: Api) -> None:
    assert not {"PruneTreesParams", "RingCount", "Nicknames"} & set(api.types)


def test_a_correction_overrides_the_type_of_a_scalar(read: Read) -> None:
    api = read(small({"DataPoint": record({"t": {"type": "integer"}})}))
    assert _record(api, "DataPoint")["t"].node == Scalar("float")


def test_a_json_body_carries_a_record_or_a_list_of_them(api: Api) -> None:
    one, many, alias = (_operation(api, n) for n in ("GetTrees", "PlantTree", "PruneTrees"))
    assert (one.carries, one.arguments) == ("JSON", Ref("GetTreesRequestBody"))
    assert (many.carries, many.arguments) == ("JSON", ListOf(Ref("PlantTreeParams")))
    assert alias.arguments == ListOf(Ref("PruneTreeParams"))


def test_a_multipart_body_becomes_a_form_with_file_content(api: Api) -> None:
    upload = _operation(api, "UploadBark")
    assert (upload.carries, upload.arguments) == ("FORM", Ref("UploadBarkForm"))
    form = _record(api, "UploadBarkForm")
    assert form["file"].node == Scalar("FileContent")
    assert [wire for wire, prop in form.items() if prop.required] == ["file"]


def test_query_parameters_become_arguments_and_headers_do_not(api: Api) -> None:
    changes = _operation(api, "GetSeasonsWeather")
    assert (changes.method, changes.carries) == ("GET", "QUERY_STRING")
    assert changes.arguments == Ref("GetSeasonsWeatherQuery")
    query = _record(api, "GetSeasonsWeatherQuery")
    assert {wire: prop.required for wire, prop in query.items()} == {
        "from-day": False,
        "limit": True,
    }
    assert query["limit"].node == Scalar("int", "at least 1")


def test_an_operation_without_parameters_has_no_arguments(api: Api) -> None:
    assert _operation(api, "GetSeason").arguments is None
    assert _operation(api, "GetStands").arguments is None


def test_the_credential_of_an_operation_follows_from_its_security(api: Api) -> None:
    credentials = {operation.id: operation.auth for operation in api.operations}
    assert credentials["GetTrees"] == "TOKEN"
    assert credentials["GetSeason"] == "NONE"
    assert credentials["GetSeasonsWeather"] == "BASIC"


def test_only_operations_that_declare_304_can_answer_it(api: Api) -> None:
    assert [operation.id for operation in api.operations if operation.not_modified] == [
        "PruneTrees"
    ]


def test_a_deprecated_operation_is_known(api: Api) -> None:
    assert [operation.id for operation in api.operations if operation.deprecated] == ["ReplantTree"]


def test_an_answer_written_in_place_is_a_record(read: Read) -> None:
    paths = {"/weigh": {"post": operation("Weigh", "Scale", record({"grams": COUNT}))}}
    api = read(small({}, paths))
    assert api.operations[0].answer == Ref("WeighAnswer")
    assert set(_record(api, "WeighAnswer")) == {"grams"}


def test_references_are_found_through_lists(api: Api) -> None:
    assert list(schema.refs(ListOf(ListOf(Ref("A"))))) == ["A"]
    assert list(schema.refs(Scalar("str"))) == []
    assert list(schema.refs(None)) == []


def test_a_closure_holds_all_that_is_reached_and_ends_in_a_recursion(api: Api) -> None:
    assert schema.closure(api, iter(["TreeWhereInput"])) == {
        "TreeWhereInput",
        "OrchardWhereInput",
        "TreeStatus",
    }


def test_only_a_reference_to_a_record_is_one(api: Api) -> None:
    assert api.record(Ref("Tree")) is api.types["Tree"]
    assert api.record(Ref("TreeStatus")) is None
    assert api.record(ListOf(Ref("Tree"))) is None
    assert api.record(None) is None
