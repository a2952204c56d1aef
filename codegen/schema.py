"""Reads an API schema into a handful of small shapes; the rest of the generator sees only these."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import corrections, names

Raw = Mapping[str, Any]

_SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}


@dataclass(frozen=True)
class Scalar:
    """A value without parts. `bounds` is what the schema says of its size, for the reader."""

    python: str
    bounds: str = ""


@dataclass(frozen=True)
class Choice:
    """One of some texts, written in place."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class Ref:
    """A named enum or record."""

    name: str


@dataclass(frozen=True)
class ListOf:
    items: Node
    bounds: str = ""


@dataclass(frozen=True)
class FreeForm:
    """An object of which the schema names no property."""


Node = Scalar | Choice | Ref | ListOf | FreeForm


@dataclass(frozen=True)
class Property:
    wire: str
    node: Node
    required: bool
    nullable: bool
    deprecated: bool


@dataclass(frozen=True)
class Enum:
    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """`within` is where the schema wrote it: a schema's name, or the dotted way to a property."""

    name: str
    within: str
    properties: tuple[Property, ...]


@dataclass(frozen=True)
class Operation:
    """One path and method. `arguments` is a record, a list of one, or None when nothing is sent."""

    id: str
    method: str
    path: str
    tag: str
    carries: str
    auth: str
    arguments: Node | None
    answer: Node
    not_modified: bool
    deprecated: bool


@dataclass
class Api:
    """Everything that one schema file says."""

    version: str
    server: str
    operations: list[Operation] = field(default_factory=list[Operation])
    types: dict[str, Enum | Record] = field(default_factory=dict[str, Enum | Record])
    schemas: tuple[str, ...] = ()
    """Names of all schemas, those of scalars and lists too."""

    def record(self, node: Node | None) -> Record | None:
        """The record that a node names, if it names one."""
        found = self.types[node.name] if isinstance(node, Ref) else None
        return found if isinstance(found, Record) else None


def load(path: Path) -> Api:
    """Read the schema file at `path`."""
    return _Reader(json.loads(path.read_bytes())).api


def refs(node: Node | None) -> Iterator[str]:
    """The names that a node refers to."""
    if isinstance(node, Ref):
        yield node.name
    elif isinstance(node, ListOf):
        yield from refs(node.items)


def closure(api: Api, start: Iterator[str]) -> set[str]:
    """The names in `start` and all that they refer to, however far."""
    seen: set[str] = set()
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        kind = api.types[name]
        if isinstance(kind, Record):
            waiting += [ref for prop in kind.properties for ref in refs(prop.node)]
    return seen


class _Reader:
    def __init__(self, document: Raw) -> None:
        self._schemas: dict[str, Raw] = document["components"]["schemas"]
        info: Raw = document["info"]
        self.api = Api(info["version"], info.get("x-cloudtower-version", info["version"]))
        self.api.schemas = tuple(self._schemas)
        for name in sorted(self._schemas):
            self._declare(name, self._schemas[name], name)
        for path, methods in document["paths"].items():
            for method, raw in methods.items():
                self.api.operations.append(self._operation(method.upper(), path, raw))
        self.api.operations.sort(key=lambda operation: operation.path)

    def _declare(self, name: str, raw: Raw, within: str) -> None:
        raw = self._behind(raw)
        if "enum" in raw:
            self.api.types[name] = Enum(name, tuple(raw["enum"]))
        elif raw.get("properties") or "allOf" in raw:
            properties = tuple(self._properties(name, within, raw))
            _check_python_names(name, properties)
            self.api.types[name] = Record(name, within, properties)

    def _behind(self, raw: Raw) -> Raw:
        """What a reference, or an `allOf` of a single part, stands for."""
        while True:
            if "$ref" in raw:
                raw = self._schemas[_name(raw)]
            elif len(raw.get("allOf", ())) == 1:
                raw = raw["allOf"][0]
            else:
                return raw

    def _properties(self, owner: str, within: str, raw: Raw) -> Iterator[Property]:
        """A record's properties; several parts of an `allOf` become one record."""
        parts = list(self._parts(raw))
        required = {wire for part in parts for wire in part.get("required", ())}
        values = {wire: v for part in parts for wire, v in part.get("properties", {}).items()}
        for wire, value in values.items():
            yield Property(
                wire=wire,
                node=self._node(value, owner, wire, f"{within}.{wire}"),
                required=wire in required,
                nullable=value.get("nullable", self._behind(value).get("nullable", False)),
                deprecated=value.get("deprecated", False),
            )

    def _parts(self, raw: Raw) -> Iterator[Raw]:
        for part in raw.get("allOf", ()):
            yield from self._parts(self._behind(part))
        yield raw

    def _node(self, raw: Raw, owner: str, wire: str, within: str) -> Node:
        """The shape of a value; a record written in place gets a name of its own."""
        if len(raw.get("allOf", ())) == 1:
            raw = raw["allOf"][0]
        if "$ref" in raw:
            behind = self._behind(raw)
            if "enum" in behind or behind.get("properties") or "allOf" in behind:
                return Ref(_name(raw))
            raw = behind
        if "enum" in raw:
            return Choice(tuple(raw["enum"]))
        if raw.get("type") == "array":
            return ListOf(self._node(raw["items"], owner, wire, f"{within}[]"), _bounds(raw))
        if raw.get("properties") or "allOf" in raw:
            name = owner + names.pascal(wire)
            if name in self._schemas:
                raise ValueError(f"{owner}.{wire} wants the name of the schema {name}")
            self._declare(name, raw, within)
            return Ref(name)
        if raw.get("type") == "object":
            return FreeForm()
        if "type" not in raw:
            return Scalar("Any")
        if raw.get("format") in ("binary", "byte"):
            return Scalar("bytes" if raw["format"] == "byte" else "FileContent")
        scalar = corrections.SCALARS.get((owner, wire), _SCALARS[raw["type"]])
        return Scalar(scalar, _bounds(raw))

    def _operation(self, method: str, path: str, raw: Raw) -> Operation:
        name: str = raw["operationId"]
        arguments, carries = self._arguments(name, raw)
        answer = raw["responses"]["200"]["content"]["application/json"]["schema"]
        schemes = [scheme for choice in raw.get("security", ()) for scheme in choice]
        return Operation(
            id=name,
            method=method,
            path=path,
            tag=raw["tags"][0],
            carries=carries,
            auth={"Authorization": "TOKEN", "Basic": "BASIC"}[schemes[0]] if schemes else "NONE",
            arguments=arguments,
            answer=self._node(answer, name, "Answer", name),
            not_modified="304" in raw["responses"],
            deprecated=raw.get("deprecated", False),
        )

    def _arguments(self, operation: str, raw: Raw) -> tuple[Node | None, str]:
        """What an operation is sent, and how: as JSON, as a form, or in the query string."""
        for content_type, content in raw.get("requestBody", {}).get("content", {}).items():
            carries = "FORM" if content_type.startswith("multipart/") else "JSON"
            return self._node(content["schema"], operation, "Form", operation), carries
        in_query = [p for p in raw.get("parameters", ()) if p["in"] == "query"]
        if not in_query:
            return None, "QUERY_STRING"
        properties = {p["name"]: p["schema"] for p in in_query}
        required = [p["name"] for p in in_query if p.get("required")]
        raw = {"properties": properties, "required": required}
        return self._node(raw, operation, "Query", operation), "QUERY_STRING"


def _check_python_names(record: str, properties: tuple[Property, ...]) -> None:
    """Two properties must not become the same field."""
    wires: dict[str, str] = {}
    for prop in properties:
        other = wires.setdefault(names.snake(prop.wire), prop.wire)
        if other != prop.wire:
            raise ValueError(f"{record}: {other} and {prop.wire} have the same Python name")


def _name(raw: Raw) -> str:
    return str(raw["$ref"]).rsplit("/", 1)[-1]


def _bounds(raw: Raw) -> str:
    """`2 to 3`, `at least 1`, `not empty`: the limits of a value in words."""
    if raw.get("minLength") == 1 or raw.get("minItems") == 1:
        return "not empty"
    low, high = raw.get("minimum"), raw.get("maximum")
    if low is not None and high is not None:
        return f"{low} to {high}"
    return "" if low is None else f"at least {low}"
