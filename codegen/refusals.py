"""Constructs of a schema that the generator rejects: tables of tests and error messages.

Conflicting names are checked in `conflicts`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, cast

Raw = Mapping[str, Any]

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
AUTH = {"Authorization": "TOKEN", "Basic": "BASIC"}
TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}
# Names of headers that every method accepts, or that the session sends.
_HEADERS = ("content-language", "external-cloudtower-id", "authorization", "content-type", "accept")
_CONTENT = ("application/json", "multipart/form-data")


class SchemaError(ValueError):
    """The generator cannot use the schema. The message has one line per reason."""

    def __init__(self, *reasons: str) -> None:
        self.reasons = tuple(map(_printable, reasons))
        super().__init__("\n".join(self.reasons))


def _printable(text: str) -> str:
    """Escape line breaks and other control characters in a text from a schema."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class Described(NamedTuple):
    """An operation as the schema describes it, with references resolved."""

    method: str
    path: str
    raw: Raw
    parameters: tuple[Raw, ...]
    body: Raw
    """Schema of the body, by content type."""
    answer: Raw
    """Schema of the answer with status 200, by content type."""
    schemes: tuple[str, ...]

    def required(self, *places: str) -> list[str]:
        """Return the names of required parameters in these locations."""
        return [p["name"] for p in self.parameters if p["in"] in places and p.get("required")]


_LEAVE_OUT = 'or leave it out: add "{operation.method} {operation.path}" to corrections.LEFT_OUT'
_OPERATIONS: tuple[tuple[Callable[[Described], object], str], ...] = (
    (lambda op: "{" in op.path, "path parameters are not supported; send them in the query"),
    (
        lambda op: [n for n in op.required("header") if n.lower() not in _HEADERS],
        "the required header {found} is not supported",
    ),
    (lambda op: op.required("cookie"), "the required cookie {found} is not supported"),
    (lambda op: not _is_text(op.raw.get("operationId")), "it has no operationId; add one"),
    (
        lambda op: not _is_text(next(iter(op.raw.get("tags") or ()), None)),
        "it has no tag, so no namespace; add one",
    ),
    (
        lambda op: op.body and any(p["in"] == "query" for p in op.parameters),
        "it takes both a body and query parameters, which is not supported",
    ),
    (
        lambda op: [t for t in op.body if t not in _CONTENT] if op.body else [],
        f"its body is {{found}}; only {' and '.join(_CONTENT)} are supported",
    ),
    (
        lambda op: "application/json" not in op.answer,
        "it has no JSON answer with status 200; describe that answer",
    ),
    (
        lambda op: [s for s in op.schemes if s not in AUTH],
        f"it requires the unknown authentication {{found}}; known are {' and '.join(AUTH)}",
    ),
)

_CORRECT = 'give its type in corrections.SCALARS: ("{owner}", "{wire}"): "Any"'
_VALUES: tuple[tuple[Callable[[Raw], object], str], ...] = (
    (lambda raw: [k for k in ("oneOf", "anyOf", "not") if k in raw], "{found} is not supported"),
    (
        lambda raw: (
            raw.get("additionalProperties")
            and (raw.get("properties") or raw["additionalProperties"] not in (True, {}))
        ),
        "additionalProperties with a type or next to properties are not supported",
    ),
    (
        lambda raw: isinstance(raw.get("type"), list) and raw["type"],
        "the types {found} are not supported, only one type and null",
    ),
    (
        lambda raw: raw.get("type") not in (None, "array", "object", *TYPES) and raw["type"],
        "the type {found} is not known",
    ),
    (lambda raw: "enum" in raw and not raw["enum"], "its enum is empty"),
    (
        lambda raw: "enum" in raw and not enum_type(raw),
        "its enum values have different types, or not the declared type",
    ),
)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def enum_type(raw: Raw) -> str:
    """Return the type of the values of an enum.

    If the values have different types, or a type other than the declared type, return an empty
    string.
    """
    for name, kind in TYPES.items():
        if raw.get("type") in (None, name) and all(
            isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
            for value in raw["enum"]
        ):
            return name
    return ""


def operation_faults(operation: Described) -> Iterable[str]:
    """Return an error message with a remedy for each fault of an operation."""
    for applies, reason in _OPERATIONS:
        found = applies(operation)
        if found:
            said = f"{reason}, {_LEAVE_OUT}".format(found=_shown(found), operation=operation)
            yield f"{operation.method} {operation.path}: {said}"


def value_fault(raw: Raw) -> str:
    """Return an error message if the generator cannot handle the schema of a value, or `""`."""
    for applies, reason in _VALUES:
        found = applies(raw)
        if found:
            return reason.format(found=_shown(found))
    return ""


def value_error(owner: str, wire: str, fault: str) -> SchemaError:
    """Return the error for a property `wire` of a record `owner`, with a remedy."""
    return SchemaError(f"{owner}.{wire}: {fault}; {_CORRECT.format(owner=owner, wire=wire)}")


def document_fault(document: object) -> str:
    """Return an error message if a document is not an API schema, otherwise an empty string."""
    for way in (("info",), ("paths",), ("components", "schemas")):
        found: object = document
        for key in way:
            found = cast("Raw", found).get(key) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            return f"it is not an OpenAPI 3 schema: it has no {'.'.join(way)}"
    return ""


def is_version(text: object) -> bool:
    """Return whether a string is a server version, such as `4.9.0`."""
    return isinstance(text, str) and re.fullmatch(r"\d+(\.\d+)*", text, re.ASCII) is not None


def _shown(found: object) -> str:
    return ", ".join(f"`{one}`" for one in found) if isinstance(found, list) else f"`{found}`"  # pyright: ignore[reportUnknownVariableType]
