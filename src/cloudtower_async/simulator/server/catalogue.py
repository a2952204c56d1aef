"""Every call that is answered by a function of its own and is no mutation, by its path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import consoles, feed, metrics, nvram, ovf, sessions, special_queries, tables, uploads

if TYPE_CHECKING:
    from .handlers import Answer

ANSWERS: dict[str, Answer] = {
    **consoles.ANSWERS,
    **feed.ANSWERS,
    **metrics.ANSWERS,
    **nvram.ANSWERS,
    **ovf.ANSWERS,
    **special_queries.ANSWERS,
    **sessions.ANSWERS,
    **tables.ANSWERS,
    **uploads.ANSWERS,
}
