"""What is asked and what is answered: what every module of answers has to do with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..accounts import Accounts
    from ..factory import Maker
    from ..store.filters import Document
    from ..tasks import TaskEngine
    from .state import Services

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in: for a test to look at.

    Args:
        method: ``"POST"``.
        path: The path of the operation (``"get-vms"``), or the whole path outside the API.
        headers: Those that matter to the API, in lower case, as far as they were sent.
        body: The decoded JSON; of a form its fields, with a ``FilePart`` for the file; the bytes
            where it is neither; None when there is no body.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is not just JSON with status 200."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """One call, and what there is to answer it with.

    Args:
        request: As it came in.
        content: Of the file in a form; empty when it is larger than any chunk may be.
        query: The query string.
        language: Of texts in the answer.
        user: The id of the user who asks; empty where no token is needed.
        maker: Has the store, the ids and the clock.
        tasks: Runs what an upload starts.
        accounts: Passwords and tokens.
        services: What has a state of its own.
    """

    request: Request
    content: bytes
    query: Mapping[str, str]
    language: str
    user: str
    maker: Maker
    tasks: TaskEngine
    accounts: Accounts
    services: Services


@dataclass(frozen=True, slots=True)
class Found:
    """Documents that are still to be rendered: they may be many.

    Args:
        resource: What they are.
        documents: In their order.
    """

    resource: str
    documents: Sequence[Document]


Answer: TypeAlias = "Callable[[Asked], object]"
"""Answers a call: with what becomes JSON, with a Reply, or with what was Found."""
