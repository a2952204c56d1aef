"""Checks of options and arguments.

A function named ``…_fault`` returns why a value cannot be used, or None if the value is valid.
`check_argument` and `check_option` turn the reason into an error of a method or a session option.
"""

from __future__ import annotations

import inspect
import math
import os
import re
import ssl
import sys
from collections.abc import Awaitable, Coroutine, Mapping
from typing import TypeGuard, cast, get_args

from .errors import InvalidInput, InvalidSettings

_TOKEN = re.compile(r"[\x21-\x7e]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


def check_argument(method: str, argument: str, fault: str | None) -> None:
    """Raise InvalidInput if an argument of a method has a fault."""
    if fault is not None:
        raise InvalidInput(f"{method}: {argument}: {fault}")


def check_option(option: str, fault: str | None) -> None:
    """Raise InvalidSettings if an option of the session has a fault."""
    if fault is not None:
        raise InvalidSettings(f"{option}: {fault}", option=option)


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value is a number. A bool does not count as a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def seconds_fault(value: object, *, zero_ok: bool = False, none_ok: bool = False) -> str | None:
    """Return why a value is not a finite number of seconds to wait.

    Args:
        value: The value.
        zero_ok: Whether to accept 0, which means not to wait.
        none_ok: Accept None, which means no limit.
    """
    if value is None and none_ok:
        return None
    if is_number(value) and 0 <= value <= sys.float_info.max and (zero_ok or value):
        return None
    return f"expected a number of seconds above 0, got {value!r}"


def count_fault(value: object, *, least: int = 1) -> str | None:
    """Return why a value is not an integer of at least `least`."""
    if type(value) is int and value >= least:
        return None
    return f"expected a whole number from {least} on, got {value!r}"


def rate_fault(value: object) -> str | None:
    """Return why a value is not a finite number of calls per second above 0."""
    if is_number(value) and 0 < value < math.inf:
        return None
    return f"expected a number of calls a second above 0, got {value!r}"


def bool_fault(value: object) -> str | None:
    """Return why a value is neither True nor False."""
    return None if isinstance(value, bool) else f"expected True or False, got {value!r}"


def choice_fault(value: object, choices: object) -> str | None:
    """Return why a value is not one of the values of a Literal type."""
    allowed = get_args(choices)
    return None if value in allowed else f"expected one of {', '.join(allowed)}; got {value!r}"


def text_fault(value: object) -> str | None:
    """Return why a value is not a string of at least one character.

    The value is not quoted, because it may be a secret that was passed in the wrong place.
    """
    if isinstance(value, str) and value:
        return None
    return f"expected a string, got {'an empty one' if value == '' else type(value).__name__}"


def encoding_fault(text: str) -> str | None:
    """Return why a text cannot be sent as UTF-8, without quoting it: it may be a secret."""
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        return f"it holds a byte that is not UTF-8, as character {exc.start + 1}"
    return None


def header_fault(value: object) -> str | None:
    """Return why a value cannot be the value of an HTTP header."""
    if isinstance(value, str) and _HEADER_VALUE.fullmatch(value):
        return None
    return "it is not a string, or holds a character that is not allowed in headers"


def token_fault(token: object) -> str | None:
    """Return why a value cannot be a token, without quoting it: it may be a secret."""
    if not isinstance(token, str):
        return f"expected a string, got {type(token).__name__}"
    if _TOKEN.fullmatch(token):
        return None
    return "it is empty, or holds a space or a character that is not allowed in headers"


def pair_fault(value: object) -> str | None:
    """Return why a value is not a credential for HTTP Basic, without quoting it."""
    pair = cast("tuple[object, ...]", value) if isinstance(value, tuple) else ()
    if len(pair) != 2 or not all(isinstance(part, str) and part for part in pair):
        return "expected a pair of strings, (username, password)"
    if ":" in str(pair[0]):
        return "the user name holds a colon, which HTTP Basic does not allow"
    return encoding_fault(str(pair[0])) or encoding_fault(str(pair[1]))


def function_fault(value: object) -> str | None:
    """Return why a value is not a function, without quoting it: it may be a secret."""
    return None if callable(value) else f"expected an async function, got {type(value).__name__}"


def middleware_fault(value: object) -> str | None:
    """Return why a value is not a list of async functions."""
    if not isinstance(value, list | tuple):
        return f"expected a list of async functions, got {type(value).__name__}"
    faults = map(function_fault, cast("list[object]", value))
    return next((fault for fault in faults if fault is not None), None)


def callback_fault(value: object) -> str | None:
    """Return why a value is neither None nor a function that can be called back."""
    if inspect.iscoroutinefunction(value):
        return "expected a function, got an async function, which would never be awaited"
    if value is None or callable(value):
        return None
    return f"expected a function, got {type(value).__name__}"


def mapping_fault(value: object) -> str | None:
    """Return why a value is not a mapping whose keys are strings."""
    if not isinstance(value, Mapping):
        return f"expected a dict of names and values, got {type(value).__name__}"
    for name in cast("Mapping[object, object]", value):
        if not isinstance(name, str):
            return f"a name is a string, got {type(name).__name__}"
    return None


def instance_fault(value: object, kind: type) -> str | None:
    """Return why a value is not an instance of a class."""
    if isinstance(value, kind):
        return None
    return f"expected a {kind.__qualname__}, got {type(value).__name__}"


def pem_file_fault(value: object) -> str | None:
    """Return why a value is not the path of a PEM file, without quoting it: it may hold a key."""
    try:
        path: object = os.fspath(cast("str", value))
    except TypeError:
        path = None
    if not isinstance(path, str):
        return f"expected a path, got {type(value).__name__}"
    if "-----BEGIN" in path or "\n" in path:
        return (
            "expected the path of a PEM file, got what looks like its content; write it to a file, "
            "or load it into a context of your own and pass that as ssl_context="
        )
    return None


def client_cert_fault(value: object) -> str | None:
    """Return why a value is neither the path of a PEM file nor a pair of such paths."""
    if not isinstance(value, tuple):
        fault = pem_file_fault(value)
        return fault and fault.replace("expected a path,", "expected a path or a pair of paths,")
    paths = cast("tuple[object, ...]", value)
    if len(paths) != 2:
        return f"expected a path or a pair (certificate, key), got a tuple of {len(paths)}"
    if None in paths:
        return "expected a pair of paths (certificate, key), got None in it"
    return pem_file_fault(paths[0]) or pem_file_fault(paths[1])


def ssl_context_fault(value: object, *, alone: bool) -> str | None:
    """Return why a value is not a usable SSL context.

    Args:
        value: The value.
        alone: Whether no other TLS option is given.
    """
    if not isinstance(value, ssl.SSLContext):
        return f"expected an ssl.SSLContext, got {type(value).__name__}"
    if alone:
        return None
    return "set up ca_file=, client_cert= and verify_tls=False in the SSL context itself"


def check_seconds(
    asker: str, name: str, given: object, *, none_ok: bool = False, zero_ok: bool = False
) -> None:
    """Check an argument that is a number of seconds.

    Args:
        asker: Method that has the argument: ``"wait"``.
        name: Name of the argument.
        given: Value of the argument.
        none_ok: Accept None, which means no limit.
        zero_ok: Accept 0.

    Raises:
        InvalidInput: The value is not a number of seconds.
    """
    check_argument(asker, name, seconds_fault(given, zero_ok=zero_ok, none_ok=none_ok))


def check_wait(asker: str, timeout: object, interval: object, grace: object) -> None:
    """Check the arguments of a method that waits for resources or tasks.

    Args:
        asker: The method: ``"wait"``.
        timeout: Seconds until the method gives up; None: no limit.
        interval: Seconds between polls.
        grace: Seconds that a resource may be missing from lists; may be 0.

    Raises:
        InvalidInput: An argument is not a number of seconds.
    """
    check_seconds(asker, "timeout", timeout, none_ok=True)
    check_seconds(asker, "interval", interval)
    check_seconds(asker, "grace", grace, zero_ok=True)


def whole_number(value: object) -> int | None:
    """Return a value as an integer, or None if it is not a whole number.

    A float without a fraction is a whole number, as on the server: ``2.0`` is 2. A bool is not a
    whole number.
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
        asker: Method that has the argument: ``"iterate"``.
        name: Name of the argument.
        given: Value of the argument.

    Raises:
        InvalidInput: The value is not a whole number above 0.
    """
    number = whole_number(given)
    if number is None or number < 1:
        raise InvalidInput(f"{asker}: {name}: expected a whole number above 0, got {given!r}")
    return number


def reject_positional(name: str, example: str, extra: tuple[object, ...], *numbers: object) -> None:
    """Raise TypeError if arguments of a query were not passed by keyword.

    Args:
        name: Method of the session that was called: ``"count"``.
        example: The same call with keywords, without the name of the method.
        extra: Positional arguments after those that the method takes.
        numbers: Arguments that must be numbers. A filter passed by position can end up in such an
            argument.

    Raises:
        TypeError: An argument was passed by position. The message shows how to pass the argument.
    """
    if extra or any(isinstance(one, Mapping) for one in numbers):
        raise TypeError(
            f"{name}() takes the arguments of the query by keyword: tower.{name}({example})"
        )


def close_calls(given: object) -> None:
    """Close the coroutines in a refused argument, so that Python does not warn about them."""
    if isinstance(given, Coroutine):
        given.close()
    elif isinstance(given, list | tuple | set | frozenset):
        for one in cast("list[object]", given):
            close_calls(one)


def no_method(given: object) -> str:
    """Return a description of an argument that is not a method. If it is a coroutine, close it."""
    close_calls(given)
    return "its call: leave out the (…)" if isinstance(given, Awaitable) else repr(given)
