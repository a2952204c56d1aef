"""Answers and arguments that are generated from an API schema, without the code generator."""

from __future__ import annotations

import base64
import itertools
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Raw: TypeAlias = dict[str, Any]

SPECS = Path(__file__).parents[3] / "shared" / "specs"
ABSENT = "the API schemas are not here; a Tower's API site serves them"
VERSIONS = sorted(
    file.stem for pattern in ("[0-9]*.json", "latest.json") for file in SPECS.glob(pattern)
) or ["none"]
"""The versions whose schemas are available. Without schemas, tests skip the version ``"none"``."""


def spec(version: str) -> Raw:
    """Return the API schema of a server version, or of `latest`."""
    document: Raw = json.loads((SPECS / f"{version}.json").read_bytes())
    return document


def operations(document: Raw) -> Iterator[tuple[str, str, Raw]]:
    """Yield path, HTTP method and description of each operation."""
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            yield path, method.upper(), described


def answer_schema(operation: Raw) -> Raw:
    """Return the schema of an operation's answer with status 200."""
    schema: Raw = operation["responses"]["200"]["content"]["application/json"]["schema"]
    return schema


@dataclass(frozen=True)
class Shape:
    """Choices where a schema permits several values."""

    optional: bool = True
    """Whether optional properties are present."""
    null: bool = False
    """Whether nullable values are null."""
    top: int = 1
    """Number of elements in the outermost list."""
    items: int = 1
    """Number of elements in each nested list."""
    depth: int = 1000
    """Maximum nesting depth of complete records.

    Deeper records contain few keys and no other records. The limit is necessary because filters are
    recursive.
    """


class Maker:
    """Generates values of the schemas of one document; values differ where possible."""

    def __init__(self, document: Raw) -> None:
        self._schemas: Raw = document["components"]["schemas"]
        self._count = itertools.count(1)
        # A time, which some servers send as a float: integers must not exceed a float's.
        self._time = self._schemas.get("DataPoint", {}).get("properties", {}).get("t")
        self._around: Counter[int] = Counter()
        self._coming: dict[int, list[str]] = {}
        self.enum_values = 0

    def answer(self, schema: Raw, shape: Shape) -> object:
        """Return an answer."""
        schema = self._resolve(schema)
        if schema.get("type") == "array":
            return [self._value(schema["items"], shape, 0) for _ in range(shape.top)]
        return self._value(schema, shape, 0)

    def argument(self, schema: Raw, shape: Shape = Shape(depth=2)) -> object:
        """Return arguments with all keys. Lists have one element. Nested filters have few keys."""
        return self._value(schema, shape, 0)

    def names(self, schema: Raw) -> Iterator[str]:
        """Yield the names in the references that lead to the definition of a schema."""
        while "$ref" in schema or len(schema.get("allOf", ())) == 1:
            if "$ref" in schema:
                name = schema["$ref"].rpartition("/")[2]
                yield name
                schema = self._schemas[name]
            else:
                schema = schema["allOf"][0]

    def items(self, schema: Raw) -> Raw:
        """Return the schema of the elements of a list."""
        items: Raw = self._resolve(schema)["items"]
        return items

    def value_is_due(self, schema: Raw) -> bool:
        """Return whether an enum below the schema has a value that was not generated yet."""
        return any(self._coming.get(id(enum), enum["enum"]) for enum in self._enums(schema))

    def properties(self, schema: Raw) -> tuple[Raw, set[str]]:
        """Return a record's properties and its required keys, with all parts of an `allOf`."""
        schema = self._resolve(schema)
        found: Raw = {}
        required: set[str] = set()
        for part in schema.get("allOf", ()):
            inherited, needed = self.properties(part)
            found |= inherited
            required |= needed
        return found | schema.get("properties", {}), required | set(schema.get("required", ()))

    def _resolve(self, schema: Raw) -> Raw:
        while True:
            if "$ref" in schema:
                schema = self._schemas[schema["$ref"].rpartition("/")[2]]
            elif len(schema.get("allOf", ())) == 1:
                schema = schema["allOf"][0]
            else:
                return schema

    def _value(self, schema: Raw, shape: Shape, depth: int) -> object:
        if shape.null and schema.get("nullable"):
            return None
        schema = self._resolve(schema)
        if "enum" in schema:
            return self._next_of(schema)
        if schema.get("type") == "array":
            return [self._value(schema["items"], shape, depth) for _ in range(shape.items)]
        properties, required = self.properties(schema)
        if not properties:
            return self._scalar(schema)
        wanted = set(properties) if shape.optional else required
        if depth >= shape.depth or self._around[id(schema)] == 2:
            wanted = required | set(self._few(properties))
        self._around[id(schema)] += 1
        made = {
            wire: self._value(value, shape, depth + 1)
            for wire, value in properties.items()
            if wire in wanted
        }
        self._around[id(schema)] -= 1
        return made

    def _few(self, properties: Raw) -> Iterator[str]:
        """Return the first properties that contain no record."""
        holds_none = (
            wire
            for wire, value in properties.items()
            if not self.properties(self._element(value))[0]
        )
        return itertools.islice(holds_none, 3)

    def _element(self, schema: Raw) -> Raw:
        schema = self._resolve(schema)
        element: Raw = schema.get("items", schema)
        return element

    def _scalar(self, schema: Raw) -> object:
        number = next(self._count)
        if schema is self._time:
            return 1_700_000_000_000 + number
        match schema.get("type"), schema.get("format"):
            case "string", "byte":
                return base64.b64encode(f"bytes {number}".encode()).decode()
            case "string", "binary":
                return f"file {number}".encode()
            case "string", _:
                return f"text {number} 文字"
            case "integer", "int64":
                return 2**53 + number
            case "integer", _:
                low, high = schema.get("minimum", number), schema.get("maximum", number)
                return max(low, min(high, number))
            case "number", _:
                return number if number % 2 else number + 0.5
            case "boolean", _:
                return number % 2 == 0
            case "object", _:
                return {"free": [number, None, "form"], "deep": {"true": True}}
            case None, _:
                return [f"any {number}", {"n": number}, number][number % 3]
            case unknown:
                raise AssertionError(f"{unknown} is new: {schema}")

    def _next_of(self, enum: Raw) -> str:
        coming = self._coming.setdefault(id(enum), list(enum["enum"]))
        if coming:
            self.enum_values += 1
            return coming.pop()
        values: list[str] = enum["enum"]
        return values[next(self._count) % len(values)]

    def _enums(self, schema: Raw) -> Iterator[Raw]:
        seen: set[int] = set()
        waiting = [schema]
        while waiting:
            schema = self._resolve(waiting.pop())
            if id(schema) in seen:
                continue
            seen.add(id(schema))
            if "enum" in schema:
                yield schema
            waiting += [*schema.get("allOf", ()), *schema.get("properties", {}).values()]
            if "items" in schema:
                waiting.append(schema["items"])
