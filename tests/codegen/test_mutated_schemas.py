"""Schemas with a random change: the generator accepts them or reports the fault."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codegen import __main__ as command
from codegen.refusals import SchemaError

from . import made_up
from .made_up import COUNT, TEXT, Raw, listed, record, ref

if TYPE_CHECKING:
    from pathlib import Path

_VALUES: list[Any] = [
    *(None, True, 0, 3.5, "", "x", "class", "2fa", "_", "str", 'a"b', "a\nb", [], {}),
    *([TEXT], ["string", "null"], ["string", "integer"], TEXT, listed(record({"a": TEXT}))),
    *(ref("Tree"), ref("Nowhere"), {"$ref": "x"}, {"allOf": [ref("Tree")]}, {"allOf": []}),
    *({"oneOf": [TEXT, COUNT]}, {"enum": []}, {"enum": [1, 2]}, {"enum": ["a", None]}),
    *({"type": "object", "additionalProperties": TEXT}, record({"str": TEXT, "list": COUNT})),
]
_KEYS = [
    *("$ref", "additionalProperties", "allOf", "content", "deprecated", "enum", "format", "get"),
    *(
        "in",
        "items",
        "maximum",
        "minimum",
        "name",
        "nullable",
        "oneOf",
        "operationId",
        "parameters",
    ),
    *("properties", "requestBody", "required", "responses", "schema", "security", "tags"),
    *("type", "2fa", "_", "304", "class", "list", "self", "timeout", 'a"b', "a.b"),
]


def _parts(value: Any) -> list[Any]:  # noqa: ANN401 - JSON
    """Yield all objects and lists in a value, including the value itself."""
    if not isinstance(value, dict | list):
        return []
    inner = cast("Raw", value).values() if isinstance(value, dict) else cast("list[object]", value)
    return [value, *(part for one in inner for part in _parts(one))]


@st.composite
def _changed(draw: st.DrawFn) -> Raw:
    document = copy.deepcopy(made_up.document())
    for _ in range(draw(st.integers(1, 3))):
        part = draw(st.sampled_from(_parts(document)))
        value = copy.deepcopy(draw(st.sampled_from(_VALUES)))
        keys: list[Any] = list(cast("Raw", part) if isinstance(part, dict) else range(len(part)))
        change = draw(st.sampled_from(["drop", "set", "add", "rename"]))
        if change == "add" or not keys:
            if isinstance(part, dict):
                part[draw(st.sampled_from(_KEYS))] = value
            else:
                part.append(value)
            continue
        key = draw(st.sampled_from(keys))
        if change == "set":
            part[key] = value
        elif change == "drop" or isinstance(part, list):
            del part[key]
        else:
            part[draw(st.sampled_from(_KEYS))] = cast("Raw", part).pop(key)
    return document


@pytest.fixture(scope="module")
def schema_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutated") / "schema.json"


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(document=_changed())
def test_a_changed_schema_is_accepted_or_rejected_with_a_message(
    schema_file: Path, made_up_files: tuple[Path, Path], document: Raw
) -> None:
    schema_file.write_text(json.dumps(document))
    try:
        made = command.make(schema_file, made_up_files[1], allow_removals=True)
    except SchemaError as error:
        said = str(error).splitlines()
    else:
        said = []
        assert made.packages["api"]["catalogue.py"]
    assert all(": " in line for line in said)
