"""Enums that accept values which this version does not know."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class OpenEnum(StrEnum):
    """An enum that newer servers may extend.

    A value this version does not know becomes a member that is equal to its text, so an answer of
    a newer server decodes and ``if vm.status == "NEW_STATE"`` works.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        # Not registered with the class: what a server sends must not make the process grow.
        member = str.__new__(cls, value)
        member._name_ = value
        member._value_ = value
        return member
