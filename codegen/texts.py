"""Documentation of fields and operations: `codegen/texts/*.toml`, written for this project.

- A table named after a schema, such as `[Vm]`, holds the text of each field.
- `[fields]` holds texts for fields by name. These texts are used for schemas whose own table has no
  text for the field.
- `[operations]` holds the text of each operation, by its path without the leading slash.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from .refusals import SchemaError
from .schema import Api, Operation, Property, Record

_COMMON, _OPERATIONS = "fields", "operations"
# The generator puts a text on one line between triple quotes, and may put other sentences behind
# it. So a text must not contain triple quotes or escapes, and must end with a period.
_SENTENCES = re.compile(r'(?:(?!""")[^\\\x00-\x1f\x7f])*[.)]')


class Texts:
    """Documentation texts by schema and field, or by operation."""

    def __init__(self, tables: Mapping[str, Mapping[str, str]]) -> None:
        self._tables = tables

    @classmethod
    def load(cls, folder: Path, api: Api | None) -> Texts:
        """Read the files in `folder`, and check that the API has all keys of the files.

        If `api` is None, the keys are not checked.

        :raises SchemaError: if keys or texts are wrong. The message names the file and the key.
        """
        tables: dict[str, dict[str, str]] = {}
        faults: list[str] = []
        for file in sorted(folder.glob("*.toml")):
            place = f"{folder.name}/{file.name}"
            try:
                document = tomllib.loads(file.read_text(encoding="utf-8"))
            except ValueError as error:
                raise SchemaError(f"{place}: it cannot be read as TOML: {error}") from error
            for name, table in document.items():
                known = tables.setdefault(name, {})
                faults += (f"{place}: {fault}" for fault in _faults(name, table, known, api))
                known |= table if isinstance(table, dict) else {}
        if faults:
            raise SchemaError(*faults)
        return cls(tables)

    def own(self, record: Record, prop: Property) -> str:
        """Return the text of a field from the table of its record, or an empty string."""
        return self._tables.get(record.name, {}).get(prop.wire, "")

    def field(self, record: Record, prop: Property) -> str:
        """Return the text of a field, or an empty string.

        If the table of its record has no text for the field, look in `[fields]`.
        """
        return self.own(record, prop) or self._tables.get(_COMMON, {}).get(prop.wire, "")

    def operation(self, operation: Operation) -> str:
        """Return the text of an operation, or an empty string."""
        return self._tables.get(_OPERATIONS, {}).get(operation.path[1:], "")


def _faults(name: str, table: Any, known: Mapping[str, str], api: Api | None) -> Iterator[str]:  # noqa: ANN401 - TOML
    if not isinstance(table, dict):
        yield f"`{name}` is in no table; put it below the name of its schema"
        return
    texts = cast("dict[str, object]", table)
    allowed = None if api is None else _keys(name, api)
    if not allowed and allowed is not None:
        yield f"[{name}]: the API has no schema of this name with fields; correct or remove it"
        return
    for key, text in texts.items():
        if allowed is not None and key not in allowed:
            what = "operation" if name == _OPERATIONS else "field"
            yield f"[{name}] {key}: the API has no such {what}; correct or remove it"
        elif key in known:
            yield f"[{name}] {key}: another file also has a text for it; remove one"
        elif not isinstance(text, str) or not _SENTENCES.fullmatch(text):
            yield (
                f"[{name}] {key}: write whole sentences on one line, without backslashes and"
                " triple quotes"
            )


def _keys(table: str, api: Api) -> set[str]:
    """Return the possible keys of a table: paths of operations, or names of fields."""
    if table == _OPERATIONS:
        return {operation.path[1:] for operation in api.operations}
    records = [kind for kind in api.types.values() if isinstance(kind, Record)]
    if table != _COMMON:
        records = [record for record in records if record.name == table]
    return {prop.wire for record in records for prop in record.properties}
