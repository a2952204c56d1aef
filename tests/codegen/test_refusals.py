"""Schemas that the generator rejects before it writes a file, and newer schemas."""

from __future__ import annotations

import copy
import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from cloudtower_async import Cloudtower
from cloudtower_async.api import Namespaces
from codegen import __main__ as command
from codegen import conflicts, corrections, extend_history, schema
from codegen.refusals import SchemaError
from codegen.schema import Api, Scalar

from . import made_up
from .made_up import COUNT, TEXT, Raw, listed, operation, record, ref

if TYPE_CHECKING:
    from pathlib import Path

Change = Callable[[Raw], object]
Refused = Callable[[Change], str]


def _schemas(document: Raw) -> Any:  # noqa: ANN401 - JSON
    return document["components"]["schemas"]


def _post(document: Raw, path: str = "/get-trees") -> Any:  # noqa: ANN401 - JSON
    return document["paths"][path]["post"]


def _tree(document: Raw, **properties: Raw) -> object:
    return _schemas(document)["Tree"]["properties"].update(properties)


def _called(document: Raw, **more: object) -> object:
    """Add an operation that is like an existing one."""
    made = operation("GetMoss", "Moss", listed(ref("Tree")), **more)  # type: ignore[arg-type]
    return document["paths"].update({"/get-moss": {"post": made}})


@pytest.fixture
def changed(
    tmp_path: Path, made_up_files: tuple[Path, Path]
) -> Callable[[Change], tuple[Path, Path, Path]]:
    """Files of the changed test API, and an empty folder to generate into."""

    def files(change: Change) -> tuple[Path, Path, Path]:
        document = copy.deepcopy(made_up.document())
        change(document)
        schema_file = tmp_path / "changed.json"
        schema_file.write_text(json.dumps(document))
        return schema_file, made_up_files[1], tmp_path / "package"

    return files


@pytest.fixture
def refused(changed: Callable[[Change], tuple[Path, Path, Path]]) -> Refused:
    """Generates from the changed test API; returns the reason for the rejection."""

    def reasons(change: Change) -> str:
        schema_file, history_file, package = changed(change)
        with pytest.raises(SchemaError) as caught:
            command.generate(schema_file, history_file, package)
        assert not package.exists()
        return str(caught.value)

    return reasons


@pytest.fixture
def taken(
    changed: Callable[[Change], tuple[Path, Path, Path]],
    read: Callable[[Raw], Api],
) -> Callable[[Change], Api]:
    """Generates from the changed test API; returns the schema as it was read."""

    def reading(change: Change) -> Api:
        schema_file, history_file, package = changed(change)
        command.generate(schema_file, history_file, package)
        assert (package / "api" / "tree.py").is_file()
        return schema.load(schema_file)

    return reading


LEFT_OUT = "corrections.LEFT_OUT"
SCALARS = "corrections.SCALARS"
NAMES = "corrections.NAMES"
MEMBERS = "corrections.MEMBERS"
FILE = "the schema file"


@dataclass(frozen=True)
class Case:
    """A change that is rejected, and the expected error."""

    change: Change
    place: str
    remedy: str
    name: str


CASES: list[Case] = [
    Case(
        lambda d: d["paths"].update({"/trees/{id}": d["paths"].pop("/get-trees")}),
        "POST /trees/{id}: path parameters",
        LEFT_OUT,
        name="path parameters",
    ),
    Case(
        lambda d: _called(
            d, parameters=[{"in": "header", "name": "x-a", "required": True, "schema": TEXT}]
        ),
        "POST /get-moss: the required header `x-a`",
        LEFT_OUT,
        name="required header",
    ),
    Case(
        lambda d: _called(
            d, parameters=[{"in": "cookie", "name": "c", "required": True, "schema": TEXT}]
        ),
        "POST /get-moss: the required cookie `c`",
        LEFT_OUT,
        name="required cookie",
    ),
    Case(
        lambda d: _post(d, "/get-stands").update(operationId="GetTrees"),
        "POST /get-trees: POST /get-stands has the same operationId `GetTrees`",
        LEFT_OUT,
        name="duplicate operationId",
    ),
    Case(
        lambda d: (
            _called(d) or _post(d, "/get-moss").update(operationId="get_trees", tags=["Tree"])
        ),
        "POST /get-trees: POST /get-moss has the same Python name `tree.get_trees`",
        LEFT_OUT,
        name="methods with one name",
    ),
    Case(
        lambda d: d["paths"]["/get-trees"].update(get=operation("ListTrees", "Tree", TEXT)),
        "has the same path `/get-trees`",
        LEFT_OUT,
        name="GET and POST on one path",
    ),
    Case(
        lambda d: _post(d).update(tags=["Close"]),
        "tag `Close`: sessions already have an attribute `close`",
        NAMES,
        name="tag like a session's method",
    ),
    Case(
        lambda d: _post(d).update(tags=["request"]),
        "tag `request`: it is not a class name",
        FILE,
        name="tag in lower case",
    ),
    Case(
        lambda d: _post(d).update(tags=["Request"]),
        "tag `Request`: sessions already have an attribute `request`",
        NAMES,
        name="tag like an inherited method",
    ),
    Case(
        lambda d: _post(d).update(tags=["Catalogue"]),
        "tag `Catalogue`: the generated module catalogue already exists",
        NAMES,
        name="tag like a generated module",
    ),
    Case(
        lambda d: (
            _called(d) or _post(d, "/get-moss").update(tags=["SharedMoss"]),
            _post(d).update(tags=["SharedTree"]),
        ),
        "tag `SharedMoss`: the generated module shared already exists",
        NAMES,
        name="tags whose common words are a generated module",
    ),
    Case(
        lambda d: _post(d).update(tags=["TREE"]),
        "tag `Tree`: the tag TREE has the same Python name",
        NAMES,
        name="tags with one name",
    ),
    Case(
        lambda d: _tree(d, mood={"type": "string", "enum": []}),
        "Tree.mood: its enum is empty",
        SCALARS,
        name="empty enum in place",
    ),
    Case(
        lambda d: _schemas(d)["TreeStatus"].update(enum=[]),
        "Tree.status: its enum is empty",
        SCALARS,
        name="empty enum",
    ),
    Case(
        lambda d: _schemas(d)["TreeStatus"].update(enum=["a-b", "A_B"]),
        "TreeStatus.'A_B': the member A_B is there already, for 'a-b'",
        MEMBERS,
        name="colliding enum members",
    ),
    Case(
        lambda d: _schemas(d)["TreeStatus"].update(enum=["A", "A"]),
        "TreeStatus.'A': the member A is there already",
        MEMBERS,
        name="an enum value twice",
    ),
    Case(
        lambda d: _schemas(d)["TreeStatus"].update(enum=["A", "+-"]),
        "TreeStatus.'+-': the value is not a name",
        MEMBERS,
        name="enum value without letters",
    ),
    Case(
        lambda d: _schemas(d)["TreeStatus"].update(enum=["A", "mro"]),
        "TreeStatus.'mro': the value is not a name",
        MEMBERS,
        name="reserved enum member",
    ),
    Case(
        lambda d: _tree(d, mood={"type": "string", "enum": ["A", 1]}),
        "Tree.mood: its enum values have different types",
        SCALARS,
        name="mixed enum",
    ),
    Case(
        lambda d: _tree(d, mood={"oneOf": [TEXT, COUNT]}),
        "Tree.mood: `oneOf` is not supported",
        SCALARS,
        name="oneOf",
    ),
    Case(
        lambda d: _schemas(d)["Nicknames"].update(items={"anyOf": [TEXT, COUNT]}),
        "Tree.nicknames: `anyOf` is not supported",
        SCALARS,
        name="anyOf in a schema of its own",
    ),
    Case(
        lambda d: _schemas(d)["PlantTreeParams"]["allOf"].append({"oneOf": [TEXT, COUNT]}),
        "PlantTree.Form: `oneOf` is not supported",
        SCALARS,
        name="oneOf in a part of an allOf",
    ),
    Case(
        lambda d: _tree(d, mood={"type": "object", "additionalProperties": TEXT}),
        "Tree.mood: additionalProperties",
        SCALARS,
        name="typed additionalProperties",
    ),
    Case(
        lambda d: _tree(d, mood=record({"a": TEXT}, additionalProperties=True)),
        "Tree.mood: additionalProperties",
        SCALARS,
        name="additionalProperties beside properties",
    ),
    Case(
        lambda d: _tree(d, mood={"type": ["string", "integer"]}),
        "Tree.mood: the types `string`, `integer` are not supported",
        SCALARS,
        name="several types",
    ),
    Case(
        lambda d: _tree(d, mood={"type": "text"}),
        "Tree.mood: the type `text` is not known",
        SCALARS,
        name="unknown type",
    ),
    Case(
        lambda d: _post(d).pop("tags"),
        "POST /get-trees: it has no tag",
        LEFT_OUT,
        name="no tag",
    ),
    Case(
        lambda d: _post(d).pop("operationId"),
        "POST /get-trees: it has no operationId",
        LEFT_OUT,
        name="no operationId",
    ),
    Case(
        lambda d: _post(d).update(responses={"201": _post(d)["responses"]["200"]}),
        "POST /get-trees: it has no JSON answer with status 200",
        LEFT_OUT,
        name="201 only",
    ),
    Case(
        lambda d: _post(d).update(responses={"204": {}}),
        "POST /get-trees: it has no JSON answer with status 200",
        LEFT_OUT,
        name="204 only",
    ),
    Case(
        lambda d: (
            _post(d, "/fell-tree")["responses"].update({"304": {}})
            or _post(d, "/fell-tree")["responses"]["200"]["content"]["application/json"].update(
                schema=ref("Tree")
            )
        ),
        "POST /fell-tree: it can return 304, which requires a list as its answer",
        LEFT_OUT,
        name="304 without a list",
    ),
    Case(
        lambda d: _post(d).update(security=[{"OAuth": []}]),
        "POST /get-trees: it requires the unknown authentication `OAuth`",
        LEFT_OUT,
        name="unknown authentication",
    ),
    Case(
        lambda d: _tree(d, mood=ref("Nowhere")),
        "#/components/schemas/Nowhere: this reference has no target",
        FILE,
        name="dangling reference",
    ),
    Case(
        lambda d: _schemas(d).update(Loop=ref("Loop")),
        "it refers to itself",
        FILE,
        name="a reference to itself",
    ),
    Case(
        lambda d: _tree(d, **{"2fa": TEXT}),
        "Tree.2fa: it is not a valid Python name",
        NAMES,
        name="2fa",
    ),
    Case(
        lambda d: _tree(d, _=TEXT),
        "Tree._: it is not a valid Python name",
        NAMES,
        name="_",
    ),
    Case(
        lambda d: _post(d).update(operationId="2fa"),
        "POST /get-trees: its operationId is not a valid Python name",
        NAMES,
        name="operationId 2fa",
    ),
    Case(
        lambda d: _tree(d, **{'a"b': TEXT}),
        "Tree.a\"b: 'a\"b' contains a quote",
        FILE,
        name="quotes in a name",
    ),
    Case(
        lambda d: _tree(d, lidSize=TEXT, lid_size=TEXT),
        "Tree: lidSize and lid_size have the same Python name",
        NAMES,
        name="two properties with one name",
    ),
    Case(
        lambda d: _schemas(d)["GetTreesRequestBody"]["properties"].update(timeout=COUNT),
        "POST /get-trees: every method already has an argument `timeout`",
        NAMES,
        name="argument like that of every method",
    ),
    Case(
        lambda d: (
            _schemas(d).update(Sequence=_schemas(d)["Stand"]) or _tree(d, row=ref("Sequence"))
        ),
        "schema `Sequence`: generated modules already use that name",
        FILE,
        name="schema named like a type of Python",
    ),
    Case(
        lambda d: (
            _schemas(d).update({"tree-row": _schemas(d)["Stand"]}) or _tree(d, row=ref("tree-row"))
        ),
        "schema `tree-row`: it is not a class name",
        FILE,
        name="schema that cannot be a class",
    ),
    Case(
        lambda d: _schemas(d)["NestedOrchard"]["properties"].update(best=ref("Tree")),
        "NestedOrchard.best: answers refer to each other in a cycle",
        SCALARS,
        name="answers in a circle",
    ),
    Case(
        lambda d: _schemas(d)["WithTask_Tree_"]["properties"].pop("data"),
        "schema `WithTask_Tree_`: it has no `data`",
        FILE,
        name="a task without data",
    ),
    Case(
        lambda d: _schemas(d)["WithTask_Tree_"]["properties"].update(data=ref("WithTask_Tree_")),
        "schema `WithTask_Tree_`: it has no `data`",
        FILE,
        name="a task in a task",
    ),
    Case(
        lambda d: _post(d).update(requestBody={"content": {"text/csv": {"schema": TEXT}}}),
        "POST /get-trees: its body is `text/csv`",
        LEFT_OUT,
        name="unknown content type",
    ),
    Case(
        lambda d: _post(d)["requestBody"]["content"]["application/json"].update(schema=TEXT),
        "POST /get-trees: its body is neither an object with properties nor a list",
        LEFT_OUT,
        name="a text as body",
    ),
    Case(
        lambda d: _post(d).update(parameters=[{"in": "query", "name": "a", "schema": TEXT}]),
        "POST /get-trees: it takes both a body and query parameters",
        LEFT_OUT,
        name="body and query",
    ),
    Case(
        lambda d: d["paths"]["/get-season"]["get"].update(
            parameters=[{"in": "query", "name": "a", "schema": listed(TEXT)}]
        ),
        "GET /get-season: its query parameter `a` is not a scalar",
        LEFT_OUT,
        name="a list in the query",
    ),
    Case(
        lambda d: d["paths"]["/get-season"]["get"].update(parameters=[{"name": "a"}]),
        "GET /get-season: it is not as OpenAPI 3 has it (KeyError: 'in')",
        FILE,
        name="not as OpenAPI has it",
    ),
    Case(
        lambda d: _post(d).update(tags=["Tr\nee"]),
        "POST /get-trees: 'Tr\\nee' contains a quote, a backslash or a control character",
        FILE,
        name="a line break in a tag",
    ),
    Case(
        lambda d: d["paths"].update({"/get-\ntrees": 0}),
        "/get-\\ntrees: it is not as OpenAPI 3 has it",
        FILE,
        name="a line break in a path",
    ),
    Case(
        lambda d: d["paths"].update({"/get-trees": 0}),
        "/get-trees: it is not as OpenAPI 3 has it (TypeError: ",
        FILE,
        name="a path that is no object",
    ),
    Case(
        lambda d: _post(d).update(tags=[{}]),
        "POST /get-trees: it has no tag",
        LEFT_OUT,
        name="a tag that is no text",
    ),
    Case(
        lambda d: d["info"].update({"x-cloudtower-version": "next"}),
        "info.version: 'next' is not a server version",
        "x-cloudtower-version",
        name="no server version",
    ),
    Case(
        lambda d: d.pop("paths"),
        "it is not an OpenAPI 3 schema: it has no paths",
        "Tower's API site",
        name="no schema at all",
    ),
    Case(
        lambda d: d["info"].update({"x-cloudtower-version": "3.0.0"}),
        "the schema is of CloudTower 3.0.0; the history reaches 3.1.0",
        "--allow-removals",
        name="an older server",
    ),
    Case(
        lambda d: d["paths"].pop("/get-trees"),
        "lacks 1 operations (GetTrees",
        "--allow-removals",
        name="an operation is gone",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_rejection_is_one_line_with_the_location_and_the_remedy(
    refused: Refused, case: Case
) -> None:
    said = refused(case.change).splitlines()
    lines = [line for line in said if case.place in line]
    assert lines, said
    assert all(case.remedy in line for line in lines)


def test_it_names_everything_that_is_wrong_at_once(refused: Refused) -> None:
    def change(document: Raw) -> None:
        _tree(document, mood={"oneOf": []}, sound=ref("Nowhere"))
        del _post(document)["tags"], _post(document)["operationId"]

    assert len(refused(change).splitlines()) == 4


def test_a_file_that_is_not_json_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "schema.yaml"
    file.write_text("openapi: 3.0.0")
    for name in (file, tmp_path / "absent.json"):
        with pytest.raises(SchemaError, match="cannot be read as JSON"):
            schema.load(name)


def test_the_commands_show_the_reason_without_a_traceback(
    changed: Callable[[Change], tuple[Path, Path, Path]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    schema_file, history_file, package = map(str, changed(lambda d: _post(d).pop("tags")))
    options = ["--schema", schema_file, "--history", history_file]
    for run, more in ((command.main, ["--package", package]), (extend_history.main, [])):
        monkeypatch.setattr(sys, "argv", ["codegen", *options, *more])
        assert run() == 1
        shown = capsys.readouterr().err
        assert shown.startswith(
            "POST /get-trees: it has no tag, so no namespace; add one, or leave"
        )
        assert shown.count("\n") == 1


REMEDIES: list[tuple[str, Any, Change]] = [
    (
        "LEFT_OUT",
        {"POST /get-moss"},
        lambda d: _called(d, responses={"204": {}}),
    ),
    (
        "SCALARS",
        {("Tree", "mood"): "Any"},
        lambda d: _tree(d, mood={"oneOf": [TEXT, COUNT]}),
    ),
    ("NAMES", {"2fa": "two_factor"}, lambda d: _tree(d, **{"2fa": TEXT})),
    ("NAMES", {"Close": "closing"}, lambda d: _post(d).update(tags=["Close"])),
    (
        "MEMBERS",
        {"+-": "PLUS_MINUS"},
        lambda d: _schemas(d)["TreeStatus"].update(enum=["GROWING", "FELLED", "+-"]),
    ),
]


@pytest.mark.parametrize(("table", "correction", "change"), REMEDIES)
@pytest.mark.subprocess
def test_the_remedies_help(
    refused: Refused,
    taken: Callable[[Change], Api],
    monkeypatch: pytest.MonkeyPatch,
    table: str,
    correction: Any,  # noqa: ANN401 - tables have different types
    change: Change,
) -> None:
    assert f"corrections.{table}" in refused(change)
    monkeypatch.setattr(corrections, table, getattr(corrections, table) | correction)
    taken(change)


def _prop(api: Api, wire: str) -> schema.Property:
    tree = api.types["Tree"]
    assert isinstance(tree, schema.Record)
    return next(prop for prop in tree.properties if prop.wire == wire)


@pytest.mark.parametrize(
    ("raw", "node", "nullable"),
    [
        ({"type": ["string", "null"]}, Scalar("str"), True),
        ({"type": ["integer"]}, Scalar("int"), False),
        ({"oneOf": [COUNT, {"type": "null"}]}, Scalar("int"), True),
        ({"anyOf": [ref("TreeStatus")]}, schema.Ref("TreeStatus"), False),
        ({"type": "integer", "enum": [1, 2]}, Scalar("int", "one of 1, 2"), False),
        ({"enum": [1, 2.5, None]}, Scalar("float", "one of 1, 2.5"), True),
        ({"type": "string", "enum": ["A", None]}, schema.Choice(("A",)), True),
        ({"type": "object", "additionalProperties": True}, schema.FreeForm(), False),
        ({"type": "array"}, schema.ListOf(Scalar("Any")), False),
        ({"$ref": "#/components/schemas/Tree/properties/id"}, Scalar("str"), False),
    ],
)
@pytest.mark.subprocess
def test_equivalent_forms_of_openapi_are_accepted(
    taken: Callable[[Change], Api], raw: Raw, node: schema.Node, nullable: bool
) -> None:
    prop = _prop(taken(lambda document: _tree(document, mood=raw)), "mood")
    assert prop.node == node
    assert prop.nullable is nullable


@pytest.mark.subprocess
def test_parameters_of_a_path_are_those_of_its_operations(taken: Callable[[Change], Api]) -> None:
    def change(document: Raw) -> None:
        document["paths"]["/get-season"]["parameters"] = [
            {"in": "query", "name": "year", "schema": COUNT},
            {"$ref": "#/components/parameters/Month"},
        ]
        document["paths"]["/get-season"]["summary"] = "Seasons"
        month = {"in": "query", "name": "month", "required": True, "schema": COUNT}
        document["components"]["parameters"] = {"Month": month}

    query = taken(change).types["GetSeasonQuery"]
    assert isinstance(query, schema.Record)
    assert {prop.wire: prop.required for prop in query.properties} == {"year": False, "month": True}


@pytest.mark.subprocess
def test_the_authentication_of_the_document_is_that_of_operations_without_one(
    taken: Callable[[Change], Api],
) -> None:
    def change(document: Raw) -> None:
        document["security"] = [{"Basic": []}]
        del _post(document)["security"]

    auth = {operation.id: operation.auth for operation in taken(change).operations}
    assert (auth["GetTrees"], auth["GetSeason"], auth["GetStands"]) == ("BASIC", "NONE", "TOKEN")


@pytest.mark.subprocess
def test_parts_that_the_history_lacks_are_new_in_the_version_of_the_schema(
    changed: Callable[[Change], tuple[Path, Path, Path]],
) -> None:
    def change(document: Raw) -> None:
        document["info"]["x-cloudtower-version"] = "3.10.0"
        _tree(document, moss=COUNT)
        _schemas(document)["Tree"]["required"].append("moss")
        _schemas(document)["TreeStatus"]["enum"].append("DORMANT")
        _called(document)

    schema_file, history_file, package = changed(change)
    extended = command.generate(schema_file, history_file, package)
    assert extended.newest == "3.10.0"
    models = (package / "models" / "shared" / "tree.py").read_text()
    assert "moss: int | None = None  # since 3.10.0\n" in models
    statuses = (package / "models" / "enums" / "tree.py").read_text()
    assert 'DORMANT = "DORMANT"  # since 3.10.0\n' in statuses
    assert 'since="3.10.0"' in (package / "api" / "moss.py").read_text()


@pytest.mark.subprocess
def test_fields_named_like_types_hide_none(
    changed: Callable[[Change], tuple[Path, Path, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    named = dict.fromkeys(("str", "list", "int", "dict", "bool", "float", "self"), TEXT)

    def change(document: Raw) -> None:
        _schemas(document)["Hidden"] = record({**named, "zones": listed(COUNT)}, "list")
        del named["self"]
        _schemas(document)["HiddenParams"] = record({**named, "zones": listed(COUNT)}, "list")
        hidden = operation("HideTrees", "Hiding", ref("Hidden"), ref("HiddenParams"))
        document["paths"]["/hide-trees"] = {"post": hidden}

    schema_file, history_file, package = changed(change)
    command.generate(schema_file, history_file, package)
    (package / "__init__.py").touch()
    (package / "types.py").write_text("from cloudtower_async.types import *")
    monkeypatch.setattr(sys, "path", [str(package.parent), *sys.path])
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    hidden = importlib.import_module("package.models").Hidden
    read = msgspec.convert({"list": "a", "str": "b", "zones": [1]}, hidden)
    assert (read.list_, read.str_, read.zones) == ("a", "b", [1])
    params = importlib.import_module("package.inputs").HiddenParams
    assert params.__required_keys__ == {"list"}


@pytest.mark.subprocess
def test_an_older_schema_can_be_generated_for_inspection(
    changed: Callable[[Change], tuple[Path, Path, Path]],
) -> None:
    def change(document: Raw) -> None:
        document["info"]["x-cloudtower-version"] = "3.0.5"
        del document["paths"]["/plant-tree"]
        _tree(document, moss=COUNT)

    schema_file, history_file, package = changed(change)
    extended = command.generate(schema_file, history_file, package, allow_removals=True)
    assert extended.newest == "3.1.0"
    assert "moss: int | None = None  # since 3.0.5" in (package / "models" / "tree.py").read_text()
    assert "tree.plant_tree" not in (package / "api" / "tree.py").read_text()


def test_attributes_of_sessions_are_found_without_importing_them() -> None:
    public = {name for name in dir(Cloudtower) if not name.startswith("_")}
    assert public - {*dir(Namespaces)} <= conflicts.session_attributes()
    assert not {*dir(Namespaces)} & conflicts.session_attributes() - {*dir(object), "_executor"}
