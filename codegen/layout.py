"""Layout: the module of each type.

A type used by only one namespace is in the module of that namespace. Shared types:

- of answers: each struct has a separate small module, so that the first use of a namespace loads
  only what it needs. Enums are grouped by the first word of their names, because they are usually
  needed together, and loading a module takes longer than creating an enum.
- of inputs: with the namespace whose operation takes the type, or that the type is named after,
  else in `common`. Inputs refer to each other in cycles, but only for type checkers, so loading
  one never loads another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from . import names
from .schema import Api, Enum, Node, Operation, Record, Ref, closure, refs

WITH_TASK = "WithTask_"
COMMON = "common"


def is_connection(api: Api, name: str) -> bool:
    """Return whether a schema contains only `aggregate.count`, as many do."""
    node: Node = Ref(name)
    for wire in ("aggregate", "count"):
        record = api.record(node)
        if record is None or [prop.wire for prop in record.properties] != [wire]:
            return False
        node = record.properties[0].node
    return True


def task_data(api: Api, name: str) -> Node:
    """Return the `data` of a `WithTask_…` schema."""
    record = api.record(Ref(name))
    assert record is not None
    return next(prop.node for prop in record.properties if prop.wire == "data")


def own_types(api: Api, answer: Node) -> Iterator[str]:
    """Return the names in an answer, including those in `WithTask_…`, without connections."""
    for name in refs(answer):
        if name.startswith(WITH_TASK):
            yield from own_types(api, task_data(api, name))
        elif not is_connection(api, name):
            yield name


def models(api: Api) -> dict[str, str]:
    """Return the module, below `models`, of each answer type."""
    users: defaultdict[str, set[str]] = defaultdict(set)
    for operation in api.operations:
        for name in closure(api, own_types(api, operation.answer)):
            users[name].add(namespace(operation))
    return {
        name: next(iter(used_by)) if len(used_by) == 1 else _shared(api, name)
        for name, used_by in sorted(users.items())
    }


def _shared(api: Api, name: str) -> str:
    """Return the module of an answer type that several namespaces share."""
    if isinstance(api.types[name], Enum):
        return f"enums.{names.snake(name).partition('_')[0]}"
    return f"shared.{names.snake(name)}"


def inputs(api: Api) -> dict[str, str]:
    """Return the module, below `inputs`, of each argument type."""
    users: defaultdict[str, set[str]] = defaultdict(set)
    arguments_of: dict[str, str] = {}
    for operation in api.operations:
        for name in refs(operation.arguments):
            arguments_of[name] = namespace(operation)
        for name in closure(api, refs(operation.arguments)):
            users[name].add(namespace(operation))
    tags = sorted({operation.tag for operation in api.operations}, key=len, reverse=True)

    def home(name: str) -> str:
        if len(users[name]) == 1:
            return next(iter(users[name]))
        return arguments_of.get(name) or _named_after(name, tags)

    return {name: home(name) for name in sorted(users)}


def namespace(operation: Operation) -> str:
    """Return the session attribute of the namespace of an operation."""
    return names.snake(operation.tag)


def in_order(api: Api, wanted: set[str]) -> Iterator[str]:
    """Return `wanted` in an order in which each type follows the types that it refers to."""
    done: set[str] = set()

    def visit(name: str) -> Iterator[str]:
        if name in done or name not in wanted:
            return
        done.add(name)
        kind = api.types[name]
        if isinstance(kind, Record):
            for prop in kind.properties:
                for ref in refs(prop.node):
                    yield from visit(ref)
        yield name

    for name in sorted(wanted):
        yield from visit(name)


def _named_after(name: str, tags: list[str]) -> str:
    bare = name.removeprefix("Nested")
    return next((names.snake(tag) for tag in tags if bare.startswith(tag)), COMMON)
