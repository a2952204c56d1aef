"""Unions of the Python types that stand for one type of JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["AnyOf"]

if TYPE_CHECKING:
    from typing import Union as AnyOf
else:

    class AnyOf:
        """A union to type checkers; at run time its first member, which is what JSON has.

        A list or a set of texts is a list in JSON, a datetime or a text is a text. Libraries that
        read annotations, such as msgspec, allow only one such type in a union.
        """

        def __class_getitem__(cls, members: tuple[object, ...]) -> object:
            return members[0]
