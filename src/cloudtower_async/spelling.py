"""What somebody may have meant who misspelt a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about a name that is not known: the nearest ones, or nothing.

    Those that only differ in case are nearest.
    """
    from difflib import get_close_matches  # only here, as most programs never need it

    known = list(known)
    by_lower: dict[str, list[str]] = {}
    for one in known:
        by_lower.setdefault(one.lower(), []).append(one)
    near = by_lower.get(name.lower()) or get_close_matches(name, known)
    if not near:
        for lower in get_close_matches(name.lower(), by_lower):
            near += by_lower[lower]
    return may_mean(near)


def may_mean(names: Sequence[str]) -> str:
    """The end of a message that names what may be meant, or nothing."""
    return f"; did you mean {' or '.join(names)}?" if names else ""
