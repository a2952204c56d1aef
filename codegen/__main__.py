"""Write the generated packages from an API schema: `python -m codegen --schema FILE`."""

from __future__ import annotations

import argparse
import ast
import sys
from pathlib import Path
from typing import NamedTuple

from . import (
    conflicts,
    emit_api,
    emit_dates,
    emit_docs,
    emit_inputs,
    emit_models,
    emit_secrets,
    history,
    schema,
    writing,
)
from .history import History
from .refusals import SchemaError
from .texts import Texts

PACKAGE = conflicts.PACKAGE


class Generated(NamedTuple):
    """Generated code and the extended history, before they are written to files."""

    packages: dict[str, dict[str, str]]
    """The text of each file, by package and by path inside the package."""
    modules: dict[str, str]
    history: History
    """The history, extended by the version of the schema."""


def make(schema_file: Path, history_file: Path, *, allow_removals: bool = False) -> Generated:
    """Generate the text of `api`, `models`, `inputs`, `secret_fields.py` and `date_fields.py`.

    Documentation comes from the folder `texts` next to the history file.

    :raises SchemaError: if the schema cannot be used.
    """
    api = schema.load(schema_file)
    conflicts.check(api)
    emit_dates.mark(api)
    known = History.load(history_file)
    # The texts may describe fields that an older schema lacks, so the check is left out for older
    # schemas.
    texts = Texts.load(history_file.parent / "texts", None if allow_removals else api)
    if not allow_removals:
        known.check_removals(api)
    extended = known.extended(api)
    packages = {
        "models": emit_models.files(api, extended, texts),
        "inputs": emit_inputs.files(api, extended, texts),
        "api": emit_api.files(api, extended, texts),
    }
    modules = {
        "secret_fields.py": emit_secrets.module(api),
        "date_fields.py": emit_dates.module(api),
    }
    for folder, files in (*packages.items(), (".", modules)):
        for path, text in files.items():
            _check_syntax(f"{folder}/{path}", text)
    return Generated(packages, modules, extended)


def generate(
    schema_file: Path, history_file: Path, package: Path, *, allow_removals: bool = False
) -> History:
    """Write `api`, `models`, `inputs`, `secret_fields.py` and `date_fields.py` into `package`.

    Returns a copy of the history with the contents of the schema.

    :raises SchemaError: if the schema cannot be used. In this case, nothing is written.
    """
    made = make(schema_file, history_file, allow_removals=allow_removals)
    for name, files in made.packages.items():
        writing.write(package / name, files)
    for name, text in made.modules.items():
        writing.write_module(package / name, text)
    return made.history


def _check_syntax(path: str, text: str) -> None:
    """Check that the text of a module is valid Python, before any module is written."""
    try:
        ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise SchemaError(
            f"{path}: the generated code is not valid Python: {error}; look for the name in the"
            " schema, and correct it there or in codegen/corrections.py"
        ) from error


def main() -> int:
    """Run the command.

    Without `--history` and `--package`, also save the history and write the reference pages.
    """
    parser = argparse.ArgumentParser(prog="python -m codegen", description=__doc__)
    parser.add_argument("--schema", type=Path, required=True, help="an API schema (JSON)")
    parser.add_argument(
        "--history",
        type=Path,
        default=history.FILE,
        help="history of the API; the folder `texts` next to it has the documentation",
    )
    parser.add_argument("--package", type=Path, default=PACKAGE, help="where to write")
    parser.add_argument(
        "--allow-removals",
        action="store_true",
        help="accept a schema that is older than the newest or lacks operations",
    )
    given = parser.parse_args()
    try:
        extended = generate(
            given.schema, given.history, given.package, allow_removals=given.allow_removals
        )
    except SchemaError as error:
        print(error, file=sys.stderr)
        return 1
    if (given.history, given.package) == (history.FILE, PACKAGE):
        extended.save(history.FILE)
        emit_docs.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
