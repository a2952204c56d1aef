"""Renders `api`: one module per namespace, with an async method for each operation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from . import corrections, emit_inputs, emit_models, layout, names, wording, writing
from .history import History, newer
from .schema import Api, ListOf, Node, Operation, Property, Record, Ref
from .texts import Texts

# Parameters that every method has in addition to the arguments of its operation.
COMMON = (
    ("content_language", "ContentLanguage"),
    ("external_cloudtower_id", "str"),
    ("timeout", "float"),
)


def files(api: Api, history: History, texts: Texts) -> dict[str, str]:
    """Return the text of each file of the package, by path inside the package."""
    namespaces: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in api.operations:
        namespaces[layout.namespace(operation)].append(operation)
    made = {
        f"{namespace}.py": _module(api, history, texts, namespace, operations)
        for namespace, operations in namespaces.items()
    }
    tags = [(name, ops[0].tag) for name, ops in sorted(namespaces.items())]
    made["__init__.py"] = _package(api, tags)
    made["namespaces.py"] = _classes(tags)
    made["catalogue.py"] = _catalogue(api)
    return made


def kind(operation: Operation) -> str:
    """Return the kind of an operation: a query, a mutation or an upload."""
    if operation.path.startswith("/get-") or operation.path in corrections.QUERIES:
        return "QUERY"
    return "UPLOAD" if operation.carries == "FORM" else "MUTATION"


def _class(tag: str) -> str:
    return f"{tag}Namespace"


def _package(api: Api, tags: list[tuple[str, str]]) -> str:
    properties = "\n".join(
        f"""    @namespace_property
    def {name}(self) -> namespaces.{_class(tag)}:
        from .{name} import {_class(tag)}

        return {_class(tag)}(self._executor)
"""
        for name, tag in tags
    )
    return f'''"""The namespaces of the API as attributes of the session, loaded at first use.

API of CloudTower {api.server} (schema version {api.version}).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from builtins import property as namespace_property

    from ..calls import executor
    from . import namespaces
else:
    from ..calls.registry import namespace_property
    from ..lazy_module import LazyModule

    executor = LazyModule("..calls.executor", __package__)
    namespaces = LazyModule(".namespaces", __package__)


class Namespaces:
    """Base class of sessions, with an attribute for each namespace of the API."""

    _executor: executor.Executor

{properties}'''


def _classes(tags: list[tuple[str, str]]) -> str:
    imports = "\n".join(f"from .{name} import {_class(tag)}" for name, tag in tags)
    names = "\n".join(f'    "{name}",' for name in sorted(_class(tag) for _, tag in tags))
    return f'''"""The classes of all namespaces, for annotations."""

from __future__ import annotations

{imports}

__all__ = [
{names}
]
'''


def _catalogue(api: Api) -> str:
    rows = _rows({operation.path: _full_name(operation) for operation in api.operations})
    return f'''"""Tables of all operations, and of the queries that read resources by their ids."""

from __future__ import annotations

OPERATIONS = {{
{rows}
}}
"""Namespace and method of each operation, by path."""

READERS = {{
{_rows(_readers(api))}
}}
"""Query that lists the resources of a type, by the name of the type, such as `"Vm"`.

`"DeleteVm"`, the answer of a deletion, has the same query as `"Vm"`.
"""
'''


def _rows(table: dict[str, str]) -> str:
    return "\n".join(f'    "{key}": "{value}",' for key, value in table.items())


def _readers(api: Api) -> dict[str, str]:
    """Return, by resource type, the query that lists the resources of the type.

    Types without such a query are omitted.
    """
    listing = dict(_listing(api))
    answered = {
        name for operation in api.operations for name in layout.own_types(api, operation.answer)
    }
    subjects = {
        name: corrections.DELETED.get(name, name.removeprefix("Delete"))
        for name in sorted(answered)
    }
    return {name: listing[kind] for name, kind in subjects.items() if kind in listing}


def _listing(api: Api) -> Iterator[tuple[str, str]]:
    """Yield each answer type with the query that lists its resources.

    A query lists resources if an operation with the same path and the suffix `-connection` exists.
    """
    paths = {operation.path for operation in api.operations}
    for operation in api.operations:
        answer = operation.answer
        counted = f"{operation.path}-connection" in paths
        if counted and isinstance(answer, ListOf) and isinstance(answer.items, Ref):
            yield answer.items.name, _full_name(operation)


def _full_name(operation: Operation) -> str:
    return f"{layout.namespace(operation)}.{names.snake(operation.id)}"


def _module(
    api: Api, history: History, texts: Texts, namespace: str, operations: list[Operation]
) -> str:
    constants = "\n".join(_constant(api, history, operation) for operation in operations)
    methods = "\n".join(
        line for operation in operations for line in _method(api, history, texts, operation)
    )
    answers = {_answer(api, operation.answer) for operation in operations}
    imports: set[tuple[str, str]] = {
        ("..calls.namespace", "Namespace"),
        ("..calls.operation", "Kind"),
        ("..calls.operation", "Operation"),
        ("..types", "ContentLanguage"),
        *emit_inputs.scaffolding(methods),
    }
    imports |= {("..calls.operation", name) for name in ("Auth", "Carries") if name in constants}
    imports |= {("..types", t) for t in ("Connection", "WithTask") if t in "".join(answers)}
    imports |= {("..types", "OMITTED")} if "OMITTED" in methods else set()
    imports |= {("..", p) for p in ("inputs", "models") if f"{p}." in constants}
    return "\n".join(
        [
            f'"""`tower.{namespace}`: {wording.counted(len(operations), "operation")}."""',
            "",
            "from __future__ import annotations",
            "",
            *writing.import_lines(imports),
            "",
            constants,
            "",
            f"class {_class(operations[0].tag)}(Namespace):",
            f"    {wording.namespace(namespace, operations[0].tag, len(operations))}",
            "",
            methods,
        ]
    )


def _constant(api: Api, history: History, operation: Operation) -> str:
    given = [
        f'"{_full_name(operation)}"',
        f'"{operation.path}"',
        f"Kind.{kind(operation)}",
        f"lambda: {_answer(api, operation.answer)}",
    ]
    if operation.arguments is not None:
        given.append(f"body=lambda: {_given(operation.arguments, 'list')}")
    if operation.carries != "JSON":
        given.append(f"carries=Carries.{operation.carries}")
    if operation.method != "POST":
        given.append(f'method="{operation.method}"')
    if operation.auth != "TOKEN":
        given.append(f"auth=Auth.{operation.auth}")
    given.append(f'since="{history.operation_since(operation.id)}"')
    if operation.not_modified:
        given.append("not_modified=True")
    return f"{names.snake(operation.id).upper()} = Operation({', '.join(given)})"


def _method(api: Api, history: History, texts: Texts, operation: Operation) -> Iterator[str]:
    name = names.snake(operation.id)
    signature, passed = _arguments(api, operation)
    signature += [f"{common}: {kind} | None = None" for common, kind in COMMON]
    answer = _answer(api, operation.answer)
    yield f"    async def {name}(self, {', '.join(signature)}) -> {answer}:"
    for line in _docstring(api, history, texts, operation):
        yield f"        {line}" if line else ""
    yield f"        return await self._executor.call({name.upper()}, {passed},"
    yield f"            {', '.join(common for common, _ in COMMON)})"
    yield ""


def _docstring(api: Api, history: History, texts: Texts, operation: Operation) -> list[str]:
    since = history.operation_since(operation.id)
    record = api.record(operation.arguments)
    if record is not None:
        arguments = dict(_described(history, texts, operation, record))
    elif operation.arguments is not None:
        arguments = {"items": wording.items(operation.arguments)}
    else:
        arguments = {}
    return wording.docstring(
        operation, texts.operation(operation), kind(operation), since, arguments
    )


def _described(
    history: History, texts: Texts, operation: Operation, record: Record
) -> Iterator[tuple[str, str]]:
    """Yield each argument with its description."""
    method, since = names.snake(operation.id), history.operation_since(operation.id)
    for prop in record.properties:
        if wording.counts(operation) and prop.wire in wording.PAGING:
            continue
        text = (
            texts.own(record, prop)
            or wording.argument(prop, kind(operation), method)
            or texts.field(record, prop)
        )
        later = history.property_since(record, prop)
        added = f"Since CloudTower {later}." if newer(later, since) else ""
        yield names.snake(prop.wire), f"{text} {added}".strip()


def _arguments(api: Api, operation: Operation) -> tuple[list[str], str]:
    """Return the code of each parameter of a method, and the code of the arguments to send.

    The arguments to send are usually a dict: `{"orderBy": order_by, "first": first}`.
    """
    if operation.arguments is None:
        return ["*"], "None"
    record = api.record(operation.arguments)
    if record is None:
        return [f"items: {_given(operation.arguments)}", "*"], "items"
    ordered = sorted(record.properties, key=lambda prop: not prop.required)
    passed = ", ".join(f'"{prop.wire}": {names.snake(prop.wire)}' for prop in ordered)
    return ["*", *(_parameter(api, prop) for prop in ordered)], f"{{{passed}}}"


def _parameter(api: Api, prop: Property) -> str:
    """Return the code of a parameter. The default of an optional parameter is None.

    If the parameter is a TypedDict, its annotation does not allow None, and the default is written
    as `OMITTED`. With `| None`, most type checkers would not report a wrong key in a dict.
    """
    static = _given(prop.node)
    name = names.snake(prop.wire)
    if prop.required:
        return f"{name}: {static}"
    if api.record(prop.node) is not None:
        return f"{name}: {static} = OMITTED"
    return f"{name}: {static} | None = None"


def _given(node: Node, listed: str = "Sequence") -> str:
    return emit_inputs.annotation(node, listed=listed)


def _answer(api: Api, node: Node) -> str:
    if isinstance(node, ListOf):
        return f"list[{_answer(api, node.items)}]"
    if isinstance(node, Ref) and node.name.startswith(layout.WITH_TASK):
        return f"WithTask[{_answer(api, layout.task_data(api, node.name))}]"
    if isinstance(node, Ref):
        return "Connection" if layout.is_connection(api, node.name) else f"models.{node.name}"
    return emit_models.annotation(node)
