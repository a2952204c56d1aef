"""Errors that become HTTP responses, and checks for required members of a body."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import msgspec

from ..types import CODEC_ERRORS

T = TypeVar("T")


class BadRequestError(ValueError):
    """The request is malformed (HTTP status 400). The message names the invalid part."""


class DocumentNotFoundError(KeyError):
    """The document does not exist, for example because the document was deleted."""

    def __init__(self, resource: str, identifier: str, *, is_name: bool = False) -> None:
        hint = f", but a {resource} has this name; use its id" if is_name else ""
        super().__init__(f"there is no {resource} {identifier}{hint}")


class HttpError(Exception):
    """The server rejects the request.

    Args:
        status: HTTP status of the response.
        message: Error message.
        code: Error code in the error body. With None, the body has no error code.
        props: Details in the error body. With None, the body has no details.
    """

    def __init__(
        self, status: int, message: str, *, code: str | None = None, props: object = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.props = props


class NoMatchError(HttpError):
    """The filter of a mutation matches no resource.

    `Behavior.nothing_matches` determines the response.
    """

    def __init__(self, message: str) -> None:
        super().__init__(404, message)


def require_member(body: object, name: str, kind: type[T]) -> T:
    """Return the value of a required member of a request body.

    Raises:
        BadRequestError: The member is missing or has another type.
    """
    if not isinstance(body, dict) or name not in body:
        raise BadRequestError(f"{name}: required")
    try:
        return msgspec.convert(cast("dict[str, Any]", body)[name], kind)
    except CODEC_ERRORS as exc:
        raise BadRequestError(f"{name}: {exc}") from None
