"""Registers the names on the reference pages for the search and for links from other projects."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from docutils import nodes

sys.path.append(str(Path(__file__).parents[2]))  # for `codegen`
from codegen.contents import public_names

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.domains.python import PythonDomain


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
    """Mark the pages of operations as orphans, which are in no table of contents.

    A table of contents with these pages would make every page slow.
    """
    name = app.env.docname
    if name.startswith("reference/operations/"):
        app.env.metadata[name]["orphan"] = True


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", leave_out_of_contents)
    app.connect("doctree-read", name_objects)
    return {"parallel_read_safe": True}
