"""Arguments and results of handlers: request contexts and responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ..http_errors import HttpError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..accounts import Accounts
    from ..factory import Factory
    from ..store.filters import Document
    from ..store.store import Store
    from ..tasks import TaskEngine
    from .request_parser import Request
    from .state import ServerState

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Response:
    """Response other than JSON with status 200."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Context of a request, with everything that a handler needs.

    Args:
        request: The received request.
        content: Content of the file in a form; empty if the file is larger than the maximum chunk.
        query: Parameters of the query string.
        language: Language of texts in the response.
        user: Id of the user; empty if the request has no valid token.
        factory: The store, the ids and the clock.
        tasks: Engine of the tasks that mutations start.
        accounts: Passwords and tokens.
        state: State of the server outside the store.
    """

    request: Request
    content: bytes
    query: Mapping[str, str]
    language: str
    user: str
    factory: Factory
    tasks: TaskEngine
    accounts: Accounts
    state: ServerState

    @property
    def store(self) -> Store:
        """The store of the server."""
        return self.factory.store

    def arguments(self) -> Any:  # noqa: ANN401 - any JSON
        """Return the body of a call, or an empty object if there is no body.

        Raises:
            HttpError: The body is neither an object nor a list.
        """
        body = self.request.body
        if body is None:
            return {}
        if not isinstance(body, dict | list):
            raise HttpError(400, "the body is neither a JSON object nor a list")
        return cast("object", body)


@dataclass(frozen=True, slots=True)
class DocumentList:
    """Documents to render in parts, because there may be many.

    Args:
        resource: Type of the documents.
        documents: The documents in order.
    """

    resource: str
    documents: Sequence[Document]


Handler: TypeAlias = "Callable[[RequestContext], object]"
"""Handler of a request; returns a value to send as JSON, a `Response` or a `DocumentList`."""
