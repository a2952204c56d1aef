"""From arguments to answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_origin

import anyio
import msgspec

from ..errors import CallTimeout, InvalidInput
from ..settings import check_seconds
from ..wire.statuses import status_error
from .decoding import decode
from .operation import Auth, Carries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..wire.auth import Authenticator
    from ..wire.transport import Answer, Transport
    from .operation import Operation

R = TypeVar("R")

_encode = msgspec.json.Encoder().encode


class Caller:
    """Carries out the calls of one session.

    Args:
        transport: The way to the server.
        authenticator: Has the token, or gets it.
        content_language: Language of texts, for calls that choose none.
        timeout: Seconds for a whole call, for calls that choose none.
        strict: Refuse answers that break the schema.
    """

    def __init__(
        self,
        transport: Transport,
        authenticator: Authenticator,
        *,
        content_language: str,
        timeout: float,
        strict: bool,
    ) -> None:
        self.transport = transport
        self.authenticator = authenticator
        self.content_language = content_language
        self.timeout = timeout
        self.strict = strict
        self._root = transport.settings.api_root
        self._endpoint = transport.settings.endpoint

    async def call(
        self,
        operation: Operation[R],
        arguments: Mapping[str, object] | Sequence[object] | None = None,
        content_language: str | None = None,
        external_cloudtower_id: str | None = None,
        timeout: float | None = None,
    ) -> R:
        """Send the arguments and return the decoded answer.

        Args:
            operation: What to call.
            arguments: An object or a list. None at the top level of an object is left out; deeper
                it is sent as null.
            content_language: Language of texts; None: the session's.
            external_cloudtower_id: Sent as the header of that name.
            timeout: Seconds for everything: logging in, connecting, sending, the whole answer.
                None: the session's.

        Raises:
            CallError: See its subclasses.
            InvalidInput: The arguments cannot be sent.
            SessionClosed: Before or meanwhile.
        """
        if timeout is None:
            timeout = self.timeout
        else:
            check_seconds("timeout", timeout)
        headers: dict[str, str] = {}
        if content_language is not None:
            headers["content-language"] = content_language
        elif operation.method != "GET":  # those two answer without texts
            headers["content-language"] = self.content_language
        if external_cloudtower_id is not None:
            headers["external-cloudtower-id"] = external_cloudtower_id
        content = _content(operation, arguments)
        with anyio.move_on_after(timeout):
            if operation.auth is not Auth.NONE:
                authenticator = self.authenticator
                headers["authorization"] = authenticator.token or await authenticator.log_in()
            answer = await self.transport.exchange(
                operation.name, operation.method, self._root + operation.path, headers, **content
            )
            if answer.status == 304:
                return self._not_modified(operation, answer)
            return decode(operation, answer, self._endpoint, strict=self.strict)
        raise CallTimeout(
            f"no answer within {timeout:g} s", operation=operation.name, endpoint=self._endpoint
        )

    def _not_modified(self, operation: Operation[R], answer: Answer) -> R:
        if get_origin(operation.answer()) is list:
            return cast(R, [])
        raise status_error(
            answer.status,
            answer.body,
            operation=operation.name,
            endpoint=self._endpoint,
            request_id=answer.request_id,
        )


def _content(
    operation: Operation[R], arguments: Mapping[str, object] | Sequence[object] | None
) -> dict[str, Any]:
    if arguments is None:
        return {}
    if isinstance(arguments, Mapping):
        arguments = {name: value for name, value in arguments.items() if value is not None}
    if operation.carries is Carries.JSON:
        try:
            return {"body": _encode(arguments)}
        except (TypeError, ValueError, RecursionError) as exc:
            raise InvalidInput(f"{operation.name}: the arguments are no JSON: {exc}") from exc
    return {"fields" if operation.carries is Carries.FORM else "query": arguments}
