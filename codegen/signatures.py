"""Signatures and fields as the reference shows them, with simplified types."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from .contents import places
from .definitions import (
    Definition,
    Function,
    Node,
    all_arguments,
    ancestors,
    constructor,
    decorators,
    docstring_below,
    find,
    imported_as,
    is_keyword_only,
    is_record,
    name_of,
)
from .docstrings import Docstring

_SHOWN_DECORATORS = {"property", "classmethod", "staticmethod", "overload"}
_CONTEXT_MANAGERS = {
    "contextmanager": "AbstractContextManager",
    "asynccontextmanager": "AbstractAsyncContextManager",
}
_EXTERNAL = ("aiohttp", "ssl", "msgspec")
"""Packages whose name is kept in types, such as `aiohttp.ClientSession`."""

_WIDTH = 88


def signature(module: str, node: Node, docstring: Docstring) -> Iterator[str]:
    """Yield the lines of the signature of a class, a function or another definition."""
    match node:
        case ast.ClassDef():
            made = constructor(node)
            definition = Definition(module, [node], "")
            if docstring.items("Args") and made:
                yield from _call(f"class {node.name}", _arguments(module, made), "")
            elif docstring.items("Args") and is_record(definition):
                fields = fields_of(definition, docstring)
                listed = [_declared(one.name, one.kind, one.default) for one in fields]
                star = ["*"] if is_keyword_only(definition) else []
                yield from _call(f"class {node.name}", [*star, *listed], "")
            else:
                bases = ", ".join(_public_bases(module, node))
                yield f"class {node.name}({bases})" if bases else f"class {node.name}"
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            returns = short_type(module, node.returns)
            shown = decorators(node)
            yield from (f"@{one}" for one in shown if one in _SHOWN_DECORATORS)
            if "property" in shown:
                yield f"{node.name}: {returns}"
                return
            word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
            for one in shown:
                if manager := _CONTEXT_MANAGERS.get(one.rpartition(".")[2]):
                    word = "def"
                    returns = re.sub(r"^\w+\[(.*?)(, None)*\]$", rf"{manager}[\1]", returns)
            yield from _call(f"{word} {node.name}", _arguments(module, node), returns)
        case ast.AnnAssign(annotation=annotation, value=value):
            if ast.unparse(annotation) == "TypeAlias" and value:
                yield from f"{name_of(node)} = {_alias_text(module, value)}".splitlines()
            else:
                yield f"{name_of(node)}: {short_type(module, annotation)}"
        case ast.Assign():
            yield name_of(node)


def _call(start: str, arguments: list[str], returns: str) -> Iterator[str]:
    tail = f" -> {returns}" if returns else ""
    line = f"{start}({', '.join(arguments)}){tail}"
    if len(line) <= _WIDTH:
        yield line
        return
    yield f"{start}("
    for one in arguments:
        yield f"    {one},"
    yield f"){tail}"


def _arguments(module: str, node: Function) -> list[str]:
    taken = node.args
    plain = [*taken.posonlyargs, *taken.args]
    defaults = [None] * (len(plain) - len(taken.defaults)) + taken.defaults
    listed = [
        _argument(module, one, default)
        for one, default in zip(plain, defaults, strict=True)
        if one.arg not in ("self", "cls")
    ]
    if taken.vararg:
        listed.append(f"*{_argument(module, taken.vararg, None)}")
    elif taken.kwonlyargs:
        listed.append("*")
    pairs = zip(taken.kwonlyargs, taken.kw_defaults, strict=True)
    listed += [_argument(module, one, default) for one, default in pairs]
    if taken.kwarg:
        listed.append(f"**{_argument(module, taken.kwarg, None)}")
    return listed


def _argument(module: str, one: ast.arg, default: ast.expr | None) -> str:
    kind = short_type(module, one.annotation) if one.annotation else ""
    if default is None:
        return _declared(one.arg, kind, "")
    shown = _default(module, default) or _double_quoted(ast.unparse(default))
    return _declared(one.arg, kind, shown)


def _declared(name: str, kind: str, default: str) -> str:
    """Return the code of an argument."""
    named = f"{name}: {kind}" if kind else name
    return f"{named} = {default}" if default else named


def short_type(module: str, annotation: ast.expr | None) -> str:
    """Return the code of a type, without the names of modules.

    An alias that has no entry in the reference is replaced by its type.
    """
    if annotation is None:
        return "None"
    text = ast.unparse(annotation)
    if "Literal" not in text:
        text = re.sub(r"'((?:\w+\.)*[A-Z][^']*)'", r"\1", text)

    def shorter(found: re.Match[str]) -> str:
        path, name = found[1], found[2]
        if path.startswith(_EXTERNAL):
            return found[0]
        return _alias(imported_as(module, path), name) or name

    names = r"(?<![\w.'\"])((?:\w+\.)*)(_?[A-Z]\w*)\b(?!['\"])"
    return _double_quoted(re.sub(names, shorter, text))


@cache
def _alias(module: str, name: str) -> str | None:
    """Return the type of an alias. For other types and for documented aliases, return None."""
    if name in places():
        return None
    found = find(module, name) if module else None
    match found.nodes if found else []:
        case [ast.AnnAssign(annotation=ast.Name("TypeAlias"), value=ast.expr() as value)]:
            return _alias_text(found.module if found else module, value)
        case _:
            return None


def _alias_text(module: str, value: ast.expr) -> str:
    if isinstance(value, ast.Constant):
        value = ast.parse(str(value.value), mode="eval").body
    return short_type(module, value)


def _public_bases(module: str, node: ast.ClassDef) -> Iterator[str]:
    """Yield the public bases of a class. A private base is replaced by the bases of that base."""
    for one in node.bases:
        text = short_type(module, one)
        name = re.sub(r"\[.*", "", text)
        if name == "Generic":
            continue
        found = find(module, name) if name.startswith("_") else None
        if found and isinstance(found.nodes[0], ast.ClassDef):
            yield from _public_bases(found.module, found.nodes[0])
        else:
            yield text


class Field(NamedTuple):
    """Field or attribute of a class, or an option."""

    name: str
    kind: str = ""
    default: str = ""
    text: str = ""


def fields_of(definition: Definition, docstring: Docstring) -> list[Field]:
    """Return the fields and documented attributes of a class."""
    [node] = definition.nodes
    assert isinstance(node, ast.ClassDef)
    module = definition.module
    texts = {**docstring.items("Args"), **docstring.items("Attributes")}
    keyed = is_record(definition) or "TypedDict" in ancestors(definition)
    found: dict[str, Field] = {}
    for one, below in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(one, ast.AnnAssign) and "ClassVar" not in ast.unparse(one.annotation):
            name = ast.unparse(one.target)
            text = docstring_below(below) or texts.get(name, "")
            default = _default(module, one.value) if one.value else ""
            kind = short_type(module, one.annotation)
            if not name.startswith("_") and (text or keyed):
                found[name] = Field(name, kind, default, text)
    set_ = _set_in_constructor(module, node)
    for name, text in docstring.items("Attributes").items():
        if name not in found:
            found[name] = Field(name, set_.get(name, ""), "", text)
    return [*found.values()]


def _default(module: str, value: ast.expr) -> str:
    """Return the code of a default. A constant such as `MAX_SIZE` is replaced by its value.

    For a call, return an empty string.
    """
    match value:
        case ast.Call():
            return ""
        case ast.Constant(int(number)) if not isinstance(number, bool):
            return f"{number:_}"
        case ast.Name(name):
            found = find(module, name)
            constant = found.nodes[0] if found else None
            if isinstance(constant, ast.Assign | ast.AnnAssign) and constant.value:
                return _default(found.module if found else module, constant.value)
        case _:
            pass
    return _double_quoted(ast.unparse(value))


def _double_quoted(code: str) -> str:
    return code if '"' in code else code.replace("'", '"')


def _set_in_constructor(module: str, node: ast.ClassDef) -> dict[str, str]:
    """Return the types of the attributes that the constructor sets, by name."""
    made = constructor(node)
    if made is None:
        return {}
    arguments = {one.arg: short_type(module, one.annotation) for one in all_arguments(made)}
    found: dict[str, str] = {}
    for one in ast.walk(made):
        match one:
            case ast.AnnAssign(ast.Attribute(ast.Name("self"), name), annotation):
                found[name] = short_type(module, annotation)
            case ast.Assign([ast.Attribute(ast.Name("self"), name)], ast.Name(argument)):
                found[name] = arguments.get(argument, "")
            case _:
                pass
    return found
