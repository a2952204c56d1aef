"""Unions of Python types that are encoded as the same JSON type."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["AnyOf"]

if TYPE_CHECKING:
    from typing import Union as AnyOf
else:

    class AnyOf:
        """A union for type checkers. At run time, ``AnyOf[A, B]`` is the type ``A``.

        For example, msgspec rejects a union of ``list`` and ``set``, because both are lists in
        JSON. With ``AnyOf[list, set]``, msgspec sees only ``list``. Put the type of the decoded
        JSON value first.
        """

        def __class_getitem__(cls, members: tuple[object, ...]) -> object:
            return members[0]
