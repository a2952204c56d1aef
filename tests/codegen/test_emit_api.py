"""The generated namespaces of the test API, imported and called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args, get_origin

import pytest

from cloudtower_async.calls.operation import Auth, Carries, Kind, Operation
from codegen import emit_api

if TYPE_CHECKING:
    from pathlib import Path

    from codegen.schema import Api

pytestmark = pytest.mark.anyio

Load = Callable[[str], Any]
_COMMON = ["content_language", "external_cloudtower_id", "timeout"]


class Heard:
    """Replaces the executor of a session and records the calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    async def call(
        self,
        operation: Operation[Any],
        arguments: Mapping[str, object] | Sequence[object] | None,
        *common: object,
    ) -> str:
        self.calls.append((operation.name, arguments, *common))
        return "answered"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/get-trees", "QUERY"),
        ("/plant-tree", "MUTATION"),
        ("/upload-bark", "UPLOAD"),
        ("/get-season", "QUERY"),
    ],
)
def test_paths_distinguish_queries_from_mutations_and_forms_are_uploads(
    api: Api, path: str, kind: str
) -> None:
    found = next(operation for operation in api.operations if operation.path == path)
    assert emit_api.kind(found) == kind


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (
            "tree.GET_TREES",
            ("tree.get_trees", "/get-trees", Kind.QUERY, Carries.JSON, "POST", Auth.TOKEN, "3.0.0"),
        ),
        (
            "tree.PLANT_TREE",
            (
                "tree.plant_tree",
                "/plant-tree",
                Kind.MUTATION,
                Carries.JSON,
                "POST",
                Auth.TOKEN,
                "3.1.0",
            ),
        ),
        (
            "tree.UPLOAD_BARK",
            (
                "tree.upload_bark",
                "/upload-bark",
                Kind.UPLOAD,
                Carries.FORM,
                "POST",
                Auth.TOKEN,
                "3.0.0",
            ),
        ),
        (
            "season.GET_SEASON",
            (
                "season.get_season",
                "/get-season",
                Kind.QUERY,
                Carries.QUERY_STRING,
                "GET",
                Auth.NONE,
                "3.0.0",
            ),
        ),
        (
            "season.GET_SEASONS_WEATHER",
            (
                "season.get_seasons_weather",
                "/get-seasons-weather",
                Kind.QUERY,
                Carries.QUERY_STRING,
                "GET",
                Auth.BASIC,
                "3.0.0",
            ),
        ),
    ],
)
def test_a_constant_describes_its_operation(
    load: Load, place: str, expected: tuple[object, ...]
) -> None:
    module, _, name = place.partition(".")
    op = getattr(load(f"api.{module}"), name)
    assert (op.name, op.path, op.kind, op.carries, op.method, op.auth, op.since) == expected


def test_a_constant_knows_the_type_of_the_arguments(load: Load) -> None:
    tree, inputs = load("api.tree"), load("inputs")
    assert tree.GET_TREES.body() is inputs.GetTreesRequestBody
    assert get_origin(tree.PLANT_TREE.body()) is list
    assert get_args(tree.PLANT_TREE.body()) == (inputs.PlantTreeParams,)
    assert load("api.season").GET_SEASON.body is None


def test_only_an_operation_that_can_answer_304_says_so(load: Load) -> None:
    tree: object = load("api.tree")
    names = [name for name in vars(tree) if name.isupper() and name != "OMITTED"]
    assert len(names) == 8
    assert [name for name in names if getattr(tree, name).not_modified] == ["PRUNE_TREES"]


def _parameters(method: object) -> dict[str, inspect.Parameter]:
    assert callable(method)
    return dict(inspect.signature(method).parameters)


def test_an_object_body_becomes_keyword_only_arguments(load: Load) -> None:
    parameters = _parameters(load("api.tree").TreeNamespace.get_trees)
    assert list(parameters) == ["self", "where", "order_by", "first", *_COMMON]
    assert all(
        parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in list(parameters)[1:]
    )
    assert all(parameters[name].default is None for name in list(parameters)[1:])
    assert parameters["where"].annotation == "inputs.TreeWhereInput"


def test_required_arguments_come_first_and_have_no_default(load: Load) -> None:
    parameters = _parameters(load("api.tree").TreeNamespace.move_tree)
    assert list(parameters) == ["self", "data", "where", "import_", *_COMMON]
    assert parameters["data"].default is parameters["where"].default is inspect.Parameter.empty
    assert parameters["data"].annotation == "inputs.MoveTreeParamsData"


def test_an_array_body_becomes_one_positional_argument(load: Load) -> None:
    parameters = _parameters(load("api.tree").TreeNamespace.plant_tree)
    assert list(parameters) == ["self", "items", *_COMMON]
    assert parameters["items"].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert parameters["items"].annotation == "Sequence[inputs.PlantTreeParams]"


@pytest.mark.parametrize(
    ("place", "arguments", "sent"),
    [
        (
            "tree.TreeNamespace.get_trees",
            {"where": {"name": "oak"}, "order_by": "name_ASC"},
            ("tree.get_trees", {"where": {"name": "oak"}, "orderBy": "name_ASC", "first": None}),
        ),
        (
            "tree.TreeNamespace.move_tree",
            {"data": {"to": "A"}, "where": {"name": "oak"}, "import_": "x"},
            ("tree.move_tree", {"data": {"to": "A"}, "where": {"name": "oak"}, "import": "x"}),
        ),
        (
            "tree.TreeNamespace.plant_tree",
            {"items": [{"name": "oak"}]},
            ("tree.plant_tree", [{"name": "oak"}]),
        ),
        (
            "tree.TreeNamespace.upload_bark",
            {"file": b"x"},
            ("tree.upload_bark", {"file": b"x", "size": None, "part": None}),
        ),
        ("season.SeasonNamespace.get_season", {}, ("season.get_season", None)),
        (
            "season.SeasonNamespace.get_seasons_weather",
            {"limit": 3, "from_day": "monday"},
            ("season.get_seasons_weather", {"limit": 3, "from-day": "monday"}),
        ),
    ],
)
async def test_arguments_are_handed_on_under_their_wire_names(
    load: Load, place: str, arguments: dict[str, object], sent: tuple[object, ...]
) -> None:
    module, kind, method = place.split(".")
    heard = Heard()
    namespace = getattr(load(f"api.{module}"), kind)(heard)
    common = {"content_language": "zh-CN", "external_cloudtower_id": "e1", "timeout": 3.0}
    assert await getattr(namespace, method)(**arguments, **common) == "answered"
    assert heard.calls == [(*sent, "zh-CN", "e1", 3.0)]


async def test_the_session_has_each_namespace_once(load: Load) -> None:
    heard = Heard()
    session = load("api").Namespaces()
    session._executor = heard
    assert session.tree is session.tree
    await session.season.get_season()
    await session.fruit_stand.get_stands()
    assert [call[0] for call in heard.calls] == ["season.get_season", "fruit_stand.get_stands"]
    assert type(session.tree).__name__ == "TreeNamespace"


def test_the_catalogue_names_the_method_of_each_path(load: Load, api: Api) -> None:
    operations = load("api.catalogue").OPERATIONS
    assert set(operations) == {operation.path for operation in api.operations}
    assert operations["/get-seasons-weather"] == "season.get_seasons_weather"


def test_the_catalogue_names_the_query_for_the_answers_of_mutations(load: Load) -> None:
    readers = load("api.catalogue").READERS
    # The answer of a deletion has only the id, in a type named after the resource.
    assert readers == {"DeleteTree": "tree.get_trees", "Tree": "tree.get_trees"}


def test_docstrings_say_path_answer_version_and_arguments(load: Load) -> None:
    tree = load("api.tree").TreeNamespace
    said = inspect.getdoc(tree.get_trees)
    assert said is not None
    assert said.startswith("Get trees.\n\n`POST /get-trees`, since")
    assert "    where: Filter. Without a filter, all resources match." in said
    assert "    first: Maximum number of resources. Since CloudTower 3.1.0." in said
    assert "Changes the server's state" not in said


def test_docstrings_begin_with_the_text_of_the_operation(load: Load) -> None:
    said = inspect.getdoc(load("api.tree").TreeNamespace.move_tree)
    assert said is not None
    text, facts, arguments = said.split("\n\n")
    assert text.replace("\n", " ") == (
        "Move a tree to another place. Its task ends when the tree has taken root there, which may"
        " take a Mapping of seasons."
    )
    assert facts.startswith("`POST /move-tree`, since")
    assert "    data: Place to move the tree to.\n" in arguments


def test_a_module_imports_only_what_it_mentions(package: Path) -> None:
    season = (package / "api" / "season.py").read_text()
    assert "Sequence" not in season
    assert "Connection" not in season
    assert "Auth, Carries, Kind, Operation" in season
    stand = (package / "api" / "fruit_stand.py").read_text()
    assert "Auth" not in stand
    tree = (package / "api" / "tree.py").read_text()
    assert "Mapping" in tree
    assert "import Mapping" not in tree  # only a docstring mentions it
