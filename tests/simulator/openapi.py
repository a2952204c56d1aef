"""Validation of answers against the newest API schema, by an independent validator."""

# ruff: noqa: ANN401 - JSON
from __future__ import annotations

import functools
from collections import Counter
from contextlib import suppress
from typing import Any, cast

import jsonschema
import msgspec

from cloudtower_async.simulator.server import javascript
from tests.api.from_schema import ABSENT, SPECS, answer_schema, operations, spec

__all__ = ["ABSENT", "VALIDATED", "check", "complaints", "paths", "present"]


@functools.cache
def present() -> bool:
    """Whether the API schema is available."""
    return SPECS.is_dir()


VALIDATED: Counter[str] = Counter()
"""Number of valid answers of each operation in all tests so far."""


def check(path: str, content: bytes) -> None:
    """Check that an answer is serialized as by JavaScript and fits the schema.

    A body that is not JSON is only checked if the schema declares a string.

    Args:
        path: Path of the operation, with or without a query string.
        content: Body of the answer.
    """
    answer: object = None
    with suppress(msgspec.DecodeError):
        answer = msgspec.json.decode(content)
        assert javascript.encode(answer) == content, content[:500]
    path = path.partition("?")[0]
    if not present() or path not in paths():
        return
    if answer is None:
        if _answers()[path].get("type") != "string":
            return
        answer = content.decode()  # an unquoted text: a table or a word
    wrong = complaints(path, answer)
    assert not wrong, "\n".join(wrong[:10])
    VALIDATED[path] += 1


def complaints(path: str, answer: Any) -> list[str]:
    """Return the faults of the answer of the operation with this path, with their places."""
    errors = _validator(path).iter_errors(answer)
    return [f"{path} {error.json_path}: {error.message:.200}" for error in errors]


@functools.cache
def paths() -> frozenset[str]:
    """Every operation of the schema."""
    return frozenset(_answers())


@functools.cache
def _answers() -> dict[str, Any]:
    found = operations(spec("latest"))
    return {path.removeprefix("/"): answer_schema(described) for path, _, described in found}


@functools.cache
def _components() -> Any:
    return _converted(spec("latest")["components"])


@functools.cache
def _validator(path: str) -> Any:
    schema = {**_converted(_answers()[path]), "components": _components()}
    return jsonschema.Draft202012Validator(schema)


def _converted(schema: object) -> Any:
    """Convert a schema of OpenAPI 3.0 to JSON Schema: null is a type, unknown keys are errors."""
    if isinstance(schema, list):
        return [_converted(part) for part in cast("list[object]", schema)]
    if not isinstance(schema, dict):
        return schema
    old = cast("dict[str, Any]", schema)
    new = {key: _converted(part) for key, part in old.items() if key != "nullable"}
    # An object may have a member "properties" or "nullable"; these show which is meant.
    if isinstance(old.get("properties"), dict):
        new["properties"] = {name: _converted(part) for name, part in old["properties"].items()}
        if new["properties"]:  # an object without declared properties accepts any
            new.setdefault("additionalProperties", False)
    return {"anyOf": [new, {"type": "null"}]} if old.get("nullable") is True else new
