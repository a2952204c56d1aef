"""What somebody may have meant who misspelt a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


_FEW = 12
"""Names that a message lists when none of them is near."""


def did_you_mean(name: str, known: Iterable[str], *, few: bool = False) -> str:
    """Return the end of a message about an unknown name: the nearest names, or nothing.

    Names that only differ in case are nearest.

    Args:
        name: The unknown name.
        known: The known names.
        few: If none is near, list all of them, unless there are many.
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
    if few and not near and len(known) <= _FEW:
        return f"; expected one of {', '.join(sorted(known))}"
    return may_mean(near)


def may_mean(names: Sequence[str]) -> str:
    """The end of a message that names what may be meant, or nothing."""
    return f"; did you mean {' or '.join(names)}?" if names else ""
