"""The generated arguments of the test API, imported and used."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_type_hints

import pytest

from codegen import emit_inputs
from codegen.schema import Choice, FreeForm, ListOf, Node, Ref, Scalar

if TYPE_CHECKING:
    from pathlib import Path

Load = Callable[[str], Any]
Keys: TypeAlias = dict[str, str]


@pytest.mark.parametrize(
    ("node", "static"),
    [
        (Ref("Spot"), "inputs.Spot"),
        (ListOf(Ref("Spot")), "Sequence[inputs.Spot]"),
        (ListOf(Scalar("str")), "Texts"),
        (ListOf(Scalar("int")), "Sequence[int]"),
        (FreeForm(), "Mapping[str, Any]"),
        (Choice(("a", "it's")), "Literal['a', \"it's\"]"),
        (Scalar("Any"), "Any"),
        (Scalar("bool"), "bool"),
    ],
)
def test_each_shape_has_an_annotation(node: Node, static: str) -> None:
    assert emit_inputs.annotation(node) == static


def test_an_annotation_can_use_list_instead_of_sequence() -> None:
    node = ListOf(ListOf(Scalar("str")))
    assert emit_inputs.annotation(node, listed="list") == "list[list[str]]"


def test_scaffolding_is_imported_only_for_whole_words_in_a_text() -> None:
    needed = set(emit_inputs.scaffolding("a: Sequence[Texts], b: MyMapping, c: Required[int]"))
    assert needed == {
        ("collections.abc", "Sequence"),
        ("..types", "Texts"),
        ("typing", "Required"),
    }


@pytest.mark.parametrize(
    ("name", "required", "optional"),
    [
        ("PlantTreeParams", {"name", "site", "depth"}, {"spot", "rings", "groves", "companions"}),
        ("ReplantTreeParams", {"name", "site", "depth"}, {"spot", "rings", "groves", "companions"}),
        ("PruneTreeParams", {"from"}, {"__typename", "how-far"}),
        ("MoveTreeParams", {"where", "data"}, {"import"}),
        ("UploadBarkForm", {"file"}, {"size", "part"}),
        ("GetSeasonsWeatherQuery", {"limit"}, {"from-day"}),
        ("GetTreesRequestBody", set[str](), {"where", "orderBy", "first"}),
        ("OrchardWhereInput", set[str](), {"OR", "class", "trees_some", "best_tree"}),
    ],
)
def test_keys_are_those_of_the_wire_required_as_the_schema_says(
    load: Load, name: str, required: set[str], optional: set[str]
) -> None:
    kind = getattr(load("inputs"), name)
    assert kind.__required_keys__ == required
    assert kind.__optional_keys__ == optional


def test_enums_take_their_texts_and_those_of_answers_their_members(
    load: Load, package: Path
) -> None:
    inputs = load("inputs")
    assert inputs.TreeOrderByInput == Literal["name_ASC", "name_DESC"]
    assert inputs.TreeStatus == Literal["GROWING", "FELLED"]  # at run time, what JSON has
    text = (package / "inputs" / "tree.py").read_text()
    assert 'AnyOf[Literal["GROWING", "FELLED"], "models.TreeStatus"]' in text


def test_limits_versions_and_deprecation_are_noted(package: Path) -> None:
    text = (package / "inputs" / "tree.py").read_text()
    assert "name: Required[str]  # not empty\n" in text
    assert "rings: int  # 2 to 3\n" in text
    assert "depth: Required[float]  # at least 0\n" in text
    assert "site: Required[str]  # deprecated\n" in text
    assert '"name_in": MaybeTexts,  # since 3.1.0\n' in text


def test_texts_stand_below_the_keys_that_users_write(package: Path) -> None:
    text = (package / "inputs" / "tree.py").read_text()
    assert (
        "    depth: Required[float]  # at least 0\n"
        '    """Depth of the roots in centimeters."""\n' in text
    )
    assert '    """Name that gardeners use."""\n' in text
    assert "None means no roots" not in text  # `depth` does not accept None
    # Keys that become arguments are documented in the docstring of the method.
    assert "Place to move the tree to." not in text


def _keys(package: Path) -> dict[str, Keys]:
    """Return the annotation of each key, by TypedDict. Variants of filters are included."""
    found: dict[str, Keys] = {}
    narrower: dict[str, tuple[str, Keys]] = {}
    for file in (package / "inputs").glob("*.py*"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                own = {
                    ast.unparse(line.target): _plain(line.annotation)
                    for line in node.body
                    if isinstance(line, ast.AnnAssign)
                }
                narrower[node.name] = (ast.unparse(node.bases[0]), own)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "TypedDict":
                name, table = node.args
                assert isinstance(table, ast.Dict)
                keys = [ast.literal_eval(key) for key in table.keys if key]
                kinds = map(_plain, table.values)
                found[ast.literal_eval(name)] = dict(zip(keys, kinds, strict=True))
    return found | {name: found.get(base, {}) | own for name, (base, own) in narrower.items()}


def _plain(node: ast.expr) -> str:
    text: object = ast.literal_eval(node) if isinstance(node, ast.Constant) else ast.unparse(node)
    return str(text)


def test_filters_inside_filters_have_a_bounded_depth(package: Path) -> None:
    keys = _keys(package)
    assert keys["TreeWhereInput"]["orchard"] == "nested.OrchardWhereInput2"
    assert keys["TreeWhereInput2"]["orchard"] == "ReadOnly[OrchardWhereInput3]"
    assert keys["TreeWhereInput3"]["orchard"] == "ReadOnly[MaybeMapping]"


def test_filters_over_many_are_one_level_shorter(package: Path) -> None:
    keys = _keys(package)
    assert keys["OrchardWhereInput"]["trees_some"] == "nested.TreeWhereInput2"
    assert keys["OrchardWhereInput2"]["trees_some"] == "ReadOnly[MaybeMapping]"
    assert keys["OrchardWhereInput2"]["best_tree"] == "ReadOnly[TreeWhereInput3]"


def test_and_or_not_are_filters_themselves_but_not_inside_of_another(package: Path) -> None:
    keys = _keys(package)
    assert keys["TreeWhereInput"]["AND"] == "Sequence[TreeWhereInput]"
    for depth in (2, 3):
        kind = "ReadOnly[MaybeMappings]"
        assert keys[f"TreeWhereInput{depth}"]["AND"] == kind


def test_variants_have_all_keys_of_the_filter(package: Path) -> None:
    keys = _keys(package)
    for name in ("TreeWhereInput", "OrchardWhereInput"):
        assert list(keys[name]) == list(keys[f"{name}2"]) == list(keys[f"{name}3"])


def test_variants_are_for_checkers_only(load: Load) -> None:
    module = load("inputs.tree")
    assert hasattr(module, "TreeWhereInput")
    assert not hasattr(module, "TreeWhereInput2")


def test_records_that_become_arguments_exist_at_run_time_only(package: Path, load: Load) -> None:
    assert "where" in load("inputs").GetTreesRequestBody.__annotations__
    text = (package / "inputs" / "tree.py").read_text()
    assert '    GetTreesRequestBody: TypeAlias = "Mapping[str, Any]"\n' in text
    assert "\n    class GetTreesRequestBody(TypedDict, total=False):\n" in text
    assert "\nclass PlantTreeParams(" in text  # in a list, so it is passed as a whole


def test_a_list_of_filters_in_a_record_is_a_sequence_of_them(package: Path) -> None:
    assert _keys(package)["PlantTreeParams"]["groves"] == "Sequence[nested.OrchardWhereInput2]"


def test_annotations_evaluate_to_types_of_other_modules(load: Load) -> None:
    inputs = load("inputs")
    orchard = get_type_hints(inputs.OrchardWhereInput)
    assert orchard["trees_some"] == inputs.TreeWhereInput
    with pytest.raises(AttributeError, match="no attribute 'TreeWhereInput4'"):
        _ = load("inputs.nested").TreeWhereInput4


def test_keys_newer_than_their_object_are_listed(load: Load) -> None:
    newer = load("inputs.newer").NEWER
    assert newer["GetTreesRequestBody"] == {"3.1.0": "first"}
    assert newer["TreeWhereInput"] == {"3.1.0": "name_in"}
    assert "Stand" not in newer  # everything in it is equally new
