"""The FastAPI app, with one session and one feed for its whole lifetime, and the routes."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Iterable,
)
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, TypedDict

import msgspec
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from fastapi.staticfiles import StaticFiles

from cloudtower_async import CallError, Cloudtower
from cloudtower_async.recipes import build_dashboard

from ..server_shutdown import on_stop_signal
from .feed import Feed, Language
from .guard import LOCAL, Guard

PAGE = Path(__file__).parent / "page"


class Held(TypedDict):
    """State of the running app. Each request has access to this state."""

    tower: Cloudtower
    feed: Feed


async def get_tower(request: Request) -> Cloudtower:
    """Return the shared session."""
    tower: Cloudtower = request.state.tower
    return tower


async def get_states(
    request: Request, language: Language = "en-US"
) -> AsyncIterator[AsyncIterator[str]]:
    """Yield an iterator over the states to send. When the request ends, stop listening."""
    feed: Feed = request.state.feed
    async with feed.listen(language) as states:
        yield states


def create_app(
    tower: Cloudtower | None = None, *, interval: float = 5.0, hosts: Iterable[str] = LOCAL
) -> FastAPI:
    """Create the app.

    Args:
        tower: Session with the CloudTower to show. The session is closed when the app ends. None
            means a session from environment variables.
        interval: Seconds between two polls.
        hosts: Host names and addresses that browsers may use to open the page.

    Raises:
        InvalidSettings: The environment variables contain no address of a CloudTower, or an invalid
            value.
    """
    session = Cloudtower.from_env() if tower is None else tower

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[Held]:
        # Do not enter the session, because entering logs in. The app must start, and the page must
        # show errors, even while the Tower is down. The first call logs in.
        feed = Feed(session, interval)
        try:
            with on_stop_signal(feed.close):
                yield Held(tower=session, feed=feed)
        finally:
            await session.close()

    # Turn off FastAPI's documentation pages, because they load scripts from other sites.
    app = FastAPI(title="CloudTower dashboard", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(Guard, hosts=hosts)
    app.add_api_route("/events", events, response_class=EventSourceResponse)
    app.add_api_route("/api/dashboard", dashboard)
    app.add_exception_handler(CallError, unavailable)
    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return app


async def events(
    request: Request, states: Annotated[AsyncIterator[str], Depends(get_states)]
) -> AsyncIterator[ServerSentEvent]:
    """Send the past points of the curves, then each new state, until the browser disconnects."""
    feed: Feed = request.state.feed
    yield ServerSentEvent(event="uses", raw_data=feed.uses())
    async for state in states:
        yield ServerSentEvent(event="state", raw_data=state)


async def dashboard(
    tower: Annotated[Cloudtower, Depends(get_tower)], language: Language = "en-US"
) -> Response:
    """Return the whole dashboard as JSON for programs. Each request sends queries to the Tower."""
    board = await build_dashboard(tower, content_language=language)
    return Response(msgspec.json.encode(board), media_type="application/json")


async def unavailable(_request: Request, error: Exception) -> Response:
    """Return a response with status 503 and the error of a call to the Tower."""
    return JSONResponse({"detail": str(error)}, status_code=503)
