"""Renders `inputs`: the types of arguments, which are TypedDicts and literals.

Filters refer to each other recursively, which is slow for type checkers. For this reason, each
filter has variants with a limited nesting depth. The annotation of a nested filter is such a
variant. Below the maximum depth, type checkers accept any value. At run time, every level is
checked. The variants are in a separate module, which only type checkers read. The keys of a variant
are read-only. Otherwise, type checkers would reject a variable of type `VmWhereInput` as a nested
filter.

Filters are created by calls of `TypedDict`, because type checkers are slower with classes. If a
filter is a class, mypy visits all related types once for each nested filter. If a filter is created
by a call, mypy visits the related types only once.

The annotation of a nested filter does not allow None, although the API allows null. Most type
checkers only report a wrong key in a dict if the annotation is a single TypedDict. Callers pass
`NULL` for null.

The TypedDict with all arguments of a method only exists at run time, because callers pass the
arguments one by one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from itertools import groupby

from . import corrections, layout, names, wording, writing
from .history import History
from .schema import Api, Choice, Enum, FreeForm, ListOf, Node, Property, Record, Ref, Scalar, refs
from .texts import Texts

# Suffixes of the variants of nested filters, by depth: first for a to-one relation, then for
# `_some`, `_every` and `_none`. None: any value.
_DEPTHS = {1: ("2", "2"), 2: ("3", None), 3: (None, None)}
_TO_MANY = ("_some", "_every", "_none")
# Short names for unions that occur thousands of times. Type checkers copy a union each time they
# visit a filter; they do not copy a named type.
_MAYBE = {
    "str": "MaybeStr",
    "int": "MaybeInt",
    "float": "MaybeFloat",
    "bool": "MaybeBool",
    "Texts": "MaybeTexts",
    "Date": "MaybeDate",
    "Dates": "MaybeDates",
    "Sequence[int]": "MaybeInts",
    "Sequence[float]": "MaybeFloats",
    "Mapping[str, Any]": "MaybeMapping",
    "Sequence[Mapping[str, Any]]": "MaybeMappings",
}
# Suffixes of filter keys. In the generated code, all keys of a field are on one line.
_OPERATOR = re.compile(
    r"_(?:every|some|none|(?:not_)?(?:in|contains|starts_with|ends_with)|not|lte?|gte?)$"
)
# Clause of a text that says what None means: `; None means no limit`.
_NONE = re.compile(r"; None [^.;]+(?=\.)")
_ANYTHING = "Mapping[str, Any]"
# At run time, each variant is the filter itself.
_NESTED = '''"""Types of nested filters: variants of limited depth, for type checkers."""

from .. import inputs


def __getattr__(name: str) -> object:
    if not name.endswith(("WhereInput2", "WhereInput3")):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(inputs, name[:-1])
'''


def files(api: Api, history: History, texts: Texts) -> dict[str, str]:
    """Return the text of each file of the package, by path inside the package."""
    modules = layout.inputs(api)
    members: defaultdict[str, list[str]] = defaultdict(list)
    for name, module in modules.items():
        members[module].append(name)
    answered = layout.models(api)
    made = {
        f"{module}.py": _module(api, history, texts, modules, answered, module, wanted)
        for module, wanted in members.items()
    }
    made |= writing.lazy_package(
        "All types of arguments, by their names in the API; loaded at first use.", modules
    )
    made["nested.py"] = _NESTED
    made["nested.pyi"] = _nested(api, modules)
    made["older.py"] = _older(history, modules)
    made["newer.py"] = _newer(api, history, modules)
    return made


def _older(history: History, modules: dict[str, str]) -> str:
    """Return the text of `older.py`: keys that newer servers lack, or that got another type."""
    keys = {name: history.removed(name) for name in modules}
    for name, key in corrections.CHANGED_KEYS:
        if name in keys:
            keys[name].add(key)
    rows = "\n".join(
        f"    {name!r}: frozenset({{{', '.join(map(repr, sorted(found)))}}}),"
        for name, found in sorted(keys.items())
        if found
    )
    return f'''"""Keys of input types that newer servers lack, or expect with another type."""

OLDER: dict[str, frozenset[str]] = {{
{rows}
}}
'''


def _newer(api: Api, history: History, modules: dict[str, str]) -> str:
    """Return the text of `newer.py`: keys that were added to a type after its first version."""
    rows = "\n".join(
        f"    {record.name!r}: {found!r},"
        for record in map(api.types.get, sorted(modules))
        if isinstance(record, Record) and (found := _keys_since(history, record))
    )
    return f'''"""Keys that later CloudTower versions added to input types, by type and version."""

NEWER: dict[str, dict[str, str]] = {{
{rows}
}}
'''


def _keys_since(history: History, record: Record) -> dict[str, str]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for prop in record.properties:
        found[history.property_since(record, prop)].append(prop.wire)
    found.pop(history.schema_since(record.within), None)
    return {since: " ".join(keys) for since, keys in sorted(found.items())}


def annotation(node: Node, local: Collection[str] = (), listed: str = "Sequence") -> str:
    """Return the annotation of an argument whose type in the schema is `node`.

    `local` contains the names of the types that the generated module defines itself. `listed` is
    the generic type for lists.
    """
    match node:
        case Ref(name):
            return name if name in local else f"inputs.{name}"
        case ListOf(Scalar("str", is_date=is_date)) if listed == "Sequence":
            return "Dates" if is_date else "Texts"
        case ListOf(items):
            return f"{listed}[{annotation(items, local, listed)}]"
        case FreeForm():
            return _ANYTHING
        case Choice(values):
            return _literal(values)
        case Scalar(python, is_date=is_date):
            return "Date" if is_date else python


def scaffolding(text: str) -> Iterator[tuple[str, str]]:
    """Yield (module, name) for each name in `text` that needs an import, such as `Any`."""
    words = writing.words(text)
    for module, name in (
        ("collections.abc", "Mapping"),
        ("collections.abc", "Sequence"),
        ("typing", "Any"),
        ("typing", "Literal"),
        ("typing", "Required"),
        ("typing", "TypeAlias"),
        ("typing", "TypedDict"),
        ("..any_of", "AnyOf"),
        ("..types", "Texts"),
        ("..types", "Date"),
        ("..types", "Dates"),
        *(("..types", name) for name in _MAYBE.values()),
        ("..types", "FileContent"),
    ):
        if name in words:
            yield module, name


def _module(
    api: Api,
    history: History,
    texts: Texts,
    modules: dict[str, str],
    answered: dict[str, str],
    module: str,
    wanted: list[str],
) -> str:
    enums = [kind for name in wanted if isinstance(kind := api.types[name], Enum)]
    records = [kind for name in wanted if isinstance(kind := api.types[name], Record)]
    lines = [_enum(enum, enum.name in answered) for enum in enums]
    whole = _taken_apart(api)
    for record in records:
        if record.name not in whole:
            lines += ["", *_record(history, texts, record, wanted), ""]
    hidden = [
        line
        for record in records
        if record.name in whole
        for line in (*_record(history, Texts({}), record, wanted), "")
    ]
    opaque = [
        f'{record.name}: TypeAlias = "{_ANYTHING}"' for record in records if record.name in whole
    ]
    text = "\n".join(lines)
    imports = set(scaffolding("\n".join([text, *opaque, *hidden])))
    imports |= set(_packages(text, "\n".join(hidden)))
    if opaque:
        imports.add(("typing", "TYPE_CHECKING"))
    return "\n".join(
        [
            f'"""Arguments of {layout.subject(module, api)}."""',
            "",
            *writing.import_lines(imports),
            "",
            text,
            *(["if TYPE_CHECKING:"] if opaque else []),
            *(f"    {line}" for line in opaque),
            *(["else:"] if hidden else []),
            *(f"    {line}" for line in hidden),
        ]
    )


def _taken_apart(api: Api) -> set[str]:
    """Return the records that only occur as the body of an operation."""
    inside = {
        ref
        for kind in api.types.values()
        if isinstance(kind, Record)
        for prop in kind.properties
        for ref in refs(prop.node)
    }
    whole = {op.arguments.name for op in api.operations if isinstance(op.arguments, Ref)}
    listed = {
        ref
        for op in api.operations
        if isinstance(op.arguments, ListOf)
        for ref in refs(op.arguments)
    }
    return whole - inside - listed


def _packages(text: str, hidden: str) -> Iterator[tuple[str, str]]:
    """Yield (module, name) pairs for the imports of `inputs`, `models` and `nested`.

    An import that type checkers would report as unused is written as ``name as name``, which marks
    it as exported. Such an import is still needed when annotations are evaluated at run time.
    """
    for module, name in (("..", "inputs"), ("..", "models"), (".", "nested")):
        mention = re.compile(rf"\b{name}\.[A-Z]")
        if mention.search(text):
            yield module, name
        elif mention.search(hidden) or (name == "models" and "inputs." in text + hidden):
            yield module, f"{name} as {name}"


def _enum(enum: Enum, answered: bool) -> str:
    literal = _literal(enum.values)
    if answered:
        literal = f'AnyOf[{literal}, "models.{enum.name}"]'
    return f"{enum.name}: TypeAlias = {literal}"


def _record(
    history: History, texts: Texts, record: Record, local: Collection[str]
) -> Iterator[str]:
    keys = list(_keys(history, record, local))
    docstring = f'"""Since CloudTower {history.schema_since(record.within)}."""'
    if is_filter(record.name) or not _fits_a_class(record):
        yield "# fmt: off"
        yield f'{record.name} = TypedDict("{record.name}", {{'
        told = {} if is_filter(record.name) else _texts(texts, record)
        for (_, note), group in groupby(keys, lambda key: (_OPERATOR.sub("", key[0]), key[2])):
            same = list(group)
            if text := told.get(same[0][0]):
                yield f"    # {text}"
            entries = ", ".join(f'"{wire}": {kind}' for wire, kind, _ in same)
            yield f"    {entries},{note}"
        yield "}, total=False)"
        yield "# fmt: on"
        yield docstring
    else:
        yield f"class {record.name}(TypedDict, total=False):"
        yield f"    {docstring}"
        yield ""
        for prop, (wire, kind, note) in zip(record.properties, keys, strict=True):
            yield f"    {wire}: {kind}{note}"
            yield from (f"    {line}" for line in wording.below(_text(texts, record, prop)))


def _texts(texts: Texts, record: Record) -> dict[str, str]:
    """Return the texts of the keys of a record, by key. Keys without a text are omitted."""
    found = {prop.wire: _text(texts, record, prop) for prop in record.properties}
    return {key: text for key, text in found.items() if text}


def _text(texts: Texts, record: Record, prop: Property) -> str:
    """Return the text of a key. If the key does not accept None, leave out what None means."""
    text = texts.field(record, prop)
    return text if prop.nullable else _NONE.sub("", text)


def _keys(
    history: History, record: Record, local: Collection[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield each key with its annotation and a comment, such as `  # since 4.0.0`."""
    oldest = history.schema_since(record.within)
    for prop in record.properties:
        since = history.property_since(record, prop)
        notes = [prop.node.bounds] if isinstance(prop.node, Scalar | ListOf) else []
        notes += [f"since {since}"] if since != oldest else []
        notes += ["deprecated"] if prop.deprecated else []
        said = ", ".join(note for note in notes if note)
        kind = _or_none(record, prop, _at_depth(prop, 1, local))
        yield prop.wire, _key(prop, kind), f"  # {said}" if said else ""


def _nested(api: Api, modules: dict[str, str]) -> str:
    """Render the stub with the variants of filters.

    Each variant comes after the types to which it refers.
    """
    filters = [
        kind for name in modules if is_filter(name) and isinstance(kind := api.types[name], Record)
    ]
    lines = [line for depth in (3, 2) for record in filters for line in _variant(record, depth)]
    text = "\n".join(lines)
    imports = set(scaffolding(text))
    imports.add(("typing_extensions", "ReadOnly"))  # type checkers depend on typing_extensions
    head = [*writing.import_lines(imports), "", "from .. import inputs", "", "# fmt: off"]
    return "\n".join([*head, *lines])


def _variant(record: Record, depth: int) -> Iterator[str]:
    """Yield the lines of the variant of a filter for nesting level `depth`, which is 2 or 3.

    The variant for level 2 is a class. It inherits from the variant for level 3, and replaces the
    types of some keys. If a key is not possible in a class, the variant is created by a call.
    """
    name = f"{record.name}{depth}"
    if depth == 3 or not _fits_a_class(record):
        keys = ", ".join(f'"{p.wire}": {_variant_key(record, p, depth)}' for p in record.properties)
        yield f'{name} = TypedDict("{name}", {{{keys}}}, total=False)'
        return
    narrower = [p for p in record.properties if _at_depth(p, depth) != _at_depth(p, 3)]
    yield f"class {name}({record.name}3, total=False):"
    yield from (f"    {prop.wire}: {_variant_key(record, prop, depth)}" for prop in narrower)
    yield "" if narrower else "    pass"


def _fits_a_class(record: Record) -> bool:
    return all(names.is_key(prop.wire) for prop in record.properties)


def _key(prop: Property, kind: str) -> str:
    """Mark the annotation of a required key. Put an annotation that names other types in quotes."""
    if any(True for _ in refs(prop.node)):
        kind = f'"{kind}"'
    return f"Required[{kind}]" if prop.required else kind


def _variant_key(record: Record, prop: Property, depth: int) -> str:
    """Return the annotation of a key in the variant of a filter for nesting level `depth`."""
    kind = _or_none(record, prop, _at_depth(prop, depth))
    return f"ReadOnly[{kind}]" if _is_nested(prop) else kind


def _or_none(record: Record, prop: Property, kind: str) -> str:
    """Add None to an annotation if the API allows null, unless the type is a nested filter."""
    inside = is_filter(record.name) and _is_nested(prop) and kind not in _MAYBE
    return (_MAYBE.get(kind) or f"{kind} | None") if prop.nullable and not inside else kind


def _at_depth(prop: Property, depth: int, local: Collection[str] = ()) -> str:
    """Return the annotation of a property. `depth` is the nesting level of its record, from 1."""
    inner = _inner(prop)
    if inner is None:
        return annotation(prop.node, local)
    if prop.wire in ("AND", "OR", "NOT"):
        # Below the first level, a type must not refer to itself, because pyright takes minutes to
        # compare such types.
        kind = annotation(Ref(inner), local) if depth == 1 else _ANYTHING
    else:
        below = _DEPTHS[depth][prop.wire.endswith(_TO_MANY)]
        kind = _ANYTHING if below is None else f"{inner}{below}"
        if depth == 1:
            kind = f"nested.{kind}"
    return f"Sequence[{kind}]" if isinstance(prop.node, ListOf) else kind


def _is_nested(prop: Property) -> bool:
    return _inner(prop) is not None


def _inner(prop: Property) -> str | None:
    """If a property is a filter or a list of filters, return the name of the filter, else None."""
    node = prop.node.items if isinstance(prop.node, ListOf) else prop.node
    return node.name if isinstance(node, Ref) and is_filter(node.name) else None


def is_filter(name: str) -> bool:
    """Return whether the record with this name is a filter of resources."""
    return name.endswith("WhereInput")


def _literal(values: tuple[str, ...]) -> str:
    return f"Literal[{', '.join(repr(value) for value in values)}]"
