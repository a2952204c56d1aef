"""Name conflicts that the generator rejects.

Two names of the schema may conflict, or a name of the schema may conflict with a name of the
package.

Each rule is a function that yields an error message for each conflict, with the place and the
remedy.
"""

from __future__ import annotations

import ast
import builtins
import enum
import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from . import emit_api, layout, names
from .refusals import SchemaError
from .schema import Api, Choice, Enum, ListOf, Operation, Record, Ref, Scalar, closure, refs

PACKAGE = Path(__file__).parent.parent / "src" / "cloudtower_async"
_GENERATED = ("api", "models", "inputs")
_SESSION = "Cloudtower"

# Generated modules that belong to no namespace.
_MODULES = frozenset(
    {"catalogue", "common", "enums", "nested", "newer", "older", "references", "shared"}
)
# Parameters of every method.
_PARAMETERS = frozenset({"self", *(name for name, _ in emit_api.COMMON)})
# Names that generated modules import or define, so schemas must not have these names.
_IMPORTED = frozenset(
    {
        "Any",
        "AnyOf",
        "Auth",
        "Carries",
        "Connection",
        "ContentLanguage",
        "FileContent",
        "HoldsSecrets",
    }
    | {"Entity", "EntityWithSecrets", "HoldsSecrets"}
    | {"Kind", "Literal", "Mapping", "Namespace", "Namespaces", "OpenEnum", "Operation", "ReadOnly"}
    | {"Required", "Sequence", "Struct", "Texts", "TypeAlias", "TypedDict", "WithTask"}
    | {f"Maybe{kind}" for kind in ("Str", "Int", "Float", "Bool", "Texts", "Ints", "Floats")}
    | {"Date", "Dates", "MaybeDate", "MaybeDates", "MaybeMapping", "MaybeMappings"}
    | {"MODULES", "TYPE_CHECKING"}
)
_UNFIT = re.compile(r'["\\`\x00-\x1f\x7f-\x9f\u2028\u2029]')
_TYPE_NAME = re.compile(r"[A-Z]\w*", re.ASCII)
_NAME_IT = "give it a name in corrections.NAMES"
_RENAME = "rename it in the schema file"


def check(api: Api) -> None:
    """Check the names in an API.

    :raises SchemaError: if names conflict.
    """
    # The order matters: some rules require that earlier rules found no conflict.
    for rule in _RULES:
        found = list(rule(api))
        if found:
            raise SchemaError(*found)


def _unfit_texts(api: Api) -> Iterator[str]:
    texts = [("info.version", api.version)]
    for operation in api.operations:
        place = _place(operation)
        texts += [(place, text) for text in (operation.path, operation.tag, operation.id)]
    for name, record in _records(api):
        texts += [(f"{name}.{prop.wire}", prop.wire) for prop in record.properties]
    for place, text in texts:
        if _UNFIT.search(text):
            yield (
                f"{place}: {text!a} contains a quote, a backslash or a control character, which is"
                " invalid in a name; correct the schema file"
            )


def _operations(api: Api) -> Iterator[str]:
    keys: dict[str, Callable[[Operation], str]] = {
        "operationId": lambda operation: operation.id,
        "path": lambda operation: operation.path,
        "Python name": _python_name,
    }
    for what, key in keys.items():
        seen: dict[str, str] = {}
        for operation in api.operations:
            value, place = key(operation), _place(operation)
            other = seen.setdefault(value, place)
            if other != place:
                yield (
                    f"{place}: {other} has the same {what} `{value}`; give one of them another, or"
                    " leave it out in corrections.LEFT_OUT"
                )


def _arguments(api: Api) -> Iterator[str]:
    for operation in api.operations:
        place = _place(operation)
        node, record = operation.arguments, api.record(operation.arguments)
        leave_out = f'or leave it out: add "{place}" to corrections.LEFT_OUT'
        if (
            node is not None
            and record is None
            and not (isinstance(node, ListOf) and operation.carries == "JSON")
        ):
            yield f"{place}: its body is neither an object with properties nor a list; {leave_out}"
        for prop in record.properties if record else ():
            if names.snake(prop.wire) in _PARAMETERS:
                yield f"{place}: every method already has an argument `{prop.wire}`; {_NAME_IT}"
            if operation.carries == "QUERY_STRING" and not _is_plain(api, prop.node):
                yield f"{place}: its query parameter `{prop.wire}` is not a scalar; {leave_out}"
        if operation.not_modified and not isinstance(operation.answer, ListOf):
            yield f"{place}: it can return 304, which requires a list as its answer; {leave_out}"


def _is_plain(api: Api, node: object) -> bool:
    return isinstance(node, Scalar | Choice) or (
        isinstance(node, Ref) and isinstance(api.types[node.name], Enum)
    )


def _tags(api: Api) -> Iterator[str]:
    seen: dict[str, str] = {}
    modules = layout.families(map(layout.namespace, api.operations))
    for tag in sorted({operation.tag for operation in api.operations}):
        namespace = names.snake(tag)
        other = seen.setdefault(namespace, tag)
        if other != tag:
            yield f"tag `{tag}`: the tag {other} has the same Python name; {_NAME_IT}"
        elif not _TYPE_NAME.fullmatch(tag) or not names.is_key(namespace):
            yield f"tag `{tag}`: it is not a class name like `VmDisk`; {_RENAME}"
        elif taken := _MODULES & {namespace, modules[namespace]}:
            yield f"tag `{tag}`: the generated module {min(taken)} already exists; {_NAME_IT}"
        elif namespace in session_attributes():
            yield f"tag `{tag}`: sessions already have an attribute `{namespace}`; {_NAME_IT}"


@functools.cache
def session_attributes() -> frozenset[str]:
    """Return the names of all attributes of sessions, except generated attributes.

    The names are read from the source code, because the package cannot be imported if generated
    code is missing or broken.
    """
    classes: dict[str, ast.ClassDef] = {}
    for file in PACKAGE.rglob("*.py"):
        if file.relative_to(PACKAGE).parts[0] not in _GENERATED:
            tree = ast.parse(file.read_bytes())
            classes |= {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    found: set[str] = set()
    waiting = [_SESSION]
    while waiting:
        kind = classes.get(waiting.pop())
        for node in ast.walk(kind) if kind else ():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(node.name)
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self":
                found.add(node.attr)
        for base in kind.bases if kind else ():
            waiting += [node.id for node in ast.walk(base) if isinstance(node, ast.Name)]
    return frozenset(found)


def _methods_and_fields(api: Api) -> Iterator[str]:
    for operation in api.operations:
        if not _is_name(names.snake(operation.id)):
            yield f"{_place(operation)}: its operationId is not a valid Python name; {_NAME_IT}"
    for name, record in _records(api):
        for prop in record.properties:
            if not _is_name(names.snake(prop.wire)):
                yield f"{name}.{prop.wire}: it is not a valid Python name; {_NAME_IT}"


def _is_name(text: str) -> bool:
    return text.isidentifier() and text.isascii()


def _types(api: Api) -> Iterator[str]:
    taken = _IMPORTED | {name for name in vars(builtins) if name[:1].isupper()}
    generated = layout.models(api).keys() | layout.inputs(api).keys()
    for name in sorted(generated):
        if not _TYPE_NAME.fullmatch(name):
            yield f"schema `{name}`: it is not a class name like `VmDisk`; {_RENAME}"
        elif name in taken:
            yield f"schema `{name}`: generated modules already use that name; {_RENAME}"
        for derived in (f"{name}Member", f"{name}2", f"{name}3"):
            if derived in generated and (
                isinstance(api.types[name], Enum)
                if derived.endswith("Member")
                else name.endswith("WhereInput")
            ):
                yield f"schema `{derived}`: it has the name that is derived from {name}; {_RENAME}"


def _tasks(api: Api) -> Iterator[str]:
    answered = {name for operation in api.operations for name in refs(operation.answer)}
    for name in sorted(answered):
        if name.startswith(layout.WITH_TASK):
            record = api.record(Ref(name))
            data = [p.node for p in record.properties if p.wire == "data"] if record else []
            nested = any(ref.startswith(layout.WITH_TASK) for node in data for ref in refs(node))
            if nested or not data:
                yield f"schema `{name}`: it has no `data` that is a resource or a list; {_RENAME}"


def _members(api: Api) -> Iterator[str]:
    for name, kind in api.types.items():
        if not isinstance(kind, Enum):
            continue
        seen: dict[str, str] = {}
        for value in kind.values:
            place = f"{name}.{value!a}"
            try:
                member = names.member(value)
                enum.StrEnum(name, [(member, value)])
            except (TypeError, ValueError):
                member = ""
            if not _is_name(member) or member.startswith("_"):
                yield (
                    f"{place}: the value is not a name for a member; add"
                    f' {value!a}: "A_NAME" to corrections.MEMBERS'
                )
                continue
            other = seen.setdefault(member, value)
            if other != value or kind.values.count(value) > 1:
                yield (
                    f"{place}: the member {member} is there already, for {other!a}; give one of"
                    " them a name in corrections.MEMBERS, or list it once"
                )


def _circles(api: Api) -> Iterator[str]:
    """Reject answer types that refer to each other: their modules would import each other."""
    reached = {name: closure(api, iter([name])) for name in layout.models(api)}
    for name in reached:
        kind = api.types[name]
        for prop in kind.properties if isinstance(kind, Record) else ():
            if any(ref != name and name in reached[ref] for ref in refs(prop.node)):
                yield (
                    f"{name}.{prop.wire}: answers refer to each other in a cycle; break it in"
                    f' corrections.SCALARS: ("{name}", "{prop.wire}"): "Any"'
                )


def _records(api: Api) -> Iterator[tuple[str, Record]]:
    for name, kind in api.types.items():
        if isinstance(kind, Record):
            yield name, kind


def _python_name(operation: Operation) -> str:
    return f"{layout.namespace(operation)}.{names.snake(operation.id)}"


def _place(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


_RULES: tuple[Callable[[Api], Iterator[str]], ...] = (
    _unfit_texts,
    _operations,
    _arguments,
    _tags,
    _methods_and_fields,
    _tasks,
    _types,
    _members,
    _circles,
)
