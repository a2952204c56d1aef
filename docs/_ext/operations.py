"""Writes a page for each namespace, with its operations and their types, from the generated code.

The code is read, not imported: that is quick, and has the comments, which say since when.
"""

from __future__ import annotations

import ast
import re
import textwrap
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.util.docutils import SphinxDirective

import cloudtower_async

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sphinx.application import Sphinx

PACKAGE = Path(cloudtower_async.__file__).parent
FOLDER = Path("reference", "operations")
COMMON = "common"
TEXT_WIDTH = 84
INTRODUCTION = """\
Each of these also takes `content_language`, `external_cloudtower_id` and `timeout`.
[All namespaces](../namespaces.md) · [Types of several namespaces](common.md)."""
OF_EVERY_CALL = {"self", "content_language", "external_cloudtower_id", "timeout"}

_SUFFIXES = ("contains", "starts_with", "ends_with", "in", "lt", "lte", "gt", "gte")
_SUFFIX = re.compile(rf"_(?:not|(?:not_)?(?:{'|'.join(_SUFFIXES)}))$")
# The packages that the types of keys are looked up in. A type of the same name is in one of them.
_HOME = re.compile(r"\b(?:inputs|models|nested)\.")
_SHORTER: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"\bRequired\[(.*)\]$", r"\1"),
    (r"\bMaybeTexts\b", "list[str]"),
    (r"\bTexts\b", "list[str]"),
    (r"\bMaybe(Int|Float)s\b", r"list[\1]"),
    (r"\bMaybe(Str|Int|Bool|Float)\b", r"\1"),
    (r"\b(?:Str|Int|Bool|Float)\b", lambda found: found[0].lower()),
    (r"\bMaybeMappings?\b", "object"),
    (r"\bSequence\b", "list"),
    (r"\b(\w+WhereInput)[23]\b", r"\1"),
    (r"[\"']", ""),
    (r" \| None$", ""),
)


class Field(NamedTuple):
    """A key of an argument, or a field of an answer."""

    name: str
    kind: str
    note: str = ""
    text: str = ""


class Shape(NamedTuple):
    """A type: its fields, or where it is a choice among texts, these."""

    since: str
    fields: list[Field]
    choices: list[str]


class Module:
    """What one generated module defines."""

    def __init__(self, path: Path) -> None:
        self._taken = path.parent.name == "inputs"
        self._lines = path.read_text(encoding="utf-8").splitlines()
        body = ast.parse("\n".join(self._lines)).body
        self.nodes = [inner for outer in body for inner in _with_those_for_checkers(outer)]

    def shapes(self) -> dict[str, Shape]:
        """The types that users see, by name."""
        found: dict[str, Shape] = {}
        for node, below in zip(self.nodes, [*self.nodes[1:], None], strict=True):
            match node:
                case ast.ClassDef(name):
                    choices = [text for one in node.body for text in _member(one)]
                    found[name] = Shape(ast.get_docstring(node) or "", self._fields(node), choices)
                case ast.Assign(
                    [ast.Name(name)], ast.Call(ast.Name("TypedDict"), [_, ast.Dict() as table])
                ):
                    found[name] = Shape(_docstring(below), self._keys(table), [])
                case ast.AnnAssign(target) if choices := _choices(node):
                    found[ast.unparse(target)] = Shape("", [], choices)
                case _:
                    pass
        return {
            name: shape._replace(fields=list(_conditions(shape.fields)))
            if name.endswith("WhereInput")
            else shape
            for name, shape in found.items()
        }

    def _fields(self, node: ast.ClassDef) -> list[Field]:
        return [
            self._field(ast.unparse(line.target), line.annotation)._replace(text=_docstring(below))
            for line, below in zip(node.body, [*node.body[1:], None], strict=True)
            if isinstance(line, ast.AnnAssign)
        ]

    def _keys(self, table: ast.Dict) -> list[Field]:
        """The keys of a filter: what such a call of `TypedDict` is given."""
        keys = zip(table.keys, table.values, strict=True)
        return [self._field(_text(key), kind) for key, kind in keys if key]

    def _field(self, name: str, annotation: ast.expr) -> Field:
        kind = ast.unparse(annotation)
        notes = ["required"] if "Required[" in kind else []
        notes += re.findall(r"# (since [\d.]+)", self._lines[annotation.lineno - 1])
        kind = _HOME.sub("", shorter(kind)) if self._taken else kind
        return Field(name, kind, ", ".join(notes))


def _with_those_for_checkers(node: ast.stmt) -> list[ast.stmt]:
    return node.body if isinstance(node, ast.If) else [node]


def _member(node: ast.stmt) -> list[str]:
    """The text of an enum member; an alias of another member has none."""
    match node:
        case ast.Assign(value=ast.Constant(str(text))):
            return [text]
        case _:
            return []


def _docstring(below: ast.stmt | None) -> str:
    """The text of a docstring below a definition, if there is one."""
    return _text(below.value) if isinstance(below, ast.Expr) else ""


def _text(node: ast.expr) -> str:
    return str(ast.literal_eval(node))


def _choices(node: ast.AnnAssign) -> list[str]:
    """The texts of `Literal[…]`, alone or in a union."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Subscript) and ast.unparse(inner.value) == "Literal":
            listed = inner.slice.elts if isinstance(inner.slice, ast.Tuple) else [inner.slice]
            return [_text(one) for one in listed]
    return []


def shorter(kind: str) -> str:
    """An annotation as readers need it: an argument may always be None, and a list be a tuple."""
    for pattern, replacement in _SHORTER:
        kind = re.sub(pattern, replacement, kind)
    return kind


def _conditions(fields: Iterable[Field]) -> Iterator[Field]:
    """The fields that a filter looks at, each once, without the suffixes."""
    every = {field.name: field for field in fields}
    for name, field in every.items():
        if name.endswith("_some"):
            base = name.removesuffix("_some")
            yield field._replace(name=f"{base}_some, {base}_every, {base}_none")
        elif not name.endswith(("_every", "_none")) and _SUFFIX.sub("", name) not in {*every} - {
            name
        }:
            yield field


@cache
def shapes(package: str, module: str) -> dict[str, Shape]:
    """The types of one module."""
    return Module(PACKAGE / package / f"{module}.py").shapes()


@cache
def homes() -> dict[str, dict[str, Shape]]:
    """Every type as users name it, `inputs.VmWhereInput`, by the page that it is on."""
    namespaces = {path.stem for path in (PACKAGE / "api").glob("*.py")} - {"__init__", "catalogue"}
    pages: dict[str, dict[str, Shape]] = {name: {} for name in [*sorted(namespaces), COMMON]}
    for package in ("inputs", "models"):
        for path in sorted((PACKAGE / package).rglob("*.py")):
            if path.stem in ("__init__", "nested", "older", "newer"):
                continue
            page = path.stem if path.stem in pages and path.parent.name == package else COMMON
            module = path.relative_to(PACKAGE / package).with_suffix("").as_posix()
            for name, shape in shapes(package, module).items():
                pages[page][f"{package}.{name}"] = shape
    answers = {name for page in pages.values() for name in page if name.startswith("models.")}
    for types in pages.values():  # where an enum says it, its texts need not be said again
        for name in [name for name, shape in types.items() if shape.choices]:
            if name.replace("inputs.", "models.") in answers - {name}:
                del types[name]
    return pages


@cache
def names() -> frozenset[str]:
    """The types that have an entry."""
    return frozenset(name for page in homes().values() for name in page)


class ShapeBody(SphinxDirective):
    """The fields of a type, each type in them a link."""

    required_arguments: ClassVar[int] = 2

    def run(self) -> list[nodes.Node]:
        page, name = self.arguments
        package = name.partition(".")[0]
        block = nodes.literal_block(name, classes=["shape"])  # raw: not to be highlighted
        shape = homes()[page][name]
        for field in shape.fields:
            block += nodes.Text(f"{field.name}: ")
            block += list(self._linked(field.kind, package))
            block += nodes.Text(f"  # {field.note}\n" if field.note else "\n")
            for line in textwrap.wrap(field.text, TEXT_WIDTH):
                block += nodes.Text(f"    {line}\n")
        if shape.choices:
            block += nodes.Text("  ".join(shape.choices))
        return [block]

    def _linked(self, kind: str, package: str) -> Iterator[nodes.Node]:
        plain = ""
        for part in re.split(r"(\w+)", kind):
            target = f"{package}.{part}"
            if target not in names():
                target = f"models.{part}"
            if target not in names():
                plain += part
                continue
            yield nodes.Text(plain)
            plain = ""
            link = pending_xref("", nodes.inline("", part), refdomain="py", reftype="class")
            link["reftarget"], link["refdoc"] = target, self.env.docname
            yield link
        yield nodes.Text(plain)


def page_of(name: str) -> Iterator[str]:
    """The Markdown of a page. It is in no table of contents: that would make each page slow."""
    yield from ("---", "orphan: true", "---", "")
    if name == COMMON:
        yield from ("# Types of several namespaces", "")
    else:
        yield from (f"# tower.{name}", "", INTRODUCTION, "", *_operations(name))
    types = homes()[name]
    for package, title in (("inputs", "Arguments"), ("models", "Answers")):
        listed = [one for one in types if one.startswith(f"{package}.")]
        if listed:
            yield from (f"## {title}", "")
        for one in listed:
            yield from (f"````{{py:class}} {one}", ":no-contents-entry:", "", types[one].since, "")
            if one.endswith("WhereInput"):
                yield "A filter. [What its keys can end in](../../getting-started.md#query)."
                yield ""
            yield from (f"```{{shape}} {name} {one}", "```", "````", "")


def _operations(namespace: str) -> Iterator[str]:
    for node in Module(PACKAGE / "api" / f"{namespace}.py").nodes:
        if not isinstance(node, ast.ClassDef):
            continue
        for method in node.body:
            if isinstance(method, ast.AsyncFunctionDef):
                yield f"````{{py:method}} tower.{namespace}.{_signature(method)}"
                yield from (":async:", "", *_text_of(ast.get_docstring(method) or ""), "````", "")


def _signature(method: ast.AsyncFunctionDef) -> str:
    arguments = method.args
    positional = [one for one in arguments.args if one.arg != "self"]
    taken = [f"{one.arg}: {_kind(one)}" for one in positional]
    named: list[str] = []
    for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if one.arg not in OF_EVERY_CALL:
            tail = "" if default is None else f" = {ast.unparse(default)}"
            named.append(f"{one.arg}: {_kind(one)}{tail}")
    listed = ", ".join([*taken, *(["*", *named] if named else [])])
    answer = ast.unparse(method.returns) if method.returns else "None"
    return f"{method.name}({listed}) -> {answer}"


def _kind(argument: ast.arg) -> str:
    assert argument.annotation is not None  # noqa: S101 - for type checkers
    return shorter(ast.unparse(argument.annotation))


def _text_of(docstring: str) -> Iterator[str]:
    text, _, arguments = docstring.partition("\nArgs:\n")
    yield from (text, "")
    yield from (re.sub(r"^\s+(\w+): ", r"- `\1`: ", line) for line in arguments.splitlines())


def write_pages(app: Sphinx) -> None:
    """Write the pages that have changed, before the sources are looked for."""
    folder = Path(app.srcdir) / FOLDER
    folder.mkdir(exist_ok=True)
    for name in homes():
        file, text = folder / f"{name}.md", "\n".join([*page_of(name), ""])
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
    for file in folder.glob("*.md"):
        if file.stem not in homes():
            file.unlink()


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("shape", ShapeBody)
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
