"""Documentation of fields, read from the source code of the installed package.

The documentation is in strings below the fields. Python does not keep these strings at run time, so
this module reads them from the source code with `ast`.
"""

from __future__ import annotations

import ast
import functools
import importlib
import re
from importlib.abc import InspectLoader
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_SINCE = re.compile(r"# since ([\d.]+)")


class FieldDoc(NamedTuple):
    """Documentation of a field, a key or a member of an enumeration.

    Attributes:
        text: The documentation, or an empty text if it is missing.
        since: First server version with the field. None means that the field is as old as its
            class.
    """

    text: str
    since: str | None


def field_docs(kind: type[Any]) -> Mapping[str, FieldDoc] | None:
    """Return the documentation of the fields of a generated class.

    Returns:
        The documentation by field name, or None if the source code is not installed.
    """
    classes = _documented(kind.__module__)
    return None if classes is None else classes.get(kind.__name__, {})


@functools.cache
def _documented(module: str) -> Mapping[str, Mapping[str, FieldDoc]] | None:
    """Return the documentation of all fields in a module, by class name and by field name.

    Return None if the source code is not installed.
    """
    source = _source(module)
    if source is None:
        return None
    lines = source.splitlines()
    return {
        node.name: _fields(node, lines)
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef)
    }


def _source(name: str) -> str | None:
    spec = importlib.import_module(name).__spec__
    if spec is None:
        return None
    try:
        if isinstance(spec.loader, InspectLoader):  # includes the loader of zip files
            return spec.loader.get_source(name)
        if spec.origin is not None and spec.origin.endswith(".py"):
            return Path(spec.origin).read_text(encoding="utf-8")
    except (ImportError, OSError):
        pass
    return None


def _fields(node: ast.ClassDef, lines: list[str]) -> dict[str, FieldDoc]:
    found: dict[str, FieldDoc] = {}
    last = ""
    for statement in node.body:
        target: ast.expr | None = None
        if isinstance(statement, ast.AnnAssign):
            target = statement.target
        elif isinstance(statement, ast.Assign):
            target = statement.targets[0]
        if isinstance(target, ast.Name):
            last = target.id
            text = "\n".join(lines[statement.lineno - 1 : statement.end_lineno])
            since = _SINCE.search(text)
            found[last] = FieldDoc("", since and since[1])
        elif last and isinstance(statement, ast.Expr):
            text = ast.literal_eval(statement.value)
            found[last] = found[last]._replace(text=str(text))
    return found
