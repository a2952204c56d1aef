"""Suggestions for misspelled names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


FEW = 12
"""Maximum number of known names for an error message that lists all of them."""


def did_you_mean(name: str, known: Iterable[str], *, few: bool = False) -> str:
    """Return the end of an error message: a text that lists similar names, or "".

    Args:
        name: The unknown name.
        known: The known names.
        few: Whether to list all known names if no name is similar and there are at most `FEW`
            names.
    """
    known = list(known)
    near = similar_names(name, known)
    if few and not near and len(known) <= FEW:
        return f"; expected one of {', '.join(sorted(known))}"
    return f"; did you mean {' or '.join(near)}?" if near else ""


def similar_names(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that are similar to an unknown name, or an empty list.

    If names differ from the unknown name only in case, only those names are returned.
    """
    from difflib import get_close_matches  # imported here because most programs never need it

    known = list(known)
    by_lower: dict[str, list[str]] = {}
    for one in known:
        by_lower.setdefault(one.lower(), []).append(one)
    near = by_lower.get(name.lower()) or get_close_matches(name, known)
    if not near:
        for lower in get_close_matches(name.lower(), by_lower):
            near += by_lower[lower]
    return near
