"""Suggestions for misspelled names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


FEW = 12
"""Maximum number of known names to list in a message if none is similar."""


def did_you_mean(name: str, known: Iterable[str], *, few: bool = False) -> str:
    """Return the end of a message about an unknown name: similar names, or an empty string.

    Args:
        name: The unknown name.
        known: The known names.
        few: Whether to list all known names if none is similar and there are only a few.
    """
    known = list(known)
    near = similar_names(name, known)
    if few and not near and len(known) <= FEW:
        return f"; expected one of {', '.join(sorted(known))}"
    return f"; did you mean {' or '.join(near)}?" if near else ""


def similar_names(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that resemble an unknown name.

    Names that differ only in case come first.
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
