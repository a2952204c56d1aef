"""Suggestions for error messages about unknown names, in the language of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..spelling import FEW, similar_names
from .language import tr

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def did_you_mean(name: str, known: Iterable[str], *, few: bool = False) -> str:
    """Return text that suggests known names similar to `name`, or an empty text.

    Args:
        name: The unknown name.
        known: The known names.
        few: Whether to list all known names if there are at most `FEW`, and none is similar.
    """
    known = list(known)
    near = similar_names(name, known)
    if few and not near and len(known) <= FEW:
        return tr("; expected one of {names}", names=", ".join(sorted(known)))
    return may_mean(near)


def may_mean(names: Sequence[str]) -> str:
    """Return text that suggests `names`, or an empty text if there are no names."""
    return tr("; did you mean {names}?", names=one_of(names)) if names else ""


def one_of(names: Sequence[str]) -> str:
    """Return the names as one text: ``a or b or c``."""
    return tr(" or ").join(names)
