"""Enums that accept values that this version of the package does not know."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class OpenEnum(StrEnum):
    """Enum that newer servers may extend.

    A value that this package does not know is decoded as an instance of the enum that is equal to
    the string that the server sent. Therefore answers of newer servers can be decoded, and
    ``if vm.status == "NEW_STATE"`` works. ``list(VmStatus)`` contains only the known values.

    Do not use the enum to validate input: ``VmStatus("typo")`` raises nothing. To validate a value,
    check ``value in list(VmStatus)``.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        # Do not register the member with the class, because memory would grow with each new value.
        member = str.__new__(cls, value)
        member._name_ = value
        member._value_ = value
        return member
