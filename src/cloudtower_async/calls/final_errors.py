"""Build the errors that end a call, with the known outcome of the call and a hint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import CallTimeout, MutationTimeout, OutcomeUnknown, ResponseDecodeError
from ..transport.responses import HTML_INSTEAD

if TYPE_CHECKING:
    from ..errors import CallError, ResourceLocked

NO_LOGIN = (
    "The token is invalid or has expired: pass a new token=, or renew the token of a profile with "
    "`cloudtower-async login`. With username= and password=, the session logs in again by itself."
)
LOGIN_IN_VAIN = "The session has logged in again, but the server refuses the new token, too."
FOLLOW_BY_HAND = (
    "Another server of the pair is the active one: await tower.find_active(), then call again."
)
NO_SUCH_PATH = (
    "Check the path and the body; the server may also be too old for this path, or not a "
    "CloudTower."
)
NOT_SENT = (
    "The call was not sent: it waited in the queue "
    "(max_connections=, max_in_flight=, rate_limit=), "
    "for a login, for an active server, or for a connection. Pass a longer timeout=, send fewer "
    "calls at once, or check that the server can be reached."
)
REFUSED_CREDENTIAL = "Check auth=: the server refused the credential or requires one."
OWN_CREDENTIAL = (
    "The change feed wants HTTP Basic with its own credential, not the session's: "
    "check change_feed=(username, password)."
)
_WITHOUT_LIST = ("observability", "ovf")  # namespaces without resources to query


def interrupted_by_hook(
    operation: str, endpoint: str | None, cause: BaseException
) -> OutcomeUnknown:
    """Return the error for a mutation if an aiohttp middleware or trace hook has failed."""
    return OutcomeUnknown(
        f"a client middleware or trace hook raised {type(cause).__name__} after the request was "
        "sent, so it may have been carried out or not",
        operation=operation,
        endpoint=endpoint or "",
        hint=where_to_look(operation),
    )


def describe_lock(failure: ResourceLocked, waited: float) -> None:
    """Add the locked resources and the seconds that the call has waited to an error."""
    failure.waited = waited
    locked = ", ".join(f"{one.type} {one.id}" for one in failure.locked_resources)
    failure.message += f" ({locked})" if locked else ""
    failure.message += f" for {waited:.3g} s already" if waited else ""


def outcome_unknown(failure: CallError) -> OutcomeUnknown:
    """Return the error for a failed mutation that may have been carried out."""
    kind = MutationTimeout if isinstance(failure, CallTimeout) else OutcomeUnknown
    doubt = "so it may have been carried out or not"
    if isinstance(failure, ResponseDecodeError) and failure.message != HTML_INSTEAD:
        doubt = "although the status says that it was carried out"
    error = kind(
        f"{failure.message}, {doubt}",
        operation=failure.operation,
        endpoint=failure.endpoint,
        status=failure.status,
        request_id=failure.request_id,
        code=failure.code,
        props=failure.props,
        server_message=failure.server_message,
        hint=where_to_look(failure.operation),
    )
    error.attempts = failure.attempts
    error.proxy = failure.proxy
    error.__cause__ = failure
    return error


def where_to_look(operation: str) -> str:
    """Return a hint with the queries that show whether a mutation was carried out."""
    namespace, _, method = operation.partition(".")
    if not method or not namespace.isidentifier() or namespace in _WITHOUT_LIST:
        return OutcomeUnknown.default_hint
    plural = namespace + ("es" if namespace[-1] in "os" else "s")
    if namespace[-1] == "y" and namespace[-2] not in "aeiou":
        plural = f"{namespace[:-1]}ies"
    return (
        "Before you call again, check whether the mutation was carried out: "
        f"tower.{namespace}.get_{plural} shows the current state, tower.task.get_tasks the tasks."
    )
