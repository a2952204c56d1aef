"""Layout of the generated code: the module of each type.

A type that only one namespace uses is in the module of the namespace. Related namespaces share a
module (see `families`). For types that several namespaces use, there are these rules:

- Enums are grouped by the first word of their names: `enums.vm`. An enum whose first word no other
  enum has is in `enums.common`.
- Structs that contain other types are also grouped by the first word of their names: `shared.vm`.
- Most other structs contain only the id and the name of a resource. They are grouped by subject:
  `references.storage`. There are few such modules, because loading a module takes as long as
  creating six structs. Structs that many namespaces need are in `references.common`.
- If a type contains all arguments of an operation, it is in the module of the operation's
  namespace. If the name of another type in arguments begins with the name of a namespace, it is in
  the module of this namespace. All other types in arguments are in `common`.

Types of arguments refer to each other in cycles, but only for type checkers. At run time, loading a
module of `inputs` never loads another module of `inputs`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from keyword import iskeyword
from posixpath import commonpath

from . import names
from .refusals import SchemaError
from .schema import Api, Enum, Node, Operation, Record, Ref, closure, refs

WITH_TASK = "WithTask_"
COMMON = "common"
# A struct without other types is in `references.common` if at least this number of namespaces needs
# it.
_MANY = 6
# Subject -> first words of the names of its structs. Any other first word is a subject by itself.
_SUBJECTS = {
    "compute": "alert cloud content elf frozen label nic report template user vds vlan vm",
    "devices": "cpu gpu pmem usb vgpu",
    "network": "everoute isolation security virtual vpc",
    "protection": "backup external replica replication sync",
    "storage": "business consistency disk iscsi namespace nfs nvmf snapshot",
    "topology": "brick cluster datacenter node rack witness zone",
}
_SUBJECT_OF = {word: subject for subject, words in _SUBJECTS.items() for word in words.split()}


def families(namespaces: Iterable[str]) -> dict[str, str]:
    """Return, for each namespace, the name of the module that contains its types.

    The package `models` and the package `inputs` use the same module names. Namespaces whose names
    begin with the same word share a module. The name of the module is the common beginning of the
    names. Modules are shared because small modules make the wheel large: each module is compressed
    separately. `vm` does not share its module, because most programs load it.
    """
    by_word: defaultdict[str, list[str]] = defaultdict(list)
    for namespace in sorted(set(namespaces) - {"vm"}):
        by_word[namespace.partition("_")[0]].append(namespace)
    made = {"vm": "vm"}
    for related in by_word.values():
        name = _common_words(related)
        name = "vm_related" if name == "vm" else f"{name}_" if iskeyword(name) else name
        made |= dict.fromkeys(related, name)
    return made


def subject(module: str, api: Api) -> str:
    """Return text for a module's docstring: which namespaces use the types in the module."""
    shared = families(map(namespace, api.operations))
    match [one for one in shared if shared[one] == module]:
        case []:
            return "several namespaces"
        case [one]:
            return f"`tower.{one}`"
        case several:
            common = _common_words(several)
            return f"the namespaces `{common}{'*' if common in several else '_*'}`"


def _common_words(namespaces: list[str]) -> str:
    """Return the words with which all names begin, joined by underscores."""
    return commonpath([one.replace("_", "/") for one in namespaces]).replace("/", "_")


def is_connection(api: Api, name: str) -> bool:
    """Return whether a schema has only the field `aggregate.count`, the number of resources."""
    node: Node = Ref(name)
    for wire in ("aggregate", "count"):
        record = api.record(node)
        if record is None or [prop.wire for prop in record.properties] != [wire]:
            return False
        node = record.properties[0].node
    return True


def task_data(api: Api, name: str) -> Node:
    """Return the type of `data` in a `WithTask_…` schema."""
    record = api.record(Ref(name))
    assert record is not None
    return next(prop.node for prop in record.properties if prop.wire == "data")


def own_types(api: Api, answer: Node) -> Iterator[str]:
    """Yield the types in an answer. `WithTask_…` is replaced by the type of its field `data`.

    The answer of an operation that counts resources yields no types.
    """
    for name in refs(answer):
        if name.startswith(WITH_TASK):
            yield from own_types(api, task_data(api, name))
        elif not is_connection(api, name):
            yield name


def models(api: Api) -> dict[str, str]:
    """Return a dict from each type in answers to its module in the package `models`."""
    users: defaultdict[str, set[str]] = defaultdict(set)
    for operation in api.operations:
        for name in closure(api, own_types(api, operation.answer)):
            users[name].add(namespace(operation))
    module = families(map(namespace, api.operations))
    modules = {
        name: module[next(iter(used_by))] if len(used_by) == 1 else _shared(api, name, len(used_by))
        for name, used_by in sorted(users.items())
    }
    sizes = Counter(modules.values())
    modules |= {
        name: f"enums.{COMMON}"
        for name, home in modules.items()
        if home.startswith("enums.") and sizes[home] == 1
    }
    _check_order(api, modules)
    return modules


def _shared(api: Api, name: str, used_by: int) -> str:
    """Return the module of a type that answers of several namespaces contain."""
    word = names.snake(name.removeprefix("Nested")).partition("_")[0]
    if isinstance(api.types[name], Enum):
        return f"enums.{word}"
    if _held(api, name):
        return f"shared.{word}"
    return f"references.{COMMON if used_by >= _MANY else _SUBJECT_OF.get(word, word)}"


def _held(api: Api, name: str) -> set[str]:
    """Return the types to which an answer type refers, without the type itself."""
    kind = api.types[name]
    properties = kind.properties if isinstance(kind, Record) else ()
    return {ref for one in properties for ref in refs(one.node)} - {name}


def _check_order(api: Api, modules: dict[str, str]) -> None:
    """Check that no modules import each other.

    :raises SchemaError: if modules import each other.
    """
    if _circle({name: _held(api, name) for name in modules}):
        return  # types refer to each other, which `conflicts` reports
    imports: defaultdict[str, set[str]] = defaultdict(set)
    for name, module in modules.items():
        imports[module] |= {modules[ref] for ref in _held(api, name)} - {module}
    if circle := _circle(imports):
        path = " -> ".join(f"models.{module}" for module in circle)
        raise SchemaError(
            f"{path}: these modules would import each other; group their types otherwise in"
            " codegen/layout.py"
        )


def _circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the nodes of a cycle in a graph, or an empty list if there is no cycle."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        nodes: list[str] = error.args[1]
        return nodes
    return []


def inputs(api: Api) -> dict[str, str]:
    """Return a dict from each type in arguments to its module in the package `inputs`."""
    users: defaultdict[str, set[str]] = defaultdict(set)
    arguments_of: dict[str, str] = {}
    for operation in api.operations:
        for name in refs(operation.arguments):
            arguments_of[name] = namespace(operation)
        for name in closure(api, refs(operation.arguments)):
            users[name].add(namespace(operation))
    tags = sorted({operation.tag for operation in api.operations}, key=len, reverse=True)
    module = families(map(namespace, api.operations))

    def home(name: str) -> str:
        if len(users[name]) == 1:
            return next(iter(users[name]))
        return arguments_of.get(name) or _named_after(name, tags)

    return {name: module.get(home(name), COMMON) for name in sorted(users)}


def namespace(operation: Operation) -> str:
    """Return the name of an operation's namespace, which is an attribute of sessions."""
    return names.snake(operation.tag)


def in_order(api: Api, wanted: set[str]) -> Iterator[str]:
    """Yield the types in `wanted`, so that each type follows the types to which it refers."""
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
