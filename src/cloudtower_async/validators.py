"""Checks of arguments that several parts of the package share."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TypeGuard

from .errors import InvalidInput


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value is a number; a bool is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def seconds_fault(value: object, *, zero_ok: bool = False) -> str | None:
    """Return why a value is no number of seconds to wait; None if it is one.

    Infinity is none, so that nothing hangs.

    Args:
        value: The value.
        zero_ok: Accept 0, which means not to wait.
    """
    if is_number(value) and 0 <= value <= sys.float_info.max and (zero_ok or value):
        return None
    return f"expected a number of seconds above 0, got {value!r}"


def check_seconds(
    asker: str, name: str, given: object, *, none_ok: bool = False, zero_ok: bool = False
) -> None:
    """Refuse an argument that is no number of seconds.

    Args:
        asker: Method that it is an argument of: ``"wait"``.
        name: Name of the argument.
        given: Its value.
        none_ok: Accept None, which means no limit.
        zero_ok: Accept 0.

    Raises:
        InvalidInput: It is no number of seconds.
    """
    if given is None and none_ok:
        return
    if fault := seconds_fault(given, zero_ok=zero_ok):
        raise InvalidInput(f"{asker}: {name}: {fault}")


def check_wait(asker: str, timeout: object, interval: object, grace: object) -> None:
    """Refuse wrong arguments of a method that waits for resources or tasks.

    Args:
        asker: The method: ``"wait"``.
        timeout: Seconds until it gives up; None: no limit.
        interval: Seconds between polls.
        grace: Seconds that a resource may be missing; may be 0.

    Raises:
        InvalidInput: One of them is no number of seconds.
    """
    check_seconds(asker, "timeout", timeout, none_ok=True)
    check_seconds(asker, "interval", interval)
    check_seconds(asker, "grace", grace, zero_ok=True)


def whole_number(value: object) -> int | None:
    """Return the whole number that a value stands for, or None.

    A float without a fraction is one, as it is to the server: ``2.0`` is 2. A bool is none.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None


def positive_number(asker: str, name: str, given: object) -> int:
    """Return a whole number above 0.

    Args:
        asker: Method that it is an argument of: ``"iterate"``.
        name: Name of the argument.
        given: Its value.

    Raises:
        InvalidInput: It is no whole number above 0.
    """
    number = whole_number(given)
    if number is None or number < 1:
        raise InvalidInput(f"{asker}: {name}: expected a whole number above 0, got {given!r}")
    return number


def reject_positional(name: str, example: str, extra: tuple[object, ...], *numbers: object) -> None:
    """Refuse arguments of a query that were not passed by keyword.

    Args:
        name: Method of the session that was called: ``"count"``.
        example: The same call with keywords, without the name of the method.
        extra: Positional arguments after those that the method takes.
        numbers: Arguments that must be numbers; a filter passed by position ends up there.

    Raises:
        TypeError: There are such arguments. The message shows how to pass them.
    """
    if extra or any(isinstance(one, Mapping) for one in numbers):
        raise TypeError(
            f"{name}() takes the arguments of the query by keyword: tower.{name}({example})"
        )
