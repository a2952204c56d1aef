"""Definitions of public names, found in the source of the package.

The code is parsed, not imported, because some modules need an extra.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import zip_longest
from typing import NamedTuple

from .conflicts import PACKAGE

ROOT = "cloudtower_async"

Function = ast.FunctionDef | ast.AsyncFunctionDef
Node = ast.ClassDef | Function | ast.AnnAssign | ast.Assign


class Definition(NamedTuple):
    """Where and how a name is defined."""

    module: str
    nodes: list[Node]
    """One, or the overloads of a function."""
    docstring: str


@cache
def _body(module: str) -> list[ast.stmt]:
    """Return the statements of a module, with those for type checkers."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not module.startswith(ROOT) or not file.exists():
        return []
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [
        inner for node in tree.body for inner in (node.body if isinstance(node, ast.If) else [node])
    ]


def _absolute(module: str, imported: ast.ImportFrom) -> str:
    """Return the module that is imported from."""
    if not imported.level:
        return imported.module or ""
    is_package = PACKAGE.joinpath(*module.split(".")[1:]).is_dir()
    parts = module.split(".")
    parts = parts[: len(parts) - imported.level + is_package]
    return ".".join([*parts, *filter(None, [imported.module])])


@cache
def find(module: str, name: str) -> Definition | None:
    """Return the definition of a name, following imports; None if it is outside the package."""
    owner, _, member = name.rpartition(".")
    if owner:
        found = find(module, owner)
        assert found
        [outer] = found.nodes
        assert isinstance(outer, ast.ClassDef)
        return _defined(found.module, outer.body, member)
    for node in _body(module):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return find(_absolute(module, node), alias.name)
    return _defined(module, _body(module), name)


def _defined(module: str, body: list[ast.stmt], name: str) -> Definition | None:
    nodes: list[Node] = []
    docstring = ""
    for node, below in zip_longest(body, body[1:]):
        if not isinstance(node, Node) or name_of(node) != name:
            continue
        if isinstance(node, Function) and any(
            isinstance(one, ast.Attribute) for one in node.decorator_list
        ):
            continue  # the setter of a property
        nodes.append(node)
        if isinstance(node, ast.ClassDef | Function):
            docstring = ast.get_docstring(node) or docstring
        else:
            docstring = docstring_below(below) or docstring
    if overloads := [one for one in nodes if "overload" in decorators(one)]:
        nodes = overloads
    return Definition(module, nodes[:1] if not overloads else nodes, docstring) if nodes else None


def name_of(node: Node) -> str:
    """Return the name that is defined; an empty text if it is not a plain name."""
    match node:
        case ast.AnnAssign(ast.Name(name)) | ast.Assign([ast.Name(name)]):
            return name
        case ast.ClassDef(name) | ast.FunctionDef(name) | ast.AsyncFunctionDef(name):
            return name
        case _:
            return ""


def docstring_below(node: ast.stmt | None) -> str:
    """Return the text of a docstring below a definition, or an empty text."""
    match node:
        case ast.Expr(ast.Constant(str(text))):
            first, _, rest = text.partition("\n")
            return "\n".join([first, *(line.strip() for line in rest.splitlines())])
        case _:
            return ""


def decorators(node: ast.stmt) -> list[str]:
    """Return the names of decorators, without their arguments."""
    listed = node.decorator_list if isinstance(node, ast.ClassDef | Function) else []
    return [ast.unparse(one.func if isinstance(one, ast.Call) else one) for one in listed]


@cache
def imported_as(module: str, path: str) -> str:
    """Return the module that a prefix such as `sources.` stands for; no prefix: the module itself.

    An empty text if the prefix is not imported from the package.
    """
    name = path.rstrip(".")
    if not name:
        return module
    for node in _body(module):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return f"{_absolute(module, node)}.{alias.name}"
    return ""


def ancestors(definition: Definition) -> Iterator[str]:
    """Yield the names of all bases of a class."""
    node = definition.nodes[0]
    for one in node.bases if isinstance(node, ast.ClassDef) else []:
        name = re.sub(r"\[.*", "", ast.unparse(one))
        yield name
        found = None if "." in name else find(definition.module, name)
        if found:
            yield from ancestors(found)


def is_record(definition: Definition) -> bool:
    """Return whether the annotations of a class are the arguments that it is made with."""
    made = {"msgspec.Struct", "NamedTuple"} & {*ancestors(definition)}
    return bool(made) or "dataclass" in decorators(definition.nodes[0])


def constructor(node: ast.ClassDef) -> ast.FunctionDef | None:
    """Return the `__init__` that a class defines itself."""
    for one in node.body:
        if isinstance(one, ast.FunctionDef) and one.name == "__init__":
            return one
    return None


def all_arguments(node: Function) -> list[ast.arg]:
    """Return the arguments of a function, without `*args` and `**kwargs`."""
    taken = node.args
    return [*taken.posonlyargs, *taken.args, *taken.kwonlyargs]
