"""Handlers of logins and of the query for the server version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..http_errors import HttpError

if TYPE_CHECKING:
    from .context import Handler, RequestContext


def log_in(context: RequestContext, given: object) -> str:
    """Return a new session token for the credentials in a request.

    Raises:
        HttpError: The credentials are incomplete or wrong.
    """
    body: Any = given
    match body:
        case {"username": str(username), "password": str(password)}:
            source: str = body.get("source") or "LOCAL"
        case _:
            raise HttpError(400, "username, password: required")
    accounts = context.accounts
    strategies = {strategy["id"] for strategy in accounts.strategies}
    token = None
    if source != "AUTHN" or body.get("auth_config_id") in strategies:
        token = accounts.log_in(username, password, source)
    if token is None:
        raise HttpError(400, "the user name or the password is wrong")
    return token


def _log_in(context: RequestContext) -> object:
    return {"task_id": None, "data": {"token": log_in(context, context.request.body)}}


def _version(context: RequestContext) -> object:
    return context.factory.behavior.version


HANDLERS: dict[str, Handler] = {"login": _log_in, "get-version": _version}
