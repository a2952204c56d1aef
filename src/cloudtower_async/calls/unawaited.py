"""Calls that were passed where they cannot be used."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine
from typing import cast


def close_calls(given: object) -> None:
    """Close the calls in what an error refuses: nobody will await them, and Python would warn."""
    if isinstance(given, Coroutine):
        given.close()
    elif isinstance(given, list | tuple | set | frozenset):
        for one in cast("list[object]", given):
            close_calls(one)


def no_method(given: object) -> str:
    """How an error calls what was passed instead of a method; a call of one is closed."""
    close_calls(given)
    return "its call: leave out the (…)" if isinstance(given, Awaitable) else repr(given)
