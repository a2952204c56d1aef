"""Unions of Python types that are encoded as the same JSON type."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["AnyOf"]

if TYPE_CHECKING:
    from typing import Union as AnyOf
else:

    class AnyOf:
        """A union for type checkers. At run time, ``AnyOf[A, B]`` is the type ``A``.

        Put the type of the decoded JSON value first, such as ``list`` in ``AnyOf[list, set]``. A
        list and a set are both lists in JSON, and a datetime and a str are both strings. Libraries
        that read annotations, such as msgspec, allow a union to have only one type for JSON lists,
        and only one for JSON strings.
        """

        def __class_getitem__(cls, members: tuple[object, ...]) -> object:
            return members[0]
