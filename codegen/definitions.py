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
    """The module, source code and docstring of a definition."""

    module: str
    nodes: list[Node]
    """The node of the definition. A function with overloads has one node for each overload."""
    docstring: str


@cache
def _body(module: str) -> list[ast.stmt]:
    """Return the statements of a module, including statements in `if TYPE_CHECKING:` blocks."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not module.startswith(ROOT) or not file.exists():
        return []
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [
        inner for node in tree.body for inner in (node.body if isinstance(node, ast.If) else [node])
    ]


def _absolute(module: str, imported: ast.ImportFrom) -> str:
    """Return the absolute name of the module from which a statement imports."""
    if not imported.level:
        return imported.module or ""
    is_package = PACKAGE.joinpath(*module.split(".")[1:]).is_dir()
    parts = module.split(".")
    parts = parts[: len(parts) - imported.level + is_package]
    return ".".join([*parts, *filter(None, [imported.module])])


@cache
def find(module: str, name: str) -> Definition | None:
    """Return the definition of a name, or None if the package does not define the name.

    If `module` imports the name, the definition in the other module is returned.
    """
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
    """Return the name that a node defines.

    For an assignment to something other than a single name, return an empty string.
    """
    match node:
        case ast.AnnAssign(ast.Name(name)) | ast.Assign([ast.Name(name)]):
            return name
        case ast.ClassDef(name) | ast.FunctionDef(name) | ast.AsyncFunctionDef(name):
            return name
        case _:
            return ""


def docstring_below(node: ast.stmt | None) -> str:
    """Return the text of a statement that is a docstring, or an empty string."""
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
    """Return the module that a prefix such as `sources.` stands for.

    An empty prefix stands for `module`. The result is an empty string if the prefix is not imported
    from the package.
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
    """Return whether the fields of a class are the arguments of its constructor."""
    made = {"msgspec.Struct", "NamedTuple"} & {*ancestors(definition)}
    return bool(made) or "dataclass" in decorators(definition.nodes[0])


def is_keyword_only(definition: Definition) -> bool:
    """Return whether a record declares that its constructor takes no positional arguments."""
    node = definition.nodes[0]
    assert isinstance(node, ast.ClassDef)
    calls = [one for one in node.decorator_list if isinstance(one, ast.Call)]
    declared = [*node.keywords, *(keyword for call in calls for keyword in call.keywords)]
    return any(one.arg == "kw_only" and ast.unparse(one.value) == "True" for one in declared)


def constructor(node: ast.ClassDef) -> ast.FunctionDef | None:
    """Return the `__init__` of a class, or None if the class does not define `__init__` itself."""
    for one in node.body:
        if isinstance(one, ast.FunctionDef) and one.name == "__init__":
            return one
    return None


def all_arguments(node: Function) -> list[ast.arg]:
    """Return the arguments of a function, without `*args` and `**kwargs`."""
    taken = node.args
    return [*taken.posonlyargs, *taken.args, *taken.kwonlyargs]
