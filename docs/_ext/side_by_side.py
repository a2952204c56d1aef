"""Shows the vendor's code beside ours.

A pair is a code block with the language `py`, followed by a code block with the language `python`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

TITLES = ("cloudtower-sdk", "cloudtower-async")


def pair_blocks(app: Sphinx, document: nodes.document) -> None:
    """Put each pair of code blocks into a container with two halves."""
    for theirs in list(document.findall(nodes.literal_block)):
        ours = theirs.next_node(descend=False, siblings=True)
        if theirs.get("language") != "py" or not isinstance(ours, nodes.literal_block):
            continue
        pair = nodes.container(classes=["pair"])
        theirs.replace_self(pair)
        ours.parent.remove(ours)
        for title, block in zip(TITLES, (theirs, ours), strict=True):
            pair += nodes.container("", nodes.rubric("", title), block, classes=["half"])


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", pair_blocks)
    return {"parallel_read_safe": True}
