"""Checks of arguments that several parts of the package share."""

from __future__ import annotations

from collections.abc import Mapping

from .errors import InvalidInput


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
        asker: What it is an argument of: ``"iterate"``.
        name: Of the argument.
        given: Its value.

    Raises:
        InvalidInput: It is none.
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
