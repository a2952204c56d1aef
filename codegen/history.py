"""History of the API: the server version that introduced each part of the API.

`history.json` is sorted and has one entry per line. It has these tables:

- `versions`: the server versions whose schemas were read.
- `sources`: the origin of these schemas.
- `operations`: the `path` of each operation. If the arguments of an operation are a form or a query
  string, the operation also has `properties`.
- `schemas`: the `properties` of each schema, and the `values` of each enum. The key of a nested
  property is a dotted path, with `[]` for a list.

Operations, schemas, properties and values can have these keys:

- `since`: the first server version that has the entry.
- `removed`: the first server version that no longer has the entry.
- `required_since`: since this server version, servers always send the property and never null.
"""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from .refusals import SchemaError
from .schema import Api, Enum, Property, Record, closure, refs

FIRST = "3.0.0"
FILE = Path(__file__).parent / "history.json"

# A table of the history. The keys are the names of the entries.
_Table = dict[str, dict[str, Any]]


def newer(version: str, than: str) -> bool:
    """Return whether one server version is newer than another."""
    return _parts(version) > _parts(than)


class History:
    """Contents of `history.json`."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._operations: Mapping[str, Any] = document["operations"]
        self._schemas: Mapping[str, Any] = document["schemas"]

    @classmethod
    def load(cls, path: Path) -> History:
        """Read the history file at `path`."""
        return cls(json.loads(path.read_bytes()))

    def save(self, path: Path) -> None:
        """Write the history file with one entry per line, so that diffs are readable."""
        path.write_text(f"{_text(self._document)}\n", encoding="utf-8")

    @property
    def newest(self) -> str:
        """The newest server version in the history."""
        return str(max(self._document["versions"], key=_parts))

    def extended(self, api: Api) -> History:
        """Return a copy of the history with the contents of a schema.

        Parts that the history lacks are marked as new in the schema's version. Parts that the
        schema lacks are marked as removed, unless the schema's version is older than the newest
        version in the history.
        """
        document = copy.deepcopy({**self._document})
        older = newer(self.newest, api.server)
        if not older:
            document["versions"] = sorted({*document["versions"], api.server}, key=_parts)
            document.setdefault("sources", {}).setdefault(api.server, "schema of a Tower")
        extension = _Extension(api.server, older=older)
        extension.operations(document["operations"], api)
        extension.schemas(document["schemas"], api)
        return History(document)

    def check_removals(self, api: Api) -> None:
        """Check that the schema has every operation that the package already has.

        :raises SchemaError: if the schema is older than the newest version or lacks operations.
        """
        kept = {name for name, said in self._operations.items() if not said.get("removed")}
        lacking = sorted(kept - {operation.id for operation in api.operations})
        if not lacking and not newer(self.newest, api.server):
            return
        some = ", ".join(lacking[:3])
        lacks = f" and lacks {len(lacking)} operations ({some}, …)" if lacking else ""
        raise SchemaError(
            f"the schema is of CloudTower {api.server}{lacks}; the history reaches {self.newest},"
            " and the simulator and the recipes rely on all of that: generate from the newest"
            " schema, or into another folder: --allow-removals --package FOLDER"
        )

    def operations(self) -> set[str]:
        """Return the ids of all operations, including removed operations."""
        return set(self._operations)

    def operation_since(self, operation_id: str) -> str:
        """Return the first server version with this operation."""
        return str(self._operations[operation_id]["since"])

    def schema_since(self, within: str) -> str:
        """Return the first server version with this schema, operation or property."""
        name, _, path = within.partition(".")
        found = self._entry(name)
        if path:
            found = found.get("properties", {}).get(path.removesuffix("[]"), {})
        return str(found.get("since", FIRST))

    def value_since(self, enum: str, value: str) -> str:
        """Return the first server version with this enum value."""
        return str(self._schemas[enum]["values"][value]["since"])

    def property_since(self, record: Record, prop: Property) -> str:
        """Return the first server version with this property."""
        return str(self._property(record, prop).get("since", self.schema_since(record.within)))

    def removed(self, schema: str) -> set[str]:
        """Return the properties of a schema that newer servers no longer have."""
        found: Mapping[str, Any] = self._schemas.get(schema, {}).get("properties", {})
        return {path for path, said in found.items() if said.get("removed")}

    def always_sent(self, record: Record, prop: Property) -> bool:
        """Return whether servers that have this record always send this property, never as null."""
        if not prop.required or prop.nullable:
            return False
        # The record is an inline answer, which has no history.
        required_since = self._property(record, prop).get("required_since")
        return bool(required_since == self.schema_since(record.within))

    def _property(self, record: Record, prop: Property) -> Mapping[str, Any]:
        schema, _, path = f"{record.within}.{prop.wire}".partition(".")
        found: Mapping[str, Any] = self._entry(schema).get("properties", {}).get(path, {})
        return found

    def _entry(self, name: str) -> Mapping[str, Any]:
        """Return the entry of a schema, or of an operation whose arguments are inline."""
        found: Mapping[str, Any] = self._schemas.get(name, self._operations.get(name, {}))
        return found


class _Extension:
    """Adds a server version to the tables of a history."""

    def __init__(self, version: str, *, older: bool) -> None:
        self._version = version
        self._older = older

    def operations(self, table: _Table, api: Api) -> None:
        self._enter(table, (operation.id for operation in api.operations))
        written_in = _paths(kind for kind in api.types.values() if isinstance(kind, Record))
        for operation in api.operations:
            entry = table[operation.id]
            entry["path"] = operation.path
            if not written_in[operation.id]:
                continue
            kinds = map(api.types.get, closure(api, refs(operation.arguments)))
            in_place = _paths(kind for kind in kinds if isinstance(kind, Record))[operation.id]
            if in_place:
                # If the operation has no properties yet, they are as old as the operation.
                since = self._version if "properties" in entry else entry["since"]
                self._enter(entry.setdefault("properties", {}), in_place, since)

    def schemas(self, table: _Table, api: Api) -> None:
        self._enter(table, api.schemas)
        records = _paths(kind for kind in api.types.values() if isinstance(kind, Record))
        for name, entry in table.items():
            kind = api.types.get(name)
            if isinstance(kind, Enum):
                self._enter(entry.setdefault("values", {}), kind.values)
            elif "values" in entry:
                self._enter(entry["values"], ())
            self._properties(entry.setdefault("properties", {}), records[name])

    def _properties(self, table: _Table, found: Mapping[str, Property]) -> None:
        absent = {path for path, said in table.items() if said.get("removed")}
        self._enter(table, found)
        for path, prop in found.items():
            said = table[path]
            if self._older:
                continue  # newer servers may omit this property
            if not prop.required or prop.nullable:
                said.pop("required_since", None)
            elif path in absent or not said.get("required_since"):
                said["required_since"] = self._version

    def _enter(self, table: _Table, found: Iterable[str], since: str = "") -> None:
        """Add entries for new parts, and mark the parts that the schema lacks as removed."""
        present = set(found)
        for name in present:
            table.setdefault(name, {"since": since or self._version})
        for name, said in table.items() if not self._older else ():
            if name in present:
                said.pop("removed", None)
            elif not said.get("removed"):
                said["removed"] = self._version


def _paths(records: Iterable[Record]) -> defaultdict[str, dict[str, Property]]:
    """Return all properties, by the schema or operation that contains them, and by path."""
    found: defaultdict[str, dict[str, Property]] = defaultdict(dict)
    for record in records:
        for prop in record.properties:
            owner, _, path = f"{record.within}.{prop.wire}".partition(".")
            found[owner][path] = prop
    return found


def _text(value: object, margin: str = "\n") -> str:
    """Return a value as JSON. An object without nested objects is on one line."""
    parts = cast("dict[str, object]", value if isinstance(value, dict) else {})
    if not any(isinstance(part, dict) for part in parts.values()):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    inner = f"{margin} "
    rows = ",".join(f"{inner}{json.dumps(k)}: {_text(v, inner)}" for k, v in sorted(parts.items()))
    return f"{{{rows}{margin}}}"


def _parts(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
