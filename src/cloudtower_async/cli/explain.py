"""The command ``explain``: print documentation of resources, fields, operations and arguments."""

from __future__ import annotations

import inspect
import shutil
import textwrap
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from ..calls import registry
from ..calls.arg_types import arguments_of, key_since, keys_of_answers, member
from ..calls.operation import Kind
from .columns import find_field, struct_in
from .errors import UsageError
from .field_docs import field_docs
from .language import mark, tr
from .resource_names import find_method, find_topic, unknown_topic, verb_methods
from .similar_names import did_you_mean
from .streams import write_output
from .type_names import argument_type_name, struct_type_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..calls.arg_types import ArgType, Record
    from ..calls.operation import Operation
    from .field_docs import FieldDoc

NO_SOURCES = mark(
    "The sources of the package are not installed, so the descriptions of fields are missing."
)
"""Text in place of the documentation if an application was frozen without sources."""

_MAX_WIDTH = 100  # columns

_OPERATORS = {
    "": mark("equals"),
    "not": mark("does not equal"),
    "in": mark("is one of"),
    "not_in": mark("is none of"),
    "lt": mark("is less than"),
    "lte": mark("is at most"),
    "gt": mark("is greater than"),
    "gte": mark("is at least"),
    "contains": mark("contains"),
    "not_contains": mark("does not contain"),
    "starts_with": mark("begins with"),
    "not_starts_with": mark("does not begin with"),
    "ends_with": mark("ends with"),
    "not_ends_with": mark("does not end with"),
    "every": mark("all of them match a filter"),
    "some": mark("at least one of them matches a filter"),
    "none": mark("none of them matches a filter"),
}
"""Meanings of the suffixes of keys in filters."""

_EFFECTS = {
    Kind.QUERY: mark("reads"),
    Kind.MUTATION: mark("changes the server"),
    Kind.UPLOAD: mark("uploads a file"),
}


def explain(*topic: str) -> None:
    """Explain a resource, a field, an operation or an argument. Needs no server.

    Args:
        topic: A resource (vm) to list its fields, a field (vm.memory) to list its filters, an
            operation (create-vm or vm start) to list its arguments, or an argument
            (create-vm.vm_disks).
    """
    if not topic:
        raise UsageError(
            tr(
                "explain: pass a resource, a field or an operation: vm, vm.memory, "
                "create-vm; `cloudtower-async resources` lists the resources"
            )
        )
    lines = list(_page(topic))
    write_output(("\n".join(lines) + "\n").encode())


def _page(topic: Sequence[str]) -> Iterator[str]:
    first, *words = topic
    if words:
        methods = verb_methods(first, words)
        if len(methods) == 1:
            return _operation(methods[0], [])
        if methods:
            return _operations(tr("Operations like `{words}`:", words=" ".join(topic)), methods)
        if find_topic(first) is None or len(words) > 1:
            raise UsageError(f"explain: {unknown_topic(' '.join(topic))}")
        first = ".".join(topic)  # the second word is a field: ``vm memory``
    parts = first.split(".")
    for end in range(len(parts), 0, -1):
        if method := find_method(".".join(parts[:end])):
            return _operation(method, parts[end:])
    if method := find_topic(parts[0]):
        return _resource(method, parts[0], parts[1:])
    raise UsageError(f"explain: {unknown_topic(parts[0])}")


def _resource(method: str, name: str, path: Sequence[str]) -> Iterator[str]:
    """Yield lines that explain a resource, or the field at the end of `path`."""
    operation = registry.operation(method)
    [kind] = get_args(operation.answer())
    if not path:
        query = operation.path.lstrip("/")
        yield from _wrapped(
            tr(
                "{name}: {kind}, read by {query} ({method})",
                name=name,
                kind=kind.__name__,
                query=query,
                method=method,
            ),
            0,
            4,
        )
        yield from _class_text(kind)
        yield ""
        yield tr("Fields:")
        yield from _struct_fields(kind)
        yield ""
        yield from _operations(
            tr("Operations:"),
            sorted(one.name for one in registry.operations_in(_namespace(method))),
        )
        yield ""
        yield from _wrapped(
            tr(
                "`cloudtower-async explain {name}.FIELD` also shows the filters of a field.",
                name=name,
            ),
            0,
        )
        return
    inner, known = kind, [name]
    for place, part in enumerate(path):
        field = find_field(inner, part)
        if field is None:
            names = [one.name for one in msgspec.structs.fields(inner)]
            raise UsageError(
                tr(
                    "explain: {path} has no field {part!r}{meant}",
                    path=".".join(known),
                    part=part,
                    meant=did_you_mean(part, names),
                )
            )
        known.append(field.name)
        deeper = struct_in(field.type)
        if place == len(path) - 1:
            doc = (field_docs(inner) or {}).get(field.name)
            head = _head(".".join(known), struct_type_name(field.type), doc and doc.since)
            yield from _wrapped(head, 0, 4)
            yield from _doc(doc, field_docs(inner) is None)
            yield from _filters(operation, path)
            yield from _order(operation, path, field.encode_name)
            if deeper is not None:
                yield ""
                yield tr("Fields:")
                yield from _struct_fields(deeper)
        elif deeper is None:
            raise UsageError(tr("explain: {path} has no fields", path=".".join(known)))
        else:
            inner = deeper


def _operation(method: str, path: Sequence[str]) -> Iterator[str]:
    """Yield lines that explain an operation, or its argument at `path` if that is not empty."""
    operation = registry.operation(method)
    name = operation.path.lstrip("/")
    found = arguments_of(operation)
    if path:
        yield from _argument(name, found, path)
        return
    effect = tr(
        "{effect}, since CloudTower {version}",
        effect=tr(_EFFECTS[operation.kind]),
        version=operation.since,
    )
    yield from _wrapped(f"{name} ({method}): {effect}", 0, 4)
    yield from _wrapped(_summary(method), 4)
    record = found.record or (found.item.record if found.item else None)
    if record is not None:
        yield ""
        yield tr("Arguments, in a list of objects:") if found.item else tr("Arguments:")
        yield from _record_fields(record)
        required = sorted(record.__required_keys__)
        example = ", ".join(f'"{key}": …' for key in required)
        body = f"[{{{example}}}]" if found.item else f"{{{example}}}"
        yield ""
        yield tr("Example:") + f"\n  cloudtower-async call {name} '{body}'"
    elif operation.body is None:
        yield ""
        yield tr("It takes no arguments:") + f"\n  cloudtower-async call {name}"


def _argument(name: str, found: ArgType, path: Sequence[str]) -> Iterator[str]:
    known = [name]
    for place, part in enumerate(path):
        inner = found.item if found.item is not None else found
        record = inner.record
        if record is None:
            raise UsageError(tr("explain: {path} has no keys", path=".".join(known)))
        argument = member(record, part)
        if argument is None:
            meant = did_you_mean(part, record.__annotations__)
            raise UsageError(
                tr(
                    "explain: {path} has no key {part!r}{meant}",
                    path=".".join(known),
                    part=part,
                    meant=meant,
                )
            )
        known.append(part)
        found = argument
        if place == len(path) - 1:
            docs = field_docs(record)
            head = _head(
                ".".join(known),
                argument_type_name(argument),
                key_since(record, part),
                required=part in record.__required_keys__,
            )
            yield from _wrapped(head, 0, 4)
            yield from _doc((docs or {}).get(part), docs is None)
    inner = found.item if found.item is not None else found
    if inner.record is not None:
        yield ""
        yield tr("Keys:")
        yield from _record_fields(inner.record)


def _operations(heading: str, methods: Sequence[str]) -> Iterator[str]:
    yield heading
    for method in methods:
        path = registry.operation(method).path.lstrip("/")
        yield f"  {path}"
        yield from _wrapped(_summary(method).partition(". ")[0].rstrip(".") + ".", 6)


def _summary(method: str) -> str:
    """Return the description of an operation: the first paragraph of its docstring."""
    namespace, _, name = method.partition(".")
    documented: str | None = getattr(registry.namespace_class(namespace), name).__doc__
    text = inspect.cleandoc(documented or "").partition("\n\n")[0]
    return " ".join(text.split()) or tr("No documentation: Python ran with -OO.")


def _struct_fields(kind: type[msgspec.Struct]) -> Iterator[str]:
    docs = field_docs(kind)
    if docs is None:
        yield from _wrapped(tr(NO_SOURCES), 2)
    for field in msgspec.structs.fields(kind):
        doc = (docs or {}).get(field.name)
        yield from _entry(field.name, struct_type_name(field.type), doc and doc.since, doc)


def _record_fields(record: Record) -> Iterator[str]:
    docs: Mapping[str, FieldDoc] | None = field_docs(record)
    if docs is None:
        yield from _wrapped(tr(NO_SOURCES), 2)
    required = record.__required_keys__
    for key in sorted(record.__annotations__, key=lambda key: key not in required):
        found = member(record, key)
        kind = tr("anything") if found is None else argument_type_name(found)
        doc = (docs or {}).get(key)
        yield from _entry(key, kind, key_since(record, key), doc, required=key in required)


def _entry(
    name: str, kind: str, since: str | None, doc: FieldDoc | None, *, required: bool = False
) -> Iterator[str]:
    yield from _wrapped(_head(name, kind, since, required=required), 2, 4)
    if doc is not None and doc.text:
        yield from _wrapped(doc.text, 6)


def _head(name: str, kind: str, since: str | None, *, required: bool = False) -> str:
    parts = [f"{name}: {kind}"]
    if required:
        parts.append(tr("required"))
    if since:
        parts.append(tr("since {version}", version=since))
    return "; ".join(parts)


def _doc(doc: FieldDoc | None, missing: bool) -> Iterator[str]:
    yield from _wrapped(tr(NO_SOURCES) if missing else doc.text if doc else "", 4)


def _class_text(kind: type[Any]) -> Iterator[str]:
    yield from _wrapped(" ".join((kind.__doc__ or "").split()), 4)


def _filters(operation: Operation[object], path: Sequence[str]) -> Iterator[str]:
    """Yield lines with the keys that ``--where`` accepts for a field, and with their meanings."""
    record = arguments_of(operation).record
    found = None if record is None else member(record, "where")
    before = ""
    for part in path[:-1]:
        name = _key(found, part)
        found = None if found is None or name is None else member(found.record, name)
        before += f"{name}."
    if found is None or found.record is None:
        return
    name = _spelling(found, path[-1])
    rows = [
        (f"{before}{key}", tr(meaning))
        for suffix, meaning in _OPERATORS.items()
        if (key := f"{name}_{suffix}" if suffix else name) in found.record.__annotations__
    ]
    if not rows:
        return
    yield ""
    yield tr("Filters, for --where KEY=VALUE:")
    width = max(len(key) for key, _ in rows)
    for key, meaning in rows:
        own = member(found.record, key.rpartition(".")[2])
        if own is not None and own.is_filter:
            same = key[len(before) :] == name
            meaning = f"{tr('matches a filter') if same else meaning}: {key}.KEY"
        yield f"  {key:{width}}  {meaning}"


def _key(found: ArgType | None, part: str) -> str | None:
    """Return the filter key of a related resource: ``vm_disks_some`` for ``vm_disks``.

    Return None if the filter has no such key.
    """
    if found is None or found.record is None:
        return None
    name = _spelling(found, part)
    return next((key for key in (name, f"{name}_some") if member(found.record, key)), None)


def _spelling(found: ArgType, part: str) -> str:
    """Return the filter key of a field: ``entityAsyncStatus`` for ``entity_async_status``."""
    if part in found.record.__annotations__:
        return part
    return keys_of_answers(found.record).get(part, part)


def _order(operation: Operation[object], path: Sequence[str], name: str) -> Iterator[str]:
    record = arguments_of(operation).record
    found = None if record is None else member(record, "orderBy")
    if found is not None and len(path) == 1 and f"{name}_ASC" in found.choices:
        yield ""
        yield tr("Order: --order-by {name} or {name}_DESC", name=name)


def _namespace(method: str) -> str:
    return method.partition(".")[0]


def _wrapped(text: str, indent: int, later: int | None = None) -> list[str]:
    width = min(shutil.get_terminal_size().columns, _MAX_WIDTH)
    return textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent if later is None else later),
        break_long_words=False,
        break_on_hyphens=False,
    )
