"""The generated answers of the test API, imported and used."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_args, get_origin

import msgspec
import pytest

from cloudtower_async.types import OpenEnum, WithTask
from codegen import emit_models
from codegen.schema import Choice, FreeForm, ListOf, Node, Ref, Scalar

if TYPE_CHECKING:
    from pathlib import Path

Load = Callable[[str], Any]

_TREE: dict[str, Any] = {
    "id": "t1",
    "status": "GROWING",
    "_label": "old oak",
    "seed-lot": "s7",
    "heights": [1.5, 2],
    "orchard": {"id": "o1", "name": "east"},
    "trunk": {"girth": 40, "bark": {"deep": 3}},
    "rings": [{"width": 1}, {"width": 2}],
    "grade": "second-hand",
    "ring_count": 2,
    "picture": "AQID",
}


@pytest.mark.parametrize(
    ("node", "python"),
    [
        (Ref("Tree"), "Tree"),
        (ListOf(ListOf(Ref("Tree"))), "list[list[Tree]]"),
        (FreeForm(), "dict[str, Any]"),
        (Choice(("a", "b")), "str"),
        (Scalar("float"), "float"),
    ],
)
def test_each_shape_has_a_type_that_it_decodes_to(node: Node, python: str) -> None:
    assert emit_models.annotation(node) == python


def test_an_answer_with_the_required_fields_alone_decodes(load: Load) -> None:
    tree = msgspec.convert(_TREE, load("models").Tree)
    assert (tree.id, tree.label, tree.seed_lot) == ("t1", "old oak", "s7")
    assert tree.heights == [1.5, 2.0]
    assert tree.orchard.name == "east"
    assert tree.trunk.bark.deep == 3
    assert [ring.width for ring in tree.rings] == [1, 2]
    assert tree.picture == b"\x01\x02\x03"
    assert tree.class_ is tree.neighbours is tree.notes is tree.grafts is tree.anything is None


def test_every_optional_field_reads_back(load: Load) -> None:
    sent = _TREE | {
        "entityAsyncStatus": "FELLED",
        "class": "oak",
        "neighbours": [{"id": "o2", "name": "west"}],
        "notes": {"free": [1, None]},
        "anything": ["goes"],
        "kind": "Tree",
        "nicknames": ["Bo"],
        "planted": True,
        "old_name": "acorn",
        "grafts": [_TREE],
        "new_in_two": "new",
    }
    tree = msgspec.convert(sent, load("models").Tree)
    assert tree.entity_async_status == "FELLED"
    assert (tree.class_, tree.kind, tree.old_name, tree.planted) == ("oak", "Tree", "acorn", True)
    assert tree.neighbours[0].name == "west"
    assert (tree.notes, tree.anything, tree.nicknames) == ({"free": [1, None]}, ["goes"], ["Bo"])
    assert tree.grafts[0].id == "t1"
    assert tree.new_in_two == "new"


def test_fields_travel_under_their_wire_names(load: Load) -> None:
    tree = msgspec.convert(_TREE, load("models").Tree)
    written = json.loads(msgspec.json.encode(tree))
    assert _TREE.items() <= written.items()
    assert {"entityAsyncStatus", "class", "_label", "seed-lot"} <= set(written)


def test_nullable_fields_take_null(load: Load) -> None:
    sent = _TREE | {"entityAsyncStatus": None, "class": None, "neighbours": None}
    tree = msgspec.convert(sent, load("models").Tree)
    assert tree.entity_async_status is tree.class_ is tree.neighbours is None


@pytest.mark.parametrize("wire", sorted(_TREE))
def test_a_field_that_every_server_sends_is_required(load: Load, wire: str) -> None:
    sent = {key: value for key, value in _TREE.items() if key != wire}
    with pytest.raises(msgspec.ValidationError, match="missing required field"):
        msgspec.convert(sent, load("models").Tree)


def test_a_field_that_only_newer_servers_send_is_not_required(load: Load) -> None:
    assert msgspec.convert(_TREE, load("models").Tree).new_in_two is None


def test_a_schema_that_is_new_as_a_whole_has_required_fields(load: Load) -> None:
    with pytest.raises(msgspec.ValidationError, match="missing required field `orchard`"):
        msgspec.convert({"id": "s"}, load("models").Stand)


def test_enum_members_carry_the_wire_values_and_stay_open(load: Load) -> None:
    grade = load("models").TreeGrade
    assert issubclass(grade, OpenEnum)
    assert {name: str(member) for name, member in grade.__members__.items()} == {
        "A": "A",
        "ANY": "*",
        "SECOND_HAND": "second-hand",
        "CLASS": "class",
        "VALUE_10_PCT": "10 PCT",
        "SAY_B": 'say "b"',
        "_10_PCT": "10 PCT",
    }
    assert [str(member) for member in grade].count("10 PCT") == 1
    tree = msgspec.convert(_TREE | {"grade": "NEWER"}, load("models").Tree)
    assert tree.grade == "NEWER"
    assert isinstance(tree.grade, grade)


def test_structs_cannot_be_changed_and_take_keywords_only(load: Load) -> None:
    orchard = load("models").NestedOrchard
    with pytest.raises(TypeError):
        orchard("o", "n")
    with pytest.raises(AttributeError):
        orchard(id="o", name="n").name = "m"


def test_tasks_and_connections_are_the_shared_shapes(load: Load) -> None:
    tree = load("api.tree")
    kind: Any = load("models").Tree
    answer = tree.PLANT_TREE.answer()
    assert (get_origin(answer), get_origin(get_args(answer)[0])) == (list, WithTask)
    assert get_args(get_args(answer)[0]) == (kind,)
    answer = tree.REPLANT_TREE.answer()
    assert get_origin(answer) is WithTask
    assert get_args(get_args(answer)[0]) == (kind,)
    assert (
        tree.GET_TREES_CONNECTION.decoder.decode(b'{"aggregate": {"count": 3}}').aggregate.count
        == 3
    )
    planted = tree.PLANT_TREE.decoder.decode(json.dumps([{"data": _TREE, "task_id": "x"}]))
    assert (planted[0].data.id, planted[0].task_id) == ("t1", "x")


def test_texts_and_binary_content_are_answers_too(load: Load) -> None:
    assert load("api.season").GET_SEASON.decoder.decode(b'"spring"') == "spring"
    assert load("api.fruit_stand").GET_PICTURE.decoder.decode(b'"AQID"') == b"\x01\x02\x03"


def test_texts_stand_below_the_fields(package: Path) -> None:
    tree = (package / "models" / "tree.py").read_text()
    assert '    id: str\n    """Identifier of the tree."""\n' in tree
    assert '''    """What people say, such as "old"."""\n''' in tree
    stand = (package / "models" / "shared" / "stand.py").read_text()
    assert '    id: str\n    """Identifier. Any letters."""\n' in stand
    assert "import Any" not in stand


def test_versions_are_noted_where_they_are_not_the_first(package: Path) -> None:
    text = (package / "models" / "tree.py").read_text()
    assert "new_in_two: str | None = None  # since 3.1.0\n" in text
    assert text.count("# since") == 1
    status = (package / "models" / "enums" / "common.py").read_text()
    assert 'FELLED = "FELLED"  # since 3.1.0\n' in status
    assert 'GROWING = "GROWING"\n' in status


@pytest.mark.subprocess
def test_the_package_loads_a_module_only_when_a_name_of_it_is_used(package: Path) -> None:
    code = (
        "import sys, trees.models as models\n"
        "def loaded(): return {n[13:] for n in sys.modules if n.startswith('trees.models.')}\n"
        "assert not loaded(), loaded()\n"
        "models.Stand\n"
        "assert 'tree' not in loaded(), loaded()\n"
        "assert models.Stand is models.__dict__['Stand']\n"
        "assert 'Tree' in dir(models)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=package.parent, check=True)  # noqa: S603


def test_an_unknown_name_is_an_attribute_error_that_says_it(load: Load) -> None:
    with pytest.raises(AttributeError, match=r"module 'trees.models' has no attribute 'Shrub'"):
        _ = load("models").Shrub
