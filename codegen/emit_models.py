"""Renders `models`: answers of the server as msgspec structs and open enums.

A field is `X` if every server version sends it and never sends null; otherwise it is `X | None =
None`. `History.always_sent` decides which.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from . import emit_secrets, layout, names, wording, writing
from .history import FIRST, History
from .schema import Api, Choice, Enum, FreeForm, ListOf, Node, Property, Record, Ref, Scalar, refs
from .texts import Texts

_SHARED = {
    "enums": "Enums",
    "references": "Structs whose fields contain no structs or enums",
    "shared": "Structs whose fields contain structs or enums",
}
"""Packages of types that several namespaces share, with their docstrings."""


def files(api: Api, history: History, texts: Texts) -> dict[str, str]:
    """Return the text of each file of the package, by path inside the package."""
    modules = layout.models(api)
    members: defaultdict[str, set[str]] = defaultdict(set)
    for name, module in modules.items():
        members[module].add(name)
    made = {
        f"{module.replace('.', '/')}.py": _module(api, history, texts, modules, module, wanted)
        for module, wanted in members.items()
    }
    for package, kind in _SHARED.items():
        made[f"{package}/__init__.py"] = (
            f'"""{kind}. The answers of several namespaces contain them."""\n'
        )
    made |= writing.lazy_package(
        "All structs and enums of answers, by their names in the API; loaded at first use.",
        modules,
    )
    return made


def annotation(node: Node) -> str:
    """Return the annotation of a field whose type in the schema is `node`."""
    match node:
        case Ref(name):
            return name
        case ListOf(items):
            return f"list[{annotation(items)}]"
        case FreeForm():
            return "dict[str, Any]"
        case Choice():
            # The values of inline enums are type names of GraphQL. Servers may add values, so the
            # type is a plain string.
            return "str"
        case Scalar(python):
            return python


def _module(
    api: Api,
    history: History,
    texts: Texts,
    modules: dict[str, str],
    module: str,
    wanted: set[str],
) -> str:
    bodies = [_type(api, history, texts, name) for name in layout.in_order(api, wanted)]
    text = "\n\n".join(bodies)
    imports = set(_imports(api, modules, module, wanted))
    if "Any" in writing.words(text):
        imports.add(("typing", "Any"))
    # The packages in `_SHARED` hold parts of answers.
    what = "Parts of the answers" if "." in module else "Answers"
    return "\n".join(
        [
            f'"""{what} of {layout.subject(module, api)}."""',
            "",
            *writing.import_lines(imports),
            "",
            "",
            text,
        ]
    )


def _imports(
    api: Api, modules: dict[str, str], module: str, wanted: set[str]
) -> Iterator[tuple[str, str]]:
    up = "." * module.count(".")
    for name in wanted:
        kind = api.types[name]
        if isinstance(kind, Enum):
            yield f"..{up}types", "OpenEnum"
            continue
        base = _base(kind)
        yield ("msgspec" if base == "Struct" else f"..{up}types"), base
        for prop in kind.properties:
            for ref in refs(prop.node):
                if ref not in wanted:
                    yield f".{up}{modules[ref]}", ref


def _type(api: Api, history: History, texts: Texts, name: str) -> str:
    kind = api.types[name]
    lines = _enum(history, kind) if isinstance(kind, Enum) else _struct(history, texts, kind)
    return "\n".join(lines) + "\n"


def _enum(history: History, enum: Enum) -> Iterator[str]:
    yield f"class {enum.name}(OpenEnum):"
    yield f'    """Since CloudTower {history.schema_since(enum.name)}."""'
    yield ""
    oldest = history.schema_since(enum.name)
    for value in enum.values:
        since = history.value_since(enum.name, value)
        yield f"    {names.member(value)} = {value!r}{_since(since, oldest)}"
    for alias, member in names.aliases(enum.name, enum.values).items():
        yield f"    {alias} = {member}"


def _struct(history: History, texts: Texts, record: Record) -> Iterator[str]:
    renamed = {
        names.snake(prop.wire): prop.wire
        for prop in record.properties
        if names.snake(prop.wire) != prop.wire
    }
    options = "kw_only=True, frozen=True, gc=False"
    if renamed:
        options += f", rename={renamed!r}"
    oldest = history.schema_since(record.within)
    base = _base(record)
    yield f"class {record.name}({base}, {options}):"
    yield f'    """Since CloudTower {oldest}."""'
    yield ""
    for prop in record.properties:
        field = f"{names.snake(prop.wire)}: {_field(history, record, prop)}"
        yield f"    {field}{_since(history.property_since(record, prop), oldest)}"
        yield from (f"    {line}" for line in wording.below(texts.field(record, prop)))


def _base(record: Record) -> str:
    """Return the name of the base class of a struct."""
    secret = emit_secrets.may_show_one(record)
    if any(prop.wire == "id" for prop in record.properties):
        return "EntityWithSecrets" if secret else "Entity"
    return "HoldsSecrets" if secret else "Struct"


def _field(history: History, record: Record, prop: Property) -> str:
    """Return the annotation and default of a field.

    If the field refers to the struct that contains the field, the annotation is quoted.
    """
    kind = annotation(prop.node)
    default = ""
    if not history.always_sent(record, prop):
        kind, default = (kind if kind == "Any" else f"{kind} | None"), " = None"
    return (f'"{kind}"' if record.name in refs(prop.node) else kind) + default


def _since(since: str, oldest: str) -> str:
    return "" if since in (oldest, FIRST) else f"  # since {since}"
