"""Servers with valid but unusual answers: proxies that change the simulator's answers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import aiohttp
import msgspec
from aiohttp import web

from tests.support import serve

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

Ask: TypeAlias = "Callable[[str, Any], Any]"
"""Takes the path of an operation and the body of a request; returns the body to pass on."""

Tell: TypeAlias = "Callable[[str, Any, Any], Any]"
"""Takes the path of an operation, the body of the request, and the answer; returns the answer to
pass on."""


Note: TypeAlias = "Callable[[str, Any], None]"
"""Takes the path of an operation and the body of a request."""


def nothing(_: str, __: Any) -> None:  # noqa: ANN401
    """Ignore a request."""


def as_it_is(_: str, body: Any) -> Any:  # noqa: ANN401
    """Pass a request on unchanged."""
    return body


def unchanged(_: str, __: Any, answer: Any) -> Any:  # noqa: ANN401
    """Pass an answer on unchanged."""
    return answer


@asynccontextmanager
async def proxy(
    url: str, ask: Ask = as_it_is, tell: Tell = unchanged, note: Note = nothing
) -> AsyncGenerator[str]:
    """Forward requests to another server, and change JSON requests and answers.

    Args:
        url: Root address of the other server.
        ask: Changes the body of each request.
        tell: Changes each successful answer.
        note: Called with each request.
    """
    async with aiohttp.ClientSession(auto_decompress=True) as session:

        async def handle(request: web.Request) -> web.StreamResponse:
            path = request.path.rpartition("/")[2]
            content, body = await request.read(), None
            if content and request.content_type == "application/json":
                body = ask(path, msgspec.json.decode(content))
                content = msgspec.json.encode(body)
            note(path, body)
            headers = {
                name: value
                for name, value in request.headers.items()
                if name.lower() not in ("host", "content-length", "transfer-encoding")
            }
            async with session.request(
                request.method, url + request.path_qs, data=content, headers=headers
            ) as response:
                answer = await response.read()
                if response.status == 200 and response.content_type == "application/json":
                    answer = msgspec.json.encode(tell(path, body, msgspec.json.decode(answer)))
                return web.Response(
                    body=answer, status=response.status, content_type=response.content_type
                )

        async with serve(handle) as root:
            yield root


def capped(most: int) -> Ask:
    """Return a function for `ask` of `proxy`: it limits the number of rows that queries request.

    The server then behaves like a server that never returns more than `most` rows.
    """

    def ask(path: str, body: Any) -> Any:  # noqa: ANN401
        if not path.startswith("get-") or path.endswith(("-connection", "-metrics")):
            return body
        name = "last" if body.get("last") is not None else "first"
        return {**body, name: min(most, body.get(name) or most) if body.get(name) != 0 else 0}

    return ask


def deaf_to(*names: str) -> Ask:
    """Return a function for `ask` of `proxy`: it removes arguments and conditions from queries.

    The server then behaves like a server that ignores these arguments and conditions.
    """

    def without(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, dict):
            members = cast("dict[str, Any]", value)
            return {key: without(one) for key, one in members.items() if key not in names}
        if isinstance(value, list):
            return [without(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
        return value

    def ask(path: str, body: Any) -> Any:  # noqa: ANN401
        return without(body) if path.startswith("get-") else body

    return ask
