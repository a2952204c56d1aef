"""Unions of Python types that become one JSON type."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["AnyOf"]

if TYPE_CHECKING:
    from typing import Union as AnyOf
else:

    class AnyOf:
        """Union for type checkers; at run time its first member, which is the type in JSON.

        For example, a list and a set are both lists in JSON, and a datetime and a str are both
        strings. Libraries that read annotations, such as msgspec, allow only one such type in a
        union.
        """

        def __class_getitem__(cls, members: tuple[object, ...]) -> object:
            return members[0]
