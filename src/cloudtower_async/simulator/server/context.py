"""Request contexts and responses: the arguments and the results of handlers."""

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
    """Response of a handler that does not send JSON with status 200.

    Args:
        body: Body of the response.
        status: HTTP status.
        content_type: Content type of the body.
        headers: Additional headers.
    """

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Context of a request: everything that a handler needs.

    Args:
        request: Received request.
        content: Content of the file in a multipart form. If the file is larger than the maximum
            chunk, the content is empty.
        query: Parameters of the query string.
        language: Language of texts in the response.
        user: Id of the user. If the request has no valid token, the id is empty.
        factory: Store, generator of ids, and clock of the server.
        tasks: Engine for the tasks that mutations start.
        accounts: Passwords, tokens and API keys.
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
        """Store of the server."""
        return self.factory.store

    def arguments(self) -> Any:  # noqa: ANN401 - any JSON
        """Return the decoded JSON body of the request.

        If the request has no body, return an empty dict.

        Raises:
            HttpError: The body is not a JSON object or list.
        """
        body = self.request.body
        if body is None:
            return {}
        if not isinstance(body, dict | list):
            raise HttpError(400, "the body is neither a JSON object nor a list")
        return cast("object", body)


@dataclass(frozen=True, slots=True)
class DocumentList:
    """Documents that the server renders in parts, because the list can be long.

    Args:
        resource: Resource type of the documents.
        documents: Documents in the order of the response.
    """

    resource: str
    documents: Sequence[Document]


Handler: TypeAlias = "Callable[[RequestContext], object]"
"""Handler of a request. Its result is a value to send as JSON, a `Response` or a `DocumentList`."""
