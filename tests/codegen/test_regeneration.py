"""The generated code and the history match the API schema."""

from __future__ import annotations

import filecmp
import json
from typing import TYPE_CHECKING

import pytest

from codegen import extend_history, history
from codegen.__main__ import PACKAGE, generate, make
from codegen.refusals import SchemaError
from tests.api.from_schema import ABSENT, SPECS, VERSIONS
from tests.support import THOROUGH

from .test_extend_history import without_newest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not SPECS.is_dir(), reason=ABSENT)


@pytest.mark.subprocess
@pytest.mark.timeout(600)  # generates all code, which takes a minute beside other work
def test_generating_from_the_schema_makes_no_difference(tmp_path: Path) -> None:
    generate(SPECS / "latest.json", history.FILE, tmp_path)
    for folder in ("api", "inputs", "models"):
        made, committed = (
            {
                str(file.relative_to(package))
                for pattern in ("*.py", "*.pyi")
                for file in (package / folder).rglob(pattern)
            }
            for package in (tmp_path, PACKAGE)
        )
        assert made == committed
        _, different, errors = filecmp.cmpfiles(tmp_path, PACKAGE, made, shallow=False)
        assert (different, errors) == ([], [])
        assert len(made) > 70
    for module in ("secret_fields.py", "date_fields.py"):
        assert filecmp.cmp(tmp_path / module, PACKAGE / module, shallow=False)


def test_the_newest_version_can_be_added_to_the_history_again(tmp_path: Path) -> None:
    older = without_newest(json.loads(history.FILE.read_bytes()))
    known = tmp_path / "history.json"
    known.write_text(json.dumps(older))
    said = extend_history.extend(SPECS / "latest.json", known)
    assert "4 new operations" in said
    made, committed = (json.loads(file.read_bytes()) for file in (known, history.FILE))
    made["sources"] = committed["sources"]  # schemas do not say where they come from
    assert made == committed


# Two operations of this server have one operationId.
_REFUSED = {"4.0.0": "POST /create-role has the same operationId `CreateRole`"}


# `latest` is generated above; each other version takes seconds.
_QUICK = ("3.0.0", "4.0.0", "none")


@pytest.mark.parametrize(
    "version", [version for version in VERSIONS if THOROUGH or version in _QUICK]
)
def test_the_schema_of_every_version_is_taken_or_refused(version: str) -> None:
    schema_file = SPECS / f"{version}.json"
    if version in _REFUSED:
        with pytest.raises(SchemaError, match=_REFUSED[version]):
            make(schema_file, history.FILE, allow_removals=True)
    else:
        made = make(schema_file, history.FILE, allow_removals=True)
        assert len(made.packages["api"]) > 90
        assert made.history.newest == "4.9.0"
