"""Adding a server version to the history."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from codegen import extend_history, history
from codegen.history import History
from codegen.refusals import SchemaError

from .made_up import COUNT, TEXT, Raw, listed, operation, record, ref

if TYPE_CHECKING:
    from pathlib import Path

    from codegen.schema import Api


def _version(number: str, schemas: Raw, paths: Raw) -> Raw:
    return {"info": {"version": number}, "components": {"schemas": schemas}, "paths": paths}


def _paths(*names: str) -> Raw:
    return {f"/{name}": {"post": operation(name, "Box", listed(ref("Box")))} for name in names}


_LID = record({"size": TEXT}, "size")
OLD = _version(
    "4.9.0",
    {
        "Box": record({"id": TEXT, "lid": _LID, "label": TEXT, "name": TEXT}, "id", "label"),
        "Color": {"type": "string", "enum": ["RED", "PINK"]},
        "Gone": record({"id": TEXT}),
    },
    _paths("Open", "Close"),
)
NEW = _version(
    "4.10.0",
    {
        "Box": record(
            {
                "id": TEXT,
                "lid": record({"size": TEXT, "hinges": COUNT}, "size", "hinges"),
                "label": TEXT,
                "weight": COUNT,
            },
            *("id", "weight"),
        ),
        "Color": {"type": "string", "enum": ["RED", "BLUE"]},
        "Tape": record({"id": TEXT}, "id"),
    },
    _paths("Open", "Seal"),
)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """The history of the old version, and the schemas of both versions."""
    paths = tmp_path / "history.json", tmp_path / "old.json", tmp_path / "new.json"
    empty: Raw = {"versions": ["4.8.0"], "operations": {}, "schemas": {}}
    for path, content in zip(paths, (empty, OLD, NEW), strict=True):
        path.write_text(json.dumps(content))
    extend_history.extend(paths[1], paths[0])
    return paths


def _entries(file: Path) -> Any:  # noqa: ANN401 - JSON
    return json.loads(file.read_bytes())


def test_new_parts_have_the_version_that_introduced_them(files: tuple[Path, Path, Path]) -> None:
    known, _, new = files
    said = extend_history.extend(new, known)
    assert said == "CloudTower 4.10.0: 1 new operation ['Seal']"
    found = _entries(known)
    assert found["versions"] == ["4.8.0", "4.9.0", "4.10.0"]
    assert found["operations"]["Seal"] == {"path": "/Seal", "since": "4.10.0"}
    assert found["operations"]["Open"] == {"path": "/Open", "since": "4.9.0"}
    assert found["schemas"]["Tape"]["properties"]["id"] == {
        "since": "4.10.0",
        "required_since": "4.10.0",
    }
    assert found["schemas"]["Box"]["properties"]["lid.hinges"]["since"] == "4.10.0"
    assert found["schemas"]["Color"]["values"]["BLUE"] == {"since": "4.10.0"}


def test_missing_parts_are_removed_in_that_version(
    files: tuple[Path, Path, Path],
) -> None:
    known, _, new = files
    extend_history.extend(new, known)
    found = _entries(known)
    assert found["operations"]["Close"]["removed"] == "4.10.0"
    assert found["schemas"]["Gone"]["removed"] == "4.10.0"
    assert found["schemas"]["Gone"]["properties"]["id"]["removed"] == "4.10.0"
    assert found["schemas"]["Box"]["properties"]["name"]["removed"] == "4.10.0"
    assert found["schemas"]["Color"]["values"]["PINK"]["removed"] == "4.10.0"


def test_properties_that_are_no_longer_required_are_not_always_sent(
    files: tuple[Path, Path, Path],
) -> None:
    known, _, new = files
    assert "required_since" in _entries(known)["schemas"]["Box"]["properties"]["label"]
    extend_history.extend(new, known)
    box = _entries(known)["schemas"]["Box"]["properties"]
    assert "required_since" not in box["label"]
    assert box["id"]["required_since"] == "4.9.0"


def test_properties_that_return_were_not_always_sent(files: tuple[Path, Path, Path]) -> None:
    known, old, new = files
    extend_history.extend(new, known)
    back = _entries(old)
    back["info"]["version"] = "4.11.0"
    back["components"]["schemas"]["Gone"]["required"] = ["id"]
    old.write_text(json.dumps(back))
    extend_history.extend(old, known)
    gone = _entries(known)["schemas"]["Gone"]
    assert gone["since"] == "4.9.0"
    assert "removed" not in gone
    assert gone["properties"]["id"] == {"since": "4.9.0", "required_since": "4.11.0"}


def test_a_form_is_followed_property_by_property(tmp_path: Path) -> None:
    files = tmp_path / "history.json", tmp_path / "schema.json"
    files[0].write_text(json.dumps({"versions": ["4.8.0"], "operations": {}, "schemas": {}}))
    for number, more in (("4.9.0", {}), ("4.10.0", {"part": COUNT})):
        form = record({"file": {"type": "string", "format": "binary"}, **more}, "file")
        content = "multipart/form-data"
        upload = operation("Upload", "Box", listed(TEXT), form, content=content)
        files[1].write_text(json.dumps(_version(number, {}, {"/upload": {"post": upload}})))
        extend_history.extend(files[1], files[0])
    assert _entries(files[0])["operations"]["Upload"]["properties"] == {
        "file": {"since": "4.9.0"},
        "part": {"since": "4.10.0"},
    }


def test_adding_a_version_twice_changes_nothing(files: tuple[Path, Path, Path]) -> None:
    known, _, new = files
    extend_history.extend(new, known)
    once = known.read_bytes()
    assert extend_history.extend(new, known) == "CloudTower 4.10.0: 0 new operations []"
    assert known.read_bytes() == once


def test_a_version_is_not_added_before_a_newer_one(files: tuple[Path, Path, Path]) -> None:
    known, old, new = files
    extend_history.extend(new, known)
    before = known.read_bytes()
    with pytest.raises(SchemaError, match=r"CloudTower 4\.9\.0, but the history reaches 4\.10\.0"):
        extend_history.extend(old, known)
    assert known.read_bytes() == before


def test_an_unknown_part_of_an_older_version_is_as_old_as_that_version(api: Api) -> None:
    newest: Raw = {
        "versions": ["9.0.0"],
        "operations": {},
        "schemas": {"Later": {"since": "9.0.0"}},
    }
    extended = History(newest).extended(api)
    assert extended.newest == "9.0.0"
    assert extended.operation_since("GetTrees") == "3.1.0"
    assert extended.value_since("TreeStatus", "FELLED") == "3.1.0"
    assert newest == {**newest, "schemas": {"Later": {"since": "9.0.0"}}, "operations": {}}


def test_removing_a_version_and_adding_it_again_gives_the_same(
    files: tuple[Path, Path, Path],
) -> None:
    known, _, new = files
    extend_history.extend(new, known)
    extended = _entries(known)
    known.write_text(json.dumps(without_newest(extended)))
    assert "Seal" not in _entries(known)["operations"]
    extend_history.extend(new, known)
    assert _entries(known) == extended


def without_newest(document: Raw) -> Raw:
    """Return a copy of a history from which everything about its newest version is removed."""
    older = copy.deepcopy(document)
    newest = older["versions"].pop()
    older.get("sources", {}).pop(newest, None)

    def forget(entries: Raw) -> None:
        for name, said in [*entries.items()]:
            if said["since"] == newest:
                del entries[name]
                continue
            for key in ("removed", "required_since"):
                if said.get(key) == newest:
                    del said[key]
            for table in ("properties", "values"):
                forget(said.get(table, {}))

    forget(older["operations"])
    forget(older["schemas"])
    return older


def test_the_history_of_the_project_is_written_as_it_is_saved(tmp_path: Path) -> None:
    known = History.load(history.FILE)
    known.save(tmp_path / "history.json")
    assert (tmp_path / "history.json").read_bytes() == history.FILE.read_bytes()


def test_the_history_of_the_project_knows_every_operation_that_was_generated() -> None:
    from cloudtower_async.api.catalogue import OPERATIONS

    operations = _entries(history.FILE)["operations"].values()
    assert {said["path"] for said in operations if not said.get("removed")} == set(OPERATIONS)
