"""Every call that is answered by a function of its own and is no mutation, by its path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import consoles, feed, metrics, nvram, ovf, queries, sessions, tables, uploads

if TYPE_CHECKING:
    from .answers import Answer

ANSWERS: dict[str, Answer] = {
    **consoles.ANSWERS,
    **feed.ANSWERS,
    **metrics.ANSWERS,
    **nvram.ANSWERS,
    **ovf.ANSWERS,
    **queries.ANSWERS,
    **sessions.ANSWERS,
    **tables.ANSWERS,
    **uploads.ANSWERS,
}
