"""Translated error messages of the argument parser, which itself has only English messages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, get_args, get_origin

from cyclopts import (
    CoercionError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownOptionError,
    ValidationError,
)

from .language import tr
from .similar_names import did_you_mean

if TYPE_CHECKING:
    from cyclopts import CycloptsError, Token

_LIMIT = re.compile(r"Must be ([<>]=?) (.+)\.")


def parser_error(error: CycloptsError) -> str:
    """Return the translated text of an error. If there is no translation, return English text."""
    if isinstance(error, UnknownOptionError):
        option = error.token.keyword or error.token.value
        names = [name for argument in error.argument_collection for name in argument.names]
        meant = did_you_mean(option, names)
        return tr("there is no option {option}{meant}", option=option, meant=meant)
    if isinstance(error, RepeatArgumentError):
        return tr("{option} is given more than once", option=error.token.keyword)
    if isinstance(error, CoercionError) and error.token is not None and error.msg is None:
        return _wrong_value(error, error.token)
    if isinstance(error, ValidationError) and error.argument and error.argument.tokens:
        return _invalid(error, error.argument.tokens[0])
    if type(error) is MissingArgumentError and error.argument is not None:
        name = error.keyword or error.argument.name
        if not name.startswith("-"):
            return tr("the argument {name} is missing", name=name)
        if error.keyword is None and not error.argument.tokens:
            return tr("the option {name} is missing", name=name)
        return tr("the option {name} needs a value", name=name)
    return str(error)


def _wrong_value(error: CoercionError, token: Token) -> str:
    name = _name(error, token)
    kind = error.target_type
    if get_origin(kind) is Literal:
        choices = ", ".join(map(str, get_args(kind)))
        return tr(
            "{name}: expected one of {choices}, got {value!r}",
            name=name,
            choices=choices,
            value=token.value,
        )
    expected = tr("a whole number") if kind is int else tr("a number") if kind is float else ""
    if not expected:
        return str(error)
    return tr(
        "{name}: expected {expected}, got {value!r}",
        name=name,
        expected=expected,
        value=token.value,
    )


def _invalid(error: ValidationError, token: Token) -> str:
    limit = _LIMIT.fullmatch(error.exception_message)
    if limit is None:
        return str(error)
    return tr(
        "{name}: {value!r} is out of range; it must be {comparison} {limit}",
        name=_name(error, token),
        value=token.value,
        comparison=limit[1],
        limit=limit[2],
    )


def _name(error: CycloptsError, token: Token) -> str:
    if token.keyword:
        return token.keyword
    return error.argument.name.lstrip("-").upper() if error.argument else ""
