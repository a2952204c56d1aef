"""Every call that is answered by a function of its own and is no mutation, by its path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import queries, sessions

if TYPE_CHECKING:
    from .answers import Answer

ANSWERS: dict[str, Answer] = {**queries.ANSWERS, **sessions.ANSWERS}
