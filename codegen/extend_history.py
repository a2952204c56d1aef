"""Add the server version of one schema to the history: `python -m codegen.extend_history`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import conflicts, history, schema, wording
from .history import History
from .refusals import SchemaError


def extend(schema_file: Path, history_file: Path) -> str:
    """Add the schema to the history file, and return a sentence that describes the new entries.

    :raises SchemaError: if the schema is older than the newest version in the history.
    """
    api = schema.load(schema_file)
    conflicts.check(api)
    known = History.load(history_file)
    if history.newer(known.newest, api.server):
        raise SchemaError(
            f"the schema is of CloudTower {api.server}, but the history reaches {known.newest}:"
            " add versions in ascending order"
        )
    extended = known.extended(api)
    extended.save(history_file)
    new = sorted(extended.operations() - known.operations())
    return f"CloudTower {api.server}: {wording.counted(len(new), 'new operation')} {new}"


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m codegen.extend_history", description=__doc__)
    parser.add_argument("--schema", type=Path, required=True, help="an API schema (JSON)")
    parser.add_argument(
        "--history", type=Path, default=history.FILE, help="history to extend (%(default)s)"
    )
    given = parser.parse_args()
    try:
        print(extend(given.schema, given.history))
    except SchemaError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
