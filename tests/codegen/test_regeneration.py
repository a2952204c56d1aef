"""The generated code is what the generator makes of the API schema: nobody edited it."""

from __future__ import annotations

import filecmp
from pathlib import Path

import pytest

from codegen.__main__ import PACKAGE, generate

_SPECS = Path(__file__).parents[3] / "shared" / "specs"


@pytest.mark.skipif(
    not _SPECS.is_dir(),
    reason="the API schemas are not here; a Tower's API site serves them",
)
def test_generating_from_the_schema_makes_no_difference(tmp_path: Path) -> None:
    generate(_SPECS / "latest.json", _SPECS / "history.json", tmp_path)
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
        assert len(made) > 90
    secret_fields = "secret_fields.py"
    assert filecmp.cmp(tmp_path / secret_fields, PACKAGE / secret_fields, shallow=False)
