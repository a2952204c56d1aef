"""Unions of Python types that are encoded as the same JSON type."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["AnyOf"]

if TYPE_CHECKING:
    from typing import Union as AnyOf
else:

    class AnyOf:
        """Union for type checkers. At run time, only the first member remains: the type in JSON.

        For example, a list and a set are both lists in JSON, and a datetime and a str are both
        strings. Libraries that read annotations, such as msgspec, allow only one of these types in
        a union.
        """

        def __class_getitem__(cls, members: tuple[object, ...]) -> object:
            return members[0]
