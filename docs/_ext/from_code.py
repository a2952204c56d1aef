"""Directives that generate parts of the pages from the code, and names for the reference."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from cloudtower_async.api.catalogue import OPERATIONS
from cloudtower_async.calls.modes import changes
from cloudtower_async.calls.plan_effects import effect_of
from cloudtower_async.calls.registry import operation
from cloudtower_async.testing import Simulator

sys.path.append(str(Path(__file__).parents[2]))  # for `codegen`
from codegen.contents import public_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx
    from sphinx.domains.python import PythonDomain


class _Markdown(SphinxDirective):
    """Directive that is replaced with the Markdown in `lines`.

    The content of the directive is shown to readers of the Markdown source only.
    """

    has_content: ClassVar[bool] = True

    def lines(self) -> Iterator[str]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        self.content = StringList(list(self.lines()), self.get_source_info()[0])
        return self.parse_content_to_nodes()


class PlannedAnswers(_Markdown):
    """Table of the answers of mutations in plan mode."""

    def lines(self) -> Iterator[str]:
        up = "../" * self.env.docname.count("/")
        yield from ("| operation | in plan mode it answers with |", "| --- | --- |")
        for name in sorted(OPERATIONS.values()):
            called = operation(name)
            if changes(called):
                namespace, _, method = name.partition(".")
                page = f"{up}reference/operations/{namespace}.md#{method}"
                yield f"| [`{name}`]({page}) | {effect_of(called).answer} |"


class Unmodelled(_Markdown):
    """The operations that the simulator does not model."""

    def lines(self) -> Iterator[str]:
        paths = {name: path for path, name in OPERATIONS.items()}
        unmodelled = Simulator().unmodelled()
        yield f"{len(unmodelled)} of the {len(paths)} operations are answered with HTTP 501:"
        yield from ("", "| operation | path |", "| --- | --- |")
        for name in unmodelled:
            yield f"| `{name}` | `{paths[name]}` |"


def name_objects(app: Sphinx, doctree: nodes.document) -> None:
    """Register the headings of the reference pages as Python objects.

    The search finds the objects, and other projects can link to them. Each heading has its name
    as an id: `#cloudtower.with_options`.
    """
    page = app.env.docname
    if page.rpartition("/")[0] != "reference" or page == "reference/api":
        return
    domain = cast("PythonDomain", app.env.get_domain("py"))
    public = {one.name: one for one in public_names()}
    for section in doctree.findall(nodes.section):
        title = section[0].astext()
        if one := public.get(title):
            node_id = title.lower()
            if node_id not in section["ids"]:
                section["ids"].append(node_id)
            domain.note_object(f"{one.module}.{one.name}", one.kind, node_id, location=section)


def leave_out_of_contents(app: Sphinx, doctree: nodes.document) -> None:
    """Mark the pages of operations as orphans: in a table of contents, they make pages slow."""
    name = app.env.docname
    if name.startswith("reference/operations/"):
        app.env.metadata[name]["orphan"] = True


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("planned-answers", PlannedAnswers)
    app.add_directive("unmodelled", Unmodelled)
    app.connect("doctree-read", leave_out_of_contents)
    app.connect("doctree-read", name_objects)
    return {"parallel_read_safe": True}
