"""Suggestions in messages about unknown names, in the language of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..spelling import FEW, similar_names
from .language import tr

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def did_you_mean(name: str, known: Iterable[str], *, few: bool = False) -> str:
    """Return the end of a message about an unknown name: similar names, or an empty text.

    Args:
        name: The unknown name.
        known: The known names.
        few: If none is similar, list all known names, unless there are many.
    """
    known = list(known)
    near = similar_names(name, known)
    if few and not near and len(known) <= FEW:
        return tr("; expected one of {names}", names=", ".join(sorted(known)))
    return may_mean(near)


def may_mean(names: Sequence[str]) -> str:
    """Return the end of a message that suggests these names; an empty text without names."""
    return tr("; did you mean {names}?", names=one_of(names)) if names else ""


def one_of(names: Sequence[str]) -> str:
    """Return the names with "or" between them."""
    return tr(" or ").join(names)
