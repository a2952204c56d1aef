"""Logging in, and which version answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..http_errors import RefusedError

if TYPE_CHECKING:
    from .handlers import Answer, Asked


def log_in(asked: Asked, given: object) -> str:
    """Return a new token for credentials as a request has them.

    Raises:
        RefusedError: The credentials are incomplete, or wrong.
    """
    body: Any = given
    match body:
        case {"username": str(username), "password": str(password)}:
            source: str = body.get("source") or "LOCAL"
        case _:
            raise RefusedError(400, "username, password: required")
    accounts = asked.accounts
    strategies = {strategy["id"] for strategy in accounts.strategies}
    token = None
    if source != "AUTHN" or body.get("auth_config_id") in strategies:
        token = accounts.log_in(username, password, source)
    if token is None:
        raise RefusedError(400, "the user name or the password is wrong")
    return token


def _log_in(asked: Asked) -> object:
    return {"task_id": None, "data": {"token": log_in(asked, asked.request.body)}}


def _version(asked: Asked) -> object:
    return asked.maker.behavior.version


ANSWERS: dict[str, Answer] = {"login": _log_in, "get-version": _version}
