"""Since which server version a thing exists, and whether every server sends it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .schema import Property, Record

FIRST = "3.0.0"


def newer(version: str, than: str) -> bool:
    """Whether one server version came after another."""
    return _parts(version) > _parts(than)


class History:
    """What `history.json` says; see the README beside the schemas for its form."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._operations: Mapping[str, Any] = document["operations"]
        self._schemas: Mapping[str, Any] = document["schemas"]

    @classmethod
    def load(cls, path: Path) -> History:
        """Read the history file at `path`."""
        return cls(json.loads(path.read_bytes()))

    def operation_since(self, operation_id: str) -> str:
        """The first server version that has this operation."""
        return str(self._operations[operation_id]["since"])

    def schema_since(self, within: str) -> str:
        """The first server version that has this schema, operation, or dotted way to a property."""
        name, _, path = within.partition(".")
        found: Mapping[str, Any] = self._schemas.get(name, self._operations.get(name, {}))
        if path:
            found = found.get("properties", {}).get(path.removesuffix("[]"), {})
        return str(found.get("since", FIRST))

    def value_since(self, enum: str, value: str) -> str:
        """The first server version that has this enum value."""
        return str(self._schemas[enum]["values"][value]["since"])

    def property_since(self, record: Record, prop: Property) -> str:
        """The first server version that has this property."""
        return str(self._property(record, prop).get("since", self.schema_since(record.within)))

    def removed(self, schema: str) -> set[str]:
        """The properties of a schema that older servers have, and newer ones have no more."""
        found: Mapping[str, Any] = self._schemas.get(schema, {}).get("properties", {})
        return {path for path, said in found.items() if said.get("removed")}

    def always_sent(self, record: Record, prop: Property) -> bool:
        """Whether each server that has the record sends this property, and never null."""
        if not prop.required or prop.nullable:
            return False
        # A record of which history says nothing: an answer that is written in place.
        required_since = self._property(record, prop).get("required_since")
        return bool(required_since == self.schema_since(record.within))

    def _property(self, record: Record, prop: Property) -> Mapping[str, Any]:
        schema, _, path = f"{record.within}.{prop.wire}".partition(".")
        found: Mapping[str, Any] = self._schemas.get(schema, {}).get("properties", {}).get(path, {})
        return found


def _parts(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
