"""Writes the reference pages of the hand-written code: `python -m codegen.reference`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

from cloudtower_async import errors
from cloudtower_async.api.catalogue import OPERATIONS
from cloudtower_async.calls.modes import changes
from cloudtower_async.calls.plan_effects import PlanAnswer, PlanEffect, effect_of
from cloudtower_async.calls.registry import operation
from cloudtower_async.retry.classify import ACTIONS, RetryAction, RetryActions

from . import emit_docs, tables
from .contents import PAGES, SESSION, anchor, is_error, members, modules, places
from .definitions import ROOT, Definition, Function, all_arguments, ancestors, find, is_record
from .docstrings import Docstring, markdown, parse
from .signatures import Field, fields_of, signature


class Writer:
    """Writer of one page of the reference."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.page = PAGES[name]

    def lines(self) -> Iterator[str]:
        yield from (f"# API: {self.page.title}", "", f"Guides: {self.page.guides}", "")
        for module, names in self.page.names.items():
            yield from (f"Import from `{module}`:", "")
            if self.name == "errors":
                yield from self._tree()
            else:
                for one in names.split():
                    yield f"- [`{one}`](#{anchor(one)}): {self._summary(module, one)}"
            yield ""
        if self.name == "errors":
            yield _ABOUT_ERRORS
        for module, names in self.page.names.items():
            for one in names.split():
                yield from self._entry(module, one)

    def _summary(self, module: str, name: str) -> str:
        definition = find(module, name)
        assert definition
        first = parse(definition.docstring).text.partition("\n\n")[0]
        return self._prose(first, module, name).replace("\n", " ").removesuffix(":")

    def _tree(self) -> Iterator[str]:
        for line in (errors.__doc__ or "").splitlines():
            found = re.match(r"[ │├└─]*(\w+)", line)
            if found and is_error(found[1]):
                one = found[1]
                summary = self._summary(modules()[one], one)
                yield f"{'  ' * len(_bases(one))}- [`{one}`](#{anchor(one)}): {summary}"

    def _entry(self, module: str, name: str, level: str = "##") -> Iterator[str]:
        definition = find(module, name)
        assert definition
        docstring = parse(definition.docstring)
        node = definition.nodes[0]
        yield from (f"{level} {name}", "", "```python")
        for number, one in enumerate(definition.nodes):
            yield from ([""] if number else [])
            yield from signature(definition.module, one, docstring)
        yield from ("```", "")
        if text := docstring.text:
            yield from (self._prose(text, module, name), "")
        if isinstance(node, ast.ClassDef):
            if is_error(name):
                yield from self._advice(name)
            yield from self._fields(definition, docstring, module, name)
        else:
            yield from self._items("Arguments", docstring.items("Args"), module, name)
        for section in ("Returns", "Yields"):
            if told := " ".join(docstring.sections.get(section, "").split()):
                yield from (f"**{section}:** {self._prose(told, module, name)}", "")
        yield from self._items("Raises", docstring.items("Raises"), module, name)
        yield from self._items("Warns", docstring.items("Warns"), module, name)
        if code := docstring.example():
            yield from ("**Example:**", "", "```python", code, "```", "")
        for member in members(module, name):
            yield from self._entry(module, f"{name}.{member}", "###")

    def _items(self, title: str, items: dict[str, str], module: str, name: str) -> Iterator[str]:
        if not items:
            return
        yield from (f"**{title}:**", "")
        for item, text in items.items():
            target = self._target(item, module, "") if title == "Raises" else None
            label = f"[`{item}`]({target})" if target else f"`{item}`"
            yield f"- {label}: {self._prose(text, module, name)}"
        yield ""

    def _fields(
        self, definition: Definition, docstring: Docstring, module: str, name: str
    ) -> Iterator[str]:
        fields = fields_of(definition, docstring)
        if _is_options(definition, name):
            yield from self._table(fields, module, name)
            return
        arguments = docstring.items("Args")
        yield from self._items("Arguments", arguments, module, name)
        fields = [one for one in fields if one.name not in arguments]
        if not fields:
            return
        record = is_record(definition)
        yield from ("**Fields:**" if record else "**Attributes:**", "")
        for one in fields:
            kind = f" (`{one.kind}`)" if one.kind else ""
            default = f" Default: `{one.default}`." if one.default and record else ""
            text = self._prose(" ".join(one.text.split()), module, name)
            yield f"- `{one.name}`{kind}{':' if text or default else ''} {text}{default}".rstrip()
        yield ""

    def _table(self, fields: list[Field], module: str, name: str) -> Iterator[str]:
        """Yield the lines of a table of options."""
        variables = _variables() if name in ("SessionOptions", "EnvironmentOptions") else {}
        rows = [_with_default(one) for one in fields]
        titles = ["Option", "Type", "Default", "Meaning", "Environment variable"]
        columns = [
            [f"`{one.name}`" for one in rows],
            [f"`{one.kind}`" for one in rows],
            [self._prose(one.default, module, name) for one in rows],
            [self._prose(one.text, module, name) for one in rows],
            [f"`{variables[one.name]}`" if one.name in variables else "" for one in rows],
        ]
        table = [
            [title, *column] for title, column in zip(titles, columns, strict=True) if any(column)
        ]
        for number, row in enumerate(zip(*table, strict=True)):
            cells = " | ".join(" ".join(cell.split()).replace("|", r"\|") for cell in row)
            yield f"| {cells} |"
            if not number:
                yield f"| {' | '.join('---' for _ in row)} |"
        yield ""

    def _advice(self, name: str) -> Iterator[str]:
        """Yield sentences that say what to do about an error, and whether the call is retried."""
        error = getattr(errors, name)
        if hint := getattr(error, "default_hint", ""):
            yield from (f"**What to do:** {hint}", "")
        if not issubclass(error, errors.CallError) or name in _BY_STATUS:
            return
        if issubclass(error, errors.OutcomeUnknown):
            yield from ("**Retries:** never retried.", "")
            return
        sent = ACTIONS[error.default_kind]
        unsent = ACTIONS[error.unsent_kind or error.default_kind].query
        if not error("").sent:
            sent = RetryActions(unsent, unsent, unsent)
        if sent.query is sent.mutation or issubclass(error, errors.PagingFailed):
            told = [_retries(sent.query)]
        elif not error.unsent_kind or unsent is sent.mutation:
            told = [f"query: {_retries(sent.query)}", f"mutation: {_retries(sent.mutation)}"]
        elif unsent is sent.query:
            told = [
                f"query: {_retries(unsent)}",
                f"mutation that was not sent: {_retries(unsent)}",
                f"mutation that may have been sent: {_retries(sent.mutation)}",
            ]
        else:
            told = [
                f"call that was not sent: {_retries(unsent)}",
                f"query that may have been sent: {_retries(sent.query)}",
                f"mutation that may have been sent: {_retries(sent.mutation)}",
            ]
        yield from (f"**Retries:** {'; '.join(told)}.", "")

    def _prose(self, text: str, module: str, name: str) -> str:
        return markdown(text, lambda code: self._target(code, module, name))

    def _target(self, code: str, module: str, name: str) -> str | None:
        """Return a link from this page to the documentation of a name, or None."""
        if not re.fullmatch(r"[\w.]+(\(\))?", code):
            return None
        code = code.removesuffix("()")
        owner = name.partition(".")[0]
        # An argument of this entry may have the same name as another member; it gets no link.
        candidates = () if _is_argument(module, name, code) else (code, f"{owner}.{code}")
        for one in candidates:
            if one in places() and one not in (name, owner):
                page, _, fragment = places()[one].partition("#")
                return f"#{fragment}" if page == f"{self.name}.md" else places()[one]
        home = emit_docs.page_of_type(code)
        return None if home is None else f"operations/{home}"


@cache
def _is_argument(module: str, name: str, code: str) -> bool:
    found = find(module, name) if name else None
    return any(
        code in (one.arg for one in all_arguments(node))
        for node in (found.nodes if found else [])
        if isinstance(node, Function)
    )


def _retries(action: RetryAction) -> str:
    return "not retried" if action is RetryAction.RAISE else str(action)


_BY_STATUS = ("CallError", "StatusError", "ServerError", "UnexpectedStatus")


_ABOUT_ERRORS = """\
A failed call raises a subclass of `CallError`. For these errors, **Retries** says which calls the
session retries before it raises the error. If a call is retried, the error is raised after the
last attempt, or when the time is over. [The table of failures](../retries.md) has the details.
"""


def _bases(name: str) -> list[str]:
    """Return the base classes of an error, from its direct base up to the root of the errors."""
    found: list[str] = []
    error = getattr(errors, name)
    while error is not errors.CloudtowerError:
        error = next(one for one in error.__bases__ if issubclass(one, errors.CloudtowerError))
        if error.__name__ in errors.__dict__:
            found.append(error.__name__)
    return found


def _is_options(definition: Definition, name: str) -> bool:
    return name == "RetryPolicy" or "TypedDict" in ancestors(definition)


def _with_default(field: Field) -> Field:
    """If the text of a field ends with the default, move the default to `default`."""
    text, marker, default = field.text.partition("Default:")
    if marker:
        default = " ".join(default.split()).removesuffix(".")
        first, semicolon, rest = default.partition(";")
        return field._replace(text=text.strip(), default=f"{_as_code(first)}{semicolon}{rest}")
    return field._replace(default=_as_code(field.default) if field.default else "")


def _as_code(text: str) -> str:
    return f"``{text}``" if re.fullmatch(r"[\w.,]+", text) else text


@cache
def _variables() -> dict[str, str]:
    """Return the environment variables of options, by name of the option."""
    found = find(ROOT, f"{SESSION}.from_env")
    assert found
    return {
        name.removeprefix("CLOUDTOWER_").lower(): name
        for name in re.findall(r"CLOUDTOWER_\w+", found.docstring)
    }


def _index() -> Iterator[str]:
    """Yield the lines of the index, which lists all names by page."""
    yield from ("# API", "", _ABOUT_INDEX)
    for page, (title, _, names) in PAGES.items():
        yield from (f"## [{title.capitalize()}]({page}.md)", "")
        listed = " ".join(names.values()).split()
        yield ", ".join(f"[`{one}`]({places()[one]})" for one in listed)
        yield ""
    yield _GENERATED_TYPES
    yield from ("```{toctree}", ":hidden:", "", *PAGES, "dry-runs", "```")


def _dry_runs() -> Iterator[str]:
    """Yield the lines of the page `dry-runs.md`: the result of each mutation in plan mode."""
    yield from ("# Mutations in dry runs", "", _ABOUT_DRY_RUNS)
    yield from ("| operation | what it returns in plan mode |", "| --- | --- |")
    for name in sorted(OPERATIONS.values()):
        called = operation(name)
        if changes(called):
            namespace, _, method = name.partition(".")
            page = f"operations/{namespace}.md#{method}"
            yield f"| [`{name}`]({page}) | {_planned(effect_of(called))} |"


def _planned(effect: PlanEffect) -> str:
    """Return the text of a table cell: what a mutation with this effect returns in plan mode."""
    if effect.target is None or effect.struct is None:
        return effect.answer
    kind, struct = effect.target.kind, effect.struct.__name__
    if effect.answer is PlanAnswer.OWNERS:
        return f"the `{struct}` of each matching `{kind}`"
    if effect.answer is PlanAnswer.MATCHES:
        return (
            f"each matching `{kind}`"
            if struct == kind
            else f"a `{struct}` for each matching `{kind}`"
        )
    return effect.answer


_ABOUT_DRY_RUNS = """\
A session with `mutations="plan"` is in plan mode: it sends no mutation. This page lists what each
mutation returns in plan mode. The matching resources are the resources that `where`, or another
argument of the mutation, selects. A placeholder stands for a resource that does not exist yet.
[`PlanEnded`](errors.md#planended) means that the result cannot be known without sending the
mutation. See [Dry runs](../dry-run.md#dry-runs).
"""


_ABOUT_INDEX = """\
All public names of the package. [Operations](api.md) lists the calls of CloudTower, such as
`tower.vm.get_vms`. [Mutations in dry runs](dry-runs.md) lists what each mutation returns in a dry
run.
"""


_GENERATED_TYPES = """\
## Types of arguments and answers

`cloudtower_async.models` contains the types of all answers, and `cloudtower_async.inputs` contains
the types of all arguments. The types have the same names as in the API. The pages of the
[operations](api.md) list the fields of the types.

```python
from cloudtower_async.inputs import VmWhereInput
from cloudtower_async.models import Vm, VmStatus

idle: VmWhereInput = {"status": "STOPPED"}
vms: list[Vm] = await tower.vm.get_vms(where=idle)
assert all(vm.status is VmStatus.STOPPED for vm in vms)
```
"""


def pages() -> dict[str, str]:
    """Return the text of each page, by file name."""
    made = {f"{name}.md": "\n".join(Writer(name).lines()) for name in PAGES}
    made["dry-runs.md"] = "\n".join(_dry_runs())
    made["index.md"] = "\n".join(_index())
    return {name: re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n" for name, text in made.items()}


def write() -> None:
    """Write the pages of the reference, and the generated tables of the guides."""
    for name, text in pages().items():
        (emit_docs.FOLDER / name).write_text(text, encoding="utf-8")
    for name in tables.PAGES:
        guide = emit_docs.FOLDER.parent / name
        guide.write_text(tables.filled_in(guide.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()
