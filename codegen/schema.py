"""Reads an API schema into dataclasses. The rest of the generator only uses these dataclasses."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from . import corrections, names, refusals
from .refusals import Raw, SchemaError

_SCHEMAS = "#/components/schemas/"
_SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}


@dataclass(frozen=True)
class Scalar:
    """Type of a scalar value. `bounds` describes the limits of the value in words."""

    python: str
    bounds: str = ""
    is_date: bool = False


@dataclass(frozen=True)
class Choice:
    """Enum of strings that has no name."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class Ref:
    """Reference to a named enum or record."""

    name: str


@dataclass(frozen=True)
class ListOf:
    items: Node
    bounds: str = ""


@dataclass(frozen=True)
class FreeForm:
    """Type of an object without declared properties."""


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
    """Object with properties. `within` is its place: a schema name, or a dotted path."""

    name: str
    within: str
    properties: tuple[Property, ...]


@dataclass(frozen=True)
class Operation:
    """Operation of the API: one path and one HTTP method.

    `arguments` is a record, a list of records, or None if the operation has no arguments.
    """

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
    """Contents of one schema file."""

    version: str
    server: str
    operations: list[Operation] = field(default_factory=list[Operation])
    types: dict[str, Enum | Record] = field(default_factory=dict[str, Enum | Record])
    schemas: tuple[str, ...] = ()
    """Names of all schemas, including names for scalars and lists."""

    def record(self, node: Node | None) -> Record | None:
        """Return the record that a node refers to, or None for any other node."""
        found = self.types[node.name] if isinstance(node, Ref) else None
        return found if isinstance(found, Record) else None


def load(path: Path) -> Api:
    """Read the schema file at `path`.

    :raises SchemaError: if the schema contains constructs that the generator cannot handle.
    """
    try:
        document = json.loads(path.read_bytes())
    except (OSError, RecursionError, ValueError) as error:
        raise SchemaError(f"{path}: cannot be read as JSON: {error}") from error
    fault = refusals.document_fault(document)
    if fault:
        raise SchemaError(f"{path}: {fault}; take the JSON that a Tower's API site serves")
    return _Reader(_normalized(document)).api


def refs(node: Node | None) -> Iterator[str]:
    """Yield the names of the types to which a node refers."""
    if isinstance(node, Ref):
        yield node.name
    elif isinstance(node, ListOf):
        yield from refs(node.items)


def closure(api: Api, start: Iterator[str]) -> set[str]:
    """Return the names in `start`, and the names of all types to which they refer, recursively."""
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


def _normalized(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Convert types with null, as in OpenAPI 3.1, to `nullable` of OpenAPI 3.0."""
    if isinstance(value, list):
        return [_normalized(part) for part in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    raw = {key: _normalized(part) for key, part in cast("dict[str, Any]", value).items()}
    kinds, values = raw.get("type"), raw.get("enum")
    if isinstance(kinds, list):
        others = [kind for kind in cast("list[object]", kinds) if kind != "null"]
        raw["type"] = others[0] if len(others) == 1 else others
        raw["nullable"] = raw.get("nullable", False) or others != kinds
    if isinstance(values, list) and None in values:
        raw["enum"] = [one for one in cast("list[object]", values) if one is not None]
        raw["nullable"] = True
    for union in ("oneOf", "anyOf"):
        parts = raw.get(union)
        if isinstance(parts, list):
            others = [part for part in cast("list[object]", parts) if part != {"type": "null"}]
            if len(others) == 1:
                del raw[union]
                raw["allOf"] = [*raw.get("allOf", ()), others[0]]
                raw["nullable"] = raw.get("nullable", False) or others != parts
    return raw


class _Reader:
    def __init__(self, document: Raw) -> None:
        self._document = document
        self._schemas: Raw = document["components"].get("schemas", {})
        self._faults: list[str] = []
        info: Raw = document["info"]
        server = info.get("x-cloudtower-version", info.get("version"))
        if not refusals.is_version(server):
            raise SchemaError(
                f"info.version: {server!r} is not a server version; add the version of the Tower to"
                ' `info`, such as "x-cloudtower-version": "4.9.0"'
            )
        self.api = Api(str(info.get("version", server)), server)
        self.api.schemas = tuple(self._schemas)
        for name in sorted(self._schemas):
            with self._reading(f"components.schemas.{name}"):
                self._declare(name, self._schemas[name], name)
        for path, item in document["paths"].items():
            with self._reading(path):
                self._path(path, item)
        if self._faults:
            raise SchemaError(*self._faults)
        self.api.operations.sort(key=lambda operation: operation.path)

    def _path(self, path: str, item: Raw) -> None:
        for method in refusals.METHODS:
            place = f"{method.upper()} {path}"
            if method in item and place not in corrections.LEFT_OUT:
                with self._reading(place):
                    self._operation(method.upper(), path, item)

    @contextmanager
    def _reading(self, place: str) -> Generator[None]:
        """Collect errors that the `with` block raises, so that the rest of the schema is read."""
        try:
            yield
        except SchemaError as error:
            self._faults += error.reasons
        except (
            AttributeError,
            KeyError,
            IndexError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            self._faults.append(
                f"{place}: it is not as OpenAPI 3 has it ({type(error).__name__}: {error});"
                " correct the schema file"
            )

    def _declare(self, name: str, raw: Raw, within: str) -> None:
        raw = self._behind(raw)
        kind = self._kind(raw)
        if kind is Enum:
            self.api.types[name] = Enum(name, tuple(raw["enum"]))
        elif kind is Record:
            properties = self._properties(name, within, raw)
            _check_python_names(name, properties)
            self.api.types[name] = Record(name, within, properties)

    def _kind(self, raw: Raw) -> type[Enum | Record] | None:
        """Return `Enum` or `Record` for a named type, or None for other types.

        Faults of a type are reported where the type is used.
        """
        if self._fault(raw):
            return None
        if "enum" in raw and isinstance(raw["enum"][0], str):
            return Enum
        return Record if raw.get("properties") or "allOf" in raw else None

    def _fault(self, raw: Raw) -> str:
        """Return an error message for a value that the generator cannot handle, or `""`."""
        for part in self._parts(raw):
            fault = refusals.value_fault(part)
            if fault:
                return fault
        return ""

    def _behind(self, raw: Raw) -> Raw:
        """Replace a reference by its target, and an `allOf` with a single part by this part."""
        seen: list[Raw] = []
        while raw not in seen:
            seen.append(raw)
            if "$ref" in raw:
                raw = self._at(raw["$ref"])
            elif _is_wrapped(raw):
                raw = raw["allOf"][0]
            else:
                return raw
        raise SchemaError(f"{raw}: it refers to itself; correct the schema file")

    def _at(self, reference: str) -> Raw:
        """Return the part of the document to which a reference points."""
        found: Raw = self._document
        for key in reference.removeprefix("#/").split("/"):
            inner = found.get(key.replace("~1", "/").replace("~0", "~"))
            if not isinstance(inner, dict):
                raise SchemaError(
                    f"{reference}: this reference has no target; correct the schema file"
                )
            found = cast("Raw", inner)
        return found

    def _properties(self, owner: str, within: str, raw: Raw) -> tuple[Property, ...]:
        """Return the properties of a record. The parts of an `allOf` become one record."""
        found: list[Property] = []
        parts = list(self._parts(raw))
        required = {wire for part in parts for wire in part.get("required", ())}
        values = {wire: v for part in parts for wire, v in part.get("properties", {}).items()}
        for wire, value in values.items():
            with self._reading(f"{within}.{wire}"):
                found.append(
                    Property(
                        wire=wire,
                        node=self._node(value, owner, wire, f"{within}.{wire}"),
                        required=wire in required,
                        nullable=value.get("nullable", self._behind(value).get("nullable", False)),
                        deprecated=value.get("deprecated", False),
                    )
                )
        return tuple(found)

    def _parts(self, raw: Raw) -> Iterator[Raw]:
        for part in raw.get("allOf", ()):
            yield from self._parts(self._behind(part))
        yield raw

    def _node(self, raw: Raw, owner: str, wire: str, within: str) -> Node:
        """Return the type of a value. An inline record gets a generated name."""
        corrected = corrections.SCALARS.get((owner, wire))
        if corrected is not None:
            return Scalar(corrected, _bounds(raw))
        if _is_wrapped(raw):
            raw = raw["allOf"][0]
        if "$ref" in raw:
            behind = self._behind(raw)
            if self._kind(behind) is not None and raw["$ref"] == f"{_SCHEMAS}{_name(raw)}":
                return Ref(_name(raw))
            raw = behind
        fault = self._fault(raw)
        if fault:
            raise refusals.value_error(owner, wire, fault)
        kind = self._kind(raw)
        if kind is Enum:
            return Choice(tuple(raw["enum"]))
        if raw.get("type") == "array":
            return ListOf(
                self._node(raw.get("items", {}), owner, wire, f"{within}[]"), _bounds(raw)
            )
        if kind is Record:
            name = owner + names.pascal(wire)
            if name in self._schemas or name in self.api.types:
                raise SchemaError(
                    f"{owner}.{wire}: its inline schema would get the name of the schema {name};"
                    " rename that schema in the schema file"
                )
            self._declare(name, raw, within)
            return Ref(name)
        if raw.get("type") == "object":
            return FreeForm()
        if "type" not in raw and "enum" not in raw:
            return Scalar("Any")
        if raw.get("format") in ("binary", "byte"):
            return Scalar("bytes" if raw["format"] == "byte" else "FileContent")
        return Scalar(
            _SCALARS[raw.get("type") or refusals.enum_type(raw)],
            _bounds(raw),
            raw.get("format") == "date-time",
        )

    def _operation(self, method: str, path: str, item: Raw) -> None:
        described = self._described(method, path, item)
        faults = list(refusals.operation_faults(described))
        if faults:
            raise SchemaError(*faults)
        raw = described.raw
        name: str = raw["operationId"]
        arguments, carries = self._arguments(name, described)
        operation = Operation(
            id=name,
            method=method,
            path=path,
            tag=raw["tags"][0],
            carries=carries,
            auth=refusals.AUTH[described.schemes[0]] if described.schemes else "NONE",
            arguments=arguments,
            answer=self._node(described.answer["application/json"]["schema"], name, "Answer", name),
            not_modified="304" in raw["responses"],
            deprecated=raw.get("deprecated", False),
        )
        self.api.operations.append(operation)

    def _described(self, method: str, path: str, item: Raw) -> refusals.Described:
        """Return an operation with resolved references and all parameters."""
        raw: Raw = item[method.lower()]
        parameters = {
            (found["name"], found["in"]): found
            for declared in (*item.get("parameters", ()), *raw.get("parameters", ()))
            for found in (self._behind(declared),)
        }
        security = raw.get("security", self._document.get("security", ()))
        return refusals.Described(
            method=method,
            path=path,
            raw=raw,
            parameters=tuple(parameters.values()),
            body=self._behind(raw.get("requestBody", {})).get("content", {}),
            answer=self._behind(raw.get("responses", {}).get("200", {})).get("content", {}),
            schemes=tuple(scheme for choice in security for scheme in choice),
        )

    def _arguments(self, operation: str, described: refusals.Described) -> tuple[Node | None, str]:
        """Return the arguments of an operation and their encoding: JSON, form or query string."""
        for content_type, content in described.body.items():
            carries = "FORM" if content_type.startswith("multipart/") else "JSON"
            return self._node(content["schema"], operation, "Form", operation), carries
        in_query = [p for p in described.parameters if p["in"] == "query"]
        if not in_query:
            return None, "QUERY_STRING"
        properties = {p["name"]: p["schema"] for p in in_query}
        required = [p["name"] for p in in_query if p.get("required")]
        raw = {"properties": properties, "required": required}
        return self._node(raw, operation, "Query", operation), "QUERY_STRING"


def _check_python_names(record: str, properties: tuple[Property, ...]) -> None:
    """Check that no two properties get the same Python name."""
    wires: dict[str, str] = {}
    for prop in properties:
        other = wires.setdefault(names.snake(prop.wire), prop.wire)
        if other != prop.wire:
            raise SchemaError(
                f"{record}: {other} and {prop.wire} have the same Python name; give one of them"
                " another name in corrections.NAMES"
            )


def _name(raw: Raw) -> str:
    return str(raw["$ref"]).rsplit("/", 1)[-1]


def _is_wrapped(raw: Raw) -> bool:
    """Return whether a schema is an `allOf` with one part.

    OpenAPI 3.0 uses this form to make a reference nullable.
    """
    return len(raw.get("allOf", ())) == 1 and not raw.get("properties")


def _bounds(raw: Raw) -> str:
    """Return the limits of a value in words, such as `2 to 3`, `at least 1` or `not empty`."""
    if raw.get("minLength") == 1 or raw.get("minItems") == 1:
        return "not empty"
    if "enum" in raw:
        return f"one of {', '.join(map(str, raw['enum']))}"
    low, high = raw.get("minimum"), raw.get("maximum")
    if not all(isinstance(limit, int | float | None) for limit in (low, high)):
        raise TypeError(f"the limits {low!r} and {high!r} are not numbers")
    if low is not None and high is not None:
        return f"{low} to {high}"
    return "" if low is None else f"at least {low}"
