"""From arguments to answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import msgspec

from ..errors import CallTimeout, CloudtowerError, InvalidInput, NotFound, Unauthorized
from ..settings import choice_fault, header_fault, seconds_fault
from ..types import ContentLanguage
from ..wire.failures import without_frames
from ..wire.transport import closed_during
from .checks import check
from .decoding import decode
from .operation import Auth, Carries

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from ..wire.auth import Authenticator
    from ..wire.transport import Transport
    from .operation import Operation

R = TypeVar("R")

_encode = msgspec.json.Encoder().encode
_NO_SUCH_PATH = (
    "Check the path, then what the body names; "
    "the server may also be too old for it, or no CloudTower."
)
_OWN_CREDENTIAL = (
    "It wants HTTP Basic with a credential of its own, not the session's: "
    "check change_feed=(username, password)."
)


class Caller:
    """Carries out the calls of one session.

    Args:
        transport: The way to the server.
        authenticator: Has the token, or gets it.
        content_language: Language of texts, for calls that choose none.
        timeout: Seconds for a whole call, for calls that choose none.
        strict: Refuse answers that break the schema.
        validate: Refuse arguments that break it.
    """

    def __init__(
        self,
        transport: Transport,
        authenticator: Authenticator,
        *,
        content_language: str,
        timeout: float,
        strict: bool,
        validate: bool = True,
    ) -> None:
        self.transport = transport
        self.authenticator = authenticator
        self.content_language = content_language
        self.timeout = timeout
        self.strict = strict
        self.validate = validate
        self._root = transport.settings.api_root
        self._endpoint = transport.settings.endpoint

    def call(
        self,
        operation: Operation[R],
        arguments: Mapping[str, object] | Sequence[object] | None = None,
        content_language: str | None = None,
        external_cloudtower_id: str | None = None,
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, R]:
        """Call with the arguments of a namespace's method, of which None are those left out.

        For the rest see `send`.
        """
        if isinstance(arguments, dict):
            arguments = {name: value for name, value in arguments.items() if value is not None}
        return self.send(operation, arguments, content_language, external_cloudtower_id, timeout)

    async def send(
        self,
        operation: Operation[R],
        arguments: object = None,
        content_language: str | None = None,
        external_cloudtower_id: str | None = None,
        timeout: float | None = None,
    ) -> R:
        """Send the arguments as they are and return the decoded answer.

        Args:
            operation: What to call.
            arguments: What it takes; None: nothing.
            content_language: Language of texts; None: the session's.
            external_cloudtower_id: Sent as the header of that name.
            timeout: Seconds for everything: logging in, connecting, sending, the whole answer.
                None: the session's.

        Raises:
            CallError: See its subclasses.
            InvalidInput: The arguments cannot be sent.
            EmptyFilter: A filter in them may match everything.
            SessionClosed: Before or meanwhile.
        """
        if timeout is None:
            timeout = self.timeout
        else:
            _check(operation, "timeout", seconds_fault(timeout))
        headers = {"content-language": self.content_language}
        if content_language is not None:
            _check(operation, "content_language", choice_fault(content_language, ContentLanguage))
            headers["content-language"] = content_language
        if external_cloudtower_id is not None:
            _check(operation, "external_cloudtower_id", header_fault(external_cloudtower_id))
            headers["external-cloudtower-id"] = external_cloudtower_id
        if operation.auth is Auth.BASIC:
            headers["x-bypass-whitelist"] = "true"
        check(operation, arguments, validate=self.validate)
        content = _content(operation, arguments)
        transport, authenticator = self.transport, self.authenticator
        with_token = operation.auth is Auth.TOKEN
        sent = False
        failure: CloudtowerError
        scope = anyio.move_on_after(timeout)
        transport.under_way.add(scope)
        try:
            with scope:
                if with_token and authenticator.token is None:
                    await authenticator.log_in()
                sent = True
                # No variable holds the token or the answer: errors show those of this frame.
                return decode(
                    operation,
                    await transport.exchange(
                        operation.name,
                        operation.method,
                        self._root + operation.path,
                        headers,
                        token=self._credential(operation.auth),
                        not_modified=operation.not_modified,
                        **content,
                    ),
                    self._endpoint,
                    strict=self.strict,
                )
            failure = self._cut_short(operation.name, timeout, sent)
        except CloudtowerError as exc:
            failure = exc
            if operation.auth is Auth.BASIC and isinstance(exc, Unauthorized):
                exc.hint = _OWN_CREDENTIAL
            # Calls outside the schema are named by their path.
            elif isinstance(exc, NotFound) and exc.operation == operation.path:
                exc.hint = _NO_SUCH_PATH
        finally:
            transport.under_way.discard(scope)
        raise without_frames(failure)

    def _credential(self, auth: Auth) -> str | None:
        if auth is Auth.TOKEN:
            return self.authenticator.token
        return self.authenticator.basic if auth is Auth.BASIC else None

    def _cut_short(self, operation: str, seconds: float, sent: bool) -> CloudtowerError:
        if self.transport.closed:
            return closed_during(operation)
        return CallTimeout(
            f"no answer within {seconds:g} s",
            operation=operation,
            endpoint=self._endpoint,
            sent=sent,
        )


def _check(operation: Operation[R], argument: str, fault: str | None) -> None:
    if fault is not None:
        raise InvalidInput(f"{operation.name}: {argument}: {fault}")


def _content(operation: Operation[R], arguments: object) -> dict[str, Any]:
    if arguments is None:
        return {}
    if operation.carries is Carries.JSON:
        try:
            return {"body": _encode(arguments)}
        except (TypeError, ValueError, RecursionError) as exc:
            raise InvalidInput(
                f"{operation.name}: the arguments cannot be written as JSON: {exc}"
            ) from exc
    return {"fields" if operation.carries is Carries.FORM else "query": arguments}
