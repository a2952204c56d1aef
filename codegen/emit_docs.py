"""Renders the reference pages of the namespaces, in Markdown, from the generated code.

The code is parsed instead of imported. Parsing is fast, and the comments with the server versions
are available.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .conflicts import PACKAGE
from .definitions import docstring_below
from .layout import families
from .names import snake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
COMMON = "common"
INTRODUCTION = """\
Every operation also has three arguments that this page does not repeat: `content_language`
(language of texts in the answer), `external_cloudtower_id` (value of the header
`external-cloudtower-id`) and `timeout` (seconds for the whole call).

[All operations](../api.md) · [Types that several namespaces use](common.md)"""
OF_EVERY_CALL = {"self", "content_language", "external_cloudtower_id", "timeout"}

_SUFFIXES = ("contains", "starts_with", "ends_with", "in", "lt", "lte", "gt", "gte")
_SUFFIX = re.compile(rf"_(?:not|(?:not_)?(?:{'|'.join(_SUFFIXES)}))$")
# Prefixes of types in annotations. A type name occurs in only one of these packages.
_HOME = re.compile(r"\b(?:inputs|models|nested)\.")
_SHORTER: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"\bRequired\[(.*)\]$", r"\1"),
    (r"\bMaybeTexts\b", "list[str]"),
    (r"\bTexts\b", "list[str]"),
    (r"\bMaybe(Int|Float)s\b", r"list[\1]"),
    (r"\bMaybe(Str|Int|Bool|Float|Date)\b", r"\1"),
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
    """Fields of a type, or the values of an enum."""

    since: str
    fields: list[Field]
    choices: list[str]


class Module:
    """Definitions of one generated module."""

    def __init__(self, path: Path) -> None:
        self._taken = path.parent.name == "inputs"
        self._lines = path.read_text(encoding="utf-8").splitlines()
        body = ast.parse("\n".join(self._lines)).body
        self.nodes = [inner for outer in body for inner in _with_those_for_checkers(outer)]

    def shapes(self) -> dict[str, Shape]:
        """Public types of the module, by name."""
        found: dict[str, Shape] = {}
        for node, below in zip(self.nodes, [*self.nodes[1:], None], strict=True):
            match node:
                case ast.ClassDef(name):
                    choices = [text for one in node.body for text in _member(one)]
                    found[name] = Shape(ast.get_docstring(node) or "", self._fields(node), choices)
                case ast.Assign(
                    [ast.Name(name)], ast.Call(ast.Name("TypedDict"), [_, ast.Dict() as table])
                ):
                    found[name] = Shape(docstring_below(below), self._keys(table), [])
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
            self._field(ast.unparse(line.target), line.annotation)._replace(
                text=docstring_below(below)
            )
            for line, below in zip(node.body, [*node.body[1:], None], strict=True)
            if isinstance(line, ast.AnnAssign)
        ]

    def _keys(self, table: ast.Dict) -> list[Field]:
        """Return the keys of a TypedDict, from the dict in its `TypedDict(…)` call."""
        keys = zip(table.keys, table.values, strict=True)
        return [
            self._field(_text(key), kind)._replace(text=self._comment_above(key))
            for key, kind in keys
            if key
        ]

    def _comment_above(self, key: ast.expr) -> str:
        """Return the comment in the line above a key, or an empty string."""
        line = self._lines[key.lineno - 2].strip()
        return line.removeprefix("# ") if line.startswith("# ") else ""

    def _field(self, name: str, annotation: ast.expr) -> Field:
        kind = ast.unparse(annotation)
        notes = ["required"] if "Required[" in kind else []
        notes += re.findall(r"# (since [\d.]+)", self._lines[annotation.lineno - 1])
        kind = _HOME.sub("", shorter(kind)) if self._taken else kind
        return Field(name, kind, ", ".join(notes))


def _with_those_for_checkers(node: ast.stmt) -> list[ast.stmt]:
    return node.body if isinstance(node, ast.If) else [node]


def _member(node: ast.stmt) -> list[str]:
    """Return a list with the text of an enum member, or an empty list for an alias."""
    match node:
        case ast.Assign(value=ast.Constant(str(text))):
            return [text]
        case _:
            return []


def _text(node: ast.expr) -> str:
    return str(ast.literal_eval(node))


def _choices(node: ast.AnnAssign) -> list[str]:
    """Return the strings of a `Literal[…]` annotation, alone or in a union."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Subscript) and ast.unparse(inner.value) == "Literal":
            listed = inner.slice.elts if isinstance(inner.slice, ast.Tuple) else [inner.slice]
            return [_text(one) for one in listed]
    return []


def shorter(kind: str) -> str:
    """Simplify an annotation for readers: leave out None, and write sequences as lists."""
    for pattern, replacement in _SHORTER:
        kind = re.sub(pattern, replacement, kind)
    return kind


def _conditions(fields: Iterable[Field]) -> Iterator[Field]:
    """Yield the fields of a filter. Keys with a suffix, such as `id_in`, are omitted.

    The keys of a to-many relation become one field: `vms_some, vms_every, vms_none`.
    """
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
    """Return the public types of one module, by name."""
    return Module(PACKAGE / package / f"{module}.py").shapes()


def _home(name: str, related: list[str]) -> str:
    """Return the page of a type whose module serves several related namespaces.

    If only one of these namespaces uses the type, the result is the page of this namespace.
    Otherwise, the name of the type determines the namespace: `VmVolume` is on the page of
    `vm_volume`.
    """
    if len(related) < 2:
        return related[0] if related else COMMON
    users = [one for one in related if name in _needed(one)]
    if len(users) == 1:
        return users[0]
    bare = snake(name.partition(".")[2].removeprefix("Nested"))
    named = [one for one in related if bare.startswith(one)]
    return max(named, key=len, default=COMMON)


@cache
def _needed(namespace: str) -> set[str]:
    """Return the types that a namespace uses, directly or through other types.

    Types that are only used through a filter are omitted.
    """
    text = (PACKAGE / "api" / f"{namespace}.py").read_text(encoding="utf-8")
    waiting = re.findall(r"\b(?:inputs|models)\.\w+", text)
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in found or name not in _every_shape():
            continue
        found.add(name)
        package = name.partition(".")[0]
        words = re.findall(r"\w+", " ".join(field.kind for field in _every_shape()[name].fields))
        waiting += [
            f"{home}.{word}"
            for word in words
            if not word.endswith("WhereInput")
            for home in (package, "models")
        ]
    return found


@cache
def _every_shape() -> dict[str, Shape]:
    """Return all types by public name."""
    return {
        f"{package}.{name}": shape
        for package, module in _modules()
        for name, shape in shapes(package, module).items()
    }


def _modules() -> Iterator[tuple[str, str]]:
    """Yield the package and path of each generated module that contains types."""
    for package in ("inputs", "models"):
        for path in sorted((PACKAGE / package).rglob("*.py")):
            if path.stem not in ("__init__", "nested", "older", "newer"):
                yield package, path.relative_to(PACKAGE / package).with_suffix("").as_posix()


@cache
def homes() -> dict[str, dict[str, Shape]]:
    """Return the types that each page documents.

    The keys are the names of the pages. Each value is a dict of types by public name, such as
    `inputs.VmWhereInput`.
    """
    namespaces = {path.stem for path in (PACKAGE / "api").glob("*.py")} - {
        "__init__",
        "catalogue",
        "namespaces",
    }
    modules = families(namespaces)
    pages: dict[str, dict[str, Shape]] = {name: {} for name in [*sorted(namespaces), COMMON]}
    for package, module in _modules():
        related = [one for one in modules if modules[one] == module]
        for name, shape in shapes(package, module).items():
            pages[_home(f"{package}.{name}", related)][f"{package}.{name}"] = shape
    answers = {name for page in pages.values() for name in page if name.startswith("models.")}
    for types in pages.values():  # leave out literals whose values an enum on the page documents
        for name in [name for name, shape in types.items() if shape.choices]:
            if name.replace("inputs.", "models.") in answers - {name}:
                del types[name]
    return pages


def page_of(name: str) -> Iterator[str]:
    """Yield the lines of a page, which is about a namespace or about shared types."""
    if name == COMMON:
        yield from ("# Types that several namespaces use", "")
    else:
        yield from (f"# tower.{name}", "", INTRODUCTION, "", "## Operations", "")
        for method in _methods(name):
            yield from _operation(name, method)
    types = homes()[name]
    for package, title in (("inputs", "Arguments"), ("models", "Answers")):
        listed = [one for one in types if one.startswith(f"{package}.")]
        if listed:
            yield from (f"## {title}", "")
        for one in listed:
            yield from (f"### {one}", "")
            if types[one].since:
                yield from (types[one].since, "")
            yield from (*_shape(name, one), "")


def _shape(page: str, name: str) -> Iterator[str]:
    package = name.partition(".")[0]
    shape = homes()[page][name]
    if name.endswith("WhereInput"):
        yield "Keys of the filter, by the type of their values. A key with a simple value can have"
        yield "a suffix, as in `id_in`."
        yield "[Filters](../../filters.md#equality-and-ranges) lists the suffixes."
        yield ""
        by_kind: defaultdict[str, list[str]] = defaultdict(list)
        for field in shape.fields:
            note = f" ({field.note})" if field.note else ""
            by_kind[field.kind].append(f"`{field.name}`{note}")
        for kind, fields in by_kind.items():
            yield f"- {_linked(page, kind, package)}: {', '.join(fields)}"
        return
    for field in shape.fields:
        note = f", {field.note}" if field.note else ""
        text = f". {' '.join(field.text.split())}" if field.text else ""
        yield f"- `{field.name}`: {_linked(page, field.kind, package)}{note}{text}"
    if shape.choices:
        yield "Values: " + ", ".join(f"`{choice}`" for choice in shape.choices)


@cache
def _page_of_type() -> dict[str, str]:
    return {name: page for page, types in homes().items() for name in types}


def page_of_type(name: str) -> str | None:
    """Return the page and anchor of a type such as `models.Vm`, or None if it is not documented."""
    home = _page_of_type().get(name)
    return home and f"{home}.md#{_anchor(name)}"


def _anchor(name: str) -> str:
    return name.replace(".", "").lower()


def _linked(page: str, kind: str, package: str) -> str:
    """Return a type as Markdown. Each part that is documented is a link."""
    pieces: list[str] = []
    plain = ""
    for part in re.split(r"(\w+)", kind):
        targets = (f"{package}.{part}", f"models.{part}")
        target = next((one for one in targets if one in _page_of_type()), None)
        if target is None:
            plain += part
            continue
        home = _page_of_type()[target]
        anchor = f"#{_anchor(target)}"
        pieces += [_code(plain), f"[`{part}`]({'' if home == page else home + '.md'}{anchor})"]
        plain = ""
    return "".join([*pieces, _code(plain)])


def _code(text: str) -> str:
    return f"`{text}`" if text.strip() else text


def _methods(namespace: str) -> list[ast.AsyncFunctionDef]:
    return [
        method
        for node in Module(PACKAGE / "api" / f"{namespace}.py").nodes
        if isinstance(node, ast.ClassDef)
        for method in node.body
        if isinstance(method, ast.AsyncFunctionDef)
    ]


def _operation(namespace: str, method: ast.AsyncFunctionDef) -> Iterator[str]:
    yield from (f"### {method.name}", "", *_text_of(ast.get_docstring(method) or ""), "")
    yield from ("```text", f"tower.{namespace}.{_signature(method)}", "```", "")
    named = [one.annotation for one in (*method.args.args, *method.args.kwonlyargs)]
    kinds = " ".join(ast.unparse(kind) for kind in [*named, method.returns] if kind)
    found = dict.fromkeys(re.findall(r"\b(?:inputs|models)\.\w+", kinds))
    types = [one for one in found if one in _page_of_type()]
    if types:
        links = [_linked(namespace, one.partition(".")[2], one.partition(".")[0]) for one in types]
        yield from (f"Types: {', '.join(links)}", "")
    yield from ("Example:", "", "```python", example(namespace, method), "```", "")


def example(namespace: str, method: ast.AsyncFunctionDef) -> str:
    """Return an example call with the required arguments.

    If a query has the parameter `first`, the call also contains `first=1`. A call that counts
    resources does not contain `first=1`, because `first` could change the number.
    """
    arguments = method.args
    items = [_sample(_kind(one)) for one in arguments.args if one.arg != "self"]
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    for one, default in named:
        if default is None:
            items.append(f"{one.arg}={_sample(_kind(one))}")
        elif one.arg == "first" and not method.name.endswith("_connection"):
            items.append("first=1")
    return f"await tower.{namespace}.{method.name}({', '.join(items)})"


_SAMPLES = {"str": '"..."', "int": "1", "float": "1.0", "bool": "True", "FileContent": 'b"..."'}


def _sample(kind: str, *, inside: bool = False) -> str:
    """Return an example value of a type as code.

    A dict has only the required keys, or one key if no key is required.

    Args:
        kind: Name of the type.
        inside: Whether the value is part of another value.
    """
    kind = re.sub(r"^(inputs|models|nested)\.", "", kind.partition(" | ")[0])
    if kind in _SAMPLES:
        return _SAMPLES[kind]
    if "Date" in kind:
        return '"2026-01-01T00:00:00Z"'
    if kind.startswith("list["):
        return f"[{_sample(kind[5:-1], inside=inside)}]"
    if kind.endswith(("WhereInput", "WhereUniqueInput")):
        return '{"id_in": ["..."]}' if inside and kind.endswith("WhereInput") else '{"id": "..."}'
    for name in (f"inputs.{kind}", f"models.{kind}"):
        if shape := _every_shape().get(name):
            if shape.choices:
                usual = [one for one in shape.choices if one not in ("DELETED", "UNKNOWN")]
                return f'"{usual[0]}"'
            needed = [field for field in shape.fields if "required" in field.note]
            keys = needed or _typical(shape.fields)
            samples = [f'"{one.name}": {_sample(one.kind, inside=True)}' for one in keys]
            return "{" + ", ".join(samples) + "}"
    if found := re.match(r"Literal\[([^],]+)", kind):
        return f'"{found[1]}"'
    return "{}"


def _typical(fields: list[Field]) -> list[Field]:
    """Return a list with one field of a type, for an example of the type.

    Prefer a filter, then the field `name`, then the first field.
    """
    filters = [one for one in fields if one.kind.endswith("WhereInput")]
    names = [one for one in fields if one.name == "name"]
    return [*filters, *names, *fields][:1]


def _index() -> Iterator[str]:
    """Yield the lines of the index, which lists all operations by namespace."""
    namespaces = [name for name in homes() if name != COMMON]
    count = sum(len(_methods(name)) for name in namespaces)
    yield from ("# Operations", "", f"{count} operations in {len(namespaces)} namespaces.")
    yield from ("Each namespace is an attribute of the session, such as `tower.vm`.", "")
    for name in namespaces:
        yield from (f"## [tower.{name}](operations/{name}.md)", "")
        for method in _methods(name):
            first = " ".join((ast.get_docstring(method) or "").partition("\n\n")[0].split())
            yield f"- [`{method.name}`](operations/{name}.md#{method.name}): {first}"
        yield ""


def pages() -> dict[str, str]:
    """Return the text of each page, by path inside `docs/reference`."""
    every = {f"operations/{name}.md": page_of(name) for name in homes()}
    every["api.md"] = _index()
    return {path: "\n".join(lines).rstrip() + "\n" for path, lines in every.items()}


def write() -> None:
    """Write all pages, and delete the pages of removed namespaces."""
    made = pages()
    (FOLDER / "operations").mkdir(exist_ok=True)
    for file in (FOLDER / "operations").glob("*.md"):
        if f"operations/{file.name}" not in made:
            file.unlink()
    for path, text in made.items():
        (FOLDER / path).write_text(text, encoding="utf-8")


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
    assert argument.annotation is not None
    return shorter(ast.unparse(argument.annotation))


def _text_of(docstring: str) -> Iterator[str]:
    text, _, arguments = docstring.partition("\nArgs:\n")
    yield from (text, "")
    yield from (re.sub(r"^    (\w+): ", r"- `\1`: ", line) for line in arguments.splitlines())
