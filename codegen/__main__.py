"""`python -m codegen --schema latest.json --history history.json`: write the generated packages."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import emit_api, emit_inputs, emit_models, emit_secrets, schema, writing
from .history import History

PACKAGE = Path(__file__).parent.parent / "src" / "cloudtower_async"


def generate(schema_file: Path, history_file: Path, package: Path) -> None:
    """Write `api`, `models`, `inputs` and `secret_fields.py` below `package`."""
    api = schema.load(schema_file)
    history = History.load(history_file)
    head = writing.header(api)
    writing.write(package / "models", emit_models.files(api, history), head)
    writing.write(package / "inputs", emit_inputs.files(api, history), head)
    writing.write(package / "api", emit_api.files(api, history), head)
    writing.write_module(package / "secret_fields.py", emit_secrets.module(api), head)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m codegen", description=__doc__)
    parser.add_argument("--schema", type=Path, required=True, help="an API schema (JSON)")
    parser.add_argument("--history", type=Path, required=True, help="since when each part exists")
    parser.add_argument("--package", type=Path, default=PACKAGE, help="where to write")
    given = parser.parse_args()
    generate(given.schema, given.history, given.package)


if __name__ == "__main__":
    main()
