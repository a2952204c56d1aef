"""A minimal client that sends and returns JSON unchanged, and our own client.

Every answer is also compared with the newest API schema, if that is available.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec

from cloudtower_async import Cloudtower
from tests.simulator import openapi

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from cloudtower_async.testing import Simulator


API_ROOT = "/v2/api/"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and body of an answer."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401
        return msgspec.json.decode(self.content)


class Client:
    """Sends requests to a simulator."""

    def __init__(self, session: aiohttp.ClientSession, sim: Simulator) -> None:
        self.session = session
        self.sim = sim
        self.headers: dict[str, str] = {}

    async def send(
        self,
        operation: str,
        body: object = None,
        *,
        root: str = API_ROOT,
        method: str = "POST",
        **headers: str,
    ) -> Answer:
        content = None if body is None else msgspec.json.encode(body)
        return await self.send_raw(operation, content, root=root, method=method, **headers)

    async def send_raw(
        self,
        operation: str,
        content: bytes | None,
        *,
        root: str = API_ROOT,
        method: str = "POST",
        **headers: str,
    ) -> Answer:
        """Send a body without encoding it."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(
            method, f"{self.sim.url}{root}{operation}", data=content, headers=self.headers | sent
        ) as response:
            lower = {name.lower(): value for name, value in response.headers.items()}
            answer = Answer(response.status, lower, await response.read())
        if answer.status == 200 and root == API_ROOT:
            openapi.check(operation, answer.content)
        return answer

    async def ask(self, operation: str, body: object = None, **headers: str) -> Any:  # noqa: ANN401
        answer = await self.send(operation, body, **headers)
        assert answer.status == 200, answer.content
        return answer.json

    async def log_in(self) -> None:
        credentials = {"username": self.sim.username, "password": self.sim.password}
        self.headers["authorization"] = (await self.ask("login", credentials))["data"]["token"]


@asynccontextmanager
async def our_client(sim: Simulator) -> AsyncGenerator[Cloudtower, None]:
    """Log in to a running simulator with our client. At the end, check the answers."""
    answers: list[tuple[str, bytes]] = []

    async def note(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        response = await handler(request)
        if response.status == 200 and request.url.path.startswith(API_ROOT):
            answers.append((request.url.path.removeprefix(API_ROOT), await response.read()))
        return response

    async with (
        aiohttp.ClientSession(middlewares=[note]) as session,
        Cloudtower(sim.url, username=sim.username, password=sim.password, session=session) as tower,
    ):
        yield tower
    for path, content in answers:  # at the end, because comparing blocks the event loop
        openapi.check(path, content)


@asynccontextmanager
async def connected(sim: Simulator) -> AsyncGenerator[Client, None]:
    """Run a simulator, and yield a client that has logged in."""
    async with sim, aiohttp.ClientSession() as session:
        client = Client(session, sim)
        await client.log_in()
        yield client
