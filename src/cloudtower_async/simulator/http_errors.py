"""Errors that become HTTP responses, and checks for required members of a body."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import msgspec

from ..types import CODEC_ERRORS

T = TypeVar("T")


class BadRequestError(ValueError):
    """The request is malformed (HTTP 400); the text names the place."""


class DocumentNotFoundError(KeyError):
    """The document does not exist; it may have been removed."""

    def __init__(self, resource: str, identifier: str) -> None:
        super().__init__(f"there is no {resource} {identifier}")


class HttpError(Exception):
    """The server rejects the request with this status."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, props: object = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.props = props


class NoMatchError(HttpError):
    """The filter of a mutation matches nothing; `Behavior.nothing_matches` decides the answer."""

    def __init__(self, message: str) -> None:
        super().__init__(404, message)


def require_member(body: object, name: str, kind: type[T]) -> T:
    """Return a required member of a body.

    Raises:
        BadRequestError: The member is missing or has another type.
    """
    if not isinstance(body, dict) or name not in body:
        raise BadRequestError(f"{name}: required")
    try:
        return msgspec.convert(cast("dict[str, Any]", body)[name], kind)
    except CODEC_ERRORS as exc:
        raise BadRequestError(f"{name}: {exc}") from None
