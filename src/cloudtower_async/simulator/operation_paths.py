"""Error message about an unknown path of an operation. A valid path is ``get-vms``."""

from __future__ import annotations

from ..api.catalogue import OPERATIONS
from ..spelling import did_you_mean


def unknown_path(path: str) -> str:
    """Return an error message about an unknown path. The message suggests a similar path."""
    method = path.rpartition(".")[2].replace("-", "_")
    hint = did_you_mean(path, (known.lstrip("/") for known in OPERATIONS))
    for known, name in OPERATIONS.items():
        if name.rpartition(".")[2] == method:
            hint = f"; the path of `{name}` is {known.lstrip('/')!r}"
    return f"{path}: no operation has this path{hint}"
