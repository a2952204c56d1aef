"""Checks of options and arguments.

A function named ``…_fault`` returns a message if a value is invalid, or None if the value is valid.
`check_argument` and `check_option` raise an error with this message.
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
    """Raise InvalidInput if `fault`, the result of a check, is a message."""
    if fault is not None:
        raise InvalidInput(f"{method}: {argument}: {fault}")


def check_option(option: str, fault: str | None) -> None:
    """Raise InvalidSettings with the message `fault`, unless `fault` is None."""
    if fault is not None:
        raise InvalidSettings(f"{option}: {fault}", option=option)


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value is a number. A bool does not count as a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def seconds_fault(value: object, *, zero_ok: bool = False, none_ok: bool = False) -> str | None:
    """Return an error message if a value is not a finite number of seconds above 0, otherwise None.

    Args:
        value: The value.
        zero_ok: Whether to accept 0, which means that there is no wait.
        none_ok: Whether to accept None, which means no limit.
    """
    if value is None and none_ok:
        return None
    if is_number(value) and 0 <= value <= sys.float_info.max and (zero_ok or value):
        return None
    return f"expected a number of seconds above 0, got {value!r}"


def count_fault(value: object, *, least: int = 1) -> str | None:
    """Return an error message if a value is not an integer of at least `least`, otherwise None."""
    if type(value) is int and value >= least:
        return None
    return f"expected a whole number from {least} on, got {value!r}"


def rate_fault(value: object) -> str | None:
    """Return an error message if a value is not a positive number of calls a second, else None."""
    if is_number(value) and 0 < value < math.inf:
        return None
    return f"expected a number of calls a second above 0, got {value!r}"


def bool_fault(value: object) -> str | None:
    """Return an error message if a value is not a bool, otherwise None."""
    return None if isinstance(value, bool) else f"expected True or False, got {value!r}"


def choice_fault(value: object, choices: object) -> str | None:
    """Return an error message if a value is not a value of a Literal type, otherwise None."""
    allowed = get_args(choices)
    return None if value in allowed else f"expected one of {', '.join(allowed)}; got {value!r}"


def text_fault(value: object) -> str | None:
    """Return an error message if a value is not a string of at least one character, otherwise None.

    The message does not quote the value, because a secret may have been passed by mistake.
    """
    if isinstance(value, str) and value:
        return None
    return f"expected a string, got {'an empty one' if value == '' else type(value).__name__}"


def encoding_fault(text: str) -> str | None:
    """Return an error message if a text cannot be encoded as UTF-8, otherwise None.

    The message does not quote the text, because the text may be a secret.
    """
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        return f"it holds a byte that is not UTF-8, as character {exc.start + 1}"
    return None


def header_fault(value: object) -> str | None:
    """Return an error message if a value cannot be the value of an HTTP header, otherwise None."""
    if isinstance(value, str) and _HEADER_VALUE.fullmatch(value):
        return None
    return "it is not a string, or holds a character that is not allowed in headers"


def token_fault(token: object) -> str | None:
    """Return an error message if a value cannot be a token, otherwise None.

    The message does not quote the value, because the value may be a secret.
    """
    if not isinstance(token, str):
        return f"expected a string, got {type(token).__name__}"
    if _TOKEN.fullmatch(token):
        return None
    return "it is empty, or holds a space or a character that is not allowed in headers"


def pair_fault(value: object) -> str | None:
    """Return an error message if a value is not a valid (user name, password) pair, otherwise None.

    The pair is for HTTP Basic. The message does not quote the value, because it may hold a
    password.
    """
    pair = cast("tuple[object, ...]", value) if isinstance(value, tuple) else ()
    if len(pair) != 2 or not all(isinstance(part, str) and part for part in pair):
        return "expected a pair of strings, (username, password)"
    if ":" in str(pair[0]):
        return "the user name holds a colon, which HTTP Basic does not allow"
    return encoding_fault(str(pair[0])) or encoding_fault(str(pair[1]))


def function_fault(value: object) -> str | None:
    """Return an error message if a value is not a function, otherwise None.

    The message does not quote the value, because the value may be a secret.
    """
    return None if callable(value) else f"expected an async function, got {type(value).__name__}"


def middleware_fault(value: object) -> str | None:
    """Return an error message if a value is not a list or tuple of functions, otherwise None."""
    if not isinstance(value, list | tuple):
        return f"expected a list of async functions, got {type(value).__name__}"
    faults = map(function_fault, cast("list[object]", value))
    return next((fault for fault in faults if fault is not None), None)


def callback_fault(value: object) -> str | None:
    """Return an error message if a value is async or not callable, otherwise None.

    The value None is valid, because callbacks are optional.
    """
    if inspect.iscoroutinefunction(value):
        return "expected a function, got an async function, which would never be awaited"
    if value is None or callable(value):
        return None
    return f"expected a function, got {type(value).__name__}"


def mapping_fault(value: object) -> str | None:
    """Return an error message if a value is not a mapping with strings as keys, otherwise None."""
    if not isinstance(value, Mapping):
        return f"expected a dict of names and values, got {type(value).__name__}"
    for name in cast("Mapping[object, object]", value):
        if not isinstance(name, str):
            return f"a name is a string, got {type(name).__name__}"
    return None


def instance_fault(value: object, kind: type) -> str | None:
    """Return an error message if a value is not an instance of a class, otherwise None."""
    if isinstance(value, kind):
        return None
    return f"expected a {kind.__qualname__}, got {type(value).__name__}"


def pem_file_fault(value: object) -> str | None:
    """Return an error message if a value is not the path of a PEM file, otherwise None.

    Callers often pass the content of a PEM file instead of its path. The message does not quote the
    value, because the value may be a key.
    """
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
    """Check that a value is the path of a PEM file, or a pair of such paths.

    Return an error message, or None if the value is valid.
    """
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
    """Return an error message if a value is not a usable SSL context, otherwise None.

    Args:
        value: The value.
        alone: Whether the SSL context is the only TLS option that is set.
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
        asker: Name of the method that has the argument, such as ``"wait"``.
        name: Name of the argument.
        given: Value of the argument.
        none_ok: Whether to accept None, which means no limit.
        zero_ok: Whether to accept 0.

    Raises:
        InvalidInput: The value is not a number of seconds.
    """
    check_argument(asker, name, seconds_fault(given, zero_ok=zero_ok, none_ok=none_ok))


def check_wait(asker: str, timeout: object, interval: object, grace: object) -> None:
    """Check the arguments of a method that waits for resources or tasks.

    Args:
        asker: Name of the method, such as ``"wait"``.
        timeout: Seconds until the method gives up. None means no limit.
        interval: Seconds between polls.
        grace: Seconds for which a resource may be missing from lists. 0 is allowed.

    Raises:
        InvalidInput: An argument is not a number of seconds.
    """
    check_seconds(asker, "timeout", timeout, none_ok=True)
    check_seconds(asker, "interval", interval)
    check_seconds(asker, "grace", grace, zero_ok=True)


def whole_number(value: object) -> int | None:
    """Return a value as an integer, or None if the value is not a whole number.

    A float without a fraction counts as a whole number, as it does on the server: ``2.0`` is 2. A
    bool does not count as a whole number.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None


def positive_number(asker: str, name: str, given: object) -> int:
    """Return an argument as an integer, and check that the argument is a whole number above 0.

    Args:
        asker: Name of the method that has the argument, such as ``"iterate"``.
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
        name: Name of the called method of the session, such as ``"count"``.
        example: Arguments of a correct call with keywords, for the error message.
        extra: Surplus positional arguments, which fit no parameter of the method.
        numbers: Values of parameters that expect numbers. A mapping among these values is a filter
            that was passed by position.

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
    """Return a description of an argument that is not a method, for an error message.

    If the argument is a coroutine, the function closes the coroutine.
    """
    close_calls(given)
    return "its call: leave out the (…)" if isinstance(given, Awaitable) else repr(given)
